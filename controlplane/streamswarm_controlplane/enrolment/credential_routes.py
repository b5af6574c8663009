from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from streamswarm_controlplane.agents.service import get_agent
from streamswarm_controlplane.deps import AddressDep, Operator, SessionDep, SettingsDep
from streamswarm_controlplane.enrolment import credentials
from streamswarm_controlplane.idempotency import ApiRoute, OnceDep

router = APIRouter(route_class=ApiRoute)


class SecretRequest(BaseModel):
    """An agent that asks for another secret."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"agent_id": "5d1a8d3c0f6b4a52a3d2f4f1b8a7c6e9", "secret": "ssa_…"}]},
    )

    agent_id: Annotated[str, StringConstraints(max_length=64)]
    secret: Annotated[str, StringConstraints(max_length=200)]


class SecretIssued(BaseModel):
    """Another secret for an agent."""

    agent_id: str
    secret: str = Field(description="To be kept before it is used; the first use ends the old one.")


class RotationDemanded(BaseModel):
    """Until when the agent's present secret is taken."""

    rotate_by: datetime


@router.post("/agent/secret", tags=["for agents"], summary="Exchange the agent's secret for another one")
def issue_secret(
    body: SecretRequest, db: SessionDep, settings: SettingsDep, address: AddressDep, _once: OnceDep
) -> SecretIssued:
    """Both are good until the new one is used for the first time."""
    agent, secret = credentials.issue(db, settings, body.agent_id, body.secret, address)
    return SecretIssued(agent_id=agent.id, secret=secret)


@router.post("/agents/{agent_id}/rotate-secret", tags=["agents"], summary="Have an agent change its secret")
def rotate_agent_secret(
    agent_id: str, db: SessionDep, settings: SettingsDep, operator: Operator, _once: OnceDep
) -> RotationDemanded:
    """It does so with its next access token. After the grace time the old secret is refused: it has to enrol again."""
    row = credentials.demand(db, operator.actor, settings, get_agent(db, agent_id))
    return RotationDemanded.model_validate(row, from_attributes=True)
