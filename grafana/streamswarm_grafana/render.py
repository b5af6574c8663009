"""Panels in Grafana's form, by the SDK's builders."""

from collections.abc import Callable
from typing import Any, Final

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    geomap,
    heatmap,
    stat,
    statetimeline,
    timeseries,
)
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as shared
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import heatmap as heat_model
from grafana_foundation_sdk.models import prometheus

from streamswarm_grafana.colours import BEST, GOOD, steps, worded
from streamswarm_grafana.dialects import Dialect
from streamswarm_grafana.influxdb import Target
from streamswarm_grafana.links import drill
from streamswarm_grafana.panel import Kind, Panel
from streamswarm_grafana.sitemap import NOTHING, site_map
from streamswarm_grafana.tables import rows, shown_columns

_GAP_MS: Final = 15 * 60_000
"""Points further apart than this (or five times a panel's own step) aren't joined: a gap is no measurement."""
_THICKEST: Final = 32
"""Pixels of a bar: the text beside it grows with it."""
_ROOMY: Final = 12
"""Columns of the grid that three figures and a name need in a legend."""


def queries_of(panel: Panel, dialect: Dialect, variables: tuple[str, ...]) -> list[Dataquery]:
    """Its queries, named A, B, C …; none where the dialect can't say what the panel shows."""
    found: list[Any] = [one for ask in panel.asks for one in dialect.queries(ask, variables, panel.every)]
    for number, query in enumerate(found):
        query.ref_id = chr(ord("A") + number)
    return list(found)


def render(panel: Panel, dialect: Dialect, variables: tuple[str, ...], number: int) -> Any:
    """The builder of a panel, without its place; None where the dialect can't say what it shows."""
    queries = queries_of(panel, dialect, variables)
    if not queries:
        return None
    makers: dict[Kind, Callable[[Panel, Dialect, list[Dataquery]], Any]] = {
        Kind.LINES: _lines,
        Kind.TILES: _tiles,
        Kind.TABLE: rows,
        Kind.STATES: _states,
        Kind.HEAT: _heat,
        Kind.MAP: _map,
        Kind.SITES: _sites,
        Kind.BARS: _bars,
    }
    built = makers[panel.kind](panel, dialect, queries)
    source: Any = queries[0]
    built.id(number).title(panel.title).description(panel.description).no_value(panel.shown_empty)
    built.datasource(source.datasource).interval(panel.every)
    for query in queries:
        built.with_target(Target(query))
    if panel.drill and panel.kind is not Kind.TABLE:
        built.data_links([drill(panel, dialect, key) for key in panel.drill])
    return built


def _lines(panel: Panel, _dialect: Dialect, queries: list[Dataquery]) -> timeseries.Panel:
    limits = panel.shown_limits
    tooltip = common.VizTooltipOptions().mode(shared.TooltipDisplayMode.MULTI).sort(shared.SortOrder.DESCENDING)
    never = panel.every == "1m" or panel.band
    built = (
        timeseries.Panel()
        .unit(panel.shown_unit)
        .line_width(1)
        .fill_opacity(60 if panel.stacked else 0 if panel.many else 8)
        .show_points(shared.VisibilityMode.NEVER if never else shared.VisibilityMode.AUTO)
        .legend(_legend(panel))
        .tooltip(tooltip)
        .thresholds(steps(limits))
    )
    if _has_step(queries):
        built.span_nulls(_gap(panel.every))
    else:
        built.insert_nulls(_gap(panel.every))
    if panel.shown_unit == "percentunit":
        built.min(0).axis_soft_max(0.01)
    elif panel.floor is not None and not panel.log:
        built.axis_soft_min(panel.floor)
    if panel.log:
        built.scale_distribution(common.ScaleDistributionConfig().type(shared.ScaleDistribution.LOG).log(10))
    if panel.stacked:
        built.stacking(common.StackingConfig().mode(shared.StackingMode.NORMAL).group("A"))
    if limits is not None:
        style = shared.GraphThresholdsStyleMode.DASHED
        built.thresholds_style(common.GraphThresholdsStyleConfig().mode(style))
    if panel.band:
        # One hue: in the palette's, the upper edges would be orange and red, which mean something else here.
        built.color_scheme(build.FieldColor().mode(model.FieldColorModeId.FIXED).fixed_color(BEST)).line_width(2)
    for low, high in panel.band:
        hidden = model.DynamicConfigValue("custom.lineWidth", 0)
        bare = model.DynamicConfigValue("custom.fillOpacity", 0)
        shade = model.DynamicConfigValue("custom.fillOpacity", 25)
        built.override_by_regexp(f"/{low}$/", [hidden, bare])
        built.override_by_name(high, [hidden, model.DynamicConfigValue("custom.fillBelowTo", low), shade])
    return built


