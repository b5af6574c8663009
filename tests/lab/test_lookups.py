"""Names in a network whose name server takes questions and never answers."""

import json
import socket
import sys
from pathlib import Path as FilePath

import pytest

from tests.lab.topology import PathBuilder

pytestmark = pytest.mark.needs("unshare", "util-linux")

_WITH_RESOLVER = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
_ASK = """
import asyncio, json, os, sys, threading
from streamswarm_agent.faults import ProbeFault
from streamswarm_agent.net import lookups
from streamswarm_agent.net.targets import resolve

async def main():
    asked = [asyncio.create_task(resolve(f"host-{number}.example.")) for number in range(40)]
    asked += [asyncio.create_task(resolve("same.example.")) for _ in range(40)]
    while not os.path.exists(sys.argv[1]):
        await asyncio.sleep(0.02)
    known = await resolve("localhost")
    await asyncio.to_thread(str)
    threads = sum(thread.name.endswith(".example.") for thread in threading.enumerate())
    answered = sum(task.done() for task in asked)
    lookups._PATIENCE = 0.1
    try:
        await resolve("late.example.")
    except ProbeFault as fault:
        print(json.dumps([known.host, answered, threads, str(fault)]))

asyncio.run(main())
"""


def test_a_name_server_that_does_not_answer_keeps_nothing_else_waiting_not_even_the_end(
    path: PathBuilder, tmp_path: FilePath
) -> None:
    line = path(hops=0, relay=False)
    resolver = tmp_path / "resolv.conf"
    # The resolver waits for minutes; this test would be given up before.
    resolver.write_text("nameserver 127.0.0.1\noptions timeout:30 attempts:5\n")
    with line.near.entered():
        silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with silent:
        silent.settimeout(30)
        silent.bind(("127.0.0.1", 53))
        all_asked = tmp_path / "all asked"
        command = ["unshare", "--mount", "sh", "-c", _WITH_RESOLVER, resolver, sys.executable, "-c", _ASK, all_asked]
        asking = line.near.popen([str(word) for word in command])
        # Of each name the IPv4 and the IPv6 address, however often it is asked for.
        questions = [silent.recv(1000)[2:] for _ in range(2 * 41)]
        all_asked.touch()
        said, _ = asking.communicate(timeout=30)
    host, answered, threads, fault = json.loads(said)
    assert host in {"127.0.0.1", "::1"}
    assert (answered, threads) == (0, 41)
    assert len(set(questions)) == 2 * 41
    assert fault == "resolver_failure: late.example.: no name server has answered within 0.1 s"


_WITH_HOSTS = 'mount --bind "$0" /etc/hosts && exec "$@"'


@pytest.mark.parametrize(
    ("probe", "target"), [("tcp", "both.test:9"), ("http", "http://both.test:9/"), ("tls", "both.test:9")]
)
@pytest.mark.parametrize(
    ("addresses", "words"),
    [
        (["127.0.0.9", "127.0.0.10"], "127.0.0.9, the first of 2 addresses: Connection refused"),
        (["127.0.0.9"], "127.0.0.9: Connection refused"),
    ],
)
def test_a_fault_of_a_name_says_which_of_its_addresses_was_tried(
    path: PathBuilder, tmp_path: FilePath, probe: str, target: str, addresses: list[str], words: str
) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("".join(f"{address} both.test\n" for address in addresses))
    line = path(hops=0, relay=False)
    asked = [sys.executable, "-m", "streamswarm_cli", "probe", probe, target, "-o", "family=ipv4", "--json"]
    command = ["unshare", "--mount", "sh", "-c", _WITH_HOSTS, str(hosts), *asked]
    said, _ = line.near.popen(command).communicate(timeout=60)
    fields = json.loads(said)["fields"]
    assert (fields["error"], fields["error_detail"]) == ("refused", words)
