"""What thousands of agents ask again and again: is there news for me, a sign of life, another access token.

Polls and heartbeats, every few seconds, take one statement each. An agent that was shut out is found by the same
statement, so that no worker lets it in for a moment longer.
"""

from datetime import datetime
from typing import Final, cast

from sqlalchemy import Connection, Table, bindparam, case, func, null, select, update
from sqlalchemy.orm import Session

from streamswarm_controlplane.agents.models import Agent
from streamswarm_controlplane.agents.schemas import AccessToken, Heartbeat, HeartbeatAnswer
from streamswarm_controlplane.assignments.service import assignment_set
from streamswarm_controlplane.deps import shut_out
from streamswarm_controlplane.enrolment import credentials
from streamswarm_controlplane.etags import not_modified
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_controlplane.sites.models import Site
from streamswarm_controlplane.sysconfig.service import effective
from streamswarm_core.assignment import AssignmentSet
from streamswarm_core.clock import now
from streamswarm_core.tokens import Scope, SigningKey

_AGENTS: Final = cast("Table", Agent.__table__)
_LIVING: Final = (_AGENTS.c.id == bindparam("agent_id"), _AGENTS.c.revoked_at.is_(None))
_VERSION: Final = select(_AGENTS.c.assignments_version).where(*_LIVING)
_ALIVE: Final = (
    update(_AGENTS)
    .where(*_LIVING)
    .values(
        # A restart that is wanted is said again and again until another process reports: an answer may get lost.
        restart_requested_at=case(
            (_AGENTS.c.started_at.is_distinct_from(bindparam("process")), null()), else_=_AGENTS.c.restart_requested_at
        )
    )
)
"""What else is set is what it is executed with."""
_SITES: Final = cast("Table", Site.__table__)
_PLACE: Final = tuple(
    select(column).where(_SITES.c.name == _AGENTS.c.site).scalar_subquery().label(column.name)
    for column in (_SITES.c.latitude, _SITES.c.longitude)
)
_ANSWER: Final = (
    _AGENTS.c.assignments_version,
    _AGENTS.c.name,
    _AGENTS.c.site,
    *_PLACE,
    _AGENTS.c.restart_requested_at,
)
_ALIVE_WITH_ANSWER: Final = _ALIVE.returning(*_ANSWER, func.set_config("synchronous_commit", "off", True))  # noqa: FBT003 - SQL's
"""For PostgreSQL, not to wait for the disk: of a crash's last second the next heartbeats tell the same again."""
_READ_ANSWER: Final = select(*_ANSWER).where(*_LIVING)
"""For SQLite, which keeps its lock until what is returned has been read."""


def poll(connection: Connection, agent_id: str, if_none_match: str) -> tuple[str, AssignmentSet | None]:
    """The entity tag of what an agent has to run, and that itself unless the agent has it.

    Raises:
        ApiError: 401 for an agent that was shut out.
    """
    version = connection.execute(_VERSION, {"agent_id": agent_id}).scalar()
    if version is None:
        raise shut_out()
    # The tag says it all, so that most polls needn't look at the assignments.
    etag = AssignmentSet(agent_id=agent_id, version=version).etag()
    if not_modified(if_none_match, etag):
        return etag, None
    with Session(connection) as db:
        wanted = assignment_set(db, db.get_one(Agent, agent_id))
    return wanted.etag(), wanted


def heartbeat(connection: Connection, agent_id: str, beat: Heartbeat, received_at: datetime) -> HeartbeatAnswer:
    """Take note of a sign of life, and say what the agent has to know.

    Raises:
        ApiError: 401 for an agent that was shut out.
    """
    # Without a reading of the agent's: one way only, with the time in it that the heartbeat travelled.
    one_way = (received_at - beat.sent_at).total_seconds()
    told = {
        "last_seen_at": received_at,
        "started_at": beat.started_at,
        "version": beat.version,
        "queued_points": beat.queued_points,
        "running_version": beat.assignments_version,
        "exporter_url": beat.exporter_url,
        "clock_offset": beat.clock.offset if beat.clock else one_way,
        "clock_error": beat.clock.error if beat.clock else None,
    }
    if beat.budget is not None:
        told["budget"] = beat.budget.model_dump()
    if beat.addresses is not None:
        told["addresses"] = beat.addresses
    if beat.host is not None:
        told["host"] = beat.host
    told |= {"agent_id": agent_id, "process": beat.started_at}
    if connection.dialect.name == "postgresql":
        row = connection.execute(_ALIVE_WITH_ANSWER, told).one_or_none()
    else:
        connection.execute(_ALIVE, told)
        row = connection.execute(_READ_ANSWER, {"agent_id": agent_id}).one_or_none()
    if row is None:
        raise shut_out()
    return HeartbeatAnswer(
        received_at=received_at,
        time=now(),
        assignments_version=row.assignments_version,
        name=row.name,
        site=row.site,
        latitude=row.latitude,
        longitude=row.longitude,
        restart=row.restart_requested_at is not None,
    )


def access_token(
    connection: Connection, key: SigningKey, base: ControlPlaneSettings, agent_id: str, secret: str
) -> AccessToken:
    """Exchange an agent's secret for an access token.

    Raises:
        ApiError: 401.
    """
    with Session(connection) as db:
        settings = effective(db, base)
        agent = db.get(Agent, agent_id)
        if agent is None or agent.revoked_at is not None or not credentials.verify(db, agent, secret):
            raise ApiError(401, "unknown agent or wrong secret; enrol again")
        token = key.issue(
            subject=agent.id,
            name=agent.name,
            site=agent.site,
            scopes=[Scope.WRITE, Scope.AGENT],
            lifetime=settings.access_token_seconds,
        )
        rotate = credentials.is_due(db, settings, agent)
        db.flush()
    return AccessToken(access_token=token, expires_in=settings.access_token_seconds, rotate_secret=rotate)
