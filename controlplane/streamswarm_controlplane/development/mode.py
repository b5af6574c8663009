import ipaddress
import logging
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from fastapi import Request
from sqlalchemy import select
from sqlalchemy.orm import Session

from streamswarm_controlplane.addresses import FORWARDED, peer_of
from streamswarm_controlplane.audit.service import Actor, record
from streamswarm_controlplane.development.models import DevelopmentWindow
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_controlplane.users.models import User
from streamswarm_controlplane.users.roles import Role
from streamswarm_core.clock import now
from streamswarm_core.errors import ConfigError
from streamswarm_core.settings import is_loopback

log = logging.getLogger(__name__)

HEADER: Final = "X-StreamSwarm-Development"
NAME: Final = "development"
_LONGEST: Final = timedelta(hours=8)
_ACTOR: Final = Actor(NAME, kind=NAME)
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def check_settings(settings: ControlPlaneSettings) -> None:
    """Make sure that development mode is on only where nobody else can reach it.

    Raises:
        ConfigError: the control plane listens elsewhere than on loopback.
    """
    if settings.development_minutes and not is_loopback(settings.host):
        raise ConfigError(
            f"STREAMSWARM_CONTROLPLANE_DEVELOPMENT_MINUTES: development mode needs a loopback address to listen on, "
            f"127.0.0.1 or ::1, not {settings.host}"
        )


def start(db: Session, settings: ControlPlaneSettings) -> DevelopmentWindow | None:
    """Open a window if the settings ask for one; one that an earlier run left open is ended in any case."""
    end(db)
    if not settings.development_minutes:
        return None
    check_settings(settings)
    length = min(timedelta(minutes=settings.development_minutes), _LONGEST)
    window = DevelopmentWindow(started_at=now(), until=now() + length)
    db.add(window)
    record(db, _ACTOR, "development.start", NAME, after={"until": window.until.isoformat()})
    log.warning("DEVELOPMENT MODE: no login is asked for, until %s, of this machine", window.until.isoformat())
    return window


def end(db: Session) -> None:
    """Close what is open."""
    for window in db.scalars(select(DevelopmentWindow).where(DevelopmentWindow.ended_at.is_(None)).with_for_update()):
        window.ended_at = min(now(), window.until)
        record(db, _ACTOR, "development.end", NAME, after={"ended": window.ended_at.isoformat()})
        log.warning("development mode has ended: everybody has to log in")


def open_until(db: Session) -> datetime | None:
    """When the open window ends; None if there is none."""
    return db.scalar(
        select(DevelopmentWindow.until).where(DevelopmentWindow.ended_at.is_(None), DevelopmentWindow.until > now())
    )


def lets_in(request: Request, db: Session, settings: ControlPlaneSettings) -> bool:
    """Whether this request needs no login.

    The peer and the name in the Host header have to be this machine's, so that neither another host nor a page whose
    name was pointed here gets in; nothing may stand between; and a page of another site may change nothing.
    """
    if not settings.development_minutes or not is_loopback(settings.host):
        return False
    own = _is_loopback_address(peer_of(request)) and is_loopback(_host(request))
    if not own or any(header in request.headers for header in FORWARDED):
        return False
    origin = request.headers.get("Origin")
    if request.method not in _SAFE_METHODS and origin and urlsplit(origin).netloc != request.headers.get("Host"):
        return False
    return open_until(db) is not None


def developer() -> User:
    """Whoever comes without a login: an admin that is in no table."""
    return User(
        id=NAME,
        username=NAME,
        username_key=NAME,
        display_name="Development mode",
        email="",
        role=Role.ADMIN.value,
        password_hash="",
        must_change_password=False,
        active=True,
        created_at=now(),
        failed_logins=0,
    )


def is_developer(user: User) -> bool:
    """Whether it is the one of development mode, and no account that happens to have the name."""
    return user.id == NAME


def _is_loopback_address(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback


def _host(request: Request) -> str:
    return urlsplit(f"//{request.headers.get('Host', '')}").hostname or ""
