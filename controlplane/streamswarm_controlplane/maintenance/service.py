"""Maintenance windows: times in which nobody is alerted. Monitoring goes on, and its results are kept."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import takewhile

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from streamswarm_controlplane.agents.models import Agent
from streamswarm_controlplane.assignments.selection import parse, selects
from streamswarm_controlplane.audit.service import Actor, record
from streamswarm_controlplane.lookup import get_or_404, names_of
from streamswarm_controlplane.maintenance.models import MaintenanceWindow
from streamswarm_controlplane.maintenance.schemas import MaintenanceChanged, MaintenanceCreate, MaintenancePublic
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.testplans.models import TestPlan
from streamswarm_core.clock import now
from streamswarm_core.schedule import moments


def active_windows(db: Session, at: datetime) -> Sequence[MaintenanceWindow]:
    """The windows that silence something at a moment, oldest first; `covers` says what."""
    windows = db.scalars(select(MaintenanceWindow).order_by(MaintenanceWindow.created_at, MaintenanceWindow.id))
    return [window for window in windows if active_until(window, at) is not None]


def covers(window: MaintenanceWindow, agent: Agent | None, test: TestPlan | None) -> bool:
    """Whether a window is about an agent and a test, whatever the time.

    Agents named and agents selected are taken together. A window of certain tests doesn't silence that an agent is
    offline; one of certain agents doesn't silence what is about a test on all of its agents.
    """
    if window.everything:
        return True
    if window.test_ids and (test is None or test.id not in window.test_ids):
        return False
    if not window.agent_ids and not window.selector:
        return True
    if agent is None:
        return False
    return agent.id in window.agent_ids or selects(window.selector, agent)


def active_until(window: MaintenanceWindow, at: datetime) -> datetime | None:
    """The end of the silence that a moment lies in, or None if it lies in none."""
    if not window.cron:
        inside = window.starts_at is not None and window.ends_at is not None and window.starts_at <= at < window.ends_at
        return window.ends_at if inside else None
    length = timedelta(seconds=window.duration or 0)
    if window.ends_at is not None and at >= window.ends_at:
        return None
    begun = takewhile(lambda start: start <= at, _starts(window, at - length))
    last = max((start + length for start in begun), default=None)
    return min(last, window.ends_at) if last is not None and window.ends_at is not None else last


def next_start(window: MaintenanceWindow, at: datetime) -> datetime | None:
    """The next beginning after a moment."""
    if window.cron:
        return next(_starts(window, at), None)
    return window.starts_at if window.starts_at is not None and window.starts_at > at else None


def public(window: MaintenanceWindow, at: datetime) -> MaintenancePublic:
    """The window as users see it."""
    shown = {name: getattr(window, name) for name in MaintenancePublic.model_fields if hasattr(window, name)}
    until, following = active_until(window, at), next_start(window, at)
    return MaintenancePublic(
        **shown,
        active=until is not None,
        active_until=until,
        next_start_at=following,
        over=until is None and following is None,
    )


def changed(window: MaintenanceWindow, at: datetime) -> MaintenanceChanged:
    """The window as it is shown after a change, with a warning if it silences nothing.

    It is no mistake as such: who enters a window afterwards spares the models what was measured in it.
    """
    shown = public(window, at)
    warnings = []
    if shown.over:
        warnings.append(
            f"it is over, so that it silences no alert (it is {at:%Y-%m-%d %H:%M} UTC now); the ML service leaves out "
            "what was measured in it"
        )
    return MaintenanceChanged(**shown.model_dump(), warnings=warnings)


def query_windows() -> Select[MaintenanceWindow]:
    """All windows."""
    return select(MaintenanceWindow)


def get_window(db: Session, window_id: str, *, lock: bool = False) -> MaintenanceWindow:
    """One window; locked if it is to be changed.

    Raises:
        ApiError: 404.
    """
    return get_or_404(db, MaintenanceWindow, window_id, "maintenance window", lock=lock)


def create_window(db: Session, actor: Actor, new: MaintenanceCreate) -> MaintenanceWindow:
    """Add a window.

    Raises:
        ApiError: 404 for an unknown agent or test, 422 for a selector that can't be read.
    """
    window = MaintenanceWindow(created_by=actor.name, created_at=now(), updated_at=now(), **_checked(db, new))
    db.add(window)
    db.flush()
    record(db, actor, "maintenance.create", window.name, after=_audited(db, window))
    return window


def replace_window(db: Session, actor: Actor, window: MaintenanceWindow, new: MaintenanceCreate) -> MaintenanceWindow:
    """Make another window of it.

    Raises:
        ApiError: as `create_window`.
    """
    before = _audited(db, window)
    for name, value in _checked(db, new).items():
        setattr(window, name, value)
    if db.is_modified(window):
        window.updated_at = now()
        record(db, actor, "maintenance.update", window.name, before=before, after=_audited(db, window))
    return window


def end_window(db: Session, actor: Actor, window: MaintenanceWindow) -> MaintenanceWindow:
    """Let it silence nothing from now on.

    Raises:
        ApiError: 409 if it is over.
    """
    at = now()
    if public(window, at).over:
        raise ApiError(409, f"{window.name} is over already")
    before = _audited(db, window)
    window.ends_at = at
    if window.starts_at is not None and window.starts_at >= at:
        window.starts_at = at
    window.updated_at = at
    record(db, actor, "maintenance.end", window.name, before=before, after=_audited(db, window))
    return window


def delete_window(db: Session, actor: Actor, window: MaintenanceWindow) -> None:
    """Remove it."""
    record(db, actor, "maintenance.delete", window.name, before=_audited(db, window))
    db.delete(window)


def _starts(window: MaintenanceWindow, after: datetime) -> Iterator[datetime]:
    for moment in moments(window.cron, window.zone, after):
        if window.ends_at is not None and moment >= window.ends_at:
            return
        if window.starts_at is None or moment >= window.starts_at:
            yield moment


def _checked(db: Session, new: MaintenanceCreate) -> dict[str, object]:
    if new.selector:
        parse(new.selector)
    for name, table, ids in (("agent_ids", Agent, new.agent_ids), ("test_ids", TestPlan, new.test_ids)):
        for place, one in enumerate(ids):
            if db.get(table, one) is None:
                noun = name.removesuffix("_ids")
                raise ApiError(404, f"no {noun} with the id {one}", field=f"body.{name}.{place}")
    values = new.model_dump()
    values["cron"] = new.cron or ""
    return values


def _audited(db: Session, window: MaintenanceWindow) -> dict[str, object]:
    """A window with its agents by their names and its tests by their keys."""
    times = {name: value.isoformat() if (value := getattr(window, name)) else None for name in ("starts_at", "ends_at")}
    rest = ("name", "note", "cron", "zone", "duration", "everything", "selector")
    scope = {
        "agents": names_of(db, Agent.id, Agent.name, window.agent_ids),
        "tests": names_of(db, TestPlan.id, TestPlan.key, window.test_ids),
    }
    return {**times, **{name: getattr(window, name) for name in rest}, **scope}
