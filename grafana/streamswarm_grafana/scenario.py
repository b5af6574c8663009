"""A made-up network with a fault and its recovery: what dashboards and alert rules are proved and previewed on.

Two and a half hours of four agents. From minute 60 to 90 the link of `par-1` is bad: loss, delay, a detour, failing
tests, a full disk, a certificate about to expire. From minute 65 to 85 `tok-1` is silent. Then all is well again. The
same call gives the same points; every measurement of the catalogue has some.
"""

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from streamswarm_core.catalogue import CATALOGUE, Field, Kind, Measurement, Metric
from streamswarm_core.catalogue.model import (
    BITS_PER_SECOND,
    BYTES,
    BYTES_PER_SECOND,
    CELSIUS,
    DBM,
    DEGREES,
    HERTZ,
    LINE_RATE,
    PER_SECOND,
    RATIO,
    RPM,
    SCORE,
    SECONDS,
    STATE,
    Unit,
)
from streamswarm_core.clock import NANOSECONDS
from streamswarm_core.point import FieldValue, Point
from streamswarm_core.sketch import Sketch
from streamswarm_grafana import scenario_devices, scenario_voip

MINUTES: Final = 150
FAULT: Final = (60, 90)
SILENCE: Final = (65, 85)
AGENTS: Final = {"lon-1": "london", "lon-2": "london", "par-1": "paris", "tok-1": "tokyo"}
FAULTY: Final = "par-1"
SILENT: Final = "tok-1"

_DAY: Final = 86_400.0
_EVERY: Final = {
    "icmp": 1,
    "icmp_rtt": 1,
    "agent": 1,
    "host_top": 10,
    "traceroute_hop": 4,
    "traceroute_flow": 4,
    "bandwidth": 10,
    "bandwidth_second": 10,
    "qos": 5,
}
_SLOW: Final = {"tcp_window": 5, "tcp_window_sample": 5, "qos_class": 5, "mtu": 5, "host_facts": 30, "host_smart": 10}
_TARGETS: Final = {
    "http": ("https://shop.example/cart?step=1",),
    "tls": ("shop.example:443",),
    "dns": ("www.example.net",),
    "tcp": ("192.0.2.80:443",),
    "tcp_window": ("192.0.2.80:5201",),
    "tcp_window_sample": ("192.0.2.80:5201",),
    **scenario_devices.TARGETS,
}
_TESTS: Final = dict.fromkeys(scenario_devices.TARGETS, "gnmi")
_TARGETS_ELSE: Final = ("192.0.2.1", "2001:db8::7")
_VALUES: Final[dict[str, tuple[str, ...]]] = {
    "family": ("ipv4",),
    "method": ("icmp",),
    "hop": ("01", "02", "03", "04", "05"),
    "flow": ("000", "001"),
    "server": ("192.0.2.53",),
    "record_type": ("A",),
    "transport": ("udp",),
    "resource": ("cpu", "io", "memory"),
    "path": ("/", "/var"),
    "device": ("sda",),
    "interface": ("eth0",),
    "order": ("cpu", "memory"),
    "rank": ("1", "2", "3"),
    "chip": ("coretemp",),
    "sensor": ("core0",),
    "supply": ("BAT0",),
    "kind": ("battery",),
    "controller": ("mc0",),
    "module": ("dimm0",),
    "direction": ("download", "upload"),
    "dscp": ("BE", "EF", "AF41"),
    "reason": ("overrun",),
    "detector": ("ensemble",),
    "measurement": ("icmp",),
    "field": ("rtt_mean", "loss", "jitter"),
    "horizon": ("1h", "24h"),
    **scenario_devices.VALUES,
    **scenario_voip.TAGS,
}
_TEXTS: Final = {
    "path_hash": ("a1b2c3", "d4e5f6"),
    "previous_path_hash": ("d4e5f6", "a1b2c3"),
    "address": ("198.51.100.1", "198.51.100.9"),
    "name": ("core1.example.net", "core7.example.net"),
    "as_name": ("Example Transit", "Example Backup"),
    "country": ("GB", "US"),
    "city": ("London", "New York"),
    "error": ("", "timeout"),
    "error_detail": ("", "no answer in time"),
    "bottleneck": ("none", "loss"),
    "analysis": ("nothing held it back", "lost segments hold the window down"),
    "congestion_control": ("cubic", "cubic"),
    "marking": ("kept", "bleached"),
    "rcode": ("NOERROR", "SERVFAIL"),
    "protocol": ("HTTP/2", "HTTP/2"),
    "version": ("TLSv1.3", "TLSv1.3"),
    "subject": ("shop.example", "shop.example"),
    "issuer": ("Example CA 1", "Example CA 1"),
    "as_path": ("64500 64501", "64500 64502 64501"),
    "finding": ("network", "network"),
    "ssid": ("office", "office"),
    "bssid": ("02:00:5e:00:53:01", "02:00:5e:00:53:02"),
    "model": ("SSD 480", "SSD 480"),
    "changed_from": ("", "198.51.100.1"),
    "changed_to": ("", "198.51.100.9"),
    "failed_check": ("", "status"),
    "certificate_fault": ("", "expired"),
    "failing_after": ("", "198.51.100.9"),
    "failing_address": ("", "192.0.2.1"),
    "loss_address": ("", "198.51.100.9"),
    "limiting_address": ("", "198.51.100.9"),
    "marking_address": ("", "198.51.100.9"),
    "marking_after": ("", "198.51.100.1"),
    "violations": ("", "EF is bleached"),
    "limit": ("", "policer"),
    **scenario_devices.TEXTS,
    **scenario_voip.TEXTS,
}
_ONLY_IN_A_FAULT: Final = {
    "failing_hop",
    "loss_hop",
    "changed_hop",
    "limiting_hop",
    "marking_hop",
    "limit_rate",
    "limit_burst",
}
_PROCESSES: Final = ("streamswarm", "postgres", "sshd")
_UNITS: Final[dict[Unit, tuple[float, float]]] = {
    SECONDS: (0.02, 0.09),
    BYTES: (4e9, 9e9),
    BYTES_PER_SECOND: (9e6, 2e6),
    LINE_RATE: (9e6, 2e6),
    BITS_PER_SECOND: (9e7, 1.5e7),
    RATIO: (0.004, 0.35),
    SCORE: (0.15, 0.97),
    STATE: (0, 1),
    CELSIUS: (52, 88),
    HERTZ: (2.4e9, 2.4e9),
    PER_SECOND: (20, 400),
    DBM: (-58, -81),
    RPM: (1800, 900),
    DEGREES: (50, 50),
}
"""Healthy and faulty values, where a larger one is worse."""

