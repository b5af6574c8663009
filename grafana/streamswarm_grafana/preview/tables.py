"""A table panel's rows, after its overrides and transformations."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from streamswarm_grafana.ask_store import Drawn
from streamswarm_grafana.preview.figures import COLOURS, TEXT, colour_of, shown

Cell = tuple[str, str]


def rows_of(panel: dict[str, Any], drawn: Sequence[Drawn]) -> tuple[list[str], list[list[Cell]]]:
    """Headings, and for each row the text and the colour of every cell."""
    found: list[dict[str, Any]] = []
    for one in drawn:
        found += [
            {"Time": _clock(row[0]), **one.labels, **dict(zip(one.columns, row[1:], strict=True))} for row in one.rows
        ]
    for step in panel.get("transformations", []):
        if step["id"] == "organize":
            found = [_organized(row, step["options"]) for row in found]
        elif step["id"] == "sortBy":
            key, falling = step["options"]["sort"][0]["field"], step["options"]["sort"][0]["desc"]
            known = [row for row in found if row.get(key) is not None]
            found = sorted(known, key=itemgetter(key), reverse=falling)
        elif step["id"] == "limit":
            found = found[: step["options"]["limitField"]]
    names = list(dict.fromkeys(name for row in found for name in row))
    properties = {name: _properties(panel, name) for name in names}
    headings = [str(properties[name].get("displayName", name)) for name in names]
    return headings, [[_cell(row.get(name), properties[name], panel) for name in names] for row in found]


def _organized(row: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    kept = [name for name in row if name not in options["excludeByName"]]
    return {name: row[name] for name in sorted(kept, key=lambda name: options["indexByName"].get(name, len(row)))}


def _clock(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S}"


def _properties(panel: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for override in panel["fieldConfig"].get("overrides", []):
        options = str(override["matcher"]["options"])
        meant = options == name if override["matcher"]["id"] == "byName" else re.search(options.strip("/"), name)
        if meant:
            found |= {one["id"]: one["value"] for one in override["properties"]}
    return found


def _cell(value: Any, properties: dict[str, Any], panel: dict[str, Any]) -> Cell:
    if value is None or isinstance(value, str):
        text = value or "–"
        return (text if len(text) <= 30 else f"{text[:29]}…"), TEXT
    mapped = properties.get("mappings")
    if mapped:
        word = mapped[0]["options"][str(int(value))]
        return word["text"], COLOURS[word["color"]]
    text = shown(value, properties.get("unit", panel["fieldConfig"]["defaults"]["unit"]))
    return text, colour_of(value, properties["thresholds"]) if "thresholds" in properties else TEXT
