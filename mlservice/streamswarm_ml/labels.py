"""What operators said, kept as plain lines: a model that is made anew learns it again."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from streamswarm_ml.health.model import HealthModel
from streamswarm_ml.health.rule import State
from streamswarm_ml.infrastructure.model import InfrastructureModel
from streamswarm_ml.infrastructure.places import Place
from streamswarm_ml.windows import Tags

Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class Feedback(BaseModel):
    """What an operator says of one series at one time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    measurement: Name = Field(description="Of the probe, such as icmp.")
    tags: dict[Name, Name] = Field(max_length=32, description="All tags of the series.")
    time_ns: int = Field(ge=0, lt=2**63, description="A moment of the window, nanoseconds since the epoch.")

    @property
    def series_tags(self) -> Tags:
        """The tags as models have them."""
        return tuple(sorted(self.tags.items()))


class HealthFeedback(Feedback):
    """How the target was."""

    model: Literal["health"] = "health"
    label: Literal["ok", "degraded", "bad", "false_alarm", "acknowledged"] = Field(
        description="How it was; false_alarm is ok, acknowledged is what the rule said, at least degraded."
    )

    @property
    def state(self) -> State | None:
        """The state meant; None for what the rule said."""
        if self.label == "acknowledged":
            return None
        return State.OK if self.label == "false_alarm" else State(self.label)


class CauseFeedback(Feedback):
    """Where a bad result came from."""

    model: Literal["infrastructure"] = "infrastructure"
    label: Place = Field(description="host, wifi, nic, uplink or remote.")


Label = HealthFeedback | CauseFeedback


def learn_label(model: HealthModel | InfrastructureModel, label: Label) -> None:
    """Teach a model what an operator said.

    Raises:
        UnknownWindowError, UnknownResultError: it doesn't remember the moment.
        TypeError: the label is for another model.
    """
    if isinstance(model, HealthModel) and isinstance(label, HealthFeedback):
        model.label((label.measurement, label.series_tags), label.time_ns, label.state)
    elif isinstance(model, InfrastructureModel) and isinstance(label, CauseFeedback):
        model.label(label.measurement, label.tags, label.time_ns, label.label)
    else:
        raise TypeError(f"{type(model).__name__} learns no labels of {label.model}")


class LabelLog:
    """An append-only file of labels, one JSON object a line.

    Args:
        path: made at the first label.
    """

    def __init__(self, path: Path) -> None:
        self._path: Final = path

    def append(self, label: Label) -> None:
        """Keep a label; returns once it is on disk."""
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(label.model_dump_json().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> Iterator[Label]:
        """All labels in the order they came; a line cut short by a crash is left out."""
        if not self._path.exists():
            return
        for line in self._path.read_text(encoding="utf-8").split("\n"):
            try:
                known = json.loads(line)
                kind = CauseFeedback if known.get("model") == "infrastructure" else HealthFeedback
                yield kind.model_validate(known)
            except (ValueError, ValidationError, AttributeError):
                continue
