import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from streamswarm_collector import auth
from streamswarm_collector.auth import Authenticator, presented_token
from streamswarm_core.errors import ScopeError, TokenError, Unavailable
from streamswarm_core.tokens import Scope, SigningKey
from tests.dripping import dripping
from tests.support import find_free_port, serve_app, until


@dataclass
class ControlPlaneStandIn:
    """The part of the control plane's API that a collector uses, served for real."""

    key: SigningKey = field(default_factory=SigningKey.generate)
    revoked: list[str] = field(default_factory=list)
    static: dict[str, dict[str, object]] = field(default_factory=dict)
    key_requests: int = 0
    introspections: int = 0
    instead: Response | None = None

    def app(self) -> Starlette:
        async def keys(_request: Request) -> Response:
            self.key_requests += 1
            return self.instead or JSONResponse(self.key.jwks())

        async def revocations(_request: Request) -> Response:
            return self.instead or JSONResponse({"version": "1", "revoked": self.revoked})

        async def introspect(request: Request) -> Response:
            self.introspections += 1
            if request.headers["Authorization"] != "Bearer own-token":
                return JSONResponse({}, 401)
            return self.instead or JSONResponse(self.static.get((await request.json())["token"], {"active": False}))

        return Starlette(
            routes=[
                Route("/api/v1/keys", keys),
                Route("/api/v1/revocations", revocations),
                Route("/api/v1/tokens/introspect", introspect, methods=["POST"]),
            ]
        )


@pytest.fixture
def controlplane() -> ControlPlaneStandIn:
    return ControlPlaneStandIn()


@pytest.fixture
def url(controlplane: ControlPlaneStandIn) -> Iterator[str]:
    with serve_app(controlplane.app()) as url:
        yield url


@pytest.fixture
async def authenticator(url: str, tmp_path: Path) -> AsyncIterator[Authenticator]:
    (tmp_path / "own").write_text("own-token\n")
    async with httpx.AsyncClient() as client:
        yield Authenticator(url, tmp_path / "own", tmp_path, client)


def agent_token(key: SigningKey) -> str:
    return key.issue(subject="a1", name="berlin-1", site="berlin", scopes=[Scope.WRITE, Scope.AGENT], lifetime=60.0)


async def test_an_agents_token_is_verified_and_names_its_tags(
    authenticator: Authenticator, controlplane: ControlPlaneStandIn
) -> None:
    bearer = await authenticator.check(agent_token(controlplane.key), Scope.WRITE)
    assert bearer.stamp() == {"agent": "berlin-1", "site": "berlin"}
    await authenticator.check(agent_token(controlplane.key), Scope.WRITE)
    assert controlplane.key_requests == 1


async def test_a_token_may_do_only_what_its_scopes_say(
    authenticator: Authenticator, controlplane: ControlPlaneStandIn
) -> None:
    with pytest.raises(ScopeError, match="may not read"):
        await authenticator.check(agent_token(controlplane.key), Scope.READ)


async def test_a_token_of_another_control_plane_is_refused(authenticator: Authenticator) -> None:
    with pytest.raises(TokenError, match="doesn't publish"):
        await authenticator.check(agent_token(SigningKey.generate()), Scope.WRITE)


async def test_keys_are_kept_for_when_the_control_plane_is_away(
    authenticator: Authenticator, controlplane: ControlPlaneStandIn, tmp_path: Path
) -> None:
    await authenticator.check(agent_token(controlplane.key), Scope.WRITE)
    async with httpx.AsyncClient() as client:
        alone = Authenticator(f"http://127.0.0.1:{find_free_port()}", tmp_path / "own", tmp_path, client)
        assert (await alone.check(agent_token(controlplane.key), Scope.WRITE)).name == "berlin-1"


async def test_a_static_token_is_introspected_once_for_many_requests(
    authenticator: Authenticator, controlplane: ControlPlaneStandIn
) -> None:
    controlplane.static["sst_x"] = {"active": True, "sub": "t1", "name": "grafana", "scopes": ["read"]}
    for _ in range(3):
        bearer = await authenticator.check("sst_x", Scope.READ)
    assert bearer.stamp() == {}
    assert controlplane.introspections == 1


async def test_an_unknown_static_token_is_refused(authenticator: Authenticator) -> None:
    with pytest.raises(TokenError, match="unknown, expired or revoked"):
        await authenticator.check("sst_unknown", Scope.READ)


async def test_no_token_is_refused_with_how_to_send_one(authenticator: Authenticator) -> None:
    with pytest.raises(TokenError, match="Authorization: Token"):
        await authenticator.check("", Scope.READ)


