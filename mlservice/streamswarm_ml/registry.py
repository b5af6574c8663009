"""The model store: versions of each model on disk, sealed, with a way back.

River's models have no portable form, so a version is a pickle, and loading a pickle runs whatever is in it. A version
is therefore unpickled only if it lies in our own folder, is a plain file that belongs to this user and that nobody else
can write, and carries an HMAC under a key that only this user can read. Everything else is refused before a byte of it
is unpickled. Models can't be brought in from elsewhere; `reset` makes them again from the stored points.

    models/store.key
    models/forecast/00000003.model     seal, magic, header (JSON), body
    models/forecast/current            the number of the version in use
"""

import contextlib
import hashlib
import hmac
import json
import logging
import os
import pickle
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streamswarm_core.clock import NANOSECONDS, from_ns, now_ns
from streamswarm_core.errors import StreamSwarmError
from streamswarm_core.ownfiles import write_whole
from streamswarm_ml.keyfile import load_or_create_key

log = logging.getLogger(__name__)

_MAGIC: Final = b"STREAMSWARM-MODEL-1\n"
_SEAL_BYTES: Final = 32
_LENGTH_BYTES: Final = 4
_DAY_NS: Final = 86_400 * NANOSECONDS
_UNREADABLE: Final = (pickle.UnpicklingError, AttributeError, ImportError, TypeError, ValueError, KeyError, EOFError)
"""What a pickle raises whose classes, ours or River's, have moved or changed since."""
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_FILE: Final = re.compile(r"(\d{8})\.model")


class ModelRefused(StreamSwarmError):  # noqa: N818 - what the store did
    """A version that is missing, damaged, foreign or of another format; the message says which and what to do."""


