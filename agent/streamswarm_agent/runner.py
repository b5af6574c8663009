"""The agent put together: what it has to run, how it runs it, where the points go."""

import asyncio
import logging
import signal
from collections.abc import Iterator
from functools import partial
from typing import Final

import httpx

from streamswarm_agent.assignments import AssignmentStore
from streamswarm_agent.budget import Budget
from streamswarm_agent.controlplane import ControlPlane
from streamswarm_agent.descriptors import claim_descriptors
from streamswarm_agent.enrol import Credential, credential_path, keep
from streamswarm_agent.exporter import create_exporter
from streamswarm_agent.heartbeats import Heartbeats
from streamswarm_agent.latest import LatestPoints
from streamswarm_agent.net.bulk.link import LinkWatch
from streamswarm_agent.net.icmp.engine import IcmpEngine
from streamswarm_agent.net.keys import Keys
from streamswarm_agent.net.path.geo import PlaceNames
from streamswarm_agent.occasions import Occasions
from streamswarm_agent.planner import Planner
from streamswarm_agent.probes import Engines
from streamswarm_agent.runbook import RunBook
from streamswarm_agent.runreports import RunReports
from streamswarm_agent.schedule import Scheduler
from streamswarm_agent.selfobservation import SelfObservation
from streamswarm_agent.sender import Sender
from streamswarm_agent.settings import AgentSettings
from streamswarm_agent.spool import Flush, Spool
from streamswarm_core.errors import Refused, Unavailable
from streamswarm_core.outbound import trusted
from streamswarm_core.point import Point
from streamswarm_core.probespecs.demand import Lane
from streamswarm_core.reflector.service import Reflector
from streamswarm_core.serve import QuietServer, uvicorn_config
from streamswarm_core.writer import LineWriter

log = logging.getLogger(__name__)

_KEPT_SECONDS: Final = 60.0
"""An idle connection to the control plane; shorter than that keeps it, so that no request meets a closing one."""


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
        self._client = httpx.AsyncClient(
            timeout=10, limits=httpx.Limits(keepalive_expiry=_KEPT_SECONDS), verify=trusted()
        )
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
        places = PlaceNames(settings.geo_asn_file, settings.geo_city_file)
        self._engines = Engines(
            IcmpEngine(uplink=settings.uplink),
            places,
            Keys(settings.keys, settings.key_hosts),
        )
        self._reflector = Reflector(settings)
        self._latest = LatestPoints()
        self._book = RunBook(settings.folder / "run-records.json")
        self._flush = Flush(self._spool)
        self._planner = Planner(self._spool, self._flush, self._latest, self._book, self._engines)
        self._scheduler = Scheduler(
            self._planner.plan,
            budget=Budget(settings.budget_packets_per_second, settings.budget_bits_per_second),
            limits={
                Lane.SOCKET: claim_descriptors(settings.concurrency),
                Lane.TOOL: settings.tool_concurrency,
                Lane.EXCLUSIVE: 1,
            },
            link_busy=LinkWatch(settings.busy_share, settings.busy_bits_per_second).busy,
            watcher=self._book,
        )
        self._occasions = Occasions(self._scheduler, self._book)
        self._etag = self._assignments.current.etag() if self._assignments.current.version else ""
        self._heartbeats = Heartbeats(self._controlplane, credential, settings, self._state, places)
        self._reports = RunReports(self._controlplane, self._book, settings.heartbeat_seconds)
        self._observation = SelfObservation(self._scheduler, self._spool, self._flush, self._heartbeats, places)
        app = create_exporter(settings, self._exported, self._engines, self._health, self._reflector)
        self._server = QuietServer(uvicorn_config(app, settings.host, settings.port))

    @property
    def restart_wanted(self) -> bool:
        """Whether the control plane has asked for a restart."""
        return self._heartbeats.restart_wanted

    async def run(self) -> None:
        """Run until SIGINT or SIGTERM, which uvicorn takes, until SIGHUP, or until the control plane wants a restart.

        Then stop everything and write the spool to disk; `restart_wanted` says which it was.
        """
        await self._reflector.start()
        tasks = [
            asyncio.create_task(loop, name=name)
            for name, loop in {
                "assignments": self._poll_assignments(),
                "heartbeat": self._heartbeats.send_forever(),
                "sender": self._sender.run_forever(),
                "self": self._observation.write_forever(),
                "occasions": self._occasions.run_forever(),
                "runs": self._reports.send_forever(),
            }.items()
        ]
        self._scheduler.update(self._assignments.current.assignments)
        self._occasions.update(self._assignments.current)
        # Of a terminal that is closed. Under nohup the signal stays ignored.
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._server.stop)
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
        self._book.save(whole=True)
        self._flush.cancel()
        await self._reflector.close()
        self._spool.close()
        self._engines.close()
        self._writer.close()
        await self._client.aclose()

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
                        self._planner.forget(fresh.assignments)
            await asyncio.sleep(self._settings.poll_seconds)

    def _state(self) -> dict[str, int]:
        return {"assignments_version": self._assignments.current.version, "queued_points": self._spool.points}

    def _exported(self) -> Iterator[Point]:
        yield from self._latest
        yield from self._observation.exported()

    def _health(self) -> dict[str, object]:
        return {
            "assignments": len(self._scheduler),
            "refused": dict(self._scheduler.refused),
            "queued_points": self._spool.points,
            "sending": self._sender.failure or "ok",
        }
