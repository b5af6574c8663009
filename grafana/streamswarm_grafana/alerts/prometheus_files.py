"""The same rules as a Prometheus rule file, over what agents and services export."""

from dataclasses import replace
from typing import Any

from streamswarm_grafana.alerts.grafana_files import leads_to, worded
from streamswarm_grafana.alerts.rules import RULES, Rule
from streamswarm_grafana.dialects import PROMQL


def alert_name(rule: Rule) -> str:
    """The name without what Prometheus users don't expect in one.

    >>> alert_name(next(rule for rule in RULES if rule.key == "agent-queue"))
    'StreamSwarmAgentCantDeliver'
    """
    words = rule.title.replace("'", "").replace("-", " ").split()
    return "StreamSwarm" + "".join(word[0].upper() + word[1:] for word in words)


def rules() -> dict[str, Any]:
    """One group, evaluated each minute."""
    return {"groups": [{"name": "streamswarm", "interval": "1m", "rules": [_rule(one) for one in RULES if one.promql]}]}


def _rule(of: Rule) -> dict[str, Any]:
    rule = _known(of)
    value = PROMQL.fill_in(rule.promql or "", ())
    wrapped = f"({value})" if " or " in value or " and " in value or " unless " in value else value
    return {
        "alert": alert_name(rule),
        "expr": f"{wrapped} {'<' if rule.falling else '>'} {rule.limit:g}",
        "for": rule.hold,
        "labels": {"severity": rule.severity.value, "product": "streamswarm"},
        "annotations": {
            "summary": worded(rule.summary, "{{ $labels.%s }}", "$value"),
            "description": rule.about,
            "dashboard": leads_to(rule, PROMQL),
        },
    }


def _known(rule: Rule) -> Rule:
    """The rule with what Prometheus knows: of anomalies only how many there are."""
    return replace(rule, summary="{value} series are unusual", chosen=()) if rule.key == "anomaly" else rule
