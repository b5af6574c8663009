"""Which series have which tag values, so that a condition on tags doesn't have to look at every series."""

from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from typing import Final

_MOST_GROUPINGS: Final = 16


class TagIndex:
    """The tags of all series of a measurement; it never changes.

    Args:
        series: tags by series number.
    """

    def __init__(self, series: Mapping[int, Mapping[str, str]]) -> None:
        self.series = series
        self.prepared: dict[object, object] = {}
        """What queries keep here for as long as no series is added."""
        self._by: dict[tuple[str, ...], Mapping[int, tuple[str, ...]]] = {}

    @cached_property
    def keys(self) -> frozenset[str]:
        """All tag keys that any series has."""
        return frozenset(self._values)

    @cached_property
    def all(self) -> frozenset[int]:
        """Numbers of all series."""
        return frozenset(self.series)

    @cached_property
    def _values(self) -> dict[str, dict[str, set[int]]]:
        values: dict[str, dict[str, set[int]]] = {}
        for sid, tags in self.series.items():
            for key, value in tags.items():
                values.setdefault(key, {}).setdefault(value, set()).add(sid)
        return values

    def by(self, keys: tuple[str, ...]) -> Mapping[int, tuple[str, ...]]:
        """The values of some tags for each series; "" for a missing one."""
        found = self._by.get(keys)
        if found is None:
            found = {sid: tuple(tags.get(key, "") for key in keys) for sid, tags in self.series.items()}
            if len(self._by) >= _MOST_GROUPINGS:
                self._by.clear()
            self._by[keys] = found
        return found

    def equal(self, key: str, value: str) -> frozenset[int]:
        """Series whose tag has a value; "" finds those without the tag."""
        values = self._values.get(key, {})
        if value:
            return frozenset(values.get(value, ()))
        return self.all.difference(*values.values())

    def matching(self, key: str, among: Callable[[Collection[str]], frozenset[str]]) -> frozenset[int]:
        """Series whose tag value is chosen; a missing tag is "".

        Args:
            key: of the tag.
            among: chooses from all its values and "".
        """
        values = self._values.get(key, {})
        chosen = among(["", *values])
        found = frozenset[int]().union(*(values[value] for value in chosen if value))
        return found | self.all.difference(*values.values()) if "" in chosen else found
