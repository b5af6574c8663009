r"""Regular expressions as InfluxDB reads them.

They are RE2's, as Go's are: what they match is found in time proportional to the text, whatever was written. Python's
would let one expression, such as `(a+)+$`, keep the whole collector busy for years, and reads `[[:digit:]]`, `\d` and
`\p{L}` otherwise or not at all. DuckDB brings RE2 along. What dashboards send for the values of a variable, `^(a|b)$`,
means the same to both and can't be slow; there Python answers, in a twentieth of the time.
"""

import atexit
import re
import threading
from collections.abc import Collection
from functools import lru_cache
from typing import Final

import duckdb

from streamswarm_collector.influxql.errors import ParseError

_MOST_CACHED: Final = 10_000
_MATCHING: Final = "SELECT regexp_matches(text, ?) FROM (SELECT unnest(?) AS text)"

_PLAIN: Final = re.compile(r"(?:[\w \-/|^$()@:,=]|\\[.\-/]|\.[*+]?(?![*+]))*")
"""Text, alternatives, groups, anchors and dots; nothing repeated but a dot."""
_MOST_REPEATED: Final = 2

_of_thread = threading.local()
# DuckDB complains of a connection that outlives the interpreter; other threads have ended by then.
atexit.register(_of_thread.__dict__.clear)


def check(pattern: str) -> None:
    """Make sure that an expression is one.

    Raises:
        ParseError: it isn't; with RE2's reason.
    """
    if _plain(pattern) is not None:
        return
    try:
        _answers(pattern, [""])
    except duckdb.Error as error:
        reason = str(error).removeprefix("Invalid Input Error: ")
        raise ParseError(f"error parsing query: invalid regular expression /{pattern}/: {reason}") from None


def matching(pattern: str, texts: Collection[str]) -> frozenset[str]:
    """Those texts in which a checked expression is found anywhere."""
    if not texts:
        return frozenset()
    plain = _plain(pattern)
    if plain is not None:
        return frozenset(filter(plain.search, texts))
    ordered = list(texts)
    return frozenset(text for text, found in zip(ordered, _answers(pattern, ordered), strict=True) if found)


@lru_cache(_MOST_CACHED)
def matches(pattern: str, text: str) -> bool:
    """Whether a checked expression is found in a text; for names, of which there are few."""
    plain = _plain(pattern)
    return _answers(pattern, [text])[0] if plain is None else plain.search(text) is not None


@lru_cache(_MOST_CACHED)
def _plain(pattern: str) -> re.Pattern[str] | None:
    """The expression as Python's, if it means the same there and takes no longer; None if not."""
    if not _PLAIN.fullmatch(pattern) or pattern.count("*") + pattern.count("+") > _MOST_REPEATED:
        return None
    try:
        # A dollar is the end of the text, not also the place before a last line break.
        return re.compile(pattern.replace("$", r"\Z"))
    except re.error:
        return None


def _answers(pattern: str, texts: list[str]) -> list[bool]:
    connection: duckdb.DuckDBPyConnection | None = getattr(_of_thread, "connection", None)
    if connection is None:
        connection = _of_thread.connection = duckdb.connect(":memory:", config={"threads": 1})
    return [found for (found,) in connection.execute(_MATCHING, [pattern, texts]).fetchall()]
