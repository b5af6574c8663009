"""Which process listens on a TCP port, from /proc: of other users' processes only root sees it."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LISTENING: Final = "0A"
_COMMAND_CHARACTERS: Final = 60


@dataclass(frozen=True, slots=True)
class Process:
    """A process, as one would look for it."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"process {self.pid} ({self.command})"


def process_of(pid: int, proc: Path = Path("/proc")) -> Process:
    """A process with its command line, as far as it can be seen."""
    words: list[str] = []
    with contextlib.suppress(OSError):
        words = (proc / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    command = " ".join(words).strip()
    shown = command if len(command) <= _COMMAND_CHARACTERS else command[: _COMMAND_CHARACTERS - 1] + "…"
    return Process(pid, shown or "its command can't be seen")


def listener_on(port: int, proc: Path = Path("/proc")) -> Process | None:
    """The process that listens on a port; None if nobody does, or it can't be seen whose it is."""
    wanted = {f"socket:[{inode}]" for inode in _inodes(port, proc)}
    if not wanted:
        return None
    for descriptors in proc.glob("[0-9]*/fd"):
        with contextlib.suppress(OSError):
            if any(str(one.readlink()) in wanted for one in descriptors.iterdir()):
                return process_of(int(descriptors.parent.name), proc)
    return None


def _inodes(port: int, proc: Path) -> Iterator[str]:
    for name in ("net/tcp", "net/tcp6"):
        lines: list[str] = []
        with contextlib.suppress(OSError):
            lines = (proc / name).read_text().splitlines()[1:]
        for line in lines:
            columns = line.split()
            if columns[3] == _LISTENING and int(columns[1].rpartition(":")[2], 16) == port:
                yield columns[9]
