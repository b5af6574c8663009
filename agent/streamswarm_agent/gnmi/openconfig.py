"""Which OpenConfig paths to ask for, and what their answers say in the catalogue's terms."""

import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Final

from streamswarm_agent.gnmi.leaves import Leaf, bare, bare_path, number
from streamswarm_agent.gnmi.rates import CounterRates
from streamswarm_core.clock import NANOSECONDS
from streamswarm_core.gnmipath import Element, GnmiPath, parse_path
from streamswarm_core.point import FieldValue
from streamswarm_core.probespecs import GnmiParams

Fields = dict[str, FieldValue | None]

_INTERFACES: Final = ("interfaces", "interface")
_COUNTERS: Final = {
    "in_packets": "in-pkts",
    "out_packets": "out-pkts",
    "in_errors": "in-errors",
    "out_errors": "out-errors",
    "in_discards": "in-discards",
    "out_discards": "out-discards",
    "in_fcs_errors": "in-fcs-errors",
    "carrier_transitions": "carrier-transitions",
}
_PACKET_KINDS: Final = ("unicast", "multicast", "broadcast")
_SPEED: Final = re.compile(r"SPEED_(\d+)(MB|GB|TB)")
_SPEED_UNITS: Final = {"MB": 1e6, "GB": 1e9, "TB": 1e12}
_NANOSECONDS_FROM: Final = 10**16
"""Larger times since the epoch are in nanoseconds (timeticks64), smaller ones in seconds, as older models have it."""
WHOLE: Final = "system"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A path to ask for.

    Attributes:
        path: what is asked for.
        optional: whether devices may well lack it, so that it isn't counted.
    """

    path: GnmiPath
    optional: bool = False


def wanted_paths(params: GnmiParams) -> list[Wanted]:
    """The paths of a test, each once; interfaces one by one where they are named in full."""
    found: dict[GnmiPath, Wanted] = {}
    for group in params.groups:
        for one in _GROUPS[group]:
            for path in _named_interfaces(one.path, params.interfaces):
                written = replace(path, origin=params.origin)
                found.setdefault(written, replace(one, path=written))
    for leaf in params.leaves.values():
        path = parse_path(leaf.path)
        found.setdefault(path, Wanted(path))
    return list(found.values())


def _wanted(*paths: str, optional: bool = False) -> tuple[Wanted, ...]:
    return tuple(Wanted(parse_path(path), optional=optional) for path in paths)


_GROUPS: Final = {
    "interfaces": (
        *_wanted("/interfaces/interface[name=*]/state", "/interfaces/interface[name=*]/ethernet/state/port-speed"),
        *_wanted("/interfaces/interface[name=*]/aggregation/state/lag-speed", optional=True),
    ),
    "system": _wanted("/system/cpus/cpu[index=*]/state/total", "/system/memory/state", "/system/state/boot-time"),
    "components": _wanted(
        "/components/component[name=*]/state/temperature",
        "/components/component[name=*]/state/memory",
        "/components/component[name=*]/cpu/utilization/state",
    ),
}


def _named_interfaces(path: GnmiPath, patterns: Sequence[str]) -> list[GnmiPath]:
    first, second, *rest = path.elements
    if (first.name, second.name) != _INTERFACES or any(wild in name for name in patterns for wild in "*?"):
        return [path]
    return [GnmiPath((first, Element(second.name, (("name", name),)), *rest)) for name in patterns]


def _text_at(leaves: Mapping[str, Leaf], path: str) -> str | None:
    leaf = leaves.get(path)
    return bare(str(leaf.value)) if leaf is not None else None


def _number_at(leaves: Mapping[str, Leaf], path: str) -> float | None:
    leaf = leaves.get(path)
    return number(leaf.value) if leaf is not None else None


def _share_at(leaves: Mapping[str, Leaf], path: str) -> float | None:
    """A percentage as a ratio: the moment's, else the mean that the device made."""
    found = _number_at(leaves, f"{path}/instant")
    percent = found if found is not None else _number_at(leaves, f"{path}/avg")
    return None if percent is None else min(1.0, max(0.0, percent / 100))


