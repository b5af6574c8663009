"""Grafana's provisioning files: rules, contact points, notification policies, data sources, where dashboards are."""

from typing import Any, Final

from streamswarm_grafana.alerts.rules import RULES, Rule
from streamswarm_grafana.dialects import INFLUXQL, PROMQL, Dialect
from streamswarm_grafana.links import uid

INFLUXDB_UID: Final = "streamswarm-influxdb"
PROMETHEUS_UID: Final = "streamswarm-prometheus"
_EXPRESSION: Final = "__expr__"
_ON_CALL: Final = "streamswarm-on-call"


def rules() -> dict[str, Any]:
    """One group, evaluated each minute."""
    group = {"orgId": 1, "name": "streamswarm", "folder": "StreamSwarm", "interval": "1m"}
    return {"apiVersion": 1, "groups": [{**group, "rules": [_rule(one) for one in RULES]}]}


def contact_points() -> dict[str, Any]:
    """One webhook; its address comes from the environment, since Grafana doesn't start with an empty one."""
    settings = {"url": "${STREAMSWARM_ALERT_WEBHOOK_URL}", "httpMethod": "POST", "maxAlerts": 100}
    receiver = {"uid": _ON_CALL, "type": "webhook", "settings": settings, "disableResolveMessage": False}
    return {"apiVersion": 1, "contactPoints": [{"orgId": 1, "name": _ON_CALL, "receivers": [receiver]}]}


