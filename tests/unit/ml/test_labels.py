from pathlib import Path

import pytest
from pydantic import ValidationError

from streamswarm_core.errors import ConfigError
from streamswarm_ml.health.rule import State
from streamswarm_ml.infrastructure.places import Place
from streamswarm_ml.labels import CauseFeedback, HealthFeedback, LabelLog
from streamswarm_ml.settings import MlSettings

TAGS = {"target": "x", "agent": "a"}


def test_labels_are_read_back_in_order_and_a_torn_line_is_left_out(tmp_path: Path) -> None:
    log = LabelLog(tmp_path / "labels.jsonl")
    assert list(log.read()) == []
    first = HealthFeedback(measurement="icmp", tags=TAGS, time_ns=5, label="bad")
    second = CauseFeedback(measurement="icmp", tags=TAGS, time_ns=6, label=Place.WIFI)
    log.append(first)
    with (tmp_path / "labels.jsonl").open("a") as file:
        file.write('{"model": "health", "measu\n')
    log.append(second)
    assert list(LabelLog(tmp_path / "labels.jsonl").read()) == [first, second]


@pytest.mark.parametrize(
    ("label", "state"),
    [("ok", State.OK), ("false_alarm", State.OK), ("bad", State.BAD), ("acknowledged", None)],
)
def test_what_operators_do_means_a_state(label: str, state: State | None) -> None:
    found = HealthFeedback.model_validate({"measurement": "icmp", "tags": TAGS, "time_ns": 1, "label": label})
    assert found.state is state


@pytest.mark.parametrize(
    "change",
    [{"label": "fine"}, {"time_ns": -1}, {"tags": {"": "x"}}, {"measurement": ""}, {"who": "me"}, {"time_ns": 2**63}],
)
def test_a_label_that_cannot_be_meant_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        HealthFeedback.model_validate({"measurement": "icmp", "tags": TAGS, "time_ns": 1, "label": "ok", **change})


def test_limits_in_the_wrong_order_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"LATENCY_LIMITS.*first must be below"):
        MlSettings.load(latency_limits=(0.4, 0.1))