def _entries(leaves: Iterable[Leaf], *names: str) -> dict[str, dict[str, Leaf]]:
    """The entries of a list by their key, each with its leaves by the path below it."""
    depth = len(names)
    found: dict[str, dict[str, Leaf]] = defaultdict(dict)
    for leaf in leaves:
        elements = leaf.path.elements
        if len(elements) > depth and tuple(one.name for one in elements[:depth]) == names and elements[depth - 1].keys:
            below = "/".join(one.name for one in elements[depth:])
            found[elements[depth - 1].keys[0][1]][below] = leaf
    return dict(found)


@dataclass(frozen=True, slots=True)
class Interfaces:
    """What the answers say of interfaces.

    Attributes:
        fields: of each that is to be written, by name.
        there: interfaces that pass the filter.
    """

    fields: dict[str, Fields]
    there: int


def read_interfaces(leaves: Iterable[Leaf], params: GnmiParams, rates: CounterRates) -> Interfaces:
    """DEVICE_INTERFACE of every interface that passes the filter, up to the most that are to be written."""
    entries = _entries(leaves, *_INTERFACES)
    passing = sorted(
        (name for name in entries if passes(name, params.interfaces) and not passes(name, params.skip_interfaces)),
        key=_natural,
    )
    chosen = passing[: params.max_interfaces]
    return Interfaces({name: _interface(name, entries[name], rates) for name in chosen}, len(passing))