def policies() -> dict[str, Any]:
    """One message for each site and agent: when an agent's own link dies, that is one cause with many alerts."""
    routes = [
        {
            "receiver": _ON_CALL,
            "object_matchers": [["severity", "=", "critical"]],
            "group_by": ["site", "agent"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "1h",
        },
        {
            "receiver": _ON_CALL,
            "object_matchers": [["severity", "=", "info"]],
            "group_by": ["site"],
            "group_wait": "10m",
            "group_interval": "1h",
            "repeat_interval": "1d",
        },
    ]
    root = {
        "orgId": 1,
        "receiver": _ON_CALL,
        "group_by": ["site", "agent"],
        "group_wait": "1m",
        "group_interval": "5m",
        "repeat_interval": "4h",
        "routes": routes,
    }
    return {"apiVersion": 1, "policies": [root]}


def data_sources() -> dict[str, Any]:
    """InfluxQL with a token in a header, as InfluxDB 2.x, 3.x and the collector take it; and Prometheus."""
    influxdb = {
        "name": "StreamSwarm",
        "uid": INFLUXDB_UID,
        "type": "influxdb",
        "access": "proxy",
        "url": "${STREAMSWARM_INFLUXDB_URL}",
        "isDefault": True,
        "editable": False,
        "jsonData": {
            "version": "InfluxQL",
            "dbName": "${STREAMSWARM_INFLUXDB_DATABASE}",
            "httpMode": "POST",
            "httpHeaderName1": "Authorization",
            "timeInterval": "10s",
        },
        "secureJsonData": {"httpHeaderValue1": "Token $__file{/run/secrets/grafana_token}"},
    }
    prometheus = {
        "name": "StreamSwarm Prometheus",
        "uid": PROMETHEUS_UID,
        "type": "prometheus",
        "access": "proxy",
        "url": "${STREAMSWARM_PROMETHEUS_URL}",
        "editable": False,
        "jsonData": {"httpMethod": "POST", "timeInterval": "15s", "prometheusType": "Prometheus"},
    }
    return {"apiVersion": 1, "prune": False, "datasources": [influxdb, prometheus]}


def providers() -> dict[str, Any]:
    """Folders with dashboards; the image of Grafana has them under /etc/grafana/streamswarm."""
    shown = {"influxql": "StreamSwarm", "promql": "StreamSwarm (Prometheus)"}
    found = [
        {
            "name": f"streamswarm-{variant}",
            "orgId": 1,
            "folder": folder,
            "folderUid": f"streamswarm-{variant}",
            "type": "file",
            "disableDeletion": True,
            "allowUiUpdates": False,
            "updateIntervalSeconds": 30,
            "options": {"path": f"/etc/grafana/streamswarm/dashboards/{variant}"},
        }
        for variant, folder in shown.items()
    ]
    return {"apiVersion": 1, "providers": found}


def worded(text: str, label: str, value: str) -> str:
    """A summary with the template language's own places for labels and the value."""
    for name in ("site", "agent", "test", "target", "measurement", "field", "path", "instance", "sink"):
        text = text.replace(f"{{{name}}}", label % name)
    for name, function in (("value", "humanize"), ("percent", "humanizePercentage"), ("duration", "humanizeDuration")):
        text = text.replace(f"{{{name}}}", f"{{{{ {value} | {function} }}}}")
    return text


def leads_to(rule: Rule, dialect: Dialect) -> str:
    """The dashboard's address, showing what the alert is about."""
    chosen = "&".join(f"var-{name}={{{{ $labels.{name} | urlquery }}}}" for name in rule.chosen)
    return f"/d/{uid(dialect, rule.board)}{chosen and f'?{chosen}'}"


def _rule(rule: Rule) -> dict[str, Any]:
    influxql = rule.influxql is not None
    steps = _from_influxdb(rule) if influxql else _from_prometheus(rule)
    return {
        "uid": f"streamswarm-{rule.key}",
        "title": rule.title,
        "condition": steps[-1]["refId"],
        "data": steps,
        "for": rule.hold,
        "noDataState": "OK" if rule.quiet else "NoData",
        "execErrState": "Error",
        "isPaused": False,
        "labels": {"severity": rule.severity.value, "product": "streamswarm"},
        "annotations": {
            "summary": worded(rule.summary, "{{ $labels.%s }}", "$values.VALUE.Value"),
            "description": rule.about,
            "dashboard": leads_to(rule, INFLUXQL),
        },
    }


def _from_influxdb(rule: Rule) -> list[dict[str, Any]]:
    asked = [("A", rule.influxql, rule.minutes)]
    if rule.baseline is not None:
        asked.append(("B", rule.baseline, rule.baseline_minutes))
    steps = [_query(ref, INFLUXDB_UID, minutes, _statement(ref, text)) for ref, text, minutes in asked]
    if rule.baseline is None:
        return [*steps, _reduce("VALUE", "A"), _threshold(rule)]
    steps += [_reduce("NOW", "A"), _reduce("USUAL", "B")]
    # A comparison is 0 or 1, so that a small change counts as none.
    ratio = f"($NOW / $USUAL) * ($NOW - $USUAL > {rule.least_change:g})"
    return [*steps, _expression("VALUE", type="math", expression=ratio), _threshold(rule)]


def _from_prometheus(rule: Rule) -> list[dict[str, Any]]:
    model = {
        "expr": PROMQL.fill_in(rule.promql or "", ()),
        "instant": True,
        "range": False,
        "refId": "A",
        "datasource": {"type": "prometheus", "uid": PROMETHEUS_UID},
    }
    return [_query("A", PROMETHEUS_UID, rule.minutes, model), _reduce("VALUE", "A"), _threshold(rule)]


def _statement(ref: str, text: str | None) -> dict[str, Any]:
    return {
        "query": text,
        "rawQuery": True,
        "resultFormat": "time_series",
        "refId": ref,
        "datasource": {"type": "influxdb", "uid": INFLUXDB_UID},
    }


def _query(ref: str, source: str, minutes: int, model: dict[str, Any]) -> dict[str, Any]:
    span = {"from": minutes * 60, "to": 0}
    return {"refId": ref, "relativeTimeRange": span, "datasourceUid": source, "model": model}


def _expression(ref: str, **more: object) -> dict[str, Any]:
    model = {"refId": ref, "datasource": {"type": _EXPRESSION, "uid": _EXPRESSION}, **more}
    return {"refId": ref, "relativeTimeRange": {"from": 0, "to": 0}, "datasourceUid": _EXPRESSION, "model": model}


def _reduce(ref: str, of: str) -> dict[str, Any]:
    return _expression(ref, type="reduce", expression=of, reducer="last", settings={"mode": "dropNN"})


def _threshold(rule: Rule) -> dict[str, Any]:
    evaluator = {"type": "lt" if rule.falling else "gt", "params": [rule.limit]}
    return _expression("FIRES", type="threshold", expression="VALUE", conditions=[{"evaluator": evaluator}])
