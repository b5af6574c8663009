import json
import logging
import math
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Literal

from streamswarm_core.printable import one_line, printable

_SELDOM_SECONDS: Final = 60.0
_MOST_TOLD: Final = 10_000


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
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


class _TextFormatter(logging.Formatter):
    """A line for each record, but for what belongs to an exception: messages quote what strangers sent."""

    def __init__(self, service: str) -> None:
        super().__init__(f"%(asctime)s {service:<12} %(levelname)-7s %(message)s", datefmt="%Y-%m-%dT%H:%M:%SZ")

    converter = staticmethod(lambda seconds: datetime.fromtimestamp(seconds or 0, UTC).timetuple())

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the standard library's name
        record.message = one_line(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the standard library's name
        return printable(super().formatException(ei))


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


def _said(record: logging.LogRecord) -> str | None:
    """Word for word, but for a mistake in the program: its traceback may be another."""
    return None if record.exc_info else record.getMessage()


def _form(record: logging.LogRecord) -> str | None:
    return str(record.msg) if record.levelno == logging.WARNING else None


def configure(service: str, *, level: str = "info", style: Literal["text", "json"] = "text") -> None:
    """Send this process's log to standard error, in UTC, once; calling it again replaces the first set-up.

    A warning or an error that is repeated word for word appears once a minute.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter(service) if style == "json" else _TextFormatter(service))
    handler.addFilter(_Seldom(_said))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in ("httpx", "httpcore", "uvicorn.access", "urllib3", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # Its warnings are of requests that are none, from whoever reaches the port.
    server = logging.getLogger("uvicorn.error")
    server.filters[:] = [_Seldom(_form)]
