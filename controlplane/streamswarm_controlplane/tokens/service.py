from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from streamswarm_controlplane.agents.models import Agent, RemovedAgent
from streamswarm_controlplane.audit.service import Actor, record
from streamswarm_controlplane.lookup import get_or_404
from streamswarm_controlplane.tokens.models import StaticToken
from streamswarm_core.clock import now
from streamswarm_core.secret import SecretKind, hash_secret, new_secret
from streamswarm_core.tokens import Scope


def issue_token(
    db: Session, actor: Actor, name: str, scopes: Iterable[Scope], expires_at: datetime | None, *, secret: str = ""
) -> tuple[StaticToken, str]:
    """Make a static token, with a new secret unless one is given; returns it with its secret, which is not kept."""
    secret = secret or new_secret(SecretKind.STATIC)
    token = StaticToken(
        name=name,
        token_hash=hash_secret(secret),
        scopes=sorted({scope.value for scope in scopes}),
        created_by=actor.name,
        created_at=now(),
        expires_at=expires_at,
    )
    db.add(token)
    db.flush()
    record(db, actor, "token.create", name, after={"id": token.id, "scopes": token.scopes})
    return token, secret


def get_token(db: Session, token_id: str, *, lock: bool = False) -> StaticToken:
    """One token; locked if it is to be changed.

    Raises:
        ApiError: 404.
    """
    return get_or_404(db, StaticToken, token_id, "token", lock=lock)


def revoke_token(db: Session, actor: Actor, token: StaticToken) -> None:
    """Make a token useless; collectors learn of it within seconds."""
    if token.revoked_at is None:
        token.revoked_at = now()
        record(db, actor, "token.revoke", token.name, before={"id": token.id})


def living_token(db: Session, secret: str) -> StaticToken | None:
    """The token of a secret, unless it has expired or been revoked."""
    token = db.scalar(select(StaticToken).where(StaticToken.token_hash == hash_secret(secret)))
    if token is None or token.revoked_at is not None or (token.expires_at and token.expires_at <= now()):
        return None
    return token


def revoked_ids(db: Session) -> list[str]:
    """Ids of revoked and removed agents and of revoked static tokens, sorted."""
    agents = db.scalars(select(Agent.id).where(Agent.revoked_at.is_not(None)))
    tokens = db.scalars(select(StaticToken.id).where(StaticToken.revoked_at.is_not(None)))
    return sorted([*agents, *db.scalars(select(RemovedAgent.id)), *tokens])
