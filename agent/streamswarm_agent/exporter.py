"""The agent as a Prometheus exporter: what it measured last on `/metrics`, a measurement on demand on `/probe`."""

import asyncio
import html
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from streamswarm_agent import blackbox
from streamswarm_agent.probes import Context, Engines
from streamswarm_agent.settings import AgentSettings
from streamswarm_core import __version__
from streamswarm_core.catalogue import CATALOGUE, Measurement
from streamswarm_core.catalogue import Metric as MetricKind
from streamswarm_core.catalogue.common import STAMPED_TAGS
from streamswarm_core.exposition import barred, expose, has_token
from streamswarm_core.hostport import host_port
from streamswarm_core.point import Point
from streamswarm_core.promnames import exported_fields, histogram_name, metric_name
from streamswarm_core.settings import is_loopback
from streamswarm_core.sketch import Sketch

_INDEX: Final = """<!doctype html><html lang="en"><title>StreamSwarm agent</title>
<h1>StreamSwarm agent</h1>
<ul><li><a href="/metrics">/metrics</a> what the assignments measured last
<li>/probe?target=…&amp;module=… a measurement on demand; modules: %s
<li><a href="/health">/health</a></ul></html>
"""


class PointCollector(Collector):
    """Turns points into metrics, by the catalogue's names.

    Args:
        points: asked at each scrape.
    """

    def __init__(self, points: Callable[[], Iterable[Point]]) -> None:
        self._points = points

    def describe(self) -> list[Metric]:
        """Nothing beforehand: names come from the points."""
        return []

    def collect(self) -> Iterator[Metric]:
        """One family for each field of each measurement that has points."""
        by_measurement: dict[str, list[Point]] = {}
        for point in _newest_of_each_series(self._points()):
            by_measurement.setdefault(point.measurement, []).append(point)
        for name, points in by_measurement.items():
            measurement = CATALOGUE[name]
            labels = [tag for tag in measurement.tags if tag not in STAMPED_TAGS]
            if measurement.distribution:
                yield _histogram(measurement, labels, points)
                continue
            for field in exported_fields(measurement):
                kind = CounterMetricFamily if field.metric is MetricKind.COUNTER else GaugeMetricFamily
                family = kind(metric_name(measurement, field), field.help, labels=labels)
                for point in points:
                    if field.name in point.fields:
                        values = [point.tags.get(label, "") for label in labels]
                        family.add_metric(values, float(point.fields[field.name]) * field.unit.scale)
                if family.samples:
                    yield family


def _newest_of_each_series(points: Iterable[Point]) -> Iterable[Point]:
    """A run may write several points of one series, such as the course of a transfer; a scrape takes the last."""
    newest = {(point.measurement, frozenset(point.tags.items())): point for point in points}
    return newest.values()


def _histogram(measurement: Measurement, labels: Sequence[str], points: Iterable[Point]) -> Metric:
    """A distribution with every second bound: every series has the same, so that series can be added up."""
    family = HistogramMetricFamily(histogram_name(measurement), measurement.help, labels=labels)
    for point in points:
        sketch = Sketch.from_fields(point.fields)
        buckets = [
            ("+Inf" if bound == math.inf else repr(bound), float(count)) for bound, count in sketch.cumulative(step=2)
        ]
        family.add_metric([point.tags.get(label, "") for label in labels], buckets, sketch.total)
    return family


def exporter_url(host: str, port: int) -> str:
    """Where the exporter is, as a URL.

    >>> exporter_url("::1", 8803)
    'http://[::1]:8803/metrics'
    """
    return f"http://{host_port(host, port)}/metrics"


