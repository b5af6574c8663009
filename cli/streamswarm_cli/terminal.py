"""The terminal, file or pipe that a command finds itself with, whatever it can take."""

import errno
import io
import json
import sys
from collections.abc import MutableMapping
from typing import Any, Final

_FULL: Final = {errno.ENOSPC: "no space left", errno.EDQUOT: "the quota is used up"}


def settle(environment: MutableMapping[str, str]) -> None:
    """Let everything be written: what the locale has no letter for as its number, and in no width of 0."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if environment.get("COLUMNS") == "0":
        del environment["COLUMNS"]


def explain_full(error: OSError) -> str | None:
    """What to say when nothing more can be written; None if this error is another."""
    if error.errno not in _FULL:
        return None
    return f"{error.filename or 'standard output'}: {_FULL[error.errno]}"


def to_json(value: Any, *, indent: int | None = None) -> str:
    """JSON, readable as far as standard output has the letters."""
    has_all_letters = (getattr(sys.stdout, "encoding", None) or "").lower().startswith("utf")
    return json.dumps(value, indent=indent, ensure_ascii=not has_all_letters)
