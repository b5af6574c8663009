import secrets
from datetime import timedelta
from typing import Final

from fastapi import Request, Response
from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Session

from streamswarm_controlplane.addresses import came_by_tls
from streamswarm_controlplane.audit.service import Actor, record
from streamswarm_controlplane.auth.models import UserSession
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_controlplane.users.models import User
from streamswarm_controlplane.users.service import end_sessions
from streamswarm_core.clock import now
from streamswarm_core.secret import SecretKind, hash_secret, new_secret

COOKIE: Final = "streamswarm_session"
_USER_AGENT_CHARACTERS: Final = 200


def open_session(
    db: Session, settings: ControlPlaneSettings, user: User, *, method: str, address: str, user_agent: str
) -> tuple[UserSession, str]:
    """Log a browser in; returns the session and the secret for its cookie. Sessions of theirs that are over go."""
    _drop_expired(db, settings, user)
    secret = new_secret(SecretKind.SESSION)
    session = UserSession(
        token_hash=hash_secret(secret),
        user_id=user.id,
        csrf_token=secrets.token_urlsafe(24),
        method=method,
        address=address,
        user_agent=user_agent[:_USER_AGENT_CHARACTERS],
        created_at=now(),
        last_seen_at=now(),
    )
    db.add(session)
    user.last_login_at = now()
    user.failed_logins = 0
    db.flush()
    actor = Actor(user.username, address, kind="user", user_id=user.id)
    record(db, actor, "auth.login", user.username, after={"method": method})
    return session, secret


def set_cookie(request: Request, response: Response, settings: ControlPlaneSettings, secret: str) -> None:
    """Hand a browser its session: out of reach for scripts, for this site only, over TLS only where there is TLS."""
    response.set_cookie(
        COOKIE,
        secret,
        max_age=int(settings.session_hours * 3600),
        httponly=True,
        samesite="strict",
        secure=settings.secure_cookies or came_by_tls(request, settings.trusted_proxies),
    )


def query_sessions(user: User) -> Select[UserSession]:
    """Where a user is logged in."""
    return select(UserSession).where(UserSession.user_id == user.id)


def end_session(db: Session, actor: Actor, user: User, session_id: str) -> None:
    """Log one of a user's browsers out.

    Raises:
        ApiError: 404.
    """
    session = db.scalar(select(UserSession).where(UserSession.id == session_id, UserSession.user_id == user.id))
    if session is None:
        raise ApiError(404, f"no session of yours with the id {session_id}")
    db.delete(session)
    record(db, actor, "auth.end_session", user.username, before={"address": session.address})


def end_all(db: Session, actor: Actor, user: User, *, but: UserSession | None = None) -> None:
    """Log a user out everywhere, but for one session."""
    ended = end_sessions(db, user, but=but.token_hash if but else "")
    record(db, actor, "auth.end_sessions", user.username, after={"ended": ended})


def _drop_expired(db: Session, settings: ControlPlaneSettings, user: User) -> None:
    idle_since = now() - timedelta(minutes=settings.session_idle_minutes)
    begun = now() - timedelta(hours=settings.session_hours)
    over = (UserSession.last_seen_at < idle_since) | (UserSession.created_at < begun)
    db.execute(delete(UserSession).where(UserSession.user_id == user.id, over))
