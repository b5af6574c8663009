from hypothesis import given
from hypothesis import strategies as st

from streamswarm_agent.gnmi.rates import CounterRates

SECOND = 1_000_000_000
END = 1 << 64


def after(value: int, seconds: float = 100.0, *, later: float = 10.0) -> CounterRates:
    """The run so much later than one in which a counter had a value."""
    first = CounterRates(at=0)
    assert first.rate("e1", "in", value, int(seconds * SECOND)) is None
    return CounterRates(first.readings, at=later)


def test_the_first_run_has_no_rate() -> None:
    assert CounterRates(at=0).rate("e1", "in", 5, 1) is None


def test_growth_is_over_the_devices_time() -> None:
    assert after(1_000).rate("e1", "in", 4_000, 130 * SECOND) == 100.0


def test_a_counter_that_wrapped_goes_on() -> None:
    assert after(END - 500).rate("e1", "in", 500, 110 * SECOND) == 100.0


def test_a_counter_that_was_reset_has_no_rate_and_is_counted() -> None:
    rates = after(5_000_000)
    assert rates.rate("e1", "in", 10, 110 * SECOND) is None
    assert rates.resets == {"e1": 1}
    assert CounterRates(rates.readings, at=20).rate("e1", "in", 110, 120 * SECOND) == 10.0


def test_a_counter_that_the_device_cleared_has_no_rate_although_it_grew() -> None:
    rates = after(10)
    assert rates.rate("e1", "in", 5_000, 110 * SECOND, cleared=True) is None
    assert rates.resets == {"e1": 1}


def test_an_answer_from_the_devices_cache_is_compared_with_the_same_reading_later() -> None:
    cached = after(1_000)
    assert cached.rate("e1", "in", 1_000, 100 * SECOND) is None
    assert CounterRates(cached.readings, at=20).rate("e1", "in", 3_000, 120 * SECOND) == 100.0


def test_a_clock_that_went_back_gives_no_rate_and_the_next_run_does() -> None:
    back = after(1_000)
    assert back.rate("e1", "in", 2_000, 50 * SECOND) is None
    assert not back.resets
    assert CounterRates(back.readings, at=20).rate("e1", "in", 3_000, 60 * SECOND) == 100.0


def test_a_clock_that_was_set_forward_gives_no_rate_and_the_next_run_does() -> None:
    ahead = after(1_000)
    assert ahead.rate("e1", "in", 2_000, 3_710 * SECOND) is None
    assert CounterRates(ahead.readings, at=20).rate("e1", "in", 3_000, 3_720 * SECOND) == 100.0


def test_a_counter_that_is_not_there_any_more_is_forgotten() -> None:
    gone = after(1_000)
    assert gone.rate("e1", "in", None, 110 * SECOND) is None
    assert CounterRates(gone.readings, at=20).rate("e1", "in", 9_000, 120 * SECOND) is None


@given(st.integers(0, END - 1), st.integers(0, END >> 8), st.integers(1, 10**6))
def test_whatever_a_counter_was_its_rate_is_what_was_added_or_none(value: int, added: int, seconds: int) -> None:
    rate = after(value, 0.0, later=seconds).rate("e1", "in", (value + added) % END, seconds * SECOND)
    assert rate == added / seconds