def _legend(panel: Panel) -> common.VizLegendOptions:
    """A table below, the worst series first: its place is for three or four of what may be hundreds."""
    extreme, title = ("min", "Min") if panel.falling else ("max", "Max")
    legend = (
        common.VizLegendOptions()
        .display_mode(shared.LegendDisplayMode.TABLE)
        .placement(shared.LegendPlacement.BOTTOM)
        .show_legend(show_legend=True)
        .calcs([extreme, "lastNotNull"] if panel.width < _ROOMY else ["mean", extreme, "lastNotNull"])
    )
    if panel.stacked or panel.band:
        return legend  # in the order in which they lie on each other
    return legend.sort_by(title).sort_desc(sort_desc=not panel.falling)


def _lanes(panel: Panel) -> int:
    """Lanes on a page, so that their names don't lie on each other below title and above axis, legend and pages."""
    return (panel.height * 38 - 135) // 15


def _has_step(queries: list[Dataquery]) -> bool:
    """Whether the data source tells Grafana the step, as that of Prometheus does.

    Grafana then puts a null where a step has no value, and can only be told up to which distance to pass over nulls. A
    distance from which on to put nulls would be a second one beside the step's, and with two it puts none.
    """
    return any(isinstance(query, prometheus.Dataquery) for query in queries)


def _gap(every: str) -> float:
    seconds = {"s": 1, "m": 60, "h": 3600}[every[-1]] * int(every[:-1])
    return float(max(5 * seconds * 1000, _GAP_MS if seconds > 60 else 5 * 60_000))


def _tiles(panel: Panel, _dialect: Dialect, _queries: list[Dataquery]) -> stat.Panel:
    reduce = common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(values=False)
    # A colour says how good a value is. One without limits is neither.
    limits = panel.shown_limits
    return (
        stat.Panel()
        .unit(panel.shown_unit)
        .reduce_options(reduce)
        .color_mode(shared.BigValueColorMode.NONE if limits is None else shared.BigValueColorMode.VALUE)
        .graph_mode(shared.BigValueGraphMode.NONE if limits is None else shared.BigValueGraphMode.AREA)
        .text_mode(shared.BigValueTextMode.AUTO)
        .thresholds(steps(limits))
    )


