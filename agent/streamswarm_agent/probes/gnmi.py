import asyncio
import ipaddress
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.gnmi.asking import Asked, ask
from streamswarm_agent.gnmi.connections import GnmiConnections
from streamswarm_agent.gnmi.openconfig import read_components, read_interfaces, read_values, wanted_paths
from streamswarm_agent.gnmi.opening import Connection, Endpoint
from streamswarm_agent.gnmi.rates import CounterRates
from streamswarm_agent.net.keys import Keys
from streamswarm_agent.net.targets import read_target
from streamswarm_agent.probes.base import Context
from streamswarm_core.catalogue.device import DEVICE, DEVICE_INTERFACE, DEVICE_VALUE, GNMI
from streamswarm_core.clock import NANOSECONDS
from streamswarm_core.point import FieldValue, Point
from streamswarm_core.probespecs import GnmiParams
from streamswarm_core.probespecs.gnmi import DEFAULT_PORT
from streamswarm_core.probespecs.targets import read_host_port

MOST_VALUES: Final = 1_000
_READINGS: Final = "gnmi counters"
_MOST_NAMED: Final = 5
_SENT_AWAY: Final = frozenset({Fault.RESET, Fault.REFUSED, Fault.UNREACHABLE})
"""What a call gets on a kept connection that the device has closed since."""
_OF_THE_CONNECTION: Final = _SENT_AWAY | {Fault.TIMEOUT, Fault.UNAUTHENTICATED, Fault.TLS, Fault.CERTIFICATE}
"""After these another connection may do better; after a refused or unreadable answer it won't."""


@dataclass(slots=True)
class Run:
    """What is known of a run so far.

    Attributes:
        tags: of its point.
        stamp: when it began, nanoseconds since the epoch.
        fields: of its point.
        notes: what `error_detail` is to say.
    """

    tags: dict[str, str]
    stamp: int
    fields: dict[str, FieldValue | None] = field(default_factory=lambda: {"up": 0})
    notes: list[str] = field(default_factory=list)


class GnmiProbe:
    """What a network device says of itself: interfaces, processor, memory, temperature, and numbers of one's own."""

    async def run(self, target: str, params: GnmiParams, context: Context) -> list[Point]:
        """Up if the device answered at least one path; with `require_all`, all of them."""
        started = context.monotonic()
        run = Run({"target": target}, context.wall_ns())
        points: list[Point] = []
        try:
            endpoint = _endpoint(target, params, context)
            asked = await _ask(endpoint, params, context, run)
            rates = CounterRates(context.memory.get(_READINGS), at=context.monotonic())
            points = await asyncio.to_thread(list, points_of(asked, params, rates, run))
            context.memory[_READINGS] = rates.readings
            run.fields["age"] = _age(asked, context.wall_ns())
            _judge(asked, params, run)
        except ProbeFault as fault:
            run.fields |= {"up": 0, "error": fault.fault.value, "error_detail": fault.detail}
        run.fields["duration"] = context.monotonic() - started
        return [GNMI.point(run.tags, time_ns=run.stamp, **run.fields), *points]


def split_target(target: str) -> tuple[str, int]:
    """Read `host`, `host:port`, an IPv6 address or `[IPv6]:port`.

    Raises:
        ProbeFault: it is none of these.

    >>> split_target("192.0.2.1"), split_target("2001:db8::1"), split_target("[2001:db8::1]:57400")
    (('192.0.2.1', 9339), ('2001:db8::1', 9339), ('2001:db8::1', 57400))
    """
    bare = target[1:-1] if target.startswith("[") and target.endswith("]") else target
    try:
        ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        named = ":" not in target and target and not any(one.isspace() for one in target)
        return (target, DEFAULT_PORT) if named else read_target(read_host_port, target)
    return bare, DEFAULT_PORT


