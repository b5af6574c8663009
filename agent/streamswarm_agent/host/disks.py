"""File systems and block devices: /proc/mounts, statvfs, /proc/diskstats, /sys/block."""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streamswarm_agent.host.files import PROC, SYS, as_int, points_of, read_int, read_lines, read_text, scaled
from streamswarm_agent.host.growth import Growth, quotient
from streamswarm_core.catalogue.host import HOST_DISK, HOST_DISKIO
from streamswarm_core.point import FieldValue, Point

MOST_DISKS: Final = 64
_IMAGES: Final = frozenset({"squashfs", "iso9660", "erofs", "udf"})
"""On a block device, and full by nature."""
_WITHOUT_DEVICE: Final = frozenset({"zfs", "btrfs", "bcachefs"})
"""Files for good, though /proc/filesystems may say nodev."""
_VIRTUAL_DISKS: Final = ("loop", "ram", "zram", "sr", "fd")
_SECTOR_BYTES: Final = 512
"""The unit of /proc/diskstats, whatever the device's own sector size is."""
_OCTAL: Final = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of /proc/mounts."""

    device: str
    path: str
    kind: str
    read_only: bool


def mounts(proc: Path = PROC) -> list[Mount]:
    """Local file systems that hold files for good, each device once, at its shortest path.

    File systems of other hosts are left out: asking for their size hangs when the server is gone.
    """
    on_device = {line.strip() for line in read_lines(proc / "filesystems") if not line.startswith("nodev")}
    found: dict[str, Mount] = {}
    for line in read_lines(proc / "mounts"):
        columns = [_OCTAL.sub(lambda code: chr(int(code[1], 8)), column) for column in line.split()]
        if len(columns) < 4:
            continue
        mount = Mount(columns[0], columns[1], columns[2], "ro" in columns[3].split(","))
        lasting = mount.kind in (on_device | _WITHOUT_DEVICE) - _IMAGES or mount.path == "/"
        shortest = found.get(mount.device)
        # The mount that came last hides an earlier one at the same path.
        if lasting and (shortest is None or len(mount.path) <= len(shortest.path)):
            found[mount.device] = mount
    return sorted(found.values(), key=lambda mount: mount.path)[:MOST_DISKS]


def disk_points(proc: Path = PROC, statvfs: Callable[[str], os.statvfs_result] = os.statvfs) -> Iterator[Point]:
    """HOST_DISK: one for each of `mounts`."""
    for mount in mounts(proc):
        try:
            size = statvfs(mount.path)
        except OSError:
            # This user may not look at it.
            continue
        if not size.f_blocks:
            continue
        used, free = (size.f_blocks - size.f_bfree) * size.f_frsize, size.f_bavail * size.f_frsize
        fields: dict[str, FieldValue | None] = {
            "total": size.f_blocks * size.f_frsize,
            "used": used,
            "free": free,
            "usage": quotient(used, used + free),
            "inode_usage": quotient(size.f_files - size.f_ffree, size.f_files),
            "read_only": int(mount.read_only),
        }
        yield from points_of(HOST_DISK, {"path": mount.path, "device": mount.device}, fields)


def diskio_points(growth: Growth, proc: Path = PROC, sys: Path = SYS) -> Iterator[Point]:
    """HOST_DISKIO: whole devices only, since the run before (Documentation/admin-guide/iostats.rst)."""
    whole = [row for line in read_lines(proc / "diskstats") if len(row := line.split()) >= 14 and _is_disk(row[2], sys)]
    for _, _, device, *columns in whole[:MOST_DISKS]:
        # A number that only this disk has, so that one plugged in under the name of another is not compared with it.
        key = (device, read_text(_folder(device, sys) / "diskseq"))
        counts = [as_int(column) for column in columns]
        reads, _, read_sectors, read_ms, writes, _, written_sectors, write_ms, _, busy_ms, waiting_ms = counts[:11]
        done_reads, done_writes = growth.of((*key, "reads"), reads), growth.of((*key, "writes"), writes)
        read_seconds = scaled(growth.of((*key, "read time"), read_ms), 1e-3)
        write_seconds = scaled(growth.of((*key, "write time"), write_ms), 1e-3)
        fields = {
            "reads": quotient(done_reads, growth.seconds),
            "writes": quotient(done_writes, growth.seconds),
            "read": scaled(growth.rate((*key, "read"), read_sectors), _SECTOR_BYTES),
            "written": scaled(growth.rate((*key, "written"), written_sectors), _SECTOR_BYTES),
            "utilisation": growth.share((*key, "busy"), scaled(busy_ms, 1e-3)),
            "read_latency": quotient(read_seconds, done_reads),
            "write_latency": quotient(write_seconds, done_writes),
            "queue": growth.rate((*key, "waiting"), scaled(waiting_ms, 1e-3)),
        }
        yield from points_of(HOST_DISKIO, {"device": device}, fields)


def _is_disk(device: str, sys: Path) -> bool:
    """Whether it is a whole disk with something in it; its partitions would only say the same again."""
    return not device.startswith(_VIRTUAL_DISKS) and bool(read_int(_folder(device, sys) / "size"))


def _folder(device: str, sys: Path) -> Path:
    return sys / "block" / device.replace("/", "!")
