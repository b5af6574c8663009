"""Sites, their places and time zones. Which agents are at a site is said by the agents' own `site`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, case, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from streamswarm_controlplane.agents.models import Agent
from streamswarm_controlplane.agents.schemas import AgentState
from streamswarm_controlplane.agents.service import is_in
from streamswarm_controlplane.audit.service import Actor, record
from streamswarm_controlplane.lookup import get_or_404
from streamswarm_controlplane.pages import having
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_controlplane.sites.models import Site
from streamswarm_controlplane.sites.schemas import (
    HALF_A_PLACE,
    SiteCreate,
    SitePublic,
    SiteUpdate,
    UnlistedSite,
    is_whole,
)
from streamswarm_core.clock import now


@dataclass(frozen=True, slots=True)
class Staff:
    """The agents of a site that weren't shut out: how many, and how many of them are offline."""

    agents: int = 0
    offline: int = 0


def staff_of_sites(db: Session, settings: ControlPlaneSettings, at: datetime, name: str = "") -> Mapping[str, Staff]:
    """The agents of every site that has some, or of one, counted."""
    gone = func.sum(case((is_in(AgentState.OFFLINE, settings, at), 1), else_=0))
    query = select(Agent.site, func.count(), gone).where(Agent.revoked_at.is_(None), Agent.site != "")
    if name:
        query = query.where(Agent.site == name)
    return {site: Staff(count, offline) for site, count, offline in db.execute(query.group_by(Agent.site))}


def query_sites(part: str = "", *, placed: bool | None = None) -> Select[Site]:
    """All sites, or those that fit.

    Args:
        part: part of the name.
        placed: only those whose place is known, or isn't.
    """
    query = select(Site)
    if placed is not None:
        query = query.where(Site.latitude.is_not(None) if placed else Site.latitude.is_(None))
    return having(query, part, Site.name)


def unlisted(db: Session, settings: ControlPlaneSettings, at: datetime) -> Sequence[UnlistedSite]:
    """What agents have as their site and nobody has added."""
    listed = set(db.scalars(select(Site.name)))
    return [
        UnlistedSite(name=name, agents=staff.agents, offline=staff.offline)
        for name, staff in staff_of_sites(db, settings, at).items()
        if name not in listed
    ]


def public(site: Site, staff: Mapping[str, Staff]) -> SitePublic:
    """The site as users see it."""
    here = staff.get(site.name, Staff())
    columns = {name: getattr(site, name) for name in SitePublic.model_fields if hasattr(site, name)}
    return SitePublic(**columns, agents=here.agents, offline=here.offline)


def get_site(db: Session, site_id: str, *, lock: bool = False) -> Site:
    """One site; locked if it is to be changed.

    Raises:
        ApiError: 404.
    """
    return get_or_404(db, Site, site_id, "site", lock=lock)


def create_site(db: Session, actor: Actor, new: SiteCreate) -> Site:
    """Add a site.

    Raises:
        ApiError: 409 if it is there already.
    """
    taken = ApiError(409, f"a site called {new.name!r} is there already", field="body.name")
    if db.scalar(select(Site.id).where(Site.name == new.name)):
        raise taken
    site = Site(**new.model_dump(), created_at=now(), updated_at=now())
    db.add(site)
    try:
        db.flush()
    except IntegrityError:
        raise taken from None
    record(db, actor, "site.create", site.name, after=_audited(site))
    return site


def update_site(db: Session, actor: Actor, site: Site, change: SiteUpdate) -> Site:
    """Give a site another place, time zone or address; its agents hear of a place with their next heartbeat.

    Raises:
        ApiError: 422 if half a place would be left.
    """
    before = _audited(site)
    whole = {**before, **change.model_dump(exclude_unset=True)}
    if not is_whole(whole["latitude"], whole["longitude"]):
        missing = "longitude" if whole["longitude"] is None else "latitude"
        raise ApiError(422, f"body.{missing}: {HALF_A_PLACE}", field=f"body.{missing}")
    if whole != before:
        for name, value in whole.items():
            setattr(site, name, value)
        site.updated_at = now()
        record(db, actor, "site.update", site.name, before=before, after=whole)
    return site


def delete_site(db: Session, actor: Actor, site: Site) -> None:
    """Forget its place and time zone; agents keep its name as their site."""
    record(db, actor, "site.delete", site.name, before=_audited(site))
    db.delete(site)


def _audited(site: Site) -> dict[str, Any]:
    return {name: getattr(site, name) for name in SiteUpdate.model_fields}
