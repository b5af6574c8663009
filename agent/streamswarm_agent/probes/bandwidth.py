from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.net.bulk.iperf import measure_with_iperf3
from streamswarm_agent.net.bulk.reflector import ReflectorTest
from streamswarm_agent.net.bulk.speedtestmini import check_target, run_speedtest
from streamswarm_agent.net.bulk.throughput import Throughput
from streamswarm_agent.net.keys import Keys
from streamswarm_agent.net.stamp.sender import StampSender
from streamswarm_agent.net.targets import Address, resolve
from streamswarm_agent.net.tools import run_isolated
from streamswarm_agent.probes.base import Context
from streamswarm_core.catalogue.bandwidth import BANDWIDTH, BANDWIDTH_SECOND
from streamswarm_core.clock import NANOSECONDS
from streamswarm_core.point import FieldValue, Point
from streamswarm_core.probespecs import BandwidthMethod, BandwidthParams
from streamswarm_core.wire.bandwidth import Direction
from streamswarm_core.wire.stamp import DEFAULT_PORT

_SPEEDTEST_GRACE_SECONDS: Final = 30.0

Fields = dict[str, FieldValue | None]


class BandwidthProbe:
    """How much a path carries each way, and what that does to its delay."""

    async def run(self, target: str, params: BandwidthParams, context: Context) -> list[Point]:
        """Up if all that was wanted could be measured; a summary first, then one point a second and direction."""
        stamp, started = context.wall_ns(), context.monotonic()
        tags = {"target": target, "method": params.method.value}
        fields: Fields = {"up": 0}
        seconds: list[Point] = []
        try:
            if params.method is BandwidthMethod.SPEEDTEST:
                fields |= await _speedtest(target, params)
            else:
                address = await resolve(target, params.port or DEFAULT_PORT, params.family)
                tags["family"] = address.family_tag
                fields["resolve"] = address.resolve
                found, more = await _measure(target, address, params, context)
                fields |= _describe(found) | more
                seconds = list(_second_points(found, tags))
            fields |= {"up": 1, "streams": params.streams if params.udp_rate is None else 1}
        except ProbeFault as fault:
            fields |= {"error": fault.fault.value, "error_detail": fault.detail}
        fields["duration"] = context.monotonic() - started
        return [BANDWIDTH.point(tags, time_ns=stamp, **fields), *seconds]


async def _measure(
    target: str, address: Address, params: BandwidthParams, context: Context
) -> tuple[Sequence[Throughput], Fields]:
    if params.method is BandwidthMethod.IPERF3:
        ways: list[Direction] = [way for way in ("download", "upload") if getattr(params, way)]
        return [await measure_with_iperf3(address, params, way, context.wall_ns) for way in ways], {}
    latency = context.engines.get(StampSender) if params.latency else None
    key = context.engines.get(Keys).find(params.key, target)
    found = await ReflectorTest(address, params, key=key, latency=latency, wall_ns=context.wall_ns).run()
    more: Fields = {f"rtt_{name}": rtt for name, rtt in found.rtts.items()}
    return found.directions, more | {"bufferbloat": found.bufferbloat}


def _describe(found: Iterable[Throughput]) -> Fields:
    fields: Fields = {}
    for one in found:
        way = one.direction
        fields |= {way: one.rate, f"{way}ed": one.size, f"{way}_seconds": one.seconds}
        fields |= {f"retransmits_{way}": one.retransmits, f"loss_{way}": one.loss, f"jitter_{way}": one.jitter}
    return fields


def _second_points(found: Iterable[Throughput], tags: Mapping[str, str]) -> Iterable[Point]:
    for one in found:
        for second, rate in enumerate(one.per_second):
            began = one.began_ns + second * NANOSECONDS
            yield BANDWIDTH_SECOND.point({**tags, "direction": one.direction}, time_ns=began, rate=rate)


async def _speedtest(target: str, params: BandwidthParams) -> Fields:
    check_target(target)
    ways = params.download + params.upload
    options = {
        "seconds": params.seconds,
        "bytes": params.budget // ways,
        "streams": params.streams,
        "download": params.download,
        "upload": params.upload,
    }
    limit = ways * params.seconds + _SPEEDTEST_GRACE_SECONDS
    found: dict[str, float] = await run_isolated(run_speedtest, target, options, timeout=limit)
    if not isinstance(found, dict):
        raise ProbeFault(Fault.INTERNAL, f"speedtest-cli says {found!r}")
    return {
        "download": found.get("download"),
        "upload": found.get("upload"),
        "downloaded": int(found["downloaded"]) if "downloaded" in found else None,
        "uploaded": int(found["uploaded"]) if "uploaded" in found else None,
        "rtt_idle": found.get("rtt"),
    }