_FIELDS: Final[dict[str, tuple[float, float]]] = {
    "icmp.rtt_min": (0.012, 0.03),
    "icmp.rtt_mean": (0.02, 0.09),
    "icmp.rtt_max": (0.03, 0.4),
    "icmp.jitter": (0.002, 0.05),
    "icmp.ttl": (57, 55),
    "icmp.loss": (0.004, 0.35),
    "icmp.sent": (10, 10),
    "icmp.received": (10, 6),
    "http.body": (48e3, 48e3),
    "http.decoded": (190e3, 190e3),
    "http.content_length": (48e3, 48e3),
    "http.compression": (0.25, 0.25),
    "dns.answers": (2, 1),
    "dns.ttl_min": (300, 300),
    "dns.lookup_again": (0.004, 0.02),
    "tls.key_size": (2048, 2048),
    "traceroute_hop.asn": (64500, 64502),
    "traceroute_hop.branches": (1, 2),
    "traceroute.failing_hop": (0, 6),
    "traceroute.loss_hop": (0, 3),
    "traceroute.changed_hop": (0, 3),
    "tcp.mss": (1460, 1240),
    "host_top.cpu": (0.4, 2.5),
    "host_top.memory": (3e8, 6e8),
    "host_cpu.busiest_core": (0.5, 1.0),
    "host_cpu.uptime": (4e6, 4e6),
    "host_cpu.load5": (1.1, 7),
    "host_cpu.load15": (1.0, 5),
    "host_smart.wear": (0.12, 0.12),
    "host_clock.maximum_error": (0.004, 0.06),
    "tcp_window.cwnd_min": (60e3, 14e3),
    "tcp_window.cwnd_mean": (180e3, 40e3),
    "tcp_window.cwnd_max": (320e3, 90e3),
    "tcp_window_sample.cwnd": (180e3, 40e3),
    "tcp_window_sample.in_flight": (150e3, 35e3),
    "tcp_window_sample.peer_window": (260e3, 260e3),
    "tcp_window_sample.ssthresh": (120e3, 20e3),
    "qos_class.limit_rate": (0, 5e6),
    "http.status": (200, 503),
    "http.certificate_expires_in": (89 * _DAY, 9 * _DAY),
    "tls.expires_in": (89 * _DAY, 9 * _DAY),
    "tls.chain_expires_in": (89 * _DAY, 9 * _DAY),
    "http.resolve": (0.004, 0.02),
    "http.connect": (0.02, 0.09),
    "http.tls": (0.03, 0.12),
    "http.request": (0.0002, 0.0003),
    "http.first_byte": (0.06, 0.9),
    "http.transfer": (0.04, 0.3),
    "http.total": (0.16, 1.5),
    "http.repeat": (0.07, 0.6),
    "http.reused": (1.0, 0.5),
    "traceroute.hops": (5, 7),
    "traceroute.distance": (900_000, 2_400_000),
    "traceroute.direct_distance": (850_000, 850_000),
    "traceroute.geographic_efficiency": (0.94, 0.35),
    "traceroute.branches": (1, 2),
    "mtu.pmtu": (1500, 1280),
    "mtu.interface_mtu": (1500, 1500),
    "mtu.tcp_mss": (1460, 1240),
    "host_cpu.usage": (0.3, 0.97),
    "host_cpu.user": (0.2, 0.7),
    "host_cpu.system": (0.08, 0.2),
    "host_cpu.idle": (0.7, 0.03),
    "host_cpu.cores": (8, 8),
    "host_cpu.load1": (1.2, 9),
    "host_memory.usage": (0.5, 0.9),
    "host_memory.total": (16e9, 16e9),
    "host_memory.used": (8e9, 14.4e9),
    "host_memory.available": (8e9, 1.6e9),
    "host_disk.usage": (0.55, 0.96),
    "host_disk.total": (100e9, 100e9),
    "host_disk.used": (55e9, 96e9),
    "host_disk.free": (45e9, 4e9),
    "host_wifi.snr": (38, 12),
    "host_wifi.signal": (-58, -81),
    "host_wifi.signal_min": (-62, -86),
    "host_wifi.signal_max": (-55, -76),
    "host_wifi.noise": (-96, -93),
    "host_wifi.frequency": (5.18e9, 5.18e9),
    "host_smart.age": (300, 300),
    "agent.assignments": (24, 24),
    "agent.refused": (0, 0),
    "agent.lag": (0.05, 2.5),
    "agent.queued_points": (40, 40_000),
    "agent.queued": (8e3, 8e6),
    "agent.oldest_queued": (2, 900),
    "agent.cpu": (0.03, 0.05),
    "agent.memory": (95e6, 110e6),
    "agent.clock_offset": (0.002, 0.004),
    "anomaly.threshold": (0.7, 0.7),
    "stamp.rtt_min": (0.016, 0.04),
    "stamp.owd_min_there": (0.008, 0.02),
    "stamp.owd_mean_there": (0.01, 0.05),
    "bandwidth.bufferbloat": (0.02, 0.25),
    "qos_class.rtt_difference": (-0.001, 0.02),
    "qos_class.loss_difference": (0.0, 0.1),
    "tcp_window.efficiency": (0.95, 0.4),
    "tcp_window.busy": (0.97, 0.99),
    **scenario_devices.FIELDS,
    **scenario_voip.FIELDS,
}
_SITES: Final = {"london": (51.5, -0.1), "paris": (48.9, 2.4), "tokyo": (35.7, 139.7)}
_PLACES: Final = ((51.5, -0.1), (50.1, 8.7), (48.9, 2.4), (40.7, -74.0), (35.7, 139.7))


