"""The agent put together: what it has to run, how it runs it, where the points go."""

import asyncio
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Final

import httpx
import psutil
from pydantic import ValidationError

from streamswarm_agent.assignments import AssignmentStore
from streamswarm_agent.budget import Budget
from streamswarm_agent.controlplane import ControlPlane
from streamswarm_agent.enrol import Credential, credential_path, keep
from streamswarm_agent.exporter import create_exporter
from streamswarm_agent.faults import Fault
from streamswarm_agent.grid import next_line
from streamswarm_agent.heartbeats import Heartbeats
from streamswarm_agent.latest import LatestPoints
from streamswarm_agent.net.bulk.link import LinkWatch
from streamswarm_agent.net.icmp.engine import IcmpEngine
from streamswarm_agent.net.keys import Keys
from streamswarm_agent.net.path.geo import PlaceNames
from streamswarm_agent.occasions import Occasions
from streamswarm_agent.plan import Plan, Skip, Skipped
from streamswarm_agent.probes import Context, Engines, find_probe
from streamswarm_agent.probes.direct import DirectProbe, DirectRun, problem_of
from streamswarm_agent.runbook import RunBook
from streamswarm_agent.schedule import Scheduler
from streamswarm_agent.sender import Sender
from streamswarm_agent.settings import AgentSettings
from streamswarm_agent.spool import Spool
from streamswarm_core.assignment import Assignment, RunReport
from streamswarm_core.catalogue.common import UP
from streamswarm_core.catalogue.platform import AGENT, RUN
from streamswarm_core.clock import now_ns
from streamswarm_core.errors import Refused, Unavailable
from streamswarm_core.point import Point
from streamswarm_core.probespecs import SPECS
from streamswarm_core.probespecs.demand import Lane
from streamswarm_core.reflector.service import Reflector
from streamswarm_core.schedule import read_schedule
from streamswarm_core.serve import QuietServer, uvicorn_config
from streamswarm_core.writer import LineWriter

log = logging.getLogger(__name__)

_KEPT_SECONDS: Final = 60.0
"""An idle connection to the control plane; shorter than that keeps it, so that no request meets a closing one."""
_SELF_SECONDS: Final = 10.0
_FLUSH_SECONDS: Final = 0.5
"""Points go to disk on lines this far apart, on which the agent wakes up for starts in any case."""

_REPORT_LOOK_SECONDS: Final = 0.5
_PROGRESS_RECORDS_PER_SECOND: Final = 20
"""So many records that go on are reported in a second at most; more are reported less often."""


