"""The `tcp_window` probe: a bounded bulk transfer, watched through TCP_INFO.

An upload shows the most, for the congestion window and its accounting are the sender's. It goes to whatever takes data:
a discard port, or a URL by PUT or POST. A download shows the receiver's side only, so it names no bottleneck.
"""

import errno
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult

from streamswarm_agent.faults import Fault, ProbeFault, from_os_error
from streamswarm_agent.net.bulk.transfer import Course, Look, download, upload
from streamswarm_agent.net.bulk.window import WindowSummary, summarise
from streamswarm_agent.net.http.client import host_of
from streamswarm_agent.net.targets import read_target, resolve
from streamswarm_agent.net.tcp import connect
from streamswarm_agent.probes.base import Context
from streamswarm_agent.probes.tcp_window_bottleneck import diagnose
from streamswarm_core.catalogue.tcp import TCP_WINDOW, TCP_WINDOW_SAMPLE
from streamswarm_core.point import FieldValue, Point
from streamswarm_core.probespecs import TcpWindowParams
from streamswarm_core.probespecs.targets import read_upload_target

_NO_BOTTLENECK: Final = "a download shows the receiver's side only; what held the sender back is the sender's to know"


@dataclass(frozen=True, slots=True)
class _Exchange:
    """What is transferred with whom.

    Attributes:
        head: the request; empty where data go as they are.
        uploads: which way the data go.
    """

    host: str
    port: int
    head: bytes
    uploads: bool


class TcpWindowProbe:
    """One transfer and its course."""

    async def run(self, target: str, params: TcpWindowParams, context: Context) -> list[Point]:
        """Up if data were transferred; time running out before `max_bytes` is no fault."""
        stamp, started = context.wall_ns(), context.monotonic()
        tags = {"target": target}
        fields: dict[str, FieldValue | None] = {}
        course = Course(params.sample_interval)
        try:
            exchange = _plan(target, params)
            tags["direction"] = "upload" if exchange.uploads else "download"
            address = await resolve(exchange.host, exchange.port, params.family)
            tags["family"] = address.family_tag
            fields["resolve"] = address.resolve
            opened, fields["connect"] = await connect(address, params.wait)
            with opened:
                if exchange.uploads:
                    fields["congestion_control"] = _choose(opened, params.congestion_control)
                await _transfer(opened, exchange, params, course)
        except ProbeFault as fault:
            fields |= {"up": 0, "error": fault.fault.value, "error_detail": fault.detail}
        else:
            fields["up"] = 1
        if len(course.looks) > 1:
            described = _describe_upload if tags["direction"] == "upload" else _describe_download
            fields |= described(course.looks, up=fields["up"] == 1)
        point = TCP_WINDOW.point(tags, time_ns=stamp, **fields, duration=context.monotonic() - started)
        return [point, *_samples(course.looks, params.keep_samples, tags)]


def _plan(target: str, params: TcpWindowParams) -> _Exchange:
    read = read_target(read_upload_target, target)
    if not isinstance(read, SplitResult):
        host, port = read
        return _Exchange(host, port, b"", uploads=True)
    url = read
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    lines = [f"{params.method} {path} HTTP/1.1", f"Host: {url.netloc.rpartition('@')[2]}", "User-Agent: streamswarm"]
    uploads = params.method != "GET"
    if uploads:
        lines += ["Content-Type: application/octet-stream", f"Content-Length: {params.max_bytes}"]
    head = "\r\n".join([*lines, "Accept-Encoding: identity", "Connection: close", "", ""])
    return _Exchange(host_of(url), url.port or 80, head.encode(), uploads)


def _choose(opened: socket.socket, algorithm: str | None) -> str:
    """Set the congestion control if one is asked for; returns the one in force.

    Raises:
        ProbeFault: this host doesn't have it, or doesn't let this user have it.
    """
    try:
        if algorithm is not None:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, algorithm.encode())
    except OSError as error:
        fault = Fault.PERMISSION if error.errno == errno.EPERM else Fault.BAD_TARGET
        detail = (
            f"congestion_control {algorithm!r}: {error.strerror}; see sysctl net.ipv4.tcp_allowed_congestion_control"
        )
        raise ProbeFault(fault, detail) from None
    return opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode("ascii")


