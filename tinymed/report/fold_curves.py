"""The picture of how the networks of a cross-validation learnt: loss and scores, a line a fold and their mean."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from .plots import COLOURS, SERIES, Curve, History, best_epoch, curves_of, new_figure, write_png

SIDES = {"train": (COLOURS[1], "--"), "validation": (COLOURS[0], "-")}  # colour and dash
Panels = dict[str, dict[str, list[Curve]]]  # quantity -> train or validation -> a curve a fold


def save_fold_curves(
    histories: Mapping[str, History], path: str | Path, title: str = "", monitor: str = "val_loss"
) -> Path:
    """Draw training and validation of every fold, thin, and the mean of the folds as far as all of them go.

    Args:
        histories: Name of the fold -> history, as `save_curves` takes it.
        path: The PNG to write, whole or not at all.
        title: What stands above the picture.
        monitor: The quantity whose best epoch is marked on the line of each fold's validation.

    Returns:
        The path.

    Raises:
        UserError: There is nothing to draw.

    Example:
        >>> histories = {name: {"loss": [1.0, 0.5], "val_loss": [1.1, 0.7]} for name in ("fold-1", "fold-2")}
        >>> save_fold_curves(histories, "folds.png").name
        'folds.png'
    """
    panels = panels_of(histories, monitor)
    if not panels:
        raise UserError(f"{path}: no fold has a history of losses or scores, so there is no curve to draw")
    figure = new_figure(4.6 * len(panels) + 0.4, 3.6)
    for axes, (name, sides) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for side, curves in sides.items():
            draw_side(axes, side, curves)
        axes.set(xlabel="epoch", ylabel=name)
        mark_best(axes, name, sides.get("validation", []), monitor)
        axes.legend(frameon=False)
    if title:
        figure.suptitle(title)
    return write_png(figure, path)


def panels_of(histories: Mapping[str, History], monitor: str) -> Panels:
    """Return the curves of each quantity that any fold has; what is monitored is one of them."""
    known = any(monitor in names for series in SERIES.values() for _, names in series)
    own = {} if known else {monitored_name(monitor): (("validation", (monitor,)),)}
    panels: Panels = {}
    for name, series in {**SERIES, **own}.items():
        for history in histories.values():
            for side, curve in curves_of(history, series).items():
                panels.setdefault(name, {}).setdefault(side, []).append(curve)
    return panels


def monitored_name(monitor: str) -> str:
    """Return what a panel calls the quantity that is monitored."""
    return monitor.removeprefix("val_").replace("_", " ")


def draw_side(axes: Any, side: str, curves: Sequence[Curve]) -> None:
    """Draw a thin line a fold, and the mean over the epochs that all folds have."""
    from matplotlib.ticker import MaxNLocator

    colour, dash = SIDES[side]
    for epochs, values in curves:
        axes.plot(epochs, values, color=colour, linestyle=dash, linewidth=0.8, alpha=0.45)
    length = min(len(values) for _, values in curves)
    mean = np.mean([values[:length] for _, values in curves], axis=0)
    label = f"{side}, mean of {len(curves)} folds"
    marker = "o" if length == 1 else ""
    axes.plot(curves[0][0][:length], mean, marker=marker, color=colour, linestyle=dash, linewidth=2.2, label=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def mark_best(axes: Any, name: str, curves: Sequence[Curve], monitor: str) -> None:
    """Mark the best epoch of each fold where the panel is of what is monitored."""
    aliases = [alias for _, names in SERIES.get(name, ()) for alias in names]
    if monitor not in aliases and name != monitored_name(monitor):
        return
    for place, (epochs, values) in enumerate(curves):
        best = best_epoch((epochs, values), monitor)
        at = values[np.flatnonzero(epochs == best)[0]]
        label = {"label": "best epoch of a fold"} if not place else {}
        axes.plot(best, at, "o", color="black", markersize=4, **label)
