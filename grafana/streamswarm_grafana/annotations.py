"""Events drawn over the panels: anomalies from the store, deployments and maintenance from Grafana itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as model

from streamswarm_core.catalogue.ml import ANOMALY
from streamswarm_grafana.dialects import Dialect, InfluxQl, PromQl

_OWN: Final = model.DataSourceRef(type_val="grafana", uid="-- Grafana --")


class Events(model.AnnotationQuery):
    """An annotation with what the SDK's model has no place for: each data source's own keys."""

    more: Mapping[str, object]

    def __init__(self, name: str, source: model.DataSourceRef, colour: str, more: Mapping[str, object]) -> None:
        super().__init__(name=name, datasource=source, enable=True, hide=False, icon_color=colour)
        self.more = more

    def to_json(self) -> dict[str, object]:
        """As Grafana stores it."""
        return {**super().to_json(), **self.more}


@dataclass
class Ready(Builder[model.AnnotationQuery]):
    """What the SDK's builders take: an annotation that is built already."""

    built: model.AnnotationQuery

    def build(self) -> model.AnnotationQuery:
        """The annotation itself."""
        return self.built


def tagged(name: str, tag: str, colour: str) -> Events:
    """Annotations that people and pipelines make in Grafana with a tag; those with an end are drawn as a region."""
    target = {"limit": 100, "matchAny": False, "tags": [tag], "type": "tags"}
    return Events(name, _OWN, colour, {"target": target})


def built_in() -> model.AnnotationQuery:
    """The annotations that every dashboard has."""
    return model.AnnotationQuery(
        name="Annotations & Alerts",
        datasource=_OWN,
        enable=True,
        hide=True,
        icon_color="blue",
        built_in=1,
        type_val="dashboard",
    )


def anomaly_query(dialect: Dialect) -> str | None:
    """When series were in an anomaly; None where the store doesn't have it: no exporter shows single series' flags."""
    if isinstance(dialect, InfluxQl):
        return (
            'SELECT "score", "measurement"::tag, "field"::tag, "agent"::tag, "target"::tag FROM "anomaly" '
            'WHERE $timeFilter AND "flag" = 1 ORDER BY time DESC LIMIT 200'
        )
    if isinstance(dialect, PromQl):
        metric = dialect.metric([ANOMALY], "flag")
        return None if metric is None else f"max by (agent, target, measurement, field) ({metric}) == 1"
    return None


def anomalies(dialect: Dialect) -> Events | None:
    """Anomalies as red marks."""
    query = anomaly_query(dialect)
    if query is None:
        return None
    source = model.DataSourceRef(type_val=dialect.source, uid="${data}")
    if isinstance(dialect, InfluxQl):
        target = {
            "query": query,
            "rawQuery": True,
            "fromAnnotations": True,
            "refId": "Anno",
            "resultFormat": "table",
            "textColumn": "target",
            "titleColumn": "field",
            "tagsColumn": "agent,measurement",
        }
        return Events("Anomalies", source, "red", {"target": target})
    more = {
        "target": {"expr": query, "interval": "1m", "refId": "Anno"},
        "titleFormat": "{{measurement}} {{field}}",
        "textFormat": "{{agent}} → {{target}}",
        "tagKeys": "agent,target",
    }
    return Events("Anomalies", source, "red", more)