@dataclass(frozen=True, slots=True)
class _Series:
    measurement: Measurement
    tags: dict[str, str]
    noise: random.Random

    def faulty(self, minute: float) -> bool:
        return self.tags["agent"] == FAULTY and FAULT[0] <= minute < FAULT[1]

    def silent(self, minute: float) -> bool:
        return self.tags["agent"] == SILENT and SILENCE[0] <= minute < SILENCE[1]


def points(stop_ns: int, minutes: int = MINUTES) -> Iterator[Point]:
    """The scenario's points, series by series.

    Args:
        stop_ns: when it ends.
        minutes: its length, counted from its begin.
    """
    start = stop_ns - MINUTES * 60 * NANOSECONDS
    for measurement in CATALOGUE.values():
        for series in _series(measurement):
            every = _EVERY.get(measurement.name) or _SLOW.get(measurement.name, 2)
            for minute in range(0, minutes, every):
                if series.silent(minute) or (measurement.name == "run" and not series.faulty(minute)):
                    continue
                fields = _sketch(series, minute) if measurement.distribution else _fields(series, minute)
                yield measurement.point(series.tags, time_ns=start + minute * 60 * NANOSECONDS, **fields)


def _series(measurement: Measurement) -> Iterator[_Series]:
    further = [tag for tag in measurement.tags if tag not in {"agent", "site", "test", "target"}]
    targets = _TARGETS.get(measurement.name, _TARGETS_ELSE) if "target" in measurement.tags else ("",)
    for agent, site in AGENTS.items():
        combined = itertools.product(*(_VALUES.get(f"{measurement.name}.{tag}") or _VALUES[tag] for tag in further))
        for (place, target), values in itertools.product(enumerate(targets, 1), combined):
            tags = {"agent": agent, "site": site, **dict(zip(further, values, strict=True))}
            if "test" in measurement.tags:
                tags["test"] = f"{_TESTS.get(measurement.name) or measurement.name.split('_')[0]}-{place}"
            if target:
                tags["target"] = target
            if measurement.name.startswith("host_wifi"):
                tags["interface"] = "wlan0"
            # Whatever the order of the catalogue, a series gets the same noise.
            yield _Series(measurement, tags, random.Random(f"{measurement.name}{sorted(tags.items())}"))  # noqa: S311


