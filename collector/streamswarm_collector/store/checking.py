"""Looks through a store that nobody else uses, for what should never be."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import duckdb
from duckdb import DuckDBPyConnection

from streamswarm_collector.store.catalog import TABLES
from streamswarm_collector.store.changes import SQL_TYPES
from streamswarm_collector.store.cold import SUFFIX, ColdFile, ColdTier
from streamswarm_collector.store.freezing import DAY
from streamswarm_collector.store.opening import open_file
from streamswarm_collector.store.schema import FieldType
from streamswarm_collector.walfiles import inspect

Progress = Callable[[str], None]
"""Told what is looked at now."""
_MOST_NAMED: Final = 5


@dataclass(slots=True)
class Checked:
    """One part of the store.

    Attributes:
        part: its name.
        looked_at: what and how many, for a person.
        findings: what is wrong, with its place.
    """

    part: str
    looked_at: str = ""
    findings: list[str] = field(default_factory=list)


def check_store(path: Path, wal: Path, memory_limit: str, progress: Progress) -> list[Checked]:
    """Look through a store and its log; nothing is changed.

    Raises:
        ConfigError: the file is used by another process or is no store.
    """
    connection = open_file(path, memory_limit)
    try:
        connection.execute(TABLES)
        tier = ColdTier(path.with_suffix(".cold"))
        progress("side tables")
        tables = _check_side_tables(connection)
        files = _check_files(connection, tier, progress)
        unreadable = {finding.split(":")[0] for finding in files.findings}
        rows = _check_rows(connection, tier, unreadable, progress)
        progress("log")
        return [tables, rows, files, _check_log(connection, wal)]
    finally:
        connection.close()


def _check_side_tables(connection: DuckDBPyConnection) -> Checked:
    checked = Checked("side tables")
    found = checked.findings
    stored: dict[str, dict[str, str]] = {}
    for table, column, kind in connection.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal"
    ).fetchall():
        stored.setdefault(table, {})[column] = kind
    known = dict(connection.execute("SELECT table_name, name FROM measurements").fetchall())
    buckets = connection.execute("SELECT count(DISTINCT name) FROM databases").fetchall()[0][0]
    found += [f"{table}: measurement {name!r} has no table" for table, name in known.items() if table not in stored]
    fields = connection.execute("SELECT table_name, column_name, name, type FROM fields").fetchall()
    for table, column, name, kind in fields:
        there = stored.get(table, {}).get(column)
        if table in stored and there != SQL_TYPES[FieldType(kind)]:
            found.append(f"{table}: field {name!r} of type {kind} is stored as {there or 'nothing'}")
    for what, text in (
        ("SELECT table_name, key FROM series GROUP BY ALL HAVING count(*) > 1", "series {} is listed twice"),
        ("SELECT table_name, sid FROM series GROUP BY ALL HAVING count(*) > 1", "series number {} is given twice"),
        ("SELECT table_name, name FROM fields GROUP BY ALL HAVING count(*) > 1", "field {} is listed twice"),
    ):
        found += [f"{table}: {text.format(one)}" for table, one in connection.execute(what).fetchall()]
    for side in ("fields", "series", "cold"):
        strays = connection.execute(
            f"SELECT DISTINCT table_name FROM {side} WHERE table_name NOT IN (SELECT table_name FROM measurements)"  # noqa: S608 - our own names
        ).fetchall()
        found += [f"{table}: in {side}, but no measurement" for (table,) in strays]
    (series,) = connection.execute("SELECT count(*) FROM series").fetchall()
    checked.looked_at = f"{buckets} databases, {len(known)} measurements, {len(fields)} fields, {series[0]:,} series"
    return checked


def _check_rows(connection: DuckDBPyConnection, tier: ColdTier, unreadable: set[str], progress: Progress) -> Checked:
    """Each series and time once, and each row of a known series; day by day, to stay within the memory."""
    checked, rows = Checked("rows"), 0
    for table, name in connection.execute("SELECT table_name, name FROM measurements ORDER BY 1").fetchall():
        files = [one for one in tier.files(connection, table) if one.name not in unreadable]
        cold = f" UNION ALL BY NAME SELECT sid, time FROM {tier.parquet(files)}" if files else ""  # noqa: S608 - our own names
        relation = f"(SELECT sid, time FROM {table}{cold})"  # noqa: S608 - our own names
        try:
            for start, stop in _days(connection, relation):
                progress(f"rows of {name}, {start // DAY}")
                count, twice, strays = connection.execute(
                    f"SELECT sum(n), count(*) FILTER (n > 1), count(*) FILTER (sid NOT IN "  # noqa: S608 - our own names
                    f"(SELECT sid FROM series WHERE table_name = '{table}')) FROM (SELECT sid, time, count(*) AS n "
                    f"FROM {relation} WHERE time >= {start} AND time < {stop} GROUP BY ALL)"
                ).fetchall()[0]
                rows += count
                where = f"{table}: measurement {name!r}, the day from {start}"
                checked.findings += [f"{where}: {twice:,} pairs of series and time occur twice"] if twice else []
                checked.findings += [f"{where}: {strays:,} rows of series that are not listed"] if strays else []
        except duckdb.Error as error:
            checked.findings.append(f"{table}: measurement {name!r}: {str(error).splitlines()[0]}")
    checked.looked_at = f"{rows:,} rows"
    return checked


def _days(connection: DuckDBPyConnection, relation: str) -> Iterator[tuple[int, int]]:
    """Begin and end of each day that has rows."""
    stop = -(2**63)
    while True:
        ((first,),) = connection.execute(f"SELECT min(time) FROM {relation} WHERE time >= {stop}").fetchall()  # noqa: S608 - our own names
        if first is None:
            return
        stop = min((first // DAY + 1) * DAY, 2**63 - 1)
        yield first, stop


def _check_files(connection: DuckDBPyConnection, tier: ColdTier, progress: Progress) -> Checked:
    checked = Checked("cold files")
    files = tier.files(connection)
    for file in files:
        progress(file.name)
        problem = _problem_of(connection, tier, file)
        if problem:
            checked.findings.append(f"{file.name}: {problem}")
    (retired,) = connection.execute("SELECT list(file) FROM retired").fetchall()
    known = {file.name for file in files} | set(retired[0] or ())
    strays = sorted(path.name for path in tier.folder.glob(f"*{SUFFIX}") if path.name not in known)
    more = f" and {len(strays) - _MOST_NAMED} more" if len(strays) > _MOST_NAMED else ""
    if strays:
        checked.findings.append(
            f"{', '.join(strays[:_MOST_NAMED])}{more}: not this store's; move what you do not need out of {tier.folder}"
        )
    checked.looked_at = f"{len(files):,} files of {sum(file.rows for file in files):,} rows"
    return checked


def _problem_of(connection: DuckDBPyConnection, tier: ColdTier, file: ColdFile) -> str:
    path = tier.path(file.name)
    if not path.exists():
        return "the file is missing"
    if path.stat().st_size != file.size:
        return f"{path.stat().st_size:,} bytes where {file.size:,} were written"
    try:
        # A hash of every column reads every page.
        read = connection.execute(
            f"SELECT count(*), min(time), max(time), bit_xor(hash(COLUMNS(*))) FROM {tier.parquet([file])}"  # noqa: S608 - our own names
        ).fetchall()[0]
    except duckdb.Error as error:
        return f"can't be read: {str(error).splitlines()[0]}"
    if read[:3] != (file.rows, file.first, file.last):
        written = f"{file.rows:,} from {file.first} to {file.last} were written"
        return f"holds {read[0]:,} rows from {read[1]} to {read[2]}; {written}"
    return ""


def _check_log(connection: DuckDBPyConnection, folder: Path) -> Checked:
    checked = Checked("log")
    ((position,),) = connection.execute("SELECT coalesce(max(lsn), 0) FROM position").fetchall()
    segments = list(inspect(folder))
    expected = None
    for segment in segments:
        if segment.rest and segment is not segments[-1]:
            checked.findings.append(f"{segment.path.name}: {segment.rest:,} damaged bytes after record {segment.last}")
        if expected is not None and segment.first > max(expected, position + 1):
            checked.findings.append(f"{segment.path.name}: records {expected} to {segment.first - 1} are missing")
        expected = segment.last + 1
    checked.findings += [f"{path.name}: set aside after damage" for path in sorted(folder.glob("*.damaged"))]
    newest = segments[-1].last if segments else 0
    if newest < position:
        checked.findings.append(f"the log ends at record {newest}, the store has {position} already: it is another log")
    waiting = max(0, newest - position)
    checked.looked_at = f"{sum(one.records for one in segments):,} records, {waiting:,} of them not in the store yet"
    return checked
