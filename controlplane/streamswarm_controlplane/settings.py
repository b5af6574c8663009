import ipaddress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from streamswarm_controlplane.users.roles import Role
from streamswarm_core.hostport import host_port
from streamswarm_core.reader import StoreSettings
from streamswarm_core.settings import is_loopback

_DRIVERS: Final = frozenset({"postgresql", "postgresql+psycopg", "sqlite", "sqlite+pysqlite"})


class ControlPlaneSettings(StoreSettings, table="controlplane"):
    """Settings of the control plane."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8800, ge=1, le=65_535, description="TCP port to listen on.")
    public_url: str = Field(
        "", description="Base URL by which agents and browsers reach it; made of host and port if empty."
    )
    database_url: SecretStr = Field(
        SecretStr(""),
        description="SQLAlchemy URL, such as postgresql+psycopg://…; a SQLite file in the data folder if empty.",
    )
    secrets: Path | None = Field(
        None,
        description="Folder with tokens made beforehand, collector.token, ml.token, grafana.token, prometheus.token, "
        "which are taken over at the start; by default the first two are made, in secrets/ of the data folder.",
    )
    first_password: SecretStr = Field(
        SecretStr(""), description="Password of the first admin, until they change it; made and shown once if empty."
    )
    first_enrolment_token: SecretStr = Field(
        SecretStr(""), description="Enrolment token, made beforehand, that one agent may use in the first day."
    )
    workers: int = Field(1, ge=1, le=64, description="Processes that answer requests; about one for each core.")
    session_idle_minutes: float = Field(60, gt=0, le=10_080, description="A session ends after this long without use.")
    session_hours: float = Field(12, gt=0, le=720, description="A session ends after this long in any case.")
    secure_cookies: bool = Field(False, description="Send cookies over TLS only; set it wherever TLS stands in front.")
    access_token_seconds: float = Field(600, ge=60, le=3600, description="Lifetime of agents' access tokens.")
    enrolment_hours: float = Field(24, gt=0, le=720, description="Lifetime of a new enrolment token.")
    late_seconds: float = Field(30, gt=0, description="An agent silent for longer is late.")
    run_days: float = Field(90, gt=0, le=3650, description="Run records are kept for so long after their end.")
    run_now_seconds: float = Field(
        600, ge=10, le=86_400, description="A run that was asked for is missed if its agent doesn't begin it by then."
    )
    offline_seconds: float = Field(120, gt=0, description="An agent silent for longer is offline.")
    alert_seconds: float = Field(5, ge=0.2, le=300, description="Alerts are evaluated this often.")
    no_data_intervals: float = Field(
        3, ge=1, le=100, description="A test without data for so many intervals is an alert."
    )
    down_runs: int = Field(2, ge=1, le=20, description="A test that failed so many times in a row is an alert.")
    steady_seconds: float = Field(
        600,
        ge=0,
        le=86_400,
        description="An alert that comes and goes is closed once all has been well for so long; 0 closes each at once.",
    )
    alert_days: float = Field(180, ge=1, le=3650, description="Closed alerts and sent messages are kept this long.")
    give_up_hours: float = Field(24, ge=0.1, le=720, description="A message that isn't delivered by then is given up.")
    webhook_allow: str = Field(
        "",
        description="Networks that webhooks may reach although they are loopback, link-local or reserved, "
        "such as `127.0.0.0/8, ::1/128`.",
    )
    ca_file: Path | None = Field(
        None, description="PEM file of authorities that receivers of messages are trusted by, beside the system's."
    )
    trusted_proxies: list[str] = Field(
        [], description="Networks of reverse proxies whose X-Forwarded-For and -Proto are believed; nobody's if empty."
    )
    login_free_tries: int = Field(
        5, ge=1, le=100, description="Failed logins before an account or address has to wait."
    )
    login_block_seconds: float = Field(900, ge=1, le=86_400, description="The longest an address has to wait.")
    password_length: int = Field(12, ge=8, le=128, description="Fewest characters of a new password.")
    api_token_days: float = Field(365, gt=0, le=3650, description="The longest life of a personal API token.")
    agent_secret_days: float = Field(
        90, ge=0, le=3650, description="Age at which agents change their secret by themselves; 0: never."
    )
    agent_secret_grace_hours: float = Field(
        24,
        gt=0,
        le=720,
        description="How long a new agent secret may stay unused, and an old one that has to go is taken.",
    )
    results_retention_days: float = Field(
        0, ge=0, le=36_500, description="How long results are meant to stay, for people and reports; 0: not said."
    )
    audit_retention_days: float = Field(
        0, ge=0, le=36_500, description="What audit-prune keeps if it isn't told; 0: everything."
    )
    oidc_issuer: str = Field(
        "", description="OpenID provider for single sign-on, such as https://id.example.org/realm."
    )
    oidc_client_id: str = Field("", description="What the provider knows this control plane by.")
    oidc_client_secret: SecretStr = Field(
        SecretStr(""), description="The secret that goes with it; none: public client."
    )
    oidc_scopes: str = Field("openid profile email", description="Scopes that are asked for.")
    oidc_name: str = Field("single sign-on", max_length=60, description="What the login page calls the provider.")
    oidc_create_users: bool = Field(True, description="Make a user at the first login of somebody unknown.")
    oidc_username_claim: str = Field("preferred_username", description="Claim that names new users.")
    oidc_role_claim: str = Field(
        "", description="Claim that decides the role, such as groups; none: it stays as it is."
    )
    oidc_roles: dict[str, Role] = Field(
        {}, description="Roles by the claim's values; the strongest that applies is taken."
    )
    oidc_default_role: Role | None = Field(
        None, description="Role of people to whom no value applies; nobody else gets in if there is none."
    )
    development_minutes: float = Field(
        0, ge=0, le=480, description="Development mode: no login from this machine for so long after the start; 0: off."
    )

    @field_validator("database_url")
    @classmethod
    def _database(cls, url: SecretStr) -> SecretStr:
        try:
            driver = make_url(url.get_secret_value()).drivername if url.get_secret_value() else "sqlite"
        except (ArgumentError, ValueError):
            driver = ""
        if driver not in _DRIVERS:
            raise ValueError(
                "takes postgresql+psycopg://HOST:PORT/DATABASE, with USER:PASSWORD@ before HOST, or sqlite:////FILE"
            )
        return url

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, networks: list[str]) -> list[str]:
        for network in networks:
            ipaddress.ip_network(network)
        return networks

    @field_validator("oidc_issuer")
    @classmethod
    def _issuer(cls, issuer: str) -> str:
        url = urlsplit(issuer)
        if issuer and url.scheme != "https" and not (url.scheme == "http" and is_loopback(url.hostname or "")):
            raise ValueError("takes a URL that begins with https:// (http:// on loopback only)")
        return issuer

    @property
    def folder(self) -> Path:
        """The control plane's part of the data folder."""
        return self.data / "controlplane"

    @property
    def database(self) -> str:
        """The SQLAlchemy URL in force."""
        return self.database_url.get_secret_value() or f"sqlite:///{(self.folder / 'controlplane.db').absolute()}"

    @property
    def url(self) -> str:
        """The base URL by which others reach it."""
        return self.public_url.rstrip("/") or f"http://{host_port(self.host, self.port)}"
