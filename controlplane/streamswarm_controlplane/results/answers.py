"""What the questions about one test's results are answered with. Times are UTC."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from streamswarm_controlplane.agents.schemas import AgentState
from streamswarm_controlplane.results.schemas import ResultState
from streamswarm_core.catalogue import model

Value = float | int | bool | str | None


class FieldInfo(BaseModel):
    """A field, as the catalogue declares it."""

    measurement: str
    field: str
    unit: str = Field(description="Base unit, such as `seconds`.")
    kind: Literal["float", "integer", "string"]
    worse: Literal["up", "down"] | None = Field(description="Which direction is bad.")
    help: str
    aggregate: str | None = Field(None, description="What a window's value is; null for single points.")

    @classmethod
    def of(cls, measurement: model.Measurement, field: model.Field, aggregate: str | None = None) -> "FieldInfo":
        """From the catalogue."""
        return cls(
            measurement=measurement.name,
            field=field.name,
            unit=field.unit.name,
            kind=field.kind.value,
            worse=field.worse,
            help=field.help,
            aggregate=aggregate,
        )


class HistorySeries(BaseModel):
    """The rows of one combination of tags."""

    measurement: str
    tags: dict[str, str]
    columns: list[str] = Field(description="The first is `time`.")
    rows: list[list[Value]] = Field(description="Times are RFC 3339 in UTC; null where there is no value.")


class History(BaseModel):
    """What a test measured over a range."""

    test: str
    start: datetime
    stop: datetime
    every: float | None = Field(description="Seconds of a window, which begin at multiples of it; null: single points.")
    fields: list[FieldInfo]
    series: list[HistorySeries]


class LatestSeries(BaseModel):
    """The newest point of one combination of tags."""

    measurement: str
    tags: dict[str, str]
    time: datetime
    age: float = Field(description="Seconds.")
    values: dict[str, Value]


class LatestAgent(BaseModel):
    """What one agent measured last."""

    agent: str
    site: str
    agent_state: AgentState | None = Field(description="Null for an agent that the control plane doesn't know.")
    assigned: bool = Field(description="Whether it runs the test now.")
    state: ResultState
    series: list[LatestSeries]


class Latest(BaseModel):
    """The newest values of a test, agent by agent."""

    test: str
    generated_at: datetime
    since: datetime = Field(description="Older points were not looked for.")
    fields: list[FieldInfo]
    agents: list[LatestAgent]


class Run(BaseModel):
    """One execution of a test on an agent."""

    time: str = Field(description="RFC 3339 in UTC.")
    agent: str
    site: str
    tags: dict[str, str] = Field(description="The other tags, such as the target.")
    run: int | None = Field(description="Number of the run, without gaps; null where the store has none.")
    duration: float | None = Field(description="Seconds.")
    up: bool | None = Field(description="Whether the target answered as expected; null if the probe doesn't say.")
    error: str
    error_detail: str
    values: dict[str, Value] = Field(description="The fields of the probe's first measurement that have a value.")


class Runs(BaseModel):
    """Executions, newest first."""

    test: str
    fields: list[FieldInfo]
    items: list[Run]
    next: str | None = Field(description="`stop` of the next, older page; null if this is the last.")
