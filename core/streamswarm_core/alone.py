"""One service to a folder."""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from streamswarm_core.errors import ConfigError


@contextlib.contextmanager
def alone(folder: Path, refusal: str) -> Iterator[None]:
    """Keep a second service, which asks for the same, off a folder for as long as this one runs.

    Args:
        folder: is there.
        refusal: what that one is told.

    Raises:
        ConfigError: another one has it.
    """
    import fcntl  # noqa: PLC0415 - Windows has none, and an admin's `--help` there imports this

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ConfigError(f"{folder}: {refusal}") from None
    except OSError as error:
        # Some network file systems have no locks.
        logging.getLogger(__name__).warning("%s can't be locked against a second one: %s", folder, error.strerror)
    try:
        yield
    finally:
        os.close(descriptor)
