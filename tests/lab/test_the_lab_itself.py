"""The lab is the ruler for everything else, so it is measured first, with programs that nobody here wrote."""

import contextlib
import re
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path as FilePath

import pytest

from tests.lab.capture import Capture
from tests.lab.namespace import Namespace, sweep
from tests.lab.topology import Lab, MultipathBuilder, Path, PathBuilder
from tests.support import eventually

needs_ping = pytest.mark.needs("ping", "iputils-ping")


def round_trips(namespace: Namespace, target: str, count: int = 5, *options: str) -> list[float]:
    """Milliseconds that `ping` reads, one a reply."""
    argv = ["ping", "-n", "-c", str(count), "-i", "0.01", "-W", "2", *options, target]
    return [float(found) for found in re.findall(r"time=([\d.]+)", namespace.run(argv, check=False).stdout)]


@needs_ping
@pytest.mark.parametrize("family", ["target", "target6"])
def test_no_reply_is_earlier_than_the_delay_of_both_directions(path: PathBuilder, family: str) -> None:
    line = path(there={"delay_ms": 12}, back={"delay_ms": 7})
    times = round_trips(line.near, getattr(line, family))
    assert len(times) == 5
    assert min(times) >= 19


@needs_ping
def test_delay_can_be_changed_under_way(path: PathBuilder) -> None:
    line = path()
    line.set(delay_ms=15)
    assert min(round_trips(line.near, line.target)) >= 30
    line.set(there={"delay_ms": 40})
    assert min(round_trips(line.near, line.target)) >= 55


@needs_ping
def test_every_router_says_when_the_ttl_is_used_up(path: PathBuilder) -> None:
    line = path(hops=4)
    for target, family in ((line.target, "v4"), (line.target6, "v6")):
        for ttl, router in enumerate(line.routers, 1):
            said = line.near.run(["ping", "-n", "-c1", "-W2", "-t", str(ttl), target], check=False).stdout
            assert f"From {getattr(router, family)} icmp_seq=1 Time" in said
        assert len(round_trips(line.near, target, 1, "-t", "5")) == 1


@needs_ping
def test_a_path_without_a_relay_carries_both_families(path: PathBuilder) -> None:
    line = path(hops=1, relay=False)
    assert len(round_trips(line.near, line.target)) == 5
    assert len(round_trips(line.near, line.target6)) == 5


@needs_ping
def test_every_echo_is_accounted_for_by_the_truth(path: PathBuilder) -> None:
    line = path(there={"loss": 0.3}, back={"loss": 0.2})
    times = round_trips(line.near, line.target, 100)
    truth = line.truth
    assert truth.there.received == 100
    assert truth.there.lost + truth.back.received == 100
    assert truth.back.lost + len(times) == truth.back.received
    assert truth.there.lost > truth.back.lost > 0
    assert truth.there.overflowed == truth.back.overflowed == 0


@needs_ping
def test_copies_are_counted(path: PathBuilder) -> None:
    line = path(there={"duplicate": 1})
    said = line.near.run(["ping", "-n", "-c5", "-i0.01", line.target]).stdout
    # ping stops at the fifth reply, so that the last copy isn't printed.
    assert said.count("DUP!") >= 4
    assert line.truth.there.duplicated == 5


def send_numbered(line: Path, count: int, *, size: int = 4) -> list[int]:
    """Send datagrams from near to far and return their numbers in the order of arrival."""
    with line.far.entered():
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with line.near.entered():
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with receiver, sender:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        receiver.bind((line.target, 0))
        receiver.settimeout(0.5)
        for number in range(count):
            sender.sendto(number.to_bytes(4, "big").ljust(size, b"\0"), receiver.getsockname())
        arrived = []
        while True:
            try:
                arrived.append(int.from_bytes(receiver.recv(2_000)[:4], "big"))
            except TimeoutError:
                return arrived


def test_jitter_keeps_the_order_of_packets(path: PathBuilder) -> None:
    line = path(delay_ms=5, jitter_ms=10, jitter="exponential")
    assert send_numbered(line, 300) == list(range(300))
    assert line.truth.there.reordered == 0


def test_reordering_is_counted_as_the_receiver_sees_it(path: PathBuilder) -> None:
    line = path(there={"reorder": 0.1})
    arrived = send_numbered(line, 300)
    behind = sum(number < max(arrived[:place]) for place, number in enumerate(arrived) if place)
    assert sorted(arrived) == list(range(300))
    assert line.truth.there.reordered == behind > 0


def test_the_same_seed_loses_the_same_packets(path: PathBuilder) -> None:
    first, second, other = (send_numbered(path(loss=0.5, seed=seed), 100) for seed in (7, 7, 8))
    assert first == second != other


def test_bursts_lose_packets_in_a_row(path: PathBuilder) -> None:
    line = path(there={"loss": 0.2, "burst": 8})
    arrived = set(send_numbered(line, 4_000))
    lost = [number for number in range(4_000) if number not in arrived]
    runs = sum(number - 1 in arrived or number == 0 for number in lost)
    assert line.truth.there.lost == len(lost)
    assert len(lost) / runs > 4


