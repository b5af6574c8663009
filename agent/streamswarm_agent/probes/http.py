import asyncio
from urllib.parse import SplitResult, urljoin, urlsplit

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.net.http import Exchange, Request, exchange
from streamswarm_agent.net.targets import resolve
from streamswarm_agent.probes.base import Context
from streamswarm_core.catalogue.network import HTTP
from streamswarm_core.point import FieldValue, Point
from streamswarm_core.probespecs import HttpParams

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class HttpProbe:
    """Phases, status and certificate of one HTTP request."""

    async def run(self, target: str, params: HttpParams, context: Context) -> list[Point]:
        """Up if the final answer has an expected status; the phases of redirects are added up."""
        stamp, started = context.wall_ns(), context.monotonic()
        tags = {"target": target}
        fields: dict[str, FieldValue | None] = {}
        try:
            async with asyncio.timeout(params.wait):
                await _follow(target, params, tags, fields)
        except TimeoutError:
            fields |= {"up": 0, "error": Fault.TIMEOUT.value, "error_detail": f"not done within {params.wait} s"}
        except ProbeFault as fault:
            fields |= {"up": 0, "error": fault.fault.value, "error_detail": fault.detail}
        else:
            fields["up"] = 1
            fields["total"] = context.monotonic() - started
        return [HTTP.point(tags, time_ns=stamp, duration=context.monotonic() - started, **fields)]


async def _follow(target: str, params: HttpParams, tags: dict[str, str], fields: dict[str, FieldValue | None]) -> None:
    """Request, and request again where a redirect leads, writing what is known so far to `fields`."""
    url = _split(target)
    for redirects in range(params.follow_redirects + 1):
        port = url.port or (443 if url.scheme == "https" else 80)
        address = await resolve(url.hostname or "", port, params.family)
        tags["family"] = address.family_tag
        result = Exchange()
        request = Request(params.method, url, params.headers, params.verify_tls, params.max_body)
        try:
            await exchange(request, address, params.wait, result)
        finally:
            _add_up(fields, result, address.resolve)
            fields["redirects"] = redirects
        if result.status not in _REDIRECTS or not result.location or not params.follow_redirects:
            _check_status(result.status, params)
            return
        url = _split(urljoin(url.geturl(), result.location))
    raise ProbeFault(Fault.UNEXPECTED_ANSWER, f"more than {params.follow_redirects} redirects")


def _add_up(fields: dict[str, FieldValue | None], result: Exchange, resolve_seconds: float | None) -> None:
    phases = {
        "resolve": resolve_seconds,
        "connect": result.connect,
        "tls": result.tls,
        "first_byte": result.first_byte,
        "transfer": result.transfer,
    }
    for name, seconds in phases.items():
        if seconds is not None:
            fields[name] = float(fields.get(name) or 0.0) + seconds
    fields["status"] = result.status
    fields["body"] = result.body_bytes
    if result.certificate_days is not None:
        fields["certificate_days"] = result.certificate_days
    if result.transfer and result.body_bytes:
        fields["throughput"] = result.body_bytes / result.transfer


def _split(target: str) -> SplitResult:
    try:
        url = urlsplit(target)
        _ = url.port
    except ValueError as error:
        raise ProbeFault(Fault.BAD_TARGET, f"{target!r}: {error}") from None
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ProbeFault(Fault.BAD_TARGET, f"{target!r} is no http:// or https:// URL")
    return url


def _check_status(status: int | None, params: HttpParams) -> None:
    good = status in params.expect_status if params.expect_status else status is not None and 200 <= status < 300
    if not good:
        expected = " or ".join(map(str, params.expect_status)) or "2xx"
        raise ProbeFault(Fault.UNEXPECTED_ANSWER, f"status {status} instead of {expected}")
