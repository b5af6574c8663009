from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response, status

from streamswarm_controlplane.agents import changes, contact, service
from streamswarm_controlplane.agents.models import Agent
from streamswarm_controlplane.agents.schemas import (
    AccessToken,
    AgentPublic,
    AgentRemoved,
    AgentState,
    AgentUpdate,
    Enrolled,
    Enrolment,
    Heartbeat,
    HeartbeatAnswer,
    LabelFilter,
    SeriesChoice,
    TokenRequest,
)
from streamswarm_controlplane.deps import (
    AddressDep,
    Admin,
    AgentIdDep,
    BaseSettingsDep,
    DatabaseDep,
    Operator,
    SessionDep,
    SettingsDep,
    SigningKeyDep,
    Viewer,
)
from streamswarm_controlplane.dryrun import CAN_BE_TRIED
from streamswarm_controlplane.etags import ChangingDep, IfNoneMatch, ReadingDep
from streamswarm_controlplane.idempotency import ApiRoute, OnceDep
from streamswarm_controlplane.pages import Page, PageDep
from streamswarm_core.assignment import AssignmentSet
from streamswarm_core.clock import now

router = APIRouter(tags=["agents"], route_class=ApiRoute)
agent_router = APIRouter(prefix="/agent", tags=["for agents"], route_class=ApiRoute)


@router.get("/agents", summary="All agents")
def list_agents(
    db: SessionDep,
    settings: SettingsDep,
    page: PageDep,
    _viewer: Viewer,
    state: Annotated[AgentState | None, Query(description="Only agents in this state.")] = None,
    site: Annotated[str | None, Query(max_length=63, description="Only agents of this site; empty: of none.")] = None,
    label: Annotated[
        list[LabelFilter],
        Query(max_length=32, description="`name=value`, or `name` for any value; of several all have to fit."),
    ] = (),  # type: ignore[assignment]
    q: Annotated[str, Query(max_length=100, description="Part of the name.")] = "",
) -> Page[AgentPublic]:
    """Ordered by name, with their state by the age of their last heartbeat."""
    at = now()
    query = service.query_agents(settings, at, state=state, site=site, labels=label, part=q)
    return page.read(db, query, by=[Agent.name], show=lambda agent: service.public(agent, settings, at))


@router.get("/agents/{agent_id}", summary="One agent")
def get_agent(
    agent_id: str, db: SessionDep, settings: SettingsDep, reading: ReadingDep, _viewer: Viewer
) -> AgentPublic:
    """By id."""
    return reading.show(service.public(service.get_agent(db, agent_id), settings, now()))


@router.patch("/agents/{agent_id}", dependencies=CAN_BE_TRIED, summary="Rename, move or label an agent")
def update_agent(
    agent_id: str,
    body: AgentUpdate,
    db: SessionDep,
    settings: SettingsDep,
    changing: ChangingDep,
    operator: Operator,
) -> AgentPublic:
    """A new name or site is in the tags of what it measures from now on, within ten minutes at most.

    What is stored keeps the old tags: a renamed agent's series end, and new ones begin.
    """
    agent = service.get_agent(db, agent_id, lock=True)
    changing.check(service.public(agent, settings, now()))
    return changing.show(service.public(changes.update(db, operator.actor, agent, body), settings, now()))


@router.delete("/agents/{agent_id}", summary="Delete an agent, and its series if asked for")
def delete_agent(
    agent_id: str,
    db: SessionDep,
    settings: SettingsDep,
    key: SigningKeyDep,
    changing: ChangingDep,
    admin: Admin,
    series: Annotated[SeriesChoice, Query(description="What becomes of what it has measured.")],
) -> AgentRemoved:
    """Its assignments go with it. To be deleted with its series it has to be shut out, or to be silent.

    A store that is read as PromQL deletes nothing: 409, and nothing is changed.
    """
    agent = service.get_agent(db, agent_id, lock=True)
    changing.check(service.public(agent, settings, now()))
    return changes.remove(db, admin.actor, agent, series, settings=settings, key=key)


