"""Settings that an admin can change while the system runs, in the database, so that every worker has the same ones."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from streamswarm_controlplane.audit.service import Actor, record
from streamswarm_controlplane.complaints import explain
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_controlplane.sysconfig.models import ConfigChange, ConfigValue
from streamswarm_core.clock import now

KEYS: Final = (
    "session_idle_minutes",
    "session_hours",
    "login_free_tries",
    "login_block_seconds",
    "password_length",
    "api_token_days",
    "access_token_seconds",
    "agent_secret_days",
    "agent_secret_grace_hours",
    "enrolment_hours",
    "late_seconds",
    "offline_seconds",
    "results_retention_days",
    "audit_retention_days",
)
"""Names of settings that can be changed; type, bounds, default and meaning are the setting's own."""
_ORDERED: Final = (("late_seconds", "offline_seconds"),)
"""Pairs of which the first must be less than the second."""


def _adapter(key: str) -> TypeAdapter[Any]:
    field = ControlPlaneSettings.model_fields[key]
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[field.annotation, field])  # type: ignore[arg-type] # made at run time
    return adapter


_ADAPTERS: Final[Mapping[str, TypeAdapter[Any]]] = {key: _adapter(key) for key in KEYS}


def overrides(db: Session) -> dict[str, ConfigValue]:
    """What has been set, by key; a key that this version doesn't know is left out."""
    return {row.key: row for row in db.scalars(select(ConfigValue)) if row.key in _ADAPTERS}


def effective(db: Session, settings: ControlPlaneSettings) -> ControlPlaneSettings:
    """The settings with what has been set: read anew each time, so no worker lags behind another."""
    changed = {key: row.value for key, row in overrides(db).items()}
    return settings.model_copy(update=changed) if changed else settings


def schema(key: str) -> dict[str, Any]:
    """The JSON Schema of a value.

    Raises:
        ApiError: 404.
    """
    return _known(key).json_schema()


def default(settings: ControlPlaneSettings, key: str) -> Any:
    """What holds while nothing is set: the environment's or the file's value, or the built-in one."""
    return getattr(settings, key)


def change(db: Session, actor: Actor, settings: ControlPlaneSettings, key: str, value: Any) -> None:
    """Set a value.

    Raises:
        ApiError: 404 for an unknown key, 422 for a value that doesn't fit.
    """
    adapter = _known(key)
    try:
        accepted = adapter.validate_python(value, strict=False)
    except ValidationError as error:
        raise ApiError(422, f"{key}: {explain(error.errors(), None)[0].message}", field="body.value") from None
    if isinstance(value, bool | str):
        raise ApiError(422, f"{key}: takes a number", field="body.value")
    stored = db.get(ConfigValue, key, with_for_update=True)
    before = stored.value if stored else None
    if before == accepted:
        return
    _check_order(effective(db, settings).model_copy(update={key: accepted}))
    if stored is None:
        stored = ConfigValue(key=key)
        db.add(stored)
    stored.value, stored.changed_by, stored.changed_at = accepted, actor.name, now()
    _note(db, actor, settings, key, before, accepted)


def reset(db: Session, actor: Actor, settings: ControlPlaneSettings, key: str) -> None:
    """Go back to the default.

    Raises:
        ApiError: 404 for an unknown key, 422 where the default doesn't fit what else is set.
    """
    _known(key)
    stored = db.get(ConfigValue, key, with_for_update=True)
    if stored is None:
        return
    _check_order(effective(db, settings).model_copy(update={key: default(settings, key)}))
    db.delete(stored)
    _note(db, actor, settings, key, stored.value, None)


def query_changes(key: str | None) -> Select[ConfigChange]:
    """All changes, or those of a key.

    Raises:
        ApiError: 404 for an unknown key.
    """
    if key is None:
        return select(ConfigChange)
    _known(key)
    return select(ConfigChange).where(ConfigChange.key == key)


def _known(key: str) -> TypeAdapter[Any]:
    adapter = _ADAPTERS.get(key)
    if adapter is None:
        raise ApiError(404, f"no configuration key {key!r}; one of {', '.join(KEYS)}")
    return adapter


def _check_order(wanted: ControlPlaneSettings) -> None:
    for less, more in _ORDERED:
        if getattr(wanted, less) >= getattr(wanted, more):
            raise ApiError(
                422,
                f"{less} ({getattr(wanted, less):g}) has to be less than {more} ({getattr(wanted, more):g})",
                field="body.value",
            )


def _note(db: Session, actor: Actor, settings: ControlPlaneSettings, key: str, before: Any, after: Any) -> None:
    db.add(ConfigChange(key=key, before=before, after=after, changed_by=actor.name, changed_at=now()))
    usual = default(settings, key)
    record(
        db,
        actor,
        "config.change" if after is not None else "config.reset",
        key,
        before={"value": usual if before is None else before},
        after={"value": usual if after is None else after},
    )