def passes(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name is any of the patterns; brackets stand for themselves, as interfaces have them in their names."""
    return any(fnmatchcase(name, pattern.replace("[", "[[]")) for pattern in patterns)


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """Numbers in names count as numbers: Ethernet2 comes before Ethernet10."""
    return [
        (part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in re.findall(r"[0-9]+|[^0-9]+", name)
    ]


def _interface(name: str, leaves: Mapping[str, Leaf], rates: CounterRates) -> Fields:
    cleared = _was_cleared(name, leaves, rates)

    def rate(counter: str) -> float | None:
        leaf = leaves.get(f"state/counters/{counter}")
        value = number(leaf.value) if leaf is not None else None
        if leaf is None or value is None or value != int(value):
            return None
        # Some encoders of JSON write large whole numbers with an exponent.
        return rates.rate(name, counter, int(value), leaf.time_ns, cleared=cleared)

    status, admin = _text_at(leaves, "state/oper-status"), _text_at(leaves, "state/admin-status")
    speed = _speed(leaves)
    received, sent = _times(rate("in-octets"), 8), _times(rate("out-octets"), 8)
    fields: Fields = {
        "oper_up": None if status is None else int(status.upper() == "UP"),
        "oper_status": None if status is None else status.upper(),
        "admin_up": None if admin is None else int(admin.upper() == "UP"),
        "speed": speed,
        "in_rate": received,
        "out_rate": sent,
        "in_utilisation": _share(received, speed),
        "out_utilisation": _share(sent, speed),
        **{field: rate(counter) for field, counter in _COUNTERS.items()},
    }
    for way in ("in", "out"):
        kinds = [rate(f"{way}-{kind}-pkts") for kind in _PACKET_KINDS]
        known = [kind for kind in kinds if kind is not None]
        if fields[f"{way}_packets"] is None and len(known) == len(kinds):
            # in-pkts is younger than the three that it is the sum of.
            fields[f"{way}_packets"] = sum(known)
    fields["resets"] = rates.resets.get(name, 0)
    return fields


def _was_cleared(name: str, leaves: Mapping[str, Leaf], rates: CounterRates) -> bool:
    """Whether `last-clear` is another than in the run before."""
    leaf = leaves.get("state/counters/last-clear")
    value = number(leaf.value) if leaf is not None else None
    return value is not None and rates.changed(name, "last-clear", int(value))


def _speed(leaves: Mapping[str, Leaf]) -> float | None:
    aggregate = _number_at(leaves, "aggregation/state/lag-speed")
    if aggregate:
        return aggregate * 1e6
    found = _SPEED.fullmatch(_text_at(leaves, "ethernet/state/port-speed") or "")
    return float(found[1]) * _SPEED_UNITS[found[2]] if found else None


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _share(rate: float | None, speed: float | None) -> float | None:
    return None if rate is None or not speed else min(1.0, rate / speed)


def read_components(leaves: Sequence[Leaf]) -> dict[str, Fields]:
    """DEVICE of the whole system, of each processor and of each component, by name."""
    found: dict[str, Fields] = {WHOLE: _system(leaves)}
    for index, below in _entries(leaves, "system", "cpus", "cpu").items():
        busy = _share_at(below, "state/total")
        if index.upper() == "ALL":
            found[WHOLE]["cpu"] = busy
        else:
            found[f"cpu {index}"] = {"cpu": busy}
    _mean_of_processors(found)
    for name, below in _entries(leaves, "components", "component").items():
        alarm = _text_at(below, "state/temperature/alarm-status")
        fields: Fields = {
            "cpu": _share_at(below, "cpu/utilization/state"),
            "temperature": _number_at(below, "state/temperature/instant"),
            "temperature_alarm": None if alarm is None else int(alarm.lower() == "true"),
            **_memory(
                _number_at(below, "state/memory/available"), _number_at(below, "state/memory/utilized"), free=None
            ),
        }
        # A component may have the name that the whole system or a processor has here.
        found[name] = {**found.get(name, {}), **{key: value for key, value in fields.items() if value is not None}}
    return {name: fields for name, fields in found.items() if any(value is not None for value in fields.values())}


def _mean_of_processors(found: dict[str, Fields]) -> None:
    """Devices that give no figure for all processors give one for each."""
    each = [
        float(fields["cpu"]) for name, fields in found.items() if name.startswith("cpu ") and fields["cpu"] is not None
    ]
    if found[WHOLE].get("cpu") is None and each:
        found[WHOLE]["cpu"] = statistics.fmean(each)


def _system(leaves: Iterable[Leaf]) -> Fields:
    below = {
        "/".join(one.name for one in leaf.path.elements[1:]): leaf
        for leaf in leaves
        if leaf.path.elements[:1] == (Element("system"),)
    }
    boot, uptime = below.get("state/boot-time"), None
    since = number(boot.value) if boot is not None else None
    if boot is not None and since:
        started_ns = since if since > _NANOSECONDS_FROM else since * NANOSECONDS
        uptime = max(0.0, (boot.time_ns - started_ns) / NANOSECONDS)
    total = _number_at(below, "memory/state/physical")
    used, free = _number_at(below, "memory/state/used"), _number_at(below, "memory/state/free")
    return {"uptime": uptime, **_memory(total, used, free)}


def _memory(total: float | None, used: float | None, free: float | None) -> Fields:
    if used is None and total is not None and free is not None:
        used = total - free
    return {"memory": _share(used, total), "memory_used": used, "memory_total": total}


def read_values(leaves: Iterable[Leaf], params: GnmiParams, rates: CounterRates) -> Iterator[tuple[str, str, Fields]]:
    """DEVICE_VALUE: name, element and fields of each number at the test's own paths."""
    patterns = [(name, bare_path(parse_path(wanted.path)), wanted) for name, wanted in params.leaves.items()]
    seen: set[tuple[str, str]] = set()
    for leaf in leaves:
        for name, pattern, wanted in patterns:
            value = number(leaf.value) if pattern.covers(leaf.path) else None
            if value is None:
                continue
            element = _where(leaf.path, pattern)
            if (name, element) in seen:
                continue
            seen.add((name, element))
            counted = int(value) if wanted.counter and value == int(value) else None
            rate = rates.rate((name, element), "value", counted, leaf.time_ns)
            yield name, element, {"value": value * wanted.scale, "rate": _times(rate, wanted.scale)}


def _where(path: GnmiPath, pattern: GnmiPath) -> str:
    """The keys of the entries that a value is in, and the leaves below the path that was asked for."""
    keys = [f"{key}={value}" for element in path.elements for key, value in element.keys]
    below = "/".join(element.name for element in path.elements[len(pattern.elements) :])
    return " ".join([*keys, below] if below else keys)
