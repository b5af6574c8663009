"""An answer as CSV, as InfluxDB 1.x gives it to whoever sends `Accept: application/csv` or `text/csv`."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from streamswarm_core.lineprotocol import escape_tag

_TYPES: Final = frozenset({"application/csv", "text/csv"})


def wants_csv(accept: str) -> bool:
    """Whether a header `Accept` asks for CSV first.

    >>> wants_csv("text/csv; charset=utf-8"), wants_csv("application/json, text/csv")
    (True, False)
    """
    first, _, _ = accept.partition(",")
    return first.partition(";")[0].strip().lower() in _TYPES


def as_csv(body: Mapping[str, Any]) -> bytes:
    r"""A table for each statement, with a head of its own and an empty line between two; series follow each other.

    InfluxDB leaves the error of a statement out; here it has a table of its own.

    >>> series = {"name": "m", "tags": {"h": "a"}, "columns": ["time", "v"], "values": [(5, 1.0), (6, None)]}
    >>> as_csv({"results": [{"statement_id": 0, "series": [series]}]})
    b'name,tags,time,v\nm,h=a,5,1\nm,h=a,6,\n'
    """
    text = io.StringIO(newline="")
    write = csv.writer(text, lineterminator="\n").writerow
    head: Sequence[str] = ()
    for result in [body] if "error" in body else body["results"]:
        tables = list(result.get("series", ()))
        if "error" in result:
            tables.append(None)
        for place, series in enumerate(tables):
            wanted = ["name", "tags", *series["columns"]] if series else ["error"]
            if place == 0 or wanted != head:
                text.write("\n" if head else "")
                write(wanted)
                head = wanted
            if not series:
                write([result["error"]])
                continue
            begin = [series.get("name", ""), _tags(series.get("tags") or {})]
            for row in series.get("values", ()):
                write([*begin, *map(_cell, row)])
    return text.getvalue().encode()


def _tags(tags: Mapping[str, str]) -> str:
    return ",".join(f"{escape_tag(key)}={escape_tag(value)}" for key, value in sorted(tags.items()) if value)


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            # Without an exponent, as Go's format 'f' writes it
            return np.format_float_positional(value, trim="-") if math.isfinite(value) else ""
    return str(value)
