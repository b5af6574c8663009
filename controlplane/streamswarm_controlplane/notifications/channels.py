"""What can be set for each kind of channel."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator

from streamswarm_controlplane.audit.service import MASK
from streamswarm_controlplane.fields import MAIL
from streamswarm_controlplane.notifications.signing import key_of

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_RESERVED_HEADERS: Final = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection"})


def _check_url(url: str) -> str:
    if any(ord(character) <= 0x20 or ord(character) == 0x7F for character in url):
        raise ValueError("a URL has no spaces or control characters")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("give a URL such as https://hooks.example.com/streamswarm")
    if parts.username is not None or parts.password is not None:
        raise ValueError("no user name or password in a URL, where logs would show it; use a header")
    if parts.fragment:
        raise ValueError("a fragment (#…) is never sent; leave it out")
    _ = parts.port  # raises ValueError for what is none
    return url


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL: who gets what is sent.

    >>> origin_of("https://Hooks.example.com/services/T0/B0?key=1")
    'https://hooks.example.com'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def _check_secret_url(url: SecretStr) -> SecretStr:
    if url.get_secret_value() not in {"", MASK}:
        _check_url(url.get_secret_value())
    return url


def _check_signing_secret(secret: SecretStr) -> SecretStr:
    if secret.get_secret_value() not in {"", MASK}:
        key_of(secret.get_secret_value())
    return secret


def _check_headers(headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _RESERVED_HEADERS or name.lower().startswith("webhook-"):
            raise ValueError(f"{name!r} is no header that can be set, such as Authorization")
        if not re.fullmatch(r"[\x20-\x7e]*", value.get_secret_value()):
            raise ValueError(f"the value of {name} has characters that a header can't have")
    return headers


MailAddress = Annotated[str, StringConstraints(strip_whitespace=True, max_length=254, pattern=MAIL)]


class Webhook(BaseModel):
    """A POST of JSON, signed with HMAC-SHA256."""

    model_config = ConfigDict(extra="forbid")
    secret_fields: ClassVar = ("secret", "headers")

    kind: Literal["webhook"] = "webhook"
    url: Annotated[str, StringConstraints(max_length=2000), AfterValidator(_check_url)]
    secret: Annotated[SecretStr, AfterValidator(_check_signing_secret)] = Field(
        SecretStr(""), description="Signing secret, `whsec_…`; made if not given, and told once."
    )
    headers: Annotated[dict[str, SecretStr], AfterValidator(_check_headers)] = Field(
        default_factory=dict, max_length=20, description="More headers; their values are never shown again."
    )


class Email(BaseModel):
    """A mail by SMTP."""

    model_config = ConfigDict(extra="forbid")
    secret_fields: ClassVar = ("password",)

    kind: Literal["email"] = "email"
    host: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=253, pattern=r"^[^\s/@]+$")]
    port: int = Field(587, ge=1, le=65_535)
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="`starttls` usually goes with port 587, `tls` with 465, `none` with 25."
    )
    username: Annotated[str, StringConstraints(max_length=256)] = ""
    password: SecretStr = SecretStr("")
    sender: MailAddress
    recipients: list[MailAddress] = Field(min_length=1, max_length=50)

    @model_validator(mode="after")
    def _password_needs_tls(self) -> "Email":
        if self.username and self.security == "none":
            raise ValueError("a password isn't sent in the clear: choose starttls or tls, or leave the user name out")
        return self


class Slack(BaseModel):
    """An incoming webhook of Slack, or of what understands its format (Mattermost, Rocket.Chat, Discord's /slack)."""

    model_config = ConfigDict(extra="forbid")
    secret_fields: ClassVar = ("url",)

    kind: Literal["slack"] = "slack"
    url: Annotated[SecretStr, AfterValidator(_check_secret_url)] = Field(
        description="It is a secret: whoever has it can post."
    )


ChannelSettings = Annotated[Webhook | Email | Slack, Field(discriminator="kind")]
KINDS: Final[Mapping[str, type[Webhook] | type[Email] | type[Slack]]] = {
    "webhook": Webhook,
    "email": Email,
    "slack": Slack,
}


def split(settings: Webhook | Email | Slack) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is kept readable, and what is sealed."""
    values = settings.model_dump(mode="python")
    hidden = {name: _revealed(values.pop(name)) for name in settings.secret_fields}
    return values, {name: value for name, value in hidden.items() if value}


def masked(kind: str, values: Mapping[str, Any], hidden: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as they are shown: asterisks for every secret there is."""
    shown = dict(values)
    for name in KINDS[kind].secret_fields:
        found = hidden.get(name)
        shown[name] = dict.fromkeys(found, MASK) if isinstance(found, dict) else MASK if found else ""
    if isinstance(shown.get("headers"), str):
        shown["headers"] = {}
    return shown


def unmasked(hidden: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """What was sent back masked is what is stored."""
    found: dict[str, Any] = {}
    for name, value in hidden.items():
        before = stored.get(name)
        if isinstance(value, dict):
            known = before if isinstance(before, dict) else {}
            value = {key: known.get(key, "") if one == MASK else one for key, one in value.items()}  # noqa: PLW2901
            found[name] = value
        else:
            found[name] = before if value == MASK else value
    return {name: value for name, value in found.items() if value}


def _revealed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _revealed(one) for key, one in value.items()}
    return value.get_secret_value() if isinstance(value, SecretStr) else value
