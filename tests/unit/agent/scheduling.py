"""A scheduler whose runs are what a test says."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from streamswarm_agent.budget import Budget
from streamswarm_agent.faults import Fault
from streamswarm_agent.plan import Plan, Skip
from streamswarm_agent.probes.direct import DirectRun, Reading
from streamswarm_agent.schedule import Scheduler
from streamswarm_core.assignment import Assignment
from streamswarm_core.probespecs.demand import Lane, RunCost

LIMITS = {Lane.SOCKET: 10, Lane.TOOL: 2, Lane.EXCLUSIVE: 1}


def assignment(number: int = 1, interval: float = 0.05, **changes: object) -> Assignment:
    values = {"id": f"id-{number}", "test": f"t{number}", "probe": "icmp", "interval": interval, "timeout": 30.0}
    return Assignment.model_validate(values | changes)


async def quiet() -> str | None:
    return None


@dataclass
class Bench:
    """A scheduler whose runs are what the test says."""

    run: Callable[[Assignment], Awaitable[None]]
    lanes: Mapping[str, Lane] = field(default_factory=dict)
    cost: RunCost = field(default_factory=RunCost)
    budget: Budget = field(default_factory=lambda: Budget(1e9, 1e12))
    link_busy: Callable[[], Awaitable[str | None]] = quiet
    lasts: Mapping[str, float] = field(default_factory=dict)
    impossible: Mapping[str, str] = field(default_factory=dict)
    without_target: frozenset[str] = frozenset()
    failures: list[tuple[str, Fault, str]] = field(default_factory=list)
    planned: Counter[str] = field(default_factory=Counter)
    direct: Callable[[Assignment], DirectRun] | None = None
    stored: list[object] = field(default_factory=list)

    def make(self, limits: Mapping[Lane, int] = LIMITS) -> Scheduler:
        return Scheduler(self.plan, budget=self.budget, limits=limits, link_busy=self.link_busy)

    def plan(self, one: Assignment) -> Plan:
        self.planned[one.test] += 1

        async def run() -> None:
            await self.run(one)

        def fail(fault: Fault, detail: str, _began_ns: int) -> None:
            self.failures.append((one.test, fault, detail))

        lane = self.lanes.get(one.test, Lane.SHARED)
        lasts, impossible = self.lasts.get(one.test, 0.0), self.impossible.get(one.test, "")
        has_target = one.test not in self.without_target
        plan = Plan(one, run, fail, lane, self.cost, has_target, lasts=lasts, impossible=impossible)
        return replace(plan, direct=self.direct(one), store=self.store) if self.direct else plan

    def store(self, outcome: object) -> None:
        if outcome == "mistaken":
            raise KeyError("outcome")
        self.stored.append(outcome)


@dataclass
class Direct:
    """A run without a task, which reports what the test says, at once, later or never."""

    outcome: object
    after: float | None = 0.0
    reports: list[Callable[[object], None]] = field(default_factory=list)
    stopped: int = 0

    def start(self, report: Callable[[object], None]) -> None:
        self.reports.append(report)
        if self.outcome == "impossible":
            raise KeyError("start")
        if self.after == 0:
            report(self.outcome)
        elif self.after is not None:
            asyncio.get_running_loop().call_later(self.after, report, self.outcome)

    def stop(self) -> None:
        self.stopped += 1

    def read(self, outcome: object) -> Reading:
        raise AssertionError(outcome)


def reasons(scheduler: Scheduler) -> dict[tuple[str, Skip], int]:
    return {(one.assignment.test, one.reason): one.starts for one in scheduler.skipped}


Make = Callable[[Bench], Scheduler]
