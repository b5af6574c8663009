"""The dashboards that are committed, and what they show."""

import json
from collections.abc import Iterator
from typing import Any, Final

from streamswarm_grafana.ask_store import Drawn
from streamswarm_grafana.generate import ROOT

FOLDERS: Final = {
    "embedded": "influxql",
    "influxdb": "influxql",
    "prometheus": "promql",
    "victoriametrics scraping": "promql",
    "victoriametrics written": "victoriametrics",
}


def load(store: str, key: str) -> dict[str, Any]:
    path = ROOT / "grafana/dashboards" / FOLDERS[store] / f"{key}.json"
    body: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return body


def panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in board["panels"]:
        if panel["type"] == "row":
            yield from panel.get("panels", [])
        else:
            yield panel


def sites_of(panel: dict[str, Any], answers: dict[str, list[Drawn]]) -> dict[str, dict[str, Any]]:
    """What the map's queries say of each site, by column; of several rows the largest."""
    found: dict[str, dict[str, Any]] = {}
    for target in panel["targets"]:
        for one in answers[target["refId"]]:
            names = [target["legendFormat"]] if "expr" in target else one.columns
            for name, value in zip(names, one.rows[0][1:], strict=True):
                site = found.setdefault(one.labels["site"], {})
                site[name] = value if isinstance(value, str) else max(value, site.get(name, value))
    return found
