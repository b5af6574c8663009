from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from streamswarm_controlplane.audit.service import without_secrets

TestKey = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
"""A test's key, as in the `test` tag: lower-case letters, digits and dashes."""
TestName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Target = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2048)]
Interval = Annotated[float, Field(ge=0.5, le=86_400, description="Seconds between the starts of two runs.")]
Timeout = Annotated[float, Field(gt=0, le=600, description="Seconds after which a run is given up.")]


class TestCreate(BaseModel):
    """A new test."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"name": "Head office", "probe": "icmp", "target": "192.0.2.1", "params": {"count": 5}}]
        },
    )

    name: TestName
    probe: str = Field(description="Name of the probe; see GET /probes.")
    target: Target = ""
    key: TestKey | None = Field(None, description="The `test` tag; made from the name if not given. Never changes.")
    params: dict[str, Any] = Field(default_factory=dict, description="The probe's options; see GET /probes.")
    interval: Interval = 30.0
    timeout: Timeout | None = Field(None, description="The probe's own if not given.")
    agent_ids: list[str] = Field(default_factory=list, description="Agents to assign it to at once.")


class TestUpdate(BaseModel):
    """What can be changed of a test; what is not given stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"interval": 10, "paused": False}]})

    name: TestName | None = None
    target: Target | None = None
    params: dict[str, Any] | None = None
    interval: Interval | None = None
    timeout: Timeout | None = None
    paused: bool | None = None


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
    paused: bool
    created_at: datetime
    updated_at: datetime


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
