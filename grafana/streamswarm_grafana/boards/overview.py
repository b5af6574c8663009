"""The first look: what fails, where, since when, and how much of the objective it costs."""

from typing import Final

from streamswarm_core.catalogue.ml import ANOMALY
from streamswarm_core.catalogue.network import DNS, HTTP, ICMP
from streamswarm_grafana import sitemap
from streamswarm_grafana.ask import PROBES, Column, How, Raw, over_time, table
from streamswarm_grafana.dialects import RECENT
from streamswarm_grafana.panel import DOWN_UP, Board, Kind, Panel, Row
from streamswarm_grafana.thresholds import Limits

_TAGS: Final = ("site", "agent", "test", "target")
_ALL: Final = "/^(" + "|".join(one.name for one in PROBES) + ")$/"


def _burn(window: str, *, over_range: bool = False) -> tuple[Raw, ...]:
    """How many times faster than the objective allows runs of each kind fail.

    InfluxQL can't add up what is in several measurements, so there is a query for each.
    """
    windows = "" if over_range else " GROUP BY time($__interval) fill(none)"
    return tuple(
        Raw(
            probe.tags,
            influxql=f'SELECT (1 - mean("up")) / (1 - $slo) FROM "{probe.name}" WHERE <where>{windows}',
            promql=f"(1 - avg(avg_over_time(<{probe.name}.up>[{window}]))) / (1 - $slo)",
            legend=probe.name.replace("_", " "),
        )
        for probe in PROBES
    )


_OPEN: Final = Raw(
    ANOMALY.tags,
    influxql='SELECT "score", "value", "expected" FROM (SELECT last("flag") AS "flag", last("score") AS "score", '
    'last("value") AS "value", last("expected") AS "expected" FROM "anomaly" WHERE <where> '
    'GROUP BY "agent", "target", "measurement", "field") WHERE "flag" = 1 GROUP BY "agent", "target", "measurement", "field"',
    written="last_over_time(<anomaly.score>[$__range]) and on (agent, target, measurement, field, detector) "
    "(last_over_time(<anomaly.flag>[10m]) == 1)",
    table=True,
    by=("agent", "target", "measurement", "field"),
)

_FAILING: Final = Raw(
    _TAGS,
    influxql=f'SELECT "up" AS "state", "error" FROM (SELECT last("up") AS "up", "error" FROM {_ALL} WHERE <where> '
    f'AND time > ${{__to}}ms - {RECENT} GROUP BY "site", "agent", "test", "target") WHERE "up" = 0 '
    'GROUP BY "site", "agent", "test", "target"',
    promql=f"min by ({', '.join(_TAGS)}) (last_over_time(<probes.up>[{RECENT}])) == 0",
    table=True,
    by=_TAGS,
)

