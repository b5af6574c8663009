"""The folder in which the workers of one control plane count together."""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_PREFIX: Final = "streamswarm-metrics-"
_LOCK: Final = "lock"


@contextmanager
def metrics_folder() -> Iterator[Path]:
    """A new temporary folder, removed at the end; so are, before, those that killed control planes have left."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError), (left / _LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
        folder = Path(name)
        with (folder / "new").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Nobody sees it before it is locked.
            (folder / "new").rename(folder / _LOCK)
            yield folder
