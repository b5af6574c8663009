"""The detectors' state on disk: written whole and atomically, read back only if nobody has touched it.

A header and named arrays, as numpy's `npz` without pickles: nothing in it can run, whoever wrote it. It is sealed with
an HMAC whose key is made on first start and readable by this user only; so a file that was swapped, cut short or edited
is told from one of ours, is set aside, and the service starts afresh. The header carries the version of the layout.
"""

import hashlib
import hmac
import io
import json
import logging
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streamswarm_core.ownfiles import write_whole
from streamswarm_ml.keyfile import load_or_create_key

log = logging.getLogger(__name__)

_FORM: Final = b"STREAMSWARM-ML-"
_MAGIC: Final = _FORM + b"2\n"
_SEAL_BYTES: Final = 32
KEY_NAME: Final = "state.key"
_HEADER: Final = "header"


@dataclass(frozen=True, slots=True)
class Saved:
    """What is remembered.

    Attributes:
        header: whatever JSON holds.
        arrays: numbers, by name.
    """

    header: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


class StateFile:
    """One sealed file.

    Args:
        folder: keeps the file and the key.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path: Final = folder / "detectors.state"
        self._key = load_or_create_key(folder / KEY_NAME)

    @property
    def size(self) -> int:
        """Bytes on disk; 0 before the first save."""
        return self.path.stat().st_size if self.path.exists() else 0

    def save(self, content: Saved) -> None:
        """Replace the file's content; a crash leaves the old or the new one, never a mixture."""
        buffer = io.BytesIO()
        buffer.write(bytes(_SEAL_BYTES) + _MAGIC)
        header = np.frombuffer(json.dumps(content.header).encode(), dtype=np.uint8)
        np.savez(buffer, allow_pickle=False, **{_HEADER: header, **content.arrays})
        whole = buffer.getbuffer()
        whole[:_SEAL_BYTES] = _seal(self._key, whole[_SEAL_BYTES:])
        write_whole(self.path, whole)

    def load(self) -> Saved | None:
        """What was saved last; None if there is nothing, or nothing that can be trusted."""
        try:
            return read_saved(self.path, self._key)
        except FileNotFoundError:
            return None
        except UntrustedError as error:
            self._set_aside(str(error))
            return None

    def _set_aside(self, reason: str) -> None:
        aside = self.path.with_suffix(".refused")
        self.path.replace(aside)
        log.error("%s is %s; set aside as %s, and learned anew from the stored points", self.path, reason, aside.name)


class UntrustedError(Exception):
    """A file is not as it was sealed; says how it is."""


def read_saved(path: Path, key: bytes) -> Saved:
    """What a file holds.

    Raises:
        UntrustedError: nothing that can be trusted.
        OSError: it can't be read.
    """
    sealed = memoryview(path.read_bytes())
    seal, body = sealed[:_SEAL_BYTES], sealed[_SEAL_BYTES:]
    if not hmac.compare_digest(seal, _seal(key, body)) or bytes(body[: len(_FORM)]) != _FORM:
        raise UntrustedError("damaged or not ours")
    if bytes(body[: len(_MAGIC)]) != _MAGIC:
        raise UntrustedError("of another version of StreamSwarm")
    try:
        with np.load(io.BytesIO(body[len(_MAGIC) :]), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        return Saved(json.loads(arrays.pop(_HEADER).tobytes()), arrays)
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UntrustedError(f"unreadable ({error})") from None


def _seal(key: bytes, body: memoryview) -> bytes:
    return hmac.digest(key, body, hashlib.sha256)
