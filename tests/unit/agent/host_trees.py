"""Hosts that tests look at: trees of /proc, /sys and /etc as `tail -n +1 FILE…` prints them.

They were written after the kernel's documentation of each file, with round numbers.
"""

import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from streamswarm_core.point import FieldValue, Point

FIXTURES = Path(__file__).parents[2] / "fixtures" / "host"
_HEADER = re.compile(r"^==> (\S+) <==\n", re.MULTILINE)


class HostTree:
    """One host's files in a folder of its own, which a test may change."""

    def __init__(self, name: str, folder: Path) -> None:
        self.folder = folder
        parts = _HEADER.split((FIXTURES / f"{name}.tree").read_text(encoding="utf-8"))
        for path, text in zip(parts[1::2], parts[2::2], strict=True):
            self.write(path, text)

    @property
    def proc(self) -> Path:
        return self.folder / "proc"

    @property
    def sys(self) -> Path:
        return self.folder / "sys"

    def write(self, path: str, text: object) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(text), encoding="utf-8")

    def replace(self, path: str, *changes: tuple[str, str]) -> None:
        text = (self.folder / path).read_text(encoding="utf-8")
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        self.write(path, text)

    def read(self, path: str) -> str:
        return (self.folder / path).read_text(encoding="utf-8")

    def remove(self, path: str) -> None:
        target = self.folder / path
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink()


def smart_answer(name: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads((FIXTURES / f"smart-{name}.json").read_text(encoding="utf-8"))
    return answer


def fields_of(points: Iterable[Point], measurement: str, **tags: str) -> dict[str, FieldValue]:
    """The fields of the only point with these tags, among others it may have."""
    found = [point for point in points if point.measurement == measurement and tags.items() <= dict(point.tags).items()]
    assert len(found) == 1, f"{len(found)} points of {measurement} with {tags}"
    return dict(found[0].fields)
