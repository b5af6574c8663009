"""Files that only this user can read, written whole or not at all."""

import contextlib
import os
import secrets
from pathlib import Path


def write_whole(path: Path, content: bytes | memoryview, *, durable: bool = True) -> None:
    """Replace a file's content; a crash leaves the old or the new one, never a mixture.

    Args:
        path: the file.
        content: all of it.
        durable: wait until it is on disk; else a power cut, not a crash of the program, may leave a spoilt file.

    Raises:
        OSError: the file can't be written; the old content stays, and nothing else.
    """
    fresh = path.with_name(f"{path.name}.new")
    # One that a crash has left may be readable for others.
    fresh.unlink(missing_ok=True)
    try:
        _write(fresh, content, durable=durable)
        fresh.replace(path)
        if durable:
            _sync_folder(path.parent)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise


def write_once(path: Path, content: bytes) -> None:
    """Write a file unless it is there; of several processes one does, and nobody reads half of it.

    Raises:
        OSError: the file can't be written.
    """
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    _write(fresh, content, durable=True)
    with contextlib.suppress(FileExistsError):
        path.hardlink_to(fresh)
    fresh.unlink()
    _sync_folder(path.parent)


def _write(path: Path, content: bytes | memoryview, *, durable: bool) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        if durable:
            file.flush()
            os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Without it a power cut may leave a file that is on disk without its name; Windows opens no folders."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
