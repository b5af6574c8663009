"""Points on their way from the spool to a collector that doesn't take all of them."""

import gzip
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from streamswarm_agent.controlplane import ControlPlane
from streamswarm_agent.enrol import Credential
from streamswarm_agent.sender import Sender
from streamswarm_agent.spool import Spool
from streamswarm_core.errors import Unavailable
from streamswarm_core.point import Point
from streamswarm_core.writer import LineWriter
from tests.support import serve_app


class Doorkeeper:
    """Before a collector: lets requests of so many bytes in, and keeps what it lets in."""

    def __init__(self) -> None:
        self.most_bytes = 10_000_000
        self.instead: Response | None = None
        self.taken: list[str] = []

    def app(self) -> Starlette:
        async def token(_request: Request) -> Response:
            return JSONResponse({"access_token": "t", "expires_in": 600})

        async def write(request: Request) -> Response:
            lines = gzip.decompress(await request.body()).decode().splitlines()
            if sum(map(len, lines)) > self.most_bytes:
                return HTMLResponse("<h1>413 Request Entity Too Large</h1>", 413)
            if self.instead is not None:
                return self.instead
            self.taken += [line for line in lines if not line.startswith("#")]
            return Response(status_code=204)

        token_route = Route("/api/v1/agent/token", token, methods=["POST"])
        return Starlette(routes=[token_route, Route("/api/v2/write", write, methods=["POST"])])


@pytest.fixture
def doorkeeper() -> Doorkeeper:
    return Doorkeeper()


@pytest.fixture
def url(doorkeeper: Doorkeeper) -> Iterator[str]:
    with serve_app(doorkeeper.app()) as url:
        yield url


@asynccontextmanager
async def sender(folder: Path, url: str, spool: Spool) -> AsyncIterator[Sender]:
    credential = Credential.model_validate({"agent_id": "a", "name": "n", "secret": "s", "controlplane_url": url})
    async with httpx.AsyncClient() as client:
        with LineWriter(url, lambda: "t", bucket="b") as writer:
            controlplane = ControlPlane(credential, url, client)
            yield Sender(spool, writer, controlplane, refused_file=folder / "refused.log", interval=1)


def filled(folder: Path) -> Spool:
    spool = Spool(folder / "spool", max_bytes=10_000_000)
    for number in range(1, 31):
        spool.add_run("a", [Point("icmp", {}, {"rtt_mean": number / 8}, number)], {})
    return spool


async def test_what_is_too_large_for_a_proxy_goes_in_parts(tmp_path: Path, url: str, doorkeeper: Doorkeeper) -> None:
    spool, doorkeeper.most_bytes = filled(tmp_path), 300
    async with sender(tmp_path, url, spool) as sending:
        await sending.drain()
    assert [int(line.rpartition(" ")[2]) for line in doorkeeper.taken] == list(range(1, 31))
    assert (spool.points, (tmp_path / "refused.log").exists()) == (0, False)


async def test_a_line_that_is_too_large_by_itself_is_set_aside_and_the_others_arrive(
    tmp_path: Path, url: str, doorkeeper: Doorkeeper
) -> None:
    spool, doorkeeper.most_bytes = filled(tmp_path), 300
    spool.add([Point("icmp", {}, {"error_detail": "x" * 400}, 31)])
    async with sender(tmp_path, url, spool) as sending:
        await sending.drain()
    assert len(doorkeeper.taken) == 30
    reason, line = (tmp_path / "refused.log").read_text().splitlines()
    assert "Too Large" in reason
    assert "x" * 400 in line


async def test_what_a_store_calls_invalid_is_set_aside_with_its_words(
    tmp_path: Path, url: str, doorkeeper: Doorkeeper
) -> None:
    spool, doorkeeper.instead = filled(tmp_path), JSONResponse({"code": "invalid", "message": "field type"}, 400)
    async with sender(tmp_path, url, spool) as sending:
        await sending.drain()
    assert (spool.points, doorkeeper.taken) == (0, [])
    assert "field type" in (tmp_path / "refused.log").read_text()


async def test_a_web_servers_page_is_no_judgement_of_points(tmp_path: Path, url: str, doorkeeper: Doorkeeper) -> None:
    page = "<h1>400 Bad Request</h1>The plain HTTP request was sent to HTTPS port"
    spool, doorkeeper.instead = filled(tmp_path), HTMLResponse(page, 400)
    async with sender(tmp_path, url, spool) as sending:
        with pytest.raises(Unavailable, match="proxy or portal between"):
            await sending.drain()
        assert (spool.points, (tmp_path / "refused.log").exists()) == (30, False)
        doorkeeper.instead = None
        await sending.drain()
    assert len(doorkeeper.taken) == 30
