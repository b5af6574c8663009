"""Answers that aren't the control plane's or the collector's: hotspots that want a password first, proxies, mishaps."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from streamswarm_agent import controlplane as controlplane_module
from streamswarm_agent.controlplane import ControlPlane
from streamswarm_agent.enrol import Credential
from streamswarm_core import problem
from streamswarm_core.errors import Refused, Unavailable
from streamswarm_core.writer import LineWriter
from tests.support import serve_app

PAGE = "<html><body>Welcome to the hotel</body></html>"
PORTALS = {
    "a redirection": HTMLResponse(PAGE, 302, {"Location": "http://portal.example/login"}),
    "a page": HTMLResponse(PAGE),
    "a page for no permission": HTMLResponse(PAGE, 403),
    "a page for what isn't found": HTMLResponse(PAGE, 404),
    "a proxy that has no permission for us": HTMLResponse(PAGE, 407),
    "a gateway without a server behind it": HTMLResponse(PAGE, 502),
    "nothing": Response(),
    "other JSON": JSONResponse([{"access_token": "x"}]),
    "half of what is needed": JSONResponse({"access_token": "x", "expires_in": "soon"}),
    "bytes": Response(b"\xff\xfe\x00", media_type="application/json"),
}


class Stranger:
    """Answers all requests alike, but for the paths that go through."""

    def __init__(self) -> None:
        self.answer: Response = Response()
        self.through: dict[str, Response] = {}

    def app(self) -> Starlette:
        async def answer(request: Request) -> Response:
            return self.through.get(request.url.path, self.answer)

        return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])


@pytest.fixture
def stranger() -> Stranger:
    return Stranger()


@pytest.fixture
def url(stranger: Stranger) -> Iterator[str]:
    with serve_app(stranger.app()) as url:
        yield url


def asking(url: str, client: httpx.AsyncClient) -> ControlPlane:
    credential = Credential.model_validate({"agent_id": "a", "name": "n", "secret": "s", "controlplane_url": url})
    return ControlPlane(credential, url, client)


@pytest.fixture
async def controlplane(url: str) -> AsyncIterator[ControlPlane]:
    async with httpx.AsyncClient() as client:
        yield asking(url, client)


@pytest.mark.parametrize("portal", PORTALS)
async def test_whatever_answers_for_the_control_plane_is_a_reason_to_ask_again(
    stranger: Stranger, controlplane: ControlPlane, portal: str
) -> None:
    stranger.answer = PORTALS[portal]
    with pytest.raises(Unavailable, match=f"/agent/token: HTTP {stranger.answer.status_code}"):
        await controlplane.access_token()
    stranger.through = {"/api/v1/agent/token": JSONResponse({"access_token": "t", "expires_in": 600})}
    for ask in (controlplane.assignments(""), controlplane.heartbeat({}), controlplane.report_runs([])):
        with pytest.raises(Unavailable, match=f"HTTP {stranger.answer.status_code}"):
            await ask


async def test_a_portals_page_is_told_from_the_control_planes_refusal(
    stranger: Stranger, controlplane: ControlPlane
) -> None:
    stranger.answer = PORTALS["a redirection"]
    with pytest.raises(
        Unavailable, match=r"HTTP 302 to http://portal\.example/login \(text/html\), .* a proxy or portal"
    ):
        await controlplane.access_token()
    refusal = problem.Problem(title="Forbidden", status=403, detail="this agent is revoked")
    stranger.answer = JSONResponse(refusal.body(), 403, media_type=problem.MEDIA_TYPE)
    with pytest.raises(Refused, match=r"/token: this agent is revoked$"):
        await controlplane.access_token()


@pytest.mark.parametrize("portal", ["a redirection", "a page", "a page for no permission", "nothing", "other JSON"])
def test_points_are_delivered_when_the_answer_is_204_and_not_before(stranger: Stranger, url: str, portal: str) -> None:
    stranger.answer = PORTALS[portal]
    with LineWriter(url, lambda: "t", bucket="b") as writer:
        with pytest.raises((Unavailable, Refused)):
            writer.write(b"m f=1 1\n")
        stranger.answer = Response(status_code=204)
        writer.write(b"m f=1 1\n")


@pytest.mark.parametrize(
    ("asked", "taken"),
    [("7", 7.0), ("-5", None), ("nan", None), ("1e9", 300.0), ("Fri, 31 Dec 1999 23:59:59 GMT", None)],
)
def test_a_wait_that_nobody_can_mean_is_not_kept(stranger: Stranger, url: str, asked: str, taken: float | None) -> None:
    stranger.answer = Response(status_code=429, headers={"Retry-After": asked})
    with LineWriter(url, lambda: "t", bucket="b") as writer, pytest.raises(Unavailable) as told:
        writer.write(b"m f=1 1\n")
    assert told.value.retry_after == taken


async def test_an_answer_that_never_ends_is_waited_for_with_a_bound(
    stranger: Stranger, controlplane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.02)

    monkeypatch.setattr(controlplane_module, "_WHOLE_SECONDS", 0.2)
    stranger.answer = StreamingResponse(drip(), media_type="application/json")
    with pytest.raises(Unavailable, match=r"/agent/token: no whole answer within 0\.2 s"):
        await controlplane.access_token()


async def test_a_control_plane_that_is_silent_is_said_to_be() -> None:
    # The kernel accepts; nobody reads.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with httpx.AsyncClient(timeout=0.1) as client:
            controlplane = asking(f"http://127.0.0.1:{silent.getsockname()[1]}", client)
            with pytest.raises(Unavailable, match=r"/agent/token: ReadTimeout$"):
                await controlplane.access_token()
