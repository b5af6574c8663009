import asyncio
import subprocess
from collections import Counter
from pathlib import Path

import psutil
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from streamswarm_agent.exporter import PointCollector
from streamswarm_agent.host.growth import Growth
from streamswarm_agent.host.memory import memory_points
from streamswarm_agent.probes import PROBES, Context, system
from streamswarm_core.catalogue import CATALOGUE
from streamswarm_core.catalogue.host import HOST
from streamswarm_core.catalogue.model import Kind
from streamswarm_core.point import Point
from streamswarm_core.probespecs import SystemParams


@pytest.fixture(autouse=True)
def short_first_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "_FIRST_WINDOW_SECONDS", 0.2)


async def run(context: Context, **params: object) -> list[Point]:
    return await PROBES["system"].run("", SystemParams.model_validate(params), context)


async def test_one_run_measures_this_host_with_rates(context: Context) -> None:
    points = await run(context)
    found = {point.measurement for point in points}
    assert {"host_cpu", "host_memory", "host_net", "host_process", "host_top", "host_tcp", "host_udp"} <= found
    cpu = next(point for point in points if point.measurement == "host_cpu").fields
    states = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
    assert sum(float(cpu[state]) for state in states) == pytest.approx(1)
    assert 0 <= float(cpu["busiest_core"]) <= 1
    assert len({point.time_ns for point in points}) <= 2


async def test_psutil_sees_the_same_host(context: Context) -> None:
    points = await run(context)
    memory = next(point for point in points if point.measurement == "host_memory").fields
    assert memory["total"] == psutil.virtual_memory().total
    assert next(point for point in points if point.measurement == "host_cpu").fields["cores"] == psutil.cpu_count()
    for disk in (point for point in points if point.measurement == "host_disk"):
        assert disk.fields["total"] == psutil.disk_usage(disk.tags["path"]).total
    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    assert {point.tags["interface"] for point in points if point.measurement == "host_net" and point.fields["up"]} <= up


async def test_no_two_points_of_a_run_are_of_one_series(context: Context) -> None:
    series = Counter((point.measurement, frozenset(point.tags.items())) for point in await run(context))
    assert max(series.values()) == 1


async def test_every_ratio_is_one(context: Context) -> None:
    for point in await run(context):
        for name, value in point.fields.items():
            if CATALOGUE[point.measurement][name].unit.name == "ratio 0..1":
                assert 0 <= float(value) <= 1, f"{point.measurement}.{name}"


async def test_the_command_line_of_a_process_is_never_told(context: Context) -> None:
    sleeping = await asyncio.create_subprocess_exec("sleep", "60.0987")
    try:
        points = await run(context, top=20)
    finally:
        sleeping.kill()
        await sleeping.wait()
    assert "60.0987" not in repr(points)


async def test_what_is_switched_off_is_not_measured(context: Context) -> None:
    off = ("disks", "interfaces", "sockets", "processes", "sensors", "smart", "wifi")
    found = {point.measurement for point in await run(context, **dict.fromkeys(off, False))}
    assert found <= {"host_cpu", "host_memory", "host_pressure", "host_clock", "host_facts"}


async def test_facts_are_written_once_until_they_change(context: Context) -> None:
    first = [point.measurement for point in await run(context)]
    again = [point.measurement for point in await run(context)]
    assert first.count("host_facts") == 1
    assert again.count("host_facts") == 0


async def test_a_host_that_hangs_leaves_a_gap_and_the_run_after_is_measured(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run(context)
    with monkeypatch.context() as patch:
        patch.setattr(system, "_READING_SECONDS", 0)
        assert [point for point in await run(context) if point.measurement == "host_cpu"] == []
    assert [point for point in await run(context) if point.measurement == "host_cpu"]


def test_rates_are_over_the_time_since_the_last_run_that_came_to_an_end(tmp_path: Path) -> None:
    (tmp_path / "vmstat").write_text("pgmajfault 100\n")
    done = Growth(0)
    list(memory_points(done, tmp_path))
    (tmp_path / "vmstat").write_text("pgmajfault 400\n")
    # The run at 10 s was given up; that at 30 s compares with the one at 0 s.
    (point,) = memory_points(Growth(30, before=done), tmp_path)
    assert point.fields == {"major_faults": 10.0}


@pytest.mark.needs("promtool", "prometheus")
def test_prometheus_finds_nothing_wrong_with_any_name() -> None:
    registry = CollectorRegistry()
    registry.register(
        PointCollector(
            lambda: [
                Point(declared.name, {}, {field.name: 1 for field in declared.fields if field.kind is not Kind.STRING})
                for declared in HOST
            ]
        )
    )
    text = generate_latest(registry).decode()
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False, timeout=30
    )
    assert (checked.stdout, checked.stderr, checked.returncode) == ("", "", 0)
    assert text.count("# HELP") > 150
