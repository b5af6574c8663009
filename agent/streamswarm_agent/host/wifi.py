"""WiFi: /proc/net/wireless where the kernel has it, and what `iw` asks of nl80211."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from streamswarm_agent.faults import ProbeFault
from streamswarm_agent.host.files import PROC, SYS, as_float, list_folder, points_of, printable, read_lines, scaled
from streamswarm_agent.host.growth import Growth, quotient
from streamswarm_agent.host.programs import run_host_program
from streamswarm_agent.net.tools import run_blocking
from streamswarm_core.catalogue.host_net import HOST_WIFI, HOST_WIFI_SCAN
from streamswarm_core.point import FieldValue, Point

MOST_INTERFACES: Final = 8
SAMPLE_GAP_SECONDS: Final = 0.1
_IW_SECONDS: Final = 2.0
_SCAN_SECONDS: Final = 6.0
_BYTES_PER_MEGABIT: Final = 125_000
_NO_NOISE: Final = -256.0
_CONNECTED: Final = re.compile(r"Connected to ([0-9a-fA-F:]{17}) ")
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")

AskIw = Callable[[str, Sequence[str], float], Awaitable[str]]
Fields = dict[str, FieldValue | None]


async def ask_iw(interface: str, arguments: Sequence[str], seconds: float) -> str:
    """What `iw dev INTERFACE …` prints; nothing if it isn't installed or can't say."""
    try:
        done = await run_host_program(["iw", "dev", interface, *arguments], seconds)
    except ProbeFault:
        return ""
    return done.stdout.decode(errors="replace") if done.code == 0 else ""


def wireless_interfaces(sys: Path = SYS) -> list[str]:
    """Names of the interfaces that are WiFi."""
    return [path.parent.name for path in list_folder(sys / "class/net", "*/phy80211")][:MOST_INTERFACES]


async def wifi_points(
    growth: Growth, interfaces: Sequence[str], *, samples: int, scan: bool, proc: Path = PROC, ask: AskIw = ask_iw
) -> list[Point]:
    """HOST_WIFI for each interface that has a link, and HOST_WIFI_SCAN if asked for.

    Args:
        growth: the counters' gains.
        interfaces: from wireless_interfaces.
        samples: how often the signal is read, SAMPLE_GAP_SECONDS apart.
        scan: listen on all channels, which needs CAP_NET_ADMIN and makes the link pause.
        proc: the kernel's /proc.
        ask: asks `iw`.
    """
    signals = await _sample_signals(interfaces, samples, proc, ask)
    rows = await _read_wireless(proc) if interfaces else {}
    points: list[Point] = []
    for interface in interfaces:
        link = parse_link(await ask(interface, ["link"], _IW_SECONDS))
        station = parse_station(await ask(interface, ["station", "dump"], _IW_SECONDS), str(link.get("bssid", "")))
        survey = parse_survey(await ask(interface, ["survey", "dump"], _IW_SECONDS))
        fields = {
            **_link_fields(growth, interface, link, station, survey),
            **rows.get(interface, {}),
            **_signal_fields(signals[interface], station),
        }
        if survey.get("noise") is not None:
            fields["noise"] = survey["noise"]
        if fields.get("signal") is not None and fields.get("noise") is not None:
            fields["snr"] = float(fields["signal"] or 0) - float(fields["noise"] or 0)
        points += points_of(HOST_WIFI, {"interface": interface}, fields)
        if scan:
            heard = parse_scan(
                await ask(interface, ["scan"], _SCAN_SECONDS), str(link.get("bssid", "")), link.get("mhz")
            )
            points += points_of(HOST_WIFI_SCAN, {"interface": interface}, heard)
    return points


async def _read_wireless(proc: Path) -> dict[str, Fields]:
    # The kernel asks the driver, which may take its time.
    return parse_wireless(await run_blocking(read_lines, proc / "net/wireless", timeout=_IW_SECONDS))


async def _sample_signals(interfaces: Sequence[str], samples: int, proc: Path, ask: AskIw) -> dict[str, list[float]]:
    """Signals in dBm by interface, some time apart."""
    signals: dict[str, list[float]] = {interface: [] for interface in interfaces}
    for sample in range(samples if interfaces else 0):
        if sample:
            await asyncio.sleep(SAMPLE_GAP_SECONDS)
        rows = await _read_wireless(proc)
        for interface in interfaces:
            signal = rows.get(interface, {}).get("signal")
            if signal is None and interface not in rows:
                signal = parse_link(await ask(interface, ["link"], _IW_SECONDS)).get("signal")
            if isinstance(signal, float):
                signals[interface].append(signal)
    return signals


def _signal_fields(signals: Sequence[float], station: Mapping[str, FieldValue | None]) -> Fields:
    if not signals:
        return {"signal": station["signal"]} if station.get("signal") is not None else {}
    return {
        "signal": sum(signals) / len(signals),
        "signal_min": min(signals),
        "signal_max": max(signals),
        "signal_samples": len(signals),
    }


def _link_fields(
    growth: Growth,
    interface: str,
    link: Mapping[str, FieldValue | None],
    station: Mapping[str, FieldValue | None],
    survey: Mapping[str, float],
) -> Fields:
    # Counts are of this association and channel; those of another one begin anew.
    key = (interface, link.get("bssid"), link.get("mhz"))

    def gain(name: str, figures: Mapping[str, FieldValue | None]) -> float | None:
        value = figures.get(name)
        return growth.of((*key, name), value if isinstance(value, float) else None)

    sent, retries, failed = (gain(name, station) for name in ("tx packets", "tx retries", "tx failed"))
    active, busy = gain("channel active time", survey), gain("channel busy time", survey)
    mhz = link.get("mhz")
    return {
        "ssid": link.get("ssid"),
        "bssid": link.get("bssid"),
        "frequency": scaled(mhz, 1e6) if isinstance(mhz, float) else None,
        "transmit_rate": station.get("tx bitrate", link.get("tx bitrate")),
        "receive_rate": station.get("rx bitrate", link.get("rx bitrate")),
        "retries": quotient(retries, growth.seconds),
        "failures": quotient(failed, growth.seconds),
        "retry_share": quotient(retries, sent),
        "beacon_losses": quotient(gain("beacon loss", station), growth.seconds),
        "channel_busy": quotient(busy, active),
    }


def parse_wireless(lines: Sequence[str]) -> dict[str, Fields]:
    """/proc/net/wireless: link quality, signal and noise in dBm; -256 is the kernel's word for unknown."""
    rows: dict[str, Fields] = {}
    for line in lines:
        name, colon, rest = line.partition(":")
        columns = rest.split()
        if not colon or len(columns) < 4:
            continue
        quality, signal, noise = (as_float(column) for column in columns[1:4])
        # Drivers without dBm give a positive figure on a scale of their own.
        rows[name.strip()] = {
            "quality": quality,
            "signal": signal if signal is not None and _NO_NOISE < signal < 0 else None,
            "noise": noise if noise is not None and _NO_NOISE < noise < 0 else None,
        }
    return {name: {key: value for key, value in row.items() if value is not None} for name, row in rows.items()}


