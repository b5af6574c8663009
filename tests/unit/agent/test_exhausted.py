"""A host that has run out of descriptors, threads or memory: the agent says so, and blames no target for it."""

import errno
import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from streamswarm_agent.faults import Fault, from_os_error
from streamswarm_agent.net.lookups import look_up
from streamswarm_agent.schedule import Scheduler
from streamswarm_core.assignment import Assignment
from tests.support import until
from tests.unit.agent.scheduling import Bench, assignment

CLAIM = """
import resource
from streamswarm_agent.descriptors import claim_descriptors
print(claim_descriptors(256), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "claimed"),
    [(64, 64, "16 64 64"), (256, 256, "64 256 256"), (64, 4096, "256 640 4096"), (1024, 4096, "256 1024 4096")],
)
def test_so_many_runs_are_begun_that_descriptors_are_left_for_the_agent(soft: int, hard: int, claimed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CLAIM],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == claimed.split()
    assert ("raise LimitNOFILE (ulimit -n) to 640" in done.stderr) == (hard < 640)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS])
def test_what_this_host_lacks_is_not_said_of_the_target(number: int) -> None:
    assert from_os_error(OSError(number, "")).fault is Fault.INTERNAL


async def test_a_run_that_gets_no_descriptor_says_what_to_do_without_a_traceback(
    schedulers: Callable[[Bench], Scheduler], caplog: pytest.LogCaptureFixture
) -> None:
    async def open_nothing(_assignment: Assignment) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    bench = Bench(open_nothing)
    schedulers(bench).update([assignment()])
    await until(lambda: bool(bench.failures))
    said = "the agent's file descriptors are used up; raise LimitNOFILE (ulimit -n)"
    assert bench.failures[0] == ("t1", Fault.INTERNAL, said)
    assert f"t1: {said}" in caplog.messages
    assert not any(record.exc_info for record in caplog.records)


async def test_a_name_that_no_thread_can_look_up_is_the_resolvers_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    with pytest.raises(socket.gaierror) as told:
        await look_up("localhost", socket.AF_UNSPEC)
    fault = from_os_error(told.value)
    assert fault.fault is Fault.RESOLVER_FAILURE
    assert "no more threads (ulimit -u, TasksMax)" in fault.detail
