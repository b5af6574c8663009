"""A small SIP user agent (RFC 3261): registers, calls, and always hangs up."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Any, Final

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.net.targets import Address, resolve
from streamswarm_agent.voip.dialog import Dialog, Identity, SignallingLog, cancelling, refused, routed
from streamswarm_agent.voip.sipchannel import Channel
from streamswarm_agent.voip.transactions import Transactions, branch_of
from streamswarm_core.hostport import host_port
from streamswarm_core.probespecs import Family
from streamswarm_core.probespecs.voip import SIP_PORT
from streamswarm_core.wire.digest import Challenge, DigestError, answer, choose
from streamswarm_core.wire.sip import Headers, Request, Response, SipError, read_uri, uri_of

_CHALLENGES: Final = {
    401: ("www-authenticate", "authorization"),
    407: ("proxy-authenticate", "proxy-authorization"),
}
_MOST_ATTEMPTS: Final = 4
_EXPIRES: Final = 300
_PARTING: Final = 2.0
"""Seconds for each step of hanging up."""
_ANSWERS: Final = {200: "OK", 405: "Method Not Allowed", 481: "Call Does Not Exist", 486: "Busy Here"}


class UserAgent:
    """One user agent for one run.

    Args:
        channel: what SIP travels over; closed by whoever opened it.
        server: where requests go.
        identity: who calls.

    Attributes:
        log: what it came to.
        transactions: with the codes of all responses.
        ended: set when the peer hangs up.
    """

    def __init__(self, channel: Channel, server: Address, identity: Identity) -> None:
        self._channel, self._server, self._identity = channel, server, identity
        self.transactions = Transactions(channel, self._asked)
        self.log = SignallingLog()
        self.ended = asyncio.Event()
        self._challenges: dict[str, Challenge] = {}
        local = f"<{identity.address}>;tag={self.transactions.tag}"
        self._registrar = Dialog(local, f"<{identity.address}>")
        self._registered = False
        self._dialog: Dialog | None = None
        self._inviting: asyncio.Task[Response] | None = None
        self._invite: Request | None = None
        self._ringing = asyncio.Event()
        self._invited = 0.0

    async def register(self, wait: float) -> None:
        """Register the identity with this host's address.

        Raises:
            ProbeFault: it is refused, or there is no answer.
        """
        began = time.monotonic()
        # Whoever cancels this doesn't know whether the server has heard of it already.
        self._registered = True
        try:
            response = await self._register(_EXPIRES, wait)
            if response.code == 423:
                least = response.headers.get("min-expires") or ""
                response = await self._register(int(least) if least.isdecimal() else _EXPIRES, wait)
            self.log.register_code = response.code
            if response.code >= 300:
                raise refused("REGISTER", response)
        except ProbeFault:
            self._registered = False
            raise
        self.log.registration = time.monotonic() - began

    async def call(self, uri: str, offer: bytes, wait: float) -> bytes:
        """Call, and acknowledge the answer; returns the session description that came with it.

        Args:
            uri: whom.
            offer: session description.
            wait: seconds for the peer to answer.

        Raises:
            ProbeFault: the call is refused, or not answered in time.
        """
        dialog = self._dialog = Dialog(self._registrar.local, f"<{uri}>", target=uri)
        began = self._invited = time.monotonic()
        heard: list[Response] = []

        def hear(response: Response) -> None:
            heard.append(response)
            self._ringing.set()
            if response.code in {180, 183} and self.log.post_dial_delay is None:
                self.log.post_dial_delay = time.monotonic() - began

        more = [("content-type", "application/sdp")]
        inviting = self._request("INVITE", dialog, wait + 4 * _PARTING, more=more, body=offer, heard=hear)
        self._inviting = asyncio.create_task(inviting)
        await asyncio.wait({self._inviting}, timeout=wait)
        if not self._inviting.done():
            so_far = f"; the last that came was {heard[-1]}" if heard else ", nor anything else"
            raise ProbeFault(Fault.TIMEOUT, f"the call was not answered within {wait:g} s{so_far}")
        response = self._inviting.result()
        self.log.invite_code = response.code
        if response.code >= 300:
            raise refused("INVITE", response)
        self.log.setup = time.monotonic() - began
        await self._establish(dialog, response)
        return response.body

    async def hang_up(self, wait: float = _PARTING) -> None:
        """End the call, whatever state it is in; nothing if there is none.

        Raises:
            ProbeFault: the peer doesn't answer that.
        """
        inviting, self._inviting = self._inviting, None
        if inviting is not None and not inviting.done():
            await self._cancel(inviting, wait)
        dialog = self._dialog
        if inviting is None or dialog is None or not inviting.done() or inviting.cancelled() or inviting.exception():
            return
        response = inviting.result()
        if response.code >= 300 or self.ended.is_set():
            return
        if not dialog.established:
            await self._establish(dialog, response)
        began = time.monotonic()
        answered = await self._request("BYE", dialog, wait)
        self.log.bye_code = answered.code
        if answered.code < 300:
            self.log.teardown = time.monotonic() - began

    async def close(self) -> None:
        """Leave nothing behind: no call, no registration; within seconds, whatever the peer does."""
        with contextlib.suppress(ProbeFault):
            await self.hang_up()
        if self._registered:
            self._registered = False
            with contextlib.suppress(ProbeFault):
                await self._register(0, _PARTING)

    async def _cancel(self, inviting: asyncio.Task[Response], wait: float) -> None:
        """Take back a call that isn't answered; only one that was heard of can be (RFC 3261, 9.1)."""
        if not self._ringing.is_set():
            # An answer may be under way to a call that was given up at once; it isn't after seconds of silence.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, wait - (time.monotonic() - self._invited))):
                    await self._ringing.wait()
        if self._ringing.is_set() and not inviting.done() and self._invite is not None:
            with contextlib.suppress(ProbeFault):
                await self.transactions.ask(cancelling(self._invite), self._server.sockaddr, wait)
            # The answer to the INVITE comes next: 487, or 200 if the peer answered at the same moment.
            await asyncio.wait({inviting}, timeout=wait)
        if not inviting.done():
            inviting.cancel()
            await asyncio.wait({inviting})
        elif not inviting.exception():
            self.log.invite_code = inviting.result().code

    async def _establish(self, dialog: Dialog, response: Response) -> None:
        """Take the dialog's state from the answer, and acknowledge it."""
        assert self._invite is not None  # noqa: S101 - there is no answer without it
        dialog.remote = response.headers.get("to") or dialog.remote
        contact = response.headers.all("contact")
        with contextlib.suppress(SipError):
            dialog.target = uri_of(contact[0]) if contact else dialog.target
        dialog.route = list(reversed(response.headers.all("record-route")))
        dialog.established = True
        ack = self._make("ACK", dialog, number=int((self._invite.headers.get("cseq") or "1").split()[0]))
        self.transactions.acknowledge(branch_of(self._invite.headers), ack, await self._hop(dialog))

    async def _register(self, expires: int, wait: float) -> Response:
        more = [("expires", str(expires))]
        return await self._request("REGISTER", self._registrar, wait, uri=f"sip:{self._identity.domain}", more=more)

    async def _request(
        self,
        method: str,
        dialog: Dialog,
        wait: float,
        *,
        uri: str = "",
        more: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        heard: Any = lambda _: None,
    ) -> Response:
        """Ask, and again with credentials if they are asked for."""
        answered: set[str] = set()
        hop = await self._hop(dialog)
        for _ in range(_MOST_ATTEMPTS):
            dialog.number += 1
            request = self._make(method, dialog, uri=uri, more=more, body=body)
            if method == "INVITE":
                self._invite = request
            response = await self.transactions.ask(request, hop, wait, heard)
            if response.code not in _CHALLENGES or not self._identity.password:
                break
            asks, answers = _CHALLENGES[response.code]
            try:
                challenge = choose(response.headers.lines(asks))
            except DigestError as error:
                raise ProbeFault(Fault.PROHIBITED, f"{method} was answered {response}, which {error}") from None
            if answers in answered and not challenge.stale:
                break  # the password is wrong
            answered.add(answers)
            self._challenges[answers] = challenge
        return response

    def _make(
        self,
        method: str,
        dialog: Dialog,
        *,
        uri: str = "",
        number: int = 0,
        more: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Request:
        _, via = self.transactions.via()
        asked, route = routed(uri or dialog.target, dialog.route)
        port = host_port(self._channel.host.partition("%")[0], self._channel.port)
        transport = ";transport=tcp" if self._channel.reliable else ""
        credentials = [
            (
                name,
                answer(
                    challenge, username=self._identity.user, password=self._identity.password, method=method, uri=asked
                ),
            )
            for name, challenge in self._challenges.items()
        ]
        fields = [
            ("via", via),
            ("max-forwards", "70"),
            *(("route", one) for one in route),
            ("from", dialog.local),
            ("to", dialog.remote),
            ("call-id", dialog.call_id),
            ("cseq", f"{number or dialog.number} {method}"),
            ("contact", f"<sip:{self._identity.user}@{port}{transport}>"),
            *credentials,
            ("user-agent", "streamswarm"),
            *more,
        ]
        return Request(method, asked, Headers(fields), body)

    async def _hop(self, dialog: Dialog) -> Any:
        """Where a request is sent: to the server, but within a call to its first router, or else to the peer itself."""
        if self._channel.reliable or not dialog.established:
            return self._server.sockaddr
        try:
            uri = read_uri(uri_of(dialog.route[0]) if dialog.route else dialog.target)
            family = Family.IPV6 if self._server.family_tag == "ipv6" else Family.IPV4
            return (await resolve(uri.host, uri.port or SIP_PORT, family)).sockaddr
        except (SipError, ProbeFault):
            return self._server.sockaddr  # it may know the way

    def _asked(self, request: Request) -> tuple[int, str]:
        """What the peer is answered."""
        ours = self._dialog is not None and request.headers.get("call-id") == self._dialog.call_id
        match request.method:
            case "BYE" if ours:
                self.ended.set()
                code = 200
            case "OPTIONS":
                code = 200
            case "INVITE" if ours:
                return 488, "Not Acceptable Here"  # the session stays as it is (RFC 3261, 14.2)
            case "INVITE":
                code = 486
            case "BYE" | "CANCEL":
                code = 481
            case _:
                code = 405
        return code, _ANSWERS[code]
