from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from streamswarm_controlplane.audit.service import Actor, record
from streamswarm_controlplane.enrolment.models import EnrolmentToken
from streamswarm_controlplane.lookup import get_or_404
from streamswarm_controlplane.problems import ApiError
from streamswarm_core.clock import now
from streamswarm_core.secret import SecretKind, hash_secret, new_secret


def mint(
    db: Session,
    actor: Actor,
    *,
    agent_name: str,
    site: str,
    hours: float,
    labels: Mapping[str, str] | None = None,
    uses: int = 1,
    secret: str = "",
) -> tuple[EnrolmentToken, str]:
    """Make a token for so many agents, with a new secret unless one is given; it is returned, too, and not kept."""
    secret = secret or new_secret(SecretKind.ENROLMENT)
    token = EnrolmentToken(
        token_hash=hash_secret(secret),
        agent_name=agent_name,
        site=site,
        labels=dict(labels or {}),
        uses=uses,
        uses_left=uses,
        created_by=actor.name,
        created_at=now(),
        expires_at=now() + timedelta(hours=hours),
    )
    db.add(token)
    db.flush()
    after = {"id": token.id, "agent_name": agent_name, "site": site, "labels": token.labels, "uses": uses}
    record(db, actor, "enrolment.create", describe(token), after=after)
    return token, secret


def describe(token: EnrolmentToken) -> str:
    """What a token is for, as people tell tokens apart, which have no name: "400 agents of berlin with role=edge"."""
    who = (
        f"agent {token.agent_name}" if token.agent_name else "any agent" if token.uses == 1 else f"{token.uses} agents"
    )
    labels = ", ".join(f"{name}={value}" for name, value in sorted(token.labels.items()))
    return " ".join([who, *([f"of {token.site}"] if token.site else []), *([f"with {labels}"] if labels else [])])


def get_token(db: Session, token_id: str, *, lock: bool = False) -> EnrolmentToken:
    """One enrolment token; locked if it is to be changed.

    Raises:
        ApiError: 404.
    """
    return get_or_404(db, EnrolmentToken, token_id, "enrolment token", lock=lock)


def withdraw(db: Session, actor: Actor, token: EnrolmentToken) -> None:
    """Make a token useless."""
    if token.revoked_at is None:
        token.revoked_at = now()
        record(db, actor, "enrolment.withdraw", describe(token), before={"id": token.id, "uses_left": token.uses_left})


def redeem(db: Session, secret: str, agent_name: str) -> EnrolmentToken:
    """Use a token once; of two at the same time the second sees what the first has left.

    Raises:
        ApiError: 401 if it is unknown, used up, revoked or expired, 403 if it is for another agent.
    """
    token = db.scalar(select(EnrolmentToken).where(EnrolmentToken.token_hash == hash_secret(secret)).with_for_update())
    if token is None:
        raise ApiError(401, "unknown enrolment token; make a new one in the console under Agents", field="body.token")
    if token.revoked_at is not None:
        raise ApiError(401, "this enrolment token was revoked; make a new one", field="body.token")
    if token.uses_left < 1:
        how = f"was used by {token.used_by}" if token.uses == 1 else f"was used {token.uses} times"
        raise ApiError(401, f"this enrolment token {how}; make a new one", field="body.token")
    if token.expires_at <= now():
        raise ApiError(401, "this enrolment token has expired; make a new one", field="body.token")
    if token.agent_name and token.agent_name != agent_name:
        raise ApiError(403, f"this enrolment token is for the agent {token.agent_name!r}", field="body.name")
    token.uses_left -= 1
    token.used_at = now()
    token.used_by = agent_name
    return token
