"""Agents' secrets change without a gap: the old one is good until the new one has been used.

An agent asks for another secret with the one it has, writes it down, and then uses it. Whatever gets lost on the way,
the answer or the agent's power, it holds a secret that is taken, and asks again.
"""

from datetime import timedelta

from sqlalchemy.orm import Session

from streamswarm_controlplane.agents.models import Agent
from streamswarm_controlplane.audit.service import Actor, record
from streamswarm_controlplane.enrolment.models import AgentSecret
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.clock import now
from streamswarm_core.secret import SecretKind, hash_secret, new_secret, secret_matches


def verify(db: Session, agent: Agent, secret: str) -> bool:
    """Whether a secret is the agent's; the first use of a new one ends the old one."""
    row = db.get(AgentSecret, agent.id, with_for_update=True, populate_existing=True)
    if row is None:
        return secret_matches(secret, agent.secret_hash)
    fresh = row.next_expires_at is not None and row.next_expires_at > now()
    if row.next_hash and fresh and secret_matches(secret, row.next_hash):
        agent.secret_hash = row.next_hash
        row.next_hash, row.next_expires_at, row.rotate_by, row.issued_at = "", None, None, now()
        record(db, Actor(f"agent:{agent.name}"), "agent.secret_changed", agent.name)
        return True
    overdue = row.rotate_by is not None and row.rotate_by <= now()
    return secret_matches(secret, agent.secret_hash) and not overdue


def is_due(db: Session, settings: ControlPlaneSettings, agent: Agent) -> bool:
    """Whether the agent should ask for another secret."""
    row = db.get(AgentSecret, agent.id)
    if row is not None and row.rotate_by is not None:
        return True
    issued = row.issued_at if row else agent.enrolled_at
    return bool(settings.agent_secret_days) and now() - issued > timedelta(days=settings.agent_secret_days)


def issue(db: Session, settings: ControlPlaneSettings, agent_id: str, secret: str, address: str) -> tuple[Agent, str]:
    """Give an agent another secret; one that it was given before and hasn't used is void.

    Raises:
        ApiError: 401.
    """
    agent = db.get(Agent, agent_id)
    if agent is None or agent.revoked_at is not None or not verify(db, agent, secret):
        raise ApiError(401, "unknown agent or wrong secret; enrol again")
    made = new_secret(SecretKind.AGENT)
    row = _row(db, agent)
    row.next_hash = hash_secret(made)
    row.next_expires_at = now() + timedelta(hours=settings.agent_secret_grace_hours)
    record(db, Actor(f"agent:{agent.name}", address), "agent.secret_issued", agent.name)
    return agent, made


def demand(db: Session, actor: Actor, settings: ControlPlaneSettings, agent: Agent) -> AgentSecret:
    """Have the agent change its secret: it learns of it with its next access token, and the old one has an end."""
    row = _row(db, agent)
    row.rotate_by = now() + timedelta(hours=settings.agent_secret_grace_hours)
    record(db, actor, "agent.rotate_secret", agent.name, after={"until": row.rotate_by.isoformat()})
    return row


def begin(db: Session, agent: Agent) -> None:
    """The agent was enrolled, and has a secret of this moment."""
    row = _row(db, agent)
    row.next_hash, row.next_expires_at, row.rotate_by, row.issued_at = "", None, None, now()


def _row(db: Session, agent: Agent) -> AgentSecret:
    row = db.get(AgentSecret, agent.id, with_for_update=True)
    if row is None:
        row = AgentSecret(agent_id=agent.id, issued_at=agent.enrolled_at, next_hash="")
        db.add(row)
    return row
