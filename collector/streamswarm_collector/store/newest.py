"""The newest time of each series, kept so that a start need not read it from the rows.

The side table holds an upper bound for what is in cold files, always; and for everything after the store was closed in
good order, which the table `closed` says until the next start.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
from duckdb import DuckDBPyConnection

TABLES: Final = """
CREATE TABLE IF NOT EXISTS newest (table_name VARCHAR, sid INTEGER, time BIGINT, PRIMARY KEY (table_name, sid));
CREATE TABLE IF NOT EXISTS closed (lsn UBIGINT);
"""
_KEEP_LATER: Final = "ON CONFLICT DO UPDATE SET time = greatest(time, excluded.time)"


def load_newest(connection: DuckDBPyConnection, tables: Iterable[str]) -> dict[str, dict[int, int]]:
    """Newest times by table and series number; read from the rows if the store was not closed in good order."""
    newest: dict[str, dict[int, int]] = {table: {} for table in tables}
    for table, sid, time in connection.execute("SELECT table_name, sid, time FROM newest").fetchall():
        if table in newest:
            newest[table][sid] = time
    if connection.execute("SELECT count(*) FROM closed").fetchall() == [(0,)]:
        for table, known in newest.items():
            for sid, time in connection.execute(f"SELECT sid, max(time) FROM {table} GROUP BY sid").fetchall():  # noqa: S608 - our own table name
                known[sid] = max(time, known.get(sid, time))
    connection.execute("DELETE FROM closed")
    return newest


def keep_newest(connection: DuckDBPyConnection, table: str, rows: str) -> None:
    """Take over the newest times of a relation's rows, in the caller's transaction."""
    connection.execute(
        f"INSERT INTO newest SELECT ?, sid, max(time) FROM {rows} GROUP BY sid {_KEEP_LATER}",  # noqa: S608 - our own names
        [table],
    )


def save_newest(connection: DuckDBPyConnection, newest: Iterable[tuple[str, dict[int, int]]], lsn: int) -> None:
    """Keep everything, when the store is being closed."""
    tables: list[str] = []
    sids: list[int] = []
    latest: list[int] = []
    for table, times in newest:
        tables += [table] * len(times)
        sids += times.keys()
        latest += times.values()
    connection.execute("BEGIN")
    if tables:
        # All at once: a statement for each of thousands of measurements takes minutes.
        columns = {
            "latest_table": np.array(tables, np.object_),
            "latest_sid": np.array(sids, np.int32),
            "latest_time": np.array(latest, np.int64),
        }
        connection.register("latest", columns)
        connection.execute(
            f"INSERT INTO newest SELECT latest_table, latest_sid, latest_time FROM latest {_KEEP_LATER}"  # noqa: S608 - our own names
        )
        connection.unregister("latest")
    connection.execute("INSERT INTO closed VALUES (?)", [lsn])
    connection.execute("COMMIT")
