"""What routes ask for by type: the database, who is calling, the services' shared objects."""

import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from sqlalchemy.orm import Session

from streamswarm_controlplane.agents.models import Agent
from streamswarm_controlplane.audit.service import Actor
from streamswarm_controlplane.auth.models import UserSession
from streamswarm_controlplane.db import Database
from streamswarm_controlplane.problems import PASSWORD_CHANGE_REQUIRED, ApiError
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_controlplane.users.models import Role, User
from streamswarm_core.clock import now
from streamswarm_core.errors import TokenError
from streamswarm_core.reader import Reader
from streamswarm_core.tokens import Scope, SigningKey, TokenVerifier, hash_secret

SESSION_COOKIE: Final = "streamswarm_session"
CSRF_HEADER: Final = "X-CSRF-Token"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_TOUCH_SECONDS: Final = 60


def _state(request: Request, name: str) -> Any:
    return getattr(request.app.state, name)


def get_settings(request: Request) -> ControlPlaneSettings:
    """The control plane's settings."""
    settings: ControlPlaneSettings = _state(request, "settings")
    return settings


def get_signing_key(request: Request) -> SigningKey:
    """The key that access tokens are signed with."""
    key: SigningKey = _state(request, "signing_key")
    return key


def get_reader(request: Request) -> Reader:
    """The reader of the store."""
    reader: Reader = _state(request, "reader")
    return reader


def get_session(request: Request) -> Iterator[Session]:
    """A transaction for the request, committed before the answer is sent."""
    database: Database = _state(request, "database")
    with database.session() as session:
        yield session


SettingsDep = Annotated[ControlPlaneSettings, Depends(get_settings)]
SigningKeyDep = Annotated[SigningKey, Depends(get_signing_key)]
ReaderDep = Annotated[Reader, Depends(get_reader)]
SessionDep = Annotated[Session, Depends(get_session, scope="function")]


def client_address(request: Request) -> str:
    """Where the request comes from."""
    return request.client.host if request.client else ""


AddressDep = Annotated[str, Depends(client_address)]


@dataclass(frozen=True, slots=True)
class Principal:
    """A user with a valid session."""

    user: User
    session: UserSession
    address: str

    @property
    def actor(self) -> Actor:
        """For the audit log."""
        return Actor(self.user.username, self.address)


def get_principal(request: Request, db: SessionDep, settings: SettingsDep, address: AddressDep) -> Principal:
    """Whoever the session cookie belongs to, even if a password change is due.

    Raises:
        ApiError: 401 without a valid session, 403 where an unsafe request lacks the CSRF token.
    """
    secret = request.cookies.get(SESSION_COOKIE, "")
    session = db.get(UserSession, hash_secret(secret)) if secret else None
    user = db.get(User, session.user_id) if session else None
    if session is None or user is None or not user.active or _expired(session, settings):
        raise ApiError(401, "log in first: POST /api/v1/auth/login")
    if request.method not in _SAFE_METHODS and not hmac.compare_digest(
        request.headers.get(CSRF_HEADER, "").encode(), session.csrf_token.encode()
    ):
        raise ApiError(403, f"the header {CSRF_HEADER} is missing or wrong; its value is in GET /api/v1/auth/me")
    if now() - session.last_seen_at > timedelta(seconds=_TOUCH_SECONDS):
        session.last_seen_at = now()
    request.state.caller = f"user:{user.id}"
    return Principal(user, session, address)


def _expired(session: UserSession, settings: ControlPlaneSettings) -> bool:
    idle = now() - session.last_seen_at > timedelta(minutes=settings.session_idle_minutes)
    return idle or now() - session.created_at > timedelta(hours=settings.session_hours)


PrincipalDep = Annotated[Principal, Depends(get_principal)]


class RequireRole:
    """A dependency that lets in users with a role, once they have a password of their own.

    Attributes:
        role: the least role; tests read it from the route table.
    """

    def __init__(self, role: Role) -> None:
        self.role = role

    def __call__(self, principal: PrincipalDep) -> Principal:
        """Check the caller.

        Raises:
            ApiError: 403.
        """
        if principal.user.must_change_password:
            raise ApiError(403, "change your password first: POST /api/v1/auth/password", kind=PASSWORD_CHANGE_REQUIRED)
        if not Role(principal.user.role).includes(self.role):
            raise ApiError(403, f"this needs the role {self.role}; yours is {principal.user.role}")
        return principal


Viewer = Annotated[Principal, Depends(RequireRole(Role.VIEWER))]
Operator = Annotated[Principal, Depends(RequireRole(Role.OPERATOR))]
Admin = Annotated[Principal, Depends(RequireRole(Role.ADMIN))]


def bearer_token(request: Request) -> str:
    """The token of an `Authorization: Bearer` header, or ""."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


class AgentAuth:
    """A dependency that lets in agents with an access token of this control plane."""

    def __call__(self, request: Request, db: SessionDep, key: SigningKeyDep) -> Agent:
        """Check the caller.

        Raises:
            ApiError: 401.
        """
        try:
            claims = TokenVerifier(key.jwks()).verify(bearer_token(request))
        except TokenError as error:
            raise ApiError(401, str(error)) from None
        agent = db.get(Agent, claims.sub)
        if Scope.AGENT not in claims.scopes or agent is None or agent.revoked_at is not None:
            raise ApiError(401, "this is no living agent's access token; enrol again")
        request.state.caller = f"agent:{agent.id}"
        return agent


AgentDep = Annotated[Agent, Depends(AgentAuth())]
