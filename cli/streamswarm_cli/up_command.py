import asyncio
import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from streamswarm_cli.group import group_environment, url_of
from streamswarm_cli.services import AGENT, COLLECTOR, CONTROLPLANE, ML, Service
from streamswarm_cli.starter import starter_tests
from streamswarm_cli.supervisor import Child, Supervisor
from streamswarm_core.alone import alone
from streamswarm_core.catalogue import CATALOGUE
from streamswarm_core.catalogue.common import UP
from streamswarm_core.doctor.starting import GROUP_LOCK
from streamswarm_core.errors import ConfigError, Refused, Unavailable
from streamswarm_core.printable import printable
from streamswarm_core.probespecs import SPECS
from streamswarm_core.reader import InfluxQLReader, Select
from streamswarm_core.serve import check_address
from streamswarm_core.settings import ServiceSettings, is_loopback
from streamswarm_core.wording import format_value

FIRST_POINTS_SECONDS: Final = 30.0
_QUIET_LOOKS: Final = 3
_GROUP: Final = (CONTROLPLANE, COLLECTOR, ML, AGENT)


def up(
    data: Annotated[Path | None, typer.Option(help="Folder for everything that is kept (STREAMSWARM_DATA).")] = None,
    *,
    interval: Annotated[float, typer.Option(min=1, max=3600, help="Seconds between runs of the starter tests.")] = 5.0,
    local_only: Annotated[
        bool, typer.Option("--local-only", help="Starter tests send nothing off this machine.")
    ] = False,
) -> None:
    """Run the whole system on this machine until Ctrl-C.

    That is control plane, collector, ML service and one agent.

    The first start makes the databases and keys, the first admin, the local agent and a few tests; later starts go on
    with the same data.
    """
    console = Console(soft_wrap=True, highlight=False)
    if data is not None:
        os.environ["STREAMSWARM_DATA"] = str(data)
    settings = {service.name: service.load_settings() for service in _GROUP}
    folder = _writable_folder(settings[CONTROLPLANE.name].data)
    with alone(folder, "another `streamswarm up` is running on it"):
        (folder / GROUP_LOCK).touch()
        for service in _GROUP:
            mine = settings[service.name]
            check_address(_host(mine), _port(mine), type(mine))
        asyncio.run(_Group(console, settings, interval=interval, local_only=local_only).run())


def _host(settings: ServiceSettings) -> str:
    return str(getattr(settings, "host"))  # noqa: B009 - each service declares its own


def _port(settings: ServiceSettings) -> int:
    return int(getattr(settings, "port"))  # noqa: B009 - each service declares its own


def _writable_folder(folder: Path) -> Path:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"data folder {folder}: {error.strerror}; choose another with STREAMSWARM_DATA") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"data folder {folder}: not writable; choose another with STREAMSWARM_DATA")
    return folder


