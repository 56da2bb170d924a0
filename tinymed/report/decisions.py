"""Pictures of probabilities and what they are good for: reliability, precision and recall, net benefit."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..metrics.calibration import calibration_error, reliability_bins
from ..metrics.curves import average_precision, precision_recall_curve
from ..metrics.decisions import net_benefit
from .plots import COLOURS, GREY, line_style, new_figure, write_png

Probabilities = Mapping[str, np.ndarray]  # what they are called -> of the positive class, one an image


def save_reliability(labels: np.ndarray, probabilities: Probabilities, path: str | Path, title: str = "") -> Path:
    """Draw how often images are positive against how likely they were said to be, and how many there are of each.

    Args:
        labels: Booleans (n,), whether an image is positive.
        probabilities: What they are called, such as "before", and the probabilities of the same images.
        path: The PNG to write, whole or not at all.
        title: What stands above the picture.

    Returns:
        The path.

    Example:
        >>> save_reliability(np.array([0, 1]), {"as trained": np.array([0.2, 0.9])}, "reliability.png").name
        'reliability.png'
    """
    figure = new_figure(5.0, 5.8)
    axes, below = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":", label="perfect")
    for i, (name, p) in enumerate(probabilities.items()):
        bins = reliability_bins(labels, p)
        x, y = [b.predicted for b in bins], [b.observed for b in bins]
        error = calibration_error(labels, p)
        axes.plot(x, y, marker="o", markersize=4.5, linewidth=1.6, label=f"{name}: ECE {error:.3f}", **line_style(i))
        below.hist(p, bins=np.linspace(0, 1, 21), histtype="step", linewidth=1.4, **line_style(i))
    axes.set(ylabel="share that is positive", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), title=title)
    axes.legend(frameon=False)
    below.set(xlabel="probability of the positive class", ylabel="images")
    return write_png(figure, path)


def save_precision_recall(labels: np.ndarray, scores: np.ndarray, path: str | Path, title: str = "") -> Path:
    """Draw precision against recall, and the share of positive images, which a coin reaches.

    Args:
        labels: Booleans (n,).
        scores: Numbers (n,), higher for more positive.
        path: The PNG to write, whole or not at all.
        title: What stands above the picture.

    Returns:
        The path.

    Example:
        >>> save_precision_recall(np.array([0, 1]), np.array([0.2, 0.9]), "pr.png").name
        'pr.png'
    """
    curve = precision_recall_curve(labels, scores)
    figure = new_figure(5.0, 4.6)
    axes = figure.subplots()
    share = float(np.mean(labels))
    axes.axhline(share, color=GREY, linewidth=1, linestyle=":", label=f"chance: {share:.3f}")
    area = average_precision(labels, scores)
    axes.step(curve.recall, curve.precision, where="post", color=COLOURS[0], linewidth=1.8, label=f"AP {area:.3f}")
    axes.set(xlabel="recall (sensitivity)", ylabel="precision", xlim=(-0.01, 1.01), ylim=(-0.01, 1.03), title=title)
    axes.legend(frameon=False, loc="lower left")
    return write_png(figure, path)


def save_net_benefit(labels: np.ndarray, probabilities: Probabilities, path: str | Path, title: str = "") -> Path:
    """Draw decision curves: what acting on the images above a threshold is worth, against acting on all or on none.

    Args:
        labels: Booleans (n,).
        probabilities: What they are called, and the probabilities of the same images.
        path: The PNG to write, whole or not at all.
        title: What stands above the picture.

    Returns:
        The path.

    Example:
        >>> save_net_benefit(np.array([0, 1]), {"as trained": np.array([0.2, 0.9])}, "net_benefit.png").name
        'net_benefit.png'
    """
    figure = new_figure(5.4, 4.4)
    axes = figure.subplots()
    axes.axhline(0, color=GREY, linewidth=1, label="act on nobody")
    for i, (name, p) in enumerate(probabilities.items()):
        curve = net_benefit(labels, p)
        if not i:
            axes.plot(curve.thresholds, curve.everyone, color=GREY, linewidth=1.2, linestyle=":", label="act on all")
        axes.plot(curve.thresholds, curve.model, linewidth=1.8, label=name, **line_style(i))
    top = float(np.mean(labels))
    axes.set(xlabel="probability from which one would act", ylabel="net benefit, true positives an image")
    axes.set(ylim=(-0.25 * top - 0.02, 1.08 * top + 0.02), xlim=(0, 1), title=title)
    axes.legend(frameon=False, loc="upper right")
    return write_png(figure, path)
