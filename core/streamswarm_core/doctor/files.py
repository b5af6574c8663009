"""The data folder and the secrets in it, as the service's own user finds them."""

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from streamswarm_core.doctor.finding import Finding, broken, ok, warning

_FULL_BYTES: Final = 16_000_000
_MOST_FILES: Final = 5_000
_MOST_NAMED: Final = 3
_OTHERS: Final = 0o077
_MOUNTED: Final = Path("/run/secrets")
"""Where containers get their secrets: their modes are the engine's, and no other user is in there."""


def user_name(number: int | None = None) -> str:
    """What a user is called, this process's if no number is given."""
    import pwd  # noqa: PLC0415 - Windows has none, and an admin's `--help` there imports this

    number = os.geteuid() if number is None else number
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def size_text(size: float) -> str:
    """Bytes for people.

    >>> size_text(300), size_text(1_234_000), size_text(56_000_000_000)
    ('0.3 kB', '1.2 MB', '56.0 GB')
    """
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB" if size else "nothing"


def is_there(path: Path) -> bool:
    """Whether there is such a file or folder, as far as this user may see; `Path.exists` raises where it may not."""
    return os.path.exists(path)  # noqa: PTH110 - see above


def files_in(folder: Path, pattern: str) -> list[Path]:
    """The files of a folder, sorted; none where this user may not look."""
    try:
        return sorted(folder.glob(pattern))
    except OSError:
        return []


def size_of(paths: Iterable[Path]) -> int:
    """Bytes of files; those that have gone meanwhile, as the service may be running, count nothing."""
    total = 0
    for path in paths:
        with contextlib.suppress(OSError):
            total += path.stat().st_size
    return total


def data_folder(folder: Path, *, needs: int) -> Iterator[Finding]:
    """Whether a service can keep things in its folder, which it makes itself if it may.

    Args:
        folder: the service's part of the data folder.
        needs: bytes that it should be able to add.
    """
    subject = "data folder"
    there = next(parent for parent in (folder, *folder.absolute().parents) if is_there(parent))
    space = os.statvfs(there)
    if space.f_flag & os.ST_RDONLY:
        yield broken(subject, f"{there} is on a file system that is mounted read-only", "mount it for writing")
        return
    if not there.is_dir() or not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        whose = user_name(there.stat().st_uid)
        yield broken(
            subject,
            f"{folder}: the user {user_name()} may not write to {there}, which belongs to {whose}",
            f"chown -R {user_name()}: {there}, or choose another folder with STREAMSWARM_DATA",
        )
        return
    yield _room(subject, folder, space, needs)
    yield from _not_ours(folder)


def _room(subject: str, folder: Path, space: os.statvfs_result, needs: int) -> Finding:
    free = space.f_bavail * space.f_frsize
    if space.f_files and not space.f_favail:
        return broken(subject, f"{folder}: the file system has no room for another file (inodes)", "delete files there")
    if free < _FULL_BYTES:
        return broken(
            subject,
            f"{folder}: the disk is full, {size_text(free)} free",
            f"make room, best {size_text(needs)} or more",
        )
    if free < needs:
        found = f"{folder} can be written, but only {size_text(free)} are free"
        return warning(subject, found, f"make room: {size_text(needs)} may be needed")
    return ok(subject, f"{folder} can be written, {size_text(free)} free")


def _not_ours(folder: Path) -> Iterator[Finding]:
    """Files that a command left there as another user, mostly root; what opens them fails."""
    foreign = [path for path in islice(folder.rglob("*"), _MOST_FILES) if not _is_usable(path)]
    if foreign:
        names = ", ".join(str(path) for path in foreign[:_MOST_NAMED])
        more = f" and {len(foreign) - _MOST_NAMED} more" if len(foreign) > _MOST_NAMED else ""
        yield broken(
            "files",
            f"the user {user_name()} may not read and write {names}{more}",
            f"chown -R {user_name()}: {folder} && chmod -R u+rwX {folder}",
        )


def _is_usable(path: Path) -> bool:
    wanted = os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)
    # What has gone meanwhile is no fault: the service may be running.
    return os.access(path, wanted) or not os.path.lexists(path)


def secrets(paths: Iterable[Path]) -> Iterator[Finding]:
    """Whether files with secrets, as far as they are there, can be read by this user and by nobody else."""
    good = 0
    for path in paths:
        try:
            with path.open("rb") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        except FileNotFoundError:
            continue
        except OSError as error:
            found = f"{path} can't be read by the user {user_name()}: {error.strerror}"
            yield broken("secrets", found, f"chown {user_name()}: {path} && chmod 600 {path}")
            continue
        if mode & _OTHERS and _MOUNTED not in path.parents:
            yield warning("secrets", f"{path} can be read by other users (mode {mode:04o})", f"chmod 600 {path}")
        else:
            good += 1
    if good:
        yield ok("secrets", f"{good} {'file' if good == 1 else 'files'} that only {user_name()} can read")
