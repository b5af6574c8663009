from typing import Final

from streamswarm_core.catalogue.common import ASSIGNMENT_TAGS, STAMPED_TAGS
from streamswarm_core.catalogue.model import (
    BYTES,
    COUNT,
    DEGREES,
    RATIO,
    SECONDS,
    TEXT,
    Field,
    Kind,
    Measurement,
    Metric,
)

AGENT: Final = Measurement(
    "agent",
    STAMPED_TAGS,
    (
        Field("assignments", COUNT, "Assignments the agent is running.", kind=Kind.INTEGER),
        Field("runs", COUNT, "Runs finished since the agent started.", kind=Kind.INTEGER, metric=Metric.COUNTER),
        Field(
            "overruns",
            COUNT,
            "Runs not started because the one before was still going.",
            kind=Kind.INTEGER,
            metric=Metric.COUNTER,
            worse="up",
        ),
        Field(
            "skipped",
            COUNT,
            "Runs not started for any reason, overruns included; the measurement run says which and why.",
            kind=Kind.INTEGER,
            metric=Metric.COUNTER,
            worse="up",
        ),
        Field(
            "deferred",
            COUNT,
            "Runs started late because of the budget, the concurrency or a bandwidth test.",
            kind=Kind.INTEGER,
            metric=Metric.COUNTER,
            worse="up",
        ),
        Field("waiting", COUNT, "Runs that are due and wait.", kind=Kind.INTEGER, worse="up"),
        Field("refused", COUNT, "Assignments that don't run at all.", kind=Kind.INTEGER, worse="up"),
        Field("lag", SECONDS, "Longest time between due and started, in the last 10 s.", worse="up"),
        Field("queued_points", COUNT, "Points waiting on disk for the collector.", kind=Kind.INTEGER, worse="up"),
        Field("queued", BYTES, "Their size on disk.", kind=Kind.INTEGER, worse="up"),
        Field("oldest_queued", SECONDS, "Age of the oldest waiting point.", worse="up"),
        Field(
            "dropped_points",
            COUNT,
            "Points given up because the disk budget was full.",
            kind=Kind.INTEGER,
            metric=Metric.COUNTER,
            worse="up",
        ),
        Field("cpu", RATIO, "Share of one core that the agent uses.", worse="up"),
        Field("memory", BYTES, "Resident memory of the agent.", kind=Kind.INTEGER, worse="up"),
        Field("clock_offset", SECONDS, "Control plane's clock minus the agent's."),
        Field("clock_error", SECONDS, "The most by which clock_offset may be wrong: half its round trip.", worse="up"),
        Field("latitude", DEGREES, "Latitude of the agent's site, north positive; absent where nobody has entered it."),
        Field("longitude", DEGREES, "Longitude of the agent's site, east positive."),
    ),
    "The agent itself: what it runs, what waits to be sent, what it costs.",
)

RUN: Final = Measurement(
    "run",
    (*ASSIGNMENT_TAGS, "target", "reason"),
    (
        Field(
            "skipped",
            COUNT,
            "Runs of the assignment not started for this reason, since the agent knows it.",
            kind=Kind.INTEGER,
            metric=Metric.COUNTER,
            worse="up",
        ),
        Field("detail", TEXT, "The reason for a person to read.", kind=Kind.STRING),
    ),
    "Runs that were due and didn't start: written every 10 s while an assignment loses some, with the reason as a tag "
    "(overrun, concurrency, budget, over_budget, exclusive, link_busy, late, unknown_probe, missed).",
)

PLATFORM: Final = (AGENT, RUN)