@router.post("/agents/{agent_id}/drain", summary="Let an agent start no more runs")
def drain_agent(
    agent_id: str, db: SessionDep, settings: SettingsDep, operator: Operator, _once: OnceDep
) -> AgentPublic:
    """Runs that are under way end; its assignments stay, and start again when it is undrained."""
    agent = changes.drain(db, operator.actor, service.get_agent(db, agent_id, lock=True), draining=True)
    return service.public(agent, settings, now())


@router.post("/agents/{agent_id}/undrain", summary="Let a drained agent run its tests again")
def undrain_agent(
    agent_id: str, db: SessionDep, settings: SettingsDep, operator: Operator, _once: OnceDep
) -> AgentPublic:
    """It starts with its next look for assignments."""
    agent = changes.drain(db, operator.actor, service.get_agent(db, agent_id, lock=True), draining=False)
    return service.public(agent, settings, now())


@router.post("/agents/{agent_id}/restart", summary="Let an agent start anew")
def restart_agent(
    agent_id: str, db: SessionDep, settings: SettingsDep, operator: Operator, _once: OnceDep
) -> AgentPublic:
    """Said with the answer to its next heartbeat; it ends with exit code 75, and its supervisor starts it again.

    Once only: whatever process reports next has been started anew.
    """
    agent = changes.request_restart(db, operator.actor, service.get_agent(db, agent_id, lock=True))
    return service.public(agent, settings, now())


@router.post("/agents/{agent_id}/revoke", status_code=status.HTTP_204_NO_CONTENT, summary="Shut an agent out")
def revoke_agent(agent_id: str, db: SessionDep, operator: Operator, _once: OnceDep) -> None:
    """Collectors refuse its points within 10 seconds; its data stay. It can enrol again with a token made for it."""
    changes.revoke(db, operator.actor, service.get_agent(db, agent_id, lock=True))


@agent_router.post("/enrol", status_code=status.HTTP_201_CREATED, summary="Enrol with a one-time token")
def enrol(body: Enrolment, db: SessionDep, address: AddressDep, _once: OnceDep) -> Enrolled:
    """The secret is in the answer, and nowhere else."""
    agent, secret = service.enrol(db, body, address)
    return Enrolled(agent_id=agent.id, name=agent.name, site=agent.site, secret=secret)


@agent_router.post("/token", summary="Exchange the agent's secret for an access token")
async def access_token(
    body: TokenRequest, database: DatabaseDep, key: SigningKeyDep, base: BaseSettingsDep
) -> AccessToken:
    """Signed with Ed25519; collectors verify it without asking."""
    given = body.agent_id, body.secret
    return await database.in_turn(lambda db: contact.access_token(db, key, base, *given), reading=True)


@agent_router.get("/assignments", response_model=AssignmentSet, summary="What the agent has to run")
async def assignments(
    database: DatabaseDep, agent_id: AgentIdDep, response: Response, if_none_match: IfNoneMatch = ""
) -> AssignmentSet | Response:
    """304 while nothing has changed."""
    etag, wanted = await database.in_turn(lambda db: contact.poll(db, agent_id, if_none_match), reading=True)
    if wanted is None:
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers={"ETag": etag})
    response.headers["ETag"] = etag
    return wanted


@agent_router.post("/heartbeat", summary="Sign of life")
async def heartbeat(body: Heartbeat, request: Request, database: DatabaseDep, agent_id: AgentIdDep) -> HeartbeatAnswer:
    """The answer says whether the assignments have changed, what the agent is called, and whether to start anew.

    With the two times in it an agent measures how far its clock is from this one (RFC 5905, section 8).
    """
    received_at: datetime = request.state.received_at
    return await database.in_turn(lambda db: contact.heartbeat(db, agent_id, body, received_at), alone=True)
