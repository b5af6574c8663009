"""The ten panels that benchmarks.store asks for, each in InfluxQL and in PromQL.

`{start}` and `{stop}` are seconds; every repetition asks for another range, as a dashboard that refreshes does.
"""

from dataclasses import dataclass
from typing import Final, Literal

_RANGE: Final = "time >= {start}s AND time < {stop}s"


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        name: for the table.
        shape: what it is held to: many series aggregated, or one series.
        influxql: the statement.
        promql: the expression, or a label name for `labels`.
        step: seconds between PromQL's points; 0 asks for one moment.
    """

    name: str
    shape: Literal["aggregate", "single", "schema"]
    influxql: str
    promql: str
    step: int = 0


PANELS: Final = (
    Panel(
        "mean by 30 s and agent",
        "aggregate",
        f"SELECT mean(f1) FROM m1 WHERE {_RANGE} GROUP BY time(30s), agent fill(none)",
        "avg by (agent) (avg_over_time(m1_f1[30s]))",
        30,
    ),
    Panel(
        "mean by 30 s, all agents",
        "aggregate",
        f"SELECT mean(f1) FROM m1 WHERE {_RANGE} GROUP BY time(30s)",
        "avg(avg_over_time(m1_f1[30s]))",
        30,
    ),
    Panel(
        "max by 1 min and site",
        "aggregate",
        f"SELECT max(f2) FROM m2 WHERE {_RANGE} GROUP BY time(1m), site fill(none)",
        "max by (site) (max_over_time(m2_f2[1m]))",
        60,
    ),
    Panel(
        "count by 1 min, all agents",
        "aggregate",
        f"SELECT count(f5) FROM m5 WHERE {_RANGE} GROUP BY time(1m)",
        "sum(count_over_time(m5_f5[1m]))",
        60,
    ),
    Panel(
        "95th percentile by agent",
        "aggregate",
        f"SELECT percentile(f4, 95) FROM m4 WHERE {_RANGE} GROUP BY agent",
        "quantile_over_time(0.95, m4_f4[{seconds}s])",
    ),
    Panel(
        "last of every agent",
        "aggregate",
        f"SELECT last(f3) FROM m3 WHERE {_RANGE} GROUP BY agent",
        "last_over_time(m3_f3[{seconds}s])",
    ),
    Panel(
        "one series by 30 s",
        "single",
        f"SELECT mean(f1) FROM m1 WHERE {_RANGE} AND agent = 'a7' GROUP BY time(30s)",
        'avg_over_time(m1_f1{{agent="a7"}}[30s])',
        30,
    ),
    Panel(
        "one series, last value",
        "single",
        "SELECT last(f1) FROM m1 WHERE agent = 'a7' AND time >= {start}s",
        'last_over_time(m1_f1{{agent="a7"}}[{seconds}s])',
    ),
    Panel(
        "one series, raw",
        "single",
        f"SELECT f1 FROM m1 WHERE {_RANGE} AND agent = 'a7'",
        'm1_f1{{agent="a7"}}[{seconds}s]',
    ),
    Panel("tag values", "schema", "SHOW TAG VALUES FROM m1 WITH KEY = agent", "agent"),
)