def _fields(series: _Series, minute: int) -> dict[str, FieldValue]:
    faulty = series.faulty(minute)
    fields = {one.name: _value(series, one, minute, faulty=faulty) for one in series.measurement.fields}
    found: dict[str, FieldValue] = {name: value for name, value in fields.items() if value is not None}
    if "latitude" in found:
        hop = series.tags.get("hop")
        found["latitude"], found["longitude"] = _PLACES[int(hop) - 1] if hop else _SITES[series.tags["site"]]
    return found


def _value(series: _Series, field: Field, minute: int, *, faulty: bool) -> FieldValue | None:
    if field.name in _ONLY_IN_A_FAULT and not faulty:
        return None
    if field.kind is Kind.STRING:
        return _text(series, field, faulty=faulty)
    counted = _count(series, field, minute)
    if counted is not None:
        return counted
    if field.unit is STATE:
        wrong = faulty and minute % 10 != 8 if field.name == "up" else faulty
        return int(wrong) if field.worse != "down" else int(not wrong)
    return _number(series, field, minute, faulty=faulty)


def _text(series: _Series, field: Field, *, faulty: bool) -> str | None:
    if field.name == "name" and "rank" in series.tags:
        return _PROCESSES[int(series.tags["rank"]) - 1]
    return _TEXTS.get(field.name, (field.name, field.name))[faulty] or None


def _count(series: _Series, field: Field, minute: int) -> int | None:
    """What has been counted up to now; None of a field that counts nothing."""
    ill = series.tags["agent"] == FAULTY
    if field.name == "seq":
        return minute + 1
    if field.name == "path_changed":
        return int(ill and minute in FAULT)
    if field.metric is not Metric.COUNTER:
        return None
    late = max(0, min(minute, FAULT[1]) - FAULT[0]) if ill else 0
    return 20 * late if field.worse == "up" else 24 * (minute + 1)


def _number(series: _Series, field: Field, minute: int, *, faulty: bool) -> float:
    name = f"{series.measurement.name}.{field.name}"
    if series.measurement.name == "anomaly" and field.name in {"value", "expected"}:
        # What a score is about is what was measured.
        name = f"icmp.{series.tags['field']}"
        faulty = faulty and field.name == "value"
    good, bad = _levels(name, field)
    value = bad if faulty and (field.worse or name in _FIELDS) else good
    wave = 1 + 0.06 * math.sin(minute / 9) + 0.08 * (series.noise.random() - 0.5)
    exact = field.name in {"threshold", "frequency"} or (
        field.kind is Kind.INTEGER and (value < 100 or name in _FIELDS)
    )
    value *= 1 if exact else wave
    if field.unit in {RATIO, SCORE} and "difference" not in field.name:
        value = min(max(value, 0.0), 1.0)
    return round(value) if field.kind is Kind.INTEGER else value


def _levels(name: str, field: Field) -> tuple[float, float]:
    """What the field is about while all is well, and in the fault."""
    if name in _FIELDS:
        return _FIELDS[name]
    levels = _UNITS.get(field.unit) or ((0.0, 8.0) if field.worse == "up" else (12.0, 30.0))
    low, high = sorted(levels)
    return (high, low) if field.worse == "down" else (low, high)


def _sketch(series: _Series, minute: int) -> dict[str, FieldValue]:
    middle, spread = (0.09, 0.5) if series.faulty(minute) else (0.02, 0.15)
    return dict(Sketch.of(middle * math.exp(series.noise.gauss(0, spread)) for _ in range(20)).to_fields())
