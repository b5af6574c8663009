from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from streamswarm_controlplane.audit.service import Actor, record
from streamswarm_controlplane.enrolment.models import EnrolmentToken
from streamswarm_controlplane.problems import ApiError
from streamswarm_core.clock import now
from streamswarm_core.tokens import SecretKind, hash_secret, new_secret


def mint(db: Session, actor: Actor, *, agent_name: str, site: str, hours: float) -> tuple[EnrolmentToken, str]:
    """Make a one-time token; returns it with its secret, which is not kept."""
    secret = new_secret(SecretKind.ENROLMENT)
    token = EnrolmentToken(
        token_hash=hash_secret(secret),
        agent_name=agent_name,
        site=site,
        created_by=actor.name,
        created_at=now(),
        expires_at=now() + timedelta(hours=hours),
    )
    db.add(token)
    db.flush()
    record(db, actor, "enrolment.create", token.id, after={"agent_name": agent_name, "site": site})
    return token, secret


def withdraw(db: Session, actor: Actor, token_id: str) -> None:
    """Make an unused token useless.

    Raises:
        ApiError: 404.
    """
    token = db.get(EnrolmentToken, token_id)
    if token is None:
        raise ApiError(404, f"no enrolment token with the id {token_id}")
    record(db, actor, "enrolment.withdraw", token.id)
    db.delete(token)


def redeem(db: Session, secret: str, agent_name: str) -> EnrolmentToken:
    """Use a token up.

    Raises:
        ApiError: 401 if it is unknown, used or expired, 403 if it is for another agent.
    """
    token = db.scalar(select(EnrolmentToken).where(EnrolmentToken.token_hash == hash_secret(secret)).with_for_update())
    if token is None:
        raise ApiError(401, "unknown enrolment token; make a new one in the console under Agents", field="body.token")
    if token.used_at is not None:
        raise ApiError(401, f"this enrolment token was used by {token.used_by}; make a new one", field="body.token")
    if token.expires_at <= now():
        raise ApiError(401, "this enrolment token has expired; make a new one", field="body.token")
    if token.agent_name and token.agent_name != agent_name:
        raise ApiError(403, f"this enrolment token is for the agent {token.agent_name!r}", field="body.name")
    token.used_at = now()
    token.used_by = agent_name
    return token
