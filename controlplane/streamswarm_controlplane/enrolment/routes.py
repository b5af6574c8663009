from datetime import datetime
from typing import Annotated, ClassVar, Self

from fastapi import APIRouter, Query, status
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import select

from streamswarm_controlplane.agents.schemas import Labels, OneAgent, SiteName
from streamswarm_controlplane.deps import Operator, SessionDep, SettingsDep
from streamswarm_controlplane.enrolment import service
from streamswarm_controlplane.enrolment.models import EnrolmentToken
from streamswarm_controlplane.etags import ChangingDep, ReadingDep
from streamswarm_controlplane.idempotency import ApiRoute, OnceDep
from streamswarm_controlplane.pages import Page, PageDep, having

router = APIRouter(prefix="/enrolment-tokens", tags=["agents"], route_class=ApiRoute)


class EnrolmentCreate(BaseModel):
    """A new token for one agent, or for several."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"site": "berlin", "hours": 24, "uses": 1}]}
    )

    agent_name: OneAgent = Field("", description="Only this agent may use it; any if empty.")
    site: SiteName = Field("", description="The agent's `site` tag.")
    labels: Labels = Field(default_factory=dict, description="Labels that the agent gets.")
    hours: float | None = Field(None, gt=0, le=720, description="Lifetime; the server's default if not given.")
    uses: int = Field(1, ge=1, le=10_000, description="How many agents can enrol with it.")

    @model_validator(mode="after")
    def _one_agent_once(self) -> Self:
        if self.agent_name and self.uses > 1:
            raise ValueError("a token for one agent can be used once; leave agent_name or uses out")
        return self


class EnrolmentPublic(BaseModel):
    """An enrolment token without its secret."""

    MEASURED: ClassVar = frozenset({"uses_left", "used_at", "used_by"})
    model_config = ConfigDict(from_attributes=True)

    id: str
    agent_name: str
    site: str
    labels: dict[str, str]
    uses: int
    uses_left: int
    created_by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    used_at: datetime | None = Field(description="Of the newest use.")
    used_by: str


class EnrolmentCreated(EnrolmentPublic):
    """A new token with its secret."""

    token: str = Field(description="Shown once.")
    command: str = Field(description="To be run on the agent's host.")


@router.get("", summary="All enrolment tokens")
def list_enrolment_tokens(
    db: SessionDep,
    page: PageDep,
    _operator: Operator,
    q: Annotated[str, Query(max_length=100, description="Part of the agent's name or of the site.")] = "",
) -> Page[EnrolmentPublic]:
    """Newest first, used and expired ones included."""
    by = [EnrolmentToken.created_at, EnrolmentToken.id]
    query = having(select(EnrolmentToken), q, EnrolmentToken.agent_name, EnrolmentToken.site)
    return page.read(db, query, by=by, show=EnrolmentPublic.model_validate, descending=True)


@router.post("", status_code=status.HTTP_201_CREATED, summary="Make an enrolment token")
def create_enrolment_token(
    body: EnrolmentCreate, db: SessionDep, settings: SettingsDep, operator: Operator, _once: OnceDep
) -> EnrolmentCreated:
    """The secret is in the answer, and nowhere else."""
    token, secret = service.mint(
        db,
        operator.actor,
        agent_name=body.agent_name,
        site=body.site,
        labels=body.labels,
        uses=body.uses,
        hours=body.hours or settings.enrolment_hours,
    )
    command = f"streamswarm agent enrol --url {settings.url} --token {secret}"
    return EnrolmentCreated(**EnrolmentPublic.model_validate(token).model_dump(), token=secret, command=command)


@router.get("/{token_id}", summary="One enrolment token")
def get_enrolment_token(token_id: str, db: SessionDep, reading: ReadingDep, _operator: Operator) -> EnrolmentPublic:
    """By id; without its secret."""
    return reading.show(EnrolmentPublic.model_validate(service.get_token(db, token_id)))


@router.delete("/{token_id}", status_code=status.HTTP_204_NO_CONTENT, summary="Revoke an enrolment token")
def withdraw_enrolment_token(token_id: str, db: SessionDep, changing: ChangingDep, operator: Operator) -> None:
    """Agents that used it stay enrolled."""
    token = service.get_token(db, token_id, lock=True)
    changing.check(EnrolmentPublic.model_validate(token))
    service.withdraw(db, operator.actor, token)
