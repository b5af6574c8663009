"""Routers and switches as they see themselves: what gNMI tests asked them."""

from typing import Final

from streamswarm_core.catalogue.device import DEVICE, DEVICE_INTERFACE, DEVICE_VALUE, GNMI
from streamswarm_core.catalogue.model import Measurement
from streamswarm_grafana.ask import Ask, Column, How, over_time, table
from streamswarm_grafana.panel import DOWN_UP, Board, Kind, Panel, Row

_PAIR: Final = ("agent", "target")
_ARROW: Final = "{agent} → {target}"
_INTERFACE: Final = ("target", "interface")
_COMPONENT: Final = ("target", "component")
_LEAF: Final = ("target", "leaf", "element")


def _both_ways(title: str, field: str, how: How = How.MEAN, width: int = 12) -> Panel:
    """A field of interfaces, received and sent."""
    columns = (Column(f"in_{field}", how, "in"), Column(f"out_{field}", how, "out"))
    asks = (Ask(DEVICE_INTERFACE, columns, _INTERFACE, "{target} {interface}"),)
    return Panel(kind=Kind.LINES, title=title, asks=asks, width=width)


def _one(title: str, measurement: Measurement, field: str, by: tuple[str, ...], how: How = How.MEAN) -> Panel:
    return Panel(kind=Kind.LINES, title=title, asks=(over_time(measurement, field, how, by=by),), width=8)


DEVICES_BOARD: Final = Board(
    key="devices",
    title="Devices",
    about="Interfaces, processor, memory and temperature of routers and switches, as they tell them over gNMI.",
    about_measurements=(GNMI,),
    rows=(
        Row(
            "Devices",
            (
                Panel(
                    kind=Kind.STATES,
                    title="Device up",
                    asks=(over_time(GNMI, "up", How.MIN, by=_PAIR, legend=_ARROW),),
                    states=DOWN_UP,
                    width=9,
                ),
                Panel(
                    kind=Kind.TABLE,
                    title="Newest answers",
                    asks=(
                        table(
                            GNMI,
                            Column("response", How.LAST),
                            Column("paths_asked", How.LAST),
                            Column("paths_answered", How.LAST),
                            Column("interfaces", How.LAST),
                            Column("interfaces_left_out", How.LAST, "left out"),
                            Column("error", How.LAST),
                            Column("error_detail", How.LAST, "detail"),
                            by=_PAIR,
                        ),
                    ),
                    worst="response",
                    most=50,
                    width=15,
                ),
                _one("Time to answer", GNMI, "response", _PAIR),
                Panel(
                    kind=Kind.LINES,
                    title="Paths asked for and answered",
                    asks=(
                        Ask(
                            GNMI,
                            (Column("paths_asked", How.MAX, "asked"), Column("paths_answered", How.MIN, "answered")),
                            _PAIR,
                            _ARROW,
                        ),
                    ),
                    width=8,
                ),
                _one("Time since start", DEVICE, "uptime", _COMPONENT, How.MIN),
            ),
        ),
        Row(
            "Interfaces",
            (
                _both_ways("Traffic", "rate"),
                _both_ways("Utilisation", "utilisation", How.MAX),
                Panel(
                    kind=Kind.STATES,
                    title="Operational status",
                    asks=(
                        over_time(DEVICE_INTERFACE, "oper_up", How.MIN, by=_INTERFACE, legend="{target} {interface}"),
                    ),
                    states=DOWN_UP,
                    width=10,
                ),
                Panel(
                    kind=Kind.TABLE,
                    title="Busiest interfaces",
                    asks=(
                        table(
                            DEVICE_INTERFACE,
                            Column("in_utilisation", How.MAX, "share in"),
                            Column("out_utilisation", How.MAX, "share out"),
                            Column("in_rate", How.MAX, "in"),
                            Column("out_rate", How.MAX, "out"),
                            Column("speed", How.LAST),
                            Column("oper_status", How.LAST, "status"),
                            by=_INTERFACE,
                        ),
                    ),
                    worst="share out",
                    most=50,
                    width=14,
                ),
                _both_ways("Errors", "errors", How.MAX, width=8),
                _both_ways("Discards", "discards", How.MAX, width=8),
                _both_ways("Packets", "packets", width=8),
                _one("Wrong checksums", DEVICE_INTERFACE, "in_fcs_errors", _INTERFACE, How.MAX),
                _one("Links that came or went", DEVICE_INTERFACE, "carrier_transitions", _INTERFACE, How.MAX),
                _one("Counters that began anew", DEVICE_INTERFACE, "resets", _INTERFACE, How.MAX),
            ),
        ),
        Row(
            "Processor, memory and temperature",
            (
                _one("Processor", DEVICE, "cpu", _COMPONENT),
                _one("Memory", DEVICE, "memory", _COMPONENT, How.MAX),
                _one("Temperature", DEVICE, "temperature", _COMPONENT, How.MAX),
                Panel(
                    kind=Kind.TABLE,
                    title="Components",
                    asks=(
                        table(
                            DEVICE,
                            Column("cpu", How.LAST, "processor"),
                            Column("memory", How.LAST),
                            Column("memory_used", How.LAST),
                            Column("memory_total", How.LAST),
                            Column("temperature", How.LAST),
                            Column("temperature_alarm", How.LAST, "too hot"),
                            by=_COMPONENT,
                        ),
                    ),
                    worst="temperature",
                    width=24,
                    most=50,
                ),
            ),
        ),
        Row(
            "Paths of tests' own",
            (
                Panel(kind=Kind.LINES, title="Values", asks=(over_time(DEVICE_VALUE, "value", by=_LEAF),)),
                Panel(kind=Kind.LINES, title="Growth of counters", asks=(over_time(DEVICE_VALUE, "rate", by=_LEAF),)),
            ),
        ),
    ),
)
