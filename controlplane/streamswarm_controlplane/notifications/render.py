"""A message in words: one subject line, text for mail and chat, HTML for mail."""

import html
from collections.abc import Mapping
from typing import Any, Final

_WORDS: Final = {
    "opened": "Open",
    "closed": "Closed",
    "changed": "Changed",
    "repeated": "Still open",
    "test": "Test",
}
_COLOURS: Final = {"critical": "#b3261e", "warning": "#8a5a00", "info": "#0b6b62"}
_CLOSED_COLOUR: Final = "#0a7a3d"


def subject(payload: Mapping[str, Any]) -> str:
    """One line without line breaks, at most 200 characters."""
    alerts = payload["alerts"]
    word = _WORDS[payload["kind"]]
    if payload["kind"] == "test":
        text = "Test message of StreamSwarm"
    elif len(alerts) == 1:
        text = f"{word}: {alerts[0]['summary']}"
    else:
        still = sum(one["state"] == "open" for one in alerts)
        place = ", ".join(f"{value}" for value in payload["group"].values() if value)
        text = f"{word}: {still} open, {len(alerts) - still} closed" + (f" ({place})" if place else "")
    return " ".join(f"[StreamSwarm] {text}".split())[:200]


def plain(payload: Mapping[str, Any]) -> str:
    """The message as plain text."""
    lines = [subject(payload).removeprefix("[StreamSwarm] "), ""]
    for alert in payload["alerts"]:
        lines.append(f"{_mark(alert)} {alert['summary']}")
        lines += [f"    {name}: {value}" for name, value in _facts(alert)]
        lines.append("")
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
    for alert in payload["alerts"]:
        colour = _CLOSED_COLOUR if alert["state"] == "closed" else _COLOURS.get(alert["severity"], "#17202a")
        rows = "".join(
            f'<tr><td style="color:#5b6775">{html.escape(name)}</td><td>{html.escape(value)}</td></tr>'
            for name, value in _facts(alert)
        )
        parts.append(
            f'<div style="border-left:4px solid {colour};padding:2px 0 2px 12px;margin:12px 0">'
            f"<b>{html.escape(alert['summary'])}</b><table>{rows}</table></div>"
        )
    if payload["kind"] == "test":
        parts.append("<p>If you can read this, the channel works.</p>")
    parts.append(f'<p style="color:#5b6775">{html.escape(_footer(payload))}</p></div>')
    return "\n".join(parts)


def chat(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What Slack and its like take: `text` is what a notification shows."""
    attachments = [
        {
            "color": _CLOSED_COLOUR if one["state"] == "closed" else _COLOURS.get(one["severity"], "#5b6775"),
            "fallback": escape_chat(one["summary"]),
            "title": escape_chat(f"{_mark(one)} {one['summary']}"),
            "text": escape_chat("\n".join(f"{name}: {value}" for name, value in _facts(one))),
        }
        for one in payload["alerts"]
    ]
    if payload["kind"] == "test":
        attachments.append({"color": "#0b6b62", "text": "If you can read this, the channel works."})
    return {"text": escape_chat(subject(payload)), "attachments": attachments}


def escape_chat(text: str) -> str:
    """Slack's three control characters as text, so that no name in an alert becomes a mention or a link.

    >>> escape_chat("<!channel> & co")
    '&lt;!channel&gt; &amp; co'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _mark(alert: Mapping[str, Any]) -> str:
    return "[closed]" if alert["state"] == "closed" else f"[{alert['severity']}]"


def _facts(alert: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = [(name, str(value)) for name, value in alert["labels"].items() if value]
    facts += [("detail", alert["detail"])] if alert["detail"] else []
    facts.append(("since", alert["opened_at"]))
    if alert["closed_at"]:
        facts.append(("until", f"{alert['closed_at']} ({alert['close_reason'] or 'recovered'})"))
    if alert["acknowledged_by"]:
        facts.append(("acknowledged by", alert["acknowledged_by"]))
    return [(name, " ".join(value.split())) for name, value in facts]


def _footer(payload: Mapping[str, Any]) -> str:
    rule = f"by the rule {payload['rule']}" if payload["rule"] else "by hand"
    return f"Sent {rule}. {payload['url']}"
