"""Wrong input is told in the words of whoever sent it: no jargon of the library, no path that isn't in the request."""

from typing import Any

import pytest

from tests.unit.controlplane.conftest import Client
from tests.unit.controlplane.refusals import is_problem

PING = {"name": "Ping", "probe": "icmp", "target": "127.0.0.1"}
JARGON = ("Value error", "Extra inputs", "discriminator", "match pattern", "[key]")


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/tests", {**PING, "every": 5}, "body.every: isn't known here; it takes name, probe, target, key"),
        ("/tests", {"name": "Ping"}, "body.probe: is missing"),
        (
            "/tests",
            {**PING, "schedule": {"cron": "0 3 * * *"}},
            "body.schedule: has no kind; one of 'cron', 'interval'",
        ),
        (
            "/tests",
            {**PING, "schedule": {"kind": "weekly"}},
            "body.schedule: no kind 'weekly'; one of 'interval', 'cron'",
        ),
        ("/tests", {**PING, "schedule": {"kind": "cron", "cron": "99 * * * *"}}, "body.schedule.cron: Bad minute"),
        ("/tests", {**PING, "schedule": {"kind": "cron"}}, "body.schedule.cron: is missing"),
        ("/tests", {**PING, "params": {"cnt": 3}}, "body.params.cnt: isn't known here; it takes count, spacing"),
        ("/tests", {**PING, "target": "192.0.2.1 or so"}, "body.target: '192.0.2.1 or so' has a space in it"),
        ("/tests", {**PING, "probe": "tcp"}, "body.target: '127.0.0.1' is not host:port or [IPv6]:port, with a port"),
        ("/tests", {**PING, "probe": "tls", "target": "x:99999"}, "body.target: 'x:99999' is not host:port"),
        ("/tests", {**PING, "probe": "tcp_window", "target": "https://x/"}, "body.target: 'https://x/' is neither"),
        ("/tests", {**PING, "probe": "http", "target": "ftp://x"}, "body.target: 'ftp://x' is not an http:// or"),
        ("/tests", {**PING, "name": "two\nlines"}, "body.name: takes one line"),
        ("/users", {"username": "a/b"}, "body.username: takes a name without spaces"),
        ("/users", {"username": "kim", "email": "kim"}, "body.email: takes an e-mail address, such as"),
        ("/enrolment-tokens", {"labels": {"a b": "c"}}, "body.labels.a b: takes letters A to Z, digits and '_'"),
        ("/enrolment-tokens", {"labels": {"site": "c"}}, "body.labels.site: names that begin with __"),
        (
            "/sites",
            {"name": "x", "time_zone": "Europe/Belrin"},
            "body.time_zone: no time zone 'Europe/Belrin'; takes a name such as UTC",
        ),
        ("/sites", {"name": "x", "time_zone": ""}, "body.time_zone: no time zone ''; takes a name such as UTC"),
        ("/sites", {"name": "a/b"}, "body.name: takes letters A to Z, digits, spaces, '.', '_' and '-'"),
        ("/enrolment-tokens", {"agent_name": "köln-1"}, "body.agent_name: takes letters A to Z, digits, '.'"),
        ("/enrolment-tokens", {"uses": 2.5}, "body.uses: takes a whole number"),
        ("/tests", {**PING, "paused": "maybe"}, "body.paused: takes true or false"),
        ("/tests", {**PING, "params": []}, "body.params: takes an object"),
        ("/tests", {**PING, "agent_ids": "berlin-1"}, "body.agent_ids: takes a list"),
        ("/tests", {**PING, "name": 5}, "body.name: takes a text"),
        ("/sites", {"name": "x", "latitude": 52.5}, "body: takes latitude and longitude together, or neither"),
        (
            "/sites",
            {"name": "x", "latitude": 91, "longitude": 0},
            "body.latitude: Input should be less than or equal to 90",
        ),
        ("/channels", {"name": "x", "settings": {"url": "x"}}, "body.settings: has no kind; one of 'email', 'slack'"),
        ("/channels", {"name": "x", "settings": {"kind": "webhook", "url": "x"}}, "body.settings.url: give a URL"),
        (
            "/maintenance",
            {"name": "x", "everything": True, "starts_at": "2026-01-31T12:00:00", "ends_at": "2026-01-31T13:00:00Z"},
            "body.starts_at: has no time zone",
        ),
    ],
)
def test_wrong_input_is_told_in_plain_words_with_its_own_path(
    admin: Client, path: str, body: dict[str, Any], said: str
) -> None:
    problem = is_problem(admin.http.post(path, json=body), 422)
    assert said in problem["detail"]
    assert not [word for word in JARGON if word in problem["detail"]]
    where = problem["errors"][0]
    assert not where["message"].startswith(where["field"])
    assert f"{where['field']}: {where['message']}" in problem["detail"]


def test_a_wrong_parameter_of_the_address_is_told_likewise(admin: Client) -> None:
    problem = is_problem(admin.http.get("/audit", params={"since": "yesterday"}), 422, "query.since")
    assert problem["detail"] == "query.since: takes a date and time with its zone, such as 2026-01-31T12:00:00Z"


def test_a_filter_that_can_not_be_used_is_told_in_plain_words_too(admin: Client) -> None:
    for query, said in {
        "/agents?label=a b": "query.label.0: takes a label's name, or NAME=VALUE, such as role=edge",
        "/tests?paused=maybe": "query.paused: takes true or false",
        "/tests?limit=all": "query.limit: takes a whole number",
    }.items():
        assert is_problem(admin.http.get(query), 422)["detail"] == said
    assert is_problem(admin.http.post("/tests", json=[PING]), 422)["detail"] == "body: takes an object: {…}"
