from datetime import datetime
from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from streamswarm_controlplane.testplans.schemas import SelectorText
from streamswarm_core.moment import Moment
from streamswarm_core.schedule import CronExpression
from streamswarm_core.zones import ZoneName

Ids = Annotated[list[Annotated[str, StringConstraints(min_length=1, max_length=64)]], Field(max_length=1000)]


class MaintenanceCreate(BaseModel):
    """A new window: from `starts_at` to `ends_at`, or `duration` seconds from each moment of `cron`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "Router upgrade",
                    "starts_at": "2030-01-05T22:00:00+01:00",
                    "ends_at": "2030-01-06T02:00:00+01:00",
                    "selector": "site=berlin",
                },
                {
                    "name": "Nightly backup",
                    "cron": "0 2 * * *",
                    "zone": "Europe/Berlin",
                    "duration": 3600,
                    "everything": True,
                },
            ]
        },
    )

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
    note: Annotated[str, StringConstraints(max_length=1000)] = Field("", description="Why, or whom to ask.")
    starts_at: Moment | None = Field(None, description="Beginning; with cron: no moment before.")
    ends_at: Moment | None = Field(None, description="End; with cron: none from then on.")
    cron: CronExpression | None = Field(None, description="For a window that recurs, such as `0 2 * * *`.")
    zone: ZoneName = Field("UTC", description="Time zone of the cron expression.")
    duration: float | None = Field(
        None, ge=60, le=7 * 86_400, strict=True, description="Seconds that it goes on from each moment; with cron only."
    )
    everything: bool = Field(False, description="Silence all alerts; otherwise agents, tests or a selector are needed.")
    agent_ids: Ids = Field([], description="Alerts of these agents only, or of those that the selector matches.")
    test_ids: Ids = Field([], description="Alerts of these tests only.")
    selector: SelectorText = ""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.cron is None:
            if self.starts_at is None or self.ends_at is None:
                raise ValueError("needs starts_at and ends_at, or cron and duration")
            if self.duration is not None:
                raise ValueError("a duration goes with cron; a single window ends at ends_at")
        elif self.duration is None:
            raise ValueError("with cron a duration is needed, in seconds")
        if self.starts_at is not None and self.ends_at is not None and self.starts_at >= self.ends_at:
            raise ValueError("starts_at has to be before ends_at")
        scoped = bool(self.agent_ids or self.test_ids or self.selector)
        if self.everything and scoped:
            raise ValueError("takes everything, or some agents and tests, not both")
        if not self.everything and not scoped:
            raise ValueError("needs agent_ids, test_ids or a selector, or everything=true for all alerts")
        return self


class MaintenancePublic(BaseModel):
    """A maintenance window."""

    model_config = ConfigDict(from_attributes=True)
    MEASURED: ClassVar = frozenset({"active", "active_until", "next_start_at", "over"})

    id: str
    name: str
    note: str
    starts_at: datetime | None
    ends_at: datetime | None
    cron: str = Field(description="Empty for a window that doesn't recur.")
    zone: str
    duration: float | None
    everything: bool
    agent_ids: list[str]
    test_ids: list[str]
    selector: str
    created_by: str
    created_at: datetime
    updated_at: datetime
    active: bool = Field(description="Whether it silences now.")
    active_until: datetime | None = Field(description="The end of the present silence.")
    next_start_at: datetime | None
    over: bool = Field(description="Whether it never will again.")


class MaintenanceChanged(MaintenancePublic):
    """A window after a change, with what somebody should know of it."""

    warnings: list[str] = Field([], description="What is allowed, but may not be meant, such as a window of the past.")
