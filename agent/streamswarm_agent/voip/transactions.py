"""SIP client transactions (RFC 3261, section 17.1): sent again until answered, and every final answer acknowledged."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.voip.sipchannel import Channel, Listener
from streamswarm_core.hostport import host_port
from streamswarm_core.wire.sip import Headers, Request, Response, SipError, params_of, read_message

T1: Final = 0.5
"""Seconds after which a request is sent again for the first time."""
T2: Final = 4.0
"""Most seconds between two of a request that is no INVITE."""
_COOKIE: Final = "z9hG4bK"
_ALLOWED: Final = "INVITE, ACK, CANCEL, BYE, OPTIONS"


@dataclass(slots=True)
class _Open:
    """A request that waits for its answer."""

    answers: asyncio.Queue[Response | ProbeFault] = field(default_factory=asyncio.Queue)


class Transactions:
    """The requests of one run, and the peer's requests to it.

    Args:
        channel: what they travel over; closed by whoever opened it.
        asked: called with each request of the peer's; returns the code to answer with.

    Attributes:
        codes: of all responses, in order, repeated ones once.
        again: requests sent again for want of an answer.
    """

    def __init__(self, channel: Channel, asked: Callable[[Request], tuple[int, str]]) -> None:
        self._channel, self._asked = channel, asked
        self._open: dict[tuple[str, str], _Open] = {}
        self._acks: dict[str, tuple[bytes, Any]] = {}
        self._seen: set[tuple[str, str, int]] = set()
        self._branches: set[str] = set()
        self.codes: list[int] = []
        self.again = 0
        self.tag = secrets.token_hex(6)
        channel.listen(Listener(self._take, self._fail))

    def via(self) -> tuple[str, str]:
        """A new branch, and the Via field that has it."""
        branch = _COOKIE + secrets.token_hex(12)
        self._branches.add(branch)
        place = host_port(self._channel.host.partition("%")[0], self._channel.port)
        return branch, f"SIP/2.0/{self._channel.transport} {place};branch={branch};rport"

    async def ask(
        self, request: Request, to: Any, wait: float, heard: Callable[[Response], None] = lambda _: None
    ) -> Response:
        """Send a request, and wait for its final answer.

        Args:
            request: with the Via field of `via` on top.
            to: address to send it to.
            wait: seconds.
            heard: called with each provisional answer.

        Raises:
            ProbeFault: there is no final answer in time, or nobody to ask.
        """
        key = branch_of(request.headers), request.method
        waiting = self._open[key] = _Open()
        last: list[Response] = []

        def hear(response: Response) -> None:
            last[:] = [response]
            heard(response)

        try:
            async with asyncio.timeout(wait):
                answer = await self._exchange(request, to, waiting, hear)
        except TimeoutError:
            so_far = f"after {last[0]} nothing more" if last else "no answer"
            raise ProbeFault(Fault.TIMEOUT, f"{so_far} to {request.method} within {wait:g} s") from None
        finally:
            del self._open[key]
        if request.method == "INVITE" and answer.code >= 300:
            self.acknowledge(key[0], _ack_of(request, answer), to)
        return answer

    def acknowledge(self, branch: str, ack: Request, to: Any) -> None:
        """Acknowledge the final answer to the INVITE of a branch, now and whenever it comes again."""
        self._acks[branch] = bytes(ack), to
        self._channel.send(bytes(ack), to)

    async def _exchange(self, request: Request, to: Any, waiting: _Open, heard: Callable[[Response], None]) -> Response:
        text, inviting = bytes(request), request.method == "INVITE"
        pause: float | None = None if self._channel.reliable else T1
        self._channel.send(text, to)
        while True:
            try:
                async with asyncio.timeout(pause):
                    answer = await waiting.answers.get()
            except TimeoutError:
                self.again += 1
                self._channel.send(text, to)
                pause = 2 * (pause or T1) if inviting else min(2 * (pause or T1), T2)
                continue
            if isinstance(answer, ProbeFault):
                raise answer
            if answer.code >= 200:
                return answer
            pause = None if inviting or self._channel.reliable else T2
            heard(answer)

    def _take(self, text: bytes, source: Any) -> None:
        try:
            message = read_message(text)
        except SipError:
            return  # keep-alives, and what isn't for us
        if isinstance(message, Request):
            self._answer(message, source)
            return
        branch = branch_of(message.headers)
        method = (message.headers.get("cseq") or "").split()[-1:] or [""]
        seen = branch, method[0], message.code
        if seen not in self._seen and branch in self._branches:
            self._seen.add(seen)
            self.codes.append(message.code)
        waiting = self._open.get((branch, method[0]))
        if waiting is not None:
            waiting.answers.put_nowait(message)
        elif branch in self._acks and message.code >= 200 and method[0] == "INVITE":
            with contextlib.suppress(ProbeFault):  # whoever waits for an answer hears of it
                self._channel.send(*self._acks[branch])

    def _fail(self, fault: ProbeFault) -> None:
        for waiting in self._open.values():
            waiting.answers.put_nowait(fault)

    def _answer(self, request: Request, source: Any) -> None:
        if request.method == "ACK":
            return
        code, reason = self._asked(request)
        copied = [(name, value) for name in ("via", "from") for value in request.headers.lines(name)]
        to = request.headers.get("to") or ""
        tagged = to if "tag" in params_of(to) else f"{to};tag={self.tag}"
        rest = [(name, request.headers.get(name) or "") for name in ("call-id", "cseq")]
        headers = Headers([*copied, ("to", tagged), *rest, ("allow", _ALLOWED)])
        with contextlib.suppress(ProbeFault):
            self._channel.send(bytes(Response(code, reason, headers)), source)


def branch_of(headers: Headers) -> str:
    """The branch of the topmost Via field."""
    return params_of((headers.all("via") or [""])[0]).get("branch", "")


def _ack_of(request: Request, answer: Response) -> Request:
    """For an answer that is no success: part of the same transaction (RFC 3261, 17.1.1.3)."""
    kept = [(name, value) for name, value in request.headers.fields if name in {"via", "from", "call-id", "route"}]
    number = (request.headers.get("cseq") or "1").split()[0]
    to = answer.headers.get("to") or request.headers.get("to") or ""
    return Request("ACK", request.uri, Headers([*kept, ("to", to), ("cseq", f"{number} ACK"), ("max-forwards", "70")]))
