import asyncio
import logging
import random
from http import HTTPStatus
from pathlib import Path
from typing import Final

from streamswarm_agent.controlplane import ControlPlane
from streamswarm_agent.spool import Spool
from streamswarm_core.errors import Refused, Unavailable
from streamswarm_core.writer import LineWriter

log = logging.getLogger(__name__)

_LAST_DELAY: Final = 30.0
_REFUSED_FILE_BYTES: Final = 1_000_000
_NOT_AUTHORISED: Final = frozenset({401, 403})
_BAD_LINES: Final = frozenset({400, 413, 422})


class Sender:
    """Drains the spool in order, oldest segment first.

    Lines that the collector refuses are set aside with its words in `refused.log`; what it took of the same segment it
    has kept. What is too large for it, or for a proxy before it, goes in halves. Everything else is tried again, with a
    growing delay.

    Args:
        spool: what to send.
        writer: where to.
        controlplane: renews the token when the collector doesn't take it.
        refused_file: where refused lines go.
        interval: seconds between two looks at the spool.
    """

    def __init__(
        self,
        spool: Spool,
        writer: LineWriter,
        controlplane: ControlPlane,
        *,
        refused_file: Path,
        interval: float,
    ) -> None:
        self._spool = spool
        self._writer = writer
        self._controlplane = controlplane
        self._refused_file = refused_file
        self._interval = interval
        self.failure: str | None = None

    async def run_forever(self) -> None:
        """Send until cancelled."""
        delay = self._interval
        while True:
            await asyncio.sleep(delay)
            try:
                await self.drain()
            except Unavailable as error:
                self._note(str(error))
                wanted = max(error.retry_after or min(delay * 2, _LAST_DELAY), self._interval)
                delay = wanted * random.uniform(0.75, 1.25)  # noqa: S311 - spreads retries, guards nothing
            else:
                if self.failure is not None:
                    log.info("points are delivered again")
                self.failure = None
                delay = self._interval

    async def drain(self) -> None:
        """Send everything that waits.

        Raises:
            Unavailable: the rest has to wait.
        """
        self._spool.seal()
        while (segment := self._spool.oldest()) is not None:
            path, lines = segment
            await self._deliver(lines)
            self._spool.delete(path)

    async def _deliver(self, lines: bytes) -> None:
        try:
            await self._controlplane.access_token()
        except Unavailable:
            # The last token may still be good: collectors don't need the control plane to check it.
            if not self._controlplane.current_token:
                raise
        except Refused as error:
            raise Unavailable(f"no access token: {error}") from None
        try:
            await asyncio.to_thread(self._writer.write, lines)
        except RuntimeError as error:
            # No thread can be started: the host's processes are used up.
            raise Unavailable(f"points can't be sent: {error}") from None
        except Refused as error:
            if error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and lines.count(b"\n") > 1:
                for half in _halves(lines):
                    await self._deliver(half)
                return
            if error.status in _BAD_LINES:
                self._set_aside(lines, str(error))
                return
            if error.status in _NOT_AUTHORISED:
                self._controlplane.reject_token()
            raise Unavailable(str(error)) from None

    def _set_aside(self, lines: bytes, reason: str) -> None:
        log.error("the collector refused points: %s", reason)
        try:
            if self._refused_file.exists() and self._refused_file.stat().st_size > _REFUSED_FILE_BYTES:
                self._refused_file.replace(self._refused_file.with_suffix(".old"))
            with self._refused_file.open("ab") as file:
                file.write(f"# {reason}\n".encode() + lines)
        except OSError as error:
            log.error("%s: %s; they are not kept", self._refused_file, error.strerror)  # noqa: TRY400

    def _note(self, failure: str) -> None:
        if self.failure is None:
            log.warning("points wait on disk: %s", failure)
        self.failure = failure


def _halves(lines: bytes) -> tuple[bytes, bytes]:
    """Two or more lines, parted at the end of the one in the middle."""
    middle = lines.find(b"\n", len(lines) // 2, -1)
    if middle < 0:
        middle = lines.rfind(b"\n", 0, len(lines) // 2)
    return lines[: middle + 1], lines[middle + 1 :]
