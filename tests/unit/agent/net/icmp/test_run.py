"""What the round trips of a run come to."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamswarm_agent.net.icmp.run import EchoHistory, EchoRun, carry_jitter, percentiles_of, summarise


def test_jitter_follows_rfc_3550_and_goes_on_from_run_to_run() -> None:
    # Worked by hand: D = 0.016, 0.016, 0; J = 0.001, 0.0019375, 0.00181640625.
    assert carry_jitter(EchoHistory(), [0.010, 0.026, 0.010, 0.010]) == pytest.approx(0.00181640625)
    history = EchoHistory()
    assert carry_jitter(history, [0.010]) is None
    assert carry_jitter(history, [0.026]) == pytest.approx(0.001)
    assert carry_jitter(history, []) is None
    assert carry_jitter(history, [0.010, 0.010]) == pytest.approx(0.00181640625)


def test_loss_mean_and_deviation_are_of_what_was_received() -> None:
    run = EchoRun(rtts=[0.010, None, 0.030, 0.020, None], sent=5)
    assert run.loss == pytest.approx(0.4)
    minimum, mean, maximum, deviation, median = summarise([round(rtt * 1e9) for rtt in run.received])
    assert (minimum, mean, maximum, median) == (10_000_000, 20_000_000, 30_000_000, 20_000_000)
    assert deviation / 1e9 == pytest.approx((2e-4 / 3) ** 0.5)
    nothing = EchoRun(rtts=[None], sent=1)
    assert (nothing.received, nothing.loss) == ([], 1.0)


@given(st.lists(st.integers(0, 10**11), min_size=1, max_size=100))
def test_a_summary_is_what_the_statistics_module_says(rtts: list[int]) -> None:
    minimum, mean, maximum, deviation, *percentiles = summarise(rtts)
    assert (minimum, maximum) == (min(rtts), max(rtts))
    assert abs(mean - statistics.fmean(rtts)) <= 0.5
    assert deviation == pytest.approx(statistics.pstdev(rtts), abs=1)
    assert all(one in rtts for one in percentiles)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (1, {}),
        (2, {}),
        (3, {0.5: 2}),
        (9, {0.5: 5}),
        (10, {0.5: 5, 0.9: 9}),
        (20, {0.5: 10, 0.9: 18, 0.95: 19}),
        (100, {0.5: 50, 0.9: 90, 0.95: 95, 0.99: 99}),
    ],
)
def test_percentiles_are_absent_where_the_samples_do_not_suffice(samples: int, expected: dict[float, int]) -> None:
    percentiles = summarise(range(samples, 0, -1))[4:]
    assert dict(zip((share for share, _ in percentiles_of(samples)), percentiles, strict=True)) == expected
