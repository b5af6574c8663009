import secrets
from datetime import timedelta
from typing import Final

from sqlalchemy.orm import Session

from streamswarm_controlplane.audit.service import Actor, record
from streamswarm_controlplane.auth.models import LoginThrottle, UserSession
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.security import fold_username, hash_password, verify_password, weakness
from streamswarm_controlplane.users.models import User
from streamswarm_controlplane.users.service import end_sessions, find_user
from streamswarm_core.clock import now
from streamswarm_core.tokens import SecretKind, hash_secret, new_secret

_FREE_TRIES: Final = 5
_LONGEST_BLOCK_SECONDS: Final = 900.0


def throttle_keys(username: str, address: str) -> tuple[str, str]:
    """What failed logins are counted by."""
    return f"account:{fold_username(username)}"[:255], f"address:{address}"


def check_throttle(db: Session, keys: tuple[str, str]) -> None:
    """Refuse while an account or address is blocked.

    Raises:
        ApiError: 429 with Retry-After.
    """
    for key in keys:
        throttle = db.get(LoginThrottle, key)
        if throttle and throttle.blocked_until > now():
            seconds = max(1, round((throttle.blocked_until - now()).total_seconds()))
            raise ApiError(
                429, f"too many failed logins; try again in {seconds} s", headers={"Retry-After": str(seconds)}
            )


def count_failure(db: Session, keys: tuple[str, str]) -> None:
    """After the free tries each failure doubles the time that the account and the address are blocked."""
    for key in keys:
        throttle = db.get(LoginThrottle, key)
        if throttle is None:
            throttle = LoginThrottle(key=key, failures=0, blocked_until=now())
            db.add(throttle)
        throttle.failures += 1
        over = throttle.failures - _FREE_TRIES
        if over >= 0:
            throttle.blocked_until = now() + timedelta(seconds=min(2.0 ** min(over, 20), _LONGEST_BLOCK_SECONDS))


def log_in(db: Session, username: str, password: str, address: str) -> tuple[User, UserSession, str] | None:
    """Check a password; returns the user, the new session and its secret, or None.

    It takes as long for an unknown user as for a wrong password. The caller counts the failure in a transaction that is
    kept although the request is refused.
    """
    user = find_user(db, username)
    good = verify_password(password, user.password_hash if user else None)
    if user is None or not good or not user.active:
        return None
    for key in throttle_keys(username, address):
        throttle = db.get(LoginThrottle, key)
        if throttle:
            db.delete(throttle)
    secret = new_secret(SecretKind.SESSION)
    session = UserSession(
        token_hash=hash_secret(secret),
        user_id=user.id,
        csrf_token=secrets.token_urlsafe(24),
        created_at=now(),
        last_seen_at=now(),
    )
    db.add(session)
    user.last_login_at = now()
    record(db, Actor(user.username, address), "auth.login", user.username)
    return user, session, secret


def change_password(db: Session, actor: Actor, user: User, session: UserSession, *, old: str, new: str) -> None:
    """Change the caller's own password; their other sessions end.

    Raises:
        ApiError: 403 if the old one is wrong, 422 if the new one is too weak.
    """
    if not verify_password(old, user.password_hash):
        raise ApiError(403, "the old password is wrong", field="body.old_password")
    problem = weakness(new, user.username)
    if problem or new == old:
        raise ApiError(422, problem or "the new password is the old one", field="body.new_password")
    user.password_hash = hash_password(new)
    user.must_change_password = False
    end_sessions(db, user, but=session.token_hash)
    record(db, actor, "auth.password", user.username)
