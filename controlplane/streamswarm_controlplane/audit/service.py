from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.orm import Session

from streamswarm_controlplane.audit.models import AuditEntry
from streamswarm_core.clock import now

MASK: Final = "********"
_SECRET_WORDS: Final = (
    "password",
    "passphrase",
    "secret",
    "token",
    "hash",
    "auth",
    "credential",
    "cookie",
    "session",
    "signature",
    "api-key",
    "api_key",
    "apikey",
    "-key",
)
"""In names of options and headers; `key` alone is the name that an agent keeps a secret by, and no secret."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, and from where.

    Attributes:
        name: as people know them.
        address: where the request came from; empty for what runs here.
        kind: see AuditEntry.
        user_id: of a user.
        via: the name of the personal token that was used, if one was.
    """

    name: str
    address: str = ""
    kind: str = ""
    user_id: str = ""
    via: str = ""


SYSTEM: Final = Actor("system", kind="system")


def record(
    session: Session,
    actor: Actor,
    action: str,
    subject: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Add an entry; values that look like secrets are left out."""
    session.add(
        AuditEntry(
            time=now(),
            actor=actor.name,
            actor_kind=actor.kind or ("agent" if actor.name.startswith("agent:") else "system"),
            via=actor.via,
            address=actor.address,
            action=action,
            object=subject,
            before=without_secrets(before),
            after=without_secrets(after),
        )
    )


def without_secrets(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A copy whose secret values are masked, at any depth.

    >>> without_secrets({"key": "x", "headers": {"Authorization": "Bearer y", "Ocp-Apim-Subscription-Key": "z"}})
    {'key': 'x', 'headers': {'Authorization': '********', 'Ocp-Apim-Subscription-Key': '********'}}
    """
    if values is None:
        return None
    return {key: _masked(key, value) for key, value in values.items()}


def with_secrets(values: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """A copy in which what was masked is again what is stored, at any depth.

    >>> with_secrets({"password": "********", "wait": 2}, {"password": "x", "wait": 1})
    {'password': 'x', 'wait': 2}
    """
    return {key: _unmasked(value, stored.get(key)) for key, value in values.items()}


def _unmasked(value: Any, stored: Any) -> Any:
    if isinstance(value, dict) and isinstance(stored, dict):
        return with_secrets(value, stored)
    return stored if value == MASK and isinstance(stored, str) else value


def _masked(key: str, value: Any) -> Any:
    if isinstance(value, dict):
        return without_secrets(value)
    if isinstance(value, str) and any(word in key.lower() for word in _SECRET_WORDS):
        return MASK
    return value
