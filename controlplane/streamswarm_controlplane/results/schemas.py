from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, Field

from streamswarm_controlplane.agents.schemas import AgentState


class ResultState(StrEnum):
    """How an assignment is. Only `up` is good; no data is never `up`."""

    UP = "up"
    DOWN = "down"
    STALE = "stale"
    PENDING = "pending"
    PAUSED = "paused"


class StatusTest(BaseModel):
    """The test of a status row."""

    id: str
    key: str
    name: str
    probe: str
    target: str
    interval: float


class StatusAgent(BaseModel):
    """The agent of a status row."""

    id: str
    name: str
    site: str
    state: AgentState


class Headline(BaseModel):
    """The field that stands for a test in a table."""

    field: str
    label: str
    unit: str = Field(description="Base unit, such as `seconds`.")
    worse: Literal["up", "down"] | None


class AnomalyState(BaseModel):
    """The newest score of the series of an assignment, the worst of them."""

    flag: bool
    score: float
    threshold: float
    field: str
    time: datetime


class StatusItem(BaseModel):
    """One assignment."""

    assignment_id: str
    test: StatusTest
    agent: StatusAgent
    state: ResultState
    headline: Headline
    last_time: datetime | None
    value: float | None
    sparkline: list[tuple[int, float | None]] = Field(
        description="Pairs of milliseconds since the epoch and mean value."
    )
    error: str
    error_detail: str
    anomaly: AnomalyState | None


class StoreState(BaseModel):
    """Whether the store answers."""

    ok: bool
    detail: str = ""


class Status(BaseModel):
    """Everything that a status table shows."""

    generated_at: datetime
    store: StoreState
    items: list[StatusItem]
