"""The picture of a cross-validation: each measure of all images together, and of each fold beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .plots import COLOURS, GREY, new_figure, write_png

MOST = 8  # measures in one picture


def save_folds(report: Mapping[str, Any], path: str | Path) -> Path:
    """Draw each measure's interval over all images, and the folds as points with theirs.

    Args:
        report: What `tinymed cv` writes as cv.json.
        path: The PNG to write, whole or not at all.

    Returns:
        The path.

    Example:
        >>> fold = {"value": 0.8, "interval": [0.7, 0.9], "n": 10}
        >>> figures = {"accuracy": fold | {"folds": {"fold-1": fold, "fold-2": fold}}}
        >>> save_folds({"figures": figures, "division": "20 images in 2 folds", "model": "dcnn"}, "cv.png").name
        'cv.png'
    """
    shown = {name: row for name, row in report["figures"].items() if row["value"] is not None}
    shown = dict(list(shown.items())[:MOST])
    columns = min(len(shown), 4)
    rows = -(-len(shown) // columns)
    figure = new_figure(2.6 * columns + 0.4, 2.7 * rows + 0.7)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (name, row) in zip(panels, shown.items(), strict=False):
        draw_measure(axes, name, row)
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    key = "line and band: all images, 95 %; points: folds with their own intervals"
    figure.suptitle(f"{report['model']}: {report['division']}\n{key}", fontsize=9)
    return write_png(figure, path)


def draw_measure(axes: Any, name: str, row: Mapping[str, Any]) -> None:
    """Draw one measure: a band of all images, a point with its interval for each fold."""
    told = f"{name.replace('_', ' ')} {row['value']:.3f}"
    if row["interval"] is not None:
        axes.axhspan(*row["interval"], color=COLOURS[0], alpha=0.18, linewidth=0)
        told += " [{:.3f}, {:.3f}]".format(*row["interval"])
    axes.axhline(row["value"], color=COLOURS[0], linewidth=1.6)
    for place, cell in enumerate(row["folds"].values(), 1):
        if cell["value"] is None:
            continue
        if cell["interval"] is not None:
            axes.plot([place, place], cell["interval"], color=GREY, linewidth=1.2)
        axes.plot(place, cell["value"], "o", color=COLOURS[1], markersize=5)
    axes.set(xlabel="fold", title=told, xlim=(0.4, len(row["folds"]) + 0.6))
    axes.set_xticks(range(1, len(row["folds"]) + 1))
    axes.title.set_fontsize(9)
    axes.tick_params(labelsize=7)
