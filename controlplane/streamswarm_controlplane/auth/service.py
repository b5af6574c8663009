from dataclasses import dataclass

from sqlalchemy.orm import Session

from streamswarm_controlplane.audit.service import Actor, record
from streamswarm_controlplane.auth import sessions, throttle
from streamswarm_controlplane.auth.models import UserSession
from streamswarm_controlplane.auth.turns import hashing_turn
from streamswarm_controlplane.db import Database
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.security import hash_password, verify_password, weakness
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_controlplane.sysconfig.service import effective
from streamswarm_controlplane.users.models import User
from streamswarm_controlplane.users.service import end_sessions, find_user
from streamswarm_core.clock import now


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """What came of a login; `secret` is for the cookie."""

    user: User
    session: UserSession
    secret: str


def log_in(
    database: Database, base: ControlPlaneSettings, username: str, password: str, *, address: str, user_agent: str
) -> LoggedIn:
    """Check a password, between two short transactions: hashing takes a while, and the others shall not wait for it.

    It takes as long for an unknown or deactivated user as for a wrong password.

    Raises:
        ApiError: 401, with the same words whatever was wrong; 429 while the account or the address has to wait; 503
            while others' passwords are being checked.
    """
    with hashing_turn():
        return _log_in(database, base, username, password, address=address, user_agent=user_agent)


def _log_in(
    database: Database, base: ControlPlaneSettings, username: str, password: str, *, address: str, user_agent: str
) -> LoggedIn:
    with database.session() as db:
        settings = effective(db, base)
        user = find_user(db, username)
        attempt = throttle.begin(db, settings, user, username, address)
        stored = user.password_hash if user and user.active else ""
    good = verify_password(password, stored)
    with database.session() as db:
        current = db.get(User, user.id, with_for_update=True) if user else None
        unchanged = current is not None and current.active and current.password_hash == stored
        if current is not None and good and unchanged:
            throttle.succeeded(db, attempt, current, address)
            opened = sessions.open_session(
                db, settings, current, method="password", address=address, user_agent=user_agent
            )
            return LoggedIn(current, *opened)
        _note_failure(db, current, address)
    raise ApiError(401, "wrong user name or password")


def _note_failure(db: Session, user: User | None, address: str) -> None:
    # What was typed isn't kept: now and then it is a password in the wrong field.
    if user is None:
        record(db, Actor("anonymous", address, kind="anonymous"), "auth.login_failed", "an unknown user")
        return
    user.failed_logins += 1
    user.last_failed_login_at = now()
    record(db, Actor("anonymous", address, kind="anonymous"), "auth.login_failed", user.username)


def change_password(
    database: Database, base: ControlPlaneSettings, session: UserSession, *, old: str, new: str, address: str
) -> None:
    """Change the password of a session's user; their other sessions end. Wrong guesses count as failed logins.

    Raises:
        ApiError: 403 if the old one is wrong, 409 if there is none, 422 if the new one is too weak, 429 after too many,
            503 while others' passwords are being checked.
    """
    with hashing_turn():
        _change_password(database, base, session, old=old, new=new, address=address)


def _change_password(
    database: Database, base: ControlPlaneSettings, session: UserSession, *, old: str, new: str, address: str
) -> None:
    with database.session() as db:
        settings = effective(db, base)
        user = db.get_one(User, session.user_id)
        if not user.password_hash:
            raise ApiError(409, "you log in by single sign-on and have no password here; an admin can give you one")
        attempt = throttle.begin(db, settings, user, user.username, address)
    if not verify_password(old, user.password_hash):
        raise ApiError(403, "the old password is wrong", field="body.old_password")
    about = (user.display_name, user.email)
    problem = weakness(new, user.username, about, shortest=settings.password_length)
    if problem or new == old:
        raise ApiError(422, problem or "the new password is the old one", field="body.new_password")
    hashed = hash_password(new)
    with database.session() as db:
        current = db.get(User, user.id, with_for_update=True)
        if current is None or current.password_hash != user.password_hash:
            raise ApiError(409, "the password was changed meanwhile; log in again")
        current.password_hash = hashed
        current.must_change_password = False
        current.password_changed_at = now()
        throttle.succeeded(db, attempt, current, address)
        end_sessions(db, current, but=session.token_hash)
        actor = Actor(current.username, address, kind="user", user_id=current.id)
        record(db, actor, "auth.password", current.username)
