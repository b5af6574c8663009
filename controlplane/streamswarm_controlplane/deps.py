"""What routes ask for by type: the database, who is calling, the services' shared objects."""

import hmac
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, TypeVar

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from streamswarm_controlplane import development
from streamswarm_controlplane.addresses import client_of, peer_of
from streamswarm_controlplane.agents.models import Agent
from streamswarm_controlplane.audit.service import Actor
from streamswarm_controlplane.auth.models import UserSession
from streamswarm_controlplane.db import Database
from streamswarm_controlplane.dryrun import is_dry_run
from streamswarm_controlplane.problems import PASSWORD_CHANGE_REQUIRED, ApiError
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_controlplane.sysconfig.service import effective
from streamswarm_controlplane.tokens.models import ApiScope, ApiToken
from streamswarm_controlplane.users.models import User
from streamswarm_controlplane.users.roles import Role
from streamswarm_core.clock import now
from streamswarm_core.errors import TokenError
from streamswarm_core.reader import Reader
from streamswarm_core.secret import hash_secret
from streamswarm_core.tokens import RememberingVerifier, Scope, SigningKey

SESSION_COOKIE: Final = "streamswarm_session"
CSRF_HEADER: Final = "X-CSRF-Token"
Endpoint = TypeVar("Endpoint", bound=Callable[..., object])
_READERS: Final[set[Callable[..., object]]] = set()
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_TOUCH_SECONDS: Final = 60
_TOUCH: Final = timedelta(seconds=_TOUCH_SECONDS)


def _state(request: Request, name: str) -> Any:
    return getattr(request.app.state, name)


async def get_signing_key(request: Request) -> SigningKey:
    """The key that access tokens are signed with."""
    key: SigningKey = _state(request, "signing_key")
    return key


async def get_reader(request: Request) -> Reader:
    """The reader of the store."""
    reader: Reader = _state(request, "reader")
    return reader


async def get_database(request: Request) -> Database:
    """The database, for what needs transactions of its own."""
    database: Database = _state(request, "database")
    return database


def begins_reading(endpoint: Endpoint) -> Endpoint:
    """Mark the endpoint of an unsafe method that decides nothing on what it reads: see `Database.session`."""
    _READERS.add(endpoint)
    return endpoint


async def get_session(request: Request) -> AsyncIterator[Session]:
    """A transaction for the request, committed before the answer is sent."""
    database: Database = _state(request, "database")
    reading = request.method in _SAFE_METHODS or request.scope.get("endpoint") in _READERS
    async with database.session_in_turn(reading=reading) as session:
        yield session
        if is_dry_run(request):
            await run_in_threadpool(session.rollback)


async def get_base_settings(request: Request) -> ControlPlaneSettings:
    """The control plane's settings as it was started with them."""
    settings: ControlPlaneSettings = _state(request, "settings")
    return settings


SigningKeyDep = Annotated[SigningKey, Depends(get_signing_key)]
ReaderDep = Annotated[Reader, Depends(get_reader)]
DatabaseDep = Annotated[Database, Depends(get_database)]
SessionDep = Annotated[Session, Depends(get_session, scope="function")]
BaseSettingsDep = Annotated[ControlPlaneSettings, Depends(get_base_settings)]


def get_settings(base: BaseSettingsDep, db: SessionDep) -> ControlPlaneSettings:
    """The settings in force: what admins have changed in the system's configuration goes first."""
    return effective(db, base)


SettingsDep = Annotated[ControlPlaneSettings, Depends(get_settings)]


async def client_address(request: Request, settings: BaseSettingsDep) -> str:
    """Where the request comes from; X-Forwarded-For counts only if a trusted proxy sent it."""
    return client_of(peer_of(request), request.headers.getlist("X-Forwarded-For"), settings.trusted_proxies)


AddressDep = Annotated[str, Depends(client_address)]


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who may use the API.

    Attributes:
        user: who it is.
        address: where the request comes from.
        session: the browser's, if that is how they came.
        token: the personal token, if that is how they came.
    """

    user: User
    address: str
    session: UserSession | None = None
    token: ApiToken | None = None

    @property
    def role(self) -> Role:
        """What they may do by this way: a token never may more than its user at this moment."""
        role = Role(self.user.role)
        return role.weaker(ApiScope(self.token.scope).role) if self.token else role

    @property
    def actor(self) -> Actor:
        """For the audit log."""
        if development.is_developer(self.user):
            return Actor(self.user.username, self.address, kind="development")
        via = self.token.name if self.token else ""
        return Actor(self.user.username, self.address, kind="user", user_id=self.user.id, via=via)


def bearer_token(request: Request) -> str:
    """The token of an `Authorization: Bearer` header, or ""."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


def get_principal(request: Request, db: SessionDep, settings: SettingsDep, address: AddressDep) -> Principal:
    """Whoever the personal token or the session cookie belongs to, even if a password change is due.

    Raises:
        ApiError: 401 without a valid token or session, 403 where an unsafe request of a session lacks the CSRF token.
    """
    if "Authorization" in request.headers:
        return _by_token(request, db, address)
    if SESSION_COOKIE in request.cookies:
        principal = _by_session(request, db, settings, address)
        if principal:
            return principal
    if development.lets_in(request, db, settings):
        request.state.caller = development.NAME
        return Principal(development.developer(), address)
    raise ApiError(
        401,
        "log in first: POST /api/v1/auth/login, or send a personal token: Authorization: Bearer sst_…",
        headers={"WWW-Authenticate": "Bearer"},
    )


