"""Scripts say what they want each time they run: what is so already is no change, and no entry in the audit log."""

from collections.abc import Mapping
from typing import Any, Final

import pytest

from tests.unit.controlplane.conftest import Client, add_user

THINGS: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "test": (
        "/tests",
        {
            "name": "Head office",
            "probe": "icmp",
            "target": "192.0.2.1",
            "params": {"count": 3},
            "selector": "role=edge",
            "schedule": {"kind": "once", "at": "2031-01-01T12:00:00+05:30"},
            "thresholds": [{"field": "rtt_mean", "bad": 0.2}],
            "objective": {"target": 0.99, "days": 30},
        },
    ),
    "site": ("/sites", {"name": "berlin", "latitude": 52.5, "longitude": 13.4}),
    "window": (
        "/maintenance",
        {
            "name": "Backup",
            "starts_at": "2030-01-01T12:00:00+05:30",
            "ends_at": "2031-01-01T12:00:00Z",
            "everything": True,
        },
    ),
    "silence": (
        "/silences",
        {"matchers": [{"label": "agent", "value": "a"}], "ends_at": "2031-01-01T12:00:00+01:00", "comment": "card"},
    ),
    "channel": (
        "/channels",
        {
            "name": "NOC",
            "settings": {"kind": "webhook", "url": "https://hooks.example.com/x", "headers": {"X-Key": "********"}},
        },
    ),
    "user": ("/users", {"username": "kim", "role": "operator", "email": "kim@example.org"}),
}
FIXED: Final = {"probe", "matchers"}
"""What is given once and never changes."""


def entries(admin: Client) -> int:
    return len(admin.http.get("/audit", params={"limit": 200}).json()["items"])


@pytest.mark.parametrize("thing", THINGS)
def test_what_is_so_already_is_no_change(admin: Client, thing: str) -> None:
    path, wanted = THINGS[thing]
    first = {**wanted, "settings": {**wanted["settings"], "headers": {"X-Key": "k"}}} if thing == "channel" else wanted
    made = admin.http.post(path, json=first)
    assert made.status_code == 201, made.text
    one = f"{path}/{made.json()['id']}"
    before, noted = admin.http.get(one), entries(admin)
    if thing == "window":
        again = admin.http.put(one, json=wanted)
    else:
        change = {key: value for key, value in wanted.items() if key not in FIXED and (thing, key) != ("site", "name")}
        again = admin.http.patch(one, json=change)
    assert again.status_code == 200, again.text
    after = admin.http.get(one)
    assert after.json() == before.json()
    assert again.headers["ETag"] == before.headers["ETag"]
    assert entries(admin) == noted


def test_a_rule_that_is_so_already_is_no_change(admin: Client) -> None:
    channel = admin.http.post("/channels", json=THINGS["channel"][1]).json()["id"]
    wanted = {"name": "all", "channel_ids": [channel], "severities": ["critical"], "wait": 0}
    one = f"/rules/{admin.http.post('/rules', json=wanted).json()['id']}"
    before, noted = admin.http.get(one).json(), entries(admin)
    assert admin.http.patch(one, json=wanted).json() == before
    assert entries(admin) == noted
    assert admin.http.patch(one, json={"wait": 5}).json()["updated_at"] > before["updated_at"]


def test_a_configuration_that_is_so_already_is_no_change(admin: Client) -> None:
    admin.http.put("/config/offline_seconds", json={"value": 300}).raise_for_status()
    noted = entries(admin)
    admin.http.put("/config/offline_seconds", json={"value": 300}).raise_for_status()
    assert entries(admin) == noted
    assert len(admin.http.get("/config/history").json()["items"]) == 1


def test_a_profile_that_is_so_already_is_no_change(admin: Client) -> None:
    olga = add_user(admin, "olga", "viewer")
    noted = entries(admin)
    olga.http.patch("/auth/me", json={"display_name": ""}).raise_for_status()
    assert entries(admin) == noted
