"""Health of disks by their own account: `smartctl --json`, asked seldom and remembered."""

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from streamswarm_agent.faults import ProbeFault
from streamswarm_agent.host.files import points_of, scaled
from streamswarm_agent.host.programs import run_host_program
from streamswarm_agent.net.tools import Finished
from streamswarm_core.catalogue.host_hardware import HOST_SMART
from streamswarm_core.point import FieldValue, Point

log = logging.getLogger(__name__)

MOST_DISKS: Final = 32
_DISK_SECONDS: Final = 5.0
_ALL_SECONDS: Final = 7.0
_NOT_OPENED: Final = 0b11
"""Bits of smartctl's exit code that say it read nothing (smartctl(8)); the others tell of the disk's health."""
_NVME_UNIT_BYTES: Final = 512_000
_HOUR: Final = 3600

_REALLOCATED, _PENDING, _UNCORRECTABLE, _LINK_CRC = 5, 197, 198, 199
_REMAINING_LIFE: Final = frozenset(
    {"SSD_Life_Left", "Media_Wearout_Indicator", "Wear_Leveling_Count", "Percent_Lifetime_Remain"}
)
"""Attributes whose normalised value falls from 100 as an SSD wears; vendors choose one, under numbers of their own."""

RunProgram = Callable[[Sequence[str], float], Awaitable[Finished]]
Fields = dict[str, FieldValue | None]


@dataclass(slots=True)
class SmartMemory:
    """What was read last.

    Attributes:
        asked_at: monotonic seconds; None before the first time.
        read_at: when `disks` was answered.
        disks: fields by device.
    """

    asked_at: float | None = None
    read_at: float = 0.0
    disks: dict[str, Fields] = field(default_factory=dict)


async def smart_points(
    memory: SmartMemory, now: float, interval: float, run: RunProgram = run_host_program
) -> list[Point]:
    """HOST_SMART: as read at most `interval` seconds ago; nothing without smartctl or the right to ask.

    Args:
        memory: kept from run to run.
        now: monotonic seconds.
        interval: seconds between two questions to the disks, whether they answered or not.
        run: runs a program.
    """
    if memory.asked_at is None or now - memory.asked_at >= interval:
        # Before asking: a run that is given up while a disk hangs shall not be followed by another such at once.
        memory.asked_at = now
        memory.disks = await _read_all(run)
        memory.read_at = now
    age = max(0.0, now - memory.read_at)
    return [
        point
        for device, fields in memory.disks.items()
        for point in points_of(HOST_SMART, {"device": device}, {**fields, "age": age})
    ]


async def _read_all(run: RunProgram) -> dict[str, Fields]:
    disks: dict[str, Fields] = {}
    # What the disks said before the time was up is kept.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_ALL_SECONDS), asyncio.TaskGroup() as readers:
            for device, kind in (await _scan(run))[:MOST_DISKS]:
                readers.create_task(_read_disk(run, device, kind, disks))
    return dict(sorted(disks.items()))


async def _scan(run: RunProgram) -> list[tuple[str, str]]:
    answer = await _ask(run, ["--scan"])
    found = answer.get("devices") if answer else None
    rows = [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
    return [(str(row["name"]), str(row["type"])) for row in rows if "name" in row and "type" in row]


async def _read_disk(run: RunProgram, device: str, kind: str, disks: dict[str, Fields]) -> None:
    # A disk that sleeps is left asleep.
    answer = await _ask(run, ["--all", "--nocheck=standby", f"--device={kind}", device])
    fields = parse_smart(answer) if answer else {}
    if fields:
        # Disks behind one RAID controller share a device file.
        disks[device.removeprefix("/dev/") if "," not in kind else f"{device.removeprefix('/dev/')} {kind}"] = fields


async def _ask(run: RunProgram, arguments: Sequence[str]) -> dict[str, Any] | None:
    argv = ["smartctl", "--json=c", *arguments]
    try:
        done = await run(argv, _DISK_SECONDS)
        answer = json.loads(done.stdout)
    except ProbeFault as fault:
        log.debug("%s: %s", " ".join(argv), fault)
        return None
    except ValueError:
        log.debug("%s: no JSON: %s", " ".join(argv), done.complaint)
        return None
    if not isinstance(answer, dict) or done.code & _NOT_OPENED or done.code < 0:
        log.debug("%s: exit code %d", " ".join(argv), done.code)
        return None
    return answer


def parse_smart(answer: Mapping[str, Any]) -> Fields:
    """The fields that a disk of any kind tells, from smartctl's JSON (version 1.0)."""
    fields: Fields = {
        "model": _text(answer, "model_name"),
        "serial": _text(answer, "serial_number"),
        "firmware": _text(answer, "firmware_version"),
        "healthy": _flag(answer, "smart_status", "passed"),
        "temperature": _number(answer, "temperature", "current"),
        "power_on": scaled(_number(answer, "power_on_time", "hours"), _HOUR),
        "power_cycles": _whole(answer, "power_cycle_count"),
        "wear": scaled(_number(answer, "endurance_used", "current_percent"), 0.01),
        **_ata_fields(answer),
        **_nvme_fields(answer),
    }
    grown = _whole(answer, "scsi_grown_defect_list")
    if grown is not None:
        fields["reallocated"] = grown
    known: Fields = {name: value for name, value in fields.items() if value is not None}
    # A name alone is no reading: the disk slept, or doesn't do SMART.
    return known if known.keys() - {"model", "serial", "firmware"} else {}


def _ata_fields(answer: Mapping[str, Any]) -> Fields:
    table = _at(answer, "ata_smart_attributes", "table")
    rows = {row.get("id"): row for row in table if isinstance(row, dict)} if isinstance(table, list) else {}
    fields: Fields = {
        name: _whole(rows[number], "raw", "value")
        for name, number in (
            ("reallocated", _REALLOCATED),
            ("pending", _PENDING),
            ("uncorrectable", _UNCORRECTABLE),
            ("link_errors", _LINK_CRC),
        )
        if number in rows
    }
    left = next((_number(row, "value") for row in rows.values() if row.get("name") in _REMAINING_LIFE), None)
    if left is not None and left <= 100:
        fields["wear"] = 1 - left / 100
    return fields


def _nvme_fields(answer: Mapping[str, Any]) -> Fields:
    """The SMART / health information log (NVM Express base specification, log page 02h)."""
    page = _at(answer, "nvme_smart_health_information_log")
    if not isinstance(page, dict):
        return {}
    written = _whole(page, "data_units_written")
    return {
        "critical_warning": _whole(page, "critical_warning"),
        # It may pass 100 %, and that is what one wants to see.
        "wear": scaled(_number(page, "percentage_used"), 0.01),
        "spare": scaled(_number(page, "available_spare"), 0.01),
        "media_errors": _whole(page, "media_errors"),
        "unsafe_shutdowns": _whole(page, "unsafe_shutdowns"),
        "written": None if written is None else written * _NVME_UNIT_BYTES,
    }


def _at(answer: Any, *path: str) -> Any:
    for key in path:
        answer = answer.get(key) if isinstance(answer, dict) else None
    return answer


def _number(answer: Any, *path: str) -> float | None:
    value = _at(answer, *path)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(answer: Any, *path: str) -> int | None:
    value = _at(answer, *path)
    # What InfluxDB can hold; a vendor's raw value may be several numbers in one.
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63 else None


def _flag(answer: Any, *path: str) -> int | None:
    value = _at(answer, *path)
    return int(value) if isinstance(value, bool) else None


def _text(answer: Any, *path: str) -> str | None:
    value = _at(answer, *path)
    return value if isinstance(value, str) and value else None
