"""What the path to a target is made of, and what it carries."""

from typing import Final

from streamswarm_core.catalogue.common import ASSIGNMENT_TAGS, SEQ, probe_measurement
from streamswarm_core.catalogue.model import (
    BYTES,
    COUNT,
    DEGREES,
    METRES,
    NUMBER,
    RATIO,
    SECONDS,
    STATE,
    TEXT,
    Field,
    Kind,
    Measurement,
)

TRACEROUTE: Final = probe_measurement(
    "traceroute",
    "The path to a target, measured with packets that every router takes for one flow.",
    Field("resolve", SECONDS, "Name resolution; absent for an address.", worse="up"),
    Field(
        "hops",
        COUNT,
        "Hops to the target; to the last hop that answered where the target did not; absent where nothing did.",
        kind=Kind.INTEGER,
        feature=True,
    ),
    Field("silent", COUNT, "Hops before the end that never answered.", kind=Kind.INTEGER),
    Field("sent", COUNT, "Packets sent.", kind=Kind.INTEGER),
    Field("loss", RATIO, "Share of the packets to the target's own hop without an answer.", worse="up", feature=True),
    Field("rtt_min", SECONDS, "Shortest round-trip time to the target.", worse="up"),
    Field("rtt_mean", SECONDS, "Mean round-trip time to the target.", worse="up", feature=True),
    Field("rtt_max", SECONDS, "Longest round-trip time to the target.", worse="up"),
    Field("path", TEXT, "The hops' addresses in order; * for a silent one.", kind=Kind.STRING),
    Field(
        "path_hash",
        TEXT,
        "Names the path; the same while no hop that answers is another than before. It is also new when the target "
        "answers for the first time.",
        kind=Kind.STRING,
    ),
    Field(
        "path_changed",
        STATE,
        "1 if a hop is another than in the run before; absent in the first run.",
        kind=Kind.INTEGER,
        worse="up",
    ),
    Field("previous_path_hash", TEXT, "With a change: what path_hash was before.", kind=Kind.STRING),
    Field("changed_hop", NUMBER, "With a change: the first hop that differs.", kind=Kind.INTEGER),
    Field("changed_from", TEXT, "With a change: the address that stood there.", kind=Kind.STRING),
    Field("changed_to", TEXT, "With a change: the address that stands there now.", kind=Kind.STRING),
    Field(
        "failing_hop", NUMBER, "Where the target doesn't answer: the hop from which on nothing does.", kind=Kind.INTEGER
    ),
    Field("failing_after", TEXT, "Where the target doesn't answer: the last address that does.", kind=Kind.STRING),
    Field(
        "failing_address",
        TEXT,
        "Where the target doesn't answer: who stood at the failing hop before.",
        kind=Kind.STRING,
    ),
    Field("loss_hop", NUMBER, "The hop from which on to the target packets are lost.", kind=Kind.INTEGER),
    Field("loss_address", TEXT, "Its address.", kind=Kind.STRING),
    Field("branches", COUNT, "Addresses at the widest hop.", kind=Kind.INTEGER),
    Field("flows", COUNT, "Flows tried; more than one with the option multipath.", kind=Kind.INTEGER),
    Field("paths", COUNT, "Different paths that the flows took.", kind=Kind.INTEGER),
    Field(
        "per_packet",
        STATE,
        "1 if packets of one flow met different routers at the same hop.",
        kind=Kind.INTEGER,
        worse="up",
    ),
    Field("as_path", TEXT, "Numbers of the autonomous systems passed, in order.", kind=Kind.STRING),
    Field(
        "distance",
        METRES,
        "Great-circle distance from the agent's site along the hops, as far as places are known.",
        worse="up",
    ),
    Field("direct_distance", METRES, "Great-circle distance from the first of these places to the last."),
    Field("geographic_efficiency", RATIO, "direct_distance over distance; 1 is a straight way.", worse="down"),
    tags=("family", "method"),
)

