"""Programs and blocking libraries, run beside the event loop: few at a time, each with a hard time limit, each reaped.

Which one to take:

- `run_program` for a program (`iperf3`, `smartctl`): it and all it started are ended when the time is up.
- `run_isolated` for a library that may hang (`speedtest`): a Python process of its own, ended in the same way.
- `run_blocking` for a call that returns at once unless the host is sick (`psutil`, `/sys`): a thread. Nothing can end a
  thread, so one that hangs keeps its place among the MOST_THREADS until it returns; when all places hang, further calls
  are refused, and the event loop, name resolution and other probes never notice.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from streamswarm_agent.faults import Fault, ProbeFault, from_os_error

MOST_PROGRAMS: Final = 8
MOST_THREADS: Final = 8
MOST_OUTPUT: Final = 4_000_000
_GRACE_SECONDS: Final = 1.0
_CHUNK: Final = 65_536

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Finished:
    """A program that has ended.

    Attributes:
        code: its exit code; negative: the signal that ended it.
        stdout: what it wrote, at most the limit.
        stderr: the same for standard error.
        truncated: whether it wrote more than the limit of either.
        seconds: how long it ran.
    """

    code: int
    stdout: bytes
    stderr: bytes
    truncated: bool
    seconds: float

    @property
    def complaint(self) -> str:
        """The last line it wrote to standard error, else to standard output: mostly the reason why it failed."""
        lines = (self.stderr.strip() or self.stdout.strip()).decode(errors="replace").splitlines()
        return lines[-1].strip()[:300] if lines else f"exit code {self.code}"


async def run_program(
    argv: Sequence[str],
    *,
    timeout: float,  # noqa: ASYNC109 - on expiry processes have to be ended, which a caller's asyncio.timeout can't do
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    most_output: int = MOST_OUTPUT,
) -> Finished:
    """Run a program to its end; an exit code other than 0 is for the caller to judge.

    It runs in a session of its own. When the time is up, or the caller is cancelled, the whole group gets SIGTERM and
    a second later SIGKILL; what the program left behind when it ended by itself gets SIGKILL at once.

    Args:
        argv: the program and its arguments; no shell sees them.
        timeout: seconds from its start; waiting for a place among MOST_PROGRAMS doesn't count.
        env: variables beside the agent's own; `LC_ALL=C` is set unless this says otherwise.
        stdin: what it can read; at most a pipe's worth, 64 KiB.
        most_output: bytes kept of each of its outputs; the rest is read and dropped.

    Raises:
        ProbeFault: the program isn't installed, may not be run, or didn't end in time.
    """
    places = _places()
    await places.acquire()
    try:
        process = _start(argv, env, stdin)
    except BaseException:
        places.release()
        raise
    outputs = [_Output(stream, most_output) for stream in (process.stdout, process.stderr)]
    started = time.monotonic()
    try:
        await _run_to_end(process, outputs, argv[0], timeout)
        seconds = time.monotonic() - started
    finally:
        for output in outputs:
            output.close()
        _reap(process, places.release)
    truncated = any(output.truncated for output in outputs)
    return Finished(process.returncode, bytes(outputs[0].kept), bytes(outputs[1].kept), truncated, seconds)


async def run_isolated(
    function: Callable[..., Any],
    *arguments: Any,
    timeout: float,  # noqa: ASYNC109 - as for run_program
) -> Any:
    """Call a function in a Python process of its own, which is ended when the time is up.

    Args:
        function: a function of a module, found there by its name.
        arguments: what JSON can carry, as must be the result.
        timeout: seconds, Python's start (about 0.1 s) included.

    Raises:
        ProbeFault: it didn't end in time, or raised; a ProbeFault that it raised comes as it was.
    """
    try:
        done = await run_program(
            [sys.executable, "-m", "streamswarm_agent.net.isolated", function.__module__, function.__qualname__],
            timeout=timeout,
            env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=json.dumps(arguments).encode(),
        )
    except ProbeFault as fault:
        if fault.fault is Fault.TIMEOUT:
            raise ProbeFault(Fault.TIMEOUT, f"{function.__qualname__} did not end within {timeout:g} s") from None
        raise
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        raise ProbeFault(Fault.INTERNAL, f"{function.__qualname__}: {done.complaint}") from None
    if "fault" in answer:
        raise ProbeFault(Fault(answer["fault"]), answer["detail"])
    return answer["result"]


async def run_blocking(
    function: Callable[..., Result],
    *arguments: Any,
    timeout: float,  # noqa: ASYNC109 - the thread goes on after it, which the caller has to know
) -> Result:
    """Call a function in a thread, and stop waiting for it when the time is up.

    Raises:
        ProbeFault: it didn't return in time, or all MOST_THREADS places are taken by calls that hang.
    """
    if not _threads.acquire(blocking=False):
        raise ProbeFault(Fault.INTERNAL, f"{MOST_THREADS} blocking calls hang on this host; no more are begun")
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def call() -> None:
        try:
            result = function(*arguments)
        except BaseException as error:  # noqa: BLE001 - whatever it is belongs to the caller
            _threads.release()
            _deliver(loop, future, error=error)
        else:
            _threads.release()
            _deliver(loop, future, result)

    # A daemon: an agent that is told to stop doesn't wait for a call that hangs.
    threading.Thread(target=call, name=f"blocking {function.__name__}", daemon=True).start()
    try:
        async with asyncio.timeout(timeout):
            return await future
    except TimeoutError:
        if future.done() and not future.cancelled():
            raise
        raise ProbeFault(Fault.TIMEOUT, f"{function.__name__} did not return within {timeout:g} s") from None


_threads: Final = threading.BoundedSemaphore(MOST_THREADS)
_program_places: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore]] = WeakKeyDictionary()


def _places() -> asyncio.Semaphore:
    """The running loop's places for programs."""
    return _program_places.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(MOST_PROGRAMS))


