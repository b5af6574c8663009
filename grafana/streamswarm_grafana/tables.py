"""Tables: a row for each group, its cells by what the catalogue knows of their fields."""

from typing import Final

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import dashboard as model

from streamswarm_core.catalogue import Field, Measurement
from streamswarm_core.catalogue.model import STATE
from streamswarm_core.catalogue.model import Kind as FieldKind
from streamswarm_grafana.ask import Ask, Column, How
from streamswarm_grafana.colours import steps, worded
from streamswarm_grafana.dialects import Dialect
from streamswarm_grafana.links import drill
from streamswarm_grafana.panel import DOWN_UP, Panel
from streamswarm_grafana.sitemap import NOTHING
from streamswarm_grafana.thresholds import limits_of

_NARROWEST: Final = 70
"""Pixels of a table's column. Grafana's own 150 push numbers out of sight on a small screen."""
_STATE: Final = "/^(state|Value)$/"
"""What a state is called in the answers to InfluxQL and to PromQL."""


def rows(panel: Panel, dialect: Dialect, queries: list[Dataquery]) -> table.Panel:
    """The table's builder."""
    built = table.Panel().unit(panel.shown_unit).show_header(show_header=True).filterable(filterable=True)
    built.thresholds(steps(None)).min_width(_NARROWEST)
    # The panel's own word for nothing says why there are no rows. In a cell it would say it of that row.
    built.override_by_regexp("/.*/", [model.DynamicConfigValue("noValue", NOTHING)])
    shown = shown_columns(panel, dialect)
    worst, headings = panel.worst, []
    for letter, (measurement, field, column) in zip("ABCDEFGHIJKLMNOP", shown, strict=False):
        heading = column.title
        if dialect.source == "prometheus":
            heading = f"Value #{letter}" if len(queries) > 1 else "Value"
        if column.title == panel.worst:
            worst = heading
        headings.append(heading)
        built.override_by_name(heading, _cell(measurement, field, column))
    if len(queries) > 1:
        built.with_transformation(model.DataTransformerConfig("merge", options={}))
    # Grafana's InfluxDB data source gives tags in another order each time.
    tags = list(dict.fromkeys(tag for ask in panel.asks for tag in ask.by))
    order = {name: place for place, name in enumerate(dict.fromkeys((*tags, *headings)))}
    for tag in tags:
        built.override_by_name(tag, _named(tag, [drill(panel, dialect, key) for key in panel.drill]))
    if panel.states:
        built.override_by_regexp(_STATE, _stated(panel.states, panel.alarm, "state"))
    hidden = {} if panel.timed else {"Time": True, "time": True}
    options = {"excludeByName": hidden, "indexByName": order}
    built.with_transformation(model.DataTransformerConfig("organize", options=options))
    if worst:
        falling = any(field.worse == "down" for _, field, column in shown if column.title == panel.worst)
        sort = {"sort": [{"field": worst, "desc": not falling}]}
        built.with_transformation(model.DataTransformerConfig("sortBy", options=sort))
        built.with_transformation(model.DataTransformerConfig("limit", options={"limitField": panel.most}))
    return built


def shown_columns(panel: Panel, dialect: Dialect) -> list[tuple[Measurement, Field, Column]]:
    """The columns that a dialect has: Prometheus stores no text."""
    found = []
    for ask in panel.asks:
        if not isinstance(ask, Ask):
            continue
        for column in ask.columns:
            field = ask.measurements[0][column.field]
            if dialect.source == "prometheus" and field.kind is FieldKind.STRING:
                continue
            found.append((ask.measurements[0], field, column))
    return found


def _cell(measurement: Measurement, field: Field, column: Column) -> list[model.DynamicConfigValue]:
    # The mean of zeros and ones is a share.
    share = field.unit is STATE and column.how is How.MEAN
    if field.name == "up" and not share:
        return _stated(DOWN_UP, 0, column.title)
    properties = [
        model.DynamicConfigValue("displayName", column.title),
        model.DynamicConfigValue("unit", column.unit or ("percentunit" if share else field.unit.grafana)),
    ]
    limits = limits_of(measurement.name, field)
    if limits is not None:
        properties.append(model.DynamicConfigValue("thresholds", steps(limits).build()))
        properties.append(model.DynamicConfigValue("custom.cellOptions", {"type": "color-text"}))
    return properties


def _named(tag: str, links: list[build.DashboardLink]) -> list[model.DynamicConfigValue]:
    # Links are on what a row is about. In every cell they would take the colours of the values.
    properties = [model.DynamicConfigValue("displayName", tag.replace("_", " "))]
    if links:
        properties.append(model.DynamicConfigValue("links", [link.build() for link in links]))
    return properties


def _stated(states: tuple[str, str], alarm: int, title: str) -> list[model.DynamicConfigValue]:
    return [
        model.DynamicConfigValue("displayName", title),
        model.DynamicConfigValue("mappings", worded(states, alarm)),
        model.DynamicConfigValue("custom.cellOptions", {"type": "color-text"}),
    ]
