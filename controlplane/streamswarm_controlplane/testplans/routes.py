from typing import Annotated

from fastapi import APIRouter, Query, status

from streamswarm_controlplane.deps import Operator, SessionDep, Viewer
from streamswarm_controlplane.dryrun import CAN_BE_TRIED
from streamswarm_controlplane.etags import ChangingDep, ReadingDep
from streamswarm_controlplane.idempotency import ApiRoute, OnceDep
from streamswarm_controlplane.pages import Page, PageDep
from streamswarm_controlplane.testplans import service
from streamswarm_controlplane.testplans.models import TestPlan
from streamswarm_controlplane.testplans.schemas import (
    FieldPublic,
    ProbePublic,
    TestChanged,
    TestCreate,
    TestPublic,
    TestUpdate,
)
from streamswarm_core.catalogue import Kind
from streamswarm_core.probespecs import SPECS

router = APIRouter(tags=["tests"], route_class=ApiRoute)


@router.get("/probes", summary="What can be measured")
def list_probes(page: PageDep, _viewer: Viewer) -> Page[ProbePublic]:
    """With the JSON Schema of each probe's options, to build forms from."""
    probes = [
        ProbePublic(
            name=spec.name,
            title=spec.title,
            help=spec.help,
            has_target=spec.has_target,
            example_target=spec.example_target,
            timeout=spec.timeout,
            params=spec.params.model_json_schema(),
            measurements=[measurement.name for measurement in spec.measurements],
            fields=[
                FieldPublic(
                    measurement=measurement.name,
                    field=field.name,
                    help=field.help,
                    unit=field.unit.name,
                    worse=field.worse,
                )
                for measurement in spec.measurements
                for field in measurement.fields
                if field.kind is not Kind.STRING
            ],
        )
        for spec in SPECS.values()
    ]
    return page.of(probes, key=lambda probe: probe.name)


@router.get("/tests", summary="All tests")
def list_tests(
    db: SessionDep,
    page: PageDep,
    _viewer: Viewer,
    probe: Annotated[str, Query(max_length=63, description="Only tests of this probe.")] = "",
    paused: Annotated[bool | None, Query(description="Only tests that are paused, or that are not.")] = None,
    q: Annotated[str, Query(max_length=100, description="Part of name, key or target.")] = "",
) -> Page[TestPublic]:
    """Ordered by name."""
    query = service.query_tests(probe=probe, paused=paused, part=q)
    return page.read(db, query, by=[TestPlan.name, TestPlan.id], show=TestPublic.model_validate)


@router.post("/tests", dependencies=CAN_BE_TRIED, status_code=status.HTTP_201_CREATED, summary="Add a test")
def create_test(body: TestCreate, db: SessionDep, operator: Operator, _once: OnceDep) -> TestChanged:
    """And assign it to agents, if some are given."""
    return service.changed(db, service.create_test(db, operator.actor, body))


@router.get("/tests/{test_id}", summary="One test")
def get_test(test_id: str, db: SessionDep, reading: ReadingDep, _viewer: Viewer) -> TestPublic:
    """By id."""
    return reading.show(TestPublic.model_validate(service.get_test(db, test_id)))


@router.patch("/tests/{test_id}", dependencies=CAN_BE_TRIED, summary="Change, pause or resume a test")
def update_test(
    test_id: str, body: TestUpdate, db: SessionDep, changing: ChangingDep, operator: Operator
) -> TestPublic:
    """The probe and the key can't be changed: the stored series depend on them."""
    test = service.get_test(db, test_id, lock=True)
    changing.check(TestPublic.model_validate(test))
    return changing.show(TestPublic.model_validate(service.update_test(db, operator.actor, test, body)))


@router.delete(
    "/tests/{test_id}", dependencies=CAN_BE_TRIED, status_code=status.HTTP_204_NO_CONTENT, summary="Remove a test"
)
def delete_test(test_id: str, db: SessionDep, changing: ChangingDep, operator: Operator) -> None:
    """What it measured stays."""
    test = service.get_test(db, test_id, lock=True)
    changing.check(TestPublic.model_validate(test))
    service.delete_test(db, operator.actor, test)
