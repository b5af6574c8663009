"""What can be done to a test beside changing it: pause, resume, run now, stop, restart, copy; to many at once, too."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from streamswarm_controlplane.assignments import limits
from streamswarm_controlplane.assignments import service as assignments
from streamswarm_controlplane.assignments.models import AssignmentRow
from streamswarm_controlplane.audit.service import Actor, record
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.runs import service as runs
from streamswarm_controlplane.runs.models import RunRecord
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_controlplane.testplans import checks
from streamswarm_controlplane.testplans.models import TestPlan
from streamswarm_controlplane.testplans.names import free_copy_name
from streamswarm_controlplane.testplans.schemas import BulkItem, TestClone, TestCreate, TestUpdate
from streamswarm_controlplane.testplans.service import audited, create_test, delete_test, get_test, update_test
from streamswarm_core.clock import now
from streamswarm_core.schedule import IntervalSchedule, read_schedule


class BulkAction(StrEnum):
    """What can be done to many tests at once."""

    PAUSE = "pause"
    RESUME = "resume"
    RUN = "run"
    STOP = "stop"
    RESTART = "restart"
    DELETE = "delete"


def pause(db: Session, actor: Actor, test: TestPlan) -> TestPlan:
    """Let it run no more until it is resumed; a run record that goes on stays open."""
    return update_test(db, actor, test, TestUpdate(paused=True))


def resume(db: Session, actor: Actor, test: TestPlan) -> TestPlan:
    """Let it run again.

    Raises:
        ApiError: 409 if an agent can't bear it any more.
    """
    return update_test(db, actor, test, TestUpdate(paused=False))


def stop(db: Session, actor: Actor, test: TestPlan) -> TestPlan:
    """End what of it is under way.

    A test that goes on is paused by that, and its run record is closed. One with a calendar has its next start when it
    comes.
    """
    why = f"stopped by {actor.name}"
    if runs.one_record(test):
        runs.stop_all(db, test, why, at_once=True)
        before = audited(test)
        test.paused = isinstance(read_schedule(test.schedule), IntervalSchedule) or test.paused
        test.generation += 1
        test.updated_at = now()
        record(db, actor, "test.stop", test.key, before=before, after=audited(test))
    else:
        runs.stop_all(db, test, why, at_once=False)
        record(db, actor, "test.stop", test.key)
    db.flush()
    assignments.bump(db, assignments.agents_of(db, test))
    return test


def restart(db: Session, actor: Actor, settings: ControlPlaneSettings, test: TestPlan) -> TestPlan:
    """End what of it is under way, and begin anew with a new run record; resumes it if it is paused.

    Raises:
        ApiError: 409 if no agent runs it, or one can't bear it any more.
    """
    load = limits.load_of(test)
    why = f"restarted by {actor.name}"
    goes_on = isinstance(read_schedule(test.schedule), IntervalSchedule)
    runs.stop_all(db, test, why, at_once=goes_on)
    before = audited(test)
    test.paused = False
    test.updated_at = now()
    if goes_on:
        test.generation += 1
    db.flush()
    agents = [row.agent for row in db.scalars(select(AssignmentRow).where(AssignmentRow.test_id == test.id))]
    limits.refuse_overload(db, agents, test, load)
    record(db, actor, "test.restart", test.key, before=before, after=audited(test))
    if goes_on:
        assignments.bump(db, [agent.id for agent in agents])
    else:
        runs.ask(db, actor, settings, test)
    return test


def run_now(db: Session, actor: Actor, settings: ControlPlaneSettings, test: TestPlan) -> list[RunRecord]:
    """Run it once now on each of its agents, beside its schedule.

    Raises:
        ApiError: 409.
    """
    return runs.ask(db, actor, settings, test)


def clone(db: Session, actor: Actor, test: TestPlan, changes: TestClone) -> TestPlan:
    """A copy with a key of its own, paused unless said; its secrets go along only to the same host.

    Raises:
        ApiError: as `create_test`, or 422 for secrets that would go to another host.
    """
    target = test.target if changes.target is None else changes.target
    checks.refuse_moved_secrets(test.params, None, before=test.target, after=target)
    assigned = select(AssignmentRow.agent_id).where(AssignmentRow.test_id == test.id, AssignmentRow.explicit)
    copy = TestCreate.model_validate(
        {
            "name": changes.name or free_copy_name(db, test.name),
            "key": changes.key,
            "probe": test.probe,
            "target": target,
            "params": test.params,
            "interval": test.interval,
            "timeout": test.timeout,
            "schedule": test.schedule or {"kind": "interval"},
            "thresholds": test.thresholds,
            "objective": test.objective,
            "paused": changes.paused,
            **({"agent_ids": list(db.scalars(assigned)), "selector": test.selector} if changes.with_agents else {}),
        }
    )
    return create_test(db, actor, copy)


def bulk(
    db: Session, actor: Actor, settings: ControlPlaneSettings, action: BulkAction, test_ids: Sequence[str]
) -> list[BulkItem]:
    """Do one thing to many tests; what is refused of some of them keeps none of the others from it."""
    return [_one_of_bulk(db, actor, settings, action, test_id) for test_id in dict.fromkeys(test_ids)]


def _one_of_bulk(
    db: Session, actor: Actor, settings: ControlPlaneSettings, action: BulkAction, test_id: str
) -> BulkItem:
    do: Mapping[BulkAction, Callable[[TestPlan], object]] = {
        BulkAction.PAUSE: lambda test: pause(db, actor, test),
        BulkAction.RESUME: lambda test: resume(db, actor, test),
        BulkAction.RUN: lambda test: run_now(db, actor, settings, test),
        BulkAction.STOP: lambda test: stop(db, actor, test),
        BulkAction.RESTART: lambda test: restart(db, actor, settings, test),
        BulkAction.DELETE: lambda test: delete_test(db, actor, test),
    }
    try:
        with db.begin_nested():
            do[action](get_test(db, test_id, lock=True))
    except ApiError as error:
        return BulkItem(id=test_id, ok=False, status=error.problem.status, detail=error.problem.detail)
    return BulkItem(id=test_id, ok=True, status=_DONE[action])


_DONE: Final = {action: 204 if action is BulkAction.DELETE else 200 for action in BulkAction}
