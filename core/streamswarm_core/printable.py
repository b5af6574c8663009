"""Text from the network, for terminals and logs: no escape sequences, and nothing that looks like a line of its own."""

import re
from typing import Final

_UNSAFE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]")
_LINE_BREAK: Final = re.compile(r"\r?\n")


def printable(text: str) -> str:
    r"""The same with control characters, and those that turn the direction of writing, written out; lines stay lines.

    >>> printable("up\x1b[2J\n\ttab")
    'up\\x1b[2J\n\ttab'
    """
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def one_line(text: str) -> str:
    r"""The same on one line.

    >>> one_line("refused\n2026-01-01T00:00:00Z agent INFO all is well")
    'refused\\n2026-01-01T00:00:00Z agent INFO all is well'
    """
    return printable(_LINE_BREAK.sub(r"\\n", text))
