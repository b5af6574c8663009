"""Files that only this user can read, written whole or not at all."""

import contextlib
import os
import secrets
from pathlib import Path
from typing import Final

KEY_BYTES: Final = 32


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Replace a file's content; a crash leaves the old or the new one, never a mixture.

    Raises:
        OSError: the file can't be written; the old content stays.
    """
    fresh = path.with_name(f"{path.name}.new")
    _write(fresh, content)
    fresh.replace(path)


def load_or_create_key(path: Path) -> bytes:
    """The random key in a file, which is made when it isn't there.

    Raises:
        OSError: the file can't be read or made.
    """
    if not path.exists():
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        _write(fresh, secrets.token_bytes(KEY_BYTES))
        # Of several processes one gives its file the name; no one reads a key that is half written, or empty.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(fresh)
        fresh.unlink()
    return path.read_bytes()


def _write(path: Path, content: bytes | memoryview) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
