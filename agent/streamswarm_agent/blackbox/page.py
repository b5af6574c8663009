"""The metrics of one answer, by blackbox_exporter's names and words."""

from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streamswarm_agent.net.http.exchange import Answer
from streamswarm_agent.net.tls.certificates import Certificate
from streamswarm_agent.net.tls.connection import Peer


class Page(Collector):
    """Collects gauges."""

    def __init__(self) -> None:
        self._families: dict[str, Metric] = {}

    def collect(self) -> Iterator[Metric]:
        """In order of their names, as blackbox_exporter has them."""
        yield from (self._families[name] for name in sorted(self._families))

    def describe(self) -> list[Metric]:
        """Nothing beforehand."""
        return []

    def gauge(self, name: str, text: str, value: float | None) -> None:
        """One number; nothing if there is none."""
        if value is not None:
            self._families[name] = GaugeMetricFamily(name, text, float(value))

    def phases(self, name: str, text: str, phases: Mapping[str, float | None]) -> None:
        """One number for each phase; 0 for one that was not reached."""
        family = GaugeMetricFamily(name, text, labels=["phase"])
        for phase, seconds in phases.items():
            family.add_metric([phase], seconds or 0.0)
        self._families[name] = family

    def info(self, name: str, text: str, labels: Mapping[str, str]) -> None:
        """The number 1, with labels that say something."""
        family = GaugeMetricFamily(name, text, labels=list(labels))
        family.add_metric(list(labels.values()), 1.0)
        self._families[name] = family

    def failed_due_to_regex(self, *, failed: bool) -> None:
        """Whether a pattern decided."""
        self.gauge("probe_failed_due_to_regex", "Indicates if probe failed due to regex", int(failed))

    def tls(self, peer: Peer | None) -> None:
        """Version and certificate; nothing in the clear."""
        if peer is None or not peer.chain:
            return
        own = peer.chain[0]
        self.gauge(
            "probe_ssl_earliest_cert_expiry", "Returns last SSL chain expiry in unixtime", _first_to_expire(peer.chain)
        )
        # Without verification there is no chain to an authority, and no date.
        if peer.verified_chain:
            self.gauge(
                "probe_ssl_last_chain_expiry_timestamp_seconds",
                "Returns last SSL chain expiry in timestamp",
                _first_to_expire(peer.verified_chain),
            )
        self.info(
            "probe_ssl_last_chain_info",
            "Contains SSL leaf certificate information",
            {
                "fingerprint_sha256": own.fingerprint,
                "issuer": own.issuer,
                "subject": own.subject,
                "subjectalternative": ",".join(own.dns_names),
            },
        )
        self.info(
            "probe_tls_version_info", "Returns the TLS version used or NaN when unknown", {"version": peer.version}
        )

    def last_modified(self, answer: Answer) -> None:
        """Last-Modified, if it was sent."""
        try:
            stamp = parsedate_to_datetime(answer.header("last-modified")).timestamp()
        except (ValueError, TypeError):
            return
        self.gauge(
            "probe_http_last_modified_timestamp_seconds",
            "Returns the Last-Modified HTTP response header in unixtime",
            stamp,
        )


def _first_to_expire(chain: tuple[Certificate, ...]) -> float:
    return min(certificate.expires.timestamp() for certificate in chain)
