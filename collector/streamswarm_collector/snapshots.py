"""Lets a backup be made while the collector runs, for whoever may write to its folder.

A socket in the folder serves one at a time: connect, and a line of JSON names the snapshot's folder, or says why there
is none. It is removed when the other side closes, however that comes about. No token is asked for: who can open the
socket can read the files.
"""

import asyncio
import contextlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

from streamswarm_collector.store.embedded import EmbeddedStore
from streamswarm_collector.store.snapshot import link_or_copy, snapshot_store
from streamswarm_collector.walfiles import segments
from streamswarm_core.errors import StreamSwarmError

log = logging.getLogger(__name__)

SOCKET: Final = "snapshot.sock"
FOLDER: Final = "snapshot"


class Snapshots:
    """The socket, and what it hands out.

    Args:
        folder: the collector's, with the log in it.
        store: the embedded store, if there is one.
    """

    def __init__(self, folder: Path, store: EmbeddedStore | None) -> None:
        self._folder = folder
        self._store = store
        self._server: asyncio.Server | None = None
        self._busy = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Begin to listen; what a collector that was killed has left is removed."""
        await asyncio.to_thread(self._remove)
        path = self._folder / SOCKET
        path.unlink(missing_ok=True)
        try:
            with short_name(path) as name:
                self._server = await asyncio.start_unix_server(self._answer, name)
            path.chmod(0o600)
        except OSError as error:
            log.warning("%s: %s; backups have to wait until the collector is stopped", path, error)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening; a snapshot that is handed out goes."""
        if self._server is not None:
            self._server.close()
            (self._folder / SOCKET).unlink(missing_ok=True)
        await asyncio.to_thread(self._remove)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._busy.locked():
                await _say(writer, error="another backup is being made; wait for its end")
                return
            async with self._busy:
                try:
                    await _say(writer, folder=(await asyncio.to_thread(self._take)).name)
                    await reader.read()
                except (StreamSwarmError, OSError) as error:
                    log.warning("no snapshot: %s", error)
                    await _say(writer, error=str(error))
                finally:
                    await asyncio.to_thread(self._remove)
        except OSError:
            pass  # whoever asked has gone
        finally:
            writer.close()

    def _take(self) -> Path:
        target = self._folder / FOLDER
        self._remove()
        (target / "wal").mkdir(mode=0o700, parents=True)
        # Before, so that nothing is missing between the log and the store; and after, so that the log ends behind it.
        self._link_log(target / "wal")
        if self._store is not None:
            self._store.flush()
            with self._store.beside() as connection:
                snapshot_store(connection, self._store.path, target)
        self._link_log(target / "wal")
        return target

    def _link_log(self, target: Path) -> None:
        for segment in segments(self._folder / "wal"):
            with contextlib.suppress(FileNotFoundError, FileExistsError):
                link_or_copy(segment, target / segment.name)

    def _remove(self) -> None:
        shutil.rmtree(self._folder / FOLDER, ignore_errors=True)


@contextlib.contextmanager
def short_name(path: Path) -> Iterator[str]:
    """A name for a socket in a folder that may be deeper than the 107 bytes which the kernel takes."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


async def _say(writer: asyncio.StreamWriter, **answer: str) -> None:
    writer.write(json.dumps(answer).encode() + b"\n")
    await writer.drain()
