import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamswarm_agent.host.cpu import cpu_points
from streamswarm_agent.host.facts import read_facts
from streamswarm_agent.host.growth import Growth
from streamswarm_agent.host.memory import memory_points, pressure_points
from streamswarm_agent.host.processes import Process, parse_stat, process_points, read_processes
from streamswarm_agent.host.timekeeping import Timex, clock_points
from streamswarm_core.point import FieldValue
from tests.unit.agent.host_trees import HostTree, fields_of


@pytest.fixture
def server(tmp_path: Path) -> HostTree:
    return HostTree("server", tmp_path)


def cpu_fields(tree: HostTree, growth: Growth) -> dict[str, FieldValue]:
    return fields_of(cpu_points(growth, tree.proc, tree.sys), "host_cpu")


def test_the_first_look_at_a_processor_has_no_shares_and_no_rates(server: HostTree) -> None:
    assert cpu_fields(server, Growth(0)) == {
        "cores": 2,
        "frequency": 1.8e9,
        "load1": 0.5,
        "load5": 0.75,
        "load15": 1.25,
        "uptime": 86400.25,
    }


def test_processor_time_is_shared_out_over_the_time_since_the_last_run(server: HostTree) -> None:
    first = Growth(0)
    cpu_fields(server, first)
    # 1000 ticks went by on two processors: one of them was always busy.
    server.replace(
        "proc/stat",
        ("cpu  1000 100 500 8000 200 50 100", "cpu  1300 100 600 8400 300 50 200"),
        ("cpu0 700 50 300 3900 100 25 50", "cpu0 1000 50 400 3900 100 25 150"),
        ("cpu1 300 50 200 4100 100", "cpu1 300 50 200 4500 200"),
        ("ctxt 900000", "ctxt 901000"),
        ("intr 500000", "intr 500500"),
        ("softirq 400000", "softirq 402000"),
    )
    server.replace("proc/softirqs", ("50000      70000", "50100      70300"))
    server.replace("proc/net/softnet_stat", ("0000000a", "00000014"), ("00000001", "00000006"))
    fields = cpu_fields(server, Growth(5, before=first))
    assert {name: fields[name] for name in ("user", "system", "softirq", "idle", "iowait", "steal", "nice")} == {
        "user": 0.3,
        "system": 0.1,
        "softirq": 0.1,
        "idle": 0.4,
        "iowait": 0.1,
        "steal": 0.0,
        "nice": 0.0,
    }
    assert (fields["usage"], fields["busiest_core"]) == (0.5, 1.0)
    assert (fields["context_switches"], fields["interrupts"], fields["softirqs"]) == (200, 100, 400)
    assert (fields["net_rx"], fields["net_tx"]) == (80, 0)
    assert (fields["backlog_drops"], fields["backlog_squeezes"]) == (2, 1)


def test_iowait_that_went_back_is_no_time(server: HostTree) -> None:
    first = Growth(0)
    cpu_fields(server, first)
    server.replace("proc/stat", ("cpu  1000 100 500 8000 200", "cpu  1100 100 500 8000 150"))
    fields = cpu_fields(server, Growth(5, before=first))
    assert (fields["user"], fields["iowait"], fields["usage"]) == (1.0, 0.0, 1.0)


def test_a_processor_that_came_online_since_the_last_run_is_left_out_of_the_busiest(server: HostTree) -> None:
    first = Growth(0)
    cpu_fields(server, first)
    server.replace("proc/stat", ("cpu1 ", "cpu2 9999 0 0 0 0 0 0 0 0 0\ncpu1 "), ("cpu0 700", "cpu0 710"))
    fields = cpu_fields(server, Growth(5, before=first))
    assert (fields["busiest_core"], fields["cores"]) == (1.0, 3)


def test_memory_is_what_the_kernel_says_in_bytes(server: HostTree) -> None:
    fields = fields_of(memory_points(Growth(0), server.proc), "host_memory")
    assert fields["total"] == 16_000_000 * 1024
    assert fields["used"] == 7_000_000 * 1024
    assert fields["cached"] == 6_500_000 * 1024
    assert fields["shared"] == 100_000 * 1024
    assert (fields["usage"], fields["swap_usage"]) == (0.5, 0.25)
    assert "swap_in" not in fields


def test_swapping_is_a_rate_of_bytes(server: HostTree) -> None:
    first = Growth(0)
    list(memory_points(first, server.proc))
    server.replace("proc/vmstat", ("pswpin 100", "pswpin 110"), ("oom_kill 0", "oom_kill 5"))
    fields = fields_of(memory_points(Growth(10, before=first), server.proc), "host_memory")
    assert fields["swap_in"] in {4096.0, 16384.0, 65536.0}
    assert (fields["swap_out"], fields["oom_kills"]) == (0.0, 0.5)


def test_a_host_without_swap_has_no_swap_usage(tmp_path: Path) -> None:
    fields = fields_of(memory_points(Growth(0), HostTree("laptop", tmp_path).proc), "host_memory")
    assert fields["swap_total"] == 0
    assert "swap_usage" not in fields


