from datetime import datetime
from typing import Annotated, ClassVar

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from streamswarm_controlplane.fields import ONE_LINE, USERNAME, Given
from streamswarm_controlplane.users.roles import Role


def _email(value: str) -> str:
    if not value:
        return ""
    try:
        # Whether the domain takes mail is for the mail server to find out: nothing here asks the DNS.
        return validate_email(value, check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise ValueError(f"takes an e-mail address, such as kim@example.org: {error}") from None


Username = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64, pattern=USERNAME)]
DisplayName = Annotated[str, StringConstraints(strip_whitespace=True, max_length=100, pattern=ONE_LINE)]
Email = Annotated[str, StringConstraints(strip_whitespace=True, max_length=254), AfterValidator(_email)]
"""An e-mail address in its normal form; empty for none."""


class UserCreate(BaseModel):
    """A new user; the password is generated and shown once."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"username": "kim", "role": "viewer", "email": "kim@example.org"}]},
    )

    username: Username
    role: Role = Role.VIEWER
    display_name: DisplayName = ""
    email: Email = ""
    active: bool = Field(True, description="Whether they may log in; it can be changed.")


class UserUpdate(BaseModel):
    """What an admin may change of a user; what is not given stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"role": "operator"}]})

    username: Given[Username] = None
    role: Given[Role] = None
    active: Given[bool] = None
    display_name: Given[DisplayName] = None
    email: Given[Email] = None


class ProfileUpdate(BaseModel):
    """What users may change of themselves; what is not given stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"display_name": "Kim"}]})

    display_name: Given[DisplayName] = None
    email: Given[Email] = None


class UserPublic(BaseModel):
    """A user as others see them."""

    MEASURED: ClassVar = frozenset({"last_login_at", "failed_logins", "last_failed_login_at", "blocked_until"})
    model_config = ConfigDict(from_attributes=True)

    id: str
    username: str
    display_name: str
    email: str
    role: Role
    active: bool
    must_change_password: bool
    created_at: datetime
    password_changed_at: datetime | None
    last_login_at: datetime | None
    failed_logins: int = Field(description="Since the last login that succeeded.")
    last_failed_login_at: datetime | None


class UserWithBlock(UserPublic):
    """A user as an admin sees them."""

    blocked_until: datetime | None = Field(
        None, description="Until then logins from addresses that aren't known for this user have to wait."
    )


class UserCreated(UserPublic):
    """A new user with the password that is shown only now."""

    password: str = Field(description="Shown once, and empty if it was only tried; to be changed at the first login.")


class Identity(BaseModel):
    """Who a user is to an OpenID provider."""

    model_config = ConfigDict(
        from_attributes=True,
        extra="forbid",
        json_schema_extra={"examples": [{"issuer": "https://idp.example.org", "subject": "248289761001"}]},
    )

    issuer: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    subject: Annotated[str, StringConstraints(min_length=1, max_length=255)]