def _states(panel: Panel, _dialect: Dialect, queries: list[Dataquery]) -> statetimeline.Panel:
    # Grafana's own choice is a scale from the smallest value shown to the largest: among good ones the largest is red.
    # Thresholds cut values into states, so words for values don't go with them.
    mode = model.FieldColorModeId.FIXED if panel.states else model.FieldColorModeId.THRESHOLDS
    built = (
        statetimeline.Panel()
        .unit(panel.shown_unit)
        .show_value(shared.VisibilityMode.NEVER)
        .merge_values(merge_values=True)
        .row_height(0.85)
        .fill_opacity(80)
        .line_width(0)
        .per_page(_lanes(panel))
        .color_scheme(build.FieldColor().mode(mode).fixed_color("text"))
        .legend(
            common.VizLegendOptions()
            .display_mode(shared.LegendDisplayMode.LIST)
            .placement(shared.LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
        )
        .thresholds(steps(panel.shown_limits))
    )
    # A state isn't carried over a gap: no data is not "up". The SDK has no builder for this option.
    option = "custom.spanNulls" if _has_step(queries) else "custom.insertNulls"
    built.override_by_regexp("/.*/", [model.DynamicConfigValue(option, _gap(panel.every))])
    if panel.states:
        built.mappings(worded(panel.states, panel.alarm))
    return built


def _heat(panel: Panel, _dialect: Dialect, _queries: list[Dataquery]) -> heatmap.Panel:
    return (
        heatmap.Panel()
        .calculate(calculate=False)
        .unit("short")
        .color(
            heatmap.HeatmapColorOptions()
            .mode(heat_model.HeatmapColorMode.SCHEME)
            .scheme("Oranges")
            .scale(heat_model.HeatmapColorScale.EXPONENTIAL)
            .exponent(0.5)
            .steps(64)
        )
        .y_axis(heatmap.YAxisConfig().unit(panel.shown_unit).decimals(1))
        .scale_distribution(common.ScaleDistributionConfig().type(shared.ScaleDistribution.LINEAR))
        .cell_gap(0)
        .filter_values(heatmap.FilterValueRange().le(1e-9))
        .show_legend()
    )


def _bars(panel: Panel, _dialect: Dialect, _queries: list[Dataquery]) -> bargauge.Panel:
    reduce = common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(values=False)
    built = (
        bargauge.Panel()
        .unit(panel.shown_unit)
        .reduce_options(reduce)
        .orientation(shared.VizOrientation.HORIZONTAL)
        .display_mode(shared.BarGaugeDisplayMode.BASIC)
        .value_mode(shared.BarGaugeValueMode.COLOR)
        .sizing(shared.BarGaugeSizing.MANUAL)
        .max_viz_height(_THICKEST)
        .min(0)
        .thresholds(steps(panel.shown_limits))
    )
    if panel.shown_unit == "percentunit":
        built.max(1)
    return built


def _sites(panel: Panel, _dialect: Dialect, queries: list[Dataquery]) -> geomap.Panel:
    return site_map(panel.title, queries, steps(panel.shown_limits))


def _map(panel: Panel, dialect: Dialect, queries: list[Dataquery]) -> geomap.Panel:
    promql = dialect.source == "prometheus"
    columns = [column.title for _, _, column in shown_columns(panel, dialect)]
    headings = [f"Value #{letter}" for letter, _ in zip("ABCDEF", columns, strict=False)] if promql else columns
    latitude, longitude, colour = headings[:3]
    layer: Builder[shared.MapLayerOptions] = (
        common.MapLayerOptions()
        .name(panel.title)
        .type("markers")
        .tooltip(tooltip=True)
        .location(
            common.FrameGeometrySource()
            .mode(shared.FrameGeometrySourceMode.COORDS)
            .latitude(latitude)
            .longitude(longitude)
        )
        .config({"style": {"size": {"fixed": 7}, "color": {"field": colour, "fixed": GOOD}}, "showLegend": True})
    )
    built = geomap.Panel().unit(panel.shown_unit).layers([layer]).thresholds(steps(panel.shown_limits))
    built.view(geomap.MapViewConfig().id("fit").lat(0).lon(0).zoom(2).all_layers(all_layers=True))
    built.basemap(common.MapLayerOptions().name("Map").type("default").config({}))
    for heading, title in zip(headings, columns, strict=True):
        shown = [model.DynamicConfigValue("displayName", title), model.DynamicConfigValue("noValue", NOTHING)]
        built.override_by_name(heading, shown)
    if len(queries) > 1:
        built.with_transformation(model.DataTransformerConfig("merge", options={}))
    return built
