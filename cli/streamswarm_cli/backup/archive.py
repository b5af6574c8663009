"""The archive of a backup: a tar whose first member says what it is, and whose last one what all members are to be.

Any tar reads it. One that was cut short lacks the last member, so it is never taken for whole.
"""

import contextlib
import hashlib
import io
import os
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Annotated, Final, Self

from pydantic import BaseModel, Field, ValidationError

from streamswarm_core import __version__
from streamswarm_core.errors import ConfigError
from streamswarm_core.printable import one_line

FORMAT: Final = 1
_ABOUT: Final = "streamswarm-backup.json"
_SUMS: Final = "SHA256SUMS"
_PART: Final = ".part"
_PACKED: Final = (".gz", ".tgz")
_CHUNK: Final = 1 << 20
_MOST_SUMS: Final = 64 << 20
"""Bytes; the sums of half a million files."""
_Plain = Annotated[str, Field(max_length=40, pattern=r"^[ -~]*$")]


class About(BaseModel):
    """What an archive says of itself: its form, who made it, and when."""

    format: int
    version: _Plain
    made_at: _Plain


class ArchiveWriter:
    """Writes beside the wanted place, and gives the file its name when it is whole.

    Args:
        out: the archive; `.gz` and `.tgz` are packed.

    Raises:
        OSError: it can't be written.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._part = out.with_name(out.name + _PART)
        self._sums: dict[str, str] = {}
        self.size = 0

    def __enter__(self) -> Self:
        packed = self._out.suffix in _PACKED
        self._part.unlink(missing_ok=True)
        self._part.touch(mode=0o600, exist_ok=False)  # nobody else's, in a folder where others may write
        self._tar = tarfile.open(self._part, "w:gz", compresslevel=1) if packed else tarfile.open(self._part, "w")
        made_at = datetime.now(UTC).isoformat(timespec="seconds")
        about = About(format=FORMAT, version=__version__, made_at=made_at).model_dump_json().encode()
        self._add(_ABOUT, io.BytesIO(about), len(about))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                listed = "".join(f"{digest}  {name}\n" for name, digest in self._sums.items()).encode()
                self._add(_SUMS, io.BytesIO(listed), len(listed))
                self._tar.close()
                self.size = self._part.stat().st_size
                self._part.replace(self._out)
        finally:
            with contextlib.suppress(OSError):
                self._tar.close()
            self._part.unlink(missing_ok=True)

    def add(self, file: IO[bytes], name: str) -> None:
        """Add a file as long as it is now.

        Raises:
            OSError: it can't be read, or the archive can't be written.
        """
        self._add(name, file, os.fstat(file.fileno()).st_size)

    def _add(self, name: str, file: IO[bytes], size: int) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.mtime = size, 0o600, int(datetime.now(UTC).timestamp())
        hashed = _Hashed(file)
        self._tar.addfile(member, hashed)
        self._sums[name] = hashed.digest.hexdigest()


class _Hashed:
    """A file that sums up what is read of it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        content = self._file.read(size)
        self.digest.update(content)
        return content


def read_archive(path: Path, target: Path | None) -> About:
    """Read an archive to its end, compare every sum, and write the files into a folder, for this user only.

    Args:
        path: the archive.
        target: an empty folder; None to look only.

    Returns:
        What the archive says of itself.

    Raises:
        ConfigError: it is none, was cut short or changed, or a newer version made it.
        OSError: a file can't be written.
    """
    try:
        with tarfile.open(path, "r|*") as tar:
            return _read(path, tar, target)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise ConfigError(f"{path}: cut short or no archive of `streamswarm backup`: {one_line(str(error))}") from None


def _read(path: Path, tar: tarfile.TarFile, target: Path | None) -> About:
    about: About | None = None
    found: dict[str, str] = {}
    for member in tar:
        content = tar.extractfile(member)
        if content is None or not member.isfile() or not _is_inside(member.name):
            raise ConfigError(f"{path}: no archive of `streamswarm backup`: {member.name!r} is no plain file in it")
        if about is None:
            told = content.read(_CHUNK)
            about = _about(path, member.name, told)
            found[_ABOUT] = hashlib.sha256(told).hexdigest()
        elif member.name == _SUMS:
            _compare(path, content.read(_MOST_SUMS).decode(), found)
            return about
        else:
            found[member.name] = _take(content, target / member.name if target else None)
    raise ConfigError(f"{path}: cut short: its end is missing; take another backup")


def _about(path: Path, name: str, told: bytes) -> About:
    if name != _ABOUT:
        raise ConfigError(f"{path}: no archive of `streamswarm backup`")
    try:
        about = About.model_validate_json(told)
    except ValidationError:
        raise ConfigError(f"{path}: no archive of `streamswarm backup`, or damaged: {name} can't be read") from None
    if about.format > FORMAT:
        raise ConfigError(f"{path}: made by StreamSwarm {about.version} in a form that {__version__} can't read")
    return about


def _take(content: IO[bytes], target: Path | None) -> str:
    digest = hashlib.sha256()
    with contextlib.ExitStack() as stack:
        file = None
        if target:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = stack.enter_context(target.open("xb"))
            target.chmod(0o600)
        for chunk in _chunks(content):
            digest.update(chunk)
            if file:
                file.write(chunk)
    return digest.hexdigest()


def _chunks(content: IO[bytes]) -> Iterator[bytes]:
    while chunk := content.read(_CHUNK):
        yield chunk


def _compare(path: Path, listed: str, found: dict[str, str]) -> None:
    wanted = {name: digest for digest, _, name in (line.partition("  ") for line in listed.splitlines())}
    changed = [name for name in wanted if found.get(name) != wanted[name]] + [
        name for name in found if name not in wanted
    ]
    if changed:
        raise ConfigError(f"{path}: changed since it was made: {', '.join(changed[:5])}; take another backup")


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts
