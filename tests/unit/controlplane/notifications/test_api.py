import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, text

from streamswarm_controlplane.app import create_app
from streamswarm_controlplane.db import Database
from streamswarm_controlplane.jobs.models import Lease
from streamswarm_controlplane.notifications.evaluation import LEASE
from streamswarm_controlplane.notifications.models import Alert, Channel
from streamswarm_controlplane.notifications.secretbox import KEY_FILE, SecretBox
from streamswarm_controlplane.notifications.signing import verify
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.clock import now
from tests.support import eventually, serve_app
from tests.unit.controlplane.conftest import PASSWORD, Client, add_user
from tests.unit.controlplane.notifications.tools import SECRET, Receiver
from tests.unit.controlplane.refusals import is_problem

MASK = "********"
EMAIL = {
    "kind": "email",
    "host": "mail.test",
    "username": "streamswarm",
    "password": "a planted mail word",
    "sender": "a@b.test",
    "recipients": ["noc@b.test"],
}
WEBHOOK = {
    "kind": "webhook",
    "url": "https://hooks.test/x",
    "secret": SECRET,
    "headers": {"Authorization": "Bearer planted-header"},
}
SLACK = {"kind": "slack", "url": "https://chat.test/services/T0/B0/planted-path"}
PLANTED = (SECRET, "a planted mail word", "planted-header", "planted-path")


