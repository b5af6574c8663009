"""Alert rules fire on the scenario's fault and resolve with its recovery, in Grafana's form and in Prometheus's."""

import operator
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml

from streamswarm_agent.exporter import PointCollector
from streamswarm_core.clock import NANOSECONDS
from streamswarm_core.lineprotocol import encode_lines
from streamswarm_grafana.alerts.prometheus_files import alert_name
from streamswarm_grafana.alerts.rules import RULES
from streamswarm_grafana.ask_store import Store
from streamswarm_grafana.dialects import PROMQL
from streamswarm_grafana.expand import View
from streamswarm_grafana.generate import ROOT
from streamswarm_grafana.links import uid
from streamswarm_grafana.scenario import AGENTS, MINUTES, SILENCE, SILENT, points
from tests.integration.dashboard_stores import DATABASE, collector_with, write_all
from tests.support import run_influxdb

pytestmark = [pytest.mark.xdist_group("dashboards"), pytest.mark.needs("influxd", "influxdb")]

RULES_FILE: Final = ROOT / "provisioning/prometheus/rules/streamswarm.yml"
BEFORE, DURING, AFTER = 55, 84, 135
Labels = frozenset[tuple[str, str]]

FIRING: Final[dict[str, set[str]]] = {
    "agent-offline": {"tok-1"},
    "agent-queue": {"par-1"},
    "points-lost": {"par-1"},
    "target-down": {"par-1"},
    "loss": {"par-1"},
    "latency": {"par-1"},
    "voice": {"par-1"},
    "certificate": {""},
    "certificate-web": {""},
    "anomaly": {"par-1"},
    "disk": {"par-1"},
}
"""Agents that each rule with an InfluxQL statement fires for in the fault; certificates are of targets."""

ASKED: Final = {
    "agent",
    "icmp",
    "anomaly",
    "tls",
    "http",
    "dns",
    "tcp",
    "traceroute",
    "mtu",
    "stamp",
    "voip",
    "qos",
    "host_disk",
    "tcp_window",
    "bandwidth",
}


@pytest.fixture(scope="module")
def stop_ns() -> int:
    return int(time.time()) // 60 * 60 * NANOSECONDS


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory, stop_ns: int) -> Iterator[dict[str, Store]]:
    folder = tmp_path_factory.mktemp("alerts")
    lines = encode_lines(point for point in points(stop_ns) if point.measurement in ASKED)
    with collector_with(folder / "embedded", lines) as url, run_influxdb(folder / "influxdb") as influxdb:
        influxdb.create_database(DATABASE)
        write_all(influxdb.url, lines)
        yield {"embedded": Store(url, "influxdb", DATABASE), "influxdb": Store(influxdb.url, "influxdb", DATABASE)}


def grafana_rules() -> dict[str, dict[str, Any]]:
    body = yaml.safe_load((ROOT / "provisioning/grafana/alerting/rules.yml").read_text())
    return {rule["uid"].removeprefix("streamswarm-"): rule for group in body["groups"] for rule in group["rules"]}


def firing(rule: dict[str, Any], store: Store, now_ms: int) -> set[Labels]:
    """The series for which a rule's condition holds: its queries, then its expressions, as in Grafana."""
    values: dict[str, dict[Labels, float]] = {}
    with httpx.Client(timeout=60) as client:
        for step in rule["data"]:
            model = step["model"]
            match model.get("type"):
                case None:
                    view = View(now_ms - step["relativeTimeRange"]["from"] * 1000, now_ms)
                    drawn = store.run(client, model, view, "1m")
                    last = [(one.labels, [row[1] for row in one.rows if row[1] is not None]) for one in drawn]
                    values[step["refId"]] = {frozenset(labels.items()): found[-1] for labels, found in last if found}
                case "reduce":
                    assert model["reducer"] == "last"
                    values[step["refId"]] = values[model["expression"]]
                case "math":
                    values[step["refId"]] = calculated(model["expression"], values)
                case "threshold":
                    evaluator = model["conditions"][0]["evaluator"]
                    holds = {"gt": operator.gt, "lt": operator.lt}[evaluator["type"]]
                    return {
                        labels
                        for labels, value in values[model["expression"]].items()
                        if holds(value, evaluator["params"][0])
                    }
    raise AssertionError("a rule without a threshold")


def calculated(expression: str, values: Mapping[str, dict[Labels, float]]) -> dict[Labels, float]:
    """Grafana's math: series with the same labels meet."""
    names = re.findall(r"\$(\w+)", expression)
    shared = set.intersection(*(set(values[name]) for name in names))
    body = compile(expression.replace("$", ""), "math", "eval")
    return {labels: float(eval(body, {}, {name: values[name][labels] for name in names})) for labels in shared}  # noqa: S307


@pytest.mark.parametrize("store", ["embedded", "influxdb"])
@pytest.mark.parametrize("key", FIRING)
def test_grafanas_rule_fires_in_the_fault_and_only_then(
    stores: dict[str, Store], stop_ns: int, key: str, store: str
) -> None:
    start_ms = stop_ns // 1_000_000 - MINUTES * 60_000
    at: Callable[[int], set[str]] = lambda minute: {  # noqa: E731
        dict(labels).get("agent", "")
        for labels in firing(grafana_rules()[key], stores[store], start_ms + minute * 60_000)
    }
    assert at(BEFORE) == set()
    assert at(DURING) == FIRING[key]
    assert at(AFTER) == set()


