"""What a path does to packets in each direction."""

from typing import Final

from streamswarm_core.catalogue.common import probe_measurement
from streamswarm_core.catalogue.model import COUNT, NUMBER, RATIO, SECONDS, STATE, Field, Kind, Unit

_WAYS: Final = {"there": "on the way there", "back": "on the way back"}


def _each(name: str, unit: Unit, help: str, *, whole: bool = False, feature: bool = False) -> tuple[Field, ...]:  # noqa: A002
    """A field for each direction, of which more is worse."""
    kind = Kind.INTEGER if whole else Kind.FLOAT
    return tuple(
        Field(f"{name}_{way}", unit, help.format(way=words), kind=kind, worse="up", feature=feature)
        for way, words in _WAYS.items()
    )


STAMP: Final = probe_measurement(
    "stamp",
    "Packets to a reflector and back (RFC 8762): round trip, and loss and delay variation of each direction.",
    Field("resolve", SECONDS, "Name resolution; absent for an address.", worse="up"),
    Field("sent", COUNT, "Packets sent.", kind=Kind.INTEGER),
    Field("received", COUNT, "Packets that came back in time, duplicates not counted.", kind=Kind.INTEGER),
    Field("loss", RATIO, "Share of the packets that did not come back in time.", worse="up", feature=True),
    *_each(
        "loss",
        RATIO,
        "Share of the packets that entered it lost {way}; absent where the direction can't be told.",
        feature=True,
    ),
    *_each("lost", COUNT, "Packets lost {way}, as far as it can be told.", whole=True),
    Field("lost_unknown", COUNT, "Packets of which nobody knows in which direction they were lost.", kind=Kind.INTEGER),
    Field("rtt_min", SECONDS, "Shortest round-trip time, without the time in the reflector.", worse="up"),
    Field("rtt_mean", SECONDS, "Mean round-trip time, without the time in the reflector.", worse="up", feature=True),
    Field("rtt_max", SECONDS, "Longest round-trip time, without the time in the reflector.", worse="up"),
    Field("dwell", SECONDS, "Mean time that the reflector took to answer."),
    Field(
        "untimed",
        COUNT,
        "Answers whose times can't be right: the reflector makes them up, or a clock was set.",
        kind=Kind.INTEGER,
        worse="up",
    ),
    *_each("jitter", SECONDS, "Interarrival jitter {way}, RFC 3550 section 6.4.1.", feature=True),
    *_each("ipdv", SECONDS, "Mean size of the delay variation from packet to packet {way}, RFC 3393."),
    *_each("pdv", SECONDS, "95th percentile of the delay above the shortest one {way}, RFC 5481."),
    *_each("reordered", COUNT, "Packets overtaken {way}, RFC 4737.", whole=True),
    *_each("duplicates", COUNT, "Copies made {way}.", whole=True),
    *_each("owd_min", SECONDS, "Shortest one-way delay {way}, right to owd_error; absent unless both clocks are kept."),
    *_each("owd_mean", SECONDS, "Mean one-way delay {way}, right to owd_error; absent unless both clocks are kept."),
    Field("owd_error", SECONDS, "How wrong the one-way delays can be: the sum of what both clocks admit.", worse="up"),
    Field("clock_there", SECONDS, "How wrong the reflector says its clock can be; absent if nobody keeps it."),
    Field("clock_here", SECONDS, "How wrong the agent's clock can be; absent if nobody keeps it."),
    Field("hops_there", COUNT, "Routers passed on the way there.", kind=Kind.INTEGER),
    Field("hops_back", COUNT, "Routers passed on the way back.", kind=Kind.INTEGER),
    Field("dscp_sent", NUMBER, "DSCP of the packets as they were sent.", kind=Kind.INTEGER),
    Field("dscp_there", NUMBER, "DSCP that the reflector saw; absent if it doesn't say.", kind=Kind.INTEGER),
    Field("dscp_back", NUMBER, "DSCP of the last answer as it came back.", kind=Kind.INTEGER),
    Field("stateful", STATE, "1 if the reflector counts by itself; known only after a loss.", kind=Kind.INTEGER),
    Field("authenticated", STATE, "1 if packets were signed both ways.", kind=Kind.INTEGER),
    tags=("family",),
)

ONE_WAY: Final = (STAMP,)
