from fastapi import APIRouter, status

from streamswarm_controlplane.deps import Operator, SessionDep, Viewer
from streamswarm_controlplane.dryrun import CAN_BE_TRIED
from streamswarm_controlplane.etags import ChangingDep, ReadingDep
from streamswarm_controlplane.idempotency import ApiRoute, OnceDep
from streamswarm_controlplane.maintenance import service
from streamswarm_controlplane.maintenance.models import MaintenanceWindow
from streamswarm_controlplane.maintenance.schemas import MaintenanceChanged, MaintenanceCreate, MaintenancePublic
from streamswarm_controlplane.pages import Page, PageDep, PartOfName, having
from streamswarm_core.clock import now

router = APIRouter(prefix="/maintenance", tags=["maintenance"], route_class=ApiRoute)


@router.get("", summary="All maintenance windows")
def list_windows(db: SessionDep, page: PageDep, _viewer: Viewer, q: PartOfName = "") -> Page[MaintenancePublic]:
    """Newest first, with whether each silences now."""
    at = now()
    by = [MaintenanceWindow.created_at, MaintenanceWindow.id]
    query = having(service.query_windows(), q, MaintenanceWindow.name)
    return page.read(db, query, by=by, show=lambda window: service.public(window, at), descending=True)


@router.get("/active", summary="What is silenced now")
def list_active_windows(db: SessionDep, page: PageDep, _viewer: Viewer) -> Page[MaintenancePublic]:
    """Only alerts are: monitoring goes on."""
    at = now()
    active = [service.public(window, at) for window in service.active_windows(db, at)]
    return page.of(active, key=lambda window: window.id)


@router.post("", dependencies=CAN_BE_TRIED, status_code=status.HTTP_201_CREATED, summary="Add a maintenance window")
def create_window(body: MaintenanceCreate, db: SessionDep, operator: Operator, _once: OnceDep) -> MaintenanceChanged:
    """Once, or recurring by a cron expression."""
    return service.changed(service.create_window(db, operator.actor, body), now())


@router.get("/{window_id}", summary="One maintenance window")
def get_window(window_id: str, db: SessionDep, reading: ReadingDep, _viewer: Viewer) -> MaintenancePublic:
    """By id."""
    return reading.show(service.public(service.get_window(db, window_id), now()))


@router.put("/{window_id}", dependencies=CAN_BE_TRIED, summary="Change a maintenance window")
def replace_window(
    window_id: str, body: MaintenanceCreate, db: SessionDep, changing: ChangingDep, operator: Operator
) -> MaintenanceChanged:
    """All of it: what isn't given is as in a new one."""
    window = service.get_window(db, window_id, lock=True)
    changing.check(service.public(window, now()))
    service.replace_window(db, operator.actor, window, body)
    changing.show(service.public(window, now()))
    return service.changed(window, now())


@router.post("/{window_id}/end", summary="End a maintenance window")
def end_window(window_id: str, db: SessionDep, operator: Operator, _once: OnceDep) -> MaintenancePublic:
    """It silences nothing from now on, and stays listed."""
    window = service.get_window(db, window_id, lock=True)
    return service.public(service.end_window(db, operator.actor, window), now())


@router.delete(
    "/{window_id}",
    dependencies=CAN_BE_TRIED,
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Remove a maintenance window",
)
def delete_window(window_id: str, db: SessionDep, changing: ChangingDep, operator: Operator) -> None:
    """Its silence ends with it."""
    window = service.get_window(db, window_id, lock=True)
    changing.check(service.public(window, now()))
    service.delete_window(db, operator.actor, window)
