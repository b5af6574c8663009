import duckdb

from streamswarm_collector.store.newest import TABLES, keep_newest


def test_a_late_day_that_becomes_cold_makes_no_series_older() -> None:
    with duckdb.connect() as connection:
        connection.execute(TABLES)
        for time in (100, 50):
            keep_newest(connection, "m", f"(SELECT 1 AS sid, {time} AS time)")
        assert connection.execute("SELECT table_name, sid, time FROM newest").fetchall() == [("m", 1, 100)]
