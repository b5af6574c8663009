import re
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, SecretStr, field_validator, model_validator

from streamswarm_core.reflector.settings import ReflectorSettings
from streamswarm_core.settings import ServiceSettings, is_loopback

_LEAST_MEMORY: Final = 64
_LEAST_DAYS: Final = 1 / 24
_MOST_DAYS: Final = 100_000


class InfluxSinkSettings(BaseModel):
    """One further store that every point is forwarded to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9-]{1,40}$", description="Names the sink's position file and metrics.")
    url: HttpUrl = Field(description="Base URL.")
    api: Literal["v2", "v1"] = Field(
        "v2", description="`v2` for InfluxDB 2.x, 3.x and VictoriaMetrics; `v1` for InfluxDB 1.x (`/write`)."
    )
    org: str = Field("", description="Organisation, for v2.")
    token: SecretStr = Field(SecretStr(""), description="Token for v2, or `user:password` for v1.")


class CollectorSettings(ReflectorSettings, ServiceSettings, table="collector"):
    """Settings of the collector."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8801, ge=1, le=65_535, description="TCP port to listen on.")
    bucket: str = Field("streamswarm", min_length=1, description="Database that is there from the start.")
    auto_create_databases: bool = Field(True, description="Whether a write to an unknown database creates it.")
    auth: bool = Field(True, description="Whether tokens are asked for; false only on a loopback address.")
    controlplane_url: str = Field("http://127.0.0.1:8800", description="Who vouches for tokens.")
    token_file: Path | None = Field(
        None,
        description="File with the token for introspection; by default secrets/collector.token in the data folder.",
    )
    embedded: bool = Field(True, description="Whether points are kept in the embedded store.")
    sinks: tuple[InfluxSinkSettings, ...] = Field(
        (), description="Further stores to forward to, as JSON or TOML tables."
    )
    query_url: HttpUrl | None = Field(
        None, description="Store that answers /query when the embedded one is off; the first sink by default."
    )
    flush_seconds: float = Field(1.0, ge=0.01, le=60, description="How long the embedded store collects rows.")
    retention_days: float | None = Field(
        None,
        description="Days that points of `bucket` are kept, 0 for ever; not set: as its retention policy says, "
        "which is for ever until it is altered.",
    )
    cold_days: int = Field(
        7,
        ge=0,
        le=_MOST_DAYS,
        description="Whole UTC days before today that stay in the store's table; older ones go to Parquet; 0: none do.",
    )
    maintenance_seconds: float = Field(
        600.0,
        ge=1,
        description="Time between two rounds of retention, rolling up, freezing of old days and joining of files.",
    )
    store_memory: str = Field("1GB", description="Memory the embedded store may use, in MB or GB.")
    rollups: bool = Field(
        True,
        description="Whether the embedded store keeps sums of minutes and hours that long queries are answered from.",
    )
    rollup_lag_seconds: float = Field(
        120, ge=0, le=86_400, description="How old a window must be before it is rolled up; later points cost more."
    )
    rollup_rows: float = Field(
        12, ge=2, le=3600, description="Points of one series that windows must hold on average to be rolled up."
    )
    max_body_bytes: int = Field(25_000_000, ge=1_000, description="Largest request body, after decompression.")
    max_wal_bytes: int = Field(
        2_000_000_000, ge=1_000_000, description="Size of the log from which senders are told to wait (429)."
    )
    max_dead_letter_bytes: int = Field(
        1_000_000_000, ge=1_000, description="Size of the points a sink's store refused from which the sink waits."
    )
    max_intake_bytes: int = Field(
        128_000_000,
        ge=1_000,
        description="Points in memory on their way to log and store; more are told to wait (429).",
    )
    max_connections: int = Field(1_000, ge=10, description="Connections at a time; more are answered with 503.")
    body_seconds: float = Field(30.0, gt=0, le=600, description="Time a request's body may take to arrive.")
    max_series_per_agent: int = Field(100_000, ge=1, description="Series that one agent or token may create.")
    max_series: int = Field(1_000_000, ge=1, description="Series of all agents and tokens.")
    query_bytes: int = Field(
        500_000_000, ge=1_000, description="Largest answer that is handed on from the store behind the collector."
    )
    query_seconds: float = Field(20.0, gt=0, le=600, description="Time one query may take.")
    query_threads: int = Field(
        4, ge=1, le=64, description="Queries answered at the same time; as many more may take longer than a second."
    )

    @property
    def folder(self) -> Path:
        """The collector's part of the data folder."""
        return self.data / "collector"

    @property
    def token_path(self) -> Path:
        """Where the token for introspection is."""
        return self.token_file or self.data / "secrets" / "collector.token"

    @field_validator("bucket")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        if "/" in name or "\n" in name:
            raise ValueError(f"{name!r} can't be a database's name: it has no / and no line break")
        return name

    @field_validator("store_memory")
    @classmethod
    def _is_enough(cls, memory: str) -> str:
        written = re.fullmatch(r"(\d{1,9})(MB|GB)", memory, re.ASCII)
        if written is None or int(written[1]) * (1000 if written[2] == "GB" else 1) < _LEAST_MEMORY:
            raise ValueError(
                f"{memory!r} is not understood or too little; at least {_LEAST_MEMORY}MB, such as 512MB or 2GB"
            )
        return memory

    @field_validator("retention_days")
    @classmethod
    def _is_kept(cls, days: float | None) -> float | None:
        if days and not _LEAST_DAYS <= days <= _MOST_DAYS:
            raise ValueError(f"{days:g} is not from an hour (0.042) to {_MOST_DAYS} days; 0 keeps points for ever")
        return days

    @field_validator("sinks")
    @classmethod
    def _have_names_of_their_own(cls, sinks: tuple[InfluxSinkSettings, ...]) -> tuple[InfluxSinkSettings, ...]:
        names = [sink.name for sink in sinks]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(
                f"two sinks are called {', '.join(twice)}; each needs a name of its own, for its position in the log"
            )
        return sinks

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.auth and not is_loopback(self.host):
            raise ValueError(f"auth=false is for a loopback address; host is {self.host}")
        if not self.embedded and not self.sinks:
            raise ValueError("embedded=false needs at least one sink")
        return self