async def test_a_static_token_that_was_good_stays_good_while_the_control_plane_is_away(
    authenticator: Authenticator,
    controlplane: ControlPlaneStandIn,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    controlplane.static["sst_x"] = {"active": True, "sub": "t1", "scopes": ["write"]}
    await authenticator.check("sst_x", Scope.WRITE)
    monkeypatch.setattr("streamswarm_collector.auth._FRESH_SECONDS", -1.0)
    (tmp_path / "own").unlink()
    assert (await authenticator.check("sst_x", Scope.WRITE)).sub == "t1"
    with pytest.raises(Unavailable):
        await authenticator.check("sst_never_seen", Scope.WRITE)


async def test_a_revoked_agent_is_refused_after_the_next_poll(
    authenticator: Authenticator, controlplane: ControlPlaneStandIn
) -> None:
    token = agent_token(controlplane.key)
    polling = asyncio.create_task(authenticator.poll_revocations())
    await authenticator.check(token, Scope.WRITE)
    controlplane.revoked.append("a1")
    refused = False
    async with asyncio.timeout(10):
        while not refused:
            await asyncio.sleep(0.05)
            try:
                await authenticator.check(token, Scope.WRITE)
            except TokenError as error:
                refused = "revoked" in str(error)
    polling.cancel()
    await asyncio.gather(polling, return_exceptions=True)
    assert refused


@pytest.mark.parametrize(
    ("headers", "query", "token"),
    [
        ({"Authorization": "Token abc"}, "", "abc"),
        ({"Authorization": "Bearer abc"}, "", "abc"),
        ({"Authorization": "Token user:abc"}, "", "abc"),
        ({"Authorization": "Basic " + base64.b64encode(b"anybody:abc").decode()}, "", "abc"),
        ({}, "u=anybody&p=abc", "abc"),
        ({}, "", ""),
    ],
)
def test_every_way_to_send_a_token(headers: dict[str, str], query: str, token: str) -> None:
    raw = [(key.lower().encode(), value.encode()) for key, value in headers.items()]
    request = Request({"type": "http", "headers": raw, "query_string": query.encode()})
    assert presented_token(request) == token


async def test_tokens_that_are_made_up_push_no_good_one_out(
    url: str, controlplane: ControlPlaneStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A good one has to outlive an outage of the control plane, whatever strangers send meanwhile."""
    monkeypatch.setattr("streamswarm_collector.auth._MOST_CACHED_TOKENS", 5)
    controlplane.static["good"] = {"active": True, "sub": "t1", "name": "grafana", "scopes": ["read"]}
    (tmp_path / "own").write_text("own-token")
    async with httpx.AsyncClient() as client:
        authenticator = Authenticator(url, tmp_path / "own", tmp_path, client)
        await authenticator.check("good", Scope.READ)
        for number in range(20):
            with pytest.raises(TokenError, match="unknown"):
                await authenticator.check(f"made-up-{number}", Scope.READ)
        asked = controlplane.introspections
        await authenticator.check("good", Scope.READ)
        for token in ("made-up-19", "x" * 513):
            with pytest.raises(TokenError, match="unknown"):
                await authenticator.check(token, Scope.READ)
        assert controlplane.introspections == asked


async def test_a_token_that_was_revoked_is_not_remembered_as_good(
    authenticator: Authenticator, controlplane: ControlPlaneStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamswarm_collector.auth._FRESH_SECONDS", -1)
    controlplane.static["good"] = {"active": True, "sub": "t1", "name": "grafana", "scopes": ["read"]}
    await authenticator.check("good", Scope.READ)
    controlplane.static.clear()
    with pytest.raises(TokenError):
        await authenticator.check("good", Scope.READ)
    controlplane.static["good"] = {"active": True, "sub": "t1", "name": "grafana", "scopes": ["read"]}
    await authenticator.check("good", Scope.READ)


async def test_the_control_plane_is_asked_about_few_unknown_tokens_at_a_time(
    authenticator: Authenticator, controlplane: ControlPlaneStandIn
) -> None:
    checks = [authenticator.check(f"made-up-{number}", Scope.READ) for number in range(400)]
    answers = await asyncio.gather(*checks, return_exceptions=True)
    assert sum(isinstance(one, Unavailable) for one in answers) == 400 - controlplane.introspections
    assert controlplane.introspections == 256


@pytest.mark.parametrize(
    "portal",
    [
        HTMLResponse("<html>Welcome</html>"),
        HTMLResponse("", 302, {"Location": "http://portal.example/"}),
        JSONResponse([]),
        JSONResponse({"keys": [{"kid": "1", "kty": "none"}], "revoked": None, "active": True}),
    ],
)
async def test_a_portals_answer_changes_nothing_and_ends_nothing(
    authenticator: Authenticator, controlplane: ControlPlaneStandIn, monkeypatch: pytest.MonkeyPatch, portal: Response
) -> None:
    monkeypatch.setattr(auth, "_REVOCATION_POLL_SECONDS", 0.01)
    await authenticator.check(agent_token(controlplane.key), Scope.WRITE)
    polling = asyncio.create_task(authenticator.poll_revocations())
    controlplane.instead = portal
    with pytest.raises(Unavailable, match="the control plane can't say"):
        await authenticator.check("static", Scope.WRITE)
    with pytest.raises(TokenError, match="doesn't publish"):
        await authenticator.check(agent_token(SigningKey.generate()), Scope.WRITE)
    await authenticator.check(agent_token(controlplane.key), Scope.WRITE)
    controlplane.instead = None
    controlplane.revoked.append("a1")
    await until(lambda: authenticator._revoked == {"a1"})
    with pytest.raises(TokenError, match="revoked"):
        await authenticator.check(agent_token(controlplane.key), Scope.WRITE)
    polling.cancel()


async def test_keys_that_the_disk_does_not_take_are_good_all_the_same(
    authenticator: Authenticator, controlplane: ControlPlaneStandIn, tmp_path: Path
) -> None:
    (tmp_path / "keys.json").mkdir()
    assert (await authenticator.check(agent_token(controlplane.key), Scope.WRITE)).name == "berlin-1"


async def test_a_control_plane_that_answers_by_a_byte_is_one_that_cannot_be_reached(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("own-token")
    answer = b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 600 + b"\r\n\r\n"
    async with httpx.AsyncClient() as client:
        with dripping(answer, drips=1) as port:
            url = f"http://127.0.0.1:{port}"
            with pytest.raises(Unavailable, match=r"no whole answer within 0\.3 s"):
                await Authenticator(url, tmp_path / "own", tmp_path, client, whole=0.3).check("t", Scope.WRITE)
