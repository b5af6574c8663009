"""What is worth waking somebody up for, or worth a look tomorrow."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from streamswarm_core.catalogue import CATALOGUE
from streamswarm_grafana.ask import PROBES
from streamswarm_grafana.thresholds import limits_of

_PROBES: Final = "/^(" + "|".join(one.name for one in PROBES) + ")$/"
_RENEW: Final = "Renew it, and look whether what should renew it runs."
_PAIR: Final = 'GROUP BY "site", "agent", "test", "target"'


class Severity(StrEnum):
    """How soon somebody should look."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. It holds while the value of a series is above (or below) the limit.

    Attributes:
        key: end of its uid.
        title: its name in Grafana; Prometheus gets it without spaces.
        severity: how soon somebody should look.
        hold: how long it has to be so.
        summary: one line, with labels as `{agent}` and the value as `{value}`, `{percent}` or `{duration}`.
        about: what it means and what to do.
        board: the dashboard to look at.
        chosen: dashboard variables that the alert's own labels choose there.
        limit: the number.
        falling: whether below the limit is bad.
        promql: the value, with `<measurement.field>` for selectors; None where nothing scraped has it.
        influxql: the value; None where only Prometheus has it.
        minutes: how far back the statement looks.
        baseline: a second statement; the value is then the first over the second.
        baseline_minutes: how far back that one looks.
        least_change: how far the first has to be above the second.
        quiet: whether no data is fine, since nothing is written while all is well.
    """

    key: str
    title: str
    severity: Severity
    hold: str
    summary: str
    about: str
    board: str
    chosen: tuple[str, ...] = ()
    limit: float
    falling: bool = False
    promql: str | None = None
    influxql: str | None = None
    minutes: int = 10
    baseline: str | None = None
    baseline_minutes: int = 24 * 60
    least_change: float = 0.0
    quiet: bool = False


def _bad(measurement: str, field: str) -> float:
    limits = limits_of(measurement, CATALOGUE[measurement][field])
    if limits is None:
        raise LookupError(f"{measurement}.{field} has no limits in thresholds.py")
    return limits.bad


RULES: Final[tuple[Rule, ...]] = (
    Rule(
        key="agent-offline",
        title="Agent offline",
        severity=Severity.CRITICAL,
        hold="1m",
        summary="{agent} at {site} has been silent for five minutes",
        about="Nothing of this agent arrives, nor of its tests: that they don't fail says nothing. Look at the "
        "agent's host and its way to the collector. The rule forgets an agent that has been silent for an hour.",
        board="platform",
        chosen=("agent",),
        limit=0.9,
        promql="(max by (site, agent) (last_over_time(<agent.assignments>[1h])) >= bool 0) unless max by (site, agent) "
        "(last_over_time(<agent.assignments>[5m]))",
        influxql='SELECT 1 - moving_average(count("assignments"), 5) AS "silent" FROM "agent" WHERE $timeFilter '
        'GROUP BY time(1m), "site", "agent" fill(0)',
        minutes=60,
    ),
    Rule(
        key="agent-queue",
        title="Agent can't deliver",
        severity=Severity.WARNING,
        hold="5m",
        summary="{agent} at {site} holds points that are {duration} old",
        about="The agent measures and keeps its points on disk, but the collector doesn't take them. They arrive later, unless "
        "the disk budget runs out first.",
        board="platform",
        chosen=("agent",),
        limit=_bad("agent", "oldest_queued"),
        promql="min by (site, agent) (min_over_time(<agent.oldest_queued>[5m]))",
        influxql='SELECT min("oldest_queued") FROM "agent" WHERE $timeFilter GROUP BY "site", "agent"',
        minutes=5,
    ),
    Rule(
        key="points-lost",
        title="Points given up",
        severity=Severity.CRITICAL,
        hold="0s",
        summary="{agent} at {site} gave up {value} points",
        about="The agent's disk budget was full, so the oldest waiting points were deleted. They are lost.",
        board="platform",
        chosen=("agent",),
        limit=0,
        promql="sum by (site, agent) (increase(<agent.dropped_points>[15m]))",
        influxql='SELECT spread("dropped_points") FROM "agent" WHERE $timeFilter GROUP BY "site", "agent"',
        minutes=15,
    ),
    Rule(
        key="target-down",
        title="Target doesn't answer",
        severity=Severity.CRITICAL,
        hold="2m",
        summary="{target} answered {agent} in {percent} of the runs of the last ten minutes",
        about="Most runs of this test fail. Whether other agents see it too says whose fault it is.",
        board="overview",
        chosen=("target",),  # on all agents: what the others see says whose fault it is
        limit=0.5,
        falling=True,
        promql="avg by (site, agent, test, target) (avg_over_time(<probes.up>[10m]))",
        influxql=f'SELECT mean("up") FROM {_PROBES} WHERE $timeFilter {_PAIR}',
    ),
    Rule(
        key="loss",
        title="Packet loss",
        severity=Severity.WARNING,
        hold="5m",
        summary="{agent} loses {percent} of its packets to {target}",
        about="Mean loss of ten minutes. Paths shows the hop from which on packets are lost.",
        board="latency",
        chosen=("agent", "target"),
        limit=_bad("icmp", "loss"),
        promql="avg by (site, agent, test, target) (avg_over_time(<icmp.loss>[10m]))",
        influxql=f'SELECT mean("loss") FROM "icmp" WHERE $timeFilter {_PAIR}',
    ),
    Rule(
        key="latency",
        title="Slower than usual",
        severity=Severity.WARNING,
        hold="5m",
        summary="The round trip from {agent} to {target} is {value} times that of the last day",
        about="Mean round trip of ten minutes over that of a day, where it is at least 10 ms longer too.",
        board="latency",
        chosen=("agent", "target"),
        limit=2,
        promql="(avg by (site, agent, test, target) (avg_over_time(<icmp.rtt_mean>[10m])) / "
        "avg by (site, agent, test, target) (avg_over_time(<icmp.rtt_mean>[1d]))) and "
        "(avg by (site, agent, test, target) (avg_over_time(<icmp.rtt_mean>[10m])) - "
        "avg by (site, agent, test, target) (avg_over_time(<icmp.rtt_mean>[1d])) > 0.01)",
        influxql=f'SELECT mean("rtt_mean") FROM "icmp" WHERE $timeFilter {_PAIR}',
        baseline=f'SELECT mean("rtt_mean") FROM "icmp" WHERE $timeFilter {_PAIR}',
        least_change=0.01,
    ),
    Rule(
        key="voice",
        title="Calls sound bad",
        severity=Severity.WARNING,
        hold="5m",
        summary="Calls from {agent} to {target} have a mean opinion score of {value}",
        about="Mean of ten minutes; below 3.6 many users are dissatisfied (R below 70, ITU-T G.109). VoIP shows whether it is "
        "loss, jitter or delay, and in which direction.",
        board="voip",
        chosen=("agent", "target"),
        limit=3.6,
        falling=True,
        promql="avg by (site, agent, test, target) (avg_over_time(<voip.mos>[10m]))",
        influxql=f'SELECT mean("mos") FROM "voip" WHERE $timeFilter {_PAIR}',
        quiet=True,
    ),
    Rule(
        key="certificate",
        title="Certificate expires soon",
        severity=Severity.WARNING,
        hold="10m",
        summary="A certificate of {target} expires soon or has expired: {duration} left",
        about=_RENEW,
        board="web",
        chosen=("target",),
        limit=_bad("tls", "chain_expires_in"),
        falling=True,
        promql="min by (target) (last_over_time(<tls.chain_expires_in>[1h]))",
        influxql='SELECT min("left") FROM (SELECT last("chain_expires_in") AS "left" FROM "tls" WHERE $timeFilter '
        'GROUP BY "agent", "target") WHERE $timeFilter GROUP BY "target"',
        minutes=24 * 60,
        quiet=True,
    ),
    Rule(
        key="certificate-web",
        title="Web certificate expires soon",
        severity=Severity.WARNING,
        hold="10m",
        summary="A certificate of {target} expires soon or has expired: {duration} left",
        about=_RENEW,
        board="web",
        chosen=("target",),
        limit=_bad("http", "certificate_expires_in"),
        falling=True,
        promql="min by (target) (last_over_time(<http.certificate_expires_in>[1h]))",
        influxql='SELECT min("left") FROM (SELECT last("certificate_expires_in") AS "left" FROM "http" WHERE $timeFilter '
        'GROUP BY "agent", "target") WHERE $timeFilter GROUP BY "target"',
        minutes=24 * 60,
        quiet=True,
    ),
    Rule(
        key="anomaly",
        title="Unusual values",
        severity=Severity.INFO,
        hold="10m",
        summary="{measurement} {field} from {agent} to {target} is unusual",
        about="The ML service has flagged this series for ten minutes. Anomalies shows what it expected. Prometheus only knows "
        "how many series are flagged.",
        board="ml",
        chosen=("agent", "target"),
        limit=0.5,
        promql="max by (instance) (streamswarm_ml_open_anomalies)",
        influxql='SELECT last("flag") FROM "anomaly" WHERE $timeFilter GROUP BY "site", "agent", "target", "measurement", "field"',
        quiet=True,
    ),
    Rule(
        key="disk",
        title="File system almost full",
        severity=Severity.WARNING,
        hold="10m",
        summary="{path} of {agent} is {percent} full",
        about="A full disk stops the agent's queue, and with it delivery after an outage.",
        board="hosts",
        chosen=("agent",),
        limit=_bad("host_disk", "usage"),
        promql="max by (site, agent, path) (last_over_time(<host_disk.usage>[10m]))",
        influxql='SELECT last("usage") FROM "host_disk" WHERE $timeFilter GROUP BY "site", "agent", "path"',
    ),
    Rule(
        key="wal",
        title="Write-ahead log grows",
        severity=Severity.CRITICAL,
        hold="5m",
        summary="A sink of the collector {instance} lacks points that are {duration} old",
        about="A store doesn't take what the collector has. Nothing is lost until max_wal_bytes is reached; then agents are told "
        "to wait, and keep their points themselves.",
        board="platform",
        limit=600,
        promql="max by (instance) (streamswarm_collector_wal_oldest_seconds)",
    ),
    Rule(
        key="refused",
        title="Points refused by a store",
        severity=Severity.WARNING,
        hold="0s",
        summary="{sink} refused {value} lines",
        about="Lines that a store didn't take were set aside: streamswarm collector dead-letters shows them and the store's words.",
        board="platform",
        limit=0,
        promql="sum by (instance, sink) (increase(streamswarm_collector_sink_dead_letter_lines_total[15m]))",
        quiet=True,
    ),
    Rule(
        key="scoring",
        title="Scores come late",
        severity=Severity.WARNING,
        hold="10m",
        summary="The newest score of {instance} is {duration} old",
        about="The ML service doesn't keep up, or can't read the store; /health says which.",
        board="ml",
        limit=600,
        promql="max by (instance) (streamswarm_ml_lag_seconds)",
    ),
)
