"""Maintenance windows silence alerts, never monitoring."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from streamswarm_controlplane.agents.models import Agent
from streamswarm_controlplane.db import Database
from streamswarm_controlplane.expectations.service import expectations
from streamswarm_controlplane.maintenance import service
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_controlplane.testplans import models as testplans
from tests.unit.controlplane.conftest import Client
from tests.unit.controlplane.plans import PlayedAgent, add_test, items

NOW = datetime.now(UTC)


def moment(hours: float) -> str:
    return (NOW + timedelta(hours=hours)).isoformat()


def window(admin: Client, **more: object) -> dict[str, Any]:
    body = {"name": "Upgrade", "starts_at": moment(-1), "ends_at": moment(1)} | more
    answer = admin.http.post("/maintenance", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


@pytest.fixture
def db(settings: ControlPlaneSettings, admin: Client) -> Iterator[Session]:
    assert admin
    database = Database(settings.database)
    with database.session() as session:
        session.rollback()
        yield session
    database.close()


def is_silenced(db: Session, agent: str | None, test: str | None, at: datetime = NOW) -> bool:
    db.rollback()
    one = db.get(Agent, agent) if agent else None
    other = db.get(testplans.TestPlan, test) if test else None
    found = any(service.covers(window, one, other) for window in service.active_windows(db, at))
    db.rollback()
    return found


def test_a_window_silences_what_it_is_about_and_nothing_else(admin: Client, db: Session) -> None:
    berlin, other = PlayedAgent(admin, "berlin"), PlayedAgent(admin, "other")
    first, second = add_test(admin, berlin)["id"], add_test(admin, berlin, key="other")["id"]

    def table() -> list[bool]:
        pairs = [(berlin.id, first), (berlin.id, second), (berlin.id, None), (other.id, first), (None, first)]
        return [is_silenced(db, agent, test) for agent, test in pairs]

    assert table() == [False] * 5
    scopes: list[tuple[dict[str, object], list[bool]]] = [
        ({"everything": True}, [True, True, True, True, True]),
        ({"agent_ids": [berlin.id]}, [True, True, True, False, False]),
        ({"selector": "agent=berlin"}, [True, True, True, False, False]),
        ({"selector": "agent=nobody", "agent_ids": [other.id]}, [False, False, False, True, False]),
        ({"test_ids": [first]}, [True, False, False, True, True]),
        ({"test_ids": [first], "selector": "agent=berlin"}, [True, False, False, False, False]),
    ]
    for scope, expected in scopes:
        made = window(admin, **scope)
        assert table() == expected, scope
        admin.http.delete(f"/maintenance/{made['id']}").raise_for_status()
    assert table() == [False] * 5


def test_a_single_window_has_its_start_in_it_and_its_end_not(admin: Client, db: Session) -> None:
    window(admin, everything=True, starts_at="2030-01-01T10:00+01:00", ends_at="2030-01-01T12:00+01:00")
    times = ("08:59:59", "09:00:00", "10:59:59", "11:00:00")
    silent = [is_silenced(db, None, None, datetime.fromisoformat(f"2030-01-01T{time}+00:00")) for time in times]
    assert silent == [False, True, True, False]


def test_a_recurring_window_is_read_in_its_zone_also_when_clocks_change(admin: Client, db: Session) -> None:
    window(admin, everything=True, starts_at=None, ends_at=None, cron="0 1 * * *", zone="Europe/Berlin", duration=7200)

    def silent(text: str) -> bool:
        return is_silenced(db, None, None, datetime.fromisoformat(text + "+00:00"))

    # 31 March 2030: 02:00 becomes 03:00. The window begins at 01:00 and lasts two real hours.
    assert [silent(f"2030-03-31T{time}") for time in ("00:00", "01:59", "02:00")] == [True, True, False]
    assert [silent(f"2030-07-01T{time}") for time in ("22:59", "23:00")] == [False, True]
    assert [silent(f"2030-01-10T{time}") for time in ("00:00", "02:00")] == [True, False]


def test_a_recurring_window_keeps_to_its_bounds(admin: Client, db: Session) -> None:
    bounds = {"starts_at": "2030-01-02T00:00Z", "ends_at": "2030-01-03T00:30Z"}
    made = window(admin, everything=True, cron="0 0 * * *", duration=3600, **bounds)
    days = {day: is_silenced(db, None, None, datetime(2030, 1, day, 0, 20, tzinfo=UTC)) for day in (1, 2, 3, 4)}
    assert days == {1: False, 2: True, 3: True, 4: False}
    assert not is_silenced(db, None, None, datetime(2030, 1, 3, 0, 40, tzinfo=UTC))
    assert made["next_start_at"].startswith("2030-01-02T00:00")


def test_what_is_silent_now_is_listed_and_can_be_ended(admin: Client, db: Session) -> None:
    now = window(admin, everything=True)
    recurring = window(
        admin, name="Always", everything=True, starts_at=None, ends_at=None, cron="* * * * *", duration=120
    )
    window(admin, name="Later", everything=True, starts_at=moment(1), ends_at=moment(2))
    assert {one["name"] for one in items(admin, "/maintenance/active")} == {"Upgrade", "Always"}
    assert len(items(admin, "/maintenance")) == 3
    for made in (now, recurring):
        ended = admin.http.post(f"/maintenance/{made['id']}/end").json()
        assert (ended["active"], ended["over"]) == (False, True)
        assert admin.http.post(f"/maintenance/{made['id']}/end").status_code == 409
    assert items(admin, "/maintenance/active") == []
    assert not is_silenced(db, None, None, datetime.now(UTC))


def test_a_window_is_changed_only_by_who_has_read_it_as_it_is(admin: Client) -> None:
    made = window(admin, everything=True)
    path = f"/maintenance/{made['id']}"
    etag = admin.http.get(path).headers["ETag"]
    body = {"name": "Other", "starts_at": moment(-1), "ends_at": moment(3), "everything": True}
    assert admin.http.put(path, json=body, headers={"If-Match": etag}).json()["name"] == "Other"
    assert admin.http.put(path, json=body, headers={"If-Match": etag}).status_code == 412


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "everything=true for all alerts"),
        ({"everything": True, "selector": "site"}, "not both"),
        ({"everything": True, "ends_at": None}, "needs starts_at and ends_at"),
        ({"everything": True, "ends_at": moment(-2)}, "before ends_at"),
        ({"everything": True, "cron": "0 2 * * *"}, "a duration is needed"),
        ({"everything": True, "duration": 3600}, "goes with cron"),
        ({"everything": True, "cron": "0 2 * *", "duration": 3600}, "five fields"),
        ({"everything": True, "starts_at": "2030-01-01T10:00"}, "has no time zone"),
        ({"selector": "site="}, "a value at the end"),
    ],
)
def test_windows_that_make_no_sense_are_refused(admin: Client, more: dict[str, object], said: str) -> None:
    body = {"name": "Upgrade", "starts_at": moment(-1), "ends_at": moment(1)} | more
    answer = admin.http.post("/maintenance", json=body)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]


@pytest.mark.parametrize(
    ("times", "over"),
    [
        ({"starts_at": moment(-3), "ends_at": moment(-2)}, True),
        ({"starts_at": None, "ends_at": moment(-0.5), "cron": "0 2 * * *", "duration": 60}, True),
        ({"starts_at": moment(-3), "ends_at": moment(2)}, False),
        ({"starts_at": moment(2), "ends_at": moment(3)}, False),
        ({"starts_at": None, "ends_at": None, "cron": "0 2 * * *", "duration": 60}, False),
    ],
)
def test_a_window_that_silences_nothing_as_it_is_over_is_taken_with_a_warning(
    admin: Client, times: dict[str, object], over: bool
) -> None:
    body = {"name": "Upgrade", "everything": True, **times}
    made = window(admin, **body)
    assert [("silences no alert" in one, "UTC now" in one) for one in made["warnings"]] == [(True, True)] * over
    path = f"/maintenance/{made['id']}"
    etag = admin.http.get(path).headers["ETag"]
    changed = admin.http.put(path, json={**body, "note": "ask Kim"}, headers={"If-Match": etag})
    assert bool(changed.json()["warnings"]) == over
    again = admin.http.put(path, json=body, headers={"If-Match": changed.headers["ETag"]})
    assert again.status_code == 200


def test_an_agent_or_test_that_is_not_there_is_named(admin: Client) -> None:
    body = {"name": "x", "starts_at": moment(-1), "ends_at": moment(1), "test_ids": ["nope"]}
    answer = admin.http.post("/maintenance", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (404, "body.test_ids.0")


def test_monitoring_goes_on_in_a_window(admin: Client) -> None:
    agent = PlayedAgent(admin, "a")
    add_test(admin, agent)
    before = agent.poll()
    window(admin, everything=True)
    assert agent.poll() == before


@pytest.mark.parametrize(
    "times",
    [
        {"starts_at": moment(-1), "ends_at": moment(1)},
        {
            "cron": "0 */3 * * *",
            "zone": "Asia/Kolkata",
            "duration": 5000,
            "starts_at": moment(-20),
            "ends_at": moment(9),
        },
        {"cron": "30 * * * *", "duration": 7200},
    ],
)
def test_the_ml_service_is_told_the_same_times_as_alerts_are_silenced(
    admin: Client, db: Session, times: dict[str, object]
) -> None:
    made = window(admin, **{"starts_at": None, "ends_at": None, "everything": True} | times)
    stored = service.get_window(db, made["id"])
    (planned,) = expectations(db).maintenance
    begin, end = NOW - timedelta(hours=30), NOW + timedelta(hours=30)
    spans = list(planned.spans(begin, end))
    for at in (begin + timedelta(minutes=7 * step) for step in range(514)):
        silent = service.active_until(stored, at) is not None
        assert silent == any(first <= at < last for first, last in spans), at