def _by_token(request: Request, db: Session, address: str) -> Principal:
    token = db.scalar(select(ApiToken).where(ApiToken.token_hash == hash_secret(bearer_token(request))))
    user = db.get(User, token.user_id) if token else None
    if token is None or user is None or not user.active or token.expires_at <= now():
        raise ApiError(
            401,
            "this personal token is unknown, has expired or was revoked; make one in the console under Profile",
            headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
        )
    if token.last_used_at is None or now() - token.last_used_at > _TOUCH:
        _touch(db, token, last_used_at=now())
    request.state.caller = f"token:{token.id}"
    return Principal(user, address, token=token)


def _by_session(request: Request, db: Session, settings: ControlPlaneSettings, address: str) -> Principal | None:
    session = db.get(UserSession, hash_secret(request.cookies[SESSION_COOKIE]))
    user = db.get(User, session.user_id) if session else None
    if session is None or user is None or not user.active or expired(session, settings):
        return None
    if request.method not in _SAFE_METHODS and not hmac.compare_digest(
        request.headers.get(CSRF_HEADER, "").encode(), session.csrf_token.encode()
    ):
        raise ApiError(403, f"the header {CSRF_HEADER} is missing or wrong; its value is in GET /api/v1/auth/me")
    if now() - session.last_seen_at > _TOUCH:
        _touch(db, session, last_seen_at=now())
    request.state.caller = f"user:{user.id}"
    return Principal(user, address, session=session)


def _touch(db: Session, row: UserSession | ApiToken, **values: datetime) -> None:
    """Note a use; of what somebody else ends right now there is nothing to note, and the answer is under way."""
    db.execute(update(type(row)).where(type(row).id == row.id).values(values))


def expired(session: UserSession, settings: ControlPlaneSettings) -> bool:
    """Whether a session has been idle for too long, or is too old."""
    idle = now() - session.last_seen_at > timedelta(minutes=settings.session_idle_minutes)
    return idle or now() - session.created_at > timedelta(hours=settings.session_hours)


PrincipalDep = Annotated[Principal, Depends(get_principal)]
"""Anybody who is logged in, by whatever way, even if a password change is due."""


class RequireSession:
    """A dependency that lets in people at a browser, and no tokens: for what a leaked token must not be able to do."""

    async def __call__(self, principal: PrincipalDep) -> Principal:
        """Check the caller.

        Raises:
            ApiError: 403.
        """
        if principal.session is None:
            raise ApiError(403, "this needs a login with a password or single sign-on; no token can do it")
        return principal


BrowserDep = Annotated[Principal, Depends(RequireSession())]


class RequireRole:
    """A dependency that lets in users with a role, once they have a password of their own.

    Attributes:
        role: the least role; tests read it from the route table.
    """

    def __init__(self, role: Role) -> None:
        self.role = role

    async def __call__(self, principal: PrincipalDep) -> Principal:
        """Check the caller.

        Raises:
            ApiError: 403.
        """
        if principal.user.must_change_password:
            raise ApiError(403, "change your password first: POST /api/v1/auth/password", kind=PASSWORD_CHANGE_REQUIRED)
        if not principal.role.includes(self.role):
            limit = f"; the token's scope is {principal.token.scope}" if principal.token else ""
            raise ApiError(403, f"this needs the role {self.role}; yours is {principal.user.role}{limit}")
        return principal


Viewer = Annotated[Principal, Depends(RequireRole(Role.VIEWER))]
Operator = Annotated[Principal, Depends(RequireRole(Role.OPERATOR))]
Admin = Annotated[Principal, Depends(RequireRole(Role.ADMIN))]


class AgentAuth:
    """A dependency that lets in agents with an access token of this control plane, and tells their id.

    Whether the agent was shut out since is in its row: take an `AgentDep`, or let the statement that you need anyway
    find out.
    """

    async def __call__(self, request: Request) -> str:
        """Check the caller.

        Raises:
            ApiError: 401.
        """
        remembered: RememberingVerifier = _state(request, "agent_tokens")
        try:
            claims = remembered.verify(bearer_token(request))
        except TokenError as error:
            raise ApiError(401, str(error)) from None
        if Scope.AGENT not in claims.scopes:
            raise shut_out()
        request.state.caller = f"agent:{claims.sub}"
        return claims.sub


AgentIdDep = Annotated[str, Depends(AgentAuth())]


def get_agent(agent_id: AgentIdDep, db: SessionDep) -> Agent:
    """The agent that asks.

    Raises:
        ApiError: 401 for an agent that was shut out.
    """
    agent = db.get(Agent, agent_id)
    if agent is None or agent.revoked_at is not None:
        raise shut_out()
    return agent


AgentDep = Annotated[Agent, Depends(get_agent)]


def shut_out() -> ApiError:
    """Of a token that is good by itself."""
    return ApiError(401, "this is no living agent's access token; enrol again")
