"""What a map marks, made of the answers as Grafana's transformations make it."""

from collections.abc import Iterator, Sequence
from typing import Any

from streamswarm_grafana.ask_store import Drawn
from streamswarm_grafana.sitemap import SHARES

Marker = tuple[float, float, float, str]
"""Latitude, longitude, what it is coloured by, and what it is called."""


def markers(drawn: Sequence[Drawn]) -> Iterator[Marker]:
    """Sites, or what the only query has in its first three columns."""
    if not any(set(SHARES) & set(one.columns) for one in drawn):
        for one in drawn:
            for latitude, longitude, value, *_ in (row[1:] for row in one.rows):
                if latitude is not None and longitude is not None:
                    yield latitude, longitude, value or 0, ""
        return
    sites: dict[str, dict[str, Any]] = {}
    for one in drawn:
        found = sites.setdefault(one.labels["site"], {})
        for name, value in zip(one.columns, one.rows[0][1:], strict=True):
            found[name] = value if isinstance(value, str) else max(value, found.get(name, value))
    for name, found in sites.items():
        if "latitude" in found:
            yield found["latitude"], found["longitude"], max(found.get(share, 0) for share in SHARES), name
