import dataclasses
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.text import Text

from streamswarm_cli.doctor.looking import look
from streamswarm_cli.doctor.places import is_configured, place_of, shared_data
from streamswarm_cli.doctor.settings import strays
from streamswarm_cli.doctor.units import UnreadableError
from streamswarm_cli.services import AGENT, SERVICES, Service, complete_service
from streamswarm_cli.terminal import to_json
from streamswarm_core.doctor.files import is_there, user_name
from streamswarm_core.doctor.finding import Finding, State, broken, note
from streamswarm_core.doctor.host import kept_in_step
from streamswarm_core.errors import ConfigError
from streamswarm_core.printable import one_line

_STYLES: Final = {State.OK: "green", State.NOTE: "cyan", State.WARNING: "yellow", State.BROKEN: "bold red"}
_WORDS: Final = {State.BROKEN: "BROKEN"}
_STATE_WIDTH: Final = 9
_SUBJECT_WIDTH: Final = 15
_HOST: Final = "host"


def doctor(
    service: Annotated[
        str | None,
        typer.Argument(
            help=f"One of {', '.join(SERVICES)}; those that this host is set up for if not given.",
            autocompletion=complete_service,
        ),
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON, one a line.")] = False,
    as_it_is: Annotated[
        bool, typer.Option("--as-it-is", hidden=True, help="With this process's user, folder and environment.")
    ] = False,
) -> None:
    """Say what is wrong with the services here, and what to do.

    Whether they run or can't start; nothing is changed. Each is looked at with the settings and as the user that its
    systemd unit starts it with; without a unit, with those of this shell and folder. Exit code 0 if nothing is broken,
    1 if something is; notes and warnings don't count.
    """
    if service is not None and service not in SERVICES:
        raise typer.BadParameter(f"no service {service!r}; one of {', '.join(SERVICES)}", param_hint="service")
    if sys.platform != "linux":
        raise ConfigError(f"what this looks at are services, which run on Linux, not on {sys.platform}")
    report = _Report(as_json=as_json)
    if as_it_is and service is not None:
        report.tell(service, "", look(replace(place_of(SERVICES[service]), unit=None, user="")))
        raise typer.Exit(report.exit_code)
    wanted = [SERVICES[service]] if service else [one for one in SERVICES.values() if is_configured(one)]
    report.tell(_HOST, "this host", _of_host(set_up=bool(wanted)))
    for one in wanted or [AGENT]:
        _tell_service(report, one)
    report.sum_up()
    raise typer.Exit(report.exit_code)


def _tell_service(report: "_Report", service: Service) -> None:
    try:
        place = place_of(service)
    except UnreadableError as error:
        found = broken(
            "settings", f"{error}: what the service is started with can't be seen", "sudo streamswarm doctor"
        )
        report.tell(service.name, service.title, iter([found]))
    else:
        report.tell(service.name, f"{service.title}, {place.source}", look(place))


def _of_host(*, set_up: bool) -> Iterator[Finding]:
    if not set_up:
        found = f"no service is set up here: no unit, no settings, nothing in {shared_data().absolute()}"
        yield note("services", f"{found}; below is what an agent would need", "STREAMSWARM_DATA, if data are elsewhere")
    if is_there(shared_data()) and not os.access(shared_data(), os.R_OK | os.X_OK):
        found = f"the user {user_name()} may not look into the data folder {shared_data().absolute()}"
        yield broken("data folder", found, "sudo streamswarm doctor")
    yield from strays()
    yield kept_in_step()


class _Report:
    """Tells findings as they come."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._console = Console(soft_wrap=True, highlight=False)
        self._told: list[tuple[str, Finding]] = []

    def tell(self, service: str, title: str, findings: Iterator[Finding]) -> None:
        """What was found of one service, or of the host."""
        if not self._as_json:
            self._console.print(Text(title, "bold"))
        for finding in findings:
            self._told.append((service, finding))
            if self._as_json:
                typer.echo(to_json({"service": service, **dataclasses.asdict(finding)}))
            else:
                self._console.print(_line(finding))
        if not self._as_json:
            self._console.print()

    def sum_up(self) -> None:
        """What it comes to, in a line."""
        if self._as_json:
            return
        for state, what in ((State.BROKEN, "broken"), (State.WARNING, "to be looked at")):
            named: dict[str, dict[str, None]] = {}
            for service, one in self._told:
                if one.state is state:
                    named.setdefault(service, {})[one.subject] = None
            if named:
                told = ", ".join(f"{service} ({', '.join(subjects)})" for service, subjects in named.items())
                self._console.print(Text(f"{what}: {told}", _STYLES[state]))
        if not any(one.state in {State.BROKEN, State.WARNING} for _, one in self._told):
            self._console.print(Text(f"nothing is wrong; {len(self._told)} things were looked at", "green"))

    @property
    def exit_code(self) -> int:
        """1 if something is broken."""
        return int(any(one.state is State.BROKEN for _, one in self._told))


def _line(finding: Finding) -> Text:
    """One line; the remedy is a second one, with nothing before it but room, so that it can be copied."""
    word = _WORDS.get(finding.state, finding.state.value)
    line = Text("  ").append(word.ljust(_STATE_WIDTH), _STYLES[finding.state])
    line.append(f"{finding.subject.ljust(_SUBJECT_WIDTH)} {one_line(finding.found)}")
    if finding.remedy:
        line.append(f"\n{' ' * (3 + _STATE_WIDTH + _SUBJECT_WIDTH)}→ {one_line(finding.remedy)}", "bold")
    return line
