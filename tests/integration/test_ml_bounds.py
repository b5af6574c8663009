"""What the detectors remember has a bound, whatever tags come and go."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.pipelinebench import START, PipelineBench

DAY = 86_400


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[PipelineBench]:
    with PipelineBench.served(tmp_path) as made:
        yield made


def test_series_beyond_the_bound_are_not_scored_and_said_until_there_is_room(
    bench: PipelineBench, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = bench.pipeline(most_series=6)
    for target in ("a", "b"):
        bench.measure(START, target=target)
    pipeline.cycle()
    assert pipeline.counts.series_not_watched == 0
    with caplog.at_level(logging.ERROR, "streamswarm_ml"):
        for second in (10, 20):
            for target in ("a", "b", "c"):
                bench.measure(START + second, target=target)
            pipeline.cycle()
    assert len(pipeline.series) == 6
    assert pipeline.counts.series_not_watched == 3
    assert [record.levelname for record in caplog.records if "most_series" in record.message] == ["ERROR"]
    assert {key[0] for key in bench.scores()} == {"a", "b"}
    # Under new labels, the others gone: after two weeks there is room for them.
    bench.measure(START + 15 * DAY, target="a")
    pipeline.cycle()
    bench.measure(START + 15 * DAY + 10, target="c")
    pipeline.cycle()
    assert {dict(tags)["target"] for _, tags, _ in pipeline.series} == {"a", "c"}
    assert pipeline.counts.series_not_watched == 0
