"""Both reflectors of a service, from its settings, with their figures for /metrics."""

import logging
from collections.abc import Iterator
from typing import Final

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streamswarm_core.reflector import bandwidth, stamp
from streamswarm_core.reflector.limits import Peers, RateLimit
from streamswarm_core.reflector.settings import ReflectorSettings
from streamswarm_core.settings import is_loopback

log = logging.getLogger(__name__)

_HOSTS: Final = {"::": ("0.0.0.0", "::"), "localhost": ("127.0.0.1", "::1")}  # noqa: S104 - what "::" is said to mean


class Reflector(Collector):
    """Reflects STAMP packets, and serves bandwidth tests where strangers can't ask for them.

    A port that is taken is logged and shown, and stops nothing else: the service has other work.

    Args:
        settings: of the agent or the collector.
    """

    def __init__(self, settings: ReflectorSettings) -> None:
        self._settings = settings
        key = settings.reflector_key.get_secret_value().encode()
        peers = Peers(settings.reflector_peers)
        self._serves_tests = bool(settings.reflector_tests and (key or is_loopback(settings.reflector_host)))
        self.stamp = stamp.StampReflector(
            key=key,
            peers=peers,
            limit=RateLimit(each=settings.reflector_source_rate, total=settings.reflector_rate),
        )
        self.bandwidth = bandwidth.BandwidthServer(
            key=key,
            peers=peers,
            tests=settings.reflector_tests,
            most_bytes=settings.reflector_test_bytes,
            most_seconds=settings.reflector_test_seconds,
        )
        self._up = {"stamp": False, "bandwidth": False}

    async def start(self) -> None:
        """Begin to reflect, unless the settings say not to."""
        wanted = self._settings
        if not wanted.reflector:
            return
        hosts = _HOSTS.get(wanted.reflector_host, (wanted.reflector_host,))
        try:
            self.stamp.listen(hosts, wanted.reflector_port)
            self._up["stamp"] = True
            if self._serves_tests:
                await self.bandwidth.listen(hosts, wanted.reflector_port)
                self._up["bandwidth"] = True
        except OSError as error:
            log.error(  # noqa: TRY400 - the reason is enough
                "not a reflector on %s port %d: %s; choose with reflector_host and reflector_port",
                wanted.reflector_host,
                wanted.reflector_port,
                error.strerror,
            )

    async def close(self) -> None:
        """Stop reflecting."""
        self.stamp.close()
        await self.bandwidth.close()
        self._up = dict.fromkeys(self._up, False)

    def describe(self) -> list[Metric]:
        """Nothing beforehand."""
        return []

    def collect(self) -> Iterator[Metric]:
        """What was answered and what was refused, by reason."""
        up = GaugeMetricFamily("streamswarm_reflector_up", "1 if this reflects.", labels=["kind"])
        refused = CounterMetricFamily(
            "streamswarm_reflector_refused",
            "Packets (stamp) and connections (bandwidth) refused.",
            labels=["kind", "reason"],
        )
        for kind, reasons, counts in (
            ("stamp", stamp.REFUSALS, self.stamp.refused),
            ("bandwidth", bandwidth.REFUSALS, self.bandwidth.refused),
        ):
            up.add_metric([kind], float(self._up[kind]))
            for reason in reasons:
                refused.add_metric([kind, reason], counts[reason])
        transferred = CounterMetricFamily(
            "streamswarm_reflector_bandwidth_bytes", "Bytes of bandwidth tests.", labels=["direction"]
        )
        for direction in ("upload", "download"):
            transferred.add_metric([direction], self.bandwidth.transferred[direction])
        yield from (up, refused, transferred)
        yield CounterMetricFamily("streamswarm_reflector_packets", "Packets reflected.", self.stamp.answered)
        yield GaugeMetricFamily("streamswarm_reflector_sessions", "Sessions of stamp known.", len(self.stamp.sessions))
        yield CounterMetricFamily("streamswarm_reflector_tests", "Bandwidth tests granted.", self.bandwidth.granted)
        yield GaugeMetricFamily("streamswarm_reflector_tests_under_way", "Bandwidth tests.", self.bandwidth.under_way)
