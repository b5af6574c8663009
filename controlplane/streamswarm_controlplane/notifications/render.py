"""A message in words: one subject line, text for mail and chat, HTML for mail."""

import html
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from streamswarm_controlplane.notifications.events import Severity
from streamswarm_core.wording import format_length

_WORDS: Final = {
    "opened": "Open",
    "closed": "Closed",
    "changed": "Changed",
    "repeated": "Still open",
    "test": "Test",
}
_COLOURS: Final = {"critical": "#b3261e", "warning": "#8a5a00", "info": "#0b6b62"}
_LEVELS: Final = (*reversed(Severity), "closed")
_IN_FULL: Final = 10
_IN_LINES: Final = 50
_PAGE: Final = "look at"
_CLOSED_COLOUR: Final = "#0a7a3d"


_NEXT: Final = {
    "agent_offline": "is its host up, and does it reach the control plane? there: streamswarm doctor",
    "test_down": "down on all agents: look at the target; on this one only: at its way there; most of its tests: "
    "at its own link",
    "no_data": "what the detail says; there: streamswarm doctor, and the agent's log",
    "threshold": "its results show since when, and which agents see it",
    "anomaly": "its results show what is unusual; the dashboard Anomalies, what was expected",
    "store_unavailable": "is the collector up? there: streamswarm doctor",
}
"""What to do, for who is woken up by it."""


def subject(payload: Mapping[str, Any]) -> str:
    """One line without line breaks, at most 200 characters: how many, how bad, where, and the worst that is new."""
    alerts = _news_first(payload)
    word = _WORDS[payload["kind"]]
    if payload["kind"] == "test":
        text = "Test message of StreamSwarm"
    elif len(alerts) == 1:
        text = f"{word}: {alerts[0]['summary']}"
    else:
        counts = Counter(sorted(map(_level, alerts), key=_LEVELS.index))
        if payload["kind"] == "closed":
            counts = Counter({"alerts": len(alerts)})
        place = ", ".join(f"{value}" for value in payload["group"].values() if value)
        many = ", ".join(f"{count} {level}" for level, count in counts.items())
        over = "closed: " if payload["kind"] == "changed" and alerts and alerts[0]["state"] == "closed" else ""
        text = f"{word}: {many}{place and f' ({place})'}: {over}{alerts[0]['summary']}, …" if alerts else word
    return " ".join(f"[StreamSwarm] {text}".split())[:200]


def plain(payload: Mapping[str, Any]) -> str:
    """The message as plain text."""
    lines = [subject(payload).removeprefix("[StreamSwarm] "), ""]
    for alert in _news_first(payload)[:_IN_FULL]:
        lines.append(f"{_mark(alert)} {alert['summary']}")
        lines += [f"    {name}: {value}" for name, value in _facts(alert)]
        lines.append("")
    if others := _others(payload):
        lines += [*others, ""]
    if payload["kind"] == "test":
        lines += ["If you can read this, the channel works.", ""]
    lines.append(_footer(payload))
    return "\n".join(lines) + "\n"


def markup(payload: Mapping[str, Any]) -> str:
    """The message as HTML that mail programs show; nothing in it is fetched from anywhere."""
    parts = [
        '<div style="font:14px/1.5 sans-serif;color:#17202a">',
        f'<h2 style="font-size:16px">{html.escape(subject(payload).removeprefix("[StreamSwarm] "))}</h2>',
    ]
    for alert in _news_first(payload)[:_IN_FULL]:
        colour = _CLOSED_COLOUR if alert["state"] == "closed" else _COLOURS.get(alert["severity"], "#17202a")
        rows = "".join(
            f'<tr><td style="color:#5b6775">{html.escape(name)}</td><td>{_linked(name, value)}</td></tr>'
            for name, value in _facts(alert)
        )
        parts.append(
            f'<div style="border-left:4px solid {colour};padding:2px 0 2px 12px;margin:12px 0">'
            f"<b>{html.escape(alert['summary'])}</b><table>{rows}</table></div>"
        )
    if others := _others(payload):
        parts.append(f"<p>{'<br>'.join(map(html.escape, others))}</p>")
    if payload["kind"] == "test":
        parts.append("<p>If you can read this, the channel works.</p>")
    parts.append(f'<p style="color:#5b6775">{html.escape(_footer(payload))}</p></div>')
    return "\n".join(parts)


