"""A small network device that speaks gNMI: a grpc.aio server with the official messages, on a real socket.

It has ports whose counters grow with its time, processors, memory and components, and it can be told to misbehave. It
is written for these tests and is no vendor's; docs/gnmi.md says so.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
from pygnmi.spec.v080 import gnmi_pb2, gnmi_pb2_grpc

from streamswarm_agent.gnmi.leaves import elements_of
from streamswarm_core.gnmipath import GnmiPath, parse_path
from streamswarm_core.hostport import host_port

NANOSECONDS: Final = 1_000_000_000
WRAP: Final = 1 << 64


@dataclass
class Port:
    """An interface: what it counts a second, and where its counters began."""

    speed: str = "SPEED_10GB"
    status: str = "UP"
    in_octets: int = 1_000
    out_octets: int = 2_000
    rates: dict[str, int] = field(default_factory=dict)


@dataclass
class Device:
    """What the device is and does; tests change it between runs.

    Attributes:
        clock: seconds that have passed on the device, beside those that tests let pass.
        ports: interfaces by name.
        user: name and password that are asked for; None for none.
        once: whether it knows Subscribe with mode ONCE.
        unknown: paths that it refuses; a request with one of them is refused as a whole.
        absent: paths that it answers nothing to.
        hangs: whether it stops in the middle of an answer.
        drops: how many of the next calls end with the connection.
        as_json: whether it answers with one JSON object for each interface instead of with single values.
        calls: what was asked of it.
    """

    seconds: float = 1_000.0
    ports: dict[str, Port] = field(default_factory=lambda: {"Ethernet1": Port(), "Ethernet2": Port(status="DOWN")})
    user: tuple[str, str] | None = None
    once: bool = True
    capabilities: bool = True
    encodings: tuple[str, ...] = ("JSON_IETF", "PROTO")
    unknown: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    hangs: bool = False
    silent: bool = False
    syncs: bool = True
    huge: int = 0
    garbage: bool = False
    as_json: bool = False
    unstamped: bool = False
    cleared: int = 0
    fails: list[grpc.StatusCode] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    peers: set[str] = field(default_factory=set)
    encoding: int = -1
    targets: list[str] = field(default_factory=list)
    origins: set[str] = field(default_factory=set)
    port: int = 0

    @property
    def time_ns(self) -> int:
        return 0 if self.unstamped else int(1_700_000_000 * NANOSECONDS + self.seconds * NANOSECONDS)

    def tree(self) -> dict[str, Any]:
        """All that it has, path by path."""
        found: dict[str, Any] = {}
        for name, port in self.ports.items():
            at = f"/interfaces/interface[name={name}]"
            counters = {
                "in-octets": port.in_octets,
                "out-octets": port.out_octets,
                "in-pkts": 10,
                "out-pkts": 20,
                "in-errors": 0,
                "out-errors": 0,
                "in-discards": 0,
                "out-discards": 0,
                "carrier-transitions": 1,
            }
            for counter, value in counters.items():
                grown = int(port.rates.get(counter, 0) * self.seconds)
                found[f"{at}/state/counters/{counter}"] = (value + grown) % WRAP
            if self.cleared:
                found[f"{at}/state/counters/last-clear"] = self.cleared
            found[f"{at}/state/oper-status"] = port.status
            found[f"{at}/state/admin-status"] = "UP"
            found[f"{at}/state/mtu"] = 9214
            if port.speed.isdecimal():
                found[f"{at}/aggregation/state/lag-speed"] = int(port.speed)
            else:
                found[f"{at}/ethernet/state/port-speed"] = port.speed
        found |= {
            "/system/cpus/cpu[index=0]/state/total/instant": 20,
            "/system/cpus/cpu[index=1]/state/total/instant": 40,
            "/system/memory/state/physical": 8_000_000_000,
            "/system/memory/state/used": 2_000_000_000,
            "/system/state/boot-time": 1_700_000_000 * NANOSECONDS,
            "/components/component[name=CPU0]/state/temperature/instant": 45.5,
            "/components/component[name=CPU0]/state/temperature/alarm-status": False,
            "/components/component[name=CPU0]/cpu/utilization/state/instant": 30,
            "/components/component[name=Linecard1]/state/memory/available": 4_000_000_000,
            "/components/component[name=Linecard1]/state/memory/utilized": 3_000_000_000,
            "/components/component[name=Fan 1]/fan/state/speed": 6_000,
        }
        return found


def typed(value: Any, encoding: int) -> Any:
    """A value as devices encode it."""
    if encoding in {gnmi_pb2.JSON, gnmi_pb2.JSON_IETF}:
        # RFC 7951 has 64-bit integers and decimals as text.
        large = isinstance(value, int | float) and not isinstance(value, bool) and encoding == gnmi_pb2.JSON_IETF
        text = json.dumps(str(value) if large else value).encode()
        name = "json_ietf_val" if encoding == gnmi_pb2.JSON_IETF else "json_val"
        return gnmi_pb2.TypedValue(**{name: text})
    match value:
        case bool():
            return gnmi_pb2.TypedValue(bool_val=value)
        case int():
            return gnmi_pb2.TypedValue(uint_val=value)
        case float():
            return gnmi_pb2.TypedValue(decimal_val=gnmi_pb2.Decimal64(digits=round(value * 10), precision=1))
        case _:
            return gnmi_pb2.TypedValue(string_val=value)


def to_path(text: str) -> Any:
    elements = [gnmi_pb2.PathElem(name=one.name, key=dict(one.keys)) for one in parse_path(text).elements]
    return gnmi_pb2.Path(elem=elements)


class Service(gnmi_pb2_grpc.gNMIServicer):  # type: ignore[misc] # the package has no types
    def __init__(self, device: Device) -> None:
        self._device = device

    async def Capabilities(self, _request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        await self._let_in("Capabilities", context)
        if not self._device.capabilities:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "no Capabilities")
        encodings = [gnmi_pb2.Encoding.Value(name) for name in self._device.encodings]
        return gnmi_pb2.CapabilityResponse(supported_encodings=encodings, gNMI_version="0.8.0")

    async def Get(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        await self._let_in("Get", context)
        self._device.targets.append(request.prefix.target)
        answers = [one async for one in self._answers(list(request.path), request.encoding, context)]
        return gnmi_pb2.GetResponse(notification=answers)

    async def Subscribe(self, requests: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802 - the protocol's name
        await self._let_in("Subscribe", context)
        asked = (await anext(aiter(requests))).subscribe
        if asked.mode != gnmi_pb2.SubscriptionList.ONCE or not self._device.once:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "mode ONCE is not supported")
        self._device.targets.append(asked.prefix.target)
        paths = [one.path for one in asked.subscription]
        async for notification in self._answers(paths, asked.encoding, context):
            yield gnmi_pb2.SubscribeResponse(update=notification)
            if self._device.hangs:
                await asyncio.Event().wait()
        if self._device.syncs:
            yield gnmi_pb2.SubscribeResponse(sync_response=True)

    async def _let_in(self, call: str, context: Any) -> None:
        self._device.calls.append(call)
        self._device.peers.add(context.peer())
        if self._device.silent:
            await asyncio.Event().wait()
        shown = dict(context.invocation_metadata())
        if self._device.user is not None and (shown.get("username"), shown.get("password")) != self._device.user:
            words = f"no user {shown.get('username')} with the password {shown.get('password')}"
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, words)
        if self._device.fails and call != "Capabilities":
            await context.abort(self._device.fails.pop(0), "told to fail")

    async def _answers(self, paths: list[Any], encoding: int, context: Any) -> AsyncIterator[Any]:
        device = self._device
        device.encoding = encoding
        device.origins |= {path.origin for path in paths}
        patterns = [GnmiPath(elements_of(path)) for path in paths]
        for text in device.unknown:
            if any(parse_path(text).covers(pattern) for pattern in patterns):
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"no such path: {text}")
        if device.huge:
            for _ in range(device.huge):
                padding = gnmi_pb2.Update(path=to_path("/padding"), val=gnmi_pb2.TypedValue(string_val="x" * 1_000_000))
                yield gnmi_pb2.Notification(timestamp=device.time_ns, update=[padding])
        for prefix, updates in self._matching(patterns):
            values = [
                gnmi_pb2.Update(path=to_path(path), val=typed(value, encoding)) for path, value in updates.items()
            ]
            if device.garbage:
                values[0].val.CopyFrom(gnmi_pb2.TypedValue(json_ietf_val=b"{no json"))
            yield gnmi_pb2.Notification(timestamp=device.time_ns, prefix=to_path(prefix), update=values)

    def _matching(self, patterns: list[GnmiPath]) -> Iterator[tuple[str, dict[str, Any]]]:
        absent = [parse_path(text) for text in self._device.absent]
        found: dict[str, dict[str, Any]] = {}
        for text, value in self._device.tree().items():
            path = parse_path(text)
            if any(pattern.covers(path) for pattern in patterns) and not any(one.covers(path) for one in absent):
                # As devices do: one notification for each entry of a list, with what is common in the prefix.
                prefix = str(GnmiPath(path.elements[:2]))
                found.setdefault(prefix, {})[str(GnmiPath(path.elements[2:]))] = value
        for prefix, updates in found.items():
            yield (prefix, _nested(updates)) if self._device.as_json else (prefix, updates)


def _nested(updates: dict[str, Any]) -> dict[str, Any]:
    """The same as one JSON object for each container, with modules' names where they change."""
    tree: dict[str, Any] = {}
    for text, value in updates.items():
        first, *names = [str(one) for one in parse_path(text).elements]
        below = tree.setdefault(f"/{first}", {} if names else value)
        for place, name in enumerate(names):
            key = f"openconfig-example:{name}" if place == 0 else name
            if place == len(names) - 1:
                below[key] = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
            else:
                below = below.setdefault(key, {})
    return tree


@dataclass(frozen=True)
class Tls:
    """A server's certificate with key in one file, and the authority of its clients if it asks for one."""

    certificate: Path
    clients: Path | None = None

    def credentials(self) -> Any:
        both = self.certificate.read_bytes()
        roots = self.clients.read_bytes() if self.clients else None
        return grpc.ssl_server_credentials([(both, both)], roots, require_client_auth=self.clients is not None)


@asynccontextmanager
async def running(device: Device, tls: Tls | None = None, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    """Let a device answer; gives the port."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    gnmi_pb2_grpc.add_gNMIServicer_to_server(Service(device), server)
    where = host_port(host, port)
    device.port = server.add_secure_port(where, tls.credentials()) if tls else server.add_insecure_port(where)
    await server.start()
    try:
        yield device.port
    finally:
        await server.stop(None)
