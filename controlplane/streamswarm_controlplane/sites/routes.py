from typing import Annotated

from fastapi import APIRouter, Query, status

from streamswarm_controlplane.deps import Operator, SessionDep, SettingsDep, Viewer
from streamswarm_controlplane.dryrun import CAN_BE_TRIED
from streamswarm_controlplane.etags import ChangingDep, ReadingDep
from streamswarm_controlplane.idempotency import ApiRoute, OnceDep
from streamswarm_controlplane.pages import Page, PageDep
from streamswarm_controlplane.sites import service
from streamswarm_controlplane.sites.models import Site
from streamswarm_controlplane.sites.schemas import SiteCreate, SitePublic, SiteUpdate, UnlistedSite
from streamswarm_core.clock import now

router = APIRouter(prefix="/sites", tags=["sites"], route_class=ApiRoute)


@router.get("", summary="All sites that were added")
def list_sites(
    db: SessionDep,
    settings: SettingsDep,
    page: PageDep,
    _viewer: Viewer,
    q: Annotated[str, Query(max_length=100, description="Part of the name.")] = "",
    placed: Annotated[bool | None, Query(description="Only those whose place is known, or isn't.")] = None,
) -> Page[SitePublic]:
    """Ordered by name, with how many agents each has."""
    staff = service.staff_of_sites(db, settings, now())
    return page.read(
        db, service.query_sites(q, placed=placed), by=[Site.name], show=lambda site: service.public(site, staff)
    )


@router.get("/unlisted", summary="Sites that agents name and nobody has added")
def list_unlisted_sites(db: SessionDep, settings: SettingsDep, page: PageDep, _viewer: Viewer) -> Page[UnlistedSite]:
    """They work as any other, but have no place and no time zone: add them to see them on the map."""
    return page.of(service.unlisted(db, settings, now()), key=lambda site: site.name)


@router.post("", dependencies=CAN_BE_TRIED, status_code=status.HTTP_201_CREATED, summary="Add a site")
def create_site(
    body: SiteCreate, db: SessionDep, settings: SettingsDep, operator: Operator, _once: OnceDep
) -> SitePublic:
    """Agents that have its name as their site hear of its place with their next heartbeat."""
    site = service.create_site(db, operator.actor, body)
    return service.public(site, service.staff_of_sites(db, settings, now(), site.name))


@router.get("/{site_id}", summary="One site")
def get_site(site_id: str, db: SessionDep, settings: SettingsDep, reading: ReadingDep, _viewer: Viewer) -> SitePublic:
    """By id."""
    site = service.get_site(db, site_id)
    return reading.show(service.public(site, service.staff_of_sites(db, settings, now(), site.name)))


@router.patch("/{site_id}", dependencies=CAN_BE_TRIED, summary="Change a site's place, time zone or address")
def update_site(
    site_id: str, body: SiteUpdate, db: SessionDep, settings: SettingsDep, changing: ChangingDep, operator: Operator
) -> SitePublic:
    """Its name stays, since the tags of what is stored, selectors and filters have it."""
    site = service.get_site(db, site_id, lock=True)
    staff = service.staff_of_sites(db, settings, now(), site.name)
    changing.check(service.public(site, staff))
    return changing.show(service.public(service.update_site(db, operator.actor, site, body), staff))


@router.delete("/{site_id}", dependencies=CAN_BE_TRIED, status_code=status.HTTP_204_NO_CONTENT, summary="Remove a site")
def delete_site(site_id: str, db: SessionDep, settings: SettingsDep, changing: ChangingDep, operator: Operator) -> None:
    """Its place and time zone are forgotten; agents keep its name as their site, and what they measured stays."""
    site = service.get_site(db, site_id, lock=True)
    changing.check(service.public(site, service.staff_of_sites(db, settings, now(), site.name)))
    service.delete_site(db, operator.actor, site)