def test_pressure_is_the_share_of_time_since_the_last_run(server: HostTree) -> None:
    first = Growth(0)
    assert list(pressure_points(first, server.proc)) == []
    server.replace("proc/pressure/cpu", ("total=5000000", "total=7500000"))
    points = list(pressure_points(Growth(10, before=first), server.proc))
    assert fields_of(points, "host_pressure", resource="cpu") == {"some": 0.25, "full": 0.0}
    assert [point.tags["resource"] for point in points] == ["cpu", "io"]


def test_processes_are_ranked_by_tag_and_named_by_field(server: HostTree) -> None:
    first = Growth(0)
    list(process_points(first, top=2, connections={}, proc=server.proc))
    server.replace("proc/700/stat", ("5000 1000", "5400 1100"))
    server.replace("proc/701/stat", ("200 100", "250 100"))
    server.replace("proc/stat", ("processes 5000", "processes 5020"))
    points = list(process_points(Growth(10, before=first), top=2, connections={"established": 3}, proc=server.proc))
    assert fields_of(points, "host_process") == {
        "processes": 6,
        "running": 1,
        "sleeping": 3,
        "blocked": 1,
        "zombies": 1,
        "stopped": 0,
        "threads": 12,
        "forks": 2.0,
        "tcp_established": 3,
        "open_files": 2048,
        "open_files_usage": 0.02048,
    }
    busiest = fields_of(points, "host_top", order="cpu", rank="1")
    assert (busiest["name"], busiest["pid"], busiest["cpu"], busiest["threads"]) == ("postgres: (main) x", 700, 0.5, 3)
    assert fields_of(points, "host_top", order="cpu", rank="2")["name"] == "nginx"
    assert fields_of(points, "host_top", order="memory", rank="2")["name"] == "nginx"
    assert len(points) == 5
    assert {key for point in points[1:] for key in point.tags} == {"order", "rank"}


def test_a_new_process_under_an_old_number_does_not_inherit_its_processor_time(server: HostTree) -> None:
    first = Growth(0)
    list(process_points(first, top=5, connections={}, proc=server.proc))
    server.replace("proc/701/stat", ("200 100", "900 900"), (" 950 ", " 99950 "))
    points = list(process_points(Growth(10, before=first), top=5, connections={}, proc=server.proc))
    assert not [point for point in points if point.tags.get("order") == "cpu"]


@given(st.binary(max_size=300))
def test_whatever_stands_in_a_stat_file_is_a_process_or_none(raw: bytes) -> None:
    parsed = parse_stat(raw, 100, 4096)
    assert parsed is None or isinstance(parsed, Process)


@given(st.text(min_size=1, max_size=15).filter(lambda name: "\0" not in name))
def test_a_process_may_have_any_name(name: str) -> None:
    raw = f"42 ({name}) S 1 1 1 0 -1 0 0 0 0 0 250 50 0 0 20 0 7 0 99 1 3 0".encode(errors="replace")
    parsed = parse_stat(raw, 100, 4096)
    assert parsed is not None
    assert (parsed.pid, parsed.state, parsed.cpu, parsed.threads, parsed.memory) == (42, "S", 3.0, 7, 12_288)
    assert parsed.name.isprintable()


def test_this_test_finds_itself_among_the_processes() -> None:
    own = next(process for process in read_processes() if process.pid == os.getpid())
    assert own.memory > 1_000_000
    assert own.threads >= 1


def test_a_clock_that_nothing_keeps_has_no_error_to_tell() -> None:
    timex = Timex(status=0x40, maxerror=16_000_000, esterror=16_000_000)
    assert fields_of(clock_points(lambda: timex), "host_clock") == {"synchronised": 0, "frequency_correction": 0.0}


def test_a_clock_that_is_kept_tells_its_errors_in_seconds() -> None:
    timex = Timex(status=0x2001, maxerror=45_000, esterror=900, offset=-250_000, freq=-65_536 * 12)
    fields = fields_of(clock_points(lambda: timex), "host_clock")
    assert fields == pytest.approx(
        {
            "synchronised": 1,
            "maximum_error": 0.045,
            "estimated_error": 0.0009,
            "offset": -0.00025,
            "frequency_correction": -12e-6,
        }
    )


def test_a_kernel_that_does_not_tell_about_its_clock_leaves_no_point() -> None:
    assert list(clock_points(lambda: None)) == []


def test_a_host_is_described_in_words(server: HostTree) -> None:
    facts = dict(read_facts(server.proc, server.sys, server.folder / "etc"))
    assert facts.pop("machine")
    assert facts == {
        "boot_id": "5b0bc2d8-6d0a-4a9e-9a5a-0d1f6c1d7e11",
        "hostname": "db1.example.net",
        "system": "Debian GNU/Linux 12 (bookworm)",
        "kernel": "6.1.0-18-amd64",
        "processor": "Example Server CPU @ 2.40GHz",
        "vendor": "Example Inc.",
        "product": "Rack 1U",
    }
