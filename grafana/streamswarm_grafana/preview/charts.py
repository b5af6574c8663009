"""How each kind of panel is drawn."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import matplotlib.dates as mdates
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from streamswarm_grafana.ask_store import Drawn
from streamswarm_grafana.preview.figures import COLOURS, FAINT, GRID, PALETTE, PANEL, TEXT, colour_of, shown
from streamswarm_grafana.preview.markers import markers
from streamswarm_grafana.preview.tables import rows_of

_GAP_MS: Final = 5 * 60_000
MOST_LETTERS: Final = 36
"""Longer names are cut."""
_MOST_NUMBERS: Final = 8
"""In a row of big numbers."""

_HEAT: Final = LinearSegmentedColormap.from_list("heat", [PANEL, "#5b2a12", "#c4561b", "#ff9830", "#ffe7b3"])
_SMALL: Final = 6.5
Panel = dict[str, Any]


def _when(milliseconds: float) -> float:
    return milliseconds / 86_400_000  # matplotlib's days since 1970


def _axes(axes: Axes, panel: Panel, span: tuple[int, int]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    axes.set_xlim(_when(span[0]), _when(span[1]))
    axes.xaxis.set_major_formatter(mdates.DateFormatter("%H:%M"))
    # Quarters of an hour, but none at the edges, where they would meet other labels.
    first, last, step = _when(span[0]), _when(span[1]), 1 / 96
    while (last - first) / step > 7:
        step *= 2
    ticks = [place * step for place in range(math.ceil(first / step), math.floor(last / step) + 1)]
    axes.xaxis.set_major_locator(_at([at for at in ticks if 0.04 < (at - first) / (last - first) < 0.97]))
    axes.yaxis.set_major_formatter(lambda value, _: shown(value, defaults["unit"]))
    axes.yaxis.set_major_locator(_few())
    axes.grid(color=GRID, linewidth=0.5)
    axes.tick_params(labelsize=_SMALL, colors=FAINT, length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def _few() -> Any:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - a locator belongs to one axis

    return MaxNLocator(nbins=4)


def _broken(one: Drawn, gap: float) -> tuple[list[float], list[float]]:
    """Times and values with a hole where points are far apart."""
    times: list[float] = []
    values: list[float] = []
    before: float | None = None
    for at, value in ((row[0], row[1]) for row in one.rows):
        if value is None:
            continue
        if before is not None and at - before > gap:
            times.append(_when(before + 1))
            values.append(math.nan)
        times.append(_when(at))
        values.append(float(value))
        before = at
    return times, values


def lines(axes: Axes, panel: Panel, drawn: Sequence[Drawn], span: tuple[int, int]) -> None:
    """Series over time: lines, stacked areas or bands."""
    _axes(axes, panel, span)
    defaults = panel["fieldConfig"]["defaults"]
    gap = float(defaults["custom"].get("insertNulls", _GAP_MS))
    bands = _bands(panel)
    edges = {name for pair in bands for name in pair}
    if defaults["custom"].get("stacking", {}).get("mode") == "normal":
        _stack(axes, drawn)
    else:
        kept = [one for one in drawn if one.name not in edges]
        for place, one in enumerate(kept):
            axes.plot(*_broken(one, gap), color=PALETTE[place % len(PALETTE)], linewidth=0.9, label=one.name)
    by_name = {one.name: _broken(one, gap) for one in drawn}
    for low, high in bands:
        if low in by_name and high in by_name and len(by_name[low][0]) == len(by_name[high][0]):
            times, lower = by_name[low]
            axes.fill_between(
                times, lower, by_name[high][1], color=PALETTE[2], alpha=0.25, linewidth=0, label=f"{low} to {high}"
            )
    _limits(axes, defaults)
    lowest = min((row[1] for one in drawn for row in one.rows if row[1] is not None), default=0)
    if lowest >= 0 and (defaults.get("min") == 0 or "axisSoftMin" in defaults["custom"]):
        axes.set_ylim(bottom=0)
    _legend(axes)


def _stack(axes: Axes, drawn: Sequence[Drawn]) -> None:
    times = sorted({row[0] for one in drawn for row in one.rows})
    heights = []
    for one in drawn:
        found = {row[0]: row[1] or 0.0 for row in one.rows}
        heights.append([found.get(at, 0.0) for at in times])
    colours = [PALETTE[place % len(PALETTE)] for place in range(len(drawn))]
    names = [one.name for one in drawn]
    axes.stackplot([_when(at) for at in times], *heights, colors=colours, labels=names, alpha=0.65)


def _bands(panel: Panel) -> list[tuple[str, str]]:
    return [
        (str(one["value"]), str(override["matcher"]["options"]))
        for override in panel["fieldConfig"].get("overrides", [])
        for one in override["properties"]
        if one["id"] == "custom.fillBelowTo"
    ]


def _limits(axes: Axes, defaults: dict[str, Any]) -> None:
    if defaults["custom"].get("thresholdsStyle", {}).get("mode") != "dashed":
        return
    bottom, top = axes.get_ylim()
    for step in defaults["thresholds"]["steps"]:
        if step["value"] is not None and bottom <= step["value"] <= top:
            axes.axhline(step["value"], color=COLOURS[step["color"]], linewidth=0.7, linestyle=(0, (6, 4)), alpha=0.8)


def _legend(axes: Axes) -> None:
    handles, names = axes.get_legend_handles_labels()
    if not handles:
        return
    abreast = _abreast(axes, [cut(name) for name in names])
    if len(handles) > 2 * abreast:
        named = 2 * abreast - 1
        names = [*names[:named], f"and {len(handles) - named} more"]
        handles = handles[: named + 1]
    names = [cut(name) for name in names]
    axes.legend(
        handles,
        names,
        loc="upper left",
        bbox_to_anchor=(0, -0.13),
        ncols=abreast,
        fontsize=_SMALL,
        frameon=False,
        labelcolor=TEXT,
        handlelength=1,
        columnspacing=1,
        borderaxespad=0,
        labelspacing=0.25,
    )


def _abreast(axes: Axes, names: Sequence[str]) -> int:
    """How many names fit beside each other."""
    letter = 0.0037  # of the picture's width
    return max(1, min(6, int(axes.get_position().width / ((max(len(name) for name in names) + 5) * letter))))


def cut(name: str, most: int = MOST_LETTERS) -> str:
    """A name short enough for its place."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def tiles(axes: Axes, panel: Panel, drawn: Sequence[Drawn], span: tuple[int, int]) -> None:
    """Big numbers, each over its course."""
    defaults = panel["fieldConfig"]["defaults"]
    newest = [(one, value) for one in drawn if (value := _newest(one)) is not None]
    _bare(axes)
    across = min(len(newest), _MOST_NUMBERS) or 1
    down = math.ceil(len(newest) / across)
    for place, (one, value) in enumerate(newest):
        colour = TEXT if panel["options"]["colorMode"] == "none" else colour_of(value, defaults["thresholds"])
        left, foot = place % across / across, 1 - (place // across + 1) / down
        number = axes.inset_axes((left, foot, 1 / across, 1 / down))
        _bare(number)
        times, values = _broken(one, math.inf)
        if len(values) > 1:
            inner = number.inset_axes((0, 0, 1, 0.45))
            _bare(inner)
            inner.fill_between(times, values, min(values) * 0.9, color=colour, alpha=0.2, linewidth=0)
            inner.plot(times, values, color=colour, linewidth=0.8)
            inner.set_xlim(_when(span[0]), _when(span[1]))
        size = 20 if len(newest) < 3 else 15 if down == 1 else 12
        written = shown(value, defaults["unit"])
        number.text(0.5, 0.66 if down == 1 else 0.36, written, color=colour, ha="center", va="center", fontsize=size)
        if len(newest) > 1:
            top = 0.93 if down == 1 else 0.82
            number.text(0.5, top, cut(one.name), color=TEXT, ha="center", va="center", fontsize=7 if down == 1 else 6)


def states(axes: Axes, panel: Panel, drawn: Sequence[Drawn], span: tuple[int, int]) -> None:
    """One lane for each series."""
    _axes(axes, panel, span)
    axes.grid(visible=False)
    kept = [one for one in drawn if one.has_data][:24]
    words = (panel["fieldConfig"]["defaults"].get("mappings") or [{}])[0].get("options")
    for lane, one in enumerate(reversed(kept)):
        step = _step(one)
        for at, value in ((row[0], row[1]) for row in one.rows):
            if value is None:
                continue
            mapped = words.get(str(int(value))) if words else None
            colour = (
                COLOURS[mapped["color"]] if mapped else colour_of(value, panel["fieldConfig"]["defaults"]["thresholds"])
            )
            axes.broken_barh([(_when(at), _when(at + step) - _when(at))], (lane + 0.1, 0.8), color=colour, linewidth=0)
    axes.set_ylim(0, max(1, len(kept)))
    axes.yaxis.set_major_locator(_at([lane + 0.5 for lane in range(len(kept))]))
    names = [cut(one.name) for one in reversed(kept)]
    axes.yaxis.set_major_formatter(lambda value, _: names[int(value)] if int(value) < len(names) else "")
    axes.tick_params(axis="y", labelsize=6 if len(kept) < 14 else 5)


def _at(places: list[float]) -> Any:
    from matplotlib.ticker import FixedLocator  # noqa: PLC0415 - as above

    return FixedLocator(places)


def _step(one: Drawn) -> int:
    times = sorted(row[0] for row in one.rows)
    return min((after - before for before, after in itertools.pairwise(times)), default=60_000)


def heat(axes: Axes, panel: Panel, drawn: Sequence[Drawn], span: tuple[int, int]) -> None:
    """Counts by bucket and time."""
    _axes(axes, panel, span)
    bounds = sorted((float(one.name), one) for one in drawn if one.has_data)
    times = sorted({row[0] for _, one in bounds for row in one.rows})
    counts = [[dict((row[0], row[1] or 0) for row in one.rows).get(at, 0) for at in times] for _, one in bounds]  # noqa: C402
    low = [bound / 1.25 for bound, _ in bounds[:1]]
    edges = [*low, *(bound for bound, _ in bounds)]
    step = _step(bounds[0][1])
    powered = [[math.sqrt(count) for count in row] for row in counts]
    axes.pcolormesh(
        [_when(at) for at in [*times, times[-1] + step]], edges, powered, cmap=_HEAT, shading="flat", rasterized=True
    )
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: shown(value, panel["options"]["yAxis"]["unit"]))
    axes.yaxis.set_minor_formatter(lambda _value, _: "")
    axes.grid(visible=False)


