from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from streamswarm_core.reader import StoreSettings
from streamswarm_core.zones import UTC_NAME, ZoneName
from streamswarm_ml.maintenance import planned_window

Limit = Annotated[float, Field(gt=0, le=3600)]
Limits = tuple[Limit, Limit]


class MlSettings(StoreSettings, table="ml"):
    """Settings of the ML service."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8802, ge=1, le=65_535, description="TCP port to listen on.")
    write_url: str = Field(
        "",
        validate_default=True,
        description="Collector or store that scores are written to, as line protocol; store_url if empty.",
    )
    token_file: Path | None = Field(
        None, description="File with a token to read and write; by default secrets/ml.token in the data folder."
    )
    controlplane_url: str = Field("http://127.0.0.1:8800", description="Who vouches for tokens.")
    interval: float = Field(10.0, ge=0.2, le=3600, description="Seconds between two looks for new points.")
    lookback_hours: float = Field(6.0, gt=0, le=720, description="How far the first start looks back.")
    lateness_seconds: float = Field(120.0, ge=0, le=86_400, description="Points that arrive later are not scored.")
    warmup_points: int = Field(100, ge=10, le=100_000, description="Points of a series before it can be flagged.")
    most_series: int = Field(
        200_000,
        ge=1,
        le=100_000_000,
        description="Series watched at most, by this service; each takes 9 kB of memory. What comes beyond is not "
        "scored, until others have been silent for two weeks.",
    )
    false_alarms: float = Field(
        1.0,
        gt=0,
        le=10,
        description="Anomalies in a week that are put up with, of a healthy series and of a healthy test; sets the "
        "thresholds.",
    )
    time_zone: ZoneName = Field(
        UTC_NAME,
        description="IANA name of the clock by which hours of the day and of the week are counted, where a series has "
        "no site, or its site no time zone.",
    )
    shards: int = Field(1, ge=1, le=1024, description="How many ML services share the series.")
    shard: int = Field(
        0, ge=0, le=1023, validate_default=True, description="Which share is this service's; models run on 0."
    )
    latency_limits: Limits = Field((0.15, 0.4), description="Seconds from which a target is degraded, and bad.")
    loss_limits: Limits = Field((0.02, 0.1), description="Loss ratio from which a target is degraded, and bad.")
    down_limits: Limits = Field((0.2, 0.5), description="Share of failed runs from which it is degraded, and bad.")
    objective_latency: float | None = Field(
        None, gt=0, le=3600, description="Seconds from which a window breaks the objective; none if not set."
    )
    objective_loss: float = Field(0.25, gt=0, le=1, description="Loss ratio from which a window breaks the objective.")
    objective_down: float = Field(0.5, gt=0, le=1, description="Share of failed runs that breaks the objective.")
    maintenance: tuple[str, ...] = Field(
        (),
        description="Windows that are neither judged nor learned, beside the control plane's, each as "
        "2026-01-05T22:00Z/2026-01-06T02:00Z.",
    )

    @field_validator("latency_limits", "loss_limits", "down_limits")
    @classmethod
    def _in_order(cls, limits: Limits) -> Limits:
        if limits[0] >= limits[1]:
            raise ValueError(f"the first must be below the second; they are {limits[0]:g} and {limits[1]:g}")
        return limits

    @field_validator("write_url")
    @classmethod
    def _names_a_writer(cls, url: str, info: ValidationInfo) -> str:
        if not url and info.data.get("store_kind") == "promql" and info.data.get("store_names") == "scraped":
            raise ValueError(
                "a store that scrapes takes no scores; give a collector's URL, such as http://127.0.0.1:8801"
            )
        return url

    @field_validator("maintenance")
    @classmethod
    def _are_windows(cls, windows: tuple[str, ...]) -> tuple[str, ...]:
        for window in windows:
            planned_window(window)
        return windows

    @field_validator("shard")
    @classmethod
    def _is_one_of_the_shards(cls, shard: int, info: ValidationInfo) -> int:
        shards = info.data.get("shards", 1)
        if shard >= shards:
            raise ValueError(f"there are {shards} shards, so this must be 0 to {shards - 1}")
        return shard

    @property
    def scores_url(self) -> str:
        """Where scores go."""
        return self.write_url or self.store_url

    @property
    def folder(self) -> Path:
        """The ML service's part of the data folder."""
        return self.data / "ml"

    @property
    def token_path(self) -> Path:
        """Where the token is."""
        return self.token_file or self.data / "secrets" / "ml.token"
