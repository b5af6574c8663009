import select
import socket
from collections.abc import Iterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from streamswarm_core.heads import bounded_http
from streamswarm_core.heads.h11 import BoundedH11
from streamswarm_core.heads.httptools import BoundedHttptools
from streamswarm_core.heads.timer import HeadTimer
from streamswarm_core.serve import uvicorn_config
from tests.support import serve_app

BOTH = pytest.mark.parametrize("protocol", [BoundedH11, BoundedHttptools])


async def echo(request: Request) -> Response:
    return PlainTextResponse(await request.body())


@pytest.fixture
def url(protocol: type[HeadTimer], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(protocol, "head_seconds", 0.5)
    app = Starlette(routes=[Route("/", echo, methods=["GET", "POST"])])
    with serve_app(app, http=protocol) as served:
        yield served


def connect(url: str) -> socket.socket:
    target = httpx.URL(url)
    return socket.create_connection((target.host, target.port or 80), timeout=20)


def read_to_end(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(1000), b""))


def test_every_service_is_served_so() -> None:
    config = uvicorn_config(Starlette(), "127.0.0.1", 0)
    assert config.http is bounded_http() is BoundedHttptools


def test_without_httptools_it_is_h11(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamswarm_core.heads.find_spec", lambda _name: None)
    assert bounded_http() is BoundedH11


@BOTH
@pytest.mark.parametrize(
    ("sent", "answers"),
    [
        (b"", 0),
        (b"POST / HTTP/1.1\r\nHost:", 0),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP", 1),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\naGET / HTTP/1.1\r\nHo", 1),
    ],
)
def test_a_head_that_does_not_come_is_given_up(url: str, sent: bytes, answers: int) -> None:
    with connect(url) as slow:
        slow.sendall(sent)
        assert read_to_end(slow).count(b"200 OK") == answers


@BOTH
def test_a_head_without_end_is_given_up(url: str, protocol: type[HeadTimer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "head_seconds", 100)
    head = b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: x\r\n" % number for number in range(1_000_000))
    with connect(url) as endless, pytest.raises(OSError, match=r"reset|Broken pipe"):
        endless.sendall(head)
    assert httpx.get(url).status_code == 200


@BOTH
def test_a_body_and_an_idle_connection_may_take_longer_than_a_head(url: str) -> None:
    with connect(url) as slow:
        for end in (b"cd", b"ef"):
            slow.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
            assert not select.select([slow], [], [], 1.2)[0]
            slow.sendall(end)
            answer = b""
            while not answer.endswith(b"ab" + end):
                answer += slow.recv(1000)
            assert not select.select([slow], [], [], 1.2)[0]
