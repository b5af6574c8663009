"""What SQLite needs to serve many at the same time: readers that wait for nobody, and writers that queue."""

import threading
from typing import Any, Final

from sqlalchemy import Connection, Engine, event

READING: Final = "streamswarm_reading"
"""The execution option of a connection that only reads."""
ALONE: Final = "streamswarm_alone"
"""The execution option of a connection whose one statement is a transaction by itself.

SQLite's lock is then taken and given back within one call. Between two calls Python may let other threads go on, while
all other processes wait and look again ever more seldom.
"""
BUSY_SECONDS: Final = 10
"""How long a writer waits for others."""
_QUEUED: Final = "streamswarm_queued"
_WRITES: Final = frozenset({"INSERT", "UPDATE", "DELETE", "REPLAC"})


def prepare(engine: Engine) -> None:
    """Give an engine write-ahead logging, foreign keys, and transactions that begin as what they are."""
    queue = _Writers()
    event.listen(engine, "connect", _connect)
    event.listen(engine, "begin", queue.begin)
    event.listen(engine, "before_cursor_execute", queue.become_writer)
    event.listen(engine, "checkin", queue.leave)


def _connect(connection: Any, _record: Any) -> None:
    # The driver's own transaction handling would start one only at the first write, after reads made before it.
    connection.isolation_level = None
    busy = f"busy_timeout = {BUSY_SECONDS * 1000}"
    for pragma in (busy, "journal_mode = WAL", "foreign_keys = ON", "synchronous = NORMAL"):
        connection.execute(f"PRAGMA {pragma}")


class _Writers:
    """The writers of one process, in a queue.

    SQLite lets one write and the others look again after a while: the more there are, the longer it is free and nobody
    looks. Here the next one is woken, and only processes meet in the file. A transaction leaves the queue when its
    connection goes back to the pool, after the commit.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def begin(self, connection: Connection) -> None:
        """Begin a transaction; a writing one takes SQLite's lock now, instead of failing when two want to later."""
        reading = bool(connection.get_execution_options().get(READING))
        connection.info[READING] = reading
        if reading:
            # Takes no lock and can't fail, so it can do without what SQLAlchemy does around a statement.
            connection.connection.execute("BEGIN")
            return
        self._queue(connection)
        if not connection.get_execution_options().get(ALONE):
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    def become_writer(
        self,
        connection: Connection,
        cursor: Any,
        statement: str,
        _parameters: Any,
        _context: Any,
        _many: bool,  # noqa: FBT001 - the event's signature
    ) -> None:
        """Let a reading transaction that wants to write after all end, and begin a writing one.

        SQLite would refuse the write if another had been committed meanwhile. What was read before may be older than
        what is written, as in PostgreSQL's READ COMMITTED; a request that decides on what it reads doesn't begin as a
        reader.
        """
        if connection.info.get(READING) and statement.lstrip()[:6].upper() in _WRITES:
            cursor.execute("COMMIT")
            self._queue(connection)
            cursor.execute("BEGIN IMMEDIATE")
            connection.info[READING] = False

    def _queue(self, connection: Connection) -> None:
        if not connection.info.get(_QUEUED):
            # Whoever has waited for so long is told by SQLite that the database is locked.
            connection.info[_QUEUED] = self._lock.acquire(timeout=BUSY_SECONDS)

    def leave(self, _connection: Any, record: Any) -> None:
        """Wake the next."""
        if record.info.pop(_QUEUED, False):
            self._lock.release()
