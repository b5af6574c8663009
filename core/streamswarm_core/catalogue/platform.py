from typing import Final

from streamswarm_core.catalogue.common import STAMPED_TAGS
from streamswarm_core.catalogue.model import BYTES, COUNT, RATIO, SECONDS, Field, Kind, Measurement, Metric

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
        Field("clock_offset", SECONDS, "Control plane's clock minus the agent's, half a round trip uncertain."),
    ),
    "The agent itself: what it runs, what waits to be sent, what it costs.",
)

PLATFORM: Final = (AGENT,)
