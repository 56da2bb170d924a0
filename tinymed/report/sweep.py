"""Pictures of settings that were tried: a measure by epochs, the effect of an option, the range of learning rates."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .plots import COLOURS, GREY, line_style, new_figure, write_png

MOST = 10  # settings whose curves are drawn: the best
EPOCHS = ("val_accuracy", "val_dice", "val_ap", "val_mae", "val_macro_auc")  # shown by epochs beside the loss
WIDE = 9.0  # ratio of values from which on an axis is logarithmic
Rows = Sequence[Mapping[str, Any]]


def save_sweep(report: Mapping[str, Any], histories: Mapping[str, Sequence[Rows]], path: str | Path) -> Path:
    """Draw loss and a measure by epochs for each setting, and the chosen measure against what was swept first.

    Args:
        report: What `tinymed sweep` writes as sweep.json.
        histories: The setting in words -> the epochs of each of its runs.
        path: The PNG to write, whole or not at all.

    Returns:
        The path.

    Example:
        >>> report = {"measure": "val loss", "model": "dcnn", "rows": [{"setting": {"lr": 0.1}, "values": [0.5]}]}
        >>> save_sweep(report, {"lr=0.1": [[{"epoch": 1, "val_loss": 0.5}]]}, "sweep.png").name
        'sweep.png'
    """
    found = next((key for key in EPOCHS if any(key in row for runs in histories.values() for row in runs[0])), None)
    keys = ["val_loss", *([found] if found else [])]
    figure = new_figure(4.4 * (len(keys) + 1) + 0.4, 4.2)
    panels = figure.subplots(1, len(keys) + 1)
    for axes, key in zip(panels, keys, strict=False):
        for i, (name, runs) in enumerate(list(histories.items())[:MOST]):
            draw_epochs(axes, name, runs, key, i)
        axes.set(xlabel="epoch", ylabel=key.replace("_", " "))
        axes.xaxis.get_major_locator().set_params(integer=True)
    panels[0].legend(frameon=False, fontsize=7)
    draw_effect(panels[-1], report)
    figure.suptitle(f"{report['model']}: effect of {', '.join(report['rows'][0]['setting'])}")
    return write_png(figure, path)


def draw_epochs(axes: Any, name: str, runs: Sequence[Rows], key: str, place: int) -> None:
    """Draw the mean over the runs of a setting, epoch by epoch, as far as all of them went."""
    values = [[row.get(key) for row in run] for run in runs]
    length = min(map(len, values))
    table = np.array([[math.nan if v is None else v for v in each[:length]] for each in values], float)
    epochs = [row["epoch"] for row in runs[0]][:length]
    axes.plot(epochs, table.mean(axis=0), marker="o", markersize=3, label=name, **line_style(place))


def draw_effect(axes: Any, report: Mapping[str, Any]) -> None:
    """Draw the chosen measure of each run against the option that was swept first."""
    name = next(iter(report["rows"][0]["setting"]))
    values = [row["setting"][name] for row in report["rows"]]
    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    ticks = list(dict.fromkeys(values))
    where = [v if numeric else ticks.index(v) for v in values]
    for x, row in zip(where, report["rows"], strict=True):
        axes.plot([x] * len(row["values"]), row["values"], "o", color=COLOURS[1], markersize=4, alpha=0.8)
    means = [
        (x, np.mean([v for w, row in zip(where, report["rows"], strict=True) if w == x for v in row["values"]]))
        for x in sorted(set(where))
    ]
    axes.plot(*zip(*means, strict=True), color=COLOURS[0], linewidth=1.6, label="mean")
    if not numeric:
        axes.set_xticks(range(len(ticks)), [str(v) for v in ticks])
    elif min(where) > 0 and max(where) / min(where) >= WIDE:
        plain_log_axis(axes)
    axes.set(xlabel=name.replace("_", " "), ylabel=report["measure"])
    axes.legend(frameon=False)


def plain_log_axis(axes: Any) -> None:
    """Make the horizontal axis logarithmic, its numbers written as they are: 0.001."""
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: "")


def save_range(rates: np.ndarray, losses: np.ndarray, smooth: np.ndarray, suggestion: float, path: str | Path) -> Path:
    """Draw the loss against a rising learning rate, and the rate that is suggested.

    Args:
        rates: Learning rate of each step (n,).
        losses: Loss of each step (n,).
        smooth: The same, smoothed.
        suggestion: The rate to mark.
        path: The PNG to write, whole or not at all.

    Returns:
        The path.

    Example:
        >>> steps = np.array([0.1, 0.2])
        >>> save_range(steps, steps, steps, 0.1, "lr.png").name
        'lr.png'
    """
    figure = new_figure(6.0, 4.2)
    axes = figure.subplots()
    axes.plot(rates, losses, color=GREY, linewidth=0.8, alpha=0.5, label="loss of a step")
    axes.plot(rates, smooth, color=COLOURS[0], linewidth=2, label="smoothed")
    axes.axvline(suggestion, color=COLOURS[1], linestyle="--", label=f"suggested: {suggestion:.2g}")
    low, high = float(smooth.min()), float(max(smooth[0], np.median(smooth)))
    span = max(high - low, 1e-6)
    plain_log_axis(axes)
    axes.set(xlabel="learning rate", ylabel="training loss", ylim=(low - 0.3 * span, high + 0.8 * span))
    axes.legend(frameon=False)
    return write_png(figure, path)
