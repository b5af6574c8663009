"""The folder in which the workers of one control plane count together."""

import errno
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus_client looks at it when it is imported, so it has to be set before a worker starts."""
_PREFIX: Final = "streamswarm-metrics-"
_LOCK: Final = "lock"


def _lock_of(folder: Path) -> BinaryIO:
    """The lock of a folder of ours: others may make what they like in the temporary folder, such as a pipe.

    Raises:
        OSError: there is none, or it is another user's.
    """
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "not our own folder")
    return os.fdopen(os.open(folder / _LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")


@contextmanager
def metrics_folder() -> Iterator[Path]:
    """A new temporary folder, removed at the end; so are, before, those that killed control planes have left."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError), _lock_of(left) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
        folder = Path(name)
        with (folder / "new").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Nobody sees it before it is locked.
            (folder / "new").rename(folder / _LOCK)
            yield folder
