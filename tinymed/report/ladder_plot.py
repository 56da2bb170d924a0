"""The picture of a ladder: what each rung of a CUDA kernel moves, side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import UserError
from .plots import COLOURS, new_figure, write_png

QUANTITIES = (
    ("moved", "sectors of global memory"),
    ("waited", "passes over shared memory"),
    ("predicted_us", "predicted microseconds"),
)


def save_ladder(rungs: Sequence[Mapping[str, Any]], path: str | Path, title: str = "") -> Path:
    """Draw a row of bars for each rung: what it moves of global and shared memory, and its predicted time, if any.

    Args:
        rungs: For each its name, "rung", and what is known of "moved", "waited" and "predicted_us".
        path: The PNG to write, whole or not at all.
        title: What stands above the picture.

    Returns:
        The path.

    Raises:
        UserError: Nothing is known of any rung.

    Example:
        >>> save_ladder([{"rung": "naive", "moved": 4096, "waited": 0}], "rungs.png").name
        'rungs.png'
    """
    drawn = [(key, label) for key, label in QUANTITIES if any(rung.get(key) for rung in rungs)]
    if not drawn:
        raise UserError(f"{path}: nothing to draw: no rung was counted")
    figure = new_figure(2.0 + 3.2 * len(drawn), 1.2 + 0.3 * len(rungs))
    panels = figure.subplots(1, len(drawn), sharey=True, squeeze=False)[0]
    places = range(len(rungs))
    for axes, (key, label), colour in zip(panels, drawn, COLOURS, strict=False):
        numbers = [rung.get(key) or 0 for rung in rungs]
        bars = axes.barh(places, numbers, color=colour)
        least = min(number for number in numbers if number)
        axes.set(xscale="log", xlabel=f"{label} (log)", xlim=(least / 3, 6 * max(numbers)))
        axes.set_xticks([])  # each bar says its number
        axes.minorticks_off()
        axes.bar_label(bars, [f"{number:,.0f}" if number else "none" for number in numbers], padding=3, fontsize=8)
        axes.grid(False)
    panels[0].set_yticks(places, [str(rung["rung"]) for rung in rungs])
    panels[0].invert_yaxis()
    panels[0].set_title(title)
    return write_png(figure, path)
