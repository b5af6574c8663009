"""Slows down who guesses passwords, without letting them shut anybody out.

Failures are counted twice. An *address* waits for up to `login_block_seconds`. An *account* waits for a minute at most,
and only where the user has never logged in from: a stranger's failures don't count at an address that is known for the
user. An attacker with one address is stopped by the first count long before the second one hurts, and one with many can
make new addresses wait, but neither for ever nor those that the user is used to.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from streamswarm_controlplane.addresses import throttled_as
from streamswarm_controlplane.audit.service import Actor, record
from streamswarm_controlplane.auth.models import KnownAddress, LoginThrottle
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.security import fold_username
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_controlplane.users.models import User
from streamswarm_core.clock import now
from streamswarm_core.secret import hash_secret

FIRST_BLOCK_SECONDS: Final = 5.0
ACCOUNT_BLOCK_SECONDS: Final = 60.0
_ACCOUNT: Final = "account:"
_FORGET: Final = timedelta(days=1)
_KNOWN_FOR: Final = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a login is counted by."""

    account_key: str
    address_key: str

    @property
    def keys(self) -> tuple[str, str]:
        """Both, in the order in which they are locked."""
        return self.account_key, self.address_key


def begin(db: Session, settings: ControlPlaneSettings, user: User | None, username: str, address: str) -> Attempt:
    """Count a login as failed before its password is looked at, so that many at once don't all go through.

    Raises:
        ApiError: 429 with Retry-After while the account or the address has to wait; that isn't counted.
    """
    where = throttled_as(address)
    known = where if user and _is_known(db, user, where) else ""
    attempt = Attempt(_account_key(user, known) if user else _nobodys_key(username), f"address:{where}")
    rows = [_locked(db, key) for key in attempt.keys]
    wait = max((row.blocked_until - now()).total_seconds() for row in rows)
    if wait > 0:
        seconds = math.ceil(wait)
        raise ApiError(429, f"too many failed logins; try again in {seconds} s", headers={"Retry-After": str(seconds)})
    for row, longest in zip(rows, (ACCOUNT_BLOCK_SECONDS, settings.login_block_seconds), strict=True):
        if row.last_failure_at and now() - row.last_failure_at > _FORGET:
            row.failures = 0
        row.failures += 1
        row.last_failure_at = now()
        over = row.failures - settings.login_free_tries
        if over >= 0:
            row.blocked_until = now() + timedelta(seconds=min(FIRST_BLOCK_SECONDS * 2.0 ** min(over, 20), longest))
    return attempt


def succeeded(db: Session, attempt: Attempt, user: User, address: str) -> None:
    """Forget the failures, and know the address from now on."""
    for key in attempt.keys:  # in this order, as `begin` does: two logins must not wait for each other
        db.execute(delete(LoginThrottle).where(LoginThrottle.key == key))
    where = throttled_as(address)
    known = db.get(KnownAddress, (user.id, where))
    if known is None:
        db.add(KnownAddress(user_id=user.id, address=where, last_login_at=now()))
    else:
        known.last_login_at = now()
    db.execute(delete(KnownAddress).where(KnownAddress.last_login_at < now() - _KNOWN_FOR))
    stale = select(LoginThrottle.key).where(LoginThrottle.last_failure_at < now() - _FORGET)
    free = db.scalars(stale.with_for_update(skip_locked=True)).all()
    db.execute(delete(LoginThrottle).where(LoginThrottle.key.in_(free)))


def blocked_accounts(db: Session, *users: User) -> dict[str, datetime]:
    """Until when users have to wait at addresses that aren't known for them, by id; without those who needn't.

    Args:
        db: the database.
        users: who is looked for; everybody if nobody is named.
    """
    waiting = select(LoginThrottle).where(LoginThrottle.blocked_until > now())
    if users:
        waiting = waiting.where(LoginThrottle.key.in_([_account_key(user, "") for user in users]))
    else:
        waiting = waiting.where(LoginThrottle.key.startswith(_ACCOUNT, autoescape=True))
    return {row.key.removeprefix(_ACCOUNT): row.blocked_until for row in db.scalars(waiting)}


def forgive(db: Session, user: User) -> None:
    """Forget an account's failures, wherever they came from."""
    known = db.scalars(select(KnownAddress.address).where(KnownAddress.user_id == user.id))
    keys = [_account_key(user, where) for where in ("", *known)]
    db.execute(delete(LoginThrottle).where(LoginThrottle.key.in_(keys)))


def unlock(db: Session, actor: Actor, user: User) -> None:
    """The same as an admin, who may see who did it."""
    forgive(db, user)
    user.failed_logins = 0
    record(db, actor, "user.unlock", user.username)


def _account_key(user: User, known_address: str) -> str:
    return f"known:{known_address} {user.id}" if known_address else f"{_ACCOUNT}{user.id}"


def _nobodys_key(username: str) -> str:
    """Names that nobody has wait like any other, but aren't kept: now and then one is a password in the wrong field.

    Sixteen bits of its hash tell nothing of it; two names that share them share a count.
    """
    return f"nobody:{hash_secret(fold_username(username))[:4]}"


def _is_known(db: Session, user: User, where: str) -> bool:
    known = db.get(KnownAddress, (user.id, where))
    return known is not None and known.last_login_at > now() - _KNOWN_FOR


def _locked(db: Session, key: str) -> LoginThrottle:
    """The row of a key, made if there is none, locked until the transaction ends."""
    dialect = postgresql if db.get_bind().dialect.name == "postgresql" else sqlite
    new = dialect.insert(LoginThrottle).values(key=key, failures=0, blocked_until=now())
    db.execute(new.on_conflict_do_nothing())
    return db.scalars(select(LoginThrottle).where(LoginThrottle.key == key).with_for_update()).one()
