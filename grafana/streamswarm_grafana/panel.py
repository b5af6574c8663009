"""What a dashboard shows, before it is put into Grafana's form."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from streamswarm_core.catalogue import Field, Measurement
from streamswarm_core.catalogue.model import PER_SECOND, STATE
from streamswarm_grafana.ask import Ask, How, Raw
from streamswarm_grafana.thresholds import Limits, limits_of

WIDTH: Final = 24
_MOST_NAMED: Final = 3
DOWN_UP: Final = ("down", "up")


class Kind(StrEnum):
    """Grafana's panel types in use, and the map of sites, which is a geomap with queries of its own."""

    LINES = "timeseries"
    TILES = "stat"
    TABLE = "table"
    STATES = "state-timeline"
    HEAT = "heatmap"
    MAP = "geomap"
    SITES = "sites"
    BARS = "bargauge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel.

    Attributes:
        kind: how it is drawn.
        title: what it shows.
        asks: where it comes from.
        width: of 24 columns.
        height: in rows of 30 pixels.
        note: what the catalogue's help doesn't say.
        unit: Grafana's unit id where it isn't the first field's.
        every: shortest distance of two points.
        stacked: whether series lie on top of each other.
        band: names of the lower and the upper series of a band, outermost first.
        limits: from where on it is bad; those of the first field unless said.
        states: what 0 and 1 mean, where the value is one of them.
        alarm: which of the states is bad.
        worst: the column that a table is sorted by, worst first.
        most: rows of a table.
        timed: whether a table's rows are events, so that it says when each was.
        drill: keys of the dashboards that a click offers.
        empty: what to show while there is nothing, where that is good news.
        log: whether the axis is logarithmic.
        floor: where the axis begins while no value is lower, so that a small change looks small; None where zero is no
            value to compare with.
    """

    kind: Kind
    title: str
    asks: tuple[Ask | Raw, ...]
    width: int = 12
    height: int = 8
    note: str = ""
    unit: str = ""
    every: str = "1m"
    stacked: bool = False
    band: tuple[tuple[str, str], ...] = ()
    limits: Limits | None = None
    states: tuple[str, str] | None = None
    alarm: int = 0
    worst: str = ""
    most: int = 10
    timed: bool = False
    drill: tuple[str, ...] = ()
    empty: str = ""
    log: bool = False
    floor: float | None = 0

    @property
    def fields(self) -> list[tuple[Measurement, Field]]:
        """The fields asked for, each once."""
        found: dict[tuple[str, str], tuple[Measurement, Field]] = {}
        for ask in self.asks:
            if isinstance(ask, Ask):
                for column in ask.columns:
                    found.setdefault((ask.measurements[0].name, column.field), _field(ask, column.field))
        return list(found.values())

    @property
    def many(self) -> bool:
        """Whether there may be several series: areas below them would add up to mud."""
        parts = [len(ask.columns) if isinstance(ask, Ask) else 1 for ask in self.asks]
        return sum(parts) > 1 or any("{" in ask.legend for ask in self.asks)

    @property
    def falling(self) -> bool:
        """Whether the lowest value is the worst."""
        fields = self.fields
        if fields:
            worse = {field.worse for _, field in fields}
            return "down" in worse and "up" not in worse
        return self.limits is not None and self.limits.falling

    @property
    def description(self) -> str:
        """The catalogue's words for every field shown, and the note."""
        fields = self.fields
        helps = list(dict.fromkeys(field.help for _, field in fields))
        if len(helps) > 1:
            names = dict.fromkeys((field.name, field.help) for _, field in fields)
            helps = [f"{name}: {text}" for name, text in names]
        return "\n\n".join(filter(None, [self.note, "\n".join(helps)]))

    @property
    def shown_empty(self) -> str:
        """What stands in the panel's place while there is nothing: what is missing, so that one knows where to look."""
        if self.empty:
            return self.empty
        if self.kind is Kind.TILES:
            return "no data"  # as large as a number would be
        if any(isinstance(ask, Raw) and ask.stack for ask in self.asks):
            return "no data: does Prometheus scrape this service?"
        asked = [one.name for ask in self.asks if isinstance(ask, Ask) for one in ask.measurements]
        names = list(dict.fromkeys(asked))
        return (
            f"no points of {' or '.join(names)} for this choice and range"
            if 0 < len(names) <= _MOST_NAMED
            else "no data"
        )

    @property
    def shown_unit(self) -> str:
        """Grafana's unit id."""
        if self.unit:
            return self.unit
        fields = self.fields
        if not fields:
            raise ValueError(f"{self.title}: a panel of raw queries has to say its unit")
        unit = fields[0][1].unit
        hows = {column.how for ask in self.asks if isinstance(ask, Ask) for column in ask.columns}
        if hows == {How.RATE}:
            return PER_SECOND.grafana
        return "none" if unit is STATE and self.kind is Kind.LINES else unit.grafana

    @property
    def shown_limits(self) -> Limits | None:
        """The limits, for a panel of fields that share them."""
        if self.limits is not None:
            return self.limits
        fields = self.fields
        if self.kind is Kind.TABLE or not fields:
            return None
        found = {limits_of(measurement.name, field) for measurement, field in fields}
        return found.pop() if len(found) == 1 else None


def _field(ask: Ask, name: str) -> tuple[Measurement, Field]:
    first = ask.measurements[0]
    return first, first[name]


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...]
    collapsed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One dashboard.

    Attributes:
        key: end of its uid and name of its file.
        title: its name.
        about: what it answers.
        about_measurements: what its variables' values come from.
        variables: which of site, agent, target and test it has.
        rows: its panels.
        span: default range.
        refresh: default refresh.
        objectives: whether it has the variable `slo`.
        stack: whether it asks Prometheus about the stack's own services.
    """

    key: str
    title: str
    about: str
    about_measurements: tuple[Measurement, ...]
    variables: tuple[str, ...] = ("site", "agent", "target", "test")
    rows: tuple[Row, ...]
    span: str = "now-6h"
    refresh: str = "1m"
    objectives: bool = False
    stack: bool = False


def placed(panels: Iterable[Panel], top: int) -> tuple[list[tuple[Panel, int, int]], int]:
    """Each panel as high as it goes, then as far left; also the first free line below all.

    >>> spots, bottom = placed([], 3)
    >>> bottom
    3
    """
    spots: list[tuple[Panel, int, int]] = []
    floor = [top] * WIDTH
    for panel in panels:
        choices = range(WIDTH - panel.width + 1)
        y, x = min((max(floor[left : left + panel.width]), left) for left in choices)
        spots.append((panel, x, y))
        floor[x : x + panel.width] = [y + panel.height] * panel.width
    return spots, max(floor)
