"""What a call over a path would sound like, and whether a call can be made at all."""

from typing import Final

from streamswarm_core.catalogue.common import probe_measurement
from streamswarm_core.catalogue.model import COUNT, NUMBER, RATIO, SECONDS, STATE, TEXT, Field, Kind, Unit

_WAYS: Final = {"there": "on the way there", "back": "on the way back"}


def _each(
    name: str,
    unit: Unit,
    help: str,  # noqa: A002
    *,
    falls: bool = False,
    feature: bool = False,
) -> tuple[Field, ...]:
    """A field for each direction."""
    return tuple(
        Field(f"{name}_{way}", unit, help.format(way=words), worse="down" if falls else "up", feature=feature)
        for way, words in _WAYS.items()
    )


VOIP: Final = probe_measurement(
    "voip",
    "Speech packets to a reflector, or a SIP call: what it would sound like (ITU-T G.107), how the call was set up.",
    Field("resolve", SECONDS, "Name resolution; absent for an address.", worse="up"),
    Field(
        "status",
        TEXT,
        "How far it got: completed, no_media, no_answer, rejected, not_registered or failed.",
        kind=Kind.STRING,
    ),
    Field("mos", NUMBER, "Mean opinion score 1..4.5 of the worse direction.", worse="down", feature=True),
    Field("r", NUMBER, "Rating R 0..100 of the worse direction, ITU-T G.107.", worse="down"),
    Field(
        "quality",
        TEXT,
        "The score in a word: excellent from 4.0, good from 3.0, fair from 2.0, else poor.",
        kind=Kind.STRING,
    ),
    *_each("mos", NUMBER, "Mean opinion score of what is heard {way}; absent where loss can't be told.", falls=True),
    *_each("r", NUMBER, "Rating R of what is heard {way}; absent where loss can't be told.", falls=True),
    Field("sent", COUNT, "Speech packets sent.", kind=Kind.INTEGER),
    Field("received", COUNT, "Speech packets that came in, duplicates not counted.", kind=Kind.INTEGER),
    Field(
        "loss",
        RATIO,
        "Share of the packets sent that did not come back; where a peer sends a stream of its own, share lost of that.",
        worse="up",
        feature=True,
    ),
    *_each("loss", RATIO, "Share of the packets lost {way}; absent where the direction can't be told."),
    *_each("late", RATIO, "Share of the packets that came too late for the jitter buffer {way}.", feature=True),
    *_each(
        "burst_ratio",
        NUMBER,
        "Mean length of the gaps {way} over that of as many losses at random, BurstR; absent without a gap.",
    ),
    *_each("jitter", SECONDS, "Interarrival jitter {way}, RFC 3550, mean over the stream.", feature=True),
    *_each("jitter_max", SECONDS, "Largest of the same {way}."),
    *_each("buffer", SECONDS, "Mean time that the jitter buffer adds {way}."),
    *_each(
        "mouth_to_ear",
        SECONDS,
        "Delay from mouth to ear {way}: half the round trip, jitter buffer and codec.",
    ),
    Field("rtt_min", SECONDS, "Shortest round-trip time.", worse="up"),
    Field("rtt_mean", SECONDS, "Mean round-trip time.", worse="up", feature=True),
    Field("rtt_max", SECONDS, "Longest round-trip time.", worse="up"),
    Field("stream", SECONDS, "Length of the stream that was sent."),
    Field("codec_efficiency", RATIO, "Share of an IP packet of this codec that is speech."),
    Field("dscp_sent", NUMBER, "DSCP of the packets as they were sent.", kind=Kind.INTEGER),
    Field("dscp_there", NUMBER, "DSCP that the reflector saw; absent if it doesn't say.", kind=Kind.INTEGER),
    Field("dscp_back", NUMBER, "DSCP of the last packet as it came back.", kind=Kind.INTEGER),
    Field(
        "media",
        TEXT,
        "In a call, what was heard: echo (our own packets), peer (a stream of the peer's own) or none.",
        kind=Kind.STRING,
    ),
    Field("rtcp", STATE, "In a call, 1 if the peer reported by RTCP what arrived there, else 0.", kind=Kind.INTEGER),
    Field("registration", SECONDS, "From REGISTER to its 200, with the challenge answered.", worse="up"),
    Field("post_dial_delay", SECONDS, "From INVITE to the first ringing (180 or 183).", worse="up"),
    Field("setup", SECONDS, "From INVITE to its 200.", worse="up", feature=True),
    Field("teardown", SECONDS, "From BYE to its 200.", worse="up"),
    Field("register_code", NUMBER, "Last SIP response to REGISTER.", kind=Kind.INTEGER),
    Field("invite_code", NUMBER, "Last SIP response to INVITE.", kind=Kind.INTEGER),
    Field("bye_code", NUMBER, "Last SIP response to BYE.", kind=Kind.INTEGER),
    Field("responses", TEXT, "All SIP responses, in order.", kind=Kind.STRING),
    Field("retransmissions", COUNT, "SIP requests sent again for want of an answer.", kind=Kind.INTEGER, worse="up"),
    tags=("family", "mode", "codec"),
)

VOICE: Final = (VOIP,)
