"""What the ML service finds unusual, how unusual, and against what it expected."""

from typing import Final

from streamswarm_core.catalogue.ml import ANOMALY
from streamswarm_core.catalogue.model import PER_SECOND, Measurement
from streamswarm_core.catalogue.predictions import CAUSE, FAILURE_RISK, FORECAST, HEALTH, QOS_RISK
from streamswarm_grafana.ask import Ask, Column, How, Raw, over_time, table
from streamswarm_grafana.panel import Board, Kind, Panel, Row
from streamswarm_grafana.thresholds import Limits

_SERIES: Final = ("agent", "target", "measurement", "field")
_LABELS: Final = ", ".join(_SERIES)
_NAMED: Final = "{agent} → {target} {measurement} {field}"


def _service(title: str, expression: str, unit: str, note: str, limits: Limits | None = None) -> Panel:
    asks = (Raw((), promql=expression, legend=title.lower(), stack=True),)
    return Panel(kind=Kind.LINES, title=title, asks=asks, unit=unit, note=note, width=8, limits=limits)


def _risk(title: str, measurement: Measurement, name: str, by: tuple[str, ...], width: int = 12) -> Panel:
    legend = " ".join(f"{{{tag}}}" for tag in by)
    asks = (over_time(measurement, name, How.MEAN, by=by, legend=legend),)
    return Panel(kind=Kind.LINES, title=title, asks=asks, unit="percentunit", note=measurement.help, width=width)


ML_BOARD: Final = Board(
    key="ml",
    title="Anomalies",
    about="Scores of the ML service beside what was measured and what was expected. Scores are in the store that the service "
    "writes to; a Prometheus that only scrapes agents has the service's own figures.",
    about_measurements=(ANOMALY,),
    stack=True,
    rows=(
        Row(
            "Flagged",
            (
                Panel(
                    kind=Kind.STATES,
                    title="Series in an anomaly",
                    asks=(
                        Raw(
                            ANOMALY.tags,
                            influxql='SELECT max("flag") FROM "anomaly" WHERE <where> AND "flag" = 1 '
                            'GROUP BY time($__interval), "agent", "target", "measurement", "field" fill(null)',
                            written=f"max by ({_LABELS}) (max_over_time(<anomaly.flag>[$__rate_interval])) and on ({_LABELS}) "
                            f"(max by ({_LABELS}) (max_over_time(<anomaly.flag>[$__range] @ end())) == 1)",
                            legend=_NAMED,
                        ),
                    ),
                    unit="none",
                    states=("as expected", "unusual"),
                    alarm=1,
                    width=24,
                    height=9,
                    note="Only series that were flagged in the range: red while they were.",
                    empty="nothing unusual",
                ),
                Panel(
                    kind=Kind.TABLE,
                    title="Most unusual in the range, and why",
                    asks=(
                        table(
                            ANOMALY,
                            Column("score", How.MAX, "highest score"),
                            Column("threshold", How.LAST),
                            Column("value", How.MAX, "largest value"),
                            Column("expected", How.MEAN),
                            by=(*_SERIES, "detector"),
                        ),
                    ),
                    worst="highest score",
                    most=25,
                    width=24,
                    note="Value and expected are in the unit of the watched field.",
                ),
            ),
        ),
        Row(
            "Scores",
            (
                Panel(
                    kind=Kind.LINES,
                    title="Scores",
                    asks=(over_time(ANOMALY, "score", How.MAX, by=_SERIES, legend=_NAMED),),
                    width=24,
                    height=9,
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Round trip: measured and expected",
                    asks=(
                        Ask(
                            ANOMALY,
                            (Column("value", name="measured"), Column("expected")),
                            ("agent", "target"),
                            "{agent} → {target}",
                            {"field": "rtt_mean"},
                        ),
                    ),
                    unit="s",
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Loss: measured and expected",
                    asks=(
                        Ask(
                            ANOMALY,
                            (Column("value", name="measured"), Column("expected")),
                            ("agent", "target"),
                            "{agent} → {target}",
                            {"field": "loss"},
                        ),
                    ),
                    unit="percentunit",
                ),
            ),
        ),
        Row(
            "Models",
            (
                _risk("Chance of a failure within the hour", FAILURE_RISK, "probability", ("agent", "target")),
                _risk("Chance that a class breaks its policy", QOS_RISK, "probability", ("agent", "target", "dscp")),
                _risk("Chance that the target is bad", HEALTH, "bad", ("agent", "target")),
                _risk("Chance that it is the agent's own host or link", CAUSE, "own", ("agent", "target")),
                _risk(
                    "Forecasts: share inside the 90 % interval", FORECAST, "coverage", ("measurement", "horizon"), 24
                ),
            ),
        ),
        Row(
            "The service",
            (
                _service("Open anomalies", "max(streamswarm_ml_open_anomalies)", "none", "Series in an anomaly now."),
                _service("Series watched", "max(streamswarm_ml_series)", "none", "Series that are scored."),
                _service(
                    "Scored points",
                    "sum(rate(streamswarm_ml_points_total[$__rate_interval]))",
                    PER_SECOND.grafana,
                    "Points scored.",
                ),
                _service(
                    "Lag", "max(streamswarm_ml_lag_seconds)", "s", "Age of the newest scored point.", Limits(120, 600)
                ),
                _service("Cycle", "max(streamswarm_ml_cycle_seconds)", "s", "Duration of the last cycle."),
                _service(
                    "State on disk", "max(streamswarm_ml_state_bytes)", "bytes", "Size of what the detectors remember."
                ),
            ),
        ),
    ),
)
