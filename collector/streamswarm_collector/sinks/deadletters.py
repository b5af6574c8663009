"""What a peer refused: kept with its words until somebody looks, and sends it again or deletes it."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from streamswarm_core.lineprotocol import split_lines

FILE_NAME: Final = "dead-letter.jsonl"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Points that a peer refused.

    Attributes:
        time: when, as RFC 3339.
        database: where they should have gone.
        status: HTTP status.
        answer: the peer's words.
        partly_kept: whether the peer may have kept some of the lines.
        lines: line protocol, nanosecond times.
    """

    time: str
    database: str
    status: int
    answer: str
    partly_kept: bool
    lines: str

    @property
    def line_count(self) -> int:
        """How many points."""
        return sum(1 for _ in split_lines(self.lines))


class DeadLetters:
    """One file, a letter a line. One process adds; another may take them out meanwhile.

    Args:
        folder: where the file is.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE_NAME
        self._taken = folder / "dead-letter.resending.jsonl"

    @property
    def bytes(self) -> int:
        """Size of what is kept."""
        return sum(path.stat().st_size for path in (self._file, self._taken) if path.exists())

    def add(self, database: str, lines: str, *, status: int, answer: str, partly_kept: bool) -> None:
        """Set lines aside; on disk when this returns."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._append(DeadLetter(now, database, status, answer[:2000], partly_kept, lines))

    def read(self) -> Iterator[DeadLetter]:
        """The letters, oldest first."""
        for path in (self._taken, self._file):
            if path.exists():
                with path.open(encoding="utf-8") as file:
                    yield from map(_parse, file)

    def take(self, handle: Callable[[DeadLetter], bool]) -> tuple[int, int]:
        """Hand each letter on, and keep those for which the answer is no; returns how many went and how many stay.

        What is interrupted begins anew the next time: some letters are handed on twice then.
        """
        if not self._taken.exists():
            if not self._file.exists():
                return 0, 0
            self._file.replace(self._taken)
        with self._taken.open(encoding="utf-8") as file:
            results = [(letter, handle(letter)) for letter in map(_parse, file)]
        stay = [letter for letter, gone in results if not gone]
        for letter in stay:
            self._append(letter)
        self._taken.unlink()
        return len(results) - len(stay), len(stay)

    def _append(self, letter: DeadLetter) -> None:
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(letter), ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _parse(line: str) -> DeadLetter:
    return DeadLetter(**json.loads(line))