TRACEROUTE_HOP: Final = Measurement(
    "traceroute_hop",
    (*ASSIGNMENT_TAGS, "target", "family", "method", "hop"),
    (
        Field("address", TEXT, "Who answered; absent for a silent hop.", kind=Kind.STRING),
        Field("name", TEXT, "Its host name, with the option names.", kind=Kind.STRING),
        Field(
            "answer", TEXT, "What it said: time exceeded, reply, or why the target is unreachable.", kind=Kind.STRING
        ),
        Field("sent", COUNT, "Packets sent to this hop.", kind=Kind.INTEGER),
        Field("received", COUNT, "Packets answered in time.", kind=Kind.INTEGER),
        Field(
            "loss",
            RATIO,
            "Share without an answer. A router that answers seldom need not lose what it forwards: see loss_hop.",
            worse="up",
        ),
        Field("rtt_min", SECONDS, "Shortest round-trip time.", worse="up"),
        Field("rtt_mean", SECONDS, "Mean round-trip time.", worse="up"),
        Field("rtt_max", SECONDS, "Longest round-trip time.", worse="up"),
        Field("branches", COUNT, "Addresses seen at this hop, over all flows.", kind=Kind.INTEGER),
        Field("addresses", TEXT, "These addresses, where there is more than one.", kind=Kind.STRING),
        Field(
            "mpls", TEXT, "MPLS labels the packet had, outermost first: label/class/TTL (RFC 4950).", kind=Kind.STRING
        ),
        Field("asn", NUMBER, "Autonomous system.", kind=Kind.INTEGER),
        Field("as_name", TEXT, "Who runs it.", kind=Kind.STRING),
        Field("country", TEXT, "ISO 3166 code of the country.", kind=Kind.STRING),
        Field("city", TEXT, "City.", kind=Kind.STRING),
        Field("latitude", DEGREES, "Latitude, north positive."),
        Field("longitude", DEGREES, "Longitude, east positive."),
        SEQ,
    ),
    "One hop of a path; the tag `hop` counts from 01.",
)

TRACEROUTE_FLOW: Final = Measurement(
    "traceroute_flow",
    (*ASSIGNMENT_TAGS, "target", "family", "method", "flow"),
    (
        Field(
            "path",
            TEXT,
            "The hops' addresses in order; * for a silent one, and with UDP for the target, which only flow 000 asks.",
            kind=Kind.STRING,
        ),
        Field("hops", COUNT, "Hops to the target; absent where it did not answer.", kind=Kind.INTEGER),
        Field("rtt", SECONDS, "Round-trip time to the target.", worse="up"),
        SEQ,
    ),
    "The path of one flow of a multipath trace; flow 000 is the one that traceroute and traceroute_hop describe.",
)

MTU: Final = probe_measurement(
    "mtu",
    "The largest packet that reaches a target unfragmented.",
    Field("resolve", SECONDS, "Name resolution; absent for an address.", worse="up"),
    Field("pmtu", BYTES, "Path MTU, IP header included.", kind=Kind.INTEGER, worse="down", feature=True),
    Field("interface_mtu", BYTES, "MTU of the agent's interface on that path.", kind=Kind.INTEGER),
    Field("tcp_mss", BYTES, "Largest TCP segment that fits, without options.", kind=Kind.INTEGER, worse="down"),
    Field(
        "black_hole",
        STATE,
        "1 if packets too large vanish and no router says so: connections that rely on path MTU discovery hang.",
        kind=Kind.INTEGER,
        worse="up",
    ),
    Field(
        "limiting_hop",
        NUMBER,
        "The last hop that a packet one byte too large reaches; 0 is the agent itself.",
        kind=Kind.INTEGER,
    ),
    Field("limiting_address", TEXT, "The router there, or the one that said so.", kind=Kind.STRING),
    Field("rtt", SECONDS, "Round-trip time of a packet of the path MTU.", worse="up"),
    Field("sent", COUNT, "Packets sent.", kind=Kind.INTEGER),
    tags=("family", "method"),
)

PATH: Final = (TRACEROUTE, TRACEROUTE_HOP, TRACEROUTE_FLOW, MTU)