def test_every_rule_is_proved_or_asks_prometheus_only() -> None:
    rules = {rule.key: rule for rule in RULES}
    assert {key for key, rule in rules.items() if rule.influxql is not None} == set(FIRING)
    assert {rule["title"] for rule in grafana_rules().values()} == {rule.title for rule in RULES}


@pytest.mark.needs("promtool", "prometheus")
def test_promtool_finds_no_fault_in_the_rules() -> None:
    checked = subprocess.run(
        ["promtool", "check", "rules", str(RULES_FILE)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert f"{len([rule for rule in RULES if rule.promql])} rules found" in checked.stdout


@pytest.mark.needs("promtool", "prometheus")
def test_prometheus_fires_in_the_fault_and_only_then(tmp_path: Path, stop_ns: int) -> None:
    fired = [
        {
            "labels": f'{{agent="{agent}", alertname="{alert_name(rule)}"}}'
            if agent
            else f'{{alertname="{alert_name(rule)}"}}'
        }
        for rule in RULES
        for agent in (FIRING[rule.key] if rule.key in FIRING and rule.key != "anomaly" else {""})
    ]
    expression = 'count by (alertname, agent) (ALERTS{alertstate="firing"}) > bool 0'
    checks = [
        {"expr": expression, "eval_time": f"{minute}m", "exp_samples": [{**one, "value": 1} for one in expected]}
        for minute, expected in ((BEFORE, []), (DURING, fired), (AFTER, []))
    ]
    plan = {
        "rule_files": [str(RULES_FILE)],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": [*exported(stop_ns), *services()], "promql_expr_test": checks}],
    }
    path = tmp_path / "alerts.test.yml"
    path.write_text(yaml.safe_dump(plan, width=10**9))
    tested = subprocess.run(["promtool", "test", "rules", str(path)], capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stdout[-4000:] + tested.stderr[-4000:]


@pytest.mark.needs("promtool", "prometheus")
def test_a_certificate_that_has_expired_is_not_said_to_expire_soon_only(tmp_path: Path) -> None:
    rule = next(one for one in RULES if one.key == "certificate")
    alert = {
        "exp_labels": {"severity": rule.severity.value, "product": "streamswarm", "target": "shop.example:443"},
        "exp_annotations": {
            "summary": "A certificate of shop.example:443 expires soon or has expired: -1d 0h 0m 0s left",
            "description": rule.about,
            "dashboard": f"/d/{uid(PROMQL, rule.board)}?var-target=shop.example%3A443",
        },
    }
    series = 'streamswarm_tls_chain_expires_in_seconds{target="shop.example:443"}'
    test = {
        "interval": "1m",
        "input_series": [{"series": series, "values": "-86400x20"}],
        "alert_rule_test": [{"eval_time": "15m", "alertname": alert_name(rule), "exp_alerts": [alert]}],
    }
    path = tmp_path / "certificate.test.yml"
    path.write_text(yaml.safe_dump({"rule_files": [str(RULES_FILE)], "tests": [test]}))
    tested = subprocess.run(["promtool", "test", "rules", str(path)], capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def exported(stop_ns: int) -> list[dict[str, str]]:
    """What Prometheus gets of the agents each minute: the newest value, until the agent is silent."""
    text = RULES_FILE.read_text()
    found: dict[str, dict[int, float]] = {}
    start_ns = stop_ns - MINUTES * 60 * NANOSECONDS
    for point in points(stop_ns):
        if point.measurement not in ASKED - {"anomaly"}:
            continue
        minute = ((point.time_ns or 0) - start_ns) // (60 * NANOSECONDS)
        for family in PointCollector(partial(list, [point])).collect():
            for sample in family.samples:
                if sample.name in text:
                    labels = {**sample.labels, "agent": point.tags["agent"], "site": point.tags["site"]}
                    series = ",".join(f'{key}="{value}"' for key, value in labels.items())
                    found.setdefault(f"{sample.name}{{{series}}}", {})[minute] = sample.value
    assert any(agent in series for series in found for agent in AGENTS)
    return [{"series": series, "values": " ".join(scrapes(series, values))} for series, values in found.items()]


def scrapes(series: str, values: Mapping[int, float]) -> Iterator[str]:
    newest: float | None = None
    for minute in range(MINUTES):
        silent = f'agent="{SILENT}"' in series and SILENCE[0] <= minute < SILENCE[1]
        newest = None if silent else values.get(minute, newest)
        # A scrape that fails ends the series at once.
        gap = "stale" if silent and minute == SILENCE[0] else "_"
        yield gap if newest is None else repr(float(newest))


def services() -> list[dict[str, str]]:
    """The services' own metrics, bad for the time of the fault."""
    well, ill = "0x59", "x29"
    shapes = {
        'streamswarm_collector_wal_oldest_seconds{instance="c:1"}': "900",
        'streamswarm_ml_lag_seconds{instance="ml:1"}': "900",
        'streamswarm_ml_open_anomalies{instance="ml:1"}': "3",
    }
    found = [{"series": name, "values": f"{well} {bad}{ill} {well}"} for name, bad in shapes.items()]
    lines = 'streamswarm_collector_sink_dead_letter_lines_total{instance="c:1",sink="influx"}'
    return [*found, {"series": lines, "values": "0x59 5+5x29 150x59"}]
