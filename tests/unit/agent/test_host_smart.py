import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.host.programs import run_host_program
from streamswarm_agent.host.smart import SmartMemory, parse_smart, smart_points
from streamswarm_agent.net.tools import Finished
from tests.unit.agent.host_trees import fields_of, smart_answer

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


class Smartctl:
    """Answers as smartctl does; counts how often it was asked."""

    def __init__(self, **answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[Sequence[str]] = []

    async def __call__(self, argv: Sequence[str], seconds: float) -> Finished:
        assert argv[0] == "smartctl"
        self.asked.append(argv)
        answer = self.answers["scan" if "--scan" in argv else argv[-1].removeprefix("/dev/")]
        return Finished(
            answer["smartctl"]["exit_status"], json.dumps(answer).encode(), b"", truncated=False, seconds=seconds
        )


def test_a_sata_disk_tells_sectors_cable_errors_and_wear() -> None:
    assert parse_smart(smart_answer("sata")) == pytest.approx(
        {
            "model": "Example SSD 870",
            "serial": "S1234",
            "firmware": "FW1",
            "healthy": 1,
            "temperature": 34.0,
            "power_on": 3_600_000.0,
            "power_cycles": 57,
            "wear": 0.07,
            "reallocated": 3,
            "pending": 1,
            "uncorrectable": 0,
            "link_errors": 12,
        }
    )


def test_an_nvme_disk_tells_wear_beyond_its_rated_life_and_what_it_warns_of() -> None:
    fields = parse_smart(smart_answer("nvme"))
    assert (fields["healthy"], fields["critical_warning"], fields["wear"], fields["spare"]) == (0, 4, 1.04, 0.8)
    assert (fields["media_errors"], fields["unsafe_shutdowns"], fields["written"]) == (2, 5, 1_024_000_000)
    assert "reallocated" not in fields


@given(JSON.filter(lambda answer: isinstance(answer, dict)))
def test_whatever_json_smartctl_prints_is_read_without_an_error(answer: dict[str, Any]) -> None:
    parse_smart(answer)
    for key in ("ata_smart_attributes", "nvme_smart_health_information_log", "temperature", "smart_status"):
        parse_smart({key: answer})
    parse_smart({"ata_smart_attributes": {"table": [answer]}})


async def test_disks_are_asked_seldom_and_remembered_in_between() -> None:
    smartctl = Smartctl(scan=smart_answer("scan"), sda=smart_answer("sata"), nvme0=smart_answer("nvme"))
    memory = SmartMemory()
    first = await smart_points(memory, 1000, 600, smartctl)
    assert [point.tags["device"] for point in first] == ["nvme0", "sda"]
    assert len(smartctl.asked) == 3
    later = await smart_points(memory, 1300, 600, smartctl)
    assert len(smartctl.asked) == 3
    assert fields_of(later, "host_smart", device="sda")["age"] == 300.0
    await smart_points(memory, 1600, 600, smartctl)
    assert len(smartctl.asked) == 6


async def test_a_sleeping_disk_is_left_asleep() -> None:
    smartctl = Smartctl(scan=smart_answer("scan"), sda=smart_answer("sata"), nvme0=smart_answer("nvme"))
    await smart_points(SmartMemory(), 0, 600, smartctl)
    assert all("--nocheck=standby" in argv for argv in smartctl.asked[1:])


async def test_a_disk_that_may_not_be_asked_is_absent_and_not_asked_again_at_once() -> None:
    smartctl = Smartctl(scan=smart_answer("scan"), sda=smart_answer("denied"), nvme0=smart_answer("nvme"))
    memory = SmartMemory()
    for now in (0, 10):
        points = await smart_points(memory, now, 600, smartctl)
        assert [point.tags["device"] for point in points] == ["nvme0"]
    assert len(smartctl.asked) == 3


@pytest.mark.needs("smartctl", "smartmontools")
async def test_smartctl_itself_takes_what_it_is_asked(tmp_path: Path) -> None:
    no_disk = tmp_path / "no-disk"
    no_disk.write_bytes(b"")
    finished: list[Finished] = []

    async def run(argv: Sequence[str], seconds: float) -> Finished:
        if "--scan" in argv:
            answer = {**smart_answer("scan"), "devices": [{"name": str(no_disk), "type": "sat"}]}
            assert (await run_host_program(argv, seconds)).code == 0
            return Finished(0, json.dumps(answer).encode(), b"", truncated=False, seconds=0)
        finished.append(await run_host_program(argv, seconds))
        return finished[-1]

    assert await smart_points(SmartMemory(), 0, 600, run) == []
    # Bit 0 of the exit code would say that the command line was not understood.
    assert [done.code & 1 for done in finished] == [0]


async def test_a_run_given_up_while_a_disk_hangs_leaves_the_older_answer_as_old_as_it_is() -> None:
    smartctl = Smartctl(scan=smart_answer("scan"), sda=smart_answer("sata"), nvme0=smart_answer("nvme"))
    memory = SmartMemory()
    await smart_points(memory, 0, 600, smartctl)

    async def hang(_argv: Sequence[str], _seconds: float) -> Finished:
        never: asyncio.Future[Finished] = asyncio.get_running_loop().create_future()
        return await never

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await smart_points(memory, 600, 600, hang)
    later = await smart_points(memory, 660, 600, hang)
    assert fields_of(later, "host_smart", device="sda")["age"] == 660.0


async def test_without_smartctl_nothing_is_written() -> None:
    async def missing(argv: Sequence[str], _seconds: float) -> Finished:
        raise ProbeFault(Fault.MISSING_PROGRAM, f"{argv[0]} is not installed on this host")

    assert await smart_points(SmartMemory(), 0, 600, missing) == []
