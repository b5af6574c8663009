"""A dashboard from its description: variables, links, annotations, panels in place."""

import json
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from streamswarm_grafana.annotations import Ready, anomalies, built_in, tagged
from streamswarm_grafana.dialects import Dialect
from streamswarm_grafana.links import uid
from streamswarm_grafana.panel import Board, Row, placed
from streamswarm_grafana.render import queries_of, render

TAG: Final = "streamswarm"
OBJECTIVES: Final = "0.99,0.999,0.9995,0.9999"
_REFRESH: Final = ["10s", "30s", "1m", "5m", "15m", "1h"]
_LABELS: Final = {"site": "Site", "agent": "Agent", "target": "Target", "test": "Test"}
_HELP: Final = {
    name: f"Show only what has this {name}; what stands further left narrows the choice." for name in _LABELS
}


def dashboard(board: Board, dialect: Dialect) -> model.Dashboard:
    """The dashboard in one dialect."""
    built = (
        build.Dashboard(f"StreamSwarm / {board.title}")
        .uid(uid(dialect, board.key))
        .description(board.about)
        .tags([TAG, f"{TAG}-{dialect.name}"])
        .time(board.span, "now")
        .timepicker(build.TimePicker().refresh_intervals(_REFRESH))
        .refresh(board.refresh)
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .editable()
        .variables(_variables(board, dialect))
        .links([_others(dialect)])
        .annotations([Ready(one) for one in _annotations(dialect)])
    )
    number, top = 1, 0
    for row in shown_rows(board, dialect):
        heading = build.Row(row.title).id(number).grid_pos(model.GridPos(h=1, w=24, x=0, y=top))
        number, top = number + 1, top + 1
        spots, bottom = placed(row.panels, top)
        built_panels = []
        for panel, x, y in spots:
            one = render(panel, dialect, board.variables, number)
            built_panels.append(one.grid_pos(model.GridPos(h=panel.height, w=panel.width, x=x, y=y)))
            number += 1
        if row.collapsed:
            for one in built_panels:
                heading.with_panel(one)
            built.with_row(heading)
            top += 1
            continue
        built.with_row(heading)
        for one in built_panels:
            built.with_panel(one)
        top = bottom
    return built.build()


def shown_rows(board: Board, dialect: Dialect) -> list[Row]:
    """The rows with the panels that this dialect can show."""
    rows = [
        Row(row.title, tuple(one for one in row.panels if queries_of(one, dialect, board.variables)), row.collapsed)
        for row in board.rows
    ]
    return [row for row in rows if row.panels]


def to_json(built: Any) -> str:
    """As the file in the repository."""
    return json.dumps(built, cls=JSONEncoder, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _variables(board: Board, dialect: Dialect) -> list[Any]:
    found: list[Any] = [
        build.DatasourceVariable("data").label("Data").type(dialect.source).description("Where points are.")
    ]
    if board.stack:
        found.append(
            build.DatasourceVariable("stack")
            .label("Services")
            .type("prometheus")
            .description("The Prometheus that scrapes collector, control plane and ML service.")
        )
    for place, name in enumerate(board.variables):
        measurements = [one for one in board.about_measurements if name in one.tags]
        query = dialect.options(measurements, name, board.variables[:place])
        if not query:
            continue
        everything = model.VariableOption(selected=True, text="All", value="$__all")
        found.append(
            build.QueryVariable(name)
            .label(_LABELS[name])
            .description(_HELP[name])
            .datasource(model.DataSourceRef(type_val=dialect.source, uid="${data}"))
            .query(_asked(dialect, query))
            .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(model.VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
            .multi(multi=True)
            .include_all(include_all=True)
            .all_value(".*")
            .current(everything)
        )
    if board.objectives:
        options = [model.VariableOption(selected=one == "0.999", text=one, value=one) for one in OBJECTIVES.split(",")]
        found.append(
            build.CustomVariable("slo")
            .label("Objective")
            .description("Share of runs that have to succeed.")
            .values(OBJECTIVES)
            .options(options)
            .current(options[1])
        )
    return found


def _asked(dialect: Dialect, query: str) -> str | dict[str, object]:
    # The Prometheus data source keeps its variable queries as objects; kind 5 is "classic query".
    return query if dialect.source != "prometheus" else {"query": query, "qryType": 5, "refId": "variable"}


def _others(dialect: Dialect) -> build.DashboardLink:
    return (
        build.DashboardLink("StreamSwarm")
        .type(model.DashboardLinkType.DASHBOARDS)
        .icon("dashboard")
        .tooltip("The other dashboards, with the same choice and range")
        .tags([f"{TAG}-{dialect.name}"])
        .as_dropdown(as_dropdown=True)
        .include_vars(include_vars=True)
        .keep_time(keep_time=True)
    )


def _annotations(dialect: Dialect) -> list[model.AnnotationQuery]:
    found: list[model.AnnotationQuery] = [built_in(), tagged("Deployments", "deployment", "blue")]
    found.append(tagged("Maintenance", "maintenance", "purple"))
    scores = anomalies(dialect)
    return found if scores is None else [*found, scores]