def test_a_full_queue_drops_its_tail_and_the_rest_takes_its_time(path: PathBuilder) -> None:
    line = path(rate="4mbit", queue_ms=50, record=True)
    # 1,028 bytes with headers take 2.056 ms each, so some 25 fit into the queue.
    arrived = send_numbered(line, 100, size=1_000)
    truth, records = line.truth.there, line.records("there")
    assert len(arrived) == truth.delivered
    assert arrived[:20] == list(range(20))
    assert truth.queue_dropped == 100 - truth.delivered > 0
    last_sent = max(record.sent_ns for record in records if record.sent_ns is not None)
    assert last_sent - min(record.arrived_ns for record in records) >= truth.delivered * 2_056_000
    assert {record.size for record in records} == {1_028}


@needs_ping
def test_what_exceeds_the_mtu_is_answered_by_the_router_before_it(path: PathBuilder) -> None:
    line = path(mtu=1_400)
    said = line.near.run(["ping", "-n", "-c1", "-W2", "-Mdo", "-s1400", line.target], check=False).stdout
    assert f"From {line.routers[0].v4} icmp_seq=1 Frag needed and DF set (mtu = 1400)" in said
    said = line.near.run(["ping", "-n", "-c1", "-W2", "-Mdo", "-s1400", line.target6], check=False).stdout
    assert f"From {line.routers[0].v6} icmp_seq=1 Packet too big: mtu=1400" in said
    assert len(round_trips(line.near, line.target, 1, "-Mdo", "-s1372")) == 1


@needs_ping
def test_what_is_swallowed_has_no_answer(path: PathBuilder) -> None:
    line = path(there={"swallow_over": 1_300})
    assert round_trips(line.near, line.target, 1, "-W1", "-s1300") == []
    assert len(round_trips(line.near, line.target, 1, "-s1200")) == 1
    assert line.truth.there.swallowed == 1


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_flows_spread_over_equal_cost_paths(multipath: MultipathBuilder, family: socket.AddressFamily) -> None:
    net = multipath({}, {})
    target = net.target if family == socket.AF_INET else net.target6
    with net.near.entered():
        senders = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(64)]
    for sender in senders:
        with sender:
            sender.sendto(b"", (target, 33_434))
    carried = eventually(
        lambda: [branch.wire.truth.there.received for branch in net.branches], lambda counts: sum(counts) == 64
    )
    assert min(carried) > 0


@needs_ping
def test_a_capture_sees_both_directions_with_the_kernels_clock(path: PathBuilder) -> None:
    line = path(hops=1, delay_ms=20)
    with Capture(line.near, "to-r1") as near, Capture(line.far, "to-r1") as far:
        line.near.run(["ping", "-n", "-c1", line.target])
        request, reply = near.take()
        arrived, _answered = far.take()
    assert (request.outgoing, reply.outgoing, arrived.outgoing) == (True, False, False)
    assert request.transport == arrived.transport
    assert arrived.at_ns - request.at_ns >= 20_000_000
    assert reply.at_ns - request.at_ns >= 40_000_000


def test_threads_started_inside_stay_inside(path: PathBuilder) -> None:
    line = path(hops=0, relay=False)

    def local_address() -> str:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((line.target, 9))
            return str(probe.getsockname()[0])

    with line.near.entered(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(local_address).result() == line.near_address
    with contextlib.suppress(OSError):
        assert local_address() != line.near_address


def test_programs_started_inside_end_with_the_lab(lab: Lab) -> None:
    process = lab.path(hops=0).near.popen(["sleep", "1000"])
    assert process.poll() is None
    lab.close()
    assert process.poll() is not None


@pytest.mark.usefixtures("lab")
def test_what_a_killed_run_left_behind_is_swept() -> None:
    program = (
        "from tests.lab.namespace import Namespace; "
        "print(Namespace('x').popen(['sleep', '1000']).pid, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=FilePath(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        left_behind = int(owner.stdout.readline())
        assert left_behind not in sweep()
        owner.kill()
    assert left_behind in sweep()


def test_a_thread_that_is_elsewhere_is_not_moved(path: PathBuilder) -> None:
    line = path(hops=0, relay=False)
    inside, done = threading.Event(), threading.Event()

    def stay() -> None:
        with line.near.entered():
            inside.set()
            done.wait(10)

    thread = threading.Thread(target=stay)
    thread.start()
    inside.wait(10)
    interfaces = FilePath("/proc/thread-self/net/dev").read_text(encoding="ascii")
    done.set()
    thread.join()
    assert "to-far" not in interfaces


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"loss": 2}, "loss is a ratio from 0 to 1, not 2"),
        ({"delay_ms": -1}, "delay_ms can't be negative"),
        ({"rate": "fast"}, "a rate reads like 500kbit, 10mbit or 1gbit, not 'fast'"),
        ({"mtu": 576}, "mtu is from 1280"),
        ({"hops": -1}, "hops is from 0 to 60"),
        ({"at": 9}, "at=9 is none of them"),
        ({"burst": 0}, "burst is a mean number of packets"),
    ],
)
def test_nonsense_is_refused_with_what_would_do(path: PathBuilder, wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        path(**wrong)
