import asyncio
import base64
import re
import statistics
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.matching import first_found, first_missing, found
from streamswarm_agent.net.http.body import PACKED
from streamswarm_agent.net.http.client import Connecting, HttpClient, new_answer, origin_of
from streamswarm_agent.net.http.exchange import AS_IT_IS, Answer, Phases, Request
from streamswarm_agent.net.targets import Address, read_target
from streamswarm_agent.net.tls.connection import Peer
from streamswarm_agent.probes.base import Context
from streamswarm_core.catalogue.network import HTTP
from streamswarm_core.point import FieldValue, Point
from streamswarm_core.probespecs import HttpParams
from streamswarm_core.probespecs.http import REDIRECTS
from streamswarm_core.probespecs.targets import read_url

_MOST_SHOWN: Final = 200
_KEEPING_METHOD: Final = frozenset({307, 308})
# What is meant for one server is not shown to the one that it redirects to.
_PRIVATE: Final = re.compile(r"host|.*(auth|cookie|credential|key|pass|secret|session|signature|token).*")
_ABOUT_BODY: Final = frozenset({"content-type", "content-encoding", "content-language"})


@dataclass(slots=True)
class HttpRun:
    """One run, with what does not go into its point.

    Attributes:
        tags: of the point.
        target: the first URL.
        fields: of the point, as far as they are known.
        phases: of the first request and its redirects.
        answer: the last one that was begun.
        url: what it came from.
        address: where that is.
        peer: what the TLS handshake told.
        redirects: followed.
        failed_check: which expectation was not met.
    """

    tags: dict[str, str]
    target: str
    fields: dict[str, FieldValue | None] = field(default_factory=dict)
    phases: Phases = field(default_factory=Phases)
    answer: Answer | None = None
    url: SplitResult | None = None
    address: Address | None = None
    peer: Peer | None = None
    redirects: int = 0
    failed_check: str = ""


class HttpProbe:
    """Phases, status, body and certificate of HTTP requests."""

    async def run(self, target: str, params: HttpParams, context: Context) -> list[Point]:
        """Up if the final answer is as expected; the phases of redirects are added up."""
        stamp, started = context.wall_ns(), context.monotonic()
        run = await measure_http(target, params, context)
        return [HTTP.point(run.tags, time_ns=stamp, duration=context.monotonic() - started, **run.fields)]


async def measure_http(target: str, params: HttpParams, context: Context) -> HttpRun:
    """Request, follow, and judge the answer."""
    run = HttpRun({"target": target}, target)
    started = context.monotonic()
    try:
        async with asyncio.timeout(params.wait):
            await _measure(target, params, run)
        await _check(run, params)
    except TimeoutError:
        run.fields |= {"up": 0, "error": Fault.TIMEOUT.value, "error_detail": _unfinished(run, params.wait)}
    except ProbeFault as fault:
        run.fields |= {"up": 0, "error": fault.fault.value, "error_detail": f"{_after_redirects(run)}{fault.detail}"}
    else:
        run.fields["up"] = 1
        run.fields["total"] = context.monotonic() - started
    run.fields |= _describe(run)
    return run


async def _measure(target: str, params: HttpParams, run: HttpRun) -> None:
    url = read_target(read_url, target)
    if url.username is not None or url.password is not None:
        # And not with the URL as the detail: that would write the password down once more.
        raise ProbeFault(Fault.BAD_TARGET, "the URL has a user name in it; give the options username and password")
    request = _first_request(url, params)
    connecting = Connecting(
        wait=params.wait,
        family=params.family,
        http2=params.http2,
        verify_tls=params.verify_tls,
        ca_file=params.ca_file or "",
        server_name=params.server_name or "",
        certificate_file=params.certificate_file or "",
        key_file=params.certificate_key_file or "",
    )
    with HttpClient(connecting) as client:
        try:
            request = await _follow(client, request, params, run)
            if params.requests > 1:
                await _repeat(client, request, params, run)
        finally:
            run.address, run.peer = client.address, client.peer
            if client.address is not None:
                run.tags["family"] = client.address.family_tag


