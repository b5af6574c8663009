from dataclasses import dataclass
from enum import StrEnum

from streamswarm_core.masking import masked


class State(StrEnum):
    """How it is with one thing."""

    OK = "ok"
    NOTE = "note"
    """Nothing is wrong; more would be possible, or is still to come."""
    WARNING = "warning"
    """It works, and worse than it should, or not for long any more."""
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: what was looked at, in a word or two.
        state: how it is.
        found: what there is, or what is missing and what for.
        remedy: what to do about it; empty if nothing.
    """

    subject: str
    state: State
    found: str
    remedy: str = ""


def ok(subject: str, found: str) -> Finding:
    """It is as it should be."""
    return Finding(subject, State.OK, masked(found))


def note(subject: str, found: str, remedy: str = "") -> Finding:
    """It is fine, and worth knowing."""
    return Finding(subject, State.NOTE, masked(found), masked(remedy))


def warning(subject: str, found: str, remedy: str) -> Finding:
    """It works, but."""
    return Finding(subject, State.WARNING, masked(found), masked(remedy))


def broken(subject: str, found: str, remedy: str) -> Finding:
    """It doesn't work."""
    return Finding(subject, State.BROKEN, masked(found), masked(remedy))
