"""A store that answers late, in part or not at all holds the detectors up no longer than it has to."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from streamswarm_core.clock import NANOSECONDS
from streamswarm_core.errors import Unavailable
from streamswarm_core.reader import InfluxQLReader, Select, Series
from tests.integration.pipelinebench import START, PipelineBench

HOUR_NS = 3600 * NANOSECONDS


class Slow(InfluxQLReader):
    """Asks the real store, but gives up some questions as too slow."""

    too_much: Callable[[Select], bool] = staticmethod(lambda _statement: False)

    def select(self, statement: Select) -> list[Series]:
        if self.too_much(statement):
            raise Unavailable("no answer within 20 s")
        return super().select(statement)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[PipelineBench]:
    with PipelineBench.served(tmp_path) as made:
        made.reader.close()
        made.reader = Slow(made.url, database="streamswarm")
        yield made


def slow(bench: PipelineBench) -> Any:
    return bench.reader


def test_what_a_store_cannot_answer_in_time_is_asked_for_in_smaller_parts(bench: PipelineBench) -> None:
    bench.measure_minutes(1500)
    slow(bench).too_much = lambda asked: (asked.stop_ns or 0) - (asked.start_ns or 0) > HOUR_NS // 3
    pipeline = bench.pipeline(lookback_hours=26)
    for _ in range(40):
        try:
            pipeline.cycle()
        except Unavailable:
            continue
        if len(bench.scores()) == 1500 * 3:
            break
    assert len(bench.scores()) == 1500 * 3


def test_a_measurement_that_cannot_be_read_holds_up_no_other_one(bench: PipelineBench) -> None:
    slow(bench).too_much = lambda asked: asked.measurement == "dns"
    pipeline = bench.pipeline()
    counted = []
    for minute in range(6):
        stamp = (START + minute * 60) * NANOSECONDS
        # Of the measurements that are read, one is before icmp and one behind it.
        lines = [f"{name},target=gw up=1i {stamp}" for name in ("dns", "tcp", "http")]
        bench.writer.write("\n".join([*lines, ""]).encode())
        bench.measure(START + minute * 60)
        with pytest.raises(Unavailable):
            pipeline.cycle()
        counted.append(pipeline.counts.points)
    assert {key[0] for key in pipeline.series} >= {"icmp", "tcp", "http"}
    # Nothing is scored a second time: five values a minute, but for those that the first cycle didn't come to.
    assert [late - early for early, late in pairwise(counted[1:])] == [5, 5, 5, 5]
    slow(bench).too_much = lambda _asked: False
    pipeline.cycle()
    assert "dns" in {key[0] for key in pipeline.series}


def test_the_state_is_saved_every_few_minutes_and_at_the_end(bench: PipelineBench) -> None:
    state = bench.folder / "ml" / "detectors.state"
    pipeline = bench.pipeline()
    saved = []
    for second in range(0, 900, 30):
        bench.measure(START + second)
        pipeline.cycle()
        saved.append(state.stat().st_mtime_ns)
    assert len(set(saved)) == 3
    # What was scored since is scored again after a crash, to the same scores; after an orderly end it is not.
    again = bench.pipeline()
    assert again.cycle() > 0
    pipeline.close()
    assert bench.pipeline().cycle() == 0


def test_the_services_clock_that_goes_back_does_not_keep_the_state_from_being_saved(bench: PipelineBench) -> None:
    pipeline = bench.pipeline()
    bench.now = START + 7200
    bench.measure(START)
    pipeline.cycle()
    first = (bench.folder / "ml" / "detectors.state").stat().st_mtime_ns
    bench.now = START + 10
    bench.measure(START + 9)
    pipeline.cycle()
    assert (bench.folder / "ml" / "detectors.state").stat().st_mtime_ns > first
