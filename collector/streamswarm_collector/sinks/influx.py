"""Forwards the log to an InfluxDB 1.x, 2.x or 3.x or a VictoriaMetrics, in order, until they have it."""

import json
import logging
import random
import threading
from pathlib import Path
from typing import Final

import httpx

from streamswarm_collector.batch import split_payload
from streamswarm_collector.settings import InfluxSinkSettings
from streamswarm_collector.wal import Record, Wal

log = logging.getLogger(__name__)

_MOST_BYTES: Final = 4_000_000
_FIRST_DELAY: Final = 0.5
_LAST_DELAY: Final = 30.0
_IDLE_SECONDS: Final = 1.0
_RETRYABLE: Final = frozenset({401, 403, 404, 408, 425, 429})
"""Answers that a correction at the other end can turn into success; the points wait for it."""


class InfluxSink:
    """One thread that follows the log.

    Several small batches of one database are sent as one request. A batch that the peer refuses as invalid (400, 413,
    422) is set aside with the peer's words in `dead-letter.jsonl`, so that it can't hold up those behind it.

    Args:
        settings: where to and how.
        wal: the log.
        folder: keeps the position and what was set aside.
    """

    def __init__(self, settings: InfluxSinkSettings, wal: Wal, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = settings.name
        self.failure: str | None = None
        self._settings = settings
        self._wal = wal
        self._position_file = folder / "position"
        self._dead_letters = folder / "dead-letter.jsonl"
        self._position = int(self._position_file.read_text()) if self._position_file.exists() else 0
        self._client = httpx.Client(base_url=str(settings.url), timeout=15.0)
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
        self._client.close()

    def _forward_forever(self) -> None:
        reader = self._wal.follow(self._position)
        ahead: Record | None = None
        while not self._stop.is_set():
            first = ahead or reader.next()
            ahead = None
            if first is None:
                self._wal.wait_for_more(self._position, _IDLE_SECONDS)
                continue
            database, lines = split_payload(first.payload)
            parts, last = [lines], first.lsn
            while sum(map(len, parts)) < _MOST_BYTES and (record := reader.next()) is not None:
                other, lines = split_payload(record.payload)
                if other != database:
                    ahead = record
                    break
                parts.append(lines)
                last = record.lsn
            if self._deliver(database, b"\n".join(parts)):
                self._advance(last)
        reader.close()

    def _deliver(self, database: str, lines: bytes) -> bool:
        """Send until the peer has taken or refused the lines; False if stopped before."""
        delay = _FIRST_DELAY
        while not self._stop.is_set():
            try:
                answer = self._send(database, lines)
            except httpx.HTTPError as error:
                wait, self.failure = delay, f"{type(error).__name__}: {error}"
            else:
                if answer.is_success:
                    self.failure = None
                    return True
                if answer.status_code < 500 and answer.status_code not in _RETRYABLE:
                    self._set_aside(database, lines, answer)
                    self.failure = None
                    return True
                wait, self.failure = _retry_after(answer, delay), f"HTTP {answer.status_code}: {answer.text[:200]}"
            log.warning("sink %s: %s; next try in %.1f s", self.name, self.failure, wait)
            self._stop.wait(wait * random.uniform(0.75, 1.25))  # noqa: S311 - spreads retries, guards nothing
            delay = min(delay * 2, _LAST_DELAY)
        return False

    def _send(self, database: str, lines: bytes) -> httpx.Response:
        token = self._settings.token.get_secret_value()
        if self._settings.api == "v1":
            user, _, password = token.partition(":")
            auth = httpx.BasicAuth(user, password) if token else httpx.USE_CLIENT_DEFAULT
            name, _, policy = database.partition("/")
            parameters = {"db": name, "precision": "ns", **({"rp": policy} if policy else {})}
            return self._client.post("/write", params=parameters, content=lines, auth=auth)
        return self._client.post(
            "/api/v2/write",
            params={"org": self._settings.org, "bucket": database, "precision": "ns"},
            content=lines,
            headers={"Authorization": f"Token {token}"} if token else {},
        )

    def _set_aside(self, database: str, lines: bytes, answer: httpx.Response) -> None:
        log.error("sink %s refused a batch: HTTP %d: %s", self.name, answer.status_code, answer.text[:500])
        letter = {
            "database": database,
            "status": answer.status_code,
            "answer": answer.text[:2000],
            "lines": lines.decode(errors="replace"),
        }
        with self._dead_letters.open("a", encoding="utf-8") as file:
            file.write(json.dumps(letter, ensure_ascii=False) + "\n")

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
