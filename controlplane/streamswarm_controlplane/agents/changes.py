"""What users do to agents."""

from datetime import timedelta
from typing import Any, Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from streamswarm_controlplane.agents.models import Agent, RemovedAgent
from streamswarm_controlplane.agents.schemas import AgentRemoved, AgentUpdate, SeriesChoice
from streamswarm_controlplane.agents.series import drop_series
from streamswarm_controlplane.agents.service import get_agent
from streamswarm_controlplane.assignments.selection import reselect_agent
from streamswarm_controlplane.assignments.service import bump, end_runs, ids_of_agent
from streamswarm_controlplane.audit.service import Actor, record
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.clock import now
from streamswarm_core.tokens import SigningKey

_UNTIL_REVOKED: Final = timedelta(seconds=10)
"""By then every collector knows of a revocation."""
_LONGEST_TOKEN: Final = timedelta(days=1)
"""Longer than any access token lives."""


def update(db: Session, actor: Actor, agent: Agent, change: AgentUpdate) -> Agent:
    """Rename, move or label an agent.

    Raises:
        ApiError: 409 if the name is taken.
    """
    before = _audited(agent)
    if change.name is not None and change.name != agent.name:
        if db.scalar(select(Agent.id).where(Agent.name == change.name)):
            raise ApiError(409, f"an agent called {change.name!r} is there already", field="body.name")
        agent.name = change.name
    if change.site is not None:
        agent.site = change.site
    if change.labels is not None:
        agent.labels = change.labels
    if before != _audited(agent):
        record(db, actor, "agent.update", before["name"], before=before, after=_audited(agent))
        db.flush()
        reselect_agent(db, actor, agent)
    return agent


def drain(db: Session, actor: Actor, agent: Agent, *, draining: bool) -> Agent:
    """Let an agent start no more runs, or start them again; its assignments stay."""
    if agent.draining != draining:
        agent.draining = draining
        record(db, actor, "agent.drain" if draining else "agent.undrain", agent.name)
        db.flush()
        bump(db, [agent.id])
    return agent


def request_restart(db: Session, actor: Actor, agent: Agent) -> Agent:
    """Ask an agent to start anew; it hears of it with its next heartbeat.

    Raises:
        ApiError: 409 if there is no process that could.
    """
    if agent.revoked_at is not None:
        raise ApiError(409, f"{agent.name} is shut out, so nothing can be said to it")
    if agent.started_at is None:
        raise ApiError(409, f"{agent.name} has never been seen; start it on its host")
    if agent.restart_requested_at is None:
        agent.restart_requested_at = now()
        record(db, actor, "agent.restart", agent.name)
    return agent


def revoke(db: Session, actor: Actor, agent: Agent) -> None:
    """Refuse the agent from now on; its data and its assignments stay."""
    if agent.revoked_at is None:
        agent.revoked_at = now()
        record(db, actor, "agent.revoke", agent.name)
        reselect_agent(db, actor, agent)


def remove(
    db: Session, actor: Actor, agent: Agent, series: SeriesChoice, *, settings: ControlPlaneSettings, key: SigningKey
) -> AgentRemoved:
    """Delete an agent with its assignments, and what it has measured if that is asked for.

    Its access token may live on for some minutes; collectors learn that it is worth nothing, as for a revoked agent.

    Raises:
        ApiError: 409 if its series are to be deleted while it may still write, or can't be deleted in this store; 404
            if somebody else has deleted it meanwhile.
        Unavailable, Refused: the store doesn't delete them; nothing is deleted then.
    """
    detail = "its series stay in the store"
    if series is SeriesChoice.DELETE:
        _check_silence(agent, settings)
        # The store may take a minute, in which heartbeats and everybody else's changes would wait for this transaction.
        db.commit()
        detail = drop_series(agent.name, settings, key)
        agent = get_agent(db, agent.id, lock=True)
    db.execute(delete(RemovedAgent).where(RemovedAgent.removed_at < now() - _LONGEST_TOKEN))
    db.add(RemovedAgent(id=agent.id, name=agent.name, removed_at=now()))
    end_runs(db, ids_of_agent(db, agent), "the agent was deleted")
    record(db, actor, "agent.delete", agent.name, before=_audited(agent), after={"series": series.value})
    db.delete(agent)
    return AgentRemoved(id=agent.id, name=agent.name, series=series, detail=detail)


def _check_silence(agent: Agent, settings: ControlPlaneSettings) -> None:
    """An agent that writes makes its series again as soon as they are gone."""
    shut_out = agent.revoked_at is not None and now() - agent.revoked_at >= _UNTIL_REVOKED
    silent = agent.last_seen_at is None or (now() - agent.last_seen_at).total_seconds() > settings.offline_seconds
    if not (shut_out or silent):
        raise ApiError(
            409,
            f"{agent.name} may still be writing; shut it out first, and delete it "
            f"{_UNTIL_REVOKED.seconds} s later, when every collector knows",
            field="query.series",
        )


def _audited(agent: Agent) -> dict[str, Any]:
    return {"name": agent.name, "site": agent.site, "labels": dict(agent.labels)}
