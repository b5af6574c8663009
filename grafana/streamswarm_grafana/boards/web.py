"""DNS, HTTP and TLS: where the time goes, and what is about to expire."""

from typing import Final

from streamswarm_core.catalogue.model import Measurement
from streamswarm_core.catalogue.network import DNS, HTTP
from streamswarm_core.catalogue.web import TLS
from streamswarm_grafana.ask import Ask, Column, How, over_time, table
from streamswarm_grafana.panel import DOWN_UP, Board, Kind, Panel, Row

_PAIR: Final = ("agent", "target")
_ARROW: Final = "{agent} → {target}"
_PHASES: Final = ("resolve", "connect", "tls", "request", "first_byte", "transfer")


def _up(measurement: Measurement, title: str) -> Panel:
    asks = (over_time(measurement, "up", How.MIN, by=_PAIR, legend=_ARROW),)
    return Panel(kind=Kind.STATES, title=title, asks=asks, width=8, height=7, states=DOWN_UP)


WEB: Final = Board(
    key="web",
    title="DNS, HTTP and TLS",
    about="Whether name servers and web servers answer, in which phase their time goes, and when certificates expire.",
    about_measurements=(HTTP, DNS, TLS),
    rows=(
        Row("Answers", (_up(HTTP, "HTTP"), _up(DNS, "DNS"), _up(TLS, "TLS"))),
        Row(
            "HTTP",
            (
                Panel(
                    kind=Kind.LINES,
                    title="Phases of a request",
                    asks=(Ask(HTTP, tuple(Column(name) for name in _PHASES)),),
                    stacked=True,
                    height=10,
                    note="Mean over what is chosen above; the phases lie on top of each other.",
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Whole time by target",
                    asks=(over_time(HTTP, "total", by=_PAIR, legend=_ARROW),),
                    height=10,
                ),
                Panel(
                    kind=Kind.STATES,
                    title="Status codes",
                    asks=(over_time(HTTP, "status", How.MAX, by=_PAIR, legend=_ARROW),),
                    unit="none",
                    note="Green below 400, orange from 400, red from 500.",
                ),
                Panel(
                    kind=Kind.TABLE,
                    title="Slowest pages",
                    asks=(
                        table(
                            HTTP,
                            Column("total", How.MEAN, "whole time"),
                            Column("first_byte", How.MEAN, "first byte"),
                            Column("body", How.LAST, "size"),
                            Column("status", How.LAST),
                            Column("error", How.LAST, "last error"),
                            by=_PAIR,
                        ),
                    ),
                    worst="whole time",
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Throughput",
                    asks=(over_time(HTTP, "throughput", by=_PAIR, legend=_ARROW),),
                    width=8,
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Connections used again",
                    asks=(over_time(HTTP, "reused", by=_PAIR, legend=_ARROW),),
                    width=8,
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Size as received and unpacked",
                    asks=(Ask(HTTP, (Column("body", name="received"), Column("decoded", name="unpacked"))),),
                    width=8,
                ),
            ),
        ),
        Row(
            "DNS",
            (
                Panel(
                    kind=Kind.LINES,
                    title="Lookup by server",
                    asks=(over_time(DNS, "lookup", by=("server", "target"), legend="{server} {target}"),),
                ),
                Panel(
                    kind=Kind.LINES,
                    title="First lookup and the one right after",
                    asks=(Ask(DNS, (Column("lookup", name="first"), Column("lookup_again", name="right after"))),),
                    note="The second is answered from the server's cache: the difference is what recursion costs.",
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Queries sent again",
                    asks=(over_time(DNS, "retries", How.MAX, by=_PAIR, legend=_ARROW),),
                    width=9,
                ),
                Panel(
                    kind=Kind.TABLE,
                    title="Newest answers",
                    asks=(
                        table(
                            DNS,
                            Column("lookup", How.LAST),
                            Column("answers", How.LAST),
                            Column("ttl_min", How.LAST, "TTL"),
                            Column("rcode", How.LAST),
                            Column("authenticated", How.LAST, "DNSSEC"),
                            by=("server", "target", "record_type"),
                        ),
                    ),
                    worst="lookup",
                    width=15,
                ),
            ),
        ),
        Row(
            "Certificates",
            (
                Panel(
                    kind=Kind.BARS,
                    title="Time until expiry",
                    asks=(
                        over_time(TLS, "chain_expires_in", How.MIN, by=("target",)),
                        over_time(HTTP, "certificate_expires_in", How.MIN, by=("target",)),
                    ),
                    unit="s",
                    width=8,
                ),
                Panel(
                    kind=Kind.TABLE,
                    title="Certificates",
                    asks=(
                        table(
                            TLS,
                            Column("chain_expires_in", How.LAST, "expires in"),
                            Column("verified", How.LAST),
                            Column("key_size", How.LAST, "", "suffix: bit"),
                            Column("version", How.LAST),
                            Column("subject", How.LAST),
                            Column("issuer", How.LAST),
                            Column("certificate_fault", How.LAST, "fault"),
                            by=("target",),
                        ),
                    ),
                    worst="expires in",
                    width=16,
                ),
                Panel(
                    kind=Kind.LINES, title="TLS handshake", asks=(over_time(TLS, "handshake", by=_PAIR, legend=_ARROW),)
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Expiry over time",
                    asks=(over_time(TLS, "expires_in", How.MIN, by=("target",)),),
                    note="A jump up is a renewal.",
                ),
            ),
        ),
    ),
)
