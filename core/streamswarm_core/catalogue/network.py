from typing import Final

from streamswarm_core.catalogue.common import probe_measurement
from streamswarm_core.catalogue.model import (
    BYTES,
    BYTES_PER_SECOND,
    COUNT,
    DAYS,
    RATIO,
    SECONDS,
    STATE,
    TEXT,
    Field,
    Kind,
)

ICMP: Final = probe_measurement(
    "icmp",
    "ICMP echo: several packets a run, round-trip time, loss and jitter.",
    Field("resolve", SECONDS, "Name resolution; absent for an address.", worse="up"),
    Field("sent", COUNT, "Echo requests sent.", kind=Kind.INTEGER),
    Field("received", COUNT, "Echo replies received in time, duplicates not counted.", kind=Kind.INTEGER),
    Field("loss", RATIO, "Share of requests without a reply in time.", worse="up", feature=True),
    Field("rtt_min", SECONDS, "Shortest round-trip time of the run.", worse="up"),
    Field("rtt_mean", SECONDS, "Mean round-trip time of the run.", worse="up", feature=True),
    Field("rtt_max", SECONDS, "Longest round-trip time of the run.", worse="up"),
    Field("rtt_stddev", SECONDS, "Population standard deviation of the round-trip times.", worse="up"),
    Field("rtt_p50", SECONDS, "Median round-trip time of the run, from 3 replies on.", worse="up"),
    Field("rtt_p90", SECONDS, "90th percentile (nearest rank), from 10 replies on.", worse="up"),
    Field("rtt_p95", SECONDS, "95th percentile (nearest rank), from 20 replies on.", worse="up"),
    Field("rtt_p99", SECONDS, "99th percentile (nearest rank), from 100 replies on.", worse="up"),
    Field(
        "jitter",
        SECONDS,
        "Interarrival jitter, RFC 3550 section 6.4.1, smoothed over this run and those before it.",
        worse="up",
        feature=True,
    ),
    Field(
        "duplicates",
        COUNT,
        "Replies that came more than once, also to earlier runs since the run before.",
        kind=Kind.INTEGER,
        worse="up",
    ),
    Field("reordered", COUNT, "Replies that a later request's reply had overtaken.", kind=Kind.INTEGER, worse="up"),
    Field(
        "late",
        COUNT,
        "Replies that came after the wait, also to earlier runs since the run before; their requests stay lost.",
        kind=Kind.INTEGER,
        worse="up",
    ),
    Field("ttl", COUNT, "TTL or hop limit of the last reply.", kind=Kind.INTEGER),
    Field("reporter", TEXT, "The router that gave the error.", kind=Kind.STRING),
    tags=("family",),
)

DNS: Final = probe_measurement(
    "dns",
    "One DNS query to one server.",
    Field("lookup", SECONDS, "From the query sent to the answer received.", worse="up", feature=True),
    Field("rcode", TEXT, "The answer's response code, such as NOERROR.", kind=Kind.STRING),
    Field("answers", COUNT, "Records in the answer section.", kind=Kind.INTEGER, worse="down"),
    Field("ttl_min", SECONDS, "Lowest time to live in the answer section."),
    Field("authoritative", STATE, "1 if the answer has the AA flag.", kind=Kind.INTEGER),
    Field("authenticated", STATE, "1 if the answer has the AD flag (DNSSEC validated).", kind=Kind.INTEGER),
    Field("size", BYTES, "Length of the answer message.", kind=Kind.INTEGER),
    tags=("server", "record_type"),
)

HTTP: Final = probe_measurement(
    "http",
    "One HTTP request, split into its phases.",
    Field("status", COUNT, "HTTP status code.", kind=Kind.INTEGER),
    Field("resolve", SECONDS, "Name resolution; absent for an address.", worse="up"),
    Field("connect", SECONDS, "TCP connection set-up.", worse="up"),
    Field("tls", SECONDS, "TLS handshake; absent for plain HTTP.", worse="up"),
    Field("first_byte", SECONDS, "From the request sent to the first byte of the answer.", worse="up", feature=True),
    Field("transfer", SECONDS, "From the first byte to the last.", worse="up"),
    Field("total", SECONDS, "All phases together.", worse="up", feature=True),
    Field("body", BYTES, "Length of the body as received.", kind=Kind.INTEGER),
    Field("throughput", BYTES_PER_SECOND, "Body length over transfer time.", worse="down"),
    Field("redirects", COUNT, "Redirects followed.", kind=Kind.INTEGER),
    Field("certificate_days", DAYS, "Days until the first certificate of the chain expires.", worse="down"),
    tags=("family",),
)

NETWORK: Final = (ICMP, DNS, HTTP)
