"""What an agent says of itself: load, backlog, clock, and the starts that came to nothing."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Final

import psutil

from streamswarm_agent.heartbeats import Heartbeats
from streamswarm_agent.net.path.geo import PlaceNames
from streamswarm_agent.plan import Skip, Skipped
from streamswarm_agent.schedule import Scheduler
from streamswarm_agent.spool import Flush, Spool
from streamswarm_core.catalogue.platform import AGENT, RUN
from streamswarm_core.clock import now_ns
from streamswarm_core.point import Point

log = logging.getLogger(__name__)

_SECONDS: Final = 10.0


class SelfObservation:
    """Observes the agent.

    Args:
        scheduler: what runs and what doesn't.
        spool: what waits; it takes the points.
        flush: of the spool.
        heartbeats: know how far the clock is off.
        places: know where the agent's site is.
    """

    def __init__(
        self, scheduler: Scheduler, spool: Spool, flush: Flush, heartbeats: Heartbeats, places: PlaceNames
    ) -> None:
        self._scheduler = scheduler
        self._spool = spool
        self._flush = flush
        self._heartbeats = heartbeats
        self._places = places
        self._written_skips: dict[tuple[str, Skip], int] = {}
        self._process: psutil.Process | None = None

    async def write_forever(self) -> None:
        """Put points into the spool every ten seconds."""
        while True:
            await asyncio.sleep(_SECONDS)
            self._spool.add([self._point(), *self._new_skips()])
            self._flush.soon()
            self._scheduler.counts.lag = 0.0

    def exported(self) -> Iterator[Point]:
        """For a scrape: how the agent is now, and all starts that came to nothing."""
        yield from map(_skip_point, self._scheduler.skipped)
        yield self._point()

    def _new_skips(self) -> Iterator[Point]:
        """What was skipped since the last time; an assignment that loses nothing has no such points."""
        counted: dict[tuple[str, Skip], int] = {}
        for skipped in self._scheduler.skipped:
            key = (skipped.assignment.id, skipped.reason)
            counted[key] = skipped.starts
            if self._written_skips.get(key) != skipped.starts:
                yield _skip_point(skipped)
        self._written_skips = counted

    def _point(self) -> Point:
        clock = self._heartbeats.clock
        latitude, longitude = self._places.here or (None, None)
        return AGENT.point(
            {},
            time_ns=now_ns(),
            assignments=len(self._scheduler),
            runs=self._scheduler.counts.runs,
            overruns=self._scheduler.counts.overruns,
            skipped=self._scheduler.counts.skipped,
            deferred=self._scheduler.counts.deferred,
            waiting=self._scheduler.waiting,
            refused=len(self._scheduler.refused),
            lag=self._scheduler.counts.lag,
            queued_points=self._spool.points,
            queued=self._spool.size,
            oldest_queued=self._spool.oldest_age,
            dropped_points=self._spool.dropped_points,
            **self._usage(),
            clock_offset=clock.offset if clock else None,
            clock_error=clock.error if clock else None,
            latitude=latitude,
            longitude=longitude,
        )

    def _usage(self) -> dict[str, float]:
        """Nothing where the host can't say: its file descriptors are used up, or it has no /proc."""
        try:
            self._process = self._process or psutil.Process()
            return {"cpu": self._process.cpu_percent() / 100, "memory": self._process.memory_info().rss}
        except (OSError, psutil.Error) as error:
            log.warning("this process's load can't be read, is /proc mounted? %s", error)
            return {}


def _skip_point(skipped: Skipped) -> Point:
    tags = {"test": skipped.assignment.test, "target": skipped.assignment.target, "reason": skipped.reason.value}
    return RUN.point(tags, time_ns=now_ns(), skipped=skipped.starts, detail=skipped.detail)
