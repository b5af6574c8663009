from fastapi import APIRouter, status

from streamswarm_controlplane.deps import Operator, SessionDep, Viewer
from streamswarm_controlplane.testplans import service
from streamswarm_controlplane.testplans.models import TestPlan
from streamswarm_controlplane.testplans.schemas import ProbePublic, TestCreate, TestPublic, TestUpdate
from streamswarm_core.probespecs import SPECS

router = APIRouter(tags=["tests"])


@router.get("/probes", summary="What can be measured")
def list_probes(_viewer: Viewer) -> list[ProbePublic]:
    """With the JSON Schema of each probe's options, to build forms from."""
    return [
        ProbePublic(
            name=spec.name,
            title=spec.title,
            help=spec.help,
            has_target=spec.has_target,
            example_target=spec.example_target,
            timeout=spec.timeout,
            params=spec.params.model_json_schema(),
            measurements=[measurement.name for measurement in spec.measurements],
        )
        for spec in SPECS.values()
    ]


@router.get("/tests", response_model=list[TestPublic], summary="All tests")
def list_tests(db: SessionDep, _viewer: Viewer) -> list[TestPlan]:
    """Ordered by name."""
    return list(service.list_tests(db))


@router.post("/tests", status_code=status.HTTP_201_CREATED, response_model=TestPublic, summary="Add a test")
def create_test(body: TestCreate, db: SessionDep, operator: Operator) -> TestPlan:
    """And assign it to agents, if some are given."""
    return service.create_test(db, operator.actor, body)


@router.get("/tests/{test_id}", response_model=TestPublic, summary="One test")
def get_test(test_id: str, db: SessionDep, _viewer: Viewer) -> TestPlan:
    """By id."""
    return service.get_test(db, test_id)


@router.patch("/tests/{test_id}", response_model=TestPublic, summary="Change, pause or resume a test")
def update_test(test_id: str, body: TestUpdate, db: SessionDep, operator: Operator) -> TestPlan:
    """The probe and the key can't be changed: the stored series depend on them."""
    return service.update_test(db, operator.actor, service.get_test(db, test_id), body)


@router.delete("/tests/{test_id}", status_code=status.HTTP_204_NO_CONTENT, summary="Remove a test")
def delete_test(test_id: str, db: SessionDep, operator: Operator) -> None:
    """What it measured stays."""
    service.delete_test(db, operator.actor, service.get_test(db, test_id))
