"""Regular expressions that people give us, to be searched for in texts that strangers give us.

Python's engine backtracks: some searches take a time that grows with a power of the text's length, or exponentially.
`is_quick` tells which certainly don't; the agent does the others where they can be stopped.
"""

import importlib
import re
from collections.abc import Iterator
from typing import Any, Final

# The standard library's own parser has no public name.
_parser: Final[Any] = importlib.import_module("re._parser")
_REPEATS: Final = frozenset({"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"})
_QUICK_STEPS: Final = 10_000_000


def check_pattern(pattern: str) -> str:
    """Let a pattern pass.

    Raises:
        ValueError: it is no regular expression.

    >>> check_pattern("^ok$")
    '^ok$'
    """
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"is no regular expression: {error}") from None
    return pattern


def is_quick(pattern: str, length: int) -> bool:
    """Whether a search in a text of this length takes less than about a tenth of a second, whatever the text.

    With n repeats beside each other it takes at most the length to the power of n + 1 steps; with one inside another
    it can take for ever.

    >>> is_quick("hello|world", 1_000_000), is_quick("a.*b", 100), is_quick("a.*b", 100_000), is_quick("(a+)+", 50)
    (True, True, False, False)
    """
    depths = list(_repeats(_parser.parse(pattern), depth=0))
    return max(depths, default=0) == 0 and length ** (1 + len(depths)) <= _QUICK_STEPS


def _repeats(parsed: Any, *, depth: int) -> Iterator[int]:
    """For each repeat, in how many others it stands; `parsed` is whatever the parser makes of a part."""
    if isinstance(parsed, tuple) and len(parsed) == 2 and str(parsed[0]) in _REPEATS:
        yield depth
        yield from _repeats(parsed[1][2], depth=depth + 1)
    elif isinstance(parsed, list | tuple | _parser.SubPattern):
        for part in parsed:
            yield from _repeats(part, depth=depth)
