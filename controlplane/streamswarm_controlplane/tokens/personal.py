"""Personal tokens: what a user's scripts log in with."""

from datetime import datetime, timedelta

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from streamswarm_controlplane import development
from streamswarm_controlplane.audit.service import record
from streamswarm_controlplane.deps import Principal
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_controlplane.tokens.models import ApiScope, ApiToken
from streamswarm_controlplane.users.models import User
from streamswarm_core.clock import now
from streamswarm_core.secret import SecretKind, hash_secret, new_secret


def query_tokens(user: User) -> Select[ApiToken]:
    """A user's tokens."""
    return select(ApiToken).where(ApiToken.user_id == user.id)


def issue(
    db: Session, caller: Principal, settings: ControlPlaneSettings, *, name: str, scope: ApiScope, days: float | None
) -> tuple[ApiToken, str]:
    """Make a token; returns it with its secret, which is not kept.

    A token may make others, but none that may more or live longer than itself.

    Raises:
        ApiError: 403 for a scope beyond the caller's, 409 in development mode, 422 for too long a life.
    """
    if development.is_developer(caller.user):
        raise ApiError(409, "development mode has no account that a token could belong to; log in for that")
    _check_scope(caller, scope)
    secret = new_secret(SecretKind.STATIC)
    token = ApiToken(
        user_id=caller.user.id,
        name=name,
        token_hash=hash_secret(secret),
        scope=scope.value,
        created_at=now(),
        expires_at=_expiry(caller, settings, days),
    )
    db.add(token)
    db.flush()
    record(db, caller.actor, "api_token.create", name, after=_audited(token))
    return token, secret


def regenerate(db: Session, caller: Principal, token_id: str) -> tuple[ApiToken, str]:
    """Give a token another secret; the old one is dead at once, everything else stays.

    Raises:
        ApiError: 403 for a token beyond the caller's scope, 404 if the caller has no such token, 409 if it is too old.
    """
    token = _own(db, caller, token_id)
    if token.expires_at <= now():
        raise ApiError(409, "this token has expired; make a new one")
    secret = new_secret(SecretKind.STATIC)
    token.token_hash = hash_secret(secret)
    token.last_used_at = None
    record(db, caller.actor, "api_token.regenerate", token.name, after=_audited(token))
    return token, secret


def revoke(db: Session, caller: Principal, token_id: str) -> None:
    """Remove a token of the caller's.

    Raises:
        ApiError: 403 or 404, see `regenerate`.
    """
    _remove(db, caller, _own(db, caller, token_id))


def revoke_of(db: Session, caller: Principal, user: User, token_id: str) -> None:
    """Remove a token of another user's.

    Raises:
        ApiError: 404.
    """
    token = db.get(ApiToken, token_id)
    if token is None or token.user_id != user.id:
        raise ApiError(404, f"{user.username} has no personal token with the id {token_id}")
    _remove(db, caller, token)


def _remove(db: Session, caller: Principal, token: ApiToken) -> None:
    record(db, caller.actor, "api_token.revoke", token.name, before=_audited(token))
    db.delete(token)


def _own(db: Session, caller: Principal, token_id: str) -> ApiToken:
    token = db.get(ApiToken, token_id, with_for_update=True)
    if token is None or token.user_id != caller.user.id:
        raise ApiError(404, f"no personal token of yours with the id {token_id}")
    _check_scope(caller, ApiScope(token.scope))
    return token


def _check_scope(caller: Principal, scope: ApiScope) -> None:
    if caller.token and not ApiScope(caller.token.scope).role.includes(scope.role):
        raise ApiError(
            403,
            f"a token with the scope {caller.token.scope} has no say over one with the scope {scope}",
            field="body.scope",
        )
    if not caller.token and not caller.role.includes(scope.role):
        raise ApiError(
            403, f"the scope {scope} needs the role {scope.role}; yours is {caller.role}", field="body.scope"
        )


def _expiry(caller: Principal, settings: ControlPlaneSettings, days: float | None) -> datetime:
    wanted = min(90.0, settings.api_token_days) if days is None else days
    if wanted > settings.api_token_days:
        raise ApiError(
            422, f"a personal token lives {settings.api_token_days:g} days at most", field="body.expires_in_days"
        )
    expiry = now() + timedelta(days=wanted)
    return min(expiry, caller.token.expires_at) if caller.token else expiry


def _audited(token: ApiToken) -> dict[str, object]:
    return {"id": token.id, "scope": token.scope, "expires": token.expires_at.isoformat()}
