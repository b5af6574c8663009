"""The keys that what the service keeps is sealed with."""

import os
import secrets
import stat
from pathlib import Path
from typing import Final

from streamswarm_core.errors import ConfigError
from streamswarm_core.ownfiles import write_once

KEY_BYTES: Final = 32


def load_or_create_key(path: Path) -> bytes:
    """The random key in a file, which is made when it isn't there.

    What a key has sealed is unpickled: who knows it can have the service run what they like.

    Raises:
        ConfigError: the file is there and no such key, or others can read it.
        OSError: it can't be read or made.
    """
    if not path.exists() and not path.is_symlink():
        write_once(path, secrets.token_bytes(KEY_BYTES))
    return read_key(path)


def read_key(path: Path) -> bytes:
    """The key in a file that is there; raises as `load_or_create_key`."""
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
