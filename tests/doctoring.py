"""Real small servers that answer as told, and what a doctor finds with them."""

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from time import time
from typing import Any

from streamswarm_core import __version__
from streamswarm_core.doctor.finding import Finding, State


@dataclass
class Told:
    """What a server says.

    Attributes:
        answers: status and body, JSON unless it is text, by path; 404 for others.
        clock: seconds that its Date header is ahead.
        seen: requests that came, as method, path and Authorization.
    """

    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    clock: float = 0.0
    seen: list[tuple[str, str, str]] = field(default_factory=list)


def health_of(service: str, *, version: str = __version__, **more: Any) -> dict[str, tuple[int, Any]]:
    """What a service that is well says at `/health`."""
    return {"/health": (200, {"status": "ok", "name": f"streamswarm-{service}", "version": version, **more})}


@contextmanager
def answering(told: Told, tls: SSLContext | None = None, *, port: int = 0) -> Iterator[str]:
    """A server on loopback, on a free port if none is given; yields its base URL."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            path = self.path.partition("?")[0]
            told.seen.append((self.command, path, self.headers.get("Authorization", "")))
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, body = told.answers.get(path, (404, {"detail": "no such page"}))
            content = body.encode() if isinstance(body, str) else b"" if status == 204 else json.dumps(body).encode()
            self.send_response_only(status)
            self.send_header("Date", formatdate(time() + told.clock, usegmt=True))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _answer  # noqa: N815 - the names that http.server calls

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def about(subject: str, findings: Iterable[Finding]) -> Finding:
    """The one finding about something; the worst if there are several."""
    order = [State.BROKEN, State.WARNING, State.NOTE, State.OK]
    found = sorted((one for one in findings if one.subject == subject), key=lambda one: order.index(one.state))
    assert found, f"nothing is said about {subject}"
    return found[0]


def wrong(findings: Iterable[Finding]) -> dict[str, State]:
    """The subjects that something is the matter with."""
    return {one.subject: one.state for one in findings if one.state in {State.WARNING, State.BROKEN}}