def add(admin: Client, name: str, settings: dict[str, Any]) -> dict[str, Any]:
    answer = admin.http.post("/channels", json={"name": name, "settings": settings})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_a_channels_secrets_are_shown_to_nobody_and_kept_sealed(
    admin: Client, settings: ControlPlaneSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    made = [add(admin, kind, one) for kind, one in (("hook", WEBHOOK), ("mail", EMAIL), ("chat", SLACK))]
    assert [one["signing_secret"] for one in made] == [None, None, None]
    assert made[0]["settings"] == {**WEBHOOK, "secret": MASK, "headers": {"Authorization": MASK}}
    assert made[1]["settings"]["password"] == MASK
    assert made[2]["settings"]["url"] == MASK
    for one in made:
        admin.http.patch(f"/channels/{one['id']}", json={"enabled": False}).raise_for_status()
    database = Database(settings.database)
    with database.session() as db:
        rows = repr(db.execute(text("SELECT settings, secrets FROM channels")).all())
    database.close()
    places = [
        *(json.dumps(one) for one in made),
        *(admin.http.get(path).text for path in ("/channels", f"/channels/{made[0]['id']}", "/audit?limit=200")),
        rows,
        caplog.text,
    ]
    for planted in PLANTED:
        assert not any(planted in place for place in places), planted


def test_secrets_that_come_back_masked_stay_and_new_ones_replace_them(
    admin: Client, settings: ControlPlaneSettings
) -> None:
    channel = add(admin, "hook", WEBHOOK)
    path = f"/channels/{channel['id']}"
    changed = {**channel["settings"], "url": "https://hooks.test/y"}
    assert admin.http.patch(path, json={"settings": changed}).json()["settings"]["url"] == "https://hooks.test/y"
    box = SecretBox.load_or_create(settings.folder / KEY_FILE)
    database = Database(settings.database)

    def stored() -> dict[str, Any]:
        with database.session() as db:
            return box.open(db.get_one(Channel, channel["id"]).secrets)

    assert stored() == {"secret": SECRET, "headers": {"Authorization": "Bearer planted-header"}}
    admin.http.patch(path, json={"settings": {**changed, "headers": {"X-Key": "other"}}}).raise_for_status()
    assert stored() == {"secret": SECRET, "headers": {"X-Key": "other"}}
    database.close()


@pytest.mark.parametrize(
    ("first", "change", "field"),
    [
        (WEBHOOK, {"url": "https://evil.test/x"}, "body.settings.headers.Authorization"),
        (WEBHOOK, {"url": "http://hooks.test/x"}, "body.settings.headers.Authorization"),
        (EMAIL, {"host": "evil.test"}, "body.settings.password"),
        (EMAIL, {"port": 2525}, "body.settings.password"),
    ],
)
def test_stored_secrets_are_not_shown_to_another_host(
    admin: Client, first: dict[str, Any], change: dict[str, Any], field: str
) -> None:
    channel = add(admin, "moved", first)
    path = f"/channels/{channel['id']}"
    moved = admin.http.patch(path, json={"settings": {**channel["settings"], **change}})
    assert (moved.status_code, moved.json()["errors"][0]["field"]) == (422, field)
    assert admin.http.get(path).json()["settings"] == channel["settings"]
    again = {"headers": {"Authorization": "Bearer new"}} if first["kind"] == "webhook" else {"password": "new"}
    given = admin.http.patch(path, json={"settings": {**channel["settings"], **change, **again}})
    assert given.status_code == 200


def test_only_admins_see_all_of_a_webhooks_url(admin: Client) -> None:
    channel = add(admin, "hook", {**WEBHOOK, "url": "https://hooks.test/services/T0/planted-path?key=planted-query"})
    path = f"/channels/{channel['id']}"
    assert "planted-path" in admin.http.get(path).text
    olga = add_user(admin, "olga", "operator")
    token = admin.http.post("/auth/tokens", json={"name": "reading", "scope": "read"}).json()["token"]
    with httpx.Client(base_url=admin.http.base_url, headers={"Authorization": f"Bearer {token}"}) as reading:
        for who in (olga.http, reading):
            for answer in (who.get("/channels"), who.get(path)):
                assert "planted-" not in answer.text
                assert "https://hooks.test/********" in answer.text


def test_a_webhooks_url_that_was_not_shown_stays_when_it_is_sent_back(admin: Client) -> None:
    def with_url(url: str) -> dict[str, object]:
        return {"settings": {"kind": "webhook", "url": url}}

    secret = "https://hooks.example.com/services/T0/B0?key=1"
    made = admin.http.post("/channels", json={"name": "NOC", **with_url(secret)}).json()
    shown = add_user(admin, "vera", "viewer").http.get(f"/channels/{made['id']}").json()["settings"]["url"]
    kept = admin.http.patch(f"/channels/{made['id']}", json=with_url(shown)).json()
    assert kept["settings"]["url"] == secret
    elsewhere = with_url(shown.replace("hooks", "hook"))
    is_problem(admin.http.patch(f"/channels/{made['id']}", json=elsewhere), 422, "body.settings.url")
    is_problem(admin.http.post("/channels", json={"name": "another", **with_url(shown)}), 422, "body.settings.url")


def test_a_signing_secret_that_is_made_is_told_once(admin: Client) -> None:
    made = add(admin, "hook", {"kind": "webhook", "url": "https://hooks.test/"})
    assert made["signing_secret"].startswith("whsec_")
    assert made["signing_secret"] not in admin.http.get(f"/channels/{made['id']}").text


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"kind": "webhook", "url": "ftp://hooks.test/"}, "https://hooks.example.com"),
        ({"kind": "webhook", "url": "https://user:word@hooks.test/"}, "use a header"),
        ({"kind": "webhook", "url": "https://hooks.test/", "secret": "short"}, "at least 24 bytes"),
        ({"kind": "webhook", "url": "https://hooks.test/", "headers": {"Host": "x"}}, "no header that can be set"),
        ({"kind": "webhook", "url": "https://hooks.test/", "headers": {"X": "a\r\nb"}}, "can't have"),
        ({"kind": "webhook", "url": "https://hooks.test/ x"}, "no spaces"),
        ({**EMAIL, "security": "none"}, "choose starttls or tls"),
        ({**EMAIL, "password": ""}, "user name and password, or neither"),
        ({**EMAIL, "recipients": []}, "at least 1"),
        ({**EMAIL, "recipients": ["a@b.test\r\nBcc: c@d.test"]}, "takes one e-mail address"),
        ({"kind": "slack", "url": ""}, "give the URL"),
        ({"kind": "pigeon"}, "'webhook', 'email', 'slack'"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_what_would(
    admin: Client, wrong: dict[str, Any], words: str
) -> None:
    answer = admin.http.post("/channels", json={"name": "x", "settings": wrong})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert words in answer.text
    assert not any(planted in answer.text for planted in PLANTED)


def test_a_channel_in_use_is_not_removed_and_names_are_taken_once(admin: Client) -> None:
    channel = add(admin, "hook", WEBHOOK)
    assert admin.http.post("/channels", json={"name": "hook", "settings": SLACK}).status_code == 409
    rule = admin.http.post("/rules", json={"name": "NOC", "channel_ids": [channel["id"]]}).json()
    answer = admin.http.delete(f"/channels/{channel['id']}")
    assert (answer.status_code, "NOC" in answer.text) == (409, True)
    assert admin.http.delete(f"/rules/{rule['id']}").status_code == 204
    assert admin.http.delete(f"/channels/{channel['id']}").status_code == 204


def test_a_rule_is_changed_field_by_field_and_checked(admin: Client) -> None:
    channel = add(admin, "hook", WEBHOOK)
    assert "no channel with the id nope" in admin.http.post("/rules", json={"name": "x", "channel_ids": ["nope"]}).text
    fields = {"name": "NOC", "channel_ids": [channel["id"]], "events": ["no_data"], "sites": ["berlin*"]}
    rule = admin.http.post("/rules", json=fields).json()
    assert (rule["wait"], rule["repeat"], rule["group_by"]) == (30, 14_400, ["agent"])
    changed = admin.http.patch(f"/rules/{rule['id']}", json={"wait": 0, "sites": []}).json()
    assert (changed["wait"], changed["sites"], changed["events"]) == (0, [], ["no_data"])
    refused: list[dict[str, object]] = [
        {"repeat": 5},
        {"events": ["nonsense"]},
        {"channel_ids": []},
        {"group_by": ["a b"]},
    ]
    for wrong in refused:
        assert admin.http.patch(f"/rules/{rule['id']}", json=wrong).status_code == 422, wrong


def add_alert(settings: ControlPlaneSettings, number: int, *, closed: bool = False, agent: str = "a") -> str:
    database = Database(settings.database)
    with database.session() as db:
        alert = Alert(
            fingerprint=f"f{number}",
            open_key=None if closed else f"f{number}",
            event="anomaly",
            severity="warning",
            labels={"agent": agent, "test": "ping"},
            summary=f"alert {number}",
            opened_at=now() - timedelta(seconds=number),
            seen_at=now(),
            closed_at=now() if closed else None,
        )
        db.add(alert)
        db.flush()
        alert_id = alert.id
    database.close()
    return alert_id


def test_alerts_are_listed_newest_first_by_state_agent_and_kind(admin: Client, settings: ControlPlaneSettings) -> None:
    for number in range(3):
        add_alert(settings, number, agent="b" if number == 2 else "a")
    add_alert(settings, 9, closed=True)

    def found(query: str) -> list[str]:
        items = admin.http.get(f"/alerts?event=anomaly&{query}").json()["items"]
        return [one["summary"].removeprefix("alert ") for one in items]

    assert found("") == ["0", "1", "2"]
    assert found("state=closed") == ["9"]
    assert found("state=all") == ["0", "1", "2", "9"]
    assert found("agent=b") == ["2"]
    assert found("agent=b&test=dns") == []
    assert found("severity=critical") == []
    assert admin.http.get("/alerts?event=nonsense").status_code == 422


def test_an_operator_takes_care_of_an_alert_and_a_viewer_cannot(admin: Client, settings: ControlPlaneSettings) -> None:
    alert_id = add_alert(settings, 1)
    olga, vera = add_user(admin, "olga", "operator"), add_user(admin, "vera", "viewer")
    path = f"/alerts/{alert_id}/acknowledge"
    assert vera.http.post(path, json={}).status_code == 403
    taken = olga.http.post(path, json={"comment": "ringing the provider"}).json()
    assert (taken["acknowledged_by"], taken["comment"]) == ("olga", "ringing the provider")
    assert vera.http.get(f"/alerts/{alert_id}").json()["acknowledged_by"] == "olga"
    assert olga.http.delete(path).json()["acknowledged_at"] is None
    closed = add_alert(settings, 2, closed=True)
    assert olga.http.post(f"/alerts/{closed}/acknowledge", json={}).status_code == 409


def test_a_silence_has_an_end_a_reason_and_an_author(admin: Client) -> None:
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    matchers = [{"label": "agent", "operator": "~", "value": "berlin*"}]
    made = admin.http.post("/silences", json={"matchers": matchers, "ends_at": until, "comment": "line card"}).json()
    assert (made["created_by"], made["matchers"]) == ("admin", matchers)
    assert [one["id"] for one in admin.http.get("/silences?state=active").json()["items"]] == [made["id"]]
    assert admin.http.delete(f"/silences/{made['id']}").status_code == 204
    assert admin.http.get("/silences?state=active").json()["items"] == []
    assert [one["id"] for one in admin.http.get("/silences?state=expired").json()["items"]] == [made["id"]]
    for wrong in (
        {"matchers": [], "ends_at": until, "comment": "x"},
        {"matchers": matchers, "ends_at": "2020-01-01T00:00:00Z", "comment": "x"},
        {"matchers": matchers, "ends_at": until, "comment": ""},
        {"matchers": matchers, "ends_at": until.removesuffix("+00:00"), "comment": "x"},
        {"matchers": [{"label": "agent", "operator": "=~", "value": ".*"}], "ends_at": until, "comment": "x"},
    ):
        assert admin.http.post("/silences", json=wrong).status_code == 422, wrong


def test_the_test_button_sends_by_the_way_of_all_messages(
    settings: ControlPlaneSettings, first_password: str, receiver: Receiver
) -> None:
    open_to_loopback = settings.model_copy(update={"webhook_allow": "127.0.0.0/8"})
    with serve_app(create_app(open_to_loopback)) as url:
        admin = Client(url)
        admin.log_in("admin", first_password)
        admin.change_password(first_password, PASSWORD)
        made = add(admin, "hook", {"kind": "webhook", "url": f"{receiver.url}/hook"})
        sent = admin.http.post(f"/channels/{made['id']}/test").json()
        done = eventually(
            lambda: admin.http.get(f"/deliveries/{sent['id']}").json(), lambda one: one["status"] == "delivered"
        )
        assert done["payload"]["kind"] == "test"
        (got,) = receiver.requests
        assert got.headers["webhook-id"] == sent["id"]
        assert verify(made["signing_secret"], got.headers, got.body, now().timestamp())
        assert admin.http.post(f"/deliveries/{sent['id']}/retry").status_code == 409


def test_a_webhook_to_this_host_fails_with_the_setting_that_would_allow_it(admin: Client, receiver: Receiver) -> None:
    made = add(admin, "hook", {"kind": "webhook", "url": receiver.url})
    sent = admin.http.post(f"/channels/{made['id']}/test").json()
    seen = eventually(lambda: admin.http.get(f"/deliveries/{sent['id']}").json(), lambda one: one["last_error"] != "")
    assert "STREAMSWARM_CONTROLPLANE_WEBHOOK_ALLOW" in seen["last_error"]
    assert receiver.requests == []
    again = admin.http.post(f"/deliveries/{sent['id']}/retry")
    assert again.status_code in {200, 409}  # 409 only while it is being sent


def test_the_control_plane_evaluates_by_itself(url: str, settings: ControlPlaneSettings) -> None:
    assert httpx.get(f"{url}/health").status_code == 200
    database = Database(settings.database)

    def held() -> int:
        with database.session(reading=True) as db:
            return db.scalar(select(func.count()).select_from(Lease).where(Lease.name == LEASE)) or 0

    assert eventually(held, bool) == 1
    database.close()


def test_the_key_of_the_secrets_is_readable_by_its_owner_only(url: str, settings: ControlPlaneSettings) -> None:
    assert httpx.get(f"{url}/health").status_code == 200
    key: Path = settings.folder / KEY_FILE
    assert key.stat().st_mode & 0o777 == 0o600
