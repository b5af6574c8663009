"""Names of dashboards, and the links from one to another."""

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard as model

from streamswarm_grafana.dialects import VARIABLES, Dialect
from streamswarm_grafana.panel import Kind, Panel


def uid(dialect: Dialect, key: str) -> str:
    """A dashboard's stable uid.

    >>> from streamswarm_grafana.dialects import INFLUXQL
    >>> uid(INFLUXQL, "overview")
    'streamswarm-iql-overview'
    """
    return f"streamswarm-{dialect.short}-{key}"


def drill(panel: Panel, dialect: Dialect, key: str) -> build.DashboardLink:
    """Labels of the series clicked at, or cells of the row, choose what the other dashboard shows."""
    tags = ("site",) if panel.kind is Kind.SITES else next((ask.by for ask in panel.asks if ask.by), ())
    form = (
        "${{__data.fields.{0}:percentencode}}"
        if panel.kind in {Kind.TABLE, Kind.MAP, Kind.SITES}
        else "${{__field.labels.{0}:percentencode}}"
    )
    chosen = "".join(f"&var-{tag}={form.format(tag)}" for tag in VARIABLES if tag in tags)
    address = f"/d/{uid(dialect, key)}?${{__url_time_range}}&var-data=${{data}}{chosen}"
    return build.DashboardLink(f"Open {key}").url(address).type(model.DashboardLinkType.LINK)
