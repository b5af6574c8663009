import hashlib
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Request, Response, status
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import select

from streamswarm_controlplane.deps import Admin, SessionDep, SigningKeyDep, bearer_token, begins_reading
from streamswarm_controlplane.etags import ChangingDep, IfNoneMatch, ReadingDep, not_modified
from streamswarm_controlplane.idempotency import ApiRoute, OnceDep
from streamswarm_controlplane.pages import Page, PageDep, PartOfName, having
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.tokens import service
from streamswarm_controlplane.tokens.models import StaticToken
from streamswarm_core.clock import now
from streamswarm_core.tokens import Scope

router = APIRouter(tags=["tokens"], route_class=ApiRoute)


class TokenCreate(BaseModel):
    """A new static token."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "grafana", "scopes": ["read"], "expires_in_days": 365}]},
    )

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=10)]
    expires_in_days: float | None = Field(None, gt=0, le=3650, description="It never expires if not given.")


class TokenPublic(BaseModel):
    """A static token without its secret."""

    MEASURED: ClassVar = frozenset({"last_used_at"})
    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    scopes: list[Scope]
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class TokenCreated(TokenPublic):
    """A new token with its secret."""

    token: str = Field(description="Shown once.")


class Introspection(BaseModel):
    """The question a collector asks."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"token": "sst_…"}]})

    token: Annotated[str, StringConstraints(max_length=512)]


class Revocations(BaseModel):
    """What collectors must not accept any more."""

    version: str
    revoked: list[str]


@router.get("/tokens", summary="All static tokens")
def list_tokens(db: SessionDep, page: PageDep, _admin: Admin, q: PartOfName = "") -> Page[TokenPublic]:
    """Newest first, revoked ones included."""
    by = [StaticToken.created_at, StaticToken.id]
    query = having(select(StaticToken), q, StaticToken.name)
    return page.read(db, query, by=by, show=TokenPublic.model_validate, descending=True)


@router.post("/tokens", status_code=status.HTTP_201_CREATED, summary="Make a static token")
def create_token(body: TokenCreate, db: SessionDep, admin: Admin, _once: OnceDep) -> TokenCreated:
    """For Grafana, Telegraf or a script. The secret is in the answer, and nowhere else."""
    if Scope.AGENT in body.scopes:
        raise ApiError(422, "the scope agent is for enrolled agents; take read or write", field="body.scopes")
    expires_at = now() + timedelta(days=body.expires_in_days) if body.expires_in_days else None
    token, secret = service.issue_token(db, admin.actor, body.name, body.scopes, expires_at)
    return TokenCreated(**TokenPublic.model_validate(token).model_dump(), token=secret)


@router.get("/tokens/{token_id}", summary="One static token")
def get_token(token_id: str, db: SessionDep, reading: ReadingDep, _admin: Admin) -> TokenPublic:
    """By id; without its secret."""
    return reading.show(TokenPublic.model_validate(service.get_token(db, token_id)))


@router.delete("/tokens/{token_id}", status_code=status.HTTP_204_NO_CONTENT, summary="Revoke a static token")
def revoke_token(token_id: str, db: SessionDep, changing: ChangingDep, admin: Admin) -> None:
    """Collectors refuse it within 10 seconds."""
    token = service.get_token(db, token_id, lock=True)
    changing.check(TokenPublic.model_validate(token))
    service.revoke_token(db, admin.actor, token)


@router.post("/tokens/introspect", summary="What a static token may do (for collectors)")
@begins_reading
def introspect(body: Introspection, request: Request, db: SessionDep) -> dict[str, Any]:
    """Needs a token with the scope `introspect`."""
    own = service.living_token(db, bearer_token(request))
    if own is None or Scope.INTROSPECT not in own.scopes:
        raise ApiError(401, "a token with the scope introspect is needed")
    token = service.living_token(db, body.token)
    if token is None:
        return {"active": False}
    if token.last_used_at is None or now() - token.last_used_at > timedelta(minutes=1):
        token.last_used_at = now()
    expires = token.expires_at.timestamp() if token.expires_at else None
    return {"active": True, "sub": token.id, "name": token.name, "site": "", "scopes": token.scopes, "exp": expires}


@router.get("/keys", summary="Public keys of access tokens (JWK set)")
def keys(key: SigningKeyDep) -> dict[str, Any]:
    """By these a collector verifies agents' tokens without asking."""
    return key.jwks()


@router.get("/revocations", response_model=Revocations, summary="Revoked agents and tokens")
def revocations(db: SessionDep, response: Response, if_none_match: IfNoneMatch = "") -> Revocations | Response:
    """Polled by collectors; 304 while nothing has changed."""
    revoked = service.revoked_ids(db)
    version = hashlib.sha256("\n".join(revoked).encode()).hexdigest()[:16]
    etag = f'"{version}"'
    if not_modified(if_none_match, etag):
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers={"ETag": etag})
    response.headers["ETag"] = etag
    return Revocations(version=version, revoked=revoked)
