import json
import logging
import math
import select
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

from streamswarm_core.masking import masked
from streamswarm_core.printable import one_line, printable

_SELDOM_SECONDS: Final = 60.0
_MOST_TOLD: Final = 10_000
_PIECE: Final = 1000
"""Characters that a pipe which can be written to takes without blocking: four bytes each at most, and 4,096 bytes."""


class _JsonFormatter(logging.Formatter):
    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": masked(record.getMessage()),
        }
        if record.exc_info:
            entry["exception"] = masked(self.formatException(record.exc_info))
        return json.dumps(entry, ensure_ascii=False)


class _TextFormatter(logging.Formatter):
    """A line for each record, but for what belongs to an exception: messages quote what strangers sent."""

    def __init__(self, service: str) -> None:
        super().__init__(f"%(asctime)s {service:<12} %(levelname)-7s %(message)s", datefmt="%Y-%m-%dT%H:%M:%SZ")

    converter = staticmethod(lambda seconds: datetime.fromtimestamp(seconds or 0, UTC).timetuple())

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the standard library's name
        record.message = one_line(masked(record.message))
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the standard library's name
        return printable(masked(super().formatException(ei)))


class _Seldom(logging.Filter):
    """Lets each warning or error through once a minute: what lasts, or anybody can cause at will, must not fill a disk.

    Args:
        alike: what warnings have in common that count as the same; those of which this is None all pass.
    """

    def __init__(self, alike: Callable[[logging.LogRecord], str | None]) -> None:
        super().__init__()
        self._alike = alike
        self._told: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        key = self._alike(record) if record.levelno >= logging.WARNING else None
        if key is None:
            return True
        at = time.monotonic()
        if at - self._told.get(key, -math.inf) < _SELDOM_SECONDS:
            return False
        if len(self._told) >= _MOST_TOLD:
            self._told = {one: told for one, told in self._told.items() if at - told < _SELDOM_SECONDS}
        if len(self._told) < _MOST_TOLD:
            self._told[key] = at
        return True


class _NeverWaiting(logging.StreamHandler[TextIO]):
    """Drops and counts what nobody reads: a pipe to a pager that is left alone must not stop what is measured."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._dropped = 0
        self._torn = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, with what was dropped before it, as far as somebody reads."""
        try:
            if self._dropped and self._write(self._told(record)):
                self._dropped = 0
            if self._dropped or not self._write(self.format(record)):
                self._dropped += 1
        except Exception:  # noqa: BLE001 - as every handler of the standard library does
            self.handleError(record)

    def _told(self, record: logging.LogRecord) -> str:
        text = f"nobody read the log; left out here: {self._dropped}"
        return self.format(
            logging.LogRecord(__name__, logging.WARNING, record.pathname, record.lineno, text, None, None)
        )

    def _write(self, text: str) -> bool:
        """False where it isn't in the log, or not all of it."""
        text = ("\n" if self._torn else "") + text + self.terminator
        for begin in range(0, len(text), _PIECE):
            if not self._takes_more():
                self._torn = self._torn or begin > 0
                return False
            self.stream.write(text[begin : begin + _PIECE])
            self.flush()
            self._torn = False
        return True

    def _takes_more(self) -> bool:
        try:
            number = self.stream.fileno()
        except OSError:  # no file, such as a test's
            return True
        waiting = select.poll()
        waiting.register(number, select.POLLOUT)
        return bool(waiting.poll(0))


def _said(record: logging.LogRecord) -> str | None:
    """Word for word, but for a mistake in the program: its traceback may be another."""
    return None if record.exc_info else record.getMessage()


def _form(record: logging.LogRecord) -> str | None:
    return str(record.msg) if record.levelno == logging.WARNING else None


def configure(service: str, *, level: str = "info", style: Literal["text", "json"] = "text") -> None:
    """Send this process's log to standard error, in UTC, once; calling it again replaces the first set-up.

    A warning or an error that is repeated word for word appears once a minute. What nobody reads is dropped.
    """
    handler = _NeverWaiting(sys.stderr)
    handler.setFormatter(_JsonFormatter(service) if style == "json" else _TextFormatter(service))
    handler.addFilter(_Seldom(_said))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in ("httpx", "httpcore", "uvicorn.access", "urllib3", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # Its warnings are of requests that are none, from whoever reaches the port.
    server = logging.getLogger("uvicorn.error")
    server.filters[:] = [_Seldom(_form)]
