"""The map of sites: what several queries know of each site, put together by Grafana into one row and one marker.

A site's place is what its agents say of it. Its colour is the worse of two shares: agents of the range that are silent
now, and newest runs that failed, of the kind of test that does worst there.
"""

from typing import Any, Final

from grafana_foundation_sdk.builders import common, geomap
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as shared
from grafana_foundation_sdk.models import dashboard as model

from streamswarm_core.catalogue.network import ICMP
from streamswarm_core.catalogue.platform import AGENT
from streamswarm_grafana.ask import PROBES, Raw

NOTHING: Final = "–"
"""For one value that is missing; the panel's own word is about all of them."""
WORST: Final = "worst share"
SHARES: Final = ("agents offline (share)", "tests failing (share)")
_SHOWN: Final = {
    "latitude": ("degree", "lastNotNull"),
    "longitude": ("degree", "lastNotNull"),
    "agents": ("none", "max"),
    "agents offline": ("none", "max"),
    SHARES[0]: ("percentunit", "max"),
    SHARES[1]: ("percentunit", "max"),
    "worst loss": ("percentunit", "max"),
    "target": ("string", "lastNotNull"),
}
"""Unit of each column, and what becomes of it where a site has several rows."""

_SILENT: Final = "5m"
_NEWEST: Final = "15m"
_KNOWN: Final = (
    '(SELECT last("assignments") * 0 + 1 AS "one" FROM "agent" WHERE <where> GROUP BY "agent", "site"), '
    '(SELECT last("assignments") * 0 - 1 AS "one" FROM "agent" WHERE <where> '
    f'AND time > ${{__to}}ms - {_SILENT} GROUP BY "agent", "site")'
)
"""1 for each agent of the range and -1 for each that is heard of: added up, 1 for one that is silent and else 0."""
_GONE: Final = f'SELECT sum("one") AS "gone" FROM {_KNOWN} WHERE $timeFilter GROUP BY "agent", "site"'

_HERE: Final = "by (site, agent) (last_over_time(<agent.assignments>[{}]))"
SILENT: Final = Raw(
    AGENT.tags,
    influxql=f'SELECT "gone" AS "state" FROM ({_GONE}) WHERE "gone" > 0 GROUP BY "site", "agent"',
    promql=f"count {_HERE.format('$__range')} unless count {_HERE.format(_SILENT)}",
    table=True,
    by=("site", "agent"),
)
"""Agents of the range that have not been heard of for five minutes."""


def _count(window: str) -> str:
    return f"count by (site) (last_over_time(<agent.assignments>[{window}]))"


def _place(field: str) -> str:
    """The newest that agents say; where none is heard of, what they said before."""
    said = f"max by (site) (last_over_time(<agent.{field}>[{{}}]))"
    return f"{said.format(_SILENT)} or {said.format('$__range')}"


_OFFLINE: Final = f"({_count('$__range')} - ({_count(_SILENT)} or {_count('$__range')} * 0))"
_FAILING: Final = " or ".join(
    f'label_replace(1 - avg by (site) (last_over_time(<{one.name}.up>[{_NEWEST}])), "kind", "{one.name}", "", "")'
    for one in PROBES
)
_UP: Final = "/^(" + "|".join(one.name for one in PROBES) + ")$/"

