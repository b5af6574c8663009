import threading
from collections.abc import Iterator

import pytest

from streamswarm_core.clock import NANOSECONDS
from streamswarm_core.errors import Unavailable
from streamswarm_ml.jobs import Busy, Job, JobRunner, JobState

MODELS = ("forecast",)


@pytest.fixture
def runner() -> JobRunner:
    return JobRunner(lambda: 1_704_067_200 * NANOSECONDS)


@pytest.fixture
def going_on(runner: JobRunner) -> Iterator[threading.Event]:
    """A job that goes on until this is set."""
    over = threading.Event()

    def go_on(_job: Job) -> None:
        over.wait(20)

    runner.begin("reset", MODELS, go_on)
    yield over
    over.set()
    runner.wait(20)


def test_a_second_job_is_refused_with_what_runs_since_when(runner: JobRunner, going_on: threading.Event) -> None:
    with pytest.raises(Busy, match="a reset is running since 2024-01-01T00:00:00"):
        runner.begin("train", MODELS, done_at_once)
    going_on.set()
    runner.wait(20)
    assert runner.begin("train", MODELS, done_at_once) is runner.job


@pytest.mark.usefixtures("going_on")
def test_a_job_that_runs_has_no_end_yet(runner: JobRunner) -> None:
    assert runner.job is not None
    assert (runner.job.state, runner.job.finished_at) == (JobState.RUNNING, "")


def test_a_job_that_was_cancelled_says_so_and_the_next_one_is_not(runner: JobRunner, going_on: threading.Event) -> None:
    job = runner.cancel()
    assert runner.cancelled
    going_on.set()
    runner.wait(20)
    assert job is not None
    assert job.state is JobState.CANCELLED
    again = runner.begin("reset", MODELS, done_at_once)
    runner.wait(20)
    assert (again.state, again.finished_at) == (JobState.DONE, "2024-01-01T00:00:00+00:00")


@pytest.mark.parametrize(
    ("error", "told"),
    [(Unavailable("the store is away"), "the store is away"), (ZeroDivisionError(), "an unexpected error; the log")],
)
def test_a_job_that_fails_tells_a_person_why(
    runner: JobRunner, caplog: pytest.LogCaptureFixture, error: Exception, told: str
) -> None:
    def fail(_job: Job) -> None:
        raise error

    job = runner.begin("train", MODELS, fail)
    runner.wait(20)
    assert job.state is JobState.FAILED
    assert job.error.startswith(told)
    assert ("train of forecast failed" in caplog.text) == isinstance(error, ZeroDivisionError)


def done_at_once(_job: Job) -> None:
    pass