async def _transfer(opened: socket.socket, exchange: _Exchange, params: TcpWindowParams, course: Course) -> None:
    """Carry it out.

    Raises:
        ProbeFault: the connection broke, or an HTTP server refused.
    """
    size, seconds = params.max_bytes, params.max_seconds
    if not exchange.uploads:
        beginning = await download(opened, course, size=size, seconds=seconds, head=exchange.head)
        if not beginning and course.finished:
            raise ProbeFault(Fault.RESET, "the server closed the connection without an answer")
        if not beginning:
            raise ProbeFault(Fault.TIMEOUT, f"no answer came within {seconds:g} s")
        _check_status(beginning)
        return
    await upload(opened, course, size=size, seconds=seconds, rate=params.rate, head=exchange.head)
    if not course.looks[-1].transferred:
        raise ProbeFault(Fault.TIMEOUT, f"the peer acknowledged nothing within {seconds:g} s")
    if exchange.head:
        _check_status(_read_now(opened), silent_is_good=True)


def _read_now(opened: socket.socket) -> bytes:
    """What an HTTP server has answered so far; it may well think about an upload longer than the transfer took."""
    try:
        return opened.recv(4096)
    except BlockingIOError:
        return b""
    except OSError as error:
        raise from_os_error(error) from None


def _check_status(beginning: bytes, *, silent_is_good: bool = False) -> None:
    if not beginning and silent_is_good:
        return
    version, _, rest = beginning.partition(b" ")
    if not version.startswith(b"HTTP/1."):
        raise ProbeFault(Fault.PROTOCOL, f"the answer begins with {beginning[:20]!r} and not with HTTP/1")
    if not rest.startswith(b"2"):
        raise ProbeFault(Fault.UNEXPECTED_ANSWER, f"status {rest[:3].decode('latin-1')} instead of 2xx")


def _describe_upload(looks: Sequence[Look], *, up: bool) -> dict[str, FieldValue | None]:
    summary = summarise(looks)
    fields = _describe(summary)
    if up:
        diagnosis = diagnose(summary)
        fields |= {"bottleneck": diagnosis.bottleneck.value, "analysis": diagnosis.analysis}
    return fields


def _describe(upload: WindowSummary) -> dict[str, FieldValue | None]:
    return {
        "size": upload.transferred,
        "elapsed": upload.elapsed,
        "throughput": upload.throughput,
        "rtt_min": upload.rtt_min,
        "rtt_mean": upload.rtt_mean,
        "rtt_max": upload.rtt_max,
        "rtt_variation": upload.rtt_variation,
        "cwnd_min": upload.cwnd_min,
        "cwnd_mean": upload.cwnd_mean,
        "cwnd_max": upload.cwnd_max,
        "ssthresh_mean": upload.ssthresh_mean,
        "congestion_events": upload.congestion_events,
        "retransmits": upload.retransmits,
        "retransmission_rate": upload.retransmission_rate,
        "reorderings": upload.reorderings,
        "delivery_rate": upload.delivery_rate,
        "busy": upload.busy,
        "receiver_limited": upload.receiver_bound,
        "sender_limited": max(1 - upload.busy, upload.sndbuf_limited) if upload.busy is not None else None,
        "efficiency": upload.efficiency,
    }


def _describe_download(looks: Sequence[Look], *, up: bool) -> dict[str, FieldValue | None]:
    last = looks[-1]
    rtts = [look.info.rcv_rtt for look in looks if look.info.rcv_rtt is not None]
    elapsed = last.at - looks[0].at
    return {
        "size": last.transferred,
        "elapsed": elapsed,
        "throughput": last.transferred / elapsed if elapsed else None,
        "rtt_min": last.info.min_rtt,
        "rtt_mean": sum(rtts) / len(rtts) if rtts else None,
        "rtt_max": max(rtts, default=None),
        "out_of_order": last.info.rcv_ooopack,
        "analysis": _NO_BOTTLENECK if up else None,
    }


def _samples(looks: Sequence[Look], most: int, tags: dict[str, str]) -> Iterator[Point]:
    """At most so many looks, evenly over the course, the last one among them."""
    if not most or not looks:
        return
    step = max(1, -(-len(looks) // most))
    for look in reversed(looks[::-step]):
        info, uploads = look.info, tags["direction"] == "upload"
        yield TCP_WINDOW_SAMPLE.point(
            tags,
            time_ns=look.wall_ns,
            transferred=look.transferred,
            rtt=info.rtt if uploads else info.rcv_rtt,
            rttvar=info.rttvar if uploads else None,
            cwnd=info.cwnd * info.mss if uploads else None,
            ssthresh=info.ssthresh * info.mss if uploads and info.ssthresh is not None else None,
            peer_window=info.snd_wnd if uploads else None,
            in_flight=info.in_flight * info.mss if uploads else None,
            delivery_rate=info.delivery_rate if uploads else None,
            retransmits=info.total_retrans if uploads else None,
        )
