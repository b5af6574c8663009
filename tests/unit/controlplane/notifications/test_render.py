"""What a message says to somebody who has just been woken up by it."""

import html
from collections.abc import Collection
from datetime import timedelta
from typing import Any

from streamswarm_controlplane.notifications import render
from streamswarm_controlplane.notifications.events import MessageKind
from streamswarm_controlplane.notifications.models import Alert
from streamswarm_controlplane.notifications.routing import message
from tests.unit.controlplane.notifications.tools import NOON, SHAPE


def alert(event: str, severity: str, summary: str, *, seconds: float | None = None, **labels: str) -> Alert:
    return Alert(
        id=summary,
        fingerprint=summary,
        event=event,
        severity=severity,
        labels=labels,
        summary=summary,
        detail="",
        unit="",
        opened_at=NOON,
        closed_at=None if seconds is None else NOON + timedelta(seconds=seconds),
        close_reason="" if seconds is None else "recovered",
        acknowledged_by="",
    )


def payload(kind: MessageKind, *alerts: Alert, known: Collection[str] = ()) -> dict[str, Any]:
    group = {"agent": "berlin-1"}
    return message(kind, alerts, SHAPE, NOON, rule="NOC", group=group, thread="t1", known=known)


def test_a_subject_says_how_bad_it_is_and_names_the_worst() -> None:
    found = payload(
        MessageKind.CHANGED,
        alert("no_data", "warning", "No data of DNS on berlin-1"),
        alert("test_down", "critical", "Web is down, seen from berlin-1"),
        alert("test_down", "critical", "Ping is down, seen from berlin-1", seconds=60),
    )
    assert render.subject(found) == (
        "[StreamSwarm] Changed: 1 critical, 1 warning, 1 closed (berlin-1): Web is down, seen from berlin-1, …"
    )
    text = render.plain(found)
    assert text.index("[critical]") < text.index("[warning]") < text.index("[closed]")
    over = payload(MessageKind.CLOSED, *(alert("no_data", "warning", name, seconds=9) for name in ("one", "two")))
    assert render.subject(over) == "[StreamSwarm] Closed: 2 alerts (berlin-1): one, …"


def test_what_is_open_says_what_to_do_next_and_what_is_over_how_long_it_lasted() -> None:
    found = payload(
        MessageKind.CHANGED,
        alert("test_down", "critical", "Web is down", test="web", agent="berlin-1"),
        alert("threshold", "critical", "voip.mos is bad", test="call", agent="b-1", measurement="voip", field="mos"),
        alert("agent_offline", "critical", "Agent is offline", agent="berlin-1", seconds=300),
    )
    text = render.plain(found)
    assert text.count("next: ") == 2
    assert "(recovered, lasted 5 min)" in text
    since = "since=2026-03-01T12%3A00%3A00Z"
    for page in (
        f"/results?test=web&agent=berlin-1&{since}",
        f"/results?test=call&agent=b-1&field=voip.mos&{since}",
        "/agents?q=berlin-1",
    ):
        assert f"look at: {SHAPE.url}{page}\n" in text
        assert f'<a href="{html.escape(SHAPE.url + page)}">' in render.markup(found)


def test_what_is_new_comes_before_what_was_told_already() -> None:
    web = alert("test_down", "critical", "Web is down, seen from berlin-1")
    told = payload(MessageKind.OPENED, web, alert("no_data", "warning", "No data of DNS on berlin-1"), known={web.id})
    assert [one["news"] for one in told["alerts"]] == [False, True]
    assert render.subject(told) == (
        "[StreamSwarm] Open: 1 critical, 1 warning (berlin-1): No data of DNS on berlin-1, …"
    )
    text = render.plain(told)
    assert text.index("[warning] No data") < text.index("[critical, still open] Web is down")
    over = alert("test_down", "critical", "Ping is down, seen from berlin-1", seconds=60)
    changed = payload(MessageKind.CHANGED, web, over, known={web.id})
    assert render.subject(changed) == (
        "[StreamSwarm] Changed: 1 critical, 1 closed (berlin-1): closed: Ping is down, seen from berlin-1, …"
    )


def test_of_many_alerts_the_worst_are_told_in_full_and_the_others_in_a_line_each() -> None:
    down = [alert("test_down", "critical", f"Test {number} is down", test=f"t{number}") for number in range(70)]
    found = payload(MessageKind.OPENED, *down, alert("no_data", "warning", "No data"))
    text = render.plain(found)
    assert text.count("look at: ") == render.markup(found).count("<a href") == 10
    assert "[critical] Test 10 is down, since 2026-03-01T12:00:00Z\n" in text
    assert f"… and 11 more: {SHAPE.url}/alerts\n" in text
    assert "Test 59 is down" in render.markup(found)
    chat = render.chat(found)
    assert len(chat["attachments"]) == 11  # Slack takes a hundred at most
    assert "… and 11 more" in chat["attachments"][-1]["text"]


def test_a_message_of_the_version_before_is_still_sent() -> None:
    found = payload(MessageKind.OPENED, alert("test_down", "critical", "Web is down", test="web"))
    del found["alerts"][0]["url"]
    assert "Web is down" in render.plain(found)
