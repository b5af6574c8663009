from collections.abc import Mapping
from typing import Any, Final

from streamswarm_cli.admin import output
from streamswarm_cli.admin.noun import Json, connect
from streamswarm_core.catalogue import CATALOGUE
from streamswarm_core.wording import format_value

COLUMNS: Final = {
    "test": "test.key",
    "agent": "agent.name",
    "target": "test.target",
    "state": "state",
    "value": "value",
    "measured": "last_time",
    "error": "error",
}
_UNITS: Final = {field.unit.name: field.unit for measurement in CATALOGUE.values() for field in measurement.fields}


def results(*, as_json: Json = False) -> None:
    """Show every assignment with its newest value."""
    with connect() as api:
        status = api.get("/status")
    if as_json:
        output.show_json(status)
        return
    output.show_list(map(_read, status["items"]), COLUMNS, as_json=False, nothing="no test is assigned to an agent")


def _read(item: Mapping[str, Any]) -> dict[str, Any]:
    """With the value in a unit that people read; a control plane that is newer may have others."""
    value, unit = item["value"], _UNITS.get(item["headline"]["unit"])
    return {**item, "value": format_value(value, unit) if value is not None and unit else value}
