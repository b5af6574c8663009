"""Which alerts a rule or a silence means."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from streamswarm_controlplane.notifications.models import Alert, Rule


def labels_of(alert: Alert) -> dict[str, str]:
    """Everything of an alert that can be matched and grouped by."""
    return {**alert.labels, "event": alert.event, "severity": alert.severity}


def rule_matches(rule: Rule, alert: Alert) -> bool:
    """Whether a rule is about an alert; an empty list lets everything through."""
    labels = labels_of(alert)
    return (
        (not rule.events or alert.event in rule.events)
        and (not rule.severities or alert.severity in rule.severities)
        and _any_fits(rule.sites, labels.get("site", ""))
        and _any_fits(rule.agents, labels.get("agent", ""))
        and _any_fits(rule.tests, labels.get("test", ""))
        and all(fits(pattern, labels.get(name, "")) for name, pattern in rule.labels.items())
    )


def matcher_fits(matcher: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether one `label operator value` of a silence holds."""
    found = labels.get(matcher["label"], "")
    match matcher["operator"]:
        case "=":
            return found == matcher["value"]
        case "!=":
            return found != matcher["value"]
        case _:
            return fits(matcher["value"], found)


def fits(pattern: str, text: str) -> bool:
    """Shell patterns, upper and lower case told apart: `*` any text, `?` one character, `[ab]` one of these.

    >>> fits("berlin-*", "berlin-1"), fits("*", ""), fits("berlin", "Berlin")
    (True, True, False)
    """
    return fnmatchcase(text, pattern)


def _any_fits(patterns: Iterable[str], text: str) -> bool:
    wanted = list(patterns)
    return not wanted or any(fits(pattern, text) for pattern in wanted)
