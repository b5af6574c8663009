"""A whole dashboard as one picture."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from PIL import Image

from streamswarm_grafana.ask_store import Drawn
from streamswarm_grafana.preview.charts import CHARTS, MOST_LETTERS
from streamswarm_grafana.preview.figures import BACKGROUND, FAINT, GRID, PANEL, TEXT

_WIDE: Final = 15.0
_LINE: Final = 0.33
_HEAD: Final = 1.4
_DOTS: Final = 84
_COLOURS: Final = 200


def draw(
    board: dict[str, Any], answers: Mapping[int, Sequence[Drawn]], span: tuple[int, int], path: Path, note: str
) -> None:
    """Draw the panels in their places and write a small PNG.

    Args:
        board: the dashboard's JSON.
        answers: what the queries of each panel answered, by the panel's id.
        span: milliseconds, from and to.
        path: the file.
        note: what the picture is.
    """
    mpl.rcParams["font.family"] = "DejaVu Sans"
    tall = max(one["gridPos"]["y"] + one["gridPos"]["h"] for one in board["panels"]) + _HEAD
    figure = Figure(figsize=(_WIDE, tall * _LINE), facecolor=BACKGROUND)
    figure.text(0.008, 1 - 0.55 / tall, board["title"], color=TEXT, fontsize=13, va="center", weight="bold")
    figure.text(0.992, 1 - 0.55 / tall, note, color=FAINT, fontsize=7.5, va="center", ha="right")
    for panel in board["panels"]:
        spot = panel["gridPos"]
        left, width = spot["x"] / 24 + 0.004, spot["w"] / 24 - 0.008
        top, height = 1 - (spot["y"] + _HEAD) / tall, spot["h"] / tall
        if panel["type"] == "row":
            figure.text(left, top - height / 2, f"⌄  {panel['title']}", color=TEXT, fontsize=9.5, va="center")
            continue
        gap = 0.08 / tall
        _card(figure, left, top - height + gap, width, height - 2 * gap)
        figure.text(left + 0.007, top - 0.62 / tall, panel["title"], color=TEXT, fontsize=8.5, va="center")
        _fill(figure, panel, answers.get(panel["id"], ()), (left, top, width, height, tall), span)
    _save(figure, path)


def _fill(
    figure: Figure,
    panel: dict[str, Any],
    drawn: Sequence[Drawn],
    spot: tuple[float, float, float, float, float],
    span: tuple[int, int],
) -> None:
    left, top, width, height, tall = spot
    kind = panel["type"]
    if not any(one.has_data for one in drawn):
        empty = panel["fieldConfig"]["defaults"]["noValue"]
        figure.text(left + width / 2, top - height / 2, empty, color=FAINT, fontsize=9, ha="center", va="center")
        return
    below = {"timeseries": 2.0, "state-timeline": 0.9, "heatmap": 0.9, "geomap": 0.9}.get(kind, 0.35) / tall
    lanes = min(max((len(one.name) for one in drawn), default=0), MOST_LETTERS) * 0.0031 + 0.01
    aside = {"timeseries": 0.038, "heatmap": 0.038, "geomap": 0.02, "state-timeline": lanes}.get(kind, 0.008)
    above = 1.15 / tall
    rectangle = (left + aside, top - height + below, width - aside - 0.008, height - above - below)
    axes = figure.add_axes(rectangle)
    axes.set_facecolor(PANEL)
    CHARTS[kind](axes, panel, drawn, span)


def _card(figure: Figure, left: float, bottom: float, width: float, height: float) -> None:
    card = FancyBboxPatch(
        (left, bottom),
        width,
        height,
        boxstyle="round,pad=0,rounding_size=0.002",
        transform=figure.transFigure,
        facecolor=PANEL,
        edgecolor=GRID,
        linewidth=0.6,
        zorder=-5,
    )
    figure.add_artist(card)


def _save(figure: Figure, path: Path) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DOTS, facecolor=BACKGROUND)
    picture = Image.open(buffer).convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, format="PNG", optimize=True)
