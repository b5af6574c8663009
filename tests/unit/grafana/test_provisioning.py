"""Grafana's provisioning files and Prometheus's rules as files."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import alerting

from streamswarm_grafana import influxdb
from streamswarm_grafana.alerts.rules import RULES, Severity
from streamswarm_grafana.assemble import dashboard
from streamswarm_grafana.boards import BOARDS
from streamswarm_grafana.dialects import DIALECTS, VARIABLES
from streamswarm_grafana.generate import ROOT

GRAFANA: Final = ROOT / "provisioning/grafana"
PROMETHEUS: Final = ROOT / "provisioning/prometheus/rules/streamswarm.yml"


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def grafana_rules() -> list[dict[str, Any]]:
    return [rule for group in load(GRAFANA / "alerting/rules.yml")["groups"] for rule in group["rules"]]


@pytest.fixture(autouse=True, scope="module")
def _plugins() -> None:
    register_default_plugins()
    influxdb.register()


@pytest.mark.parametrize("rule", grafana_rules(), ids=lambda rule: rule["uid"])
def test_every_step_of_a_rule_is_in_grafanas_form_and_asks_what_is_there(rule: dict[str, Any]) -> None:
    sources = {one["uid"] for one in load(GRAFANA / "datasources/streamswarm.yml")["datasources"]} | {"__expr__"}
    refs: list[str] = []
    for step in rule["data"]:
        assert alerting.Query.from_json(step).ref_id == step["refId"] == step["model"]["refId"]
        assert step["datasourceUid"] in sources
        assert step["model"]["datasource"]["uid"] == step["datasourceUid"]
        used = re.findall(r"\$(\w+)", step["model"].get("expression", "")) or [step["model"].get("expression")]
        assert all(one is None or one in refs for one in used)
        refs.append(step["refId"])
    assert rule["condition"] in refs
    assert len(set(refs)) == len(refs)


def test_uids_are_unique_and_short_enough_for_grafana() -> None:
    uids = [rule["uid"] for rule in grafana_rules()]
    assert len(set(uids)) == len(uids) == len(RULES)
    assert all(len(uid) <= 40 for uid in uids)


def test_every_placeholder_of_a_summary_is_filled() -> None:
    texts = [rule["annotations"]["summary"] for rule in grafana_rules()]
    texts += [rule["annotations"]["summary"] for rule in load(PROMETHEUS)["groups"][0]["rules"]]
    assert not [text for text in texts if re.search(r"(?<!\{)\{\w+\}", text)]


def test_every_rule_leads_to_a_dashboard_that_exists() -> None:
    uids = {dashboard(board, dialect).uid for board in BOARDS for dialect in DIALECTS}
    rules = [*grafana_rules(), *load(PROMETHEUS)["groups"][0]["rules"]]
    assert {rule["annotations"]["dashboard"].removeprefix("/d/").partition("?")[0] for rule in rules} <= uids


def test_the_dashboard_shows_what_the_alert_is_about_by_labels_that_it_has() -> None:
    asked = [(one, one["data"][0]["model"].get("query") or one["data"][0]["model"]["expr"]) for one in grafana_rules()]
    asked += [(one, one["expr"]) for one in load(PROMETHEUS)["groups"][0]["rules"]]
    for rule, query in asked:
        grouped = query.split("GROUP BY")[-1] if "GROUP BY" in query else query.split("by (")[1].split(")")[0]
        had = set(re.findall(r"\w+", grouped)) & set(VARIABLES)
        chosen = re.findall(r"var-(\w+)={{ \$labels\.(\w+) \| urlquery }}", rule["annotations"]["dashboard"])
        assert {variable for variable, label in chosen if variable == label} <= had
        assert bool(chosen) == bool(had)


def test_no_data_is_never_taken_for_well_unless_nothing_is_written_while_all_is_well() -> None:
    quiet = {rule["uid"] for rule in grafana_rules() if rule["noDataState"] == "OK"}
    assert quiet == {f"streamswarm-{key}" for key in ("anomaly", "certificate", "certificate-web", "refused", "voice")}


def test_policies_lead_to_a_contact_point_and_keep_an_agents_alerts_together() -> None:
    (point,) = load(GRAFANA / "alerting/contact-points.yml")["contactPoints"]
    (root,) = load(GRAFANA / "alerting/policies.yml")["policies"]
    assert alerting.NotificationPolicy.from_json(root).receiver == point["name"]
    severities = {severity.value for severity in Severity}
    for route in root["routes"]:
        assert route["receiver"] == point["name"]
        assert route["object_matchers"][0][2] in severities
    assert "agent" in root["group_by"]


def test_files_hold_no_secret_and_no_address_but_names_of_the_environment() -> None:
    for path in [*GRAFANA.rglob("*.yml"), *(ROOT / "provisioning/prometheus/rules").rglob("*.yml")]:
        text = path.read_text(encoding="utf-8")
        assert "://" not in text
        assert "@" not in text
    (influx, prometheus) = load(GRAFANA / "datasources/streamswarm.yml")["datasources"]
    assert influx["secureJsonData"] == {"httpHeaderValue1": "Token $__file{/run/secrets/grafana_token}"}
    assert influx["url"] == "${STREAMSWARM_INFLUXDB_URL}"
    assert prometheus["url"] == "${STREAMSWARM_PROMETHEUS_URL}"


def test_the_variables_of_the_environment_are_documented() -> None:
    used = set()
    for path in GRAFANA.rglob("*.yml"):
        used |= set(re.findall(r"\$\{(STREAMSWARM_\w+)\}", path.read_text(encoding="utf-8")))
    documented = (ROOT / "docs/dashboards.md").read_text(encoding="utf-8")
    assert {name for name in used if f"`{name}`" not in documented} == set()


def test_every_dashboard_and_every_rule_is_documented() -> None:
    documented = (ROOT / "docs/dashboards.md").read_text(encoding="utf-8")
    assert [board.title for board in BOARDS if board.title not in documented] == []
    assert [board.key for board in BOARDS if f"dashboards/{board.key}.png" not in documented] == []
    assert [rule.title for rule in RULES if rule.title not in documented] == []
