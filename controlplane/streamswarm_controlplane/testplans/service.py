import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from streamswarm_controlplane.assignments import service as assignments
from streamswarm_controlplane.audit.service import Actor, record, with_secrets
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.testplans.models import TestPlan
from streamswarm_controlplane.testplans.schemas import TestCreate, TestUpdate
from streamswarm_core.clock import now
from streamswarm_core.probespecs import REVEAL, SPECS, ProbeSpec

_AUDITED = ("name", "probe", "target", "params", "interval", "timeout", "paused")


def query_tests(*, probe: str = "", paused: bool | None = None, part: str = "") -> Select[TestPlan]:
    """All tests, or those of a probe, paused or not, or with a part in their name, key or target."""
    query = select(TestPlan)
    if probe:
        query = query.where(TestPlan.probe == probe)
    if paused is not None:
        query = query.where(TestPlan.paused.is_(paused))
    if part:
        named = (column.icontains(part, autoescape=True) for column in (TestPlan.name, TestPlan.key, TestPlan.target))
        query = query.where(or_(*named))
    return query


def get_test(db: Session, test_id: str, *, lock: bool = False) -> TestPlan:
    """One test; locked if it is to be changed.

    Raises:
        ApiError: 404.
    """
    test = db.get(TestPlan, test_id, with_for_update=lock or None)
    if test is None:
        raise ApiError(404, f"no test with the id {test_id}")
    return test


def create_test(db: Session, actor: Actor, new: TestCreate) -> TestPlan:
    """Add a test and assign it to agents.

    Raises:
        ApiError: 409 if the key is taken, 422 for options that the probe doesn't take, 404 for an unknown agent.
    """
    spec = _spec(new.probe)
    if spec.has_target and not new.target:
        raise ApiError(422, f"the probe {spec.name} needs a target, such as {spec.example_target}", field="body.target")
    key = new.key or _free_key(db, new.name)
    if db.scalar(select(TestPlan.id).where(TestPlan.key == key)):
        raise ApiError(409, f"a test with the key {key!r} exists; choose another", field="body.key")
    test = TestPlan(
        key=key,
        name=new.name,
        probe=new.probe,
        target=new.target if spec.has_target else "",
        params=_checked(spec, new.params),
        interval=new.interval,
        timeout=new.timeout or min(spec.timeout, 600.0),
        created_at=now(),
        updated_at=now(),
    )
    db.add(test)
    db.flush()
    record(db, actor, "test.create", key, after=_audited(test))
    for agent_id in dict.fromkeys(new.agent_ids):
        assignments.assign(db, actor, test, agent_id)
    return test


def update_test(db: Session, actor: Actor, test: TestPlan, change: TestUpdate) -> TestPlan:
    """Change a test; its agents get the change with their next poll.

    Raises:
        ApiError: 422 for options that the probe doesn't take.
    """
    before = _audited(test)
    values = change.model_dump(exclude_none=True)
    if "params" in values:
        values["params"] = _checked(_spec(test.probe), with_secrets(values["params"], test.params))
    if values.get("target") == "" and _spec(test.probe).has_target:
        raise ApiError(422, f"the probe {test.probe} needs a target", field="body.target")
    for name, value in values.items():
        setattr(test, name, value)
    test.updated_at = now()
    record(db, actor, "test.update", test.key, before=before, after=_audited(test))
    assignments.bump(db, assignments.agents_of(db, test))
    return test


def delete_test(db: Session, actor: Actor, test: TestPlan) -> None:
    """Remove a test with its assignments; what it measured stays."""
    agents = assignments.agents_of(db, test)
    record(db, actor, "test.delete", test.key, before=_audited(test))
    assignments.drop_all(db, test)
    db.delete(test)
    assignments.bump(db, agents)


def _spec(probe: str) -> ProbeSpec:
    spec = SPECS.get(probe)
    if spec is None:
        raise ApiError(422, f"no probe {probe!r}; one of {', '.join(SPECS)}", field="body.probe")
    return spec


def _checked(spec: ProbeSpec, params: Mapping[str, Any]) -> dict[str, Any]:
    """The options as they were given, once the probe's model has accepted them."""
    try:
        return spec.params.model_validate(params).model_dump(mode="json", exclude_unset=True, context=REVEAL)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(["body.params", *(str(part) for part in first["loc"])])
        raise ApiError(422, f"{path}: {first['msg']}", field=path) from None


def _audited(test: TestPlan) -> dict[str, Any]:
    return {name: getattr(test, name) for name in _AUDITED}


def _free_key(db: Session, name: str) -> str:
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    base = re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")[:50] or "test"
    taken = set(db.scalars(select(TestPlan.key).where(TestPlan.key.startswith(base))))
    candidates = (base if number == 1 else f"{base}-{number}" for number in range(1, len(taken) + 2))
    return next(key for key in candidates if key not in taken)
