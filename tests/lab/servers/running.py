"""Starting a server as a process of its own, inside a namespace or on loopback, and being one."""

import asyncio
import contextlib
import dataclasses
import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, ParamSpec, Protocol, TypeVar

from tests.lab.namespace import LabError, Namespace, end

_ROOT: Final = Path(__file__).parents[3]
_START_SECONDS: Final = 30.0
_READY: Final = "ready "


@dataclass(frozen=True, kw_only=True)
class Listening:
    """What all servers' options have in common.

    Attributes:
        host: where it listens: everything of a namespace, IPv4 and IPv6; of this machine only loopback.
        port: 0 takes a free one.
    """

    host: str = "127.0.0.1"
    port: int = 0


Given = TypeVar("Given", bound=Listening)
Keywords = ParamSpec("Keywords")


@dataclass(frozen=True)
class Running:
    """A server that listens.

    Attributes:
        ports: by what they are for: "tcp", "udp", "tls", "https".
        process: the server.
    """

    ports: dict[str, int]
    process: subprocess.Popen[str]

    @property
    def port(self) -> int:
        """Its only or first port."""
        return next(iter(self.ports.values()))


class Starter(Protocol[Keywords]):
    """Starts a server in a namespace, or on loopback; the keywords are those of its options."""

    def __call__(
        self, namespace: Namespace | None = None, *args: Keywords.args, **options: Keywords.kwargs
    ) -> AbstractContextManager[Running]: ...


def starter(module: str, options: Callable[Keywords, Listening]) -> Starter[Keywords]:
    """Make a function that starts `python -m tests.lab.servers.MODULE`."""

    def start_with(
        namespace: Namespace | None = None, *args: Keywords.args, **given: Keywords.kwargs
    ) -> AbstractContextManager[Running]:
        return running(module, options(*args, **given), namespace)

    return start_with


@contextmanager
def running(module: str, options: Listening, namespace: Namespace | None) -> Iterator[Running]:
    """Start `python -m tests.lab.servers.MODULE OPTIONS`, wait until it listens, and end it afterwards.

    Raises:
        LabError: it did not start; with what it said.
    """
    if namespace is not None:
        options = dataclasses.replace(options, host="::")
    given = json.dumps(dataclasses.asdict(options), default=str)
    argv = [sys.executable, "-m", f"tests.lab.servers.{module}", given]
    process = start(argv, namespace)
    try:
        yield Running(_wait_until_ready(module, process), process)
    finally:
        end(process)


def start(argv: list[str], namespace: Namespace | None) -> subprocess.Popen[str]:
    """Start a program inside the namespace, or on this machine."""
    if namespace is not None:
        return namespace.popen(argv, cwd=_ROOT)
    return subprocess.Popen(
        argv,
        cwd=_ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def be_server(options: type[Given], serve: Callable[[Given], Awaitable[dict[str, int]]]) -> None:
    """What a server's module does when it is the program: serve until it is ended."""

    async def forever() -> None:
        ports = await serve(options(**json.loads(sys.argv[1])))
        sys.stdout.write(_READY + json.dumps(ports) + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(forever())


def listen(host: str, port: int, *, backlog: int = 128) -> socket.socket:
    """A TCP socket; on "::" it takes IPv4 too."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server(
        (host, port), family=family, backlog=backlog, dualstack_ipv6=host == "::", reuse_port=False
    )
    listener.setblocking(False)  # noqa: FBT003 - the standard library has no keyword here
    return listener


async def accept(
    listener: socket.socket, handle: Callable[[socket.socket], Awaitable[None]], *, accept_ms: float = 0.0
) -> None:
    """Handle every connection, each in a task; taken from the kernel's backlog only after `accept_ms`."""
    loop = asyncio.get_running_loop()

    async def handled(connection: socket.socket) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError), connection:
            await handle(connection)

    async with asyncio.TaskGroup() as tasks:
        while True:
            if accept_ms:
                await _until_readable(listener)
                await asyncio.sleep(accept_ms / 1000)
            connection, _ = await loop.sock_accept(listener)
            # asyncio does so only for sockets that were made with IPPROTO_TCP, and these were not. Else a second small
            # write waits for the client's delayed acknowledgement, 40 ms that nobody asked for.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            tasks.create_task(handled(connection))


async def _until_readable(listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(listener, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(listener)


def _wait_until_ready(module: str, process: subprocess.Popen[str]) -> dict[str, int]:
    assert process.stdout is not None
    deadline, said = time.monotonic() + _START_SECONDS, []
    while select.select([process.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
        line = process.stdout.readline()
        if line.startswith(_READY):
            ports: dict[str, int] = json.loads(line.removeprefix(_READY))
            return ports
        if not line:
            break
        said.append(line)
    raise LabError(f"the server {module} did not start: {''.join(said)}")
