"""Forwards the log to an InfluxDB 1.x, 2.x or 3.x or a VictoriaMetrics, in order, until they have it."""

import logging
import random
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import httpx

from streamswarm_collector.batch import split_payload
from streamswarm_collector.metrics import CollectorMetrics
from streamswarm_collector.settings import InfluxSinkSettings
from streamswarm_collector.sinks.deadletters import DeadLetters
from streamswarm_collector.sinks.peer import Peer, is_final, is_partial
from streamswarm_collector.wal import Wal
from streamswarm_collector.walfiles import Record, WalReader
from streamswarm_core.lineprotocol import split_lines

log = logging.getLogger(__name__)

_MOST_BYTES: Final = 4_000_000
_FIRST_DELAY: Final = 0.5
_LAST_DELAY: Final = 30.0
_IDLE_SECONDS: Final = 1.0
_TRIALS_PER_SECOND: Final = 20.0
_MOST_TRIALS: Final = 200.0


class InfluxSink:
    """One thread that follows the log.

    Several small batches of one database are sent as one request. When the peer refuses it as invalid (400, 413, 422),
    its halves are sent, and theirs, until only what the peer can't take is set aside with its words, so that it holds
    up nobody. That a line is sent twice on the way is harmless: a point is its series and time.

    Args:
        settings: where to and how.
        wal: the log.
        folder: keeps the position and what was set aside.
        metrics: to be kept up to date.
        most_dead_bytes: size of what was set aside from which nothing more is, and the log waits.
    """

    def __init__(
        self,
        settings: InfluxSinkSettings,
        wal: Wal,
        folder: Path,
        metrics: CollectorMetrics,
        *,
        most_dead_bytes: int = 1_000_000_000,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = settings.name
        self.failure: str | None = None
        self.dead_letters = DeadLetters(folder)
        self._most_dead_bytes = most_dead_bytes
        self._wal = wal
        self._position_file = folder / "position"
        self._position = self._read_position()
        self._peer = Peer(settings)
        self._retries = metrics.sink_retries.labels(self.name)
        self._dead = metrics.sink_dead_letters.labels(self.name)
        self._trials, self._trials_at = _MOST_TRIALS, time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._forward_forever, name=f"sink-{settings.name}", daemon=True)

    @property
    def position(self) -> int:
        """Number of the newest record that the peer has."""
        return self._position

    def start(self) -> None:
        """Begin forwarding."""
        self._thread.start()

    def close(self) -> None:
        """Stop after the request under way."""
        self._stop.set()
        self._thread.join()
        self._peer.close()

    def _forward_forever(self) -> None:
        while not self._stop.is_set():
            reader = self._wal.follow(self._position)
            try:
                self._forward(reader)
            except Exception as error:
                # A disk that is full, a record that can't be read: whatever it is, it is shown and tried again.
                self.failure = f"{type(error).__name__}: {error}"
                log.exception("sink %s can't go on behind record %d", self.name, self._position)
                self._stop.wait(_LAST_DELAY)
            finally:
                reader.close()

    def _forward(self, reader: WalReader) -> None:
        ahead: Record | None = None
        while not self._stop.is_set():
            first = ahead or reader.next()
            ahead = None
            if first is None:
                self._wal.wait_for_more(self._position, _IDLE_SECONDS)
                continue
            database, lines = split_payload(first.payload)
            batches, size, last = [lines], len(lines), first.lsn
            while size < _MOST_BYTES and (record := reader.next()) is not None:
                other, lines = split_payload(record.payload)
                if other != database or size + len(lines) > _MOST_BYTES:
                    ahead = record
                    break
                batches.append(lines)
                size += len(lines)
                last = record.lsn
            if self._deliver(database, batches):
                self._advance(last)

    def _deliver(self, database: str, batches: Sequence[bytes]) -> bool:
        """Send until each line is at the peer or set aside; False if stopped before."""
        answer = self._ask(database, b"\n".join(batches))
        if answer is None or answer.is_success:
            return answer is not None
        if len(batches) > 1:
            middle = len(batches) // 2
            return self._deliver(database, batches[:middle]) and self._deliver(database, batches[middle:])
        lines = [line for _, line in split_lines(batches[0].decode())]
        return self._narrow_down(database, lines, answer)

    def _narrow_down(self, database: str, lines: Sequence[str], refusal: httpx.Response) -> bool:
        """Find the refused lines of one batch by halves, as long as there weren't too many such searches."""
        if len(lines) == 1 or not self._may_try():
            return self._set_aside(database, lines, refusal)
        middle = len(lines) // 2
        for half in (lines[:middle], lines[middle:]):
            answer = self._ask(database, "\n".join(half).encode())
            if answer is None or not (answer.is_success or self._narrow_down(database, half, answer)):
                return False
        return True

    def _ask(self, database: str, lines: bytes) -> httpx.Response | None:
        """Send until the peer has taken or finally refused the lines; None if stopped before."""
        delay = _FIRST_DELAY
        while not self._stop.is_set():
            try:
                answer = self._peer.write(database, lines)
            except httpx.HTTPError as error:
                wait, self.failure = delay, f"{type(error).__name__}: {error}"
            else:
                if answer.is_success or is_final(answer):
                    self.failure = None
                    return answer
                wait, self.failure = _retry_after(answer, delay), f"HTTP {answer.status_code}: {answer.text[:200]}"
            self._wait_to_retry(wait)
            delay = min(delay * 2, _LAST_DELAY)
        return None

    def _wait_to_retry(self, seconds: float) -> None:
        log.warning("sink %s: %s; next try in %.1f s", self.name, self.failure, seconds)
        self._retries.inc()
        self._stop.wait(seconds * random.uniform(0.75, 1.25))  # noqa: S311 - spreads retries, guards nothing

    def _may_try(self) -> bool:
        now = time.monotonic()
        self._trials = min(_MOST_TRIALS, self._trials + (now - self._trials_at) * _TRIALS_PER_SECOND)
        self._trials_at = now
        if self._trials < 1:
            return False
        self._trials -= 1
        return True

    def _set_aside(self, database: str, lines: Sequence[str], refusal: httpx.Response) -> bool:
        while self.dead_letters.bytes > self._most_dead_bytes:
            self.failure = (
                f"more than {self._most_dead_bytes} bytes were refused and set aside; see to them with "
                f"'streamswarm collector dead-letters {self.name}'"
            )
            self._wait_to_retry(_LAST_DELAY)
            if self._stop.is_set():
                return False
        self.failure = None
        log.error(
            "sink %s refused %d lines: HTTP %d: %s", self.name, len(lines), refusal.status_code, refusal.text[:500]
        )
        self.dead_letters.add(
            database,
            "\n".join(lines),
            status=refusal.status_code,
            answer=refusal.text,
            partly_kept=len(lines) > 1 and is_partial(refusal),
        )
        self._dead.inc(len(lines))
        return True

    def _read_position(self) -> int:
        try:
            position = int(self._position_file.read_text())
        except (FileNotFoundError, ValueError):
            return 0
        # A log that was deleted begins again with 1.
        return position if position <= self._wal.last_lsn else 0

    def _advance(self, position: int) -> None:
        temporary = self._position_file.with_suffix(".new")
        temporary.write_text(str(position))
        temporary.replace(self._position_file)
        self._position = position


def _retry_after(answer: httpx.Response, otherwise: float) -> float:
    try:
        return min(max(float(answer.headers["Retry-After"]), 0.1), 300.0)
    except (KeyError, ValueError):
        return otherwise
