"""Network namespaces that live exactly as long as the process that made them.

A namespace here has no name in /run/netns: an open file descriptor keeps it, so that the kernel takes it down, with its
interfaces, however this process ends. What can outlive a killed test run are programs started inside; they carry their
owner's id in the environment, and `sweep` ends those whose owner is gone.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CLONE_NEWNET: Final = 0x40000000
_THIS_THREAD: Final = "/proc/thread-self/ns/net"
_OWNER: Final = "STREAMSWARM_LAB_OWNER"
_libc: Final = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    """The lab could not be built or used; the message says what to do."""


@dataclass(frozen=True)
class InterfaceCounters:
    """Packets that an interface has seen since it was made."""

    received: int
    sent: int
    received_dropped: int
    sent_dropped: int


class Namespace:
    """A network stack of its own: interfaces, routes, firewall, sockets.

    Args:
        name: what error messages call it.

    Raises:
        LabError: the kernel doesn't let this user make one.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._processes: list[subprocess.Popen[str]] = []
        before = os.open(_THIS_THREAD, os.O_RDONLY)
        try:
            if _libc.unshare(_CLONE_NEWNET):
                reason = os.strerror(ctypes.get_errno())
                raise LabError(f"can't make a network namespace: {reason}; run as root, or as tests/lab/README.md says")
            self._fd = os.open(_THIS_THREAD, os.O_RDONLY)
            _set_network(before)
        finally:
            os.close(before)
        try:
            self.configure(["link set lo up"])
        except LabError:
            os.close(self._fd)
            raise

    @property
    def path(self) -> str:
        """A path for `nsenter --net=…`, and for `ip link set … netns …`; good while this process lives."""
        return f"/proc/{os.getpid()}/fd/{self._fd}"

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Inside, this thread's new sockets, child processes and new threads belong to the namespace.

        Sockets that are already open, and threads that already run (such as those of an executor that has worked
        before), stay where they were.
        """
        before = os.open(_THIS_THREAD, os.O_RDONLY)
        _set_network(self._fd)
        try:
            yield
        finally:
            _set_network(before)
            os.close(before)

    def run(
        self, argv: Sequence[str], *, timeout: float = 30.0, check: bool = True, feed: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a program inside to its end, `feed` on its standard input.

        Raises:
            LabError: it ended with an error although `check`; with all that it wrote.
            subprocess.TimeoutExpired: it took longer; it has been killed.
        """
        with self.entered():
            finished = subprocess.run(
                argv, input=feed, capture_output=True, text=True, timeout=timeout, check=False, env=_environment()
            )
        if check and finished.returncode:
            said = (finished.stderr + finished.stdout).strip()
            raise LabError(f"in {self.name}: {' '.join(argv)} ended with {finished.returncode}: {said}\n{feed}".strip())
        return finished

    def popen(
        self, argv: Sequence[str], *, environment: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.Popen[str]:
        """Start a program inside, its output in a pipe (`stdout`, with errors); it ends with the namespace."""
        with self.entered():
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env={**_environment(), **(environment or {})},
                cwd=cwd,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def configure(self, commands: Sequence[str]) -> None:
        """Run commands of `ip`, all in one process.

        Raises:
            LabError: one of them was refused.
        """
        self.run(["ip", "-batch", "-"], feed="\n".join(commands) + "\n")

    def sysctl(self, values: Mapping[str, int | str]) -> None:
        """Set what is under /proc/sys/net: `{"ipv4/ip_forward": 1}`.

        Raises:
            LabError: the kernel has no such setting, or refuses the value.
        """
        with self.entered():
            for key, value in values.items():
                try:
                    Path("/proc/sys/net", key).write_text(str(value), encoding="ascii")
                except OSError as error:
                    raise LabError(f"in {self.name}: can't set net/{key} to {value}: {error.strerror}") from None

    def counters(self, interface: str) -> InterfaceCounters:
        """What the interface has counted.

        Raises:
            LabError: there is no such interface.
        """
        with self.entered():
            lines = Path("/proc/thread-self/net/dev").read_text(encoding="ascii").splitlines()
        for line in lines:
            name, colon, columns = line.partition(":")
            if colon and name.strip() == interface:
                numbers = [int(column) for column in columns.split()]
                return InterfaceCounters(numbers[1], numbers[9], numbers[3], numbers[11])
        raise LabError(f"{self.name} has no interface {interface}")

    def close(self) -> None:
        """End what was started inside and let go of the namespace."""
        for process in self._processes:
            end(process)
        os.close(self._fd)


def sweep() -> list[int]:
    """End the programs of test runs that are gone, and say which they were."""
    ended = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        owner = next((v.partition(b"=")[2].decode() for v in variables if v.startswith(_OWNER.encode() + b"=")), None)
        if owner is not None and not _is_alive(owner):
            with contextlib.suppress(OSError):
                os.kill(int(folder.name), signal.SIGKILL)
                ended.append(int(folder.name))
    return ended


def _environment() -> dict[str, str]:
    return {**os.environ, _OWNER: f"{os.getpid()}:{_started(os.getpid())}"}


def _started(pid: int) -> str:
    """When a process started, in clock ticks since boot; tells it from a later one with the same id."""
    after_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
    return after_name.split()[19]


def _is_alive(owner: str) -> bool:
    pid, _, started = owner.partition(":")
    try:
        return _started(int(pid)) == started
    except (OSError, ValueError):
        return False


def end(process: subprocess.Popen[str]) -> None:
    """End a process and all that it has started, at first politely."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.stdout is not None:
        process.stdout.close()


@contextlib.contextmanager
def staying_at_home() -> Iterator[Callable[[], bool]]:
    """Bring this thread back to its network at the end; what is yielded then says whether it was elsewhere."""
    home, before = os.open(_THIS_THREAD, os.O_RDONLY), _which()
    left: list[bool] = []
    try:
        yield lambda: left == [True]
    finally:
        left.append(_which() != before)
        _set_network(home)
        os.close(home)


def _which() -> str:
    return str(Path(_THIS_THREAD).readlink())


def _set_network(fd: int) -> None:
    if _libc.setns(fd, _CLONE_NEWNET):
        raise LabError(f"can't enter a network namespace: {os.strerror(ctypes.get_errno())}")
