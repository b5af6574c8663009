"""An HTTP client that times each phase, and keeps one connection for the next request to the same server."""

from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import SplitResult

from streamswarm_agent.faults import Fault, ProbeFault, from_os_error
from streamswarm_agent.net.http.body import Body
from streamswarm_agent.net.http.exchange import Answer, HttpConnection, Phases, Request
from streamswarm_agent.net.http.h1 import Http1
from streamswarm_agent.net.http.h2 import Http2
from streamswarm_agent.net.targets import Address, resolve
from streamswarm_agent.net.tcp import connect
from streamswarm_agent.net.tls.connection import Peer, Terms, Timings, certificate_refused, secure
from streamswarm_agent.net.wire import Wire
from streamswarm_core.closing import Closing
from streamswarm_core.probespecs import Family

_PORTS: Final = {"http": 80, "https": 443}
_ALPN: Final = {True: ("h2", "http/1.1"), False: ("http/1.1",)}
_LOST: Final = frozenset({Fault.RESET, Fault.PROTOCOL})

Origin = tuple[str, str, int]


def host_of(url: SplitResult) -> str:
    """The host; before the interface of a link-local address comes %, as elsewhere, and not URLs' %25 (RFC 6874).

    >>> from urllib.parse import urlsplit
    >>> host_of(urlsplit("http://[fe80::1%25eth0]:8080/"))
    'fe80::1%eth0'
    """
    return (url.hostname or "").replace("%25", "%")


def origin_of(url: SplitResult) -> Origin:
    """Scheme, host and port: what a connection is for."""
    return url.scheme, host_of(url), url.port or _PORTS[url.scheme]


@dataclass(frozen=True, slots=True)
class Connecting:
    """How connections are made.

    Attributes:
        wait: seconds for each connection.
        family: which IP version.
        http2: whether HTTP/2 is offered.
        verify_tls: whether certificates are verified.
        ca_file: authorities to trust; the system's if empty.
        server_name: name for TLS; the URL's if empty.
        certificate_file: the agent's own certificate; none if empty.
        key_file: its private key.
    """

    wait: float
    family: Family = Family.ANY
    http2: bool = True
    verify_tls: bool = True
    ca_file: str = ""
    server_name: str = ""
    certificate_file: str = ""
    key_file: str = ""


class HttpClient(Closing):
    """Fetches one thing after another.

    Attributes:
        address: what was connected to last.
        peer: what its TLS handshake told; None in the clear.
    """

    def __init__(self, connecting: Connecting) -> None:
        self._connecting = connecting
        self._origin: Origin | None = None
        self._wire: Wire | None = None
        self._http: HttpConnection | None = None
        self.address: Address | None = None
        self.peer: Peer | None = None

    def close(self) -> None:
        """Close the connection that is kept."""
        if self._wire is not None:
            self._wire.close()
        self._wire = self._http = None

    async def fetch(self, request: Request, phases: Phases, answer: Answer | None = None) -> tuple[Answer, bool]:
        """Send a request and read the answer; says also whether it went over a connection that was there already.

        Args:
            request: what to ask for.
            phases: written as they are over, so that a fault keeps those before it.
            answer: to be filled likewise.

        Raises:
            ProbeFault: at whichever phase.
        """
        answer = answer if answer is not None else new_answer(request)
        http = self._kept(request.url)
        if http is not None:
            try:
                await self._exchange(http, request, answer, phases)
            except ProbeFault as fault:
                if answer.status is not None or fault.fault not in _LOST:
                    raise
                # The server had closed what was kept, as it may at any time (RFC 9112, section 9.5).
                phases.request = phases.first_byte = phases.transfer = None
            else:
                return answer, True
        http = await self._connect(request.url, phases)
        await self._exchange(http, request, answer, phases)
        return answer, False

    def _kept(self, url: SplitResult) -> HttpConnection | None:
        return self._http if self._http and self._http.reusable and self._origin == origin_of(url) else None

    async def _exchange(self, http: HttpConnection, request: Request, answer: Answer, phases: Phases) -> None:
        try:
            await http.exchange(request, answer, phases)
        except OSError as error:
            raise from_os_error(error) from None
        answer.body.end()

    async def _connect(self, url: SplitResult, phases: Phases) -> HttpConnection:
        self.close()
        self.peer = None
        scheme, host, port = self._origin = origin_of(url)
        self.address = address = await resolve(host, port, self._connecting.family)
        phases.resolve = address.resolve
        if scheme == "http":
            opened, phases.connect = await connect(address, self._connecting.wait)
            self._wire = Wire(opened)
            self._http = Http1(self._wire)
            return self._http
        timings = Timings()
        try:
            secured = await secure(address, self._terms(host), self._connecting.wait, timings=timings)
        finally:
            phases.connect, phases.tls = timings.connect, timings.handshake
        self._wire, self.peer = secured.wire, secured.peer
        if secured.peer.fault is not None:
            # Nothing is said over a connection to one knows not whom.
            self.close()
            raise certificate_refused(secured.peer)
        self._http = Http2(self._wire) if secured.peer.alpn == "h2" else Http1(self._wire)
        return self._http

    def _terms(self, host: str) -> Terms:
        options = self._connecting
        return Terms(
            options.server_name or host,
            verify=options.verify_tls,
            ca_file=options.ca_file,
            alpn=_ALPN[options.http2],
            certificate_file=options.certificate_file,
            key_file=options.key_file,
        )

    def only_for(self, origin: Origin) -> None:
        """Forget the name for TLS and the agent's certificate when another server is asked: they were for the first."""
        if origin != self._origin:
            self._connecting = replace(self._connecting, server_name="", certificate_file="", key_file="")


def new_answer(request: Request) -> Answer:
    """An answer of which nothing is known yet."""
    return Answer("", Body(request.most_body))
