import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamswarm_core.catalogue.distribution import ICMP_RTT
from streamswarm_core.sketch import BOUNDS_NS, BUCKET_FIELDS, RELATIVE_ERROR, Sketch

IN_RANGE = st.integers(BOUNDS_NS[0] + 1, BOUNDS_NS[-1]).map(lambda nanoseconds: nanoseconds / 1e9)
ANY_DURATION = st.floats(0, 100, allow_nan=False)
DURATIONS = st.lists(ANY_DURATION, max_size=50)


def nearest_rank(durations: list[float], share: float) -> float:
    return sorted(durations)[max(1, math.ceil(share * len(durations))) - 1]


@given(st.lists(IN_RANGE, min_size=1, max_size=200), st.floats(0, 1))
@example([1e-05 + 1e-9], 1.0)
def test_a_quantile_is_within_the_stated_error_of_the_exact_one(durations: list[float], share: float) -> None:
    exact = nearest_rank(durations, share)
    found = Sketch.of(durations).quantile(share)
    assert found is not None
    assert abs(found.value - exact) <= RELATIVE_ERROR * exact * (1 + 1e-9)


@given(st.lists(ANY_DURATION, min_size=1, max_size=100), st.floats(0, 1))
def test_the_exact_quantile_always_lies_between_the_bounds_that_are_given(durations: list[float], share: float) -> None:
    exact = round(nearest_rank(durations, share) * 1e9) / 1e9
    found = Sketch.of(durations).quantile(share)
    assert found is not None
    assert found.low < exact <= found.high or exact == found.low == 0


@given(DURATIONS, DURATIONS, DURATIONS)
def test_merging_is_associative_and_the_same_as_measuring_all_at_once(
    a: list[float], b: list[float], c: list[float]
) -> None:
    first, second, third = map(Sketch.of, (a, b, c))
    left, right = first.merge(second).merge(third), first.merge(second.merge(third))
    assert left.buckets == right.buckets == Sketch.of(a + b + c).buckets
    assert left.total == pytest.approx(right.total)
    assert left.total == pytest.approx(sum(a + b + c))


@given(DURATIONS, DURATIONS)
def test_fields_that_a_store_adds_up_are_the_merged_sketch(a: list[float], b: list[float]) -> None:
    mine, theirs = Sketch.of(a).to_fields(), Sketch.of(b).to_fields()
    added = {name: mine.get(name, 0) + theirs.get(name, 0) for name in {*mine, *theirs}}
    merged = Sketch.from_fields({**added, "seq": 7, "to_nowhere": 1})
    assert merged.buckets == Sketch.of(a + b).buckets
    assert merged.count == added["count"]


@given(ANY_DURATION)
def test_a_duration_lies_in_its_bucket_to_the_nanosecond(seconds: float) -> None:
    (index,) = Sketch.of([seconds]).buckets
    nanoseconds = round(seconds * 1e9)
    assert index == len(BOUNDS_NS) or nanoseconds <= BOUNDS_NS[index]
    assert index == 0 or nanoseconds > BOUNDS_NS[index - 1]


def test_a_run_of_four_echoes_writes_six_fields_at_most() -> None:
    fields = Sketch.of([0.0101, 0.0102, 0.03, 0.2]).to_fields()
    assert fields == {"sum": pytest.approx(0.2503), "count": 4, "to_12500us": 2, "to_31500us": 1, "to_200ms": 1}


def test_every_bucket_is_a_field_of_the_catalogue() -> None:
    assert all(name in ICMP_RTT for name in BUCKET_FIELDS)
    assert len(BUCKET_FIELDS) == len(BOUNDS_NS) + 1


def test_round_thresholds_are_answered_exactly() -> None:
    cumulative = dict(Sketch.of([0.0199, 0.02, 0.0200001, 0.4]).cumulative())
    assert cumulative[0.02] == 2
    assert cumulative[math.inf] == 4


def test_an_empty_sketch_has_no_quantile_and_no_mean() -> None:
    assert (Sketch().quantile(0.5), Sketch().mean, Sketch().count) == (None, None, 0)


def test_what_is_beyond_ten_seconds_is_said_to_be_and_not_how_far() -> None:
    found = Sketch.of([12.0]).quantile(0.5)
    assert found is not None
    assert (found.value, found.low, found.high) == (10.0, 10.0, math.inf)
