from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from streamswarm_controlplane.users.models import Role

Username = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64, pattern=r"^[^\s/\\:@]+(@[^\s/\\:@]+)?$")
]


class UserCreate(BaseModel):
    """A new user; the password is generated and shown once."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"username": "kim", "role": "viewer"}]})

    username: Username
    role: Role = Role.VIEWER


class UserUpdate(BaseModel):
    """What an admin may change of a user."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"role": "operator"}]})

    role: Role | None = None
    active: bool | None = None


class UserPublic(BaseModel):
    """A user as others see them."""

    MEASURED: ClassVar = frozenset({"last_login_at"})
    model_config = ConfigDict(from_attributes=True)

    id: str
    username: str
    role: Role
    active: bool
    must_change_password: bool
    created_at: datetime
    last_login_at: datetime | None


class UserCreated(UserPublic):
    """A new user with the password that is shown only now."""

    password: str = Field(description="Shown once; to be changed at the first login.")