class Runner:
    """One agent process.

    Args:
        settings: the agent's settings.
        credential: who it is.

    Raises:
        OSError: the data folder can't be used.
    """

    def __init__(self, settings: AgentSettings, credential: Credential) -> None:
        self._settings = settings
        self._client = httpx.AsyncClient(timeout=10, limits=httpx.Limits(keepalive_expiry=_KEPT_SECONDS))
        self._controlplane = ControlPlane(
            credential, settings.controlplane_url, self._client, partial(keep, credential_path(settings))
        )
        self._assignments = AssignmentStore(settings.folder / "assignments.json", credential.agent_id)
        self._spool = Spool(settings.folder / "spool", max_bytes=settings.spool_max_bytes)
        self._writer = LineWriter(
            settings.collector_url, lambda: self._controlplane.current_token, bucket=settings.bucket
        )
        self._sender = Sender(
            self._spool,
            self._writer,
            self._controlplane,
            refused_file=settings.folder / "refused.log",
            interval=settings.flush_seconds,
        )
        self._engines = Engines(
            IcmpEngine(uplink=settings.uplink),
            PlaceNames(settings.geo_asn_file, settings.geo_city_file),
            Keys(settings.keys),
        )
        self._reflector = Reflector(settings)
        self._latest = LatestPoints()
        self._memory: dict[str, Context] = {}
        self._book = RunBook(settings.folder / "run-records.json")
        self._scheduler = Scheduler(
            self._plan,
            budget=Budget(settings.budget_packets_per_second, settings.budget_bits_per_second),
            limits={Lane.SOCKET: settings.concurrency, Lane.TOOL: settings.tool_concurrency, Lane.EXCLUSIVE: 1},
            link_busy=LinkWatch(settings.busy_share, settings.busy_bits_per_second).busy,
            watcher=self._book,
        )
        self._occasions = Occasions(self._scheduler, self._book)
        self._flush: asyncio.TimerHandle | None = None
        self._written_skips: dict[tuple[str, Skip], int] = {}
        self._etag = self._assignments.current.etag() if self._assignments.current.version else ""
        self._heartbeats = Heartbeats(self._controlplane, credential, settings, self._state)
        self._process = psutil.Process()
        app = create_exporter(settings, self._exported, self._engines, self._health, self._reflector)
        self._server = QuietServer(uvicorn_config(app, settings.host, settings.port))

    @property
    def restart_wanted(self) -> bool:
        """Whether the control plane has asked for a restart."""
        return self._heartbeats.restart_wanted

    async def run(self) -> None:
        """Run until SIGINT or SIGTERM, which uvicorn takes, or until the control plane wants a restart.

        Then stop everything and write the spool to disk; `restart_wanted` says which it was.
        """
        await self._reflector.start()
        tasks = [
            asyncio.create_task(loop, name=name)
            for name, loop in {
                "assignments": self._poll_assignments(),
                "heartbeat": self._heartbeats.send_forever(),
                "sender": self._sender.run_forever(),
                "self": self._observe_self(),
                "occasions": self._occasions.run_forever(),
                "runs": self._report_runs(),
            }.items()
        ]
        self._scheduler.update(self._assignments.current.assignments)
        self._occasions.update(self._assignments.current)
        server = asyncio.create_task(self._server.serve())
        try:
            await asyncio.wait([server, *tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._server.should_exit = True
            await self._stop(tasks)
            await server
        for task in tasks:
            if not task.cancelled() and task.exception():
                raise task.exception() or AssertionError

    async def _stop(self, tasks: list[asyncio.Task[None]]) -> None:
        await self._scheduler.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._book.save()
        if self._flush is not None:
            self._flush.cancel()
        await self._reflector.close()
        self._spool.close()
        self._engines.close()
        self._writer.close()
        await self._client.aclose()

    def _plan(self, assignment: Assignment) -> Plan:
        """Check an assignment once, so that its runs have nothing to do but measure."""
        probe, spec = find_probe(assignment.probe), SPECS.get(assignment.probe)
        tags = {"test": assignment.test, **({"target": assignment.target} if assignment.target else {})}

        def take(points: list[Point]) -> None:
            if points:
                points = self._spool.add_run(assignment.id, points, tags)
                self._flush_soon()
            self._latest.put(assignment, points)
            self._book.note(assignment.id, problem_of(points[0].fields) if points else "it has measured nothing")

        begun_ns = now_ns()

        def fail(fault: Fault, detail: str) -> None:
            take(_down(assignment, begun_ns, fault, detail))

        async def refuse() -> None:
            nonlocal begun_ns
            begun_ns = now_ns()
            fail(Fault.BAD_TARGET, f"this agent doesn't take the options: {unusable}")

        async def run() -> None:
            nonlocal begun_ns
            begun_ns = now_ns()
            take(await measure(assignment.target, params, context))

        if probe is None or spec is None:
            reason = f"this agent has no probe {assignment.probe!r}; is it older than the control plane?"
            return Plan(assignment, refuse, fail, impossible=reason)
        try:
            params = spec.params.model_validate(assignment.params)
        except ValidationError as error:
            first = error.errors()[0]
            unusable = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
            return Plan(assignment, refuse, fail)
        try:
            schedule = read_schedule(assignment.schedule)
        except ValidationError as error:
            reason = f"this agent can't use the schedule: {error.errors()[0]['msg']}"
            return Plan(assignment, refuse, fail, impossible=reason)
        measure = probe.run
        context = self._memory.setdefault(assignment.id, Context(self._engines))
        plan = Plan(
            assignment,
            run,
            fail,
            spec.lane,
            spec.cost(params),
            spec.has_target,
            spec.lasts(params),
            schedule=schedule,
        )
        direct = probe.direct(assignment.target, params, context, tags) if isinstance(probe, DirectProbe) else None
        return plan if direct is None else self._plan_direct(plan, direct)

    def _plan_direct(self, plan: Plan, direct: DirectRun) -> Plan:
        """The same without a task for each run."""
        assignment, assignment_id = plan.assignment, plan.assignment.id

        def store(reported: object) -> None:
            outcome = direct.read(reported)
            self._spool.add_outcome(assignment_id, outcome)
            if self._flush is None:
                self._flush_soon()
            self._latest.put_outcome(assignment, outcome)
            self._book.note(assignment_id, outcome.problem)

        return replace(plan, direct=direct, store=store)

    def _flush_soon(self) -> None:
        """Write the points of many runs at once: a write costs more than a run."""
        if self._flush is None:
            loop = asyncio.get_running_loop()
            self._flush = loop.call_at(next_line(loop.time(), _FLUSH_SECONDS), self._flush_now)

    def _flush_now(self) -> None:
        self._flush = None
        self._spool.flush()

    async def _poll_assignments(self) -> None:
        while True:
            try:
                fresh = await self._controlplane.assignments(self._etag)
            except (Unavailable, Refused) as error:
                log.warning("going on with assignments of version %d: %s", self._assignments.current.version, error)
            else:
                if fresh is not None:
                    self._etag = fresh.etag()
                    if self._assignments.take(fresh):
                        log.info("assignments of version %d: %d", fresh.version, len(fresh.assignments))
                        self._scheduler.update(fresh.assignments, finish=fresh.draining)
                        self._occasions.update(fresh)
                        self._forget_gone(fresh.assignments)
            await asyncio.sleep(self._settings.poll_seconds)

    def _forget_gone(self, assignments: tuple[Assignment, ...]) -> None:
        known = {assignment.id for assignment in assignments}
        self._memory = {key: context for key, context in self._memory.items() if key in known}

    def _state(self) -> dict[str, int]:
        return {"assignments_version": self._assignments.current.version, "queued_points": self._spool.points}

    async def _report_runs(self) -> None:
        """Say at once what has begun or ended, and now and then what has gone on."""
        progress_at = -math.inf
        while True:
            now = time.monotonic()
            pause = max(self._settings.heartbeat_seconds, len(self._book) / _PROGRESS_RECORDS_PER_SECOND)
            progress = now >= progress_at + pause
            if progress:
                progress_at = now
            if progress or self._book.changed:
                self._book.save()
            if progress or self._book.unsent:
                await self._report_some(self._book.to_report(progress=progress))
            await asyncio.sleep(next_line(now, _REPORT_LOOK_SECONDS) - now)

    async def _report_some(self, reports: list[RunReport]) -> None:
        if not reports:
            return
        try:
            await self._controlplane.report_runs(reports)
        except Refused as error:
            if error.status in {401, 403}:
                await asyncio.sleep(self._settings.heartbeat_seconds)
                return
            # It would refuse the same again; an older control plane knows no run records.
            log.warning("the control plane doesn't take reports of runs: %s", error)
            self._book.reported(reports)
        except Unavailable as error:
            log.debug("runs are not reported: %s", error)
            await asyncio.sleep(self._settings.heartbeat_seconds)
        else:
            self._book.reported(reports)

    async def _observe_self(self) -> None:
        while True:
            await asyncio.sleep(_SELF_SECONDS)
            self._spool.add([self._self_point(), *self._new_skips()])
            self._flush_soon()
            self._scheduler.counts.lag = 0.0

    def _new_skips(self) -> Iterator[Point]:
        """What was skipped since the last time; an assignment that loses nothing has no such points."""
        counted: dict[tuple[str, Skip], int] = {}
        for skipped in self._scheduler.skipped:
            key = (skipped.assignment.id, skipped.reason)
            counted[key] = skipped.starts
            if self._written_skips.get(key) != skipped.starts:
                yield _skip_point(skipped)
        self._written_skips = counted

    def _self_point(self) -> Point:
        clock = self._heartbeats.clock
        return AGENT.point(
            {},
            time_ns=now_ns(),
            assignments=len(self._scheduler),
            runs=self._scheduler.counts.runs,
            overruns=self._scheduler.counts.overruns,
            skipped=self._scheduler.counts.skipped,
            deferred=self._scheduler.counts.deferred,
            waiting=self._scheduler.waiting,
            refused=len(self._scheduler.refused),
            lag=self._scheduler.counts.lag,
            queued_points=self._spool.points,
            queued=self._spool.size,
            oldest_queued=self._spool.oldest_age,
            dropped_points=self._spool.dropped_points,
            cpu=self._process.cpu_percent() / 100,
            memory=self._process.memory_info().rss,
            clock_offset=clock.offset if clock else None,
            clock_error=clock.error if clock else None,
        )

    def _exported(self) -> Iterator[Point]:
        yield from self._latest
        yield from map(_skip_point, self._scheduler.skipped)
        yield self._self_point()

    def _health(self) -> dict[str, object]:
        return {
            "assignments": len(self._scheduler),
            "refused": dict(self._scheduler.refused),
            "queued_points": self._spool.points,
            "sending": self._sender.failure or "ok",
        }


def _skip_point(skipped: Skipped) -> Point:
    tags = {"test": skipped.assignment.test, "target": skipped.assignment.target, "reason": skipped.reason.value}
    return RUN.point(tags, time_ns=now_ns(), skipped=skipped.starts, detail=skipped.detail)


def _down(assignment: Assignment, stamp: int, fault: Fault, detail: str) -> list[Point]:
    """The point of a run that came to nothing; a probe of the host has no such point, and leaves a gap."""
    measurement = SPECS[assignment.probe].measurements[0]
    if UP.name not in measurement:
        log.error("%s: %s", assignment.test, detail)
        return []
    return [
        measurement.point({"target": assignment.target}, time_ns=stamp, up=0, error=fault.value, error_detail=detail)
    ]