async def _follow(client: HttpClient, request: Request, params: HttpParams, run: HttpRun) -> Request:
    """Request, and request again where a redirect leads; returns the last request."""
    while True:
        phases, run.answer, run.url = Phases(), new_answer(request), request.url
        try:
            await client.fetch(request, phases, run.answer)
        finally:
            run.phases.add(phases)
        if not is_redirect(run.answer) or not params.follow_redirects:
            return request
        if run.redirects == params.follow_redirects:
            raise ProbeFault(Fault.UNEXPECTED_ANSWER, f"more than {params.follow_redirects} redirects")
        run.redirects += 1
        request = _redirected(request, run.answer.status, _onward(request.url, run.answer))
        client.only_for(origin_of(request.url))


def _onward(url: SplitResult, answer: Answer) -> SplitResult:
    """Where a redirect leads.

    Raises:
        ProbeFault: nowhere.
    """
    location = answer.header("location").encode("latin-1")
    try:
        # What is not ASCII and not in percent, as it should be, is mostly UTF-8.
        written = location.decode()
    except UnicodeDecodeError:
        written = quote(location, safe=AS_IT_IS + "#")
    try:
        joined = urljoin(url.geturl(), written)
    except ValueError as error:
        detail = f"the server redirects to {written[:_MOST_SHOWN]!r}: {error}"
        raise ProbeFault(Fault.UNEXPECTED_ANSWER, detail) from None
    try:
        return read_url(joined)
    except ValueError as error:
        raise ProbeFault(Fault.UNEXPECTED_ANSWER, f"the server redirects to nowhere: {error}") from None


def _after_redirects(run: HttpRun) -> str:
    """Which server's fault it is, or of which of its pages, such as a login's, where it isn't the target's."""
    target = urlsplit(run.target)
    if not run.redirects or run.url is None:
        return ""
    if origin_of(run.url) != origin_of(target):
        return f"redirected to {run.url.scheme}://{run.url.netloc.rpartition('@')[2][:_MOST_SHOWN]}: "
    return f"redirected to {run.url.path[:_MOST_SHOWN]}: " if run.url.path != target.path else ""


def _unfinished(run: HttpRun, wait: float) -> str:
    """How far a run has come whose time is up."""
    if run.redirects:
        reached = f"{run.redirects} redirects were followed"
    elif run.answer is not None and run.answer.status is not None:
        reached = "the answer's body is not complete"
    elif run.phases.first_byte is not None:
        reached = "what came is not the head of an HTTP answer, or not all of it"
    elif run.phases.request is not None:
        reached = "the request was sent, and no answer came"
    elif (
        run.phases.connect is not None and run.phases.tls is None and run.url is not None and run.url.scheme == "https"
    ):
        reached = "connected, and TLS was not agreed on"
    elif run.phases.connect is not None:
        reached = "the server didn't take all of the request"
    elif run.address is not None:
        reached = f"{run.address.chosen}not connected"
    else:
        reached = "the name was not looked up"
    return f"not done within {wait:g} s: {reached}"


def is_redirect(answer: Answer) -> bool:
    """Whether an answer leads elsewhere."""
    return answer.status in REDIRECTS and bool(answer.header("location"))


async def _repeat(client: HttpClient, request: Request, params: HttpParams, run: HttpRun) -> None:
    reused, seconds = 0, []
    for number in range(1, params.requests):
        phases = Phases()
        answer, kept = await client.fetch(request, phases)
        reused += kept
        seconds.append(sum(filter(None, (phases.request, phases.first_byte, phases.transfer))))
        run.fields |= {"reused": reused / number, "repeat": statistics.fmean(seconds), "requests": number + 1}
        if run.answer is not None and answer.status != run.answer.status:
            run.answer = answer
            return


def _first_request(url: SplitResult, params: HttpParams) -> Request:
    headers = {name.lower(): value for name, value in params.headers.items()}
    if params.server_name:
        port = f":{url.port}" if url.port else ""
        headers.setdefault("host", f"{params.server_name}{port}")
    headers.setdefault("accept-encoding", PACKED if params.compression else "identity")
    token, password = params.bearer_token.get_secret_value(), params.password.get_secret_value()
    if token:
        headers["authorization"] = f"Bearer {token}"
    elif params.username:
        pair = base64.b64encode(f"{params.username}:{password}".encode()).decode()
        headers["authorization"] = f"Basic {pair}"
    return Request(params.method, url, tuple(headers.items()), params.body.encode(), params.max_body)


