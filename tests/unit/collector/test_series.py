from collections.abc import Callable
from typing import Any

import pytest

from streamswarm_collector.batch import Batch
from streamswarm_collector.fieldtypes import FieldTypes
from streamswarm_collector.ingest import Parser
from streamswarm_collector.series import SeriesLimitError, SeriesLimits


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def limits(per_writer: int = 2, most: int = 100, **more: Any) -> SeriesLimits:
    return SeriesLimits(per_writer, most, **more)


def stored(*series: tuple[str, str, str]) -> Callable[[], list[tuple[str, str, str]]]:
    return lambda: list(series)


def test_a_new_series_beyond_the_writers_limit_is_refused_and_known_ones_go_on() -> None:
    limit = limits()
    for key in ("m,h=a", "m,h=b", "m,h=a"):
        limit.admit("d", key, "one")
    with pytest.raises(SeriesLimitError, match=r"max-series-per-agent limit exceeded: \(2\): one has 2 series; take"):
        limit.admit("d", "m,h=c", "one")
    limit.admit("d", "m,h=b", "one")
    limit.admit("d", "m,h=c", "two")
    assert limit.by_writer() == {"one": 2, "two": 1}


def test_series_are_counted_in_all_buckets_together() -> None:
    limit = limits()
    limit.admit("d", "m,h=a", "one")
    limit.admit("e", "m,h=a", "one")
    with pytest.raises(SeriesLimitError):
        limit.admit("f", "m,h=a", "one")


def test_all_writers_together_have_a_limit_too() -> None:
    limit = limits(per_writer=10, most=2)
    limit.admit("d", "m,h=a", "one")
    limit.admit("d", "m,h=b", "two")
    with pytest.raises(SeriesLimitError, match=r"max-series limit exceeded: \(2\): there are 2 series"):
        limit.admit("d", "m,h=c", "three")


def test_a_series_with_a_long_key_counts_for_several_until_it_is_forgotten() -> None:
    long = "m,h=" + "a" * 2_500
    limit = limits(per_writer=3, stored=stored(("e", long, "two")))
    limit.admit("d", long, "one")
    assert limit.by_writer() == {"one": 3, "two": 3}
    with pytest.raises(SeriesLimitError):
        limit.admit("d", "m,h=b", "one")
    limit.admit("e", long, "two")
    for bucket in ("d", "e"):
        limit.forget(bucket)
    assert limit.by_writer() == {}


def test_series_that_are_stored_are_counted_from_the_start() -> None:
    limit = limits(stored=stored(("d", "m,agent=one,h=a", "one"), ("d", "m,agent=one,h=b", "one"), ("d", "n", "")))
    assert limit.by_writer() == {"one": 2, "": 1}
    limit.admit("d", "m,agent=one,h=a", "one")
    with pytest.raises(SeriesLimitError):
        limit.admit("d", "m,agent=one,h=c", "one")


def test_a_stored_series_is_counted_for_whoever_is_seen_writing_it() -> None:
    # Scores carry the tag `agent` of the series they are for, and are written by the ML service.
    limit = limits(stored=stored(("d", "anomaly,agent=one", "one"), ("d", "m,agent=one", "one")))
    limit.admit("d", "anomaly,agent=one", "token ml")
    assert limit.by_writer() == {"one": 1, "token ml": 1}


def test_what_was_deleted_from_the_store_gives_room_back() -> None:
    clock, there = Clock(), [("d", "m,h=a", "one"), ("d", "m,h=b", "one")]
    limit = limits(stored=lambda: list(there), clock=clock)
    del there[0]
    with pytest.raises(SeriesLimitError):
        limit.admit("d", "m,h=c", "one")
    clock.now += 60
    limit.admit("d", "m,h=c", "one")
    # It is on its way to the store: that the store doesn't list it yet must not give its room away.
    clock.now += 60
    with pytest.raises(SeriesLimitError):
        limit.admit("d", "m,h=d", "one")


def test_a_store_that_is_slow_to_list_is_not_listed_for_every_line() -> None:
    clock, listed = Clock(), list[float]()

    def slowly() -> list[tuple[str, str, str]]:
        listed.append(clock.now)
        clock.now += 40
        return [("d", "m,h=a", "one")]

    limit = limits(per_writer=1, stored=slowly, clock=clock)
    clock.now += 60
    for number in range(100):
        with pytest.raises(SeriesLimitError):
            limit.admit("d", f"m,h=new{number}", "one")
        clock.now += 1
    assert listed == [0.0, 100.0]


def test_a_dropped_measurement_gives_room_back_at_once() -> None:
    limit = limits(per_writer=4)
    for key in ("a\\,b,h=a", "a,h=a", "a\\,b", "a\\,bc,h=a"):
        limit.admit("d", key, "one")
    limit.forget("d", "a,b")
    assert limit.by_writer() == {"one": 2}
    limit.forget("d")
    assert limit.total == 0


def test_without_a_store_what_nobody_wrote_for_a_day_gives_room_back() -> None:
    clock = Clock()
    limit = limits(clock=clock)
    limit.admit("d", "m,h=a", "one")
    limit.admit("d", "m,h=b", "one")
    clock.now += 90_000
    limit.admit("d", "m,h=b", "one")
    with pytest.raises(SeriesLimitError):
        limit.admit("d", "m,h=c", "one")
    limit.admit("d", "m,h=b", "one")
    clock.now += 90_000
    limit.admit("d", "m,h=c", "one")
    assert limit.by_writer() == {"one": 2}
    with pytest.raises(SeriesLimitError):
        limit.admit("d", "m,h=d", "one")


@pytest.mark.parametrize("comment", ["", "\n# a comment has the body read line by line"])
def test_lines_of_too_many_series_are_refused_by_number(comment: str) -> None:
    parser = Parser(FieldTypes(), limits())

    def parse(body: str) -> Batch:
        arguments: dict[str, Any] = {"database": "d", "precision": "ns", "received_ns": 7, "stamp": {}}
        return parser.parse(body + comment, writer="one", **arguments)

    batch = parse("m,h=a v=1 1\nm,h=b v=1 1\nm,h=c v=1 1\nm,h=a v=2 2\nm,h=d v=1 1")
    assert [(one.number, one.kind) for one in batch.refused] == [(3, "series_limit"), (5, "series_limit")]
    assert batch.lines == ["m,h=a v=1.0 1", "m,h=b v=1.0 1", "m,h=a v=2.0 2"]
    assert parse("m,h=b v=3 3\nm,h=a v=3 3").refused == []


def test_a_line_that_is_refused_for_its_type_takes_no_room() -> None:
    limit = limits()
    parser = Parser(FieldTypes(), limit)
    parser.parse("m,h=a v=1 1", database="d", precision="ns", received_ns=7, stamp={}, writer="one")
    parser.parse("m,h=b v=1i 1", database="d", precision="ns", received_ns=7, stamp={}, writer="one")
    assert limit.by_writer() == {"one": 1}


def test_a_refused_series_does_not_fix_the_type_of_a_field() -> None:
    parser = Parser(FieldTypes(), limits(per_writer=1))
    arguments: dict[str, Any] = {"database": "d", "precision": "ns", "received_ns": 7, "stamp": {}, "writer": "one"}
    parser.parse("m v=1 1", **arguments)
    assert parser.parse("m,h=b new=1i 1", **arguments).refused
    assert not parser.parse("m new=1.5 1", **arguments).refused
