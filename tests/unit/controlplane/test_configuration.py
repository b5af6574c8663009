"""What admins change while the system runs: typed, bounded, written down, the same for every worker."""

from typing import Any

import httpx
import pytest

from streamswarm_controlplane.app import create_app
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_controlplane.sysconfig.service import KEYS
from tests.support import serve_app
from tests.unit.controlplane.conftest import Client, add_user


def put(admin: Client, key: str, value: Any) -> httpx.Response:
    return admin.http.put(f"/config/{key}", json={"value": value})


def test_every_key_has_a_type_bounds_a_default_and_a_meaning(admin: Client) -> None:
    listed = admin.http.get("/config", params={"limit": 200}).json()["items"]
    assert {one["key"] for one in listed} == set(KEYS)
    for one in listed:
        assert one["value_schema"]["type"] in {"number", "integer"}, one["key"]
        assert one["description"].endswith("."), one["key"]
        assert (one["value"], one["is_default"], one["changed_by"]) == (one["default"], True, None)


def test_a_value_is_set_and_reset_and_who_did_it_stays_known(admin: Client) -> None:
    changed = put(admin, "late_seconds", 45).json()
    assert (changed["value"], changed["default"], changed["is_default"], changed["changed_by"]) == (
        45,
        30,
        False,
        "admin",
    )
    put(admin, "late_seconds", 50)
    back = admin.http.delete("/config/late_seconds").json()
    assert (back["value"], back["is_default"]) == (30, True)
    history = admin.http.get("/config/history", params={"key": "late_seconds"}).json()["items"]
    assert [(one["before"], one["after"]) for one in history] == [(50, None), (45, 50), (None, 45)]
    audited = admin.http.get("/audit", params={"action": "config."}).json()["items"]
    newest = audited[0]
    assert (newest["before"], newest["after"]) == ({"value": 50}, {"value": 30})


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("late_seconds", 0, "greater than 0"),
        ("late_seconds", "30", "takes a number"),
        ("late_seconds", True, "takes a number"),
        ("late_seconds", None, "takes a number"),
        ("login_free_tries", 2.5, "takes a whole number"),
        ("password_length", 4, "greater than or equal to 8"),
        ("session_hours", 1e9, "less than or equal to 720"),
        ("late_seconds", 120, "has to be less than offline_seconds"),
        ("offline_seconds", 20, "has to be less than offline_seconds"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(admin: Client, key: str, value: object, words: str) -> None:
    answer = put(admin, key, value)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "body.value")
    assert words in answer.json()["detail"]
    assert admin.http.get(f"/config/{key}").json()["is_default"]


def test_an_unknown_key_names_the_known_ones(admin: Client) -> None:
    for answer in (put(admin, "colour", 1), admin.http.get("/config/colour"), admin.http.delete("/config/colour")):
        assert answer.status_code == 404
        assert "late_seconds" in answer.json()["detail"]


def test_another_worker_has_it_with_its_next_request(admin: Client, settings: ControlPlaneSettings) -> None:
    kim = add_user(admin, "kim", "viewer")
    cookies = {"streamswarm_session": kim.http.cookies["streamswarm_session"]}
    with serve_app(create_app(settings)) as other:
        assert httpx.get(f"{other}/api/v1/auth/me", cookies=cookies).status_code == 200
        put(admin, "session_hours", 1e-9).raise_for_status()
        assert httpx.get(f"{other}/api/v1/auth/me", cookies=cookies).status_code == 401


def test_two_who_change_the_same_value_do_not_overwrite_each_other(admin: Client) -> None:
    read = admin.http.get("/config/late_seconds").headers["ETag"]
    put(admin, "late_seconds", 40).raise_for_status()
    stale = admin.http.put("/config/late_seconds", json={"value": 50}, headers={"If-Match": read})
    assert stale.status_code == 412
    assert admin.http.get("/config/late_seconds").json()["value"] == 40
