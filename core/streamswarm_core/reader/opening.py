"""Which reader a service uses: its settings say."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import Field

from streamswarm_core.reader.influxql import InfluxQLReader
from streamswarm_core.reader.promnaming import SCRAPED, WRITTEN
from streamswarm_core.reader.promql import PromQLReader
from streamswarm_core.reader.protocol import Reader
from streamswarm_core.settings import ServiceSettings


class StoreSettings(ServiceSettings, table="store"):
    """Where a service reads points; services that do inherit it."""

    store_url: str = Field(
        "http://127.0.0.1:8801",
        description="Collector or store that points are read from; for promql what stands before /api/v1.",
    )
    store_kind: Literal["influxql", "promql"] = Field(
        "influxql",
        description="`influxql` for a collector or InfluxDB, `promql` for VictoriaMetrics, Prometheus or Mimir.",
    )
    store_names: Literal["written", "scraped"] = Field(
        "written",
        description="For promql: `written` if the points came as line protocol, `scraped` if from agents' /metrics.",
    )
    store_token_file: Path | None = Field(
        None, description="File with a token for the store; by default the service's own for influxql, none for promql."
    )
    store_tenant: str = Field("", description="For promql: tenant, sent as X-Scope-OrgID to Mimir.")
    bucket: str = Field("streamswarm", min_length=1, description="Database that points are read from.")


def open_reader(settings: StoreSettings, token: Callable[[], str], *, timeout: float = 20.0) -> Reader:
    """Make the reader that fits the store; nothing is sent yet.

    Args:
        settings: of the service.
        token: gives the service's own token, which a collector knows; a store of another kind never sees it.
        timeout: seconds for one answer.
    """
    file = settings.store_token_file
    if settings.store_kind == "influxql":
        return InfluxQLReader(
            settings.store_url,
            database=settings.bucket,
            token=token if file is None else TokenFile(file),
            timeout=timeout,
        )
    return PromQLReader(
        settings.store_url,
        naming=SCRAPED if settings.store_names == "scraped" else WRITTEN,
        database=settings.bucket,
        token=(lambda: "") if file is None else TokenFile(file),
        tenant=settings.store_tenant,
        timeout=timeout,
    )


class TokenFile:
    """The token in a file, read at each use: it may be replaced while the service runs.

    Args:
        path: the file; while it can't be read the token is empty, and the store's answer says so.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self) -> str:
        """The current token."""
        try:
            return self._path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return ""