class _Group:
    """One run of the whole system."""

    def __init__(
        self, console: Console, settings: dict[str, ServiceSettings], *, interval: float, local_only: bool
    ) -> None:
        self._console = console
        self._settings = settings
        self._interval = interval
        self._local_only = local_only
        self._controlplane: Any = settings[CONTROLPLANE.name]
        self._agent: Any = settings[AGENT.name]
        self._folder = settings[CONTROLPLANE.name].data

    async def run(self) -> None:
        """Start everything, show the first points, and watch until a signal comes."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        work = asyncio.create_task(self._start_and_watch())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            self._console.print("\nstopping …")
            work.cancel()
        stopped.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        self._console.print(f"stopped; the data stay in {self._folder}")

    async def _start_and_watch(self) -> None:
        password = self._prepare()
        async with Supervisor(self._console.print) as group:
            try:
                for service in _GROUP:
                    started = time.monotonic()
                    await group.start(self._child(service))
                    self._console.print(f"  {service.title:<14} ready after {time.monotonic() - started:4.1f} s")
                await asyncio.to_thread(self._create_starter_tests)
                self._console.print(
                    f"\n[bold]StreamSwarm is running.[/]  Console: [link]{url_of(self._controlplane)}/[/]"
                )
            finally:
                self._tell(password)  # even if not all of it started: the next start doesn't know it any more
            self._console.print(f"Logs: {self._folder / 'logs'}   Stop: Ctrl-C\n")
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._show_first_points())
                tasks.create_task(group.watch())

    def _prepare(self) -> str | None:
        """Make what must exist before the services start; returns the first admin's password the first time."""
        bootstrap = CONTROLPLANE.module("bootstrap")
        made = bootstrap.bootstrap(self._controlplane)
        name = self._agent.name
        if not AGENT.module("enrol").credential_path(self._agent).exists():
            token = bootstrap.mint_enrolment_token(self._controlplane, name, self._agent.site)
            os.environ["STREAMSWARM_AGENT_ENROL_TOKEN"] = token
        password: str | None = made.admin_password
        return password

    def _create_starter_tests(self) -> None:
        """Once, when the agent is enrolled."""
        bootstrap = CONTROLPLANE.module("bootstrap")
        collector: Any = self._settings[COLLECTOR.name]
        reflects = collector.reflector and is_loopback(collector.reflector_host) and not collector.reflector_key
        starters = [
            bootstrap.StarterTest(
                key=test.key,
                name=test.name,
                probe=test.probe,
                target=test.target,
                params=test.params,
                interval=test.interval,
            )
            for test in starter_tests(
                url_of(self._controlplane),
                local_only=self._local_only,
                interval=self._interval,
                reflector=(collector.reflector_host, collector.reflector_port) if reflects else None,
            )
        ]
        bootstrap.create_starter_tests(self._controlplane, self._agent.name, starters)

    def _child(self, service: Service) -> Child:
        settings = self._settings[service.name]
        return Child(
            name=service.title,
            command=[sys.executable, "-m", "streamswarm_cli", service.name, "run"],
            environment=self._environment(),
            health_url=f"{url_of(settings)}/health",
            log=self._folder / "logs" / f"{service.name}.log",
        )

    def _environment(self) -> dict[str, str]:
        """This process's environment plus where the services find each other, unless that was said already."""
        return {**group_environment(self._settings), **os.environ}

    def _tell(self, password: str | None) -> None:
        if password:
            self._console.print(
                f"Log in as [bold]admin[/] with the password [bold]{password}[/] – "
                "shown only now, to be changed at the first login."
            )

    async def _show_first_points(self) -> None:
        """Print one measured value of each test, as soon as no further test has points."""
        token = (self._folder / "secrets" / "ml.token").read_text(encoding="ascii").strip()
        bucket = str(getattr(self._settings[COLLECTOR.name], "bucket"))  # noqa: B009 - declared by the collector
        deadline = time.monotonic() + FIRST_POINTS_SECONDS
        with InfluxQLReader(
            url_of(self._settings[COLLECTOR.name]), database=bucket, token=lambda: token, timeout=5.0
        ) as reader:
            rows, quiet = await asyncio.to_thread(_latest_rows, reader), 0
            while quiet < _QUIET_LOOKS and time.monotonic() < deadline:
                await asyncio.sleep(1)
                seen, rows = len(rows), await asyncio.to_thread(_latest_rows, reader)
                quiet = quiet + 1 if rows and len(rows) == seen else 0
        table = Table("measured", "test", "target", "up", "value", title="First points", title_justify="left")
        for row in rows:
            table.add_row(*(escape(printable(cell)) for cell in row))
        self._console.print(table if rows else "No point has arrived yet; see the logs.")


def _latest_rows(reader: InfluxQLReader) -> list[tuple[str, str, str, str, str]]:
    rows = []
    for spec in SPECS.values():
        measurement = spec.measurements[0]
        columns = [spec.headline] + ([UP.name] if UP.name in measurement else [])
        statement = Select(measurement.name, columns, group_by=("test", "target"), descending=True, limit=1)
        try:
            answer = reader.select(statement)
        except (Unavailable, Refused):
            continue
        for series in answer:
            record = dict(zip(series.columns, series.rows[0], strict=True))
            value = record[spec.headline]
            shown = "–" if value is None else format_value(value, CATALOGUE[measurement.name][spec.headline].unit)
            state = {1: "up", 0: "down"}.get(int(record.get(UP.name) or 0), "–") if UP.name in record else "–"
            rows.append((spec.title, series.tags["test"], series.tags.get("target", ""), state, shown))
    return rows
