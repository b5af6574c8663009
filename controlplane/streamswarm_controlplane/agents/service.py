from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from streamswarm_controlplane.agents.models import Agent
from streamswarm_controlplane.agents.schemas import (
    AgentPublic,
    AgentState,
    Enrolment,
)
from streamswarm_controlplane.assignments.selection import reselect_agent
from streamswarm_controlplane.assignments.turn import take_turn
from streamswarm_controlplane.audit.service import Actor, record
from streamswarm_controlplane.enrolment import credentials
from streamswarm_controlplane.enrolment import service as enrolment
from streamswarm_controlplane.lookup import get_or_404
from streamswarm_controlplane.pages import having
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.clock import now
from streamswarm_core.secret import SecretKind, hash_secret, new_secret


def enrol(db: Session, request: Enrolment, address: str) -> tuple[Agent, str]:
    """Take an agent in; returns it with its secret, which is stored hashed.

    A name that is in use can be taken over only with a token that was made for that very agent: that is how a host that
    lost its credential comes back.

    Raises:
        ApiError: 401 or 403 for the token, 409 if the name is taken.
    """
    token = enrolment.redeem(db, request.token, request.name)
    take_turn(db)
    agent = db.scalar(select(Agent).where(Agent.name == request.name))
    if agent is not None and token.agent_name != request.name:
        raise ApiError(
            409,
            f"an agent called {request.name!r} is enrolled already; choose another name, or make a token for it",
            field="body.name",
        )
    secret = new_secret(SecretKind.AGENT)
    if agent is None:
        agent = Agent(name=request.name, site=token.site, secret_hash="", enrolled_at=now())
        db.add(agent)
    agent.secret_hash = hash_secret(secret)
    agent.site = token.site or agent.site
    agent.version = request.version
    agent.host = request.host
    agent.revoked_at = None
    agent.labels = {**agent.labels, **token.labels} if agent.labels else dict(token.labels)
    try:
        db.flush()
    except IntegrityError:
        raise ApiError(
            409, f"an agent called {request.name!r} is being enrolled right now", field="body.name"
        ) from None
    credentials.begin(db, agent)
    actor = Actor(f"agent:{agent.name}", address)
    record(
        db,
        actor,
        "agent.enrol",
        agent.name,
        after={"site": agent.site, "enrolment": enrolment.describe(token), "enrolment_id": token.id},
    )
    reselect_agent(db, actor, agent)
    return agent, secret


def state_of(agent: Agent, settings: ControlPlaneSettings, at: datetime) -> AgentState:
    """How the agent is at a time."""
    if agent.revoked_at is not None:
        return AgentState.REVOKED
    if agent.last_seen_at is None:
        return AgentState.NEVER_SEEN
    age = (at - agent.last_seen_at).total_seconds()
    if age > max(settings.late_seconds, settings.offline_seconds):
        return AgentState.OFFLINE
    if agent.draining:
        return AgentState.DRAINING
    return AgentState.ONLINE if age <= settings.late_seconds else AgentState.LATE


def public(agent: Agent, settings: ControlPlaneSettings, at: datetime) -> AgentPublic:
    """The agent as users see it."""
    made_up = {"state", "uptime"}
    columns = {name: getattr(agent, name) for name in AgentPublic.model_fields if name not in made_up}
    uptime = (
        (agent.last_seen_at - agent.started_at).total_seconds() if agent.last_seen_at and agent.started_at else None
    )
    return AgentPublic(state=state_of(agent, settings, at), uptime=uptime, **columns)


def list_agents(db: Session) -> Sequence[Agent]:
    """All agents by name."""
    return db.scalars(select(Agent).order_by(Agent.name)).all()


def query_agents(
    settings: ControlPlaneSettings,
    at: datetime,
    *,
    state: AgentState | None = None,
    site: str | None = None,
    labels: Iterable[str] = (),
    part: str = "",
) -> Select[Agent]:
    """All agents, or those that fit.

    Args:
        settings: for the ages of heartbeats that make a state.
        at: the time for which states are told.
        state: only agents in this state.
        site: only agents of this site; "" for those without.
        labels: `name=value` or `name`; all of them have to fit.
        part: part of the name.
    """
    query = select(Agent)
    if state is not None:
        query = query.where(is_in(state, settings, at))
    if site is not None:
        query = query.where(Agent.site == site)
    for label in labels:
        name, given, value = label.partition("=")
        stored = Agent.labels[name].as_string()
        query = query.where(stored == value if given else stored.is_not(None))
    return having(query, part, Agent.name)


def is_in(state: AgentState, settings: ControlPlaneSettings, at: datetime) -> ColumnElement[bool]:
    """What `state_of` says, as a condition."""
    late, offline = (at - timedelta(seconds=age) for age in (settings.late_seconds, settings.offline_seconds))
    if state is AgentState.REVOKED:
        return Agent.revoked_at.is_not(None)
    seen = {
        AgentState.NEVER_SEEN: Agent.last_seen_at.is_(None),
        AgentState.OFFLINE: and_(Agent.last_seen_at < offline, Agent.last_seen_at < late),
        AgentState.DRAINING: and_(or_(Agent.last_seen_at >= offline, Agent.last_seen_at >= late), Agent.draining),
        AgentState.LATE: and_(Agent.last_seen_at < late, Agent.last_seen_at >= offline, Agent.draining.is_(False)),
        AgentState.ONLINE: and_(Agent.last_seen_at >= late, Agent.draining.is_(False)),
    }[state]
    return and_(Agent.revoked_at.is_(None), seen)


def get_agent(db: Session, agent_id: str, *, lock: bool = False) -> Agent:
    """One agent; locked if it is to be changed.

    Raises:
        ApiError: 404.
    """
    if lock:
        take_turn(db)
    return get_or_404(db, Agent, agent_id, "agent", lock=lock)
