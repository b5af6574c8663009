import json
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from streamswarm_controlplane.deps import ReaderDep, SessionDep, SettingsDep, Viewer
from streamswarm_controlplane.fields import Moment
from streamswarm_controlplane.idempotency import ApiRoute
from streamswarm_controlplane.pages import Page, PageDep
from streamswarm_controlplane.results import service
from streamswarm_controlplane.results.schemas import ResultSeries, Status
from streamswarm_controlplane.testplans.service import get_test
from streamswarm_core.clock import now, to_ns

router = APIRouter(tags=["results"], route_class=ApiRoute)


@router.get("/status", summary="Every assignment with its newest value")
def status(db: SessionDep, reader: ReaderDep, settings: SettingsDep, _viewer: Viewer) -> Status:
    """What the console's table shows, in one answer."""
    return service.status(db, reader, settings)


@router.get("/tests/{test_id}/results", summary="What a test measured")
def results(
    test_id: str,
    db: SessionDep,
    reader: ReaderDep,
    page: PageDep,
    _viewer: Viewer,
    start: Annotated[Moment | None, Query(description="From; an hour ago if not given.")] = None,
    stop: Annotated[Moment | None, Query(description="To, excluded; now if not given.")] = None,
    every: Annotated[
        float | None, Query(ge=1, le=86_400, description="Seconds of a window; raw points if not given.")
    ] = None,
    field: Annotated[list[str] | None, Query(description="Fields; the probe's main ones if not given.")] = None,
    agent: Annotated[str | None, Query(description="Only this agent's.")] = None,
) -> Page[ResultSeries]:
    """One series for each combination of tags."""
    until = stop or now()
    series = service.history(
        reader,
        get_test(db, test_id),
        start_ns=to_ns(start or until - timedelta(hours=1)),
        stop_ns=to_ns(until),
        every_seconds=every,
        fields=field or [],
        agent=agent,
    )
    return page.of(series, key=lambda one: json.dumps([one.measurement, sorted(one.tags.items())]))
