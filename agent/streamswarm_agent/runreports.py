"""Reports of runs: what has begun, gone on and ended, told to the control plane."""

import asyncio
import logging
import math
import time
from typing import Final

from streamswarm_agent.controlplane import ControlPlane
from streamswarm_agent.grid import next_line
from streamswarm_agent.runbook import RunBook
from streamswarm_core.assignment import RunReport
from streamswarm_core.errors import Refused, Unavailable

log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 0.5
_PROGRESS_RECORDS_PER_SECOND: Final = 20
"""So many records that go on are reported in a second at most; more are reported less often."""


class RunReports:
    """Sends reports.

    Args:
        controlplane: where they go.
        book: what they are of.
        pause: seconds from one report of what goes on to the next, and after one that couldn't be sent.
    """

    def __init__(self, controlplane: ControlPlane, book: RunBook, pause: float) -> None:
        self._controlplane = controlplane
        self._book = book
        self._pause = pause

    async def send_forever(self) -> None:
        """Say at once what has begun or ended, and now and then what has gone on."""
        progress_at = -math.inf
        while True:
            now = time.monotonic()
            pause = max(self._pause, len(self._book) / _PROGRESS_RECORDS_PER_SECOND)
            progress = now >= progress_at + pause
            if progress:
                progress_at = now
            reports = self._book.to_report(progress=progress) if progress or self._book.unsent else []
            if progress or self._book.changed:
                self._book.save()
            await self._send(reports)
            await asyncio.sleep(next_line(now, _LOOK_SECONDS) - now)

    async def _send(self, reports: list[RunReport]) -> None:
        if not reports:
            return
        try:
            await self._controlplane.report_runs(reports)
        except Refused as error:
            if error.status in {401, 403}:
                await asyncio.sleep(self._pause)
                return
            # It would refuse the same again; an older control plane knows no run records.
            log.warning("the control plane doesn't take reports of runs: %s", error)
            self._book.reported(reports)
        except Unavailable as error:
            log.debug("runs are not reported: %s", error)
            await asyncio.sleep(self._pause)
        else:
            self._book.reported(reports)
