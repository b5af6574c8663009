import math

from hypothesis import given
from hypothesis import strategies as st

from streamswarm_agent.host.growth import Growth

COUNTS = st.integers(min_value=0, max_value=1 << 64)


def after(before: Growth, seconds: float = 10, boot: str = "") -> Growth:
    return Growth(before.at + seconds, boot, before)


def test_a_first_run_has_no_rates() -> None:
    growth = Growth(at=5)
    assert growth.seconds is None
    assert growth.rate("bytes", 1_000_000) is None


def test_a_counter_that_was_reset_or_wrapped_has_no_rate_and_has_one_again_afterwards() -> None:
    first = Growth(at=0)
    first.rate("bytes", 4_294_967_000)
    second = after(first)
    assert second.rate("bytes", 200) is None
    assert after(second).rate("bytes", 300) == 10


def test_a_counter_that_was_away_for_a_run_has_no_rate_when_it_returns() -> None:
    first = Growth(at=0)
    first.rate("bytes", 100)
    second = after(first)
    third = after(second)
    assert third.rate("bytes", 100_000) is None


def test_counters_of_another_boot_are_not_compared_with() -> None:
    first = Growth(at=0, boot="one")
    first.rate("bytes", 100)
    second = after(first, boot="two")
    assert second.seconds is None
    assert second.rate("bytes", 100_000) is None


def test_a_clock_that_stands_still_makes_no_rate() -> None:
    first = Growth(at=3)
    first.rate("bytes", 100)
    assert after(first, seconds=0).rate("bytes", 200) is None


def test_an_absent_counter_stays_absent() -> None:
    assert Growth(at=0).of("bytes", None) is None


@given(before=COUNTS, now=COUNTS, seconds=st.floats(min_value=1e-6, max_value=1e6))
def test_a_rate_is_never_negative_and_never_more_than_the_counter_gained(before: int, now: int, seconds: float) -> None:
    first = Growth(at=0)
    first.rate("x", before)
    rate = after(first, seconds).rate("x", now)
    if now < before:
        assert rate is None
    else:
        assert rate is not None
        assert math.isclose(rate * seconds, now - before, rel_tol=1e-6)
