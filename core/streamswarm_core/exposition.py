"""What every service does to be scraped by Prometheus."""

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response


def expose(registry: CollectorRegistry, request: Request) -> Response:
    """A registry's metrics in the format that the scraper asks for: OpenMetrics, or Prometheus's own text."""
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(registry), headers={"Content-Type": content_type})
