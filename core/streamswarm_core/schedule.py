"""When a test is measured: always, again and again by a calendar, or once.

A test has an interval, the seconds between two runs while it is going. Its schedule says when it is going:

- `interval`: always, or between `start` and `until`, or for `duration` seconds;
- `cron`: from each moment of a cron expression in a time zone, one run, or for `duration` seconds;
- `once`: from one moment, one run, or for `duration` seconds.

Each such start is an occasion. The agent computes them itself, so that they come without a control plane. Moments are
those of the wall clock, UTC inside; daylight saving time is treated as by Debian's cron: what falls into the hour that
is left out comes right after it, and a fixed time of the hour that comes twice comes once.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import islice, pairwise
from typing import Annotated, Any, Final, Literal, Self

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from streamswarm_core.moment import Moment
from streamswarm_core.probespecs.demand import RunCost
from streamswarm_core.zones import ZoneName, find_zone

ALIASES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}
_EPOCH: Final = datetime(2024, 1, 1, tzinfo=UTC)
_MOST_SECONDS: Final = 366 * 86_400.0
_SPANS: Final = tuple(timedelta(days=days) for days in (1 / 24, 1, 8, 32, 366, 5 * 366))
"""A calendar's last start is looked for in each, the shortest first, as cron expressions are read forwards only."""


def check_cron(expression: str) -> str:
    """Let a cron expression of five fields pass.

    Raises:
        ValueError: it can't be read, or never comes true.

    >>> check_cron("30 3 * * mon-fri")
    '30 3 * * mon-fri'
    """
    fields = ALIASES.get(expression, expression)
    if len(fields.split()) != 5:
        raise ValueError(
            "takes five fields (minute, hour, day of month, month, day of week), such as 30 3 * * 1-5, or one of "
            + ", ".join(ALIASES)
        )
    try:
        next(CronSim(fields, _EPOCH))
    except CronSimError as error:
        raise ValueError(f"{error} in the cron expression {expression!r}") from None
    except StopIteration:
        raise ValueError(f"the cron expression {expression!r} never comes true") from None
    return expression


CronExpression = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(check_cron)]


def moments(expression: str, zone: str, after: datetime) -> Iterator[datetime]:
    """The moments of a cron expression after one, UTC, ascending; ends if none comes within 50 years.

    >>> next(moments("30 3 * * *", "Europe/Berlin", datetime(2024, 7, 1, tzinfo=UTC))).isoformat()
    '2024-07-01T01:30:00+00:00'
    """
    last = after
    for moment in CronSim(ALIASES.get(expression, expression), after.astimezone(find_zone(zone))):
        # Both the hour that is left out and its successor can hold the same real moment.
        if (real := moment.astimezone(UTC)) > last:
            last = real
            yield real


class Recurrence(StrEnum):
    """What another start of a test does to its run record."""

    CONTINUE = "continue"
    """The one record goes on."""
    NEW_RUN = "new_run"
    """Each start has a record of its own."""


