"""Looks at one service as it is started here: in this process, or in one of the service's own user."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from streamswarm_cli.doctor.places import Place, environment_of, group_settings
from streamswarm_cli.doctor.settings import load, not_installed
from streamswarm_cli.services import NotInstalledError
from streamswarm_core.doctor.files import is_there, user_name
from streamswarm_core.doctor.finding import Finding, State, broken, note, warning
from streamswarm_core.settings import PREFIX

if TYPE_CHECKING:
    import pwd

_CHILD_SECONDS: Final = 120


def look(place: Place) -> Iterator[Finding]:
    """Everything that is to be said of a service."""
    if place.unit is not None and not is_there(place.unit.folder):
        remedy = (
            f"make it, and give it to {place.unit.user or 'root'}; StateDirectory= of the unit does so at the start"
        )
        yield broken("folder", f"{place.unit.folder} isn't there, in which the service is started", remedy)
        return
    if place.user:
        yield from _as_user(place)
        return
    if place.unit is not None:
        if user_name() != (place.unit.user or "root"):
            wanted = place.unit.user or "root"
            found = f"you are {user_name()}: what only {wanted} may see counts as missing or forbidden below"
            yield warning("user", found, "sudo streamswarm doctor")
        if not os.access(place.unit.folder, os.X_OK):
            found = f"{user_name()} may not enter {place.unit.folder}, in which the service is started"
            yield broken("folder", found, "sudo streamswarm doctor")
            return
    with environment_of(place):
        yield from examine(place)


def examine(place: Place) -> Iterator[Finding]:
    """The service's settings, and what its own package looks at."""
    settings, findings = load(place)
    yield from findings
    if settings is None:
        return
    unusable = group_settings()[1] if place.grouped else []
    if unusable:
        found = f"not looked at further: `streamswarm up` starts nothing with these settings of: {', '.join(unusable)}"
        yield note("group", found, "correct them first")
        return
    try:
        yield from place.service.module("doctor").examine(settings)
    except NotInstalledError as error:
        yield not_installed(error)
    except OSError as error:
        found = f"{error.filename or 'this host'}: {error.strerror or error}; what comes after it wasn't looked at"
        yield broken("doctor", found, "change that, and ask again")


def _as_user(place: Place) -> Iterator[Finding]:
    """Have the service's user look, with the rights that its unit gives it: root may read and write everything."""
    import pwd  # noqa: PLC0415 - Windows has none, and an admin's `--help` there imports this

    try:
        entry = pwd.getpwnam(place.user)
    except KeyError:
        found = f"this host has no user {place.user}, as whom the service is started"
        yield broken("user", found, f"useradd --system --shell /usr/sbin/nologin {place.user}")
        return
    command = [sys.executable, "-P", "-m", "streamswarm_cli", "doctor", place.service.name, "--as-it-is", "--json"]
    try:
        done = subprocess.run(  # noqa: S603 - this program again
            [*_becoming(entry, place), *command],
            env=_environment(place),
            cwd=place.unit.folder if place.unit else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=_CHILD_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        yield warning("user", f"nobody could look as {place.user}: {error}", f"look as {place.user} yourself")
        return
    lines = done.stdout.splitlines()
    if not lines:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        remedy = f"install the program where {place.user} can read and run it, such as /opt/streamswarm"
        yield broken("user", f"{place.user} can't run {sys.executable}: {reason}", remedy)
        return
    for line in lines:
        told = json.loads(line)
        yield Finding(told["subject"], State(told["state"]), told["found"], told["remedy"])


def _becoming(entry: "pwd.struct_passwd", place: Place) -> list[str]:
    names = [name.removeprefix("CAP_").lower() for name in place.unit.capabilities] if place.unit else []
    rights = ",".join(["-all", *(f"+{name}" for name in names)])
    limit = place.unit.open_files if place.unit else ""
    program = shutil.which("setpriv") or "setpriv"
    return [
        *([shutil.which("prlimit") or "prlimit", f"--nofile={limit}"] if limit.isdigit() else []),
        program,
        f"--reuid={entry.pw_uid}",
        f"--regid={entry.pw_gid}",
        "--init-groups",
        f"--inh-caps={rights}",
        f"--ambient-caps={rights}",
        f"--bounding-set={rights}",
    ]


def _environment(place: Place) -> dict[str, str]:
    if place.unit is None:
        return dict(os.environ)
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)} | place.unit.environment
