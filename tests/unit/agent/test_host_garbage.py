from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamswarm_agent.host.cpu import cpu_points
from streamswarm_agent.host.disks import disk_points, diskio_points
from streamswarm_agent.host.edac import ecc_points
from streamswarm_agent.host.facts import read_facts
from streamswarm_agent.host.growth import Growth
from streamswarm_agent.host.interfaces import interface_points
from streamswarm_agent.host.memory import memory_points, pressure_points
from streamswarm_agent.host.power import rapl_points, supply_points
from streamswarm_agent.host.processes import process_points
from streamswarm_agent.host.sensors import sensor_points
from streamswarm_agent.host.sockets import socket_points, tcp_states
from streamswarm_core.point import Point
from tests.unit.agent.host_trees import HostTree

# What the kernel's files are made of, in any order.
PIECES = st.sampled_from(
    [
        "cpu",
        "cpu0",
        "0",
        "7",
        "18",
        "-1",
        "4294967295",
        "kB",
        ":",
        " ",
        "\t",
        "\n",
        "Tcp:",
        "sda",
        "/",
        "(",
        ")",
        "00",
        "max",
    ]
)
TEXTS = st.lists(PIECES, max_size=40).map("".join) | st.text(max_size=40)


def observe(tree: HostTree, growth: Growth) -> list[Point]:
    proc, sys = tree.proc, tree.sys
    read_facts(proc, sys, tree.folder / "etc")
    connections = tcp_states(proc)
    return [
        *cpu_points(growth, proc, sys),
        *memory_points(growth, proc),
        *pressure_points(growth, proc),
        *disk_points(proc),
        *diskio_points(growth, proc, sys),
        *interface_points(growth, (), sys, lambda _: {}),
        *socket_points(growth, connections, proc),
        *process_points(growth, top=5, connections=connections, proc=proc),
        *sensor_points(sys),
        *rapl_points(growth, sys),
        *supply_points(sys),
        *ecc_points(growth, sys),
    ]


def test_every_source_of_the_recorded_server_is_read(tmp_path: Path) -> None:
    tree = HostTree("server", tmp_path)
    first = Growth(0)
    observe(tree, first)
    found = {point.measurement for point in observe(tree, Growth(10, before=first))}
    assert len(found) == 15


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS)
def test_whatever_stands_in_the_kernels_files_is_read_without_an_error(tmp_path: Path, text: str) -> None:
    tree = HostTree("server", tmp_path)
    first = Growth(0)
    observe(tree, first)
    for file in tmp_path.rglob("*"):
        if file.is_file():
            file.write_text(text, encoding="utf-8")
    observe(tree, Growth(10, before=first))
