from itertools import pairwise

from streamswarm_collector.store.changes import (
    MOST_VERSIONS,
    Addition,
    Change,
    GoneTable,
    NewColumn,
    NewTable,
    in_pieces,
    parted,
)
from streamswarm_collector.store.schema import FieldColumn, FieldType


def column(number: int) -> FieldColumn:
    return FieldColumn(f"field {number}", FieldType.FLOAT, f"f{number}")


def rows(_connection: object) -> None:
    """Stands for an insertion."""


def test_a_new_table_has_all_columns_of_its_flush_from_the_start() -> None:
    changes: list[Change] = [
        NewTable("m1", "d", "m"),
        NewColumn("m1", column(1)),
        rows,
        NewColumn("m1", column(2)),
        rows,
    ]
    assert parted(changes) == ([NewTable("m1", "d", "m", (column(1), column(2)))], [rows, rows])


def test_a_table_that_follows_a_drop_of_its_measurement_stays_behind_it() -> None:
    gone, other = GoneTable("m1", "d", "m"), NewTable("m3", "d/week", "m")
    changes: list[Change] = [
        NewColumn("m1", column(9)),
        gone,
        NewTable("m2", "d", "m"),
        NewColumn("m2", column(1)),
        other,
    ]
    again = NewTable("m2", "d", "m", (column(1),))
    assert parted(changes) == ([NewColumn("m1", column(9)), other], [gone, again])


def test_pieces_bound_what_one_transaction_keeps_and_change_no_order() -> None:
    additions = [NewColumn("m1", column(number)) for number in range(1, 4097)]
    additions_and_table: list[Addition] = [*additions, NewTable("m2", "d", "n", tuple(map(column, range(1, 4097))))]
    pieces = list(in_pieces(additions_and_table, {}))
    assert [one for piece in pieces for one in piece.additions] == additions_and_table
    assert max(sum(one.versions for one in piece.additions) for piece in pieces) <= MOST_VERSIONS
    assert not any(piece.needs_checkpoint for piece in pieces)
    # Each is as full as it can be.
    assert all(
        piece.versions + following.additions[0].versions > MOST_VERSIONS for piece, following in pairwise(pieces)
    )


def test_the_more_rows_a_table_has_the_fewer_columns_are_added_before_a_checkpoint() -> None:
    additions = [NewColumn("m1", column(number)) for number in range(1, 101)]
    sizes = {
        count: [(len(piece.additions), piece.needs_checkpoint) for piece in in_pieces(additions, {"m1": count})]
        for count in (0, 100_000, 2_000_000, 1_000_000_000)
    }
    assert sizes[0] == [(100, False)]
    assert sizes[100_000] == [(100, True)]
    assert sizes[2_000_000] == [(30, True)] * 3 + [(10, True)]
    assert sizes[1_000_000_000] == [(1, True)] * 100
