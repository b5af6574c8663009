"""What is stored, learned anew, and training that is stopped."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from streamswarm_ml.progress import Progress
from streamswarm_ml.settings import MlSettings
from streamswarm_ml.state import StateFile
from tests.integration.pipelinebench import PipelineBench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[PipelineBench]:
    with PipelineBench.served(tmp_path) as made:
        yield made


def test_a_reset_learns_everything_again_and_gives_the_same_scores_as_the_first_time(bench: PipelineBench) -> None:
    bench.measure_minutes(600)
    pipeline = bench.pipeline(lookback_hours=720)
    pipeline.cycle()
    before = bench.scores()
    seen: list[Progress] = []

    def watch(progress: Progress) -> bool:
        seen.append(progress)
        return True

    done = pipeline.reset(watch)
    assert (done.points, done.series, done.cancelled) == (1800, 3, False)
    assert seen[-1].share == 1
    assert [one.share for one in seen] == sorted(one.share for one in seen)
    assert bench.scores() == before
    assert pipeline.cycle() == 0


def test_a_reset_reads_what_the_first_start_did_not_look_back_to(bench: PipelineBench) -> None:
    bench.measure_minutes(600)
    pipeline = bench.pipeline(lookback_hours=1)
    assert pipeline.cycle() == 180
    assert pipeline.reset().points == 1800


def test_a_cancelled_reset_changes_no_detector(bench: PipelineBench) -> None:
    bench.measure_minutes(600)
    pipeline = bench.pipeline(lookback_hours=720)
    pipeline.cycle()
    saved = StateFile(MlSettings(data=bench.folder).folder).path.read_bytes()
    done = pipeline.reset(lambda progress: progress.share < 0.1)
    assert done.cancelled
    assert done.series == 3
    assert StateFile(MlSettings(data=bench.folder).folder).path.read_bytes() == saved
    bench.measure_minutes(610)
    assert pipeline.cycle() == 30
    assert bench.pipeline(lookback_hours=720).cycle() == 0


def test_training_that_is_stopped_keeps_what_it_did_and_goes_on_there(bench: PipelineBench) -> None:
    bench.measure_minutes(600)
    pipeline = bench.pipeline(lookback_hours=10.5)
    first = pipeline.train(lambda progress: progress.points == 0)
    assert first.cancelled
    assert 0 < first.points < 1800
    assert first.points + pipeline.train().points == 1800
    assert len(bench.scores()) == 1800
