"""What the points of every assignment have in common."""

from typing import Final

from streamswarm_core.catalogue.model import COUNT, SECONDS, STATE, TEXT, Field, Kind, Measurement

STAMPED_TAGS: Final = ("agent", "site")
"""Tags that the collector writes from the agent's token; what an agent sends in their place is overwritten."""

ASSIGNMENT_TAGS: Final = (*STAMPED_TAGS, "test")
"""Tags that name where a point comes from: which agent, at which site, running which test."""

SEQ: Final = Field(
    "seq",
    COUNT,
    "Run number of the assignment, counted from 1 without gaps and across restarts; a missing number is a missing run.",
    kind=Kind.INTEGER,
)
UP: Final = Field("up", STATE, "1 if the target answered as expected, else 0.", kind=Kind.INTEGER, worse="down")
ERROR: Final = Field("error", TEXT, "Why the target is not up, one word of a closed set.", kind=Kind.STRING)
ERROR_DETAIL: Final = Field("error_detail", TEXT, "The same for a person to read.", kind=Kind.STRING)
DURATION: Final = Field("duration", SECONDS, "How long the whole run took.", worse="up")


def probe_measurement(name: str, help: str, *fields: Field, tags: tuple[str, ...] = ()) -> Measurement:  # noqa: A002
    """Declare what a network probe writes: its own fields beside up, error, duration and the run number."""
    return Measurement(
        name, (*ASSIGNMENT_TAGS, "target", *tags), (UP, ERROR, ERROR_DETAIL, DURATION, SEQ, *fields), help
    )


def host_measurement(name: str, help: str, *fields: Field, tags: tuple[str, ...] = ()) -> Measurement:  # noqa: A002
    """Declare what the agent measures of its own host."""
    return Measurement(name, (*ASSIGNMENT_TAGS, *tags), (*fields, SEQ), help)
