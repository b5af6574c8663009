"""A query that is to end before it has its answer, because nobody waits for it or others have to go first."""

import contextlib
import threading
from collections.abc import Iterator

from duckdb import DuckDBPyConnection


class StoppedError(Exception):
    """The query was told to stop; it has changed nothing."""


class Stop:
    """Tells one query to stop, from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: DuckDBPyConnection | None = None
        self._requested = False

    def request(self) -> None:
        """End it soon; to be repeated, as DuckDB forgets an interruption that comes between two of its statements."""
        with self._lock:
            self._requested = True
            if self._connection is not None:
                self._connection.interrupt()

    def check(self) -> None:
        """Go on unless told otherwise.

        Raises:
            StoppedError: it was.
        """
        if self._requested:
            raise StoppedError

    @contextlib.contextmanager
    def reaching(self, connection: DuckDBPyConnection) -> Iterator[None]:
        """Have what the connection does interrupted."""
        with self._lock:
            self._connection = connection
        try:
            yield
        finally:
            with self._lock:
                self._connection = None