def _linked(name: str, value: str) -> str:
    text = html.escape(value)
    return f'<a href="{text}">{text}</a>' if name == _PAGE else text


def chat(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What Slack and its like take: `text` is what a notification shows."""
    attachments = [
        {
            "color": _CLOSED_COLOUR if one["state"] == "closed" else _COLOURS.get(one["severity"], "#5b6775"),
            "fallback": escape_chat(one["summary"]),
            "title": escape_chat(f"{_mark(one)} {one['summary']}"),
            "text": escape_chat("\n".join(f"{name}: {value}" for name, value in _facts(one))),
        }
        for one in _news_first(payload)[:_IN_FULL]
    ]
    if others := _others(payload):
        attachments.append({"color": "#5b6775", "text": escape_chat("\n".join(others))})
    if payload["kind"] == "test":
        attachments.append({"color": "#0b6b62", "text": "If you can read this, the channel works."})
    return {"text": escape_chat(subject(payload)), "attachments": attachments}


def escape_chat(text: str) -> str:
    """Slack's three control characters as text, so that no name in an alert becomes a mention or a link.

    >>> escape_chat("<!channel> & co")
    '&lt;!channel&gt; &amp; co'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _news_first(payload: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What the message is sent for, then what was told before and is still open; of each the worst first."""
    return sorted(payload["alerts"], key=lambda alert: (not _is_news(alert), _LEVELS.index(_level(alert))))


def _is_news(alert: Mapping[str, Any]) -> bool:
    return bool(alert.get("news", True))  # those written by the version before don't say


def _others(payload: Mapping[str, Any]) -> list[str]:
    """What is not told in full: a line each, and how many more there are.

    Nobody reads a hundred alerts with all their facts, and Slack takes no message with as many.
    """
    others = _news_first(payload)[_IN_FULL:]
    lines = [" ".join(f"{_mark(one)} {one['summary']}, since {one['opened_at']}".split()) for one in others[:_IN_LINES]]
    more = len(others) - len(lines)
    return [*lines, f"… and {more} more: {payload['url']}"] if more > 0 else lines


def _level(alert: Mapping[str, Any]) -> str:
    return "closed" if alert["state"] == "closed" else str(alert["severity"])


def _mark(alert: Mapping[str, Any]) -> str:
    return f"[{_level(alert)}]" if _is_news(alert) else f"[{_level(alert)}, still open]"


def _facts(alert: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = [(name, str(value)) for name, value in alert["labels"].items() if value]
    facts += [("detail", alert["detail"])] if alert["detail"] else []
    facts.append(("since", alert["opened_at"]))
    if alert["closed_at"]:
        began, ended = (datetime.fromisoformat(alert[one]) for one in ("opened_at", "closed_at"))
        lasted = format_length((ended - began).total_seconds())
        facts.append(("until", f"{alert['closed_at']} ({alert['close_reason'] or 'recovered'}, lasted {lasted})"))
    if alert["acknowledged_by"]:
        facts.append(("acknowledged by", alert["acknowledged_by"]))
    if alert["state"] == "open" and alert["event"] in _NEXT:
        facts.append(("next", _NEXT[alert["event"]]))
    if "url" in alert:  # those written by the version before have none
        facts.append((_PAGE, alert["url"]))
    return [(name, " ".join(value.split())) for name, value in facts]


def _footer(payload: Mapping[str, Any]) -> str:
    rule = f"by the rule {payload['rule']}" if payload["rule"] else "by hand"
    return f"Sent {rule}. {payload['url']}"
