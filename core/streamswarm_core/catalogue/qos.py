"""How the network treats classes of traffic."""

from typing import Final

from streamswarm_core.catalogue.common import ASSIGNMENT_TAGS, SEQ, probe_measurement
from streamswarm_core.catalogue.model import (
    BITS_PER_SECOND,
    BYTES,
    COUNT,
    NUMBER,
    RATIO,
    SCORE,
    SECONDS,
    STATE,
    TEXT,
    Field,
    Kind,
    Measurement,
)

QOS: Final = probe_measurement(
    "qos",
    "What the classes of traffic to a target have in common.",
    Field("resolve", SECONDS, "Name resolution; absent for an address.", worse="up"),
    Field("rtt_mean", SECONDS, "Mean round-trip time of best effort.", worse="up", feature=True),
    Field("loss", RATIO, "Share of all classes' requests without an answer.", worse="up", feature=True),
    Field("classes", COUNT, "Classes compared.", kind=Kind.INTEGER),
    Field("hops", COUNT, "Hops asked what markings they got.", kind=Kind.INTEGER),
    Field("quoting", COUNT, "Hops that answered.", kind=Kind.INTEGER),
    Field("bleached", COUNT, "Classes whose DSCP is set to 0 on the way.", kind=Kind.INTEGER, worse="up"),
    Field("rewritten", COUNT, "Classes whose DSCP is set to another value on the way.", kind=Kind.INTEGER, worse="up"),
    Field(
        "ecn",
        TEXT,
        "What becomes of ECT(0) as far as hops answer: kept, cleared (not ECN-capable any more), changed (to ECT(1)) "
        "or congestion (marked CE).",
        kind=Kind.STRING,
    ),
    Field(
        "ecn_capable",
        STATE,
        "1 if ECN-capable packets arrive as such, also when they are marked CE; absent where the target's own hop "
        "says nothing.",
        kind=Kind.INTEGER,
        worse="down",
    ),
    Field("ecn_hop", NUMBER, "The first hop that got it changed.", kind=Kind.INTEGER),
    Field("ecn_address", TEXT, "Its address.", kind=Kind.STRING),
    Field("ecn_after", TEXT, "The last address before it that got it as sent.", kind=Kind.STRING),
    Field(
        "ce_ratio",
        RATIO,
        "Share of ECN-capable packets marked CE, of those that hops from ecn_hop on quote; 0 if none was.",
        worse="up",
    ),
    Field(
        "tcp_ecn",
        STATE,
        "1 if the target's TCP port agrees to ECN (RFC 3168 section 6.1.1); absent where it isn't asked or the "
        "connection isn't accepted.",
        kind=Kind.INTEGER,
        worse="down",
    ),
    Field("limited", COUNT, "Classes in which a policer or shaper was found.", kind=Kind.INTEGER, worse="up"),
    Field(
        "compliant",
        STATE,
        "1 if every class keeps its policy, 0 if one doesn't; absent without a policy, or where it can't be told.",
        kind=Kind.INTEGER,
        worse="down",
    ),
    Field("sent", COUNT, "Packets sent.", kind=Kind.INTEGER),
    Field("sent_bytes", BYTES, "Bytes sent, IP headers included.", kind=Kind.INTEGER),
    tags=("family", "method"),
)

QOS_CLASS: Final = Measurement(
    "qos_class",
    (*ASSIGNMENT_TAGS, "target", "family", "method", "dscp"),
    (
        Field("sent", COUNT, "Requests sent.", kind=Kind.INTEGER),
        Field("received", COUNT, "Requests answered in time.", kind=Kind.INTEGER),
        Field("loss", RATIO, "Share of the requests without an answer.", worse="up", feature=True),
        Field("rtt_min", SECONDS, "Shortest round-trip time.", worse="up"),
        Field("rtt_mean", SECONDS, "Mean round-trip time.", worse="up", feature=True),
        Field("rtt_max", SECONDS, "Longest round-trip time.", worse="up"),
        Field("jitter", SECONDS, "Interarrival jitter of the replies, RFC 3550 section 6.4.1.", worse="up"),
        Field(
            "rtt_difference",
            SECONDS,
            "Median of the differences between this class and best effort, sent at the same time; negative is faster.",
            worse="up",
        ),
        Field("rtt_difference_error", SECONDS, "Its 95 % confidence interval reaches no further than this either way."),
        Field("loss_difference", RATIO, "Loss less that of best effort, -1..1.", worse="up"),
        Field("loss_difference_error", RATIO, "Its 95 % confidence interval reaches no further than this either way."),
        Field(
            "reply_dscp",
            NUMBER,
            "DSCP that most replies arrived with: what the target answers with, after the way back.",
            kind=Kind.INTEGER,
        ),
        Field(
            "marking",
            TEXT,
            "What becomes of the DSCP as far as hops answer: kept, bleached (set to 0) or rewritten.",
            kind=Kind.STRING,
        ),
        Field("marking_dscp", NUMBER, "DSCP at the last hop that answered.", kind=Kind.INTEGER),
        Field("marking_hop", NUMBER, "The first hop that got another DSCP than sent.", kind=Kind.INTEGER),
        Field("marking_address", TEXT, "Its address.", kind=Kind.STRING),
        Field(
            "marking_after",
            TEXT,
            "The last address before it that got it as sent: it, or what lies between the two, changed it.",
            kind=Kind.STRING,
        ),
        Field("marking_path", TEXT, "Where it changes several times: each hop and the new DSCP.", kind=Kind.STRING),
        Field("marking_seen", NUMBER, "The last hop that answered; beyond it nothing is known.", kind=Kind.INTEGER),
        Field(
            "misquoted",
            COUNT,
            "Hops that say the DSCP was another than the hops before and behind them say.",
            kind=Kind.INTEGER,
        ),
        Field(
            "limit",
            TEXT,
            "policer (drops without a queue) or shaper (queues; a slow link does the same); absent if none was seen.",
            kind=Kind.STRING,
        ),
        Field("limit_rate", BITS_PER_SECOND, "Its rate, of IP packets.", worse="down"),
        Field(
            "limit_burst", BYTES, "What it lets through at once after a pause; more if trains before had used it up."
        ),
        Field(
            "limit_confidence", SCORE, "How well trains of different rates agree on it; below 0.75 it is not reported."
        ),
        Field(
            "queue_delay",
            SECONDS,
            "Longest wait in queues that a train met: its slowest reply less the fastest of all trains.",
            worse="up",
        ),
        Field(
            "delivered_rate",
            BITS_PER_SECOND,
            "Most that a train got through, there and back: the class has at least this bandwidth, within budget and "
            "max_rate.",
            worse="down",
        ),
        Field("compliant", STATE, "1 if the class keeps its policy, else 0.", kind=Kind.INTEGER, worse="down"),
        Field("violations", TEXT, "What it doesn't keep, in words.", kind=Kind.STRING),
        SEQ,
    ),
    "One class of traffic to a target; the tag `dscp` is a name such as EF, or the number where it has none.",
)

QOS_FAMILY: Final = (QOS, QOS_CLASS)
