"""What points are called in a store that speaks PromQL: that depends on how they got there."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from streamswarm_core import promnames
from streamswarm_core.catalogue import CATALOGUE
from streamswarm_core.catalogue.model import Kind
from streamswarm_core.reader.promselector import Matcher


class Naming(Protocol):
    """How fields became metrics."""

    @property
    def added_labels(self) -> frozenset[str]:
        """Labels that the store or scraper added, which are no tags."""

    def metric(self, measurement: str, field: str) -> str | None:
        """The metric that holds a field; None if none can."""

    def scale(self, measurement: str, field: str) -> float:
        """What a field's value was multiplied by on its way into the metric."""

    def metrics(self, measurement: str) -> str | None:
        """A regular expression for the metrics of all fields of a measurement; None if there are none."""

    def scope(self, database: str) -> Sequence[Matcher]:
        """What every selector carries to stay within a database."""


@dataclass(frozen=True, slots=True)
class WrittenNaming:
    """Line protocol, as VictoriaMetrics keeps it: `icmp_rtt_mean`, tags as labels, numbers only.

    VictoriaMetrics adds the label `db` to what comes by `/write?db=…` and nothing to what comes by `/api/v2/write`. Its
    older releases keep a text field as 0, therefore text fields of the catalogue are never asked for.
    """

    added_labels: frozenset[str] = frozenset({"db"})

    def metric(self, measurement: str, field: str) -> str | None:
        """`measurement_field`, also for measurements that the catalogue doesn't know.

        >>> WRITTEN.metric("icmp", "rtt_mean"), WRITTEN.metric("icmp", "error"), WRITTEN.metric("cpu", "usage_user")
        ('icmp_rtt_mean', None, 'cpu_usage_user')
        """
        known = CATALOGUE.get(measurement)
        if known is not None and field in known and known[field].kind is Kind.STRING:
            return None
        return f"{measurement}_{field}"

    def scale(self, measurement: str, field: str) -> float:  # noqa: ARG002 - values are as they were written
        """Always 1."""
        return 1.0

    def metrics(self, measurement: str) -> str | None:
        """Of a foreign measurement `name_.+`, which also fits measurements whose name begins like that."""
        known = CATALOGUE.get(measurement)
        if known is None:
            return re.escape(measurement) + "_.+"
        return _any_of([f"{measurement}_{one.name}" for one in promnames.exported_fields(known)])

    def scope(self, database: str) -> Sequence[Matcher]:
        """Points of this database, or of none."""
        return [Matcher("db", "=~", "|" + re.escape(database))]


@dataclass(frozen=True, slots=True)
class ScrapedNaming:
    """The agent's exporter, as Prometheus, Mimir or vmagent scrape it: `streamswarm_icmp_rtt_mean_seconds`.

    The exporter doesn't say which agent it is; the scrape job gives the labels `agent` and `site`.
    """

    added_labels: frozenset[str] = frozenset({"job", "instance"})

    def metric(self, measurement: str, field: str) -> str | None:
        """The exporter's name; None for text, for what the catalogue doesn't declare, and for distributions.

        A distribution is exported as sums since the agent started, where the store has the counts of each run.

        >>> SCRAPED.metric("icmp", "rtt_mean"), SCRAPED.metric("icmp", "error"), SCRAPED.metric("cpu", "usage_user")
        ('streamswarm_icmp_rtt_mean_seconds', None, None)
        """
        known = CATALOGUE.get(measurement)
        if known is None or known.distribution or field not in known or known[field].kind is Kind.STRING:
            return None
        return promnames.metric_name(known, known[field])

    def scale(self, measurement: str, field: str) -> float:
        """What the exporter did to have Prometheus's base unit."""
        return CATALOGUE[measurement][field].unit.scale

    def metrics(self, measurement: str) -> str | None:
        """Nothing for a distribution, or for a measurement that the catalogue doesn't declare."""
        known = CATALOGUE.get(measurement)
        if known is None or known.distribution:
            return None
        return _any_of([promnames.metric_name(known, one) for one in promnames.exported_fields(known)])

    def scope(self, database: str) -> Sequence[Matcher]:  # noqa: ARG002 - Prometheus has no databases
        """No limit."""
        return []


def _any_of(names: Sequence[str]) -> str | None:
    return "|".join(re.escape(name) for name in names) or None


WRITTEN: Final = WrittenNaming()
SCRAPED: Final = ScrapedNaming()
