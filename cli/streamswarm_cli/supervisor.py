"""Runs several services as one group: started in order, restarted when they crash, stopped together."""

import asyncio
import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import httpx

from streamswarm_core.errors import StreamSwarmError

STOP_SECONDS: Final = 10.0
_PR_SET_PDEATHSIG: Final = 1
_FIRST_RESTART_SECONDS: Final = 1.0
_LAST_RESTART_SECONDS: Final = 30.0
_STABLE_SECONDS: Final = 60.0
_READY_SECONDS: Final = 60.0
# What our services exit with when a person has to change something first; starting them again would not help.
_EXIT_CONFIG: Final = 2


@dataclass(frozen=True, slots=True)
class Child:
    """One service of the group.

    Attributes:
        name: for people and for the log file.
        command: program and arguments.
        environment: its whole environment.
        health_url: answers 200 when the service is ready.
        log: file that its output is appended to.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    health_url: str
    log: Path


class ChildFailedError(StreamSwarmError):
    """A service ended before it was ready, or ended in a way that a restart can't mend."""


class Supervisor:
    """Owns the children's processes; `async with` stops them all, whatever happened.

    Each child leads a session of its own, so Ctrl-C in the terminal reaches only the supervisor, which stops them in
    reverse order. If the supervisor itself is killed, the kernel sends the children SIGTERM.

    Args:
        report: told in one line what happened, for the terminal.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._order: list[Child] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for child in reversed(self._order):
            await self._stop(child)

    async def start(self, child: Child) -> None:
        """Start a child and wait until it is healthy.

        Raises:
            ChildFailedError: it ended or wasn't healthy in time; carries the last line of its log.
        """
        self._order.append(child)
        await self._spawn(child)
        deadline = time.monotonic() + _READY_SECONDS
        async with httpx.AsyncClient(timeout=2.0) as client:
            while time.monotonic() < deadline:
                if self._processes[child.name].returncode is not None:
                    raise ChildFailedError(f"{child.name} did not start: {_last_line(child.log)}")
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get(child.health_url)).status_code == 200:
                        return
                await asyncio.sleep(0.1)
        raise ChildFailedError(f"{child.name} was not ready after {_READY_SECONDS:.0f} s; see {child.log}")

    async def watch(self) -> None:
        """Restart children that end, with a growing delay, until cancelled.

        Raises:
            ChildFailedError: one ended because of its configuration.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for child in self._order:
                    group.create_task(self._keep_running(child))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _keep_running(self, child: Child) -> None:
        delay = _FIRST_RESTART_SECONDS
        while True:
            started = time.monotonic()
            code = await self._processes[child.name].wait()
            if code == _EXIT_CONFIG:
                raise ChildFailedError(f"{child.name} stopped: {_last_line(child.log)}")
            if time.monotonic() - started > _STABLE_SECONDS:
                delay = _FIRST_RESTART_SECONDS
            self._report(
                f"{child.name} ended ({_describe_exit(code)}); starting it again in {delay:.0f} s; see {child.log}"
            )
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LAST_RESTART_SECONDS)
            await self._spawn(child)

    async def _spawn(self, child: Child) -> None:
        child.log.parent.mkdir(parents=True, exist_ok=True)
        with child.log.open("ab") as log:
            self._processes[child.name] = await asyncio.create_subprocess_exec(
                *child.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(child.environment),
                start_new_session=True,
                preexec_fn=_die_with_parent(),
            )

    async def _stop(self, child: Child) -> None:
        process = self._processes.get(child.name)
        if process is None or process.returncode is not None:
            return
        _signal_group(process.pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            self._report(f"{child.name} did not stop within {STOP_SECONDS:.0f} s; killed")
        _signal_group(process.pid, signal.SIGKILL)
        await process.wait()


def _signal_group(leader: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, number)


def _die_with_parent() -> Callable[[], None]:
    """Prepare `prctl(PR_SET_PDEATHSIG, SIGTERM)`; loading libc must happen before the fork."""
    libc = ctypes.CDLL(None, use_errno=True)
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM) and None


def _describe_exit(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1].removeprefix("error: ") if lines else "it said nothing"
