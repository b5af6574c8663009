from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from streamswarm_controlplane.tokens.models import ApiScope
from streamswarm_controlplane.users.schemas import UserPublic

Password = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class Login(BaseModel):
    """Who wants in."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"username": "kim", "password": "nine quiet harbour lamps"}]},
    )

    username: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    password: Password


class PasswordChange(BaseModel):
    """The caller's own password."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"old_password": "k3m2p-9xw4z", "new_password": "nine quiet harbour lamps"}]},
    )

    old_password: Password
    new_password: Password = Field(
        description="As long as /config/password_length says, hard to guess (zxcvbn: 3 or 4), without the user name."
    )


class Me(UserPublic):
    """The caller."""

    csrf_token: str | None = Field(
        description="To be sent as X-CSRF-Token with every request that changes something; null with a token."
    )
    method: Literal["password", "oidc", "token", "development"] = Field(description="How the caller is logged in.")
    scope: ApiScope | None = Field(None, description="Of the personal token that was sent.")
    development_until: datetime | None = Field(None, description="End of development mode, if it is on.")


class SessionPublic(BaseModel):
    """A browser that is logged in."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    method: str
    address: str
    user_agent: str
    created_at: datetime
    last_seen_at: datetime


class OwnSession(SessionPublic):
    """One of the caller's."""

    current: bool = Field(description="Whether it is the one that asks.")


class LoggedOut(BaseModel):
    """Where to go after logging out of single sign-on."""

    end_session_url: str = Field(description="The provider's page that ends the session there.")
