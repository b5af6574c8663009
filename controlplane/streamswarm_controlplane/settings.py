from pathlib import Path

from pydantic import Field, SecretStr

from streamswarm_core.reader import StoreSettings


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
    session_idle_minutes: float = Field(60, gt=0, le=10_080, description="A session ends after this long without use.")
    session_hours: float = Field(12, gt=0, le=720, description="A session ends after this long in any case.")
    secure_cookies: bool = Field(False, description="Send cookies over TLS only; set it wherever TLS stands in front.")
    access_token_seconds: float = Field(600, ge=60, le=3600, description="Lifetime of agents' access tokens.")
    enrolment_hours: float = Field(24, gt=0, le=720, description="Lifetime of a new enrolment token.")
    late_seconds: float = Field(30, gt=0, description="An agent silent for longer is late.")
    offline_seconds: float = Field(120, gt=0, description="An agent silent for longer is offline.")

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
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url.rstrip("/") or f"http://{host}:{self.port}"
