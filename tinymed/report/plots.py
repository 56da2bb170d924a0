"""The PNGs of a run folder: learning curves, ROC, confusion matrix, bars that compare models.

Figures are drawn without pyplot, so nothing global is touched and no display is needed; matplotlib is
imported at the first picture.  Colours are Okabe and Ito's, told apart by colour-blind readers, and lines
differ in dash as well.
"""

import io
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from ..files import write_atomic
from ..metrics import lower_is_better

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["save_comparison_bars", "save_confusion", "save_curves", "save_roc", "save_runs"]

History = Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any]]
Value = float | tuple[float, float, float]  # a metric, or (metric, low, high)

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#000000")
DASHES = ("-", "--", "-.", ":")
GREY = "#595959"
DPI = 130
FEW = 30  # points up to which each is marked
CROWDED = 8  # classes from which a matrix or legend needs smaller type

# One quantity goes by several names in histories; the first found counts.
SERIES = {
    "loss": (("train", ("loss", "train_loss")), ("validation", ("val_loss", "validation_loss"))),
    "accuracy": (
        ("train", ("accuracy", "train_accuracy")),
        ("validation", ("val_accuracy", "validation_accuracy")),
    ),
    "mean absolute error": (("train", ("mae",)), ("validation", ("val_mae",))),
    "dice": (("validation", ("val_dice",)),),
    "average precision": (("validation", ("val_ap",)),),
    "mean average precision": (("validation", ("val_map",)),),
    "PSNR": (("train", ("psnr",)), ("validation", ("val_psnr",))),
}


def save_curves(history: History, path: str | Path, title: str = "", monitor: str = "val_loss") -> Path:
    """Draw training against validation loss, and accuracy beside it where the history has it.

    Args:
        history: One mapping per epoch, or one list per quantity; keys loss, val_loss, accuracy, val_accuracy (train_
            and validation_ prefixes work too) and optionally epoch.  A missing, None or nan value leaves a gap.
        path: The PNG to write, whole or not at all.
        title: What stands above the picture.
        monitor: The quantity whose best epoch is marked: the lowest of a loss or error, the highest of all else.

    Returns:
        The path.

    Raises:
        UserError: There is nothing to draw.

    Example:
        >>> save_curves({"loss": [1.0, 0.5], "val_loss": [1.1, 0.7]}, "curves.png").name
        'curves.png'
    """
    own = (
        {}
        if any(monitor in names for series in SERIES.values() for _, names in series)
        else {monitor.removeprefix("val_").replace("_", " "): (("validation", (monitor,)),)}
    )
    panels = {name: curves_of(history, series) for name, series in {**SERIES, **own}.items()}
    panels = {name: curves for name, curves in panels.items() if curves}
    if not panels:
        raise UserError(f"{path}: the history has neither loss nor accuracy, so there is no curve to draw")
    aliases = next((names for series in SERIES.values() for _, names in series if monitor in names), (monitor,))
    monitored = curves_of(history, (("run", aliases),)).get("run")
    figure = new_figure(4.6 * len(panels) + 0.4, 3.6)
    for axes, (name, curves) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        draw_lines(axes, curves)
        axes.set(xlabel="epoch", ylabel=name)
        if len(next(iter(curves.values()))[0]) < 2:  # a single point has no range of its own
            axes.set_xlim(0, None)
        best = best_epoch(monitored, monitor)
        if best is not None:
            axes.axvline(best, color=GREY, linewidth=0.9, linestyle=":", label=f"best epoch ({best:g})")
        axes.legend(frameon=False)
    if title:
        figure.suptitle(title)
    return write_png(figure, path)


def save_runs(histories: Mapping[str, History], path: str | Path, quantity: str = "loss", title: str = "") -> Path:
    """Draw one quantity of several runs in one picture, such as the loss at several learning rates.

    Args:
        histories: Run name -> history as in `save_curves`.
        path: The PNG to write, whole or not at all.
        quantity: Any key of the histories.
        title: What stands above the picture.

    Returns:
        The path.

    Raises:
        UserError: No history has the quantity.

    Example:
        >>> save_runs({"lr 0.1": {"loss": [1.0, 0.5]}, "lr 0.01": {"loss": [1.0, 0.9]}}, "runs.png").name
        'runs.png'
    """
    curves = {name: curves_of(h, (("run", (quantity,)),)).get("run") for name, h in histories.items()}
    drawn = {name: curve for name, curve in curves.items() if curve is not None}
    if not drawn:
        raise UserError(f"{path}: no history has values of {quantity!r}")
    figure = new_figure(6.0, 4.0)
    axes = figure.subplots()
    draw_lines(axes, drawn)
    axes.set(xlabel="epoch", ylabel=quantity.replace("_", " "), title=title)
    axes.legend(frameon=False)
    return write_png(figure, path)


