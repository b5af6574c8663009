import re
from pathlib import Path
from typing import Final

import duckdb
from duckdb import DuckDBPyConnection

from streamswarm_core.errors import ConfigError

FORMAT: Final = 1
"""Of the side tables and rows; to be raised with what an older version would misunderstand."""
_HELD: Final = re.compile(r"lock is held in (\S+)(?: \(deleted\))? \(PID (\d+)\)")


def open_file(path: Path, memory_limit: str) -> DuckDBPyConnection:
    """Open the store's DuckDB file, or make it.

    Args:
        path: the file.
        memory_limit: what DuckDB may use, as it writes it, such as "1GB".

    Raises:
        ConfigError: it is used by another process, is no store, or that of a newer version.
    """
    try:
        connection = duckdb.connect(str(path), config={"memory_limit": memory_limit, "threads": "2"})
        # Cold files never change, so their footers are read once.
        connection.execute("LOAD parquet; SET parquet_metadata_cache = true")
        connection.execute("CREATE TABLE IF NOT EXISTS format (version INTEGER)")
        connection.execute("INSERT INTO format SELECT ? WHERE NOT EXISTS (FROM format)", [FORMAT])
        ((version,),) = connection.execute("SELECT max(version) FROM format").fetchall()
    except duckdb.Error as error:
        held = _HELD.search(str(error))
        if held:
            raise ConfigError(f"{path}: in use by process {held[2]}; stop the collector first") from None
        raise ConfigError(f"{path}: can't be opened as a store: {str(error).splitlines()[0]}") from None
    if version > FORMAT:
        connection.close()
        raise ConfigError(
            f"{path}: a newer version of StreamSwarm has written it (format {version}, this one reads {FORMAT}); "
            "start that version, or bring back a backup that this one made"
        )
    return connection