def _redirected(request: Request, status: int | None, url: SplitResult) -> Request:
    """The next request: like the one before, but for what RFC 9110, section 15.4, changes."""
    method, body, headers = request.method, request.body, list(request.headers)
    if origin_of(url) != origin_of(request.url):
        headers = [(name, value) for name, value in headers if not _PRIVATE.fullmatch(name)]
    if status not in _KEEPING_METHOD and method not in {"GET", "HEAD"}:
        method, body = "GET", b""
        headers = [(name, value) for name, value in headers if name not in _ABOUT_BODY]
    return Request(method, url, tuple(headers), body, request.most_body)


def _describe(run: HttpRun) -> dict[str, FieldValue | None]:
    phases, answer = run.phases, run.answer
    fields: dict[str, FieldValue | None] = {
        "resolve": phases.resolve,
        "connect": phases.connect,
        "tls": phases.tls,
        "request": phases.request,
        "first_byte": phases.first_byte,
        "transfer": phases.transfer,
        "redirects": run.redirects,
        "failed_check": run.failed_check or None,
    }
    if run.peer is not None:
        fields["certificate_expires_in"] = run.peer.chain_expires_in
        fields["certificate_fault"] = str(run.peer.fault) if run.peer.fault else None
    if answer is None or answer.status is None:
        return fields
    body = answer.body
    fields |= {
        "status": answer.status,
        "protocol": answer.protocol,
        "body": body.received,
        "decoded": body.decoded,
        "content_length": answer.content_length,
        "cut": int(body.cut),
    }
    if "requests" not in run.fields:
        fields["requests"] = 1
    if body.packed and body.decoded:
        fields["compression"] = body.received / body.decoded
    if phases.transfer and body.received:
        fields["throughput"] = body.received / phases.transfer
    return fields


async def _check(run: HttpRun, params: HttpParams) -> None:
    """Hold the answer against what is expected.

    Raises:
        ProbeFault: the first difference.
    """
    assert run.answer is not None  # noqa: S101 - without an answer there was a fault before
    answer = run.answer
    for check, detail in (
        ("status", _wrong_status(answer.status, params)),
        ("protocol", _wrong_protocol(answer.protocol, params)),
        ("tls", _wrong_tls(run, params)),
        ("body", await _wrong_body(answer, params)),
        ("header", await _wrong_header(answer, params)),
    ):
        if detail:
            run.failed_check = check
            raise ProbeFault(Fault.UNEXPECTED_ANSWER, detail)


def _wrong_status(status: int | None, params: HttpParams) -> str:
    good = status in params.expect_status if params.expect_status else status is not None and 200 <= status < 300
    expected = " or ".join(map(str, params.expect_status)) or "2xx"
    return "" if good else f"status {status} instead of {expected}"


def _wrong_protocol(protocol: str, params: HttpParams) -> str:
    if not params.expect_protocols or protocol in params.expect_protocols:
        return ""
    return f"{protocol} instead of {' or '.join(params.expect_protocols)}"


def _wrong_tls(run: HttpRun, params: HttpParams) -> str:
    used = run.url is not None and run.url.scheme == "https"
    if params.expect_tls is None or params.expect_tls == used:
        return ""
    return "the last answer came over TLS" if used else "the last answer came without TLS"


async def _wrong_body(answer: Answer, params: HttpParams) -> str:
    text = answer.body.text if params.body_matches or params.body_lacks else ""
    missing = await first_missing(params.body_matches, text)
    if missing is not None:
        return f"{missing!r} is not in the body"
    unwanted = await first_found(params.body_lacks, text)
    return f"{unwanted!r} is in the body" if unwanted is not None else ""


async def _wrong_header(answer: Answer, params: HttpParams) -> str:
    for name, pattern in params.header_matches.items():
        if not await found(pattern, *answer.values(name)):
            return f"{pattern!r} is not in the header {name}"
    for name, pattern in params.header_lacks.items():
        if await found(pattern, *answer.values(name)):
            return f"{pattern!r} is in the header {name}"
    return ""
