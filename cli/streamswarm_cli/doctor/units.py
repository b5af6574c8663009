"""What systemd starts a service with: its user, folder, environment and rights, read from its unit."""

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from streamswarm_core.doctor.files import is_there
from streamswarm_core.doctor.starting import UNIT_FOLDERS


class UnreadableError(Exception):
    """A file that systemd reads as root can't be read by this user."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        super().__init__(f"{path}: {reason}")


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit with its drop-ins.

    Attributes:
        path: the unit's file.
        user: who the service runs as; root if empty.
        folder: its working directory.
        environment: its variables, those of its files included.
        files: the environment's files that are there.
        capabilities: what it has without being root, such as CAP_NET_RAW.
        open_files: limit of descriptors; empty if the unit has none.
    """

    path: Path
    user: str = ""
    folder: Path = Path("/")
    environment: dict[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    capabilities: tuple[str, ...] = ()
    open_files: str = ""


def unit_of(service: str, folders: Iterable[Path] = UNIT_FOLDERS) -> Unit | None:
    """A service's unit, from the first of the folders that has one; None if systemd doesn't know the service.

    Raises:
        UnreadableError: this user may not read it, or a file that it names.
    """
    name = f"streamswarm-{service}.service"
    path = next((folder / name for folder in folders if is_there(folder / name)), None)
    if path is None:
        return None
    drop_ins = {one.name: one for folder in reversed(list(folders)) for one in (folder / f"{name}.d").glob("*.conf")}
    unit: dict[str, list[str]] = {}
    for file in (path, *(drop_ins[one] for one in sorted(drop_ins))):
        for key, value in _assignments(_read(file)):
            # An empty value takes back what was said before.
            unit[key] = [*unit.get(key, []), value] if value else []
    environment = dict(
        pair.split("=", 1) for line in unit.get("Environment", []) for pair in shlex.split(line) if "=" in pair
    )
    files = []
    for named in unit.get("EnvironmentFile", []):
        file = Path(named.removeprefix("-"))
        if is_there(file) or not named.startswith("-"):
            environment |= environment_file(_read(file))
            files.append(file)
    return Unit(
        path,
        _last(unit, "User"),
        Path(_last(unit, "WorkingDirectory").removeprefix("-") or "/"),
        environment,
        tuple(files),
        tuple(name for line in unit.get("AmbientCapabilities", []) for name in line.split()),
        _last(unit, "LimitNOFILE").partition(":")[0],
    )


def environment_file(text: str) -> dict[str, str]:
    r"""The variables of a file as systemd reads it: no expansion, quotes around a value are taken off.

    >>> environment_file("# comment\nA=1 # not a comment\nB='two words'\n")
    {'A': '1 # not a comment', 'B': 'two words'}
    """
    found = {}
    for key, value in _assignments(text):
        quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
        found[key] = value[1:-1] if quoted else value
    return found


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    for line in text.replace("\\\n", " ").splitlines():
        key, equals, value = line.strip().partition("=")
        if equals and not key.startswith(("#", ";", "[")):
            yield key.strip(), value.strip()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableError(path, getattr(error, "strerror", None) or "not UTF-8") from None


def _last(unit: dict[str, list[str]], key: str) -> str:
    return next(iter(unit.get(key, [])[-1:]), "")
