"""What a new installation needs before anybody can log in. Safe to repeat."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from streamswarm_controlplane.agents.models import Agent
from streamswarm_controlplane.assignments.service import assign
from streamswarm_controlplane.audit.retention import prune
from streamswarm_controlplane.audit.service import SYSTEM
from streamswarm_controlplane.db import Database, lock_out_others
from streamswarm_controlplane.enrolment.service import mint
from streamswarm_controlplane.schema import migrate
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_controlplane.sysconfig.service import effective
from streamswarm_controlplane.testplans.models import Marker, TestPlan
from streamswarm_controlplane.testplans.schemas import TestCreate
from streamswarm_controlplane.testplans.service import create_test
from streamswarm_controlplane.tokens.models import StaticToken
from streamswarm_controlplane.tokens.service import issue_token, living_token
from streamswarm_controlplane.users import service as users
from streamswarm_controlplane.users.roles import Role
from streamswarm_core.clock import now
from streamswarm_core.errors import ConfigError
from streamswarm_core.ownfiles import write_whole
from streamswarm_core.secret import SecretKind, hash_secret
from streamswarm_core.settings import variable_name
from streamswarm_core.tokens import Scope, SigningKey

FIRST_ADMIN: Final = "admin"
_SERVICE_TOKENS: Final[Mapping[str, tuple[Scope, ...]]] = {
    "collector": (Scope.INTROSPECT,),
    "ml": (Scope.READ, Scope.WRITE),
}
_HANDED_TOKENS: Final[Mapping[str, tuple[Scope, ...]]] = {
    **_SERVICE_TOKENS,
    "grafana": (Scope.READ,),
    "prometheus": (Scope.READ,),
}
_SHORTEST_SECRET: Final = 40
_FIRST_ENROLMENT: Final = "first enrolment token"
_LOCK: Final = 7_317_042_992
"""Of several processes one sets the installation up, and the others find it done."""
_STARTER_MARKER: Final = "starter tests"


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """What came of it: the first admin's password, if they were made just now."""

    admin_password: str | None


@dataclass(frozen=True, slots=True)
class StarterTest:
    """One test of the starter set."""

    key: str
    name: str
    probe: str
    target: str
    interval: float
    params: Mapping[str, Any] = field(default_factory=dict)


def bootstrap(settings: ControlPlaneSettings) -> Bootstrap:
    """Make folder, database, signing key, first admin and the services' tokens, whatever of these is missing.

    Raises:
        ConfigError: the folder or the database can't be used.
    """
    try:
        settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{settings.folder}: {error.strerror}; choose another with STREAMSWARM_DATA") from None
    SigningKey.load_or_create(settings.folder / "signing-key.pem")
    with _transaction(settings) as db:
        lock_out_others(db, _LOCK)
        password = None
        if users.count_users(db) == 0:
            given = settings.first_password.get_secret_value()
            _, made = users.create_user(db, SYSTEM, FIRST_ADMIN, Role.ADMIN, password=given or None)
            password = None if given else made
        if settings.secrets is not None:
            _take_over_tokens(db, settings.secrets)
        else:
            for name, scopes in _SERVICE_TOKENS.items():
                _ensure_service_token(db, settings.data / "secrets" / f"{name}.token", name, scopes)
        if token := settings.first_enrolment_token.get_secret_value():
            _take_over_enrolment(db, token)
    return Bootstrap(password)


def mint_enrolment_token(settings: ControlPlaneSettings, agent_name: str, site: str) -> str:
    """A one-time token for one agent."""
    with _transaction(settings) as db:
        return mint(db, SYSTEM, agent_name=agent_name, site=site, hours=1)[1]


def create_starter_tests(settings: ControlPlaneSettings, agent_name: str, starters: Sequence[StarterTest]) -> bool:
    """Make the starter set once the agent is enrolled, and never again, so that what an admin deletes stays deleted.

    Returns whether it was made now.
    """
    with _transaction(settings) as db:
        agent = db.scalar(select(Agent).where(Agent.name == agent_name))
        if agent is None or db.scalar(select(Marker).where(Marker.name == _STARTER_MARKER)):
            return False
        for starter in starters:
            if db.scalar(select(TestPlan.id).where(TestPlan.key == starter.key)) is None:
                new = TestCreate(
                    key=starter.key,
                    name=starter.name,
                    probe=starter.probe,
                    target=starter.target,
                    params=dict(starter.params),
                    interval=starter.interval,
                )
                assign(db, SYSTEM, create_test(db, SYSTEM, new), agent.id)
        db.add(Marker(name=_STARTER_MARKER, made_at=now()))
        return True


def reset_password(settings: ControlPlaneSettings, username: str) -> str:
    """A new generated password for a user, to be changed at the next login.

    Raises:
        ConfigError: there is no such user.
    """
    with _transaction(settings) as db:
        user = users.find_user(db, username)
        if user is None:
            raise ConfigError(f"no user {username!r}")
        return users.reset_password(db, SYSTEM, user)


def prune_audit(settings: ControlPlaneSettings, days: float | None) -> int:
    """Delete audit entries older than so many days; returns how many.

    Raises:
        ConfigError: neither the call nor `audit_retention_days` says how many.
    """
    with _transaction(settings) as db:
        kept = effective(db, settings).audit_retention_days if days is None else days
        if kept <= 0:
            raise ConfigError("say how many days of the audit log to keep: --days 365, or set audit_retention_days")
        return prune(db, SYSTEM, now() - timedelta(days=kept))


@contextmanager
def _transaction(settings: ControlPlaneSettings) -> Iterator[Session]:
    database = Database(settings.database)
    try:
        migrate(database.engine)
        with database.session() as db:
            yield db
    finally:
        database.close()


def _take_over_tokens(db: Session, folder: Path) -> None:
    """Know the tokens that were made beforehand; one that is known already, revoked or not, stays as it is.

    Raises:
        ConfigError: one can't be read, or is none that could not be guessed.
    """
    for name, scopes in _HANDED_TOKENS.items():
        path = folder / f"{name}.token"
        if not path.exists():
            continue
        try:
            secret = path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: {error}") from None
        _check_secret(secret, SecretKind.STATIC, str(path))
        if db.scalar(select(StaticToken.id).where(StaticToken.token_hash == hash_secret(secret))) is None:
            issue_token(db, SYSTEM, f"service:{name}", scopes, None, secret=secret)


def _take_over_enrolment(db: Session, secret: str) -> None:
    """Once in the life of an installation: a token that was used up or has expired does not come back."""
    _check_secret(secret, SecretKind.ENROLMENT, variable_name(ControlPlaneSettings, "first_enrolment_token"))
    if db.get(Marker, _FIRST_ENROLMENT) is None:
        mint(db, SYSTEM, agent_name="", site="", hours=24, secret=secret)
        db.add(Marker(name=_FIRST_ENROLMENT, made_at=now()))


def _check_secret(secret: str, kind: SecretKind, where: str) -> None:
    if not secret.startswith(f"{kind}_") or len(secret) < _SHORTEST_SECRET:
        raise ConfigError(
            f"{where}: no token; one begins with {kind}_ and has {_SHORTEST_SECRET} characters or more (make secrets)"
        )


def _ensure_service_token(db: Session, path: Path, name: str, scopes: Sequence[Scope]) -> None:
    """Make a service's token unless the one in its file is good."""
    if path.exists() and living_token(db, path.read_text(encoding="ascii").strip()):
        return
    _, secret = issue_token(db, SYSTEM, f"service:{name}", scopes, None)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(path, f"{secret}\n".encode())