def save_roc(
    scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    classes: Sequence[str],
    positive: str,
    path: str | Path,
    evaluation: Mapping[str, Any] | None = None,
) -> Path:
    """Draw the ROC curve of the positive class, or one of every class where there are more than two.

    The legend has each AUC with its interval, the point is the arg-max's, the diagonal is chance.

    Args:
        scores: Numbers (n, classes), as in `evaluate_scores`.
        labels: Class numbers (n,).
        classes: Names in column order.
        positive: The positive class.
        path: The PNG to write, whole or not at all.
        evaluation: What `evaluate_scores` returned, to spare computing it again.

    Returns:
        The path.

    Raises:
        UserError: The positive class is unknown, or scores are not finite.

    Example:
        >>> save_roc([[0.9, 0.1], [0.2, 0.8]], [0, 1], ["benign", "malignant"], "malignant", "roc.png").name
        'roc.png'
    """
    from ..metrics.classification import class_scores, evaluate_scores, roc_curve

    result = evaluation or evaluate_scores(scores, labels, classes, positive)
    several = len(classes) > 2
    figure = new_figure(5.4, 5.4)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":", label="chance: AUC 0.5")
    for i, name in enumerate(sorted(classes, key=lambda c: c != positive) if several else [positive]):
        row, k = result["per_class"][name], list(classes).index(name)
        if row["auc"] is not None:
            curve = roc_curve(np.asarray(labels) == k, class_scores(scores, k))
            axes.plot(
                curve.false_positive_rate,
                curve.true_positive_rate,
                **line_style(i),
                linewidth=1.3 if i else 2.2,
                label=f"{name}: AUC {row['auc']:.3f}{interval_text(row.get('auc_interval'))}",
            )
    if result["sensitivity"] is not None and result["specificity"] is not None:
        point = (1 - result["specificity"], result["sensitivity"])
        axes.plot(*point, "o", color="black", markersize=6, label=f"arg-max decision for {positive}")
    axes.set(xlabel="1 - specificity (false positive rate)", ylabel="sensitivity (true positive rate)")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.set_title(f"ROC, {'each class against the rest, ' if several else ''}n = {result['n']}")
    axes.legend(loc="lower right", frameon=False, fontsize=7.5 if len(classes) > CROWDED else 9)
    return write_png(figure, path)


def save_confusion(confusion: npt.ArrayLike, classes: Sequence[str], path: str | Path, title: str = "") -> Path:
    """Draw a confusion matrix: rows true, columns predicted, each cell its count and its share of the row.

    Colour follows the share, so that rare classes are seen too; a row without samples is blank.

    Args:
        confusion: Counts (classes, classes).
        classes: Names in class order.
        path: The PNG to write, whole or not at all.
        title: What stands above the picture.

    Returns:
        The path.

    Raises:
        ValueError: Names and matrix do not fit.

    Example:
        >>> save_confusion([[5, 1], [2, 4]], ["benign", "malignant"], "confusion.png").name
        'confusion.png'
    """
    c = np.asarray(confusion)
    if c.shape != (len(classes), len(classes)):
        raise ValueError(f"save_confusion: {len(classes)} class names for a matrix of shape {c.shape}")
    total = c.sum(axis=1, keepdims=True)
    share = np.divide(c, total, out=np.zeros(c.shape), where=total > 0)
    side = max(2.6, (0.62 if len(classes) > CROWDED else 0.95) * len(classes))
    longest = max(len(name) for name in classes)
    figure = new_figure(side + 1.9 + 0.07 * longest, side + 1.1 + (0.05 * longest if len(classes) > 3 else 0))
    axes = figure.subplots()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    label_cells(axes, c, share, 7 if len(classes) > CROWDED else 10)
    turned = longest > (5 if len(classes) > 3 else 14)
    axes.set_xticks(range(len(classes)), classes, rotation=35 if turned else 0, ha="right" if turned else "center")
    rows = [f"{name}\n(n = {int(t)})" for name, t in zip(classes, total[:, 0], strict=True)]
    axes.set_yticks(range(len(classes)), rows)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="predicted", ylabel="true", title=title)
    figure.colorbar(image, ax=axes, label="share of the true class", fraction=0.046, pad=0.04, ticks=[0, 0.5, 1])
    return write_png(figure, path)


def label_cells(axes: "Axes", confusion: npt.NDArray[Any], share: npt.NDArray[np.float64], size: float) -> None:
    """Write count and row percentage into each cell, white on dark; a row without samples gets bare zeros."""
    occupied = confusion.sum(axis=1) > 0
    for (i, j), count in np.ndenumerate(confusion):
        text = f"{int(count)}\n{100 * share[i, j]:.1f} %" if occupied[i] else "0"
        colour = "white" if share[i, j] > 0.55 else "black"
        axes.text(j, i, text, ha="center", va="center", fontsize=size, color=colour)


