"""Trains through token buckets and queues that are simulated here, packet by packet."""

import random

import pytest

from streamswarm_agent.net.qos.ratelimit import Car, Quiet, TokenBucket, Train, find_bucket, judge, suspect_policer

SIZE, DELAY = 1_000, 0.02
QUIET = Quiet(DELAY, 0.0002)


def policed(rate: float, burst: float, offered: float, count: int) -> Train:
    tokens, last, cars = burst, 0.0, []
    for number in range(count):
        sent = number * SIZE * 8 / offered
        tokens = min(burst, tokens + (sent - last) * rate / 8)
        last = sent
        passes = tokens >= SIZE
        tokens -= SIZE if passes else 0
        cars.append(Car(sent, sent + DELAY if passes else None, SIZE))
    return Train(cars)


def shaped(rate: float, offered: float, count: int, *, queue: float = 10.0, burst: float = SIZE) -> Train:
    """A queue of so many seconds that lets `burst` bytes through at once."""
    free, cars = -(burst - SIZE) * 8 / rate, []
    for number in range(count):
        sent = number * SIZE * 8 / offered
        start = max(sent - (burst - SIZE) * 8 / rate, free)
        leaves = start + SIZE * 8 / rate
        if leaves - sent > queue:
            cars.append(Car(sent, None, SIZE))
            continue
        free = leaves
        cars.append(Car(sent, max(sent, leaves) + DELAY, SIZE))
    return Train(cars)


def lossy(ratio: float, offered: float, count: int) -> Train:
    chance = random.Random(4)
    times = [number * SIZE * 8 / offered for number in range(count)]
    return Train([Car(sent, None if chance.random() < ratio else sent + DELAY, SIZE) for sent in times])


@pytest.mark.parametrize("rate", [1e6, 8e6, 40e6])
@pytest.mark.parametrize("over", [1.5, 3.0])
def test_a_policers_rate_and_burst_come_out(rate: float, over: float) -> None:
    found = find_bucket(policed(rate, 15_000, over * rate, 150), QUIET)
    assert found is not None
    assert found.kind == "policer"
    assert found.rate == pytest.approx(rate, rel=0.03)
    assert found.burst == pytest.approx(15_000, rel=0.15)


@pytest.mark.parametrize("rate", [1e6, 8e6])
@pytest.mark.parametrize("burst", [1_000, 20_000])
def test_a_shapers_rate_and_burst_come_out(rate: float, burst: int) -> None:
    found = find_bucket(shaped(rate, 2 * rate, 150, burst=burst), QUIET)
    assert found is not None
    assert found.kind == "shaper"
    assert found.rate == pytest.approx(rate, rel=0.03)
    assert found.burst == pytest.approx(burst, abs=2_000)


def test_a_shaper_that_drops_when_its_queue_is_full_is_still_a_shaper() -> None:
    train = shaped(4e6, 12e6, 200, queue=0.03)
    assert train.loss > 0.3
    found = find_bucket(train, QUIET)
    assert found is not None
    assert found.kind == "shaper"
    assert found.rate == pytest.approx(4e6, rel=0.05)


def test_a_train_below_the_rate_shows_nothing() -> None:
    assert find_bucket(policed(8e6, 15_000, 7e6, 150), QUIET) is None
    assert find_bucket(shaped(8e6, 7e6, 150), QUIET) is None


def test_changes_of_delay_as_large_as_the_paths_own_are_no_queue() -> None:
    chance = random.Random(5)
    cars = [Car(sent, sent + DELAY + chance.random() * 0.02, SIZE) for sent in (n * 0.001 for n in range(150))]
    assert find_bucket(Train(cars), Quiet(DELAY, 0.01)) is None


def test_delay_that_holds_packets_up_in_heaps_is_no_queue() -> None:
    # Radio links and schedulers: everything of 15 ms comes at once, later and later.
    sent = [number * 0.0005 for number in range(150)]
    cars = [Car(one, (one // 0.015 + 1) * 0.03 + DELAY, SIZE) for one in sent]
    assert find_bucket(Train(cars), QUIET) is None


def test_few_losses_give_a_first_guess_within_a_factor_of_three() -> None:
    train = policed(1e6, 15_000, 4e6, 25)
    assert find_bucket(train, QUIET) is None
    guess = suspect_policer(train)
    assert guess is not None
    assert 1 / 3 < guess.rate / 1e6 < 3


def test_two_trains_that_agree_are_a_limit() -> None:
    fast, faster = (find_bucket(policed(5e6, 15_000, rate, 200), QUIET) for rate in (8e6, 16e6))
    limit = judge(fast, faster, policed(5e6, 15_000, 3e6, 20))
    assert limit is not None
    assert limit.confidence > 0.95
    assert limit.bucket.rate == pytest.approx(5e6, rel=0.03)


def test_loss_by_chance_is_no_limit_however_much_of_it() -> None:
    for ratio in (0.1, 0.3):
        fast, faster = (find_bucket(lossy(ratio, rate, 300), QUIET) for rate in (8e6, 16e6))
        assert judge(fast, faster, lossy(ratio, 3e6, 20)) is None


def test_a_limit_that_also_hits_what_is_slower_is_none() -> None:
    bucket = TokenBucket("policer", 5e6, 15_000)
    assert judge(bucket, bucket, lossy(0.5, 3e6, 40)) is None


def test_trains_that_show_different_things_are_no_limit() -> None:
    slow = policed(5e6, 15_000, 3e6, 20)
    assert judge(TokenBucket("policer", 5e6, 15_000), TokenBucket("shaper", 5e6, 15_000), slow) is None
    assert judge(None, TokenBucket("shaper", 5e6, 15_000), slow) is None