def bars(axes: Axes, panel: Panel, drawn: Sequence[Drawn], _span: tuple[int, int]) -> None:
    """One bar for each series."""
    _bare(axes)
    defaults = panel["fieldConfig"]["defaults"]
    found = [(one.name, value) for one in drawn if (value := _newest(one)) is not None][:12]
    top = float(defaults.get("max") or max((value for _, value in found), default=1) or 1)
    height = 1 / max(1, len(found))
    for place, (name, value) in enumerate(found):
        y = 1 - (place + 1) * height
        colour = colour_of(value, defaults["thresholds"])
        inner = axes.inset_axes((0.3, y + height * 0.15, 0.54, height * 0.7))
        _bare(inner)
        inner.set_xlim(0, top)
        inner.barh([0], [top], color=GRID)
        inner.barh([0], [value], color=colour)
        axes.text(0.285, y + height / 2, cut(name, 24), ha="right", va="center", fontsize=7, color=TEXT)
        axes.text(0.86, y + height / 2, shown(value, defaults["unit"]), va="center", fontsize=8.5, color=colour)


def table(axes: Axes, panel: Panel, drawn: Sequence[Drawn], _span: tuple[int, int]) -> None:
    """Rows and columns."""
    _bare(axes)
    columns, rows = rows_of(panel, drawn)
    line = 0.36 / panel["gridPos"]["h"] * 2.2
    rows = rows[: int(1 / line) - 1]
    widths = [
        max([len(name), *(len(row[place][0]) for row in rows)], default=1) + 2 for place, name in enumerate(columns)
    ]
    total = sum(widths)
    size = min(8.0, 150 * panel["gridPos"]["w"] / 24 / total * 8.6)
    x = 0.005
    for place, name in enumerate(columns):
        axes.text(x, 1 - line / 2, name, fontsize=size, color="#6e9fff", va="center", weight="bold")
        for down, row in enumerate(rows):
            text, colour = row[place]
            axes.text(x, 1 - line * (down + 1.5), text, fontsize=size, color=colour, va="center")
        x += widths[place] / total
    for down in range(len(rows) + 1):
        axes.axhline(1 - line * (down + 1), color=GRID, linewidth=0.5)


