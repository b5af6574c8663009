"""A change takes null where the API's description says so, and refuses it elsewhere, instead of doing nothing."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest

from streamswarm_controlplane.app import describe
from tests.unit.controlplane.conftest import Client, add_user, enrol_agent
from tests.unit.controlplane.refusals import is_problem

DESCRIPTION: Final = describe()
HOOK: Final = {"name": "NOC", "settings": {"kind": "webhook", "url": "https://hooks.example.com/x"}}


def added(path: str, body: Mapping[str, Any]) -> Callable[[Client], str]:
    return lambda admin: f"{path}/{admin.http.post(path, json=body).json()['id']}"


def add_rule(admin: Client) -> str:
    channel = admin.http.post("/channels", json=HOOK).json()["id"]
    return added("/rules", {"name": "all", "channel_ids": [channel]})(admin)


def find_user(admin: Client) -> str:
    olga = add_user(admin, "olga", "viewer")
    return f"/users/{olga.http.get('/auth/me').json()['id']}"


SILENCE: Final = {
    "matchers": [{"label": "agent", "value": "a"}],
    "ends_at": "2031-01-01T12:00:00Z",
    "comment": "line card",
}
MADE: Final[Mapping[str, Callable[[Client], str]]] = {
    "/tests/{test_id}": added("/tests", {"name": "Head office", "probe": "icmp", "target": "192.0.2.1"}),
    "/sites/{site_id}": added("/sites", {"name": "berlin"}),
    "/channels/{channel_id}": added("/channels", HOOK),
    "/rules/{rule_id}": add_rule,
    "/silences/{silence_id}": added("/silences", SILENCE),
    "/agents/{agent_id}": lambda admin: f"/agents/{enrol_agent(admin)[0]}",
    "/users/{user_id}": find_user,
    "/auth/me": lambda _admin: "/auth/me",
}
"""What makes the thing that a route changes; a new route needs an entry."""
CHANGES: Final = {
    path.removeprefix("/api/v1"): operations["patch"]
    for path, operations in DESCRIPTION["paths"].items()
    if "patch" in operations
}


@pytest.mark.parametrize("path", CHANGES)
def test_null_is_taken_or_refused_as_described(admin: Client, path: str) -> None:
    content = CHANGES[path]["requestBody"]["content"]["application/json"]["schema"]
    fields = DESCRIPTION["components"]["schemas"][content["$ref"].rpartition("/")[2]]["properties"]
    place = MADE[path](admin)
    before = admin.http.get(place).json()
    for name, schema in fields.items():
        answer = admin.http.patch(place, json={name: None})
        if {"type": "null"} in schema.get("anyOf", ()):
            assert answer.status_code == 200, answer.text
        else:
            assert "default" not in schema
            refused = is_problem(answer, 422, f"body.{name}")
            assert refused["errors"][0]["message"].startswith(("takes", "Input should be"))
    assert admin.http.get(place).json() == before


def test_what_a_change_refuses_null_for_says_what_it_takes(admin: Client) -> None:
    place = MADE["/tests/{test_id}"](admin)
    refused = is_problem(admin.http.patch(place, json={"name": None, "interval": None, "paused": None}), 422)
    told = {one["field"]: one["message"] for one in refused["errors"]}
    assert told == {
        "body.name": "takes a text",
        "body.interval": "takes a number",
        "body.paused": "takes true or false",
    }