def _deliver(
    loop: asyncio.AbstractEventLoop,
    future: "asyncio.Future[Any]",
    result: Any = None,
    *,
    error: BaseException | None = None,
) -> None:
    def settle() -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)

    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(settle)


def _start(argv: Sequence[str], env: Mapping[str, str] | None, stdin: bytes) -> "subprocess.Popen[bytes]":
    reading, writing = os.pipe()
    try:
        os.set_blocking(writing, False)
        os.write(writing, stdin)
        return subprocess.Popen(  # noqa: S603 - callers give fixed programs; no shell is involved
            list(argv),
            stdin=reading,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C", **(env or {})},
            start_new_session=True,
        )
    except FileNotFoundError:
        raise ProbeFault(Fault.MISSING_PROGRAM, f"{argv[0]} is not installed on this host") from None
    except OSError as error:
        fault = from_os_error(error)
        raise ProbeFault(fault.fault, f"{argv[0]}: {fault.detail}") from None
    finally:
        os.close(reading)
        os.close(writing)


async def _run_to_end(
    process: "subprocess.Popen[bytes]",
    outputs: "Sequence[_Output]",
    name: str,
    timeout: float,  # noqa: ASYNC109 - as for run_program
) -> None:
    """Wait until the process has ended, by itself or not, without reaping it: its number stays its group's."""
    async with _exit_of(process) as ended:
        try:
            async with asyncio.timeout(timeout):
                await ended.wait()
        except TimeoutError:
            raise ProbeFault(Fault.TIMEOUT, f"{name} did not end within {timeout:g} s") from None
        finally:
            try:
                if not ended.is_set():
                    _signal_group(process, signal.SIGTERM)
                    await _within_grace(ended)
            finally:
                _signal_group(process, signal.SIGKILL)
                await _within_grace(ended)
    for output in outputs:
        await _within_grace(output.closed)


async def _within_grace(event: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_GRACE_SECONDS):
            await event.wait()


@contextlib.asynccontextmanager
async def _exit_of(process: "subprocess.Popen[bytes]") -> AsyncIterator[asyncio.Event]:
    """An event that is set when the process has ended."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    descriptor = os.pidfd_open(process.pid)
    loop.add_reader(descriptor, ended.set)
    try:
        yield ended
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _signal_group(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _reap(process: "subprocess.Popen[bytes]", release: Callable[[], None]) -> None:
    """Take the exit code and give the place back.

    A process that waits for a sick disk can't even be killed; it keeps its place until it has ended after all.
    """
    if process.poll() is not None:
        release()
        return
    loop = asyncio.get_running_loop()

    def wait() -> None:
        process.wait()
        with contextlib.suppress(RuntimeError):  # the loop is closed: there are no places any more
            loop.call_soon_threadsafe(release)

    threading.Thread(target=wait, name=f"reaper of {process.pid}", daemon=True).start()


class _Output:
    """Reads one output of a program, keeps its beginning."""

    def __init__(self, stream: Any, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self.kept = bytearray()
        self.truncated = False
        self.closed = asyncio.Event()
        os.set_blocking(stream.fileno(), False)
        self._loop.add_reader(stream.fileno(), self._read)

    def _read(self) -> None:
        try:
            chunk = os.read(self._stream.fileno(), _CHUNK)
        except BlockingIOError:
            return
        room = self._limit - len(self.kept)
        self.kept += chunk[:room]
        self.truncated |= len(chunk) > room
        if not chunk:
            self._loop.remove_reader(self._stream.fileno())
            self.closed.set()

    def close(self) -> None:
        self._loop.remove_reader(self._stream.fileno())
        self._stream.close()
