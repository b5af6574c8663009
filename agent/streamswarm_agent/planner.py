"""Assignments made ready: what a run of each measures, and where its points go."""

import logging
from collections.abc import Iterable
from dataclasses import replace

from pydantic import ValidationError

from streamswarm_agent.faults import Fault
from streamswarm_agent.latest import LatestPoints
from streamswarm_agent.plan import Plan
from streamswarm_agent.probes import Context, Engines, find_probe
from streamswarm_agent.probes.direct import DirectProbe, DirectRun, problem_of
from streamswarm_agent.runbook import RunBook
from streamswarm_agent.spool import Flush, Spool
from streamswarm_core.assignment import Assignment
from streamswarm_core.catalogue.common import UP
from streamswarm_core.clock import now_ns
from streamswarm_core.point import Point
from streamswarm_core.probespecs import SPECS
from streamswarm_core.schedule import read_schedule

log = logging.getLogger(__name__)


class Planner:
    """Makes assignments ready to run.

    Args:
        spool: takes the points.
        flush: of the spool.
        latest: is shown the newest of each assignment.
        book: notes what each run came to.
        engines: what all runs share.
    """

    def __init__(
        self,
        spool: Spool,
        flush: Flush,
        latest: LatestPoints,
        book: RunBook,
        engines: Engines,
    ) -> None:
        self._spool = spool
        self._flush = flush
        self._latest = latest
        self._book = book
        self._engines = engines
        self._memory: dict[str, Context] = {}

    def plan(self, assignment: Assignment) -> Plan:
        """Check an assignment once, so that its runs have nothing to do but measure."""
        probe, spec = find_probe(assignment.probe), SPECS.get(assignment.probe)
        tags = {"test": assignment.test, **({"target": assignment.target} if assignment.target else {})}

        def take(points: list[Point]) -> None:
            if points:
                points = self._spool.add_run(assignment.id, points, tags)
                self._flush.soon()
            self._latest.put(assignment, points)
            self._book.note(assignment.id, problem_of(points[0].fields) if points else "it has measured nothing")

        def fail(fault: Fault, detail: str, began_ns: int) -> None:
            take(_down(assignment, began_ns, fault, detail))

        async def refuse() -> None:
            fail(Fault.BAD_TARGET, f"this agent doesn't take the options: {unusable}", now_ns())

        async def run() -> None:
            take(await measure(assignment.target, params, context))

        if probe is None or spec is None:
            reason = f"this agent has no probe {assignment.probe!r}; is it older than the control plane?"
            return Plan(assignment, refuse, fail, impossible=reason)
        try:
            params = spec.params.model_validate(assignment.params).within(assignment.timeout)
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
            self._flush.soon()
            self._latest.put_outcome(assignment, outcome)
            self._book.note(assignment_id, outcome.problem)

        return replace(plan, direct=direct, store=store)

    def forget(self, known: Iterable[Assignment]) -> None:
        """Drop what is remembered of earlier runs of other assignments than these."""
        kept = {assignment.id for assignment in known}
        self._memory = {key: context for key, context in self._memory.items() if key in kept}


def _down(assignment: Assignment, stamp: int, fault: Fault, detail: str) -> list[Point]:
    """The point of a run that came to nothing; a probe of the host has no such point, and leaves a gap."""
    measurement = SPECS[assignment.probe].measurements[0]
    if UP.name not in measurement:
        log.error("%s: %s", assignment.test, detail)
        return []
    return [
        measurement.point({"target": assignment.target}, time_ns=stamp, up=0, error=fault.value, error_detail=detail)
    ]
