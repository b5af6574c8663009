from typing import Annotated

from fastapi import APIRouter, Header, Query, Response, status

from streamswarm_controlplane.agents import service
from streamswarm_controlplane.agents.models import Agent
from streamswarm_controlplane.agents.schemas import (
    AccessToken,
    AgentPublic,
    AgentState,
    Enrolled,
    Enrolment,
    Heartbeat,
    HeartbeatAnswer,
    LabelFilter,
    TokenRequest,
)
from streamswarm_controlplane.assignments.service import assignment_set
from streamswarm_controlplane.deps import (
    AddressDep,
    AgentDep,
    Operator,
    SessionDep,
    SettingsDep,
    SigningKeyDep,
    Viewer,
)
from streamswarm_controlplane.etags import ReadingDep, not_modified
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


@router.post("/agents/{agent_id}/revoke", status_code=status.HTTP_204_NO_CONTENT, summary="Shut an agent out")
def revoke_agent(agent_id: str, db: SessionDep, operator: Operator, _once: OnceDep) -> None:
    """Collectors refuse its points within 10 seconds; its data stay. It can enrol again with a token made for it."""
    service.revoke(db, operator.actor, service.get_agent(db, agent_id))


@agent_router.post("/enrol", status_code=status.HTTP_201_CREATED, summary="Enrol with a one-time token")
def enrol(body: Enrolment, db: SessionDep, address: AddressDep, _once: OnceDep) -> Enrolled:
    """The secret is in the answer, and nowhere else."""
    agent, secret = service.enrol(db, body, address)
    return Enrolled(agent_id=agent.id, name=agent.name, site=agent.site, secret=secret)


@agent_router.post("/token", summary="Exchange the agent's secret for an access token")
def access_token(body: TokenRequest, db: SessionDep, key: SigningKeyDep, settings: SettingsDep) -> AccessToken:
    """Signed with Ed25519; collectors verify it without asking."""
    return service.access_token(db, key, settings, body.agent_id, body.secret)


@agent_router.get("/assignments", response_model=AssignmentSet, summary="What the agent has to run")
def assignments(
    db: SessionDep, agent: AgentDep, response: Response, if_none_match: Annotated[str, Header(max_length=1000)] = ""
) -> AssignmentSet | Response:
    """304 while nothing has changed."""
    current = assignment_set(db, agent)
    if not_modified(if_none_match, current.etag()):
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers={"ETag": current.etag()})
    response.headers["ETag"] = current.etag()
    return current


@agent_router.post("/heartbeat", summary="Sign of life")
def heartbeat(body: Heartbeat, agent: AgentDep) -> HeartbeatAnswer:
    """The answer says whether the assignments have changed, and what time it is here."""
    service.heartbeat(agent, body)
    return HeartbeatAnswer(time=now(), assignments_version=agent.assignments_version)
