"""What is marked to be rolled up again, and what an answer says of roll-ups."""

from streamswarm_collector.routes.query import in_chunks
from streamswarm_collector.store.rollups import MINUTE, Mark, Rollup, Rollups


def test_many_marks_become_one() -> None:
    rollups = Rollups((Rollup(MINUTE, "t", until=10**6 * MINUTE),), planned=10**6 * MINUTE)
    for number in range(300):
        rollups, _, _ = rollups.marked([(2 * number * MINUTE, (2 * number + 1) * MINUTE)])
    assert len(rollups.marks) < 256
    assert rollups.marks[0].start == 0
    assert max(mark.stop for mark in rollups.marks) == 599 * MINUTE
    assert rollups.marked([(4 * MINUTE, 5 * MINUTE)])[1] == []


def test_a_change_while_a_mark_is_handled_leaves_another() -> None:
    rollups = Rollups((Rollup(MINUTE, "t", until=9 * MINUTE),), (Mark(4, 0, MINUTE),), 9 * MINUTE, handled=4)
    assert rollups.marked([(0, MINUTE)])[1] == [Mark(5, 0, MINUTE)]
    assert rollups.marked([(9 * MINUTE, 10 * MINUTE)])[1] == []


def test_messages_stand_in_the_first_chunk_only() -> None:
    series = {"columns": ["v"], "values": [[1], [2]]}
    body = {"results": [{"statement_id": 0, "series": [series], "messages": [{"level": "info", "text": "t"}]}]}
    first, second = in_chunks(body, 1)
    assert "messages" in first["results"][0]
    assert "messages" not in second["results"][0]
