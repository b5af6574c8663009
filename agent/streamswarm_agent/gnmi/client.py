"""gRPC, and gNMI's messages as pygnmi ships them: the only module that knows either, and they come without types.

Calls are grpc.aio's, so nothing waits in a thread.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import grpc
from pygnmi.spec.v080 import gnmi_pb2, gnmi_pb2_grpc

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.gnmi.leaves import Answer, leaves_of
from streamswarm_agent.gnmi.refusal import RefusedRequest
from streamswarm_core.clock import now_ns
from streamswarm_core.gnmipath import GnmiPath

MOST_BYTES: Final = 32 * 1024 * 1024
"""Of one message, and of an answer altogether."""
_LAST_WORD_SECONDS: Final = 0.5
_LOST_SECONDS: Final = 1.0
"""After its deadline gRPC has ended a call, unless the channel was closed at an unlucky moment: then it never does."""
_MUCH_TO_READ: Final = 20_000
"""Bytes of a notification that a thread reads, since it takes longer than the agent's other runs should wait."""
_LONGEST_DETAIL: Final = 300
_ENCODINGS: Final = {"json": 0, "proto": 2, "json_ietf": 4}
_BY_CODE: Final = {
    "DEADLINE_EXCEEDED": Fault.TIMEOUT,
    "UNAUTHENTICATED": Fault.UNAUTHENTICATED,
    "PERMISSION_DENIED": Fault.PERMISSION,
    "RESOURCE_EXHAUSTED": Fault.TOO_BIG,
    "UNIMPLEMENTED": Fault.PROTOCOL,
    "INTERNAL": Fault.PROTOCOL,
}
_OF_THE_REQUEST: Final = frozenset(
    {
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "PERMISSION_DENIED",
        "FAILED_PRECONDITION",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNKNOWN",
    }
)
"""Codes by which devices refuse a path, or a way of asking, on a connection that is well."""
_BY_WORDS: Final = {
    "refused": Fault.REFUSED,
    "reset": Fault.RESET,
    "closed": Fault.RESET,
    "goaway": Fault.RESET,
    "broken pipe": Fault.RESET,
    "certificate": Fault.CERTIFICATE,
    "handshake": Fault.TLS,
}
"""gRPC has one code for every fault of a connection, and the cause in words only."""


@dataclass(frozen=True, slots=True)
class Security:
    """What TLS needs.

    Attributes:
        authorities: to trust, PEM; those that gRPC ships if empty.
        certificate: the agent's own with its chain, PEM; none if empty.
        key: its private key, PEM.
        server_name: what the device's certificate has to be for.
    """

    authorities: bytes
    certificate: bytes
    key: bytes
    server_name: str


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a device says of itself.

    Attributes:
        version: of gNMI.
        encodings: that it can answer in; none if it doesn't say.
    """

    version: str
    encodings: frozenset[str]


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for.

    Attributes:
        paths: all answered together.
        encoding: a name of `_ENCODINGS`.
        prefix_target: the prefix's target; none if empty.
        wait: seconds until the last of the answer.
    """

    paths: Sequence[GnmiPath]
    encoding: str
    prefix_target: str
    wait: float


