from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from streamswarm_controlplane.deps import Admin, BaseSettingsDep, SessionDep
from streamswarm_controlplane.dryrun import CAN_BE_TRIED
from streamswarm_controlplane.etags import ChangingDep, ReadingDep
from streamswarm_controlplane.idempotency import ApiRoute
from streamswarm_controlplane.pages import Page, PageDep
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_controlplane.sysconfig import service
from streamswarm_controlplane.sysconfig.models import ConfigChange, ConfigValue

router = APIRouter(prefix="/config", tags=["configuration"], route_class=ApiRoute)


class ConfigPublic(BaseModel):
    """One key of the configuration."""

    key: str
    value: Any = Field(description="In force now.")
    default: Any = Field(description="In force when nothing is set here: from the environment, the file, or built in.")
    is_default: bool
    description: str
    value_schema: dict[str, Any] = Field(description="JSON Schema of the value.")
    changed_by: str | None
    changed_at: datetime | None


class ConfigSet(BaseModel):
    """A new value."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"value": 60}]})

    value: Any


class ConfigChanged(BaseModel):
    """One change; null stands for the default."""

    model_config = ConfigDict(from_attributes=True)

    key: str
    before: Any
    after: Any
    changed_by: str
    changed_at: datetime


def _public(db: Session, settings: ControlPlaneSettings, key: str) -> ConfigPublic:
    return _shown(service.overrides(db), settings, key)


def _shown(overrides: Mapping[str, ConfigValue], settings: ControlPlaneSettings, key: str) -> ConfigPublic:
    schema = service.schema(key)
    row = overrides.get(key)
    default = service.default(settings, key)
    return ConfigPublic(
        key=key,
        value=row.value if row else default,
        default=default,
        is_default=row is None,
        description=str(schema.pop("description", "")),
        value_schema={name: value for name, value in schema.items() if name != "default"},
        changed_by=row.changed_by if row else None,
        changed_at=row.changed_at if row else None,
    )


@router.get("", summary="The system's configuration")
def list_config(db: SessionDep, page: PageDep, settings: BaseSettingsDep, _admin: Admin) -> Page[ConfigPublic]:
    """Every key that can be changed while the system runs, with its bounds."""
    overrides = service.overrides(db)
    return page.of([_shown(overrides, settings, key) for key in service.KEYS], key=lambda one: one.key)


@router.get("/history", summary="Who changed what of the configuration")
def config_history(
    db: SessionDep,
    page: PageDep,
    _admin: Admin,
    key: Annotated[str | None, Query(max_length=63, description="Only this key's.")] = None,
) -> Page[ConfigChanged]:
    """Newest first."""
    query = service.query_changes(key)
    return page.read(db, query, by=[ConfigChange.id], show=ConfigChanged.model_validate, descending=True)


@router.get("/{key}", summary="One key of the configuration")
def get_config(key: str, db: SessionDep, settings: BaseSettingsDep, reading: ReadingDep, _admin: Admin) -> ConfigPublic:
    """With its default and its bounds."""
    return reading.show(_public(db, settings, key))


@router.put("/{key}", dependencies=CAN_BE_TRIED, summary="Set a key of the configuration")
def set_config(
    key: str, body: ConfigSet, db: SessionDep, settings: BaseSettingsDep, changing: ChangingDep, admin: Admin
) -> ConfigPublic:
    """Holds at once, for all workers."""
    changing.check(_public(db, settings, key))
    service.change(db, admin.actor, settings, key, body.value)
    db.flush()
    return changing.show(_public(db, settings, key))


@router.delete("/{key}", summary="Reset a key of the configuration to its default")
def reset_config(
    key: str, db: SessionDep, settings: BaseSettingsDep, changing: ChangingDep, admin: Admin
) -> ConfigPublic:
    """Does nothing if it is the default already."""
    changing.check(_public(db, settings, key))
    service.reset(db, admin.actor, settings, key)
    db.flush()
    return changing.show(_public(db, settings, key))
