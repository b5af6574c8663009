"""A whole agent in this process; a control plane and a collector that the test plays."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from streamswarm_agent import selfobservation
from streamswarm_agent.enrol import Credential
from streamswarm_agent.runner import Runner
from streamswarm_agent.settings import AgentSettings
from streamswarm_core.assignment import Assignment, AssignmentSet, RunReport, RunRequest, RunStatus
from streamswarm_core.lineprotocol import parse_line, split_lines
from streamswarm_core.point import Point
from tests.support import eventually, find_free_port, serve_app


class Peer:
    """Control plane and collector."""

    def __init__(self) -> None:
        self.points: list[Point] = []
        self.runs: dict[str, RunReport] = {}
        self.assignments = AssignmentSet(agent_id="a", version=0)

    def app(self) -> Starlette:
        async def token(_request: Request) -> Response:
            return JSONResponse({"access_token": "t", "expires_in": 600})

        async def assignments(_request: Request) -> Response:
            return Response(self.assignments.model_dump_json())

        async def heartbeat(_request: Request) -> Response:
            now = datetime.now(UTC).isoformat()
            place = {"latitude": 52.52, "longitude": 13.405}
            return JSONResponse({"time": now, "assignments_version": self.assignments.version, **place})

        async def runs(request: Request) -> Response:
            reported = [RunReport.model_validate(one) for one in (await request.json())["runs"]]
            self.runs |= {report.id: report for report in reported}
            return JSONResponse({"taken": len(reported), "unknown": []})

        async def write(request: Request) -> Response:
            body = await request.body()
            text = gzip.decompress(body) if request.headers.get("Content-Encoding") == "gzip" else body
            self.points += [parse_line(line) for _, line in split_lines(text.decode())]
            return Response(status_code=204)

        return Starlette(
            routes=[
                Route("/api/v1/agent/token", token, methods=["POST"]),
                Route("/api/v1/agent/assignments", assignments),
                Route("/api/v1/agent/heartbeat", heartbeat, methods=["POST"]),
                Route("/api/v1/agent/runs", runs, methods=["POST"]),
                Route("/api/v2/write", write, methods=["POST"]),
            ]
        )

    def of(self, test: str, measurement: str) -> list[Point]:
        return [one for one in self.points if one.tags.get("test") == test and one.measurement == measurement]


@pytest.fixture
def peer() -> Peer:
    return Peer()


@pytest.fixture
def url(peer: Peer) -> Iterator[str]:
    with serve_app(peer.app()) as url:
        yield url


@pytest.fixture
async def settings(
    peer: Peer, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[AgentSettings]:
    """The settings of an agent that runs during the test."""
    monkeypatch.setattr(selfobservation, "_SECONDS", 0.2)
    settings = AgentSettings(
        data=tmp_path,
        controlplane_url=url,
        collector_url=url,
        port=find_free_port(),
        flush_seconds=0.1,
        poll_seconds=0.5,
        budget_packets_per_second=50,
    )
    settings.folder.mkdir(parents=True)
    secret = {"agent_id": "a", "name": "n", "secret": "s", "controlplane_url": url}
    peer.assignments = AssignmentSet(
        agent_id="a",
        version=1,
        assignments=(
            assignment("ping", "icmp", "127.0.0.1", {"count": 1}, interval=0.1),
            assignment("slow", "icmp", "127.0.0.1", {"count": 10, "spacing": 0.2}, interval=0.5, timeout=5),
            assignment("hungry", "icmp", "127.0.0.1", {"count": 100}, interval=1),
            assignment("future", "quantum", "127.0.0.1", {}, interval=0.2),
            assignment("mistyped", "icmp", "127.0.0.1", {"coumt": 1}, interval=0.2),
        ),
    )
    agent = Runner(settings, Credential.model_validate(secret))
    task = asyncio.create_task(agent.run())
    yield settings
    agent._server.should_exit = True
    async with asyncio.timeout(30):
        await task


def assignment(
    test: str, probe: str, target: str, params: dict[str, object], *, interval: float, timeout: float = 2
) -> Assignment:
    return Assignment(
        id=f"id-{test}", test=test, probe=probe, target=target, params=params, interval=interval, timeout=timeout
    )


async def test_its_own_points_say_where_its_site_is(peer: Peer, settings: AgentSettings) -> None:
    def places() -> set[tuple[object, object]]:
        own = [one.fields for one in peer.points if one.measurement == "agent"]
        return {(fields.get("latitude"), fields.get("longitude")) for fields in own}

    await asyncio.to_thread(eventually, places, lambda found: (52.52, 13.405) in found)
    async with httpx.AsyncClient() as client:
        shown = (await client.get(f"http://127.0.0.1:{settings.port}/metrics")).text
    assert "streamswarm_agent_latitude_degrees 52.52" in shown
    assert "streamswarm_agent_longitude_degrees 13.405" in shown


@pytest.fixture
def _without_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))


@pytest.mark.usefixtures("_without_proc", "settings")
async def test_on_a_host_without_proc_the_agent_runs_and_its_load_is_absent(peer: Peer) -> None:
    def own() -> list[Point]:
        return [one for one in peer.points if one.measurement == "agent"]

    (first, *_) = await asyncio.to_thread(eventually, own, bool)
    assert "runs" in first.fields
    assert not first.fields.keys() & {"cpu", "memory"}


async def test_runs_arrive_numbered_and_what_did_not_run_arrives_with_its_reason(
    peer: Peer, settings: AgentSettings
) -> None:
    def reasons() -> set[tuple[str, str]]:
        return {(one.tags["test"], one.tags["reason"]) for one in peer.points if one.measurement == "run"}

    wanted = {("slow", "overrun"), ("hungry", "over_budget"), ("future", "unknown_probe")}
    await asyncio.to_thread(eventually, reasons, wanted.issubset)
    await asyncio.to_thread(eventually, lambda: len(peer.of("ping", "icmp")), lambda count: count >= 10)
    numbers = [one.fields["seq"] for one in peer.of("ping", "icmp")]
    assert numbers == list(range(1, len(numbers) + 1))
    assert not peer.of("hungry", "icmp")
    (mistyped, *_) = peer.of("mistyped", "icmp")
    assert (mistyped.fields["up"], mistyped.fields["error"]) == (0, "bad_target")
    assert "coumt" in str(mistyped.fields["error_detail"])
    counted = [int(one.fields["skipped"]) for one in peer.of("slow", "run") if one.tags["reason"] == "overrun"]
    assert counted == sorted(counted)
    (refusal, *_) = peer.of("hungry", "run")
    assert "and the agent's budget is 50" in str(refusal.fields["detail"])

    newest = [one for one in peer.points if one.measurement == "agent"][-1]
    assert newest.fields["refused"] == 2
    assert int(newest.fields["skipped"]) >= int(newest.fields["overruns"]) > 0
    assert float(newest.fields["lag"]) >= 0

    async with httpx.AsyncClient() as client:
        base = f"http://127.0.0.1:{settings.port}"
        metrics = (await client.get(f"{base}/metrics")).text
        health = (await client.get(f"{base}/health")).json()
    assert 'streamswarm_run_skipped_total{reason="over_budget",target="127.0.0.1",test="hungry"}' in metrics
    assert set(health["refused"]) == {"hungry", "future"}


async def test_run_records_are_reported_and_a_run_is_made_on_request(peer: Peer, settings: AgentSettings) -> None:
    assert settings.folder.exists()

    def of(assignment_id: str, kind: str) -> list[RunReport]:
        return [one for one in peer.runs.values() if (one.assignment_id, one.kind.value) == (assignment_id, kind)]

    soon = {"kind": "once", "at": (datetime.now(UTC) + timedelta(seconds=1)).isoformat(), "duration": 2}
    later = {"kind": "cron", "cron": "0 0 1 1 *"}
    closed = assignment("down", "tcp", "127.0.0.1:9", {}, interval=60)
    peer.assignments = AssignmentSet(
        agent_id="a",
        version=2,
        assignments=(
            assignment("ping", "icmp", "127.0.0.1", {"count": 1}, interval=0.1),
            assignment("soon", "icmp", "127.0.0.1", {"count": 1}, interval=0.2).model_copy(update={"schedule": soon}),
            closed.model_copy(update={"schedule": later}),
            assignment("zone", "icmp", "127.0.0.1", {}, interval=1).model_copy(
                update={"schedule": {"kind": "cron", "cron": "* * * * *", "zone": "Mars/Olympus"}}
            ),
        ),
        run_now=(RunRequest(id="r1", assignment_id="id-down", expires_at=datetime.now(UTC) + timedelta(minutes=5)),),
    )
    await asyncio.to_thread(eventually, lambda: peer.runs.get("r1"), lambda run: run is not None and run.status.final)
    assert (peer.runs["r1"].status, peer.runs["r1"].executions) == (RunStatus.FAILED, 1)
    assert peer.runs["r1"].error == "refused: Connection refused"
    (failed,) = await asyncio.to_thread(eventually, lambda: peer.of("down", "tcp"), bool)
    assert failed.fields["up"] == 0
    await asyncio.to_thread(
        eventually, lambda: of("id-soon", "scheduled"), lambda found: [one.status for one in found] == [RunStatus.DONE]
    )
    (session,) = of("id-soon", "scheduled")
    await asyncio.to_thread(eventually, lambda: len(peer.of("soon", "icmp")), lambda count: count == session.executions)
    assert session.executions >= 5
    assert not of("id-ping", "manual")
    (going,) = of("id-ping", "scheduled")
    assert going.status is RunStatus.RUNNING