def places(axes: Axes, panel: Panel, drawn: Sequence[Drawn], _span: tuple[int, int]) -> None:
    """Longitude and latitude; Grafana puts a map below."""
    for side in axes.spines.values():
        side.set_color(GRID)
    axes.grid(color=GRID, linewidth=0.5)
    axes.tick_params(labelsize=_SMALL, colors=FAINT, length=0)
    axes.set_xlim(-180, 180)
    axes.set_ylim(-60, 80)
    defaults = panel["fieldConfig"]["defaults"]
    for latitude, longitude, value, name in markers(drawn):
        axes.scatter([longitude], [latitude], s=28, color=colour_of(value, defaults["thresholds"]), alpha=0.8)
        axes.annotate(name, (longitude, latitude), (5, 3), textcoords="offset points", fontsize=_SMALL, color=TEXT)
    axes.text(0.01, 0.03, "Grafana draws the map itself", transform=axes.transAxes, fontsize=_SMALL, color=FAINT)


def _newest(one: Drawn) -> float | None:
    return next((row[1] for row in reversed(one.rows) if row[1] is not None), None)


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.patch.set_visible(False)
    for side in axes.spines.values():
        side.set_visible(False)


CHARTS: Final[dict[str, Callable[[Axes, Panel, Sequence[Drawn], tuple[int, int]], None]]] = {
    "timeseries": lines,
    "stat": tiles,
    "state-timeline": states,
    "heatmap": heat,
    "bargauge": bars,
    "table": table,
    "geomap": places,
}
