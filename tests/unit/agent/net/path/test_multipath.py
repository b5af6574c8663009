import random

import pytest

from streamswarm_agent.net.path.multipath import branches, flows_to_exclude_another, flows_wanted, group_by_path


def test_the_stopping_points_are_those_of_the_published_table() -> None:
    # Augustin, Friedman, Teixeira 2007, table 1 (95 %).
    published = [6, 11, 16, 21, 27, 33, 38, 44, 51, 57, 63, 70, 76, 83, 90]
    assert [flows_to_exclude_another(found, 0.95) for found in range(1, 16)] == published


@pytest.mark.parametrize(("width", "confidence"), [(2, 0.95), (4, 0.95), (3, 0.8)])
def test_branches_are_missed_no_more_often_than_was_wished(width: int, confidence: float) -> None:
    chance = random.Random(7)
    missed = 0
    for _ in range(2_000):
        seen: set[int] = set()
        flows = 0
        while flows < (flows_to_exclude_another(len(seen), confidence) if seen else 1):
            seen.add(chance.randrange(width))
            flows += 1
        missed += len(seen) < width
    # The confidence holds for each further branch; over all of them the failures add up.
    assert missed / 2_000 <= (1 - confidence) * (width - 1)


def test_a_single_path_needs_six_flows() -> None:
    path = ["a", "b", "c"]
    assert flows_wanted([path], 0.95) == 5
    assert flows_wanted([path] * 6, 0.95) == 0


def test_each_router_of_a_diamond_needs_flows_of_its_own() -> None:
    left, right = ["split", "b1", "join"], ["split", "b2", "join"]
    assert flows_wanted([left] * 10 + [right], 0.95) == 5
    assert flows_wanted([left] * 6 + [right] * 6, 0.95) == 0


def test_a_hop_that_never_answers_has_no_branches_to_find() -> None:
    assert flows_wanted([["a", None, "c"]] * 6, 0.95) == 0
    assert flows_wanted([[None]], 0.95) == 0
    assert flows_wanted([], 0.95) == 0


def test_a_router_whose_answer_got_lost_is_not_taken_for_another() -> None:
    assert flows_wanted([["a", "b", "c"]] * 6 + [["a", None, "c"]], 0.95) == 0


def test_branches_of_each_hop_and_flows_of_each_path() -> None:
    left, right, lost = ["split", "b1", "join"], ["split", "b2", "join"], ["split", None, "join"]
    assert branches([left, right, lost]) == [{"split"}, {"b1", "b2"}, {"join"}]
    assert group_by_path({0: left, 1: right, 2: lost, 3: right}) == [[0, 2], [1, 3]]
    assert group_by_path({0: lost, 1: left, 2: right}) == [[0, 1], [2]]
