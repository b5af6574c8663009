import re
from pathlib import Path
from typing import Final

import duckdb
from duckdb import DuckDBPyConnection

from streamswarm_core.errors import ConfigError

_HELD: Final = re.compile(r"lock is held in (\S+)(?: \(deleted\))? \(PID (\d+)\)")


def open_file(path: Path, memory_limit: str) -> DuckDBPyConnection:
    """Open the store's DuckDB file, or make it.

    Args:
        path: the file.
        memory_limit: what DuckDB may use, as it writes it, such as "1GB".

    Raises:
        ConfigError: it is used by another process or is no store.
    """
    try:
        connection = duckdb.connect(str(path), config={"memory_limit": memory_limit, "threads": "2"})
        # Cold files never change, so their footers are read once.
        connection.execute("LOAD parquet; SET parquet_metadata_cache = true")
    except duckdb.Error as error:
        held = _HELD.search(str(error))
        if held:
            raise ConfigError(f"{path}: in use by process {held[2]}; stop the collector first") from None
        raise ConfigError(f"{path}: can't be opened as a store: {str(error).splitlines()[0]}") from None
    return connection
