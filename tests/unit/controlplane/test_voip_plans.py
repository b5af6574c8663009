"""The test plans of docs/voip.md are such that the control plane takes them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.unit.controlplane.conftest import Client
from tests.unit.controlplane.plans import PlayedAgent

TEXT = (Path(__file__).parents[3] / "docs/voip.md").read_text(encoding="utf-8")
PLANS = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: str(plan["name"]))
def test_a_documented_plan_is_taken_and_reaches_an_agent(admin: Client, plan: dict[str, Any]) -> None:
    agent = PlayedAgent(admin, "a")
    answer = admin.http.post("/tests", json={**plan, "selector": "", "agent_ids": [agent.id]})
    assert answer.status_code == 201, answer.text
    (assignment,) = agent.poll().assignments
    assert (assignment.probe, assignment.target) == ("voip", plan["target"])
    assert assignment.params == plan["params"]


def test_both_modes_are_documented() -> None:
    assert {plan["params"].get("mode", "stream") for plan in PLANS} == {"stream", "call"}


def test_a_caller_in_the_target_is_refused(admin: Client) -> None:
    wanted = {"name": "x", "probe": "voip", "target": "600@pbx.example.com", "params": {"mode": "call", "dial": "600"}}
    assert admin.http.post("/tests", json=wanted).status_code == 422