class GnmiClient:
    """One connection to a device; it is made with the first call.

    Args:
        where: an address in gRPC's form.
        security: for TLS; None for none.
        username: sent with each call; not if empty.
        password: likewise.
    """

    def __init__(self, where: str, security: Security | None, username: str, password: str) -> None:
        options: list[tuple[str, str | int]] = [
            ("grpc.max_receive_message_length", MOST_BYTES),
            ("grpc.enable_retries", 0),
            ("grpc.enable_http_proxy", 0),
            # Else two channels to one address are one connection, and closing one closes nothing.
            ("grpc.use_local_subchannel_pool", 1),
        ]
        if security is None:
            self._channel = grpc.aio.insecure_channel(where, options=options)
        else:
            options.append(("grpc.ssl_target_name_override", security.server_name))
            credentials = grpc.ssl_channel_credentials(
                security.authorities or None, security.key or None, security.certificate or None
            )
            self._channel = grpc.aio.secure_channel(where, credentials, options=options)
        self._stub = gnmi_pb2_grpc.gNMIStub(self._channel)
        self._metadata = (("username", username), ("password", password)) if username else ()
        self._password = password
        self._standing: asyncio.Task[None] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether the connection that the first answer came by stands, as far as is known.

        gRPC connects again by itself, and is as ready then as it was: so the state is watched, not only looked at.
        """
        ready = bool(self._channel.get_state() == grpc.ChannelConnectivity.READY)
        return ready and self._standing is not None and not self._standing.done()

    def _watch(self) -> None:
        if self._standing is None:
            self._standing = asyncio.ensure_future(self._channel.wait_for_state_change(grpc.ChannelConnectivity.READY))

    def close(self) -> None:
        """Close the connection; calls that are under way end."""
        if self._standing is not None:
            # What hasn't begun to watch can't any more, and would say so to nobody.
            self._standing.cancel()
        _finish(self._channel.close())

    async def capabilities(self, wait: float) -> Capabilities:
        """Ask the device what it can.

        Raises:
            ProbeFault: it can't be reached, or lets nobody in.
            RefusedRequest: it doesn't say.
        """
        async with self._faults(wait):
            try:
                call = self._stub.Capabilities(gnmi_pb2.CapabilityRequest(), timeout=wait, metadata=self._metadata)
                found = await call
            finally:
                self._watch()
        names = {number: name for name, number in _ENCODINGS.items()}
        return Capabilities(
            found.gNMI_version, frozenset(names[one] for one in found.supported_encodings if one in names)
        )

    async def get(self, request: Request) -> Answer:
        """Ask by Get.

        Raises:
            ProbeFault: the connection is at fault, or the answer is too large or can't be read.
            RefusedRequest: the device refuses the request.
        """
        message = gnmi_pb2.GetRequest(
            prefix=gnmi_pb2.Path(target=request.prefix_target),
            path=[_path(path) for path in request.paths],
            encoding=_ENCODINGS[request.encoding],
        )
        async with self._faults(request.wait):
            found = await self._stub.Get(message, timeout=request.wait, metadata=self._metadata)
        answer = Answer(received=found.ByteSize())
        await asyncio.to_thread(_take, answer, found.notification)
        return answer

    async def once(self, request: Request) -> Answer:
        """Ask by Subscribe with mode ONCE: everything as it is now, until the device says that this was all.

        Raises:
            ProbeFault: the connection is at fault, or the answer is too large or can't be read.
            RefusedRequest: the device refuses the request.
        """
        message = gnmi_pb2.SubscribeRequest(
            subscribe=gnmi_pb2.SubscriptionList(
                prefix=gnmi_pb2.Path(target=request.prefix_target),
                subscription=[gnmi_pb2.Subscription(path=_path(path)) for path in request.paths],
                mode=gnmi_pb2.SubscriptionList.ONCE,
                encoding=_ENCODINGS[request.encoding],
            )
        )
        answer = Answer()
        async with self._faults(request.wait):
            call = self._stub.Subscribe(timeout=request.wait, metadata=self._metadata)
            try:
                # A device that refuses may have ended the call before it was written; reading says why.
                with contextlib.suppress(asyncio.InvalidStateError):
                    await call.write(message)
                await _read_until_synced(call, answer)
            finally:
                call.cancel()
        return answer

    @contextlib.asynccontextmanager
    async def _faults(self, wait: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(wait + _LOST_SECONDS):
                yield
        except TimeoutError:
            raise _closed_meanwhile() from None
        except grpc.aio.AioRpcError as error:
            fault = self._fault(error.code().name, error.details() or "")
            if error.code().name in _OF_THE_REQUEST:
                unimplemented = error.code() is grpc.StatusCode.UNIMPLEMENTED
                raise RefusedRequest(fault, unimplemented=unimplemented) from None
            raise fault from None
        except grpc.aio.UsageError:
            raise _closed_meanwhile() from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise _closed_meanwhile() from None

    def _fault(self, code: str, details: str) -> ProbeFault:
        words = " ".join(details.split())[:_LONGEST_DETAIL]
        if self._password:
            words = words.replace(self._password, "…")
        if code == "UNAVAILABLE":
            lower = words.lower()
            kind = next((fault for word, fault in _BY_WORDS.items() if word in lower), Fault.UNREACHABLE)
        else:
            kind = _BY_CODE.get(code, Fault.UNEXPECTED_ANSWER)
        return ProbeFault(kind, f"{code}: {words}" if words else code)


def _closed_meanwhile() -> ProbeFault:
    """Nobody ends the run: another one, on the same connection, found it broken and closed it."""
    return ProbeFault(Fault.RESET, "the connection was closed meanwhile")


async def _read_until_synced(call: Any, answer: Answer) -> None:
    while True:
        response = await call.read()
        if response is grpc.aio.EOF:
            code = await call.code()
            if code is not grpc.StatusCode.OK:
                raise grpc.aio.AioRpcError(
                    code, await call.initial_metadata(), await call.trailing_metadata(), await call.details()
                )
            return
        answer.received += response.ByteSize()
        if answer.received > MOST_BYTES:
            raise ProbeFault(Fault.TOO_BIG, f"the answer has more than {MOST_BYTES / 1e6:.0f} MB; ask for less")
        match response.WhichOneof("response"):
            case "sync_response":
                # Said last: the device ends the call by itself, if it is let.
                with contextlib.suppress(TimeoutError, grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    async with asyncio.timeout(_LAST_WORD_SECONDS):
                        await call.done_writing()
                        await call.read()
                return
            case "update" if response.update.ByteSize() > _MUCH_TO_READ:
                await asyncio.to_thread(_take, answer, [response.update])
            case "update":
                _take(answer, [response.update])
            case _:
                pass


def _take(answer: Answer, notifications: Iterable[Any]) -> None:
    arrived_ns = now_ns()
    try:
        for notification in notifications:
            answer.notifications += 1
            answer.leaves += leaves_of(notification, arrived_ns)
    except (ValueError, RecursionError) as error:
        raise ProbeFault(Fault.PROTOCOL, f"a value can't be read: {error}"[:_LONGEST_DETAIL]) from None


def _path(path: GnmiPath) -> Any:
    elements = [gnmi_pb2.PathElem(name=element.name, key=dict(element.keys)) for element in path.elements]
    return gnmi_pb2.Path(origin=path.origin, elem=elements)


def _finish(closing: Coroutine[Any, Any, None]) -> None:
    """Close a channel here and now: without a grace period its coroutine waits for nothing."""
    try:
        closing.send(None)
    except StopIteration:
        return
    closing.close()
