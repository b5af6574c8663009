"""The detectors' state on disk: written whole and atomically, read back only if nobody has touched it.

River's models have no portable form, so the state is a pickle, and loading a pickle runs whatever is in it. Therefore
the file is sealed with an HMAC whose key is made on first start and readable by this user only: a file that was
swapped, cut short or edited is refused before a byte of it is unpickled, and the service starts afresh.
"""

import hashlib
import hmac
import logging
import os
import pickle
import secrets
from pathlib import Path
from typing import Any, Final

log = logging.getLogger(__name__)

_MAGIC: Final = b"STREAMSWARM-ML-1\n"
_SEAL_BYTES: Final = 32


class StateFile:
    """One sealed file.

    Args:
        folder: keeps the file and the key.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path: Final = folder / "detectors.state"
        self._key = _load_or_create_key(folder / "state.key")

    @property
    def size(self) -> int:
        """Bytes on disk; 0 before the first save."""
        return self.path.stat().st_size if self.path.exists() else 0

    def save(self, content: Any) -> None:
        """Replace the file's content; a crash leaves the old or the new one, never a mixture."""
        body = _MAGIC + pickle.dumps(content, protocol=pickle.HIGHEST_PROTOCOL)
        temporary = self.path.with_suffix(".new")
        with temporary.open("wb") as file:
            file.write(self._seal(body) + body)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)

    def load(self) -> Any | None:
        """What was saved last; None if there is nothing, or nothing that can be trusted."""
        try:
            sealed = self.path.read_bytes()
        except FileNotFoundError:
            return None
        seal, body = sealed[:_SEAL_BYTES], sealed[_SEAL_BYTES:]
        if not hmac.compare_digest(seal, self._seal(body)) or not body.startswith(_MAGIC):
            aside = self.path.with_suffix(".refused")
            self.path.replace(aside)
            log.error("%s is damaged or not ours; set aside as %s, starting afresh", self.path, aside.name)
            return None
        return pickle.loads(body[len(_MAGIC) :])  # noqa: S301 - sealed by our own key, see the module's docstring

    def _seal(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, hashlib.sha256)


def _load_or_create_key(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    key = secrets.token_bytes(32)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
    return key