def _endpoint(target: str, params: GnmiParams, context: Context) -> Endpoint:
    host, port = split_target(target)
    return Endpoint(
        host,
        port,
        family=params.family,
        username=params.username,
        password=context.engines.get(Keys).find(params.key, host).decode(),
        insecure=params.insecure,
        verify=params.verify_tls,
        server_name=params.server_name or "",
        ca_file=params.ca_file or "",
        certificate_file=params.certificate_file or "",
        certificate_key_file=params.certificate_key_file or "",
    )


async def _ask(endpoint: Endpoint, params: GnmiParams, context: Context, run: Run) -> Asked:
    """Ask on the kept connection; on a new one if the device has closed it since the last run."""
    connections = context.engines.get(GnmiConnections)
    wanted = wanted_paths(params)
    while True:
        connection, new = await connections.get(endpoint, params.wait)
        _describe(connection, run, new=new)
        try:
            asked = await ask(connection, wanted, params)
            # gRPC may have connected again by itself on the way, which is neither tried nor measured.
            if new or connection.client.is_ready:
                return asked
        except ProbeFault as fault:
            if fault.fault in _OF_THE_CONNECTION:
                connections.drop(endpoint, connection, fault)
            if new or fault.fault not in _SENT_AWAY:
                raise


def _describe(connection: Connection, run: Run, *, new: bool) -> None:
    run.tags["family"] = connection.family_tag
    run.fields |= {"reconnected": int(new), "version": connection.version or None}
    if new:
        run.fields |= connection.phases


def points_of(asked: Asked, params: GnmiParams, rates: CounterRates, run: Run) -> Iterator[Point]:
    """The points beside the run's own, whose fields are filled on the way."""
    leaves = asked.answer.leaves
    tags = {"target": run.tags["target"]}
    if "interfaces" in params.groups:
        interfaces = read_interfaces(leaves, params, rates)
        left_out = interfaces.there - len(interfaces.fields)
        run.fields |= {"interfaces": interfaces.there, "interfaces_left_out": left_out}
        if left_out:
            run.notes.append(f"{left_out} of {interfaces.there} interfaces are left out: see max_interfaces")
        for name, fields in interfaces.fields.items():
            yield DEVICE_INTERFACE.point({**tags, "interface": name}, time_ns=run.stamp, **fields)
    if {"system", "components"} & set(params.groups):
        for name, fields in read_components(leaves).items():
            yield DEVICE.point({**tags, "component": name}, time_ns=run.stamp, **fields)
    values = list(itertools.islice(read_values(leaves, params, rates), MOST_VALUES + 1))
    if len(values) > MOST_VALUES:
        run.notes.append(f"more than {MOST_VALUES} values at the paths of leaves; the others are left out")
    for name, element, fields in values[:MOST_VALUES]:
        yield DEVICE_VALUE.point({**tags, "leaf": name, "element": element}, time_ns=run.stamp, **fields)
    run.fields |= {
        "response": asked.response,
        "paths_asked": asked.counted,
        "paths_answered": asked.counted - len(asked.missing),
        "notifications": asked.answer.notifications,
        "updates": len(leaves),
        "received": asked.answer.received,
        "method": asked.method,
        "encoding": asked.encoding,
    }


def _age(asked: Asked, now_ns: int) -> float | None:
    newest = max((leaf.time_ns for leaf in asked.answer.leaves), default=None)
    return None if newest is None else (now_ns - newest) / NANOSECONDS


def _judge(asked: Asked, params: GnmiParams, run: Run) -> None:
    if asked.missing:
        run.notes.insert(0, _missing(asked))
    run.fields["error_detail"] = "; ".join(run.notes) or None
    if len(asked.missing) == asked.counted or (params.require_all and asked.missing):
        raise ProbeFault(Fault.UNEXPECTED_ANSWER, "; ".join(run.notes))
    run.fields["up"] = 1


def _missing(asked: Asked) -> str:
    """The paths without an answer, and what the device said to them.

    An empty answer is no refusal: a device without temperature sensors has no temperatures.
    """
    named = [f"{path} ({why})" if why else str(path) for path, why in asked.missing.items()]
    more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    return f"{len(named)} of {asked.counted} paths unanswered: {', '.join(named[:_MOST_NAMED])}{more}"