OVERVIEW: Final = Board(
    key="overview",
    title="Overview",
    about="What fails now, since when, who sees it, and what it costs of the objective.",
    about_measurements=PROBES,
    variables=("site", "agent"),
    refresh="30s",
    objectives=True,
    stack=True,
    rows=(
        Row(
            "Now",
            (
                Panel(
                    kind=Kind.TABLE,
                    title="Failing now",
                    asks=(_FAILING,),
                    unit="none",
                    states=DOWN_UP,
                    width=16,
                    height=13,
                    drill=("latency", "paths", "web", "tcp", "qos"),
                    note="Tests whose newest run failed, if it ended within a quarter of an hour of the range's end. A test that "
                    "doesn't run isn't here: that is seen by its agent, on the map and beside it.",
                    empty="no test fails now",
                ),
                Panel(
                    kind=Kind.BARS,
                    title="Budget burn in the range, by kind of test",
                    asks=_burn("$__range", over_range=True),
                    unit="none",
                    limits=Limits(1, 6),
                    width=8,
                    height=13,
                    note="Failed share of runs over what the objective allows: above 1 the budget doesn't last.",
                ),
            ),
        ),
        Row(
            "Where",
            (
                Panel(
                    kind=Kind.SITES,
                    title="Sites",
                    asks=sitemap.ASKS,
                    unit="percentunit",
                    limits=Limits(0.001, 0.5),
                    width=16,
                    height=12,
                    drill=("latency", "paths"),
                    note="Coloured by the worse of two shares: agents of the range that are silent for five minutes, and tests "
                    "whose newest run failed, of the kind that does worst. A site is on the map once it has coordinates: "
                    "enter them on the console's page Sites, or with `streamswarm admin sites import`.",
                    empty="no site has coordinates yet: enter them on the console's page Sites",
                ),
                Panel(
                    kind=Kind.TABLE,
                    title="Silent agents",
                    asks=(sitemap.SILENT,),
                    unit="none",
                    states=("heard of", "silent"),
                    alarm=1,
                    width=8,
                    height=12,
                    drill=("platform", "hosts"),
                    note="Agents of the range that wrote nothing in its last five minutes. One that was moved, renamed or removed "
                    "stays here for as long as the range reaches back to its last points.",
                    empty="every agent of the range is heard of",
                ),
            ),
        ),
        Row(
            "What failed",
            (
                Panel(
                    kind=Kind.STATES,
                    title="Failing tests",
                    asks=(
                        Raw(
                            _TAGS,
                            influxql=f'SELECT min("up") FROM {_ALL} WHERE <where> AND "up" = 0 '
                            'GROUP BY time($__interval), "agent", "test" fill(null)',
                            promql="min by (agent, test) (min_over_time(<probes.up>[$__rate_interval])) and on (agent, test) "
                            "(min by (agent, test) (min_over_time(<probes.up>[$__range] @ end())) == 0)",
                            legend="{agent} {test}",
                        ),
                    ),
                    unit="none",
                    states=DOWN_UP,
                    width=24,
                    height=12,
                    note="Only tests that failed in the range: InfluxQL shows when they did, PromQL when they succeeded too.",
                    empty="nothing failed",
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Budget burn, by kind of test",
                    asks=_burn("$__rate_interval"),
                    unit="none",
                    limits=Limits(1, 14.4),
                    every="10m",
                    note="14.4 spends a month's budget in two days (Google, The Site Reliability Workbook, chapter 5).",
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Pings answered, by site",
                    asks=(over_time(ICMP, "up", by=("site",)),),
                    unit="percentunit",
                ),
            ),
        ),
        Row(
            "Worst in the range",
            (
                Panel(
                    kind=Kind.TABLE,
                    title="Loss",
                    asks=(table(ICMP, Column("loss"), Column("rtt_mean"), by=("agent", "target")),),
                    worst="loss",
                    width=8,
                    height=9,
                    drill=("latency", "paths"),
                ),
                Panel(
                    kind=Kind.TABLE,
                    title="Web pages",
                    asks=(table(HTTP, Column("total"), Column("up", How.MEAN, "answered"), by=("agent", "target")),),
                    worst="total",
                    width=8,
                    height=9,
                    drill=("web",),
                ),
                Panel(
                    kind=Kind.TABLE,
                    title="Name servers",
                    asks=(table(DNS, Column("lookup"), Column("up", How.MEAN, "answered"), by=("agent", "target")),),
                    worst="lookup",
                    width=8,
                    height=9,
                    drill=("web",),
                ),
            ),
        ),
        Row(
            "Unusual",
            (
                Panel(
                    kind=Kind.TABLE,
                    title="Open anomalies",
                    asks=(_OPEN,),
                    unit="short",
                    width=20,
                    height=10,
                    drill=("ml",),
                    note="Series whose newest score is flagged; value and expected are in the unit of the watched field.",
                    empty="nothing unusual",
                ),
                Panel(
                    kind=Kind.TILES,
                    title="Open anomalies",
                    asks=(Raw((), promql="max(streamswarm_ml_open_anomalies)", stack=True),),
                    unit="none",
                    limits=Limits(1, 10),
                    height=10,
                    width=4,
                    note="As the ML service counts them.",
                ),
            ),
        ),
    ),
)