class Version(BaseModel):
    """What is known of a stored version without loading it.

    Attributes:
        model: which model.
        version: counts from 1.
        format: of the model's state; a program that expects another refuses it.
        saved_at: ISO 8601, UTC.
        samples: examples it had learned from.
        sha256: of the body, in hex.
        size: bytes on disk.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    version: int
    format: int
    saved_at: str
    samples: int
    sha256: str
    size: int = Field(0, description="Bytes on disk.")


class ModelStore:
    """Keeps the newest versions of each model.

    Args:
        folder: made for this user only if it isn't there.
        keep: versions of a model that stay; the one in use always does.
        keep_days: days of which the last version stays.
        clock: nanoseconds since the epoch.

    Raises:
        OSError: the folder can't be made.
        ConfigError: the key is none, or others can read it.
    """

    def __init__(self, folder: Path, *, keep: int = 3, keep_days: int = 7, clock: Callable[[], int] = now_ns) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder: Final = folder.resolve()
        self._keep = keep
        self._keep_days = keep_days
        self._clock = clock
        self._key = load_or_create_key(self._folder / "store.key")

    def save(self, model: str, state: Any, *, samples: int, format: int = 1) -> Version:  # noqa: A002
        """Store a new version and put it in use; a crash leaves the old one in use, whole."""
        folder = self._model_folder(model)
        folder.mkdir(mode=0o700, exist_ok=True)
        body = pickle.dumps(state, protocol=pickle.HIGHEST_PROTOCOL)
        version = Version(
            model=model,
            version=max(self._numbers(model), default=0) + 1,
            format=format,
            saved_at=from_ns(self._clock()).isoformat(),
            samples=samples,
            sha256=hashlib.sha256(body).hexdigest(),
        )
        header = version.model_dump_json(exclude={"size"}).encode()
        content = _MAGIC + len(header).to_bytes(_LENGTH_BYTES, "big") + header + body
        path = self._path(model, version.version)
        write_whole(path, self._seal(content) + content)
        self._use(model, version.version)
        self._forget_old(model, version.version)
        return version.model_copy(update={"size": path.stat().st_size})

    def load(self, model: str, *, version: int | None = None, format: int = 1) -> Any | None:  # noqa: A002
        """The state in use, or of one version; None if nothing was ever saved.

        Raises:
            ModelRefused: the version is missing, can't be trusted, or has another format.
        """
        number = self.current(model) if version is None else version
        if number is None:
            return None
        known, body = self._open(model, number)
        if known.format != format:
            raise ModelRefused(
                f"{model} version {number} has format {known.format}, this program reads {format}; "
                "reset the model to make it again from the stored points"
            )
        try:
            return pickle.loads(body)  # noqa: S301 - sealed by our own key, see the module's docstring
        except _UNREADABLE as error:
            raise ModelRefused(
                f"{model} version {number} is of a program with other classes ({error}); "
                "reset the model to make it again from the stored points"
            ) from None

    def versions(self, model: str) -> list[Version]:
        """All versions that can be trusted, newest first; the others are logged."""
        found = []
        for number in sorted(self._numbers(model), reverse=True):
            try:
                found.append(self._open(model, number)[0])
            except ModelRefused as refusal:
                log.warning("%s", refusal)
        return found

    def size(self, model: str) -> int:
        """Bytes on disk of all versions, whether they can be trusted or not."""
        paths = (self._path(model, number) for number in self._numbers(model))
        with contextlib.suppress(FileNotFoundError):  # one that is being dropped
            return sum(path.stat().st_size for path in paths)
        return 0

    def current(self, model: str) -> int | None:
        """The number of the version in use; None if nothing was ever saved."""
        try:
            return int((self._model_folder(model) / "current").read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return max(self._numbers(model), default=None)

    def roll_back(self, model: str, version: int | None = None, *, format: int = 1) -> Version:  # noqa: A002
        """Put an older version in use: the one given, or the one before the current.

        Raises:
            ModelRefused: there is no such version, or it can't be trusted or read; the one in use stays.
        """
        current = self.current(model)
        older = [number for number in self._numbers(model) if current is not None and number < current]
        if version is None and not older:
            raise ModelRefused(f"{model} has no version before {current or 'the first'}; nothing to go back to")
        numbers = sorted(self._numbers(model))
        if version is not None and version not in numbers:
            there = ", ".join(map(str, numbers)) or "none"
            raise ModelRefused(f"{model}: no such version {version}; there are {there}")
        known, _ = self._open(model, max(older) if version is None else version)
        self.load(model, version=known.version, format=format)
        self._use(model, known.version)
        return known

    def _open(self, model: str, number: int) -> tuple[Version, bytes]:
        path = self._path(model, number)
        sealed = self._trusted_bytes(path)
        seal, content = sealed[:_SEAL_BYTES], sealed[_SEAL_BYTES:]
        if not hmac.compare_digest(seal, self._seal(content)) or not content.startswith(_MAGIC):
            raise ModelRefused(f"{path}: damaged, or not sealed by this installation; roll back or reset the model")
        start = len(_MAGIC) + _LENGTH_BYTES
        end = start + int.from_bytes(content[len(_MAGIC) : start], "big")
        try:
            known = Version.model_validate({**json.loads(content[start:end]), "size": len(sealed)})
        except (ValueError, ValidationError) as error:
            raise ModelRefused(f"{path}: its header can't be read: {error}") from None
        body = content[end:]
        if (known.model, known.version) != (model, number) or hashlib.sha256(body).hexdigest() != known.sha256:
            raise ModelRefused(f"{path}: holds {known.model} version {known.version}; a file was renamed or copied")
        return known, body

    def _trusted_bytes(self, path: Path) -> bytes:
        try:
            if not path.resolve().is_relative_to(self._folder) or path.is_symlink():
                raise ModelRefused(f"{path}: leads out of {self._folder}; models are read from there only")
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise ModelRefused(f"{path}: no such version") from None
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
                raise ModelRefused(f"{path}: must be a plain file of this user that nobody else can write")
            return file.read()

    def _use(self, model: str, number: int) -> None:
        write_whole(self._model_folder(model) / "current", str(number).encode())

    def _forget_old(self, model: str, current: int) -> None:
        """Keep the newest few, and the last of each of the newest few days: models are saved many times a day."""
        days: set[int] = set()
        for place, number in enumerate(sorted(self._numbers(model), reverse=True)):
            path = self._path(model, number)
            day = path.stat().st_mtime_ns // _DAY_NS
            last_of_day = day not in days and len(days) < self._keep_days
            days.add(day)
            if place >= self._keep and not last_of_day and number != current:
                path.unlink(missing_ok=True)

    def _numbers(self, model: str) -> list[int]:
        folder = self._model_folder(model)
        if not folder.is_dir():
            return []
        return [int(match[1]) for entry in folder.iterdir() if (match := _FILE.fullmatch(entry.name))]

    def _path(self, model: str, number: int) -> Path:
        return self._model_folder(model) / f"{number:08d}.model"

    def _model_folder(self, model: str) -> Path:
        if not _NAME.fullmatch(model):
            raise ModelRefused(f"{model!r} is no name of a model; small letters, digits and _ are")
        return self._folder / model

    def _seal(self, content: bytes) -> bytes:
        return hmac.digest(self._key, content, hashlib.sha256)