def save_comparison_bars(
    models: Mapping[str, Mapping[str, Value]],
    path: str | Path,
    metrics: Sequence[str] | None = None,
    title: str = "",
) -> Path:
    """Draw one group of bars per metric and one bar per model, with intervals where they are known.

    Bars start at 0, since their length is what is compared.

    Args:
        models: Model name -> metric name -> fraction, or (fraction, low, high).
        path: The PNG to write, whole or not at all.
        metrics: Which, and in what order; None takes those of the first model.
        title: What stands above the picture.

    Returns:
        The path.

    Raises:
        UserError: There is no model or no metric.

    Example:
        >>> save_comparison_bars({"dcnn": {"auc": (0.9, 0.8, 0.95)}, "lenet5": {"auc": 0.7}}, "bars.png").name
        'bars.png'
    """
    if not models or not all(models.values()):
        raise UserError(f"{path}: nothing to compare: give at least one model with at least one metric")
    names = list(metrics or next(iter(models.values())))
    width = 0.82 / len(models)
    figure = new_figure(max(5.0, 1.4 + 0.5 * len(models) * len(names)), 4.2)
    axes = figure.subplots()
    for i, (model, values) in enumerate(models.items()):
        bars = [bounds(values.get(name)) for name in names]
        x = np.arange(len(names)) + (i - (len(models) - 1) / 2) * width
        height, low, high = (np.array(column) for column in zip(*bars, strict=True))
        spread = np.maximum(np.array([height - low, high - height]), 0)  # nan where there is no interval
        colour = COLOURS[i % len(COLOURS)]
        error = {"elinewidth": 1.1, "capsize": 2.5}
        axes.bar(x, height, width * 0.92, label=model, color=colour, yerr=spread, error_kw=error)
        for at, (value, _, top) in zip(x, bars, strict=True):
            if not math.isnan(value):
                above = value if math.isnan(top) else top
                axes.text(at, above + 0.02, f"{value:.3f}", ha="center", va="bottom", fontsize=8, rotation=90)
    axes.set_xticks(range(len(names)), [name.replace("_", " ") for name in names])
    axes.set(ylim=(0, 1.18), ylabel="fraction", title=title, yticks=np.linspace(0, 1, 6))
    axes.grid(False, axis="x")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return write_png(figure, path)


def bounds(value: Value | None) -> tuple[float, float, float]:
    """Return (value, low, high) of a bar, nan for what is missing."""
    if value is None:
        return math.nan, math.nan, math.nan
    if isinstance(value, tuple | list):
        return float(value[0]), float(value[1]), float(value[2])
    return float(value), math.nan, math.nan


def interval_text(interval: Sequence[float] | None) -> str:
    """Return an interval as the legend shows it."""
    return f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""


Curve = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


def curves_of(history: History, series: Sequence[tuple[str, Sequence[str]]]) -> dict[str, Curve]:
    """Return label -> (epochs, values) of the series that the history has; nan stands for a missing value."""
    if isinstance(history, Mapping):
        columns = {key: list(values) for key, values in history.items()}
    else:
        keys = list(dict.fromkeys(key for row in history for key in row))
        columns = {key: [row.get(key) for row in history] for key in keys}
    curves: dict[str, Curve] = {}
    for label, aliases in series:
        key = next((alias for alias in aliases if alias in columns), None)
        values = np.array([math.nan if v is None else float(v) for v in columns[key]] if key else [])
        if np.isfinite(values).any():
            epochs = columns.get("epoch", range(1, values.size + 1))
            curves[label] = np.array([float(e) for e in epochs][: values.size]), values
    return curves


def best_epoch(curve: Curve | None, monitor: str) -> float | None:
    """Return the epoch of the best value of what is monitored, or None without a curve."""
    if curve is None:
        return None
    best = np.nanargmin(curve[1]) if lower_is_better(monitor) else np.nanargmax(curve[1])
    return float(curve[0][best])


def draw_lines(axes: "Axes", curves: Mapping[str, Curve]) -> None:
    """Draw lines that differ in colour and dash, with each point marked while there are few."""
    from matplotlib.ticker import MaxNLocator

    for i, (label, (x, y)) in enumerate(curves.items()):
        finite = np.isfinite(y)
        marker = "o" if finite.sum() <= FEW else ""
        axes.plot(
            x[finite],
            y[finite],
            marker=marker,
            markersize=3.5,
            linewidth=1.6,
            label=label,
            **line_style(i),
        )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def line_style(i: int) -> dict[str, Any]:
    """Return colour and dash of line number i: 32 different pairs, neighbours differ in both."""
    dash = DASHES[(i + i // len(COLOURS)) % len(DASHES)]
    return {"color": COLOURS[i % len(COLOURS)], "linestyle": dash}


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure, inches, with the style shared by all pictures."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def write_png(figure: "Figure", path: str | Path) -> Path:
    """Write a figure as PNG, whole or not at all: a temporary file beside it, synced, then renamed."""
    from matplotlib.text import Text

    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a class named "a_$1" is not a formula
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Creating legend", UserWarning)  # how long it takes is nobody's concern
        figure.savefig(buffer, format="png", bbox_inches="tight", pad_inches=0.1, metadata={"Software": "tinymed"})
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, [buffer.getvalue()])
    return path
