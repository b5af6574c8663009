"""Files that only this user can read, written whole or not at all."""

import contextlib
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from streamswarm_core.errors import ConfigError

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

    What a key has sealed is unpickled: who knows it can have the service run what they like.

    Raises:
        ConfigError: the file is there and no such key, or others can read it.
        OSError: it can't be read or made.
    """
    if not path.exists() and not path.is_symlink():
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        _write(fresh, secrets.token_bytes(KEY_BYTES))
        # Of several processes one gives its file the name; no one reads a key that is half written, or empty.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(fresh)
        fresh.unlink()
    return _read_key(path)


def _read_key(path: Path) -> bytes:
    remedy = "remove it to have a new one made; what it sealed is then made again from the stored points"
    if path.is_symlink():
        raise ConfigError(f"{path}: leads elsewhere; {remedy}")
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise ConfigError(f"{path}: must be a plain file of this user that nobody else can read; {remedy}")
        key = file.read(KEY_BYTES + 1)
    if len(key) != KEY_BYTES:
        raise ConfigError(f"{path}: not {KEY_BYTES} bytes, so no key; {remedy}")
    return key


def _write(path: Path, content: bytes | memoryview) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
