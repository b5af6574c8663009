"""`/probe` as Prometheus' blackbox_exporter answers it: the same modules, the same metric names."""

import ipaddress
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, Gauge

from streamswarm_agent.probes import PROBES, Context, Engines
from streamswarm_core.point import FieldValue, Point
from streamswarm_core.probespecs import DnsParams, HttpParams, IcmpParams, ProbeParams, TcpParams

_Fields = Mapping[str, FieldValue]


@dataclass(frozen=True, slots=True)
class Module:
    """One module.

    Attributes:
        probe: which probe it runs.
        params: its options, given the target.
        target: what the probe is given, made of the target.
        export: sets the module's own metrics.
    """

    probe: str
    params: Callable[[str], ProbeParams]
    target: Callable[[str], str]
    export: Callable[[CollectorRegistry, _Fields], None]


async def measure(module_name: str, target: str, engines: Engines, *, hostname: str = "") -> CollectorRegistry:
    """Run a module once; the registry that is returned holds its metrics.

    Args:
        module_name: a key of MODULES.
        target: as blackbox_exporter takes it.
        engines: what the agent's runs share.
        hostname: not used; accepted because scrape configurations send it.
    """
    _ = hostname
    module = MODULES[module_name]
    registry = CollectorRegistry()
    started = time.monotonic()
    points = await PROBES[module.probe].run(module.target(target), module.params(target), Context(engines))
    point: Point = points[0]
    fields = point.fields
    _gauge(registry, "probe_success", "Displays whether or not the probe was a success", fields.get("up", 0))
    _gauge(
        registry,
        "probe_duration_seconds",
        "Returns how long the probe took to complete in seconds",
        time.monotonic() - started,
    )
    if "resolve" in fields:
        _gauge(
            registry,
            "probe_dns_lookup_time_seconds",
            "Returns the time taken for probe dns lookup in seconds",
            fields["resolve"],
        )
    if point.tags.get("family"):
        protocol = 6 if point.tags["family"] == "ipv6" else 4
        _gauge(registry, "probe_ip_protocol", "Specifies whether probe ip protocol is IP4 or IP6", protocol)
    module.export(registry, fields)
    return registry


def _gauge(registry: CollectorRegistry, name: str, text: str, value: Any) -> None:
    Gauge(name, text, registry=registry).set(float(value))


def _phases(registry: CollectorRegistry, name: str, text: str, phases: Mapping[str, Any]) -> None:
    gauge = Gauge(name, text, ["phase"], registry=registry)
    for phase, seconds in phases.items():
        gauge.labels(phase).set(float(seconds or 0))


def _export_icmp(registry: CollectorRegistry, fields: _Fields) -> None:
    _phases(
        registry,
        "probe_icmp_duration_seconds",
        "Duration of icmp request by phase",
        {"resolve": fields.get("resolve"), "setup": 0, "rtt": fields.get("rtt_mean")},
    )
    if "ttl" in fields:
        _gauge(registry, "probe_icmp_reply_hop_limit", "Replied packet hop limit (TTL for ipv4)", fields["ttl"])


def _export_http(registry: CollectorRegistry, fields: _Fields) -> None:
    _phases(
        registry,
        "probe_http_duration_seconds",
        "Duration of http request by phase, summed over all redirects",
        {
            "resolve": fields.get("resolve"),
            "connect": fields.get("connect"),
            "tls": fields.get("tls"),
            "processing": fields.get("first_byte"),
            "transfer": fields.get("transfer"),
        },
    )
    _gauge(registry, "probe_http_status_code", "Response HTTP status code", fields.get("status", 0))
    _gauge(registry, "probe_http_redirects", "The number of redirects", fields.get("redirects", 0))
    _gauge(registry, "probe_http_content_length", "Length of http content response", fields.get("body", -1))
    _gauge(registry, "probe_http_ssl", "Indicates if SSL was used for the final redirect", int("tls" in fields))
    if "certificate_days" in fields:
        expiry = time.time() + float(fields["certificate_days"]) * 86_400
        _gauge(registry, "probe_ssl_earliest_cert_expiry", "Returns last SSL chain expiry in unixtime", round(expiry))


def _export_dns(registry: CollectorRegistry, fields: _Fields) -> None:
    _phases(
        registry,
        "probe_dns_duration_seconds",
        "Duration of DNS request by phase",
        {"resolve": fields.get("resolve"), "connect": 0, "request": fields.get("lookup")},
    )
    _gauge(registry, "probe_dns_answer_rrs", "Returns number of entries in the answer list", fields.get("answers", 0))


def _export_nothing(_registry: CollectorRegistry, _fields: _Fields) -> None:
    """For modules without metrics of their own."""


def _same(target: str) -> str:
    return target


def _as_url(target: str) -> str:
    return target if "://" in target else f"http://{target}"


def _dns_params(target: str) -> DnsParams:
    """The target of the dns module is the server, with or without a port."""
    split = urlsplit(f"//{target}")
    host = split.hostname or target
    try:
        ipaddress.ip_address(target)
    except ValueError:
        return DnsParams(server=host, port=split.port or 53, expect_rcodes=("NOERROR", "NXDOMAIN"))
    return DnsParams(server=target, expect_rcodes=("NOERROR", "NXDOMAIN"))


MODULES: Final[dict[str, Module]] = {
    "http_2xx": Module("http", lambda _: HttpParams(), _as_url, _export_http),
    "tcp_connect": Module("tcp", lambda _: TcpParams(count=1, response="off"), _same, _export_nothing),
    "icmp": Module("icmp", lambda _: IcmpParams(count=1), _same, _export_icmp),
    "dns": Module("dns", _dns_params, lambda _: "example.com", _export_dns),
}
