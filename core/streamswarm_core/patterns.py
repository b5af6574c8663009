"""Regular expressions that people give us, run over texts that strangers give us.

Python's engine backtracks, so that some expressions take a time exponential in the length of the text. They are
refused. What is left is at worst polynomial, and the text that is searched is bounded.
"""

import importlib
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

# The standard library's own parser has no public name.
_parser: Final[Any] = importlib.import_module("re._parser")
_REPEATS: Final = frozenset({"MAX_REPEAT", "MIN_REPEAT"})
_MOST_SEARCHED: Final = 1_000_000


def check_pattern(pattern: str) -> str:
    """Let a pattern pass, or say what is wrong with it.

    Raises:
        ValueError: it is no regular expression, or repeats what is itself repeated without bound, as `(a+)+` does.

    >>> check_pattern("^ok$")
    '^ok$'
    """
    try:
        _compiled(pattern)
        parsed = _parser.parse(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"is no regular expression: {error}") from None
    if _nests(parsed, inside=False):
        raise ValueError("repeats what is itself repeated, such as (a+)+, which can take for ever; write it flat")
    return pattern


def found(pattern: str, text: str) -> bool:
    """Whether the pattern occurs anywhere in the first million characters of a text.

    >>> found("b+", "abc"), found("^b", "abc")
    (True, False)
    """
    return _compiled(pattern).search(text, 0, _MOST_SEARCHED) is not None


def first_missing(patterns: Iterable[str], text: str) -> str | None:
    """The first pattern that does not occur, if there is one."""
    return next((pattern for pattern in patterns if not found(pattern, text)), None)


def first_found(patterns: Iterable[str], text: str) -> str | None:
    """The first pattern that does occur, if there is one."""
    return next((pattern for pattern in patterns if found(pattern, text)), None)


@lru_cache(256)
def _compiled(pattern: str) -> re.Pattern[str]:
    # ".*x" is searched from every position; "x" is found in the same texts, and at once.
    stripped = re.sub(r"^(?:\.\*(?![?+*{]))+", "", pattern)
    return re.compile(stripped)


def _nests(parsed: Any, *, inside: bool) -> bool:
    """Whether an unbounded repeat stands inside another; `parsed` is whatever the parser makes of a part."""
    if isinstance(parsed, tuple) and len(parsed) == 2 and str(parsed[0]) in _REPEATS:
        _, most, body = parsed[1]
        unbounded = most == _parser.MAXREPEAT
        return (unbounded and inside) or _nests(body, inside=inside or unbounded)
    if isinstance(parsed, list | tuple | _parser.SubPattern):
        return any(_nests(part, inside=inside) for part in parsed)
    return False
