"""Deletes rows that are not in cold files, and forgets the series that have none left anywhere."""

import threading
from collections.abc import Sequence

from duckdb import DuckDBPyConnection

from streamswarm_collector.store.catalog import Catalog, Table
from streamswarm_collector.store.recent import ALL_TIME
from streamswarm_collector.store.rollups import BEGINNING, END


def delete_rows(
    catalog: Catalog,
    table: Table,
    sids: Sequence[int],
    start: int | None,
    stop: int | None,
    taking: threading.RLock,
) -> None:
    """Delete rows of some series, from `start` on and before `stop`.

    Args:
        catalog: to be told which series are gone.
        table: where from.
        sids: series numbers.
        start: nanoseconds; None for the first row.
        stop: nanoseconds; None for the last row.
        taking: held by whoever changes the catalog.
    """
    newest = {sid: table.newest.get(sid) for sid in sids}
    conditions, bounds = ["sid IN (SELECT unnest(?))"], [list(sids)]
    parameters: list[object] = list(bounds)
    for bound, text in ((start, "time >= ?"), (stop, "time < ?")):
        if bound is not None:
            conditions.append(text)
            parameters.append(bound)
    stored, cold = table.view.table, table.view.cold

    def delete(connection: DuckDBPyConnection) -> None:
        cold.touch(stored, ALL_TIME)
        connection.execute(f"DELETE FROM {stored} WHERE {' AND '.join(conditions)}", parameters)  # noqa: S608 - our own names
        left = connection.execute(
            f"SELECT DISTINCT sid FROM {cold.relation(connection, stored, None, None)} WHERE sid IN (SELECT unnest(?))",  # noqa: S608 - our own name
            bounds,
        ).fetchall()
        with taking:
            gone = set(sids) - {sid for (sid,) in left}
            # A series that has grown since then has rows that are on their way to the file.
            catalog.drop_series(table, {sid for sid in gone if table.newest.get(sid) == newest[sid]})

    catalog.on_change(delete)
    catalog.mark(table, [(BEGINNING if start is None else start, END if stop is None else stop)])
    latest = max((chunk.last for chunk in table.view.recent.chunks), default=table.view.recent.covers_from)
    table.set_recent(table.view.recent.emptied(latest))