def create_exporter(
    settings: AgentSettings,
    points: Callable[[], Iterable[Point]],
    engines: Engines,
    health: Callable[[], dict[str, object]],
    *collectors: Collector,
) -> Starlette:
    """Put the exporter together.

    `/probe` lets whoever reaches it send packets from this host, so it answers without a token only on a loopback
    address, and there no page of another site in a browser; on others it needs `STREAMSWARM_AGENT_PROBE_TOKEN`, sent
    as `Authorization: Bearer`.

    Args:
        settings: the agent's settings.
        points: what is exported.
        engines: for `/probe`.
        health: what `/health` says beside "ok".
        collectors: further metrics.
    """
    modules = blackbox.load_modules(settings.blackbox_file)

    async def metrics(request: Request) -> Response:
        if refusal := barred(request, settings.metrics_token):
            return refusal
        # Thousands of points take seconds to write out, in which no run would start; so a thread does it.
        return await asyncio.to_thread(_write_out, list(points()), collectors, request)

    async def probe(request: Request) -> Response:
        refusal = _refuse(request, settings)
        if refusal is not None:
            return refusal
        target = request.query_params.get("target", "")
        module = request.query_params.get("module", "http_2xx")
        if not target:
            return PlainTextResponse("the parameter target is missing\n", 400)
        try:
            found = modules.find(module)
            wait = blackbox.scrape_timeout(request.headers.get("X-Prometheus-Scrape-Timeout-Seconds", ""))
        except (LookupError, ValueError) as error:
            return PlainTextResponse(f"{error.args[0]}\n", 400)
        hostname = request.query_params.get("hostname", "")
        outcome = await blackbox.measure(found, target, Context(engines), hostname=hostname, wait=wait)
        if request.query_params.get("debug") == "true":
            return PlainTextResponse(_debugging(outcome))
        answer = CollectorRegistry()
        answer.register(outcome.page)
        return expose(answer, request)

    async def index(_request: Request) -> Response:
        return HTMLResponse(_INDEX % html.escape(", ".join(modules.known)))

    async def healthy(_request: Request) -> Response:
        return JSONResponse({"status": "ok", "name": "streamswarm-agent", "version": __version__, **health()})

    app = Starlette(
        routes=[
            Route("/", index),
            Route("/metrics", metrics),
            Route("/probe", probe),
            Route("/health", healthy),
        ]
    )
    app.router.redirect_slashes = False
    return app


def _write_out(points: list[Point], collectors: Iterable[Collector], request: Request) -> Response:
    registry = CollectorRegistry()
    for collector in (PointCollector(lambda: points), *collectors):
        registry.register(collector)
    return expose(registry, request)


def _debugging(outcome: blackbox.Outcome) -> str:
    registry = CollectorRegistry()
    registry.register(outcome.page)
    verdict = "succeeded" if outcome.success else f"failed: {outcome.detail}"
    return f"The probe {verdict}\n\nMetrics that would have been returned:\n{generate_latest(registry).decode()}"


def _refuse_pages(request: Request) -> Response | None:
    """Of another site's page in a browser on this host, and of one whose name was pointed here."""
    site = request.headers.get("Sec-Fetch-Site", "none")
    try:
        host = urlsplit(f"//{request.headers.get('Host', '')}").hostname or ""
    except ValueError:
        host = ""
    if is_loopback(host) and site in {"none", "same-origin"} and "Origin" not in request.headers:
        return None
    return PlainTextResponse(
        "/probe without a token is for this host by its own address, such as 127.0.0.1, and not for pages of other "
        "sites; set STREAMSWARM_AGENT_PROBE_TOKEN to use it through a proxy\n",
        403,
    )


def _refuse(request: Request, settings: AgentSettings) -> Response | None:
    if not settings.probe_token.get_secret_value():
        if is_loopback(settings.host):
            return _refuse_pages(request)
        return PlainTextResponse("/probe is off: set STREAMSWARM_AGENT_PROBE_TOKEN to use it from other hosts\n", 403)
    if has_token(request, settings.probe_token):
        return None
    return PlainTextResponse("/probe needs the header Authorization: Bearer …\n", 401)
