"""Values for windows that have none, from their neighbours."""

import itertools
from typing import Any


def fill_previous(values: list[Any]) -> None:
    """Repeat the value before, in place."""
    for place in range(1, len(values)):
        if values[place] is None:
            values[place] = values[place - 1]


def fill_linear(values: list[Any]) -> None:
    """Draw a line between the neighbours, in place; integers stay integers, and there is none between other types."""
    known = [place for place, value in enumerate(values) if value is not None]
    if known and isinstance(values[known[0]], bool | str):
        return
    for left, right in itertools.pairwise(known):
        low, high = values[left], values[right]
        for place in range(left + 1, right):
            value = low + (high - low) * (place - left) / (right - left)
            values[place] = int(value) if isinstance(low, int) else value
