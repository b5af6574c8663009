"""Types of fields, and how many fields and measurements there may be."""

from collections.abc import Iterable, Mapping
from typing import Final

from streamswarm_collector.store.schema import FieldType
from streamswarm_core.catalogue import CATALOGUE, Kind
from streamswarm_core.point import FieldValue

MOST_FIELDS: Final = 4096
"""Of a measurement. A store has a column for each, four in a roll-up; the more there are, the longer one more takes."""
MOST_MEASUREMENTS: Final = 3_000
"""Of all databases, beside our own. A store has a table for each: 256 kB of its memory, milliseconds of each start."""
MOST_FIELDS_IN_ALL: Final = 50_000
"""Of all measurements of all databases, beside the catalogue's."""

_KIND_TYPES: Final = {
    Kind.FLOAT: FieldType.FLOAT,
    Kind.INTEGER: FieldType.INTEGER,
    Kind.STRING: FieldType.STRING,
}


def field_type(value: FieldValue) -> FieldType:
    """The stored type of a parsed value."""
    if isinstance(value, bool):
        return FieldType.BOOLEAN
    if isinstance(value, int):
        return FieldType.INTEGER
    return FieldType.FLOAT if isinstance(value, float) else FieldType.STRING


class FieldTypes:
    """Types of fields by database and measurement: the catalogue's for our own, else the first that was stored."""

    def __init__(self) -> None:
        self._types: dict[tuple[str, str], dict[str, FieldType]] = {}
        self.foreign = 0
        """Measurements that are not in the catalogue, of all databases."""
        self.fields = 0
        """Fields that are not in the catalogue, of all measurements of all databases."""

    def known(self, database: str, measurement: str) -> Mapping[str, FieldType]:
        """The same as `of` to look at: what is asked for is not remembered by that."""
        types = self._types.get((database, measurement))
        return _declared(measurement) if types is None else types

    def of(self, database: str, measurement: str) -> dict[str, FieldType]:
        """The known types of a measurement, to be added to."""
        key = (database, measurement)
        types = self._types.get(key)
        if types is None:
            types = self._types[key] = _declared(measurement)
            self.foreign += measurement not in CATALOGUE
        return types

    def have_room(self, database: str, measurements: Iterable[str]) -> bool:
        """Whether there may be all of these measurements."""
        fresh = sum(one not in CATALOGUE and (database, one) not in self._types for one in measurements)
        return not fresh or self.foreign + fresh <= MOST_MEASUREMENTS

    def learn(self, database: str, measurement: str, stored: Mapping[str, FieldType]) -> None:
        """Take over what a store already holds."""
        self.add(database, measurement, stored)

    def add(self, database: str, measurement: str, fresh: Mapping[str, FieldType]) -> None:
        """Know further fields of a measurement."""
        known = self.of(database, measurement)
        self.fields += sum(name not in known for name in fresh)
        known.update(fresh)

    def forget(self, database: str, measurement: str | None = None) -> None:
        """Drop what is known of a measurement, or of a whole database."""
        for key in [key for key in self._types if key[0] == database and measurement in (None, key[1])]:
            self.fields -= len(self._types.pop(key)) - len(_declared(key[1]))
            self.foreign -= key[1] not in CATALOGUE


def _declared(measurement: str) -> dict[str, FieldType]:
    declared = CATALOGUE.get(measurement)
    return {field.name: _KIND_TYPES[field.kind] for field in declared.fields} if declared else {}