def parse_link(text: str) -> Fields:
    """`iw dev X link`: bssid, ssid, mhz, signal in dBm, rates in bytes per second; empty when there is no link."""
    connected = _CONNECTED.match(text)
    if connected is None:
        return {}
    pairs = _pairs(text)
    link: Fields = {"bssid": connected[1].lower(), **_rates(pairs)}
    if "SSID" in pairs:
        link["ssid"] = printable(pairs["SSID"])
    for name, key in (("mhz", "freq"), ("signal", "signal")):
        if (number := _first_number(pairs.get(key, ""))) is not None:
            link[name] = number
    return link


def parse_station(text: str, bssid: str) -> Fields:
    """The counters of one station in `iw dev X station dump`."""
    for block in re.split(r"^Station ", text, flags=re.MULTILINE)[1:]:
        if block[:17].lower() == bssid:
            pairs = _pairs(block)
            names = ("tx packets", "tx retries", "tx failed", "beacon loss", "signal")
            numbers = {name: _first_number(pairs.get(name, "")) for name in names}
            return {**{name: number for name, number in numbers.items() if number is not None}, **_rates(pairs)}
    return {}


def parse_survey(text: str) -> dict[str, float]:
    """The channel in use in `iw dev X survey dump`: noise in dBm, times in milliseconds."""
    for block in re.split(r"^Survey data from ", text, flags=re.MULTILINE)[1:]:
        if "[in use]" in block:
            pairs = _pairs(block)
            names = ("noise", "channel active time", "channel busy time")
            return {name: number for name in names if (number := _first_number(pairs.get(name, ""))) is not None}
    return {}


def parse_scan(text: str, own_bssid: str, own_mhz: FieldValue | None) -> Fields:
    """How crowded the air is, from `iw dev X scan`; counts, because other people's networks are no series of ours."""
    blocks = re.split(r"^BSS (?=[0-9a-fA-F]{2}:)", text, flags=re.MULTILINE)[1:]
    if not blocks:
        return {}
    foreign = [_pairs(block) for block in blocks if block[:17].lower() != own_bssid]
    beside = [pairs for pairs in foreign if own_mhz is not None and _first_number(pairs.get("freq", "")) == own_mhz]
    signals = [signal for pairs in beside if (signal := _first_number(pairs.get("signal", ""))) is not None]
    return {
        "networks": len(foreign),
        "same_channel": len(beside) if own_mhz is not None else None,
        "strongest_same_channel": max(signals, default=None),
    }


def _pairs(text: str) -> dict[str, str]:
    rows = (line.strip().partition(":") for line in text.splitlines()[1:])
    return {name.strip(): value.strip() for name, colon, value in rows if colon}


def _rates(pairs: Mapping[str, str]) -> Fields:
    numbers = {name: _first_number(pairs.get(name, "")) for name in ("tx bitrate", "rx bitrate")}
    return {name: number * _BYTES_PER_MEGABIT for name, number in numbers.items() if number is not None}


def _first_number(text: str) -> float | None:
    found = _NUMBER.search(text)
    return float(found[0]) if found else None
