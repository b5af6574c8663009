"""One path for each bottleneck that tcp_window can name; benchmarks/tcp_bottleneck.py tries many more."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from streamswarm_agent.net.icmp.engine import IcmpEngine
from streamswarm_agent.probes import PROBES, Context, Engines
from streamswarm_core.catalogue.tcp import Bottleneck
from streamswarm_core.point import Point
from streamswarm_core.probespecs import TcpWindowParams
from tests.lab.servers.tcp import tcp_server
from tests.lab.topology import Path, PathBuilder
from tests.support import figures

PORT = 7009


@pytest.fixture
async def context() -> AsyncIterator[Context]:
    engine = IcmpEngine()
    yield Context(Engines(engine))
    engine.close()


async def run(line: Path, context: Context, *, six: bool = False, **options: object) -> list[Point]:
    target = f"[{line.target6}]:{PORT}" if six else f"{line.target}:{PORT}"
    with line.near.entered():
        return await PROBES["tcp_window"].run(target, TcpWindowParams.model_validate(options), context)


@pytest.mark.parametrize("control", ["cubic", "bbr"])
@pytest.mark.parametrize(
    ("wire", "server", "options", "bottleneck"),
    [
        ({"delay_ms": 30}, {}, {}, Bottleneck.OPTIMAL),
        ({"delay_ms": 10, "rate": "5mbit", "queue_ms": 300}, {}, {}, Bottleneck.NETWORK_CONGESTION),
        ({"delay_ms": 20, "loss": 0.03}, {}, {}, Bottleneck.PACKET_LOSS),
        ({"delay_ms": 20, "reorder": 0.08, "reorder_ms": 10}, {}, {}, Bottleneck.INSTABILITY),
        ({"delay_ms": 20, "jitter_ms": 40, "jitter": "exponential"}, {}, {}, Bottleneck.INSTABILITY),
        ({"delay_ms": 20}, {"receive_buffer": 16_000}, {"max_bytes": 500_000}, Bottleneck.RECEIVER_LIMITED),
        ({"delay_ms": 20}, {"read_bytes_per_s": 400_000.0}, {"max_bytes": 1_000_000}, Bottleneck.RECEIVER_LIMITED),
        ({"delay_ms": 20}, {}, {"rate": 400_000, "max_bytes": 600_000}, Bottleneck.SENDER_LIMITED),
    ],
)
async def test_what_holds_a_transfer_back_is_named(
    path: PathBuilder,
    context: Context,
    wire: dict[str, Any],
    server: dict[str, Any],
    options: dict[str, object],
    bottleneck: Bottleneck,
    control: str,
) -> None:
    line = path(hops=1, **wire)
    with tcp_server(line.far, port=PORT, **server):
        point, *_ = await run(line, context, six=False, congestion_control=control, **options)
    assert point.fields["up"] == 1
    assert point.fields["bottleneck"] == bottleneck, point.fields["analysis"]


@pytest.mark.parametrize("six", [False, True], ids=["ipv4", "ipv6"])
async def test_the_figures_agree_with_what_the_wire_did(path: PathBuilder, context: Context, *, six: bool) -> None:
    line = path(hops=1, delay_ms=15, there={"loss": 0.02})
    with tcp_server(line.far, port=PORT):
        point, *course = await run(line, context, six=six, max_bytes=1_000_000)
    fields = point.fields
    numbers = figures(point)
    assert (fields["up"], fields["size"]) == (1, 1_000_000)
    assert numbers["rtt_min"] >= 0.030
    assert numbers["elapsed"] >= 0.060
    # Whatever data were lost had to be sent again; SYN, the ACK of the handshake, FIN and RST are not among these.
    assert numbers["retransmits"] >= line.truth.there.lost - 4
    assert numbers["retransmission_rate"] > 0
    assert course[-1].fields["transferred"] == 1_000_000


async def test_a_rate_limit_bounds_the_throughput(path: PathBuilder, context: Context) -> None:
    line = path(hops=1, delay_ms=5, rate="4mbit")
    with tcp_server(line.far, port=PORT):
        point, *_ = await run(line, context, max_bytes=1_000_000)
    # 500,000 bytes of IP a second; the queue's first burst is nothing beside a megabyte.
    assert figures(point)["throughput"] < 510_000
    assert figures(point)["rtt_max"] > figures(point)["rtt_min"]
