import asyncio
import os
import sys
import threading
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.net import tools
from streamswarm_agent.net.tools import run_blocking, run_isolated, run_program
from tests.support import eventually

FOREVER = "import time; time.sleep(600)"


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def is_gone(pid: int) -> bool:
    """Neither running nor a zombie of ours."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE and psutil.Process(pid).ppid() != os.getpid()
    except psutil.NoSuchProcess:
        return True


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


async def test_a_program_that_ends_gives_its_outputs_and_its_code() -> None:
    done = await run_program(python("import sys; print('out'); print('why', file=sys.stderr); sys.exit(3)"), timeout=30)
    assert (done.code, done.stdout, done.stderr, done.truncated) == (3, b"out\n", b"why\n", False)
    assert done.complaint == "why"


async def test_a_program_reads_what_it_is_given_and_sees_the_variables() -> None:
    program = "import os, sys; print(sys.stdin.read(), os.environ['A'], os.environ['LC_ALL'])"
    done = await run_program(python(program), timeout=30, env={"A": "b"}, stdin=b"words")
    assert done.stdout == b"words b C\n"


async def test_a_program_that_is_not_installed_is_a_fault_that_names_it() -> None:
    with pytest.raises(ProbeFault, match="no-such-program is not installed") as raised:
        await run_program(["no-such-program"], timeout=30)
    assert raised.value.fault is Fault.MISSING_PROGRAM


async def test_a_program_that_may_not_be_run_is_a_fault_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "program"
    path.write_text("")
    with pytest.raises(ProbeFault, match="program: Permission denied") as raised:
        await run_program([str(path)], timeout=30)
    assert raised.value.fault is Fault.PERMISSION


@pytest.mark.parametrize("ignores", ["", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "])
async def test_a_program_that_takes_too_long_is_ended_with_all_it_started(tmp_path: Path, ignores: str) -> None:
    pids = tmp_path / "pids"
    program = (
        f"{ignores}import os, subprocess, sys; child = subprocess.Popen([sys.executable, '-c', {FOREVER!r}]);"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}'); {FOREVER}"
    )
    with pytest.raises(ProbeFault, match="did not end within") as raised:
        await run_program(python(program), timeout=3)
    assert raised.value.fault is Fault.TIMEOUT
    for pid in map(int, pids.read_text().split()):
        eventually(partial(is_gone, pid), bool)


async def test_a_cancelled_caller_leaves_no_process_behind(tmp_path: Path) -> None:
    mark = tmp_path / "started"
    before = children()
    task = asyncio.create_task(run_program(python(f"open({str(mark)!r}, 'w'); {FOREVER}"), timeout=600))
    await asyncio.to_thread(eventually, mark.exists, bool)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert children() == before


async def test_what_a_program_leaves_running_is_ended_when_it_ends(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    program = (
        f"import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', {FOREVER!r}]);"
        f"open({str(pids)!r}, 'w').write(str(child.pid))"
    )
    done = await run_program(python(program), timeout=60)
    assert done.code == 0
    eventually(lambda: is_gone(int(pids.read_text())), bool)


async def test_output_beyond_the_limit_is_dropped_and_said_so() -> None:
    done = await run_program(python("print('x' * 1_000_000)"), timeout=60, most_output=1000)
    assert (len(done.stdout), done.truncated, done.code) == (1000, True, 0)


async def test_no_descriptor_and_no_zombie_is_left_by_many_programs() -> None:
    await run_program(["true"], timeout=30)
    before, descriptors = children(), psutil.Process().num_fds()
    await asyncio.gather(*(run_program(["true"], timeout=30) for _ in range(40)))
    assert children() == before
    assert psutil.Process().num_fds() == descriptors


async def test_only_so_many_programs_run_at_a_time(tmp_path: Path) -> None:
    program = (
        f"import os, pathlib, time; mine = pathlib.Path({str(tmp_path)!r}, str(os.getpid())); mine.touch();"
        "time.sleep(0.1); print(len(list(mine.parent.iterdir()))); mine.unlink()"
    )
    finished = await asyncio.gather(*(run_program(python(program), timeout=60) for _ in range(tools.MOST_PROGRAMS * 2)))
    assert max(int(done.stdout) for done in finished) <= tools.MOST_PROGRAMS


def add(first: int, second: int) -> dict[str, int]:
    print("a library that prints")  # noqa: T201 - what it prints must not spoil the result
    return {"sum": first + second}


def refuse() -> None:
    raise ProbeFault(Fault.REFUSED, "the server is full")


def stumble() -> None:
    raise ValueError("a library's own error")


def hang() -> None:
    time.sleep(600)


async def test_an_isolated_call_gives_its_result() -> None:
    assert await run_isolated(add, 2, 3, timeout=60) == {"sum": 5}


async def test_an_isolated_calls_fault_comes_as_it_was() -> None:
    with pytest.raises(ProbeFault, match="refused: the server is full"):
        await run_isolated(refuse, timeout=60)


async def test_an_isolated_calls_error_is_a_fault() -> None:
    with pytest.raises(ProbeFault, match="internal: ValueError: a library's own error"):
        await run_isolated(stumble, timeout=60)


async def test_an_isolated_call_that_hangs_is_ended() -> None:
    before = children()
    with pytest.raises(ProbeFault, match="timeout"):
        await run_isolated(hang, timeout=1)
    assert children() == before


async def test_a_blocking_call_gives_its_result_or_its_error() -> None:
    assert await run_blocking(add, 2, 3, timeout=60) == {"sum": 5}
    with pytest.raises(ValueError, match="own error"):
        await run_blocking(stumble, timeout=60)


async def test_blocking_calls_that_hang_keep_their_places_and_nothing_else() -> None:
    free = threading.Event()
    try:
        for _ in range(tools.MOST_THREADS):
            with pytest.raises(ProbeFault, match="did not return within"):
                await run_blocking(free.wait, timeout=0.01)
        with pytest.raises(ProbeFault, match="blocking calls hang"):
            await run_blocking(add, 1, 1, timeout=1)
        assert await asyncio.to_thread(add, 1, 1) == {"sum": 2}
    finally:
        free.set()
    await asyncio.to_thread(eventually, lambda: tools._threads._value, lambda free: free == tools.MOST_THREADS)
    assert await run_blocking(add, 1, 1, timeout=60) == {"sum": 2}
