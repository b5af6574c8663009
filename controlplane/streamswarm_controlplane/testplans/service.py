from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from streamswarm_controlplane.assignments import limits, selection
from streamswarm_controlplane.assignments import service as assignments
from streamswarm_controlplane.assignments.models import AssignmentRow
from streamswarm_controlplane.assignments.turn import take_turn
from streamswarm_controlplane.audit.service import Actor, record, with_secrets
from streamswarm_controlplane.lookup import get_or_404
from streamswarm_controlplane.pages import having
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.testplans import checks
from streamswarm_controlplane.testplans.models import TestPlan
from streamswarm_controlplane.testplans.names import claim_name, fold_name, free_key
from streamswarm_controlplane.testplans.schemas import TestChanged, TestCreate, TestUpdate
from streamswarm_core.clock import now
from streamswarm_core.schedule import (
    ALWAYS,
    CronSchedule,
    IntervalSchedule,
    OnceSchedule,
    Recurrence,
    Schedule,
    read_schedule,
    write_schedule,
)
from streamswarm_core.thresholds import Objective

_AUDITED: Final = (
    "name",
    "probe",
    "target",
    "params",
    "interval",
    "timeout",
    "schedule",
    "generation",
    "selector",
    "thresholds",
    "objective",
    "paused",
)


def query_tests(*, probe: str = "", paused: bool | None = None, part: str = "") -> Select[TestPlan]:
    """All tests, or those of a probe, paused or not, or with a part in their name, key or target."""
    query = select(TestPlan)
    if probe:
        query = query.where(TestPlan.probe == probe)
    if paused is not None:
        query = query.where(TestPlan.paused.is_(paused))
    return having(query, part, TestPlan.name, TestPlan.key, TestPlan.target)


def get_test(db: Session, test_id: str, *, lock: bool = False) -> TestPlan:
    """One test; locked if it is to be changed.

    Raises:
        ApiError: 404.
    """
    if lock:
        take_turn(db)
    return get_or_404(db, TestPlan, test_id, "test", lock=lock)


def create_test(db: Session, actor: Actor, new: TestCreate) -> TestPlan:
    """Add a test and assign it to agents.

    Raises:
        ApiError: 409 if its name or key is taken or an agent can't bear it, 422 for what the probe doesn't take, 404
            for an unknown agent.
    """
    take_turn(db)
    spec = checks.find_spec(new.probe)
    checks.check_thresholds(spec, new.thresholds)
    key = new.key or free_key(db, new.name)
    if db.scalar(select(TestPlan.id).where(TestPlan.key == key)):
        raise ApiError(409, f"a test with the key {key!r} exists; choose another", field="body.key")
    test = TestPlan(
        key=key,
        name=new.name,
        name_key=claim_name(db, new.name),
        probe=new.probe,
        target=checks.check_target(spec, new.target),
        params=checks.check_params(spec, new.params),
        interval=new.interval,
        timeout=new.timeout or min(spec.timeout, 600.0),
        schedule=stored_schedule(new.schedule),
        selector=new.selector,
        thresholds=[one.model_dump(mode="json", exclude_defaults=True) for one in new.thresholds],
        objective=new.objective.model_dump(mode="json") if new.objective else None,
        paused=new.paused,
        created_at=now(),
        updated_at=now(),
    )
    db.add(test)
    db.flush()
    record(db, actor, "test.create", key, after=audited(test))
    assignments.assign_only(db, actor, test, new.agent_ids)
    selection.reselect_test(db, actor, test)
    return test


def update_test(db: Session, actor: Actor, test: TestPlan, change: TestUpdate) -> TestPlan:
    """Change a test; its agents get the change with their next poll, and a run under way is ended by it.

    What is as it is wanted already is left as it is, here as with all other things: scripts say the same again.

    Raises:
        ApiError: 409 if the name is taken or an agent can't bear it, 422 for what the probe doesn't take, or for
            secrets that would go to another host, 404 for an unknown agent.
    """
    spec = checks.find_spec(test.probe)
    before, load = audited(test), limits.load_of(test)
    values = {name: getattr(change, name) for name in change.model_fields_set}
    agent_ids = values.pop("agent_ids", None)
    if "name" in values and fold_name(values["name"]) != fold_name(test.name):
        values["name_key"] = claim_name(db, values["name"], test.id)
    if "target" in values:
        values["target"] = checks.check_target(spec, values["target"])
        checks.refuse_moved_secrets(test.params, values.get("params"), before=test.target, after=values["target"])
    if "params" in values:
        values["params"] = checks.check_params(spec, with_secrets(values["params"], test.params))
    if "thresholds" in values:
        checks.check_thresholds(spec, values["thresholds"])
    if values.get("selector"):
        selection.parse(values["selector"])
    stored = {name: _stored(value) for name, value in values.items()}
    if _begins_anew(test, stored):
        stored["generation"] = test.generation + 1
    for name, value in stored.items():
        setattr(test, name, value)
    if db.is_modified(test):
        test.updated_at = now()
        db.flush()
        agents = [row.agent for row in db.scalars(select(AssignmentRow).where(AssignmentRow.test_id == test.id))]
        limits.refuse_overload(db, agents, test, load)
        record(db, actor, "test.update", test.key, before=before, after=audited(test))
    if agent_ids is not None:
        assignments.assign_only(db, actor, test, agent_ids)
    if "selector" in values:
        selection.reselect_test(db, actor, test)
    if before != audited(test):
        assignments.bump(db, assignments.agents_of(db, test))
    return test


def _stored(value: Any) -> Any:
    """A field of a request as the table has it."""
    match value:
        case IntervalSchedule() | CronSchedule() | OnceSchedule():
            return stored_schedule(value)
        case Objective():
            return value.model_dump(mode="json")
        case [*thresholds]:
            return [one.model_dump(mode="json", exclude_defaults=True) for one in thresholds]
    return value


def _begins_anew(test: TestPlan, values: Mapping[str, Any]) -> bool:
    """Whether a change ends the run record that goes on: as its schedule asks for, or for another kind of schedule."""
    before, schedule = read_schedule(test.schedule), read_schedule(values.get("schedule", test.schedule))
    if before.kind != schedule.kind or before.recurrence != schedule.recurrence:
        return True
    if not isinstance(schedule, IntervalSchedule) or schedule.recurrence is Recurrence.CONTINUE:
        return False
    measured = ("target", "params", "interval", "timeout", "schedule")
    changed = any(name in values and values[name] != getattr(test, name) for name in measured)
    return changed or (test.paused and values.get("paused") is False)


def stored_schedule(schedule: Schedule) -> dict[str, Any] | None:
    """The schedule as the table has it: null for always."""
    return None if schedule == ALWAYS else write_schedule(schedule)


def delete_test(db: Session, actor: Actor, test: TestPlan) -> None:
    """Remove a test with its assignments; what it measured stays, and so do its run records."""
    agents = assignments.agents_of(db, test)
    record(db, actor, "test.delete", test.key, before=audited(test))
    assignments.drop_all(db, test)
    db.delete(test)
    db.flush()
    assignments.bump(db, agents)


def audited(test: TestPlan) -> dict[str, Any]:
    """What of a test the audit log keeps."""
    return {name: getattr(test, name) for name in _AUDITED}


def changed(db: Session, test: TestPlan) -> TestChanged:
    """The test as it is shown after a change, with warnings."""
    shown = TestChanged.model_validate(test, from_attributes=True)
    return shown.model_copy(update={"warnings": limits.duplicates(db, test)})
