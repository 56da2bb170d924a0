"""Pictures of numbers and of several findings: predicted against true, Bland and Altman's plot, an ROC curve each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .plots import COLOURS, CROWDED, GREY, interval_text, line_style, new_figure, write_png

__all__ = ["RocLine", "save_bland_altman", "save_roc_lines", "save_scatter"]


class RocLine(NamedTuple):
    """A curve to draw.

    Attributes:
        truth: bool (n,).
        scores: Numbers (n,), higher for more positive.
        auc: For the legend.
        interval: Of the AUC, or None.

    Example:
        >>> RocLine(np.array([True, False]), np.array([0.9, 0.1]), 1.0).interval is None
        True
    """

    truth: np.ndarray
    scores: np.ndarray
    auc: float
    interval: Sequence[float] | None = None


def save_scatter(
    truth: npt.ArrayLike, predicted: npt.ArrayLike, path: str | Path, name: str = "value", title: str = ""
) -> Path:
    """Draw predicted against true numbers, with the line of identity.

    Args:
        truth: Numbers (n,).
        predicted: Numbers (n,).
        path: The PNG to write, whole or not at all.
        name: Of the number and its unit, for the axes.
        title: What stands above the picture.

    Returns:
        The path.

    Example:
        >>> save_scatter([1.0, 2.0], [1.5, 1.8], "scatter.png", "age (years)").name
        'scatter.png'
    """
    t, p = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    low, high = float(min(t.min(), p.min())), float(max(t.max(), p.max()))
    edge = 0.05 * (high - low or 1.0)
    figure = new_figure(5.2, 5.2)
    axes = figure.subplots()
    ends = [low - edge, high + edge]
    axes.plot(ends, ends, color=GREY, linewidth=1, linestyle=":", label="predicted = true")
    axes.plot(t, p, "o", color=COLOURS[0], markersize=4, alpha=0.6, markeredgewidth=0)
    axes.set(xlabel=f"true {name}", ylabel=f"predicted {name}", title=title, xlim=ends, ylim=ends, aspect="equal")
    axes.legend(frameon=False, loc="upper left")
    return write_png(figure, path)


def save_bland_altman(
    truth: npt.ArrayLike,
    predicted: npt.ArrayLike,
    agreement: Mapping[str, Any],
    path: str | Path,
    name: str = "value",
    title: str = "",
) -> Path:
    """Draw the differences, predicted less true, over the means, with the bias and the limits of agreement.

    Args:
        truth: Numbers (n,).
        predicted: Numbers (n,).
        agreement: What `metrics.agreement.bland_altman` returned.
        path: The PNG to write, whole or not at all.
        name: Of the number and its unit, for the axes.
        title: What stands above the picture.

    Returns:
        The path.

    Example:
        >>> from tinymed.metrics.agreement import bland_altman
        >>> truth, predicted = [1.0, 2.0, 3.0], [1.5, 1.8, 3.1]
        >>> save_bland_altman(truth, predicted, bland_altman(truth, predicted), "ba.png").name
        'ba.png'

    Reference:
        Bland & Altman, Lancet 327, 1986.
    """
    t, p = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    figure = new_figure(6.0, 4.2)
    axes = figure.subplots()
    axes.axhline(0, color=GREY, linewidth=0.9, linestyle=":")
    axes.plot((t + p) / 2, p - t, "o", color=COLOURS[0], markersize=4, alpha=0.6, markeredgewidth=0)
    limits, bias = agreement["limits"], agreement["bias"]
    axes.axhline(bias, color=COLOURS[1], linewidth=1.4, label=f"bias {bias:.3g}")
    if limits is not None:
        for i, limit in enumerate(limits):
            label = f"limits of agreement {limits[0]:.3g} to {limits[1]:.3g}" if i == 0 else None
            axes.axhline(limit, color=COLOURS[1], linewidth=1.1, linestyle="--", label=label)
    axes.set(xlabel=f"mean of true and predicted {name}", ylabel="predicted - true", title=title)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(0.0, -0.16), ncols=2)
    return write_png(figure, path)


def save_roc_lines(lines: Mapping[str, RocLine], path: str | Path, title: str = "") -> Path:
    """Draw several ROC curves in one picture, each with its AUC.

    Args:
        lines: Name -> curve; those without a positive or a negative are left out.
        path: The PNG to write, whole or not at all.
        title: What stands above the picture.

    Returns:
        The path.

    Example:
        >>> line = RocLine(np.array([True, False]), np.array([0.9, 0.1]), 1.0)
        >>> save_roc_lines({"edema": line}, "roc.png").name
        'roc.png'
    """
    from ..metrics.curves import roc_curve

    figure = new_figure(5.4, 5.4)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":", label="chance: AUC 0.5")
    for i, (name, line) in enumerate(lines.items()):
        if line.truth.any() and not line.truth.all():
            curve = roc_curve(line.truth, line.scores)
            label = f"{name}: AUC {line.auc:.3f}{interval_text(line.interval)}"
            rates = curve.false_positive_rate, curve.true_positive_rate
            axes.plot(*rates, **line_style(i), linewidth=1.5, label=label)
    axes.set(xlabel="1 - specificity (false positive rate)", ylabel="sensitivity (true positive rate)", title=title)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.legend(loc="lower right", frameon=False, fontsize=7.5 if len(lines) > CROWDED else 9)
    return write_png(figure, path)
