import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import httpx
import typer
from rich.console import Console
from rich.table import Column, Table

from streamswarm_cli.services import SERVICES, Service, complete_service
from streamswarm_core.errors import ConfigError
from streamswarm_core.hostport import local_url
from streamswarm_core.outbound import patience, trusted
from streamswarm_core.printable import printable

_WAIT_SECONDS: Final = 4.0
_QUIET: Final = frozenset({"name", "version", "status"})
_AS_OTHERS: Final = {"pass": "ok"}
"""The collector's word is InfluxDB's."""


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    """What a service says of itself.

    Attributes:
        url: where it was asked.
        status: its own word, or why it has none.
        well: whether it works.
        runs: whether there is one at all.
        version: of its program.
        details: the rest of what it says.
        seconds: how long the answer took.
    """

    url: str
    status: str
    well: bool
    runs: bool = True
    version: str = ""
    details: str = ""
    seconds: float = 0.0


def status(
    service: Annotated[
        str | None,
        typer.Argument(
            help=f"One of {', '.join(SERVICES)}; those on this machine if not given.", autocompletion=complete_service
        ),
    ] = None,
) -> None:
    """Say how the services of this machine are.

    Exit code 1 if one doesn't work, or none runs.

    They are asked where their settings say that they listen. Without a service, one that doesn't run here is no fault.
    """
    if service is not None and service not in SERVICES:
        raise typer.BadParameter(f"no service {service!r}; one of {', '.join(SERVICES)}", param_hint="service")
    table = Table("service", "status", "version", "answer", Column("address", overflow="fold"), "details")
    found: list[ServiceHealth] = []
    for one in [SERVICES[service]] if service else SERVICES.values():
        try:
            health = ask(one)
        except ConfigError as error:
            if service is not None:
                raise
            health = ServiceHealth("–", str(error), well=False, runs=False)
        found.append(health)
        answer = f"{health.seconds * 1e3:.0f} ms" if health.seconds else "–"
        told = (health.status, health.version or "–", answer, health.url, health.details)
        table.add_row(one.title, *map(printable, told))
    Console(soft_wrap=True, markup=False).print(table)
    if not all(health.well for health in found if health.runs) or not any(health.runs for health in found):
        raise typer.Exit(1)


def ask(service: Service) -> ServiceHealth:
    """Ask a service for its health where its settings say that it listens.

    Raises:
        ConfigError: it isn't installed here, or its settings can't be used.
    """
    settings: Any = service.load_settings()
    url = local_url(settings.host, settings.port)
    started = time.monotonic()
    try:
        answer = httpx.get(f"{url}/health", timeout=patience(_WAIT_SECONDS), verify=trusted())
        body: dict[str, Any] = answer.json()
    except httpx.ConnectError:
        return ServiceHealth(url, "not running", well=False, runs=False)
    except httpx.TimeoutException:
        return ServiceHealth(url, f"no answer within {_WAIT_SECONDS:g} s", well=False)
    except (httpx.HTTPError, ValueError) as error:
        return ServiceHealth(url, f"no health: {error}", well=False)
    status = str(body.get("status", answer.status_code))
    details = {key: value for key, value in body.items() if key not in _QUIET}
    return ServiceHealth(
        url,
        _AS_OTHERS.get(status, status),
        well=answer.is_success,
        version=str(body.get("version", "")),
        details=_told(details),
        seconds=time.monotonic() - started,
    )


def _told(details: Mapping[str, Any]) -> str:
    """Names and values in words, without what is empty."""
    words = {key.replace("_", " "): value for key, value in details.items() if value not in ({}, [], "", None)}
    return ", ".join(f"{key}: {_told(value) if isinstance(value, Mapping) else value}" for key, value in words.items())
