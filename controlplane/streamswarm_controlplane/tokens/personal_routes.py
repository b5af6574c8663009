from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, status
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy.orm import Session

from streamswarm_controlplane.deps import Admin, SessionDep, SettingsDep, Viewer
from streamswarm_controlplane.idempotency import ApiRoute, OnceDep
from streamswarm_controlplane.pages import Page, PageDep, PageRequest
from streamswarm_controlplane.tokens import personal
from streamswarm_controlplane.tokens.models import ApiScope, ApiToken
from streamswarm_controlplane.users.models import User
from streamswarm_controlplane.users.service import get_user

router = APIRouter(tags=["personal tokens"], route_class=ApiRoute)


class ApiTokenCreate(BaseModel):
    """A new personal token."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "laptop", "scope": "read", "expires_in_days": 30}]}
    )

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]
    scope: ApiScope = Field(ApiScope.READ, description="Each includes the ones before it; never more than your role.")
    expires_in_days: float | None = Field(
        None, gt=0, le=3650, description="90 if not given; at most what /config/api_token_days says."
    )


class ApiTokenPublic(BaseModel):
    """A personal token without its secret."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    scope: ApiScope
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None = Field(description="To the minute.")


class ApiTokenCreated(ApiTokenPublic):
    """A personal token with its secret."""

    token: str = Field(description="Shown once; to be sent as `Authorization: Bearer …`.")


def _page(db: Session, page: PageRequest, user: User) -> Page[ApiTokenPublic]:
    by = [ApiToken.created_at, ApiToken.id]
    return page.read(db, personal.query_tokens(user), by=by, show=ApiTokenPublic.model_validate, descending=True)


def _created(token: ApiToken, secret: str) -> ApiTokenCreated:
    return ApiTokenCreated(**ApiTokenPublic.model_validate(token).model_dump(), token=secret)


@router.get("/auth/tokens", summary="The caller's personal tokens")
def list_api_tokens(db: SessionDep, page: PageDep, caller: Viewer) -> Page[ApiTokenPublic]:
    """Newest first, expired ones included."""
    return _page(db, page, caller.user)


@router.post("/auth/tokens", status_code=status.HTTP_201_CREATED, summary="Make a personal token")
def create_api_token(
    body: ApiTokenCreate, db: SessionDep, settings: SettingsDep, caller: Viewer, _once: OnceDep
) -> ApiTokenCreated:
    """For scripts that use this API. The secret is in the answer, and nowhere else."""
    made = personal.issue(db, caller, settings, name=body.name, scope=body.scope, days=body.expires_in_days)
    return _created(*made)


@router.post("/auth/tokens/{token_id}/regenerate", summary="Give a personal token another secret")
def regenerate_api_token(token_id: str, db: SessionDep, caller: Viewer, _once: OnceDep) -> ApiTokenCreated:
    """The old secret is dead at once; name, scope and expiry stay."""
    return _created(*personal.regenerate(db, caller, token_id))


@router.delete("/auth/tokens/{token_id}", status_code=status.HTTP_204_NO_CONTENT, summary="Revoke a personal token")
def revoke_api_token(token_id: str, db: SessionDep, caller: Viewer) -> None:
    """At once."""
    personal.revoke(db, caller, token_id)


@router.get("/users/{user_id}/tokens", summary="A user's personal tokens")
def list_user_tokens(user_id: str, db: SessionDep, page: PageDep, _admin: Admin) -> Page[ApiTokenPublic]:
    """Newest first."""
    return _page(db, page, get_user(db, user_id))


@router.delete(
    "/users/{user_id}/tokens/{token_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Revoke a personal token of a user",
)
def revoke_user_token(user_id: str, token_id: str, db: SessionDep, admin: Admin) -> None:
    """At once."""
    personal.revoke_of(db, admin, get_user(db, user_id), token_id)