class _Timed(BaseModel):
    """What all schedules have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    duration: float | None = Field(
        None,
        ge=1,
        le=_MOST_SECONDS,
        strict=True,
        description="Seconds that it goes on after each start; see each kind.",
    )


class _Bounded(_Timed):
    start: Moment | None = Field(None, description="Not before.")
    until: Moment | None = Field(None, description="Not from then on.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.start is not None and self.until is not None and self.start >= self.until:
            raise ValueError("start has to be before until")
        return self


class IntervalSchedule(_Bounded):
    """Always, within the bounds; with `duration` for so many seconds from `start`, or from when the agent gets it."""

    kind: Literal["interval"]
    recurrence: Recurrence = Field(
        Recurrence.CONTINUE, description="Whether resuming or changing the test goes on with its run record."
    )


class CronSchedule(_Bounded):
    """At each moment of a cron expression: one run, or runs for `duration` seconds."""

    kind: Literal["cron"]
    cron: CronExpression = Field(description="Minute, hour, day of month, month, day of week, such as `30 3 * * 1-5`.")
    zone: ZoneName = Field("UTC", description="Time zone of the expression, such as `Europe/Berlin`.")
    grace: float = Field(
        300.0, ge=0, le=86_400, strict=True, description="Seconds late that a missed start is still made up for."
    )
    recurrence: Recurrence = Field(Recurrence.NEW_RUN, description="Whether each start has a run record of its own.")


class OnceSchedule(_Timed):
    """At one moment: one run, or runs for `duration` seconds."""

    kind: Literal["once"]
    at: Moment = Field(description="When; with time zone or offset.")
    grace: float = Field(
        3600.0, ge=0, le=86_400, strict=True, description="Seconds late that a missed start is still made up for."
    )
    recurrence: Recurrence = Field(Recurrence.NEW_RUN, description="Whether a restart has a run record of its own.")


Schedule = Annotated[IntervalSchedule | CronSchedule | OnceSchedule, Field(discriminator="kind")]
_ADAPTER: Final[TypeAdapter[IntervalSchedule | CronSchedule | OnceSchedule]] = TypeAdapter(Schedule)
ALWAYS: Final = IntervalSchedule(kind="interval")


def read_schedule(stored: dict[str, Any] | None) -> Schedule:
    """A schedule as it is stored and sent; nothing is always.

    Raises:
        ValidationError: it can't be used here, such as for an unknown time zone.
    """
    return _ADAPTER.validate_python(stored) if stored else ALWAYS


def write_schedule(schedule: Schedule) -> dict[str, Any]:
    """The schedule as it is stored and sent."""
    return _ADAPTER.dump_python(schedule, mode="json", exclude_none=True)  # type: ignore[no-any-return]


def is_always(schedule: Schedule) -> bool:
    """Whether it goes on without a beginning or an end, so that no calendar is needed."""
    return isinstance(schedule, IntervalSchedule) and not (schedule.start or schedule.until or schedule.duration)


def occasions(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """The starts after a moment, UTC, ascending."""
    match schedule:
        case IntervalSchedule(start=start):
            if start is not None and start > after:
                yield start.astimezone(UTC)
        case OnceSchedule(at=at):
            if at > after:
                yield at.astimezone(UTC)
        case CronSchedule():
            # A start that falls together with a moment counts.
            just_before = schedule.start - timedelta(microseconds=1) if schedule.start else after
            for moment in moments(schedule.cron, schedule.zone, max(after, just_before)):
                if schedule.until is not None and moment >= schedule.until:
                    return
                yield moment


def next_occasion(schedule: Schedule, after: datetime) -> datetime | None:
    """The first start after a moment, or None if there is none."""
    return next(occasions(schedule, after), None)


def is_over(schedule: Schedule, at: datetime) -> bool:
    """Whether no run can come any more; a one-off is over when it can't be made up for."""
    match schedule:
        case IntervalSchedule(until=until):
            return until is not None and at >= until
        case OnceSchedule():
            return at > schedule.at + timedelta(seconds=max(schedule.grace, schedule.duration or 0.0))
        case CronSchedule():
            return next_occasion(schedule, at - timedelta(seconds=schedule.duration or 0.0)) is None


def is_silent(schedule: Schedule, interval: float, timeout: float, *, last: datetime, at: datetime) -> bool:
    """Whether the newest result is older than it should be: a run was due since then, and had time enough.

    Args:
        schedule: when the test is going.
        interval: seconds between two runs, while it is.
        timeout: seconds that a run may take.
        last: time of the newest result.
        at: now.
    """
    patience = timedelta(seconds=3 * interval + timeout)
    if isinstance(schedule, IntervalSchedule):
        over = schedule.duration is not None or (schedule.until is not None and at >= schedule.until)
        return not over and at - last > patience
    begun = next_occasion(schedule, last - timedelta(seconds=schedule.duration or 0.0))
    if schedule.duration is not None and begun is not None and begun <= last:
        ends = begun + timedelta(seconds=schedule.duration)
        if at < ends:
            return at - last > patience
    following = next_occasion(schedule, last)
    late = timedelta(seconds=schedule.grace + timeout + 60)
    return following is not None and at > following + late


def look_back(schedule: Schedule, interval: float, timeout: float, at: datetime) -> timedelta:
    """How far back the newest result can be while nothing is wrong; of a calendar as far as a start that is done with.

    Args:
        schedule: when the test is going.
        interval: seconds between two runs, while it is.
        timeout: seconds that a run may take.
        at: now.
    """
    patience = timedelta(seconds=3 * interval + timeout)
    if isinstance(schedule, IntervalSchedule):
        return patience
    done = at - timedelta(seconds=schedule.grace + timeout)
    for span in _SPANS:
        begun = next_occasion(schedule, done - span)
        if begun is not None and begun <= done:
            return at - begun
    return patience


def demand(schedule: Schedule, interval: float, cost: RunCost) -> RunCost:
    """What a test asks of the link per second while it is going, on average.

    A single run of a calendar is spread over the shortest time between two of its next starts.
    """
    if isinstance(schedule, IntervalSchedule) or schedule.duration is not None:
        return cost.per_second(interval)
    if isinstance(schedule, OnceSchedule):
        return RunCost()
    return cost.per_second(_shortest_gap(schedule.cron, schedule.zone))


@lru_cache(maxsize=4096)
def _shortest_gap(cron: str, zone: str) -> float:
    """Seconds between the two closest of a cron expression's next starts."""
    starts = list(islice(moments(cron, zone, _EPOCH), 50))
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(starts)]
    return min(gaps, default=86_400.0)
