from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from streamswarm_controlplane.agents.schemas import AgentState
from streamswarm_controlplane.audit.service import without_secrets
from streamswarm_controlplane.fields import KEY, ONE_LINE, Given
from streamswarm_controlplane.runs.schemas import RunPublic
from streamswarm_core.schedule import ALWAYS, Schedule
from streamswarm_core.selector import LONGEST
from streamswarm_core.thresholds import Objective, Threshold

TestKey = Annotated[str, StringConstraints(pattern=KEY)]
"""A test's key, as in the `test` tag: lower-case letters, digits and dashes."""
TestName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=ONE_LINE)]
Target = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2048)]
Interval = Annotated[float, Field(ge=0.5, le=86_400, description="Seconds between the starts of two runs.")]
Timeout = Annotated[float, Field(gt=0, le=600, description="Seconds after which a run is given up.")]
SelectorText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=LONGEST),
    Field(description="Agents whose labels match run it, now and later, such as `site=berlin,role in (edge,core)`."),
]
Thresholds = Annotated[
    list[Threshold], Field(max_length=20, description="When it is degraded or bad (docs/tests-and-schedules.md).")
]


class TestCreate(BaseModel):
    """A new test."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"name": "Head office", "probe": "icmp", "target": "192.0.2.1", "params": {"count": 5}},
                {
                    "name": "Nightly bandwidth",
                    "probe": "bandwidth",
                    "target": "192.0.2.1",
                    "schedule": {"kind": "cron", "cron": "30 3 * * *", "zone": "Europe/Berlin"},
                    "selector": "role=edge",
                    "thresholds": [{"field": "download", "comparison": "<", "warn": 5e7, "bad": 1e7, "window": 0}],
                },
            ]
        },
    )

    name: TestName
    probe: str = Field(description="Name of the probe; see GET /probes.")
    target: Target = ""
    key: TestKey | None = Field(None, description="The `test` tag; made from the name if not given. Never changes.")
    params: dict[str, Any] = Field(default_factory=dict, description="The probe's options; see GET /probes.")
    interval: Interval = 30.0
    timeout: Timeout | None = Field(None, description="The probe's own if not given.")
    schedule: Schedule = Field(ALWAYS, description="When it is going; always if not given.")
    agent_ids: list[str] = Field(default_factory=list, max_length=1000, description="Agents to assign it to by hand.")
    selector: SelectorText = ""
    thresholds: Thresholds = []
    objective: Objective | None = Field(None, description="Share of time in which it has to be neither down nor bad.")
    paused: bool = False


class TestUpdate(BaseModel):
    """What can be changed of a test; what is not given stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"interval": 10, "paused": False}]})

    name: Given[TestName] = None
    target: Given[Target] = None
    params: Given[dict[str, Any]] = None
    interval: Given[Interval] = None
    timeout: Given[Timeout] = None
    schedule: Given[Schedule] = None
    agent_ids: Given[Annotated[list[str], Field(max_length=10_000)]] = Field(
        None, description="Agents that have it by hand, in place of those that have it now; the selector's stay."
    )
    selector: Given[SelectorText] = None
    thresholds: Given[Thresholds] = None
    objective: Objective | None = Field(None, description="Null takes it away.")
    paused: Given[bool] = None


class TestPublic(BaseModel):
    """A test."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    key: str
    name: str
    probe: str
    target: str
    params: Annotated[dict[str, Any], AfterValidator(without_secrets)] = Field(
        description="The probe's options; secrets are asterisks, which PATCH takes for the value that is stored."
    )
    interval: float
    timeout: float
    schedule: Annotated[Schedule, BeforeValidator(lambda stored: stored or ALWAYS)]
    generation: int = Field(description="Grows with each restart.")
    selector: str
    thresholds: list[Threshold]
    objective: Objective | None
    paused: bool
    created_at: datetime
    updated_at: datetime


class TestChanged(TestPublic):
    """A test after a change, with what somebody should know of it."""

    warnings: list[str] = Field([], description="What is allowed, but may not be meant, such as measuring twice.")


class TestClone(BaseModel):
    """A copy of a test."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "Branch office", "target": "192.0.2.2"}]}
    )

    name: TestName | None = Field(None, description="The same with (copy) if not given.")
    key: TestKey | None = Field(None, description="Made from the name if not given.")
    target: Target | None = Field(None, description="The same if not given.")
    with_agents: bool = Field(True, description="Whether the agents and the selector are copied, too.")
    paused: bool = Field(True, description="A copy measures nothing before it is resumed, unless said.")


class BulkRequest(BaseModel):
    """One action on many tests."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"action": "pause", "ids": ["6f1d3a7c0b5e4d29a1c8e7f60b3d5a92"]}]},
    )

    action: Literal["pause", "resume", "run", "stop", "restart", "delete"]
    ids: list[Annotated[str, StringConstraints(min_length=1, max_length=64)]] = Field(min_length=1, max_length=500)


class BulkItem(BaseModel):
    """What became of one of them."""

    id: str
    ok: bool
    status: int = Field(description="The HTTP status that it would have had alone.")
    detail: str = ""


class BulkAnswer(BaseModel):
    """What became of each of them, in the order asked."""

    items: list[BulkItem]
    failed: int


class LastResult(BaseModel):
    """The newest point of an agent."""

    time: datetime
    up: bool
    field: str = Field(description="The field that stands for the test in a table.")
    value: float | None
    unit: str
    error: str
    error_detail: str


class AgentProgress(BaseModel):
    """How a test is getting on on one agent."""

    agent_id: str
    agent_name: str
    state: AgentState
    explicit: bool = Field(description="Assigned by hand.")
    selected: bool = Field(description="Matched by the test's selector.")
    taken: bool = Field(description="Whether the agent runs the newest version of all that it is assigned.")
    run: RunPublic | None = Field(description="The run record that is open, or the newest.")
    executions_expected: int | None = Field(
        description="Runs of the probe that this record should have by now; null if it has not begun."
    )
    next_run_at: datetime | None = Field(description="While it is going: the newest result's time and the interval.")
    last: LastResult | None


class Progress(BaseModel):
    """How a test is getting on."""

    agents: list[AgentProgress]
    taken: int = Field(description="Agents that run the newest version.")
    next_start_at: datetime | None = Field(description="The calendar's next start; null if there is none.")
    over: bool = Field(description="Whether its schedule has nothing more to come.")
    store_problem: str = Field(description="Why the newest results can't be read; empty if they can.")


class SchedulePreview(BaseModel):
    """A schedule to try."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"schedule": {"kind": "cron", "cron": "30 3 * * 1-5", "zone": "Europe/Berlin"}}]
        },
    )

    schedule: Schedule


class ScheduleStarts(BaseModel):
    """When a schedule starts."""

    starts: list[datetime] = Field(description="The next five; none for a test that is always going.")
    over: bool


class FieldPublic(BaseModel):
    """A number that a probe writes, to set thresholds on."""

    measurement: str
    field: str
    help: str
    unit: str
    worse: Literal["up", "down"] | None


class ProbePublic(BaseModel):
    """A probe, with the JSON Schema of its options."""

    name: str
    title: str
    help: str
    has_target: bool
    example_target: str
    timeout: float
    params: dict[str, Any] = Field(description="JSON Schema of `params`.")
    measurements: list[str]
    fields: list[FieldPublic] = Field(description="The numbers among what it writes.")
