"""Heartbeats to a control plane that the test plays: of this version, and of an older one."""

import asyncio
import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import psutil
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from streamswarm_agent.controlplane import ControlPlane
from streamswarm_agent.enrol import Credential
from streamswarm_agent.heartbeats import Heartbeats
from streamswarm_agent.host.addresses import read_addresses
from streamswarm_agent.net.path.geo import PlaceNames
from streamswarm_agent.settings import AgentSettings
from tests.support import eventually, serve_app

AHEAD = timedelta(hours=2)


class Peer:
    """A control plane whose clock is two hours ahead."""

    def __init__(self) -> None:
        self.beats: list[dict[str, Any]] = []
        self.tokens = 0
        self.more: dict[str, Any] = {}

    def app(self) -> Starlette:
        async def token(_request: Request) -> Response:
            self.tokens += 1
            return JSONResponse({"access_token": f"t{self.tokens}", "expires_in": 600})

        async def heartbeat(request: Request) -> Response:
            received = datetime.now(UTC) + AHEAD
            self.beats.append(await request.json())
            more = {"received_at": received.isoformat(), "name": "n", "site": "s", **self.more} if self.more else {}
            answered = datetime.now(UTC) + AHEAD
            return JSONResponse({"time": answered.isoformat(), "assignments_version": 1, **more})

        return Starlette(
            routes=[
                Route("/api/v1/agent/token", token, methods=["POST"]),
                Route("/api/v1/agent/heartbeat", heartbeat, methods=["POST"]),
            ]
        )


@pytest.fixture
def peer() -> Peer:
    return Peer()


@pytest.fixture
def url(peer: Peer) -> Iterator[str]:
    with serve_app(peer.app()) as url:
        yield url


async def beat(url: str, peer: Peer, folder: Path, count: int, places: PlaceNames | None = None) -> Heartbeats:
    """Send heartbeats until the peer has had so many, or the agent wants to end."""
    settings = AgentSettings(data=folder, controlplane_url=url, heartbeat_seconds=1)
    credential = Credential.model_validate(
        {"agent_id": "a", "name": "n", "site": "s", "secret": "x", "controlplane_url": url}
    )
    state = {"assignments_version": 7, "queued_points": 3}
    async with httpx.AsyncClient() as client:
        heartbeats = Heartbeats(
            ControlPlane(credential, url, client),
            credential,
            settings,
            lambda: state,
            PlaceNames() if places is None else places,
        )
        task = asyncio.create_task(heartbeats.send_forever())
        await asyncio.to_thread(eventually, lambda: len(peer.beats) >= count or task.done(), bool)
        await asyncio.sleep(0.05)
        ended = task.done()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert ended == heartbeats.restart_wanted
    return heartbeats


async def test_it_says_who_it_is_once_and_what_it_measured_of_the_clocks(url: str, peer: Peer, tmp_path: Path) -> None:
    peer.more = {"restart": False}
    heartbeats = await beat(url, peer, tmp_path, 2)
    first, second = peer.beats[:2]
    assert first["host"]["hostname"]
    assert "host" not in second
    assert first["started_at"] == second["started_at"]
    assert (first["assignments_version"], first["queued_points"]) == (7, 3)
    assert "clock" not in first
    for reading in (second["clock"]["offset"], heartbeats.clock.offset if heartbeats.clock else 0):
        assert abs(reading - AHEAD.total_seconds()) <= second["clock"]["error"] + 1e-4
    assert peer.tokens == 1


async def test_an_older_control_plane_is_enough(url: str, peer: Peer, tmp_path: Path) -> None:
    heartbeats = await beat(url, peer, tmp_path, 2)
    assert heartbeats.clock
    assert abs(heartbeats.clock.offset - AHEAD.total_seconds()) <= heartbeats.clock.error + 1e-4
    assert not heartbeats.restart_wanted


async def test_a_host_that_can_not_say_its_addresses_gives_a_sign_of_life_all_the_same(
    url: str, peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def used_up() -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(psutil, "net_if_addrs", used_up)
    await beat(url, peer, tmp_path, 1)
    assert "addresses" not in peer.beats[0]


async def test_renamed_it_asks_for_a_token_with_the_new_name_once(url: str, peer: Peer, tmp_path: Path) -> None:
    peer.more = {"name": "other"}
    await beat(url, peer, tmp_path, 3)
    assert peer.tokens == 2


async def test_the_sites_place_is_that_of_the_newest_answer(url: str, peer: Peer, tmp_path: Path) -> None:
    places = PlaceNames()
    peer.more = {"latitude": 52.52, "longitude": 13.405}
    await beat(url, peer, tmp_path, 1, places)
    assert places.here == (52.52, 13.405)
    peer.more = {"latitude": None, "longitude": None}
    await beat(url, peer, tmp_path, 2, places)
    assert places.here is None


@pytest.mark.parametrize("said", [{}, {"restart": False}, {"latitude": 52.52, "longitude": None}])
async def test_an_older_control_plane_or_half_a_place_is_no_place(
    url: str, peer: Peer, tmp_path: Path, said: dict[str, Any]
) -> None:
    places = PlaceNames()
    peer.more = said
    await beat(url, peer, tmp_path, 1, places)
    assert places.here is None


async def test_moved_it_has_no_place_until_it_writes_under_the_new_sites_name(
    url: str, peer: Peer, tmp_path: Path
) -> None:
    places = PlaceNames()
    peer.more = {"site": "other", "latitude": 52.52, "longitude": 13.405}
    await beat(url, peer, tmp_path, 1, places)
    assert (places.here, peer.tokens) == (None, 1)
    await beat(url, peer, tmp_path, 3, places)
    assert places.here == (52.52, 13.405)


async def test_asked_to_start_anew_it_sends_no_more_and_ends(url: str, peer: Peer, tmp_path: Path) -> None:
    peer.more = {"restart": True}
    heartbeats = await beat(url, peer, tmp_path, 2)
    assert heartbeats.restart_wanted
    assert len(peer.beats) == 1


def test_addresses_are_those_that_others_can_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["127.0.0.1", "::1", "169.254.3.4", "fe80::1%eth0", "224.0.0.1", "::", "02:42:ac:11:00:02"]
    reachable = ["192.0.2.7", "10.1.2.3", "2001:db8::7"]
    has = {"eth0": [SimpleNamespace(address=text) for text in [*texts, *reachable, "192.0.2.7"]]}
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: has)
    assert read_addresses() == ["10.1.2.3", "192.0.2.7", "2001:db8::7"]
