"""A host for calendars and requests: a real scheduler and run book, clocks that the test sets."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from streamswarm_agent.budget import Budget
from streamswarm_agent.faults import Fault
from streamswarm_agent.occasions import Occasions
from streamswarm_agent.plan import Plan, Skip
from streamswarm_agent.runbook import RunBook
from streamswarm_agent.schedule import Scheduler
from streamswarm_core.assignment import Assignment, AssignmentSet, RunReport, RunRequest
from streamswarm_core.probespecs.demand import Lane
from streamswarm_core.schedule import read_schedule
from tests.support import until
from tests.unit.agent.scheduling import quiet

NOON = datetime(2024, 7, 1, 12, 0, tzinfo=UTC)


def assignment(schedule: dict[str, object] | None, generation: int = 1, interval: float = 0.05) -> Assignment:
    return Assignment(
        id="id-1", test="t1", probe="icmp", interval=interval, timeout=5, schedule=schedule, generation=generation
    )


@dataclass
class Host:
    """An agent's schedule on a host whose clocks the test sets; it can be killed and started again."""

    folder: Path
    wall: datetime = NOON
    clock: float = 1000.0
    version: int = 0
    ran: Counter[str] = field(default_factory=Counter)
    slow: bool = False
    problem: str = ""

    def start(self) -> None:
        self.book = RunBook(self.folder / "records.json")
        self.scheduler = Scheduler(
            self._plan,
            budget=Budget(1e9, 1e12),
            limits=dict.fromkeys(Lane, 9),
            link_busy=quiet,
            watcher=self.book,
        )
        self.occasions = Occasions(self.scheduler, self.book, lambda: self.wall, lambda: self.clock)

    def _plan(self, one: Assignment) -> Plan:
        async def run() -> None:
            if self.slow:
                await asyncio.sleep(60)
            self.ran[one.test] += 1
            self.book.note(one.id, self.problem)

        def fail(_fault: Fault, detail: str, _began_ns: int) -> None:
            self.book.note(one.id, detail)

        return Plan(one, run, fail, schedule=read_schedule(one.schedule))

    def take(self, *assignments: Assignment, run_now: tuple[RunRequest, ...] = (), stop: tuple[str, ...] = ()) -> None:
        self.version += 1
        fresh = AssignmentSet(agent_id="a", version=self.version, assignments=assignments, run_now=run_now, stop=stop)
        self.scheduler.update(fresh.assignments)
        self.occasions.update(fresh)

    def passes(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.clock += seconds
        self.occasions.look()

    async def kill(self, *assignments: Assignment, away: float = 0.0) -> None:
        """Nothing is saved that wasn't; then the next process starts with the set it finds on disk."""
        lost = self.book
        lost.save = lambda *, whole=False: None  # type: ignore[method-assign] # noqa: ARG005 # a process that is killed saves nothing more
        await self.scheduler.close()
        self.wall += timedelta(seconds=away)
        self.start()
        self.take(*assignments)

    def records(self) -> dict[str, list[RunReport]]:
        found: dict[str, list[RunReport]] = {}
        for report in self.book.to_report(progress=True):
            found.setdefault(report.status.value, []).append(report)
        return found

    def skipped(self) -> dict[Skip, int]:
        return {one.reason: one.starts for one in self.scheduler.skipped}


def cron(expression: str, **more: object) -> dict[str, object]:
    return {"kind": "cron", "cron": expression, "zone": "UTC", **more}


def once(minutes: float, **more: object) -> dict[str, object]:
    return {"kind": "once", "at": (NOON + timedelta(minutes=minutes)).isoformat(), **more}


def request(name: str = "run-1", seconds: float = 600) -> RunRequest:
    return RunRequest(id=name, assignment_id="id-1", expires_at=NOON + timedelta(seconds=seconds))


async def settled(host: Host, count: int) -> None:
    """Until so many runs have come, and no further one follows."""
    await until(lambda: host.ran["t1"] >= count)
    await asyncio.sleep(0.15)
    assert host.ran["t1"] == count