ASKS: Final = (
    Raw(
        AGENT.tags,
        influxql='SELECT last("latitude") AS "latitude", "longitude" FROM "agent" WHERE <where> GROUP BY "site"',
        table=True,
    ),
    Raw(
        AGENT.tags,
        influxql='SELECT count("gone") AS "agents", sum("gone") AS "agents offline", '
        f'mean("gone") AS "{SHARES[0]}" FROM ({_GONE}) WHERE $timeFilter GROUP BY "site"',
        table=True,
    ),
    Raw(AGENT.tags, promql=_place("latitude"), legend="latitude", table=True),
    Raw(AGENT.tags, promql=_place("longitude"), legend="longitude", table=True),
    Raw(AGENT.tags, promql=_count("$__range"), legend="agents", table=True),
    Raw(AGENT.tags, promql=_OFFLINE, legend="agents offline", table=True),
    Raw(AGENT.tags, promql=f"{_OFFLINE} / {_count('$__range')}", legend=SHARES[0], table=True),
    Raw(
        ("site", "agent"),
        influxql=f'SELECT 1 - mean("up") AS "{SHARES[1]}" FROM (SELECT last("up") AS "up" FROM {_UP} WHERE <where> '
        f'AND time > ${{__to}}ms - {_NEWEST} GROUP BY "agent", "site", "test", "target") '
        'WHERE $timeFilter GROUP BY "site"',
        promql=f"max by (site) ({_FAILING})",
        legend=SHARES[1],
        table=True,
    ),
    Raw(
        ICMP.tags,
        influxql='SELECT max("loss") AS "worst loss", "target" FROM (SELECT mean("loss") AS "loss" FROM "icmp" '
        'WHERE <where> GROUP BY "site", "target") WHERE $timeFilter GROUP BY "site"',
        promql="topk by (site) (1, avg by (site, target) (avg_over_time(<icmp.loss>[$__range])))",
        legend="worst loss",
        table=True,
    ),
)


def site_map(title: str, queries: list[Dataquery], thresholds: Builder[Any]) -> geomap.Panel:
    """A marker for each site whose place is known.

    Args:
        title: of the panel.
        queries: those of ASKS, in the panel's order.
        thresholds: of the worst share.
    """
    headings = _headings(queries)
    reduced = {name: f"{heading} ({_SHOWN[name][1]})" for name, heading in headings.items()}
    layer = (
        common.MapLayerOptions()
        .name(title)
        .type("markers")
        .tooltip(tooltip=True)
        .location(
            common.FrameGeometrySource()
            .mode(shared.FrameGeometrySourceMode.COORDS)
            .latitude(reduced["latitude"])
            .longitude(reduced["longitude"])
        )
        .config({"style": {"size": {"fixed": 9}, "color": {"field": WORST, "fixed": "green"}}, "showLegend": True})
    )
    built = geomap.Panel().unit("percentunit").layers([layer]).thresholds(thresholds)
    built.view(geomap.MapViewConfig().id("fit").lat(0).lon(0).zoom(2).all_layers(all_layers=True))
    built.basemap(common.MapLayerOptions().name("Map").type("default").config({}))
    for name, field in reduced.items():
        told = {"displayName": name, "unit": _SHOWN[name][0], "noValue": NOTHING}
        built.override_by_name(field, [model.DynamicConfigValue(key, value) for key, value in told.items()])
    for one in _put_together(headings, reduced):
        built.with_transformation(one)
    return built


def _put_together(headings: dict[str, str], reduced: dict[str, str]) -> list[model.DataTransformerConfig]:
    """Rows of all queries by site. Their times differ, so they can't be part of what rows are matched by."""
    grouped: dict[str, Any] = {"site": {"operation": "groupby", "aggregations": []}}
    grouped |= {
        heading: {"operation": "aggregate", "aggregations": [_SHOWN[name][1]]} for name, heading in headings.items()
    }
    worst = {"reducer": "max", "include": [reduced[name] for name in SHARES]}
    placed = {"fieldName": reduced["latitude"], "config": {"id": "isNotNull", "options": {}}}
    steps: dict[str, dict[str, Any]] = {
        "filterFieldsByName": {"exclude": {"names": ["Time", "time"]}},
        "merge": {},
        "groupBy": {"fields": grouped},
        "calculateField": {"mode": "reduceRow", "alias": WORST, "reduce": worst, "timeSeries": False},
        "filterByValue": {"filters": [placed], "type": "include", "match": "all"},
    }
    return [model.DataTransformerConfig(name, options=options) for name, options in steps.items()]


def _headings(queries: list[Dataquery]) -> dict[str, str]:
    """What each column is called in the answers: Prometheus's data source names values by their query."""
    if not any(hasattr(one, "expr") for one in queries):
        return {name: name for name in _SHOWN}
    values = {str(getattr(one, "legend_format", "")): f"Value #{getattr(one, 'ref_id', '')}" for one in queries}
    return {name: values.get(name, name) for name in _SHOWN}
