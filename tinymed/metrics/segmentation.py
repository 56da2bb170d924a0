"""Metrics of one segmented image or volume: overlaps, and distances between surfaces in physical units.

What they give for empty masks, always with a warning:

    truth    prediction   Dice, Jaccard, Tanimoto   HD95, average surface distance   volume error
    empty    empty        nan                       nan                              nan
    empty    some         0                         inf                              inf
    some     empty        0                         inf                              -1

Conformity is nan for two empty masks too, and -inf wherever Dice is 0.

nan: there is nothing to find and nothing was found, which an average leaves out.  inf: no surface to be near to; an
average over images leaves it out too and says how many, since the overlap of 0 already counts the miss.

Labels averaged over images: `mask_cases`.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .curves import Float, Warn, warn_undefined
from .distance_transform import check_spacing, distance_transform

__all__ = [
    "average_surface_distance",
    "conformity",
    "dice",
    "hausdorff",
    "jaccard",
    "label_metrics",
    "mean_over_labels",
    "surface_distances",
    "tanimoto",
    "volume_error",
]

FEW = 1 << 22  # pairs of pixels up to which comparing each with each is quicker than two distance transforms
HELD = 1 << 17  # pairs whose distances are held at a time

Mask = npt.NDArray[np.bool_]
Spacing = float | Sequence[float]


class Overlap(NamedTuple):
    """Pixels of two masks."""

    both: int
    truth: int
    prediction: int


def pair(name: str, truth: npt.ArrayLike, prediction: npt.ArrayLike) -> tuple[Mask, Mask]:
    """Return two boolean masks of one shape; raise ValueError otherwise."""
    masks = []
    for what, given in (("truth", truth), ("prediction", prediction)):
        mask = np.asarray(given)
        if mask.dtype != np.bool_ and not ((mask == 0) | (mask == 1)).all():
            raise ValueError(
                f"{name}: {what} has values other than 0 and 1; compare with a label first, as in mask == 2"
            )
        masks.append(mask.astype(np.bool_))
    if masks[0].shape != masks[1].shape:
        raise ValueError(f"{name}: truth has shape {masks[0].shape}, found {masks[1].shape}; they must be equal")
    return masks[0], masks[1]


def overlap(name: str, truth: npt.ArrayLike, prediction: npt.ArrayLike, warn: Warn) -> Overlap:
    """Return how many pixels are in both masks and in each, with a warning where one is empty."""
    t, f = pair(name, truth, prediction)
    counts = Overlap(int((t & f).sum()), int(t.sum()), int(f.sum()))
    if not (counts.truth and counts.prediction):
        empty = (
            "truth and prediction are"
            if not (counts.truth or counts.prediction)
            else ("the prediction is" if counts.truth else "the truth is")
        )
        warn(f"{name}: {empty} empty; see the table of tinymed.metrics.segmentation")
    return counts


# ------------------------------------------------------------------------------------------------- overlaps


def dice(truth: npt.ArrayLike, prediction: npt.ArrayLike, warn: Warn = warn_undefined) -> float:
    """Compute the Dice coefficient of two masks: 2 |T and F| / (|T| + |F|).

    Args:
        truth: Mask of any shape, booleans or 0 and 1.
        prediction: Predicted mask of the same shape.
        warn: Called with a message where the metric is undefined; by default it issues UndefinedMetricWarning.

    Returns:
        A number from 0 to 1; nan with a warning if both masks are empty (0/0).

    Raises:
        ValueError: The masks have different shapes, or values other than 0 and 1.

    Example:
        >>> dice([1, 1, 0, 0], [1, 0, 1, 0])
        0.5

    Reference:
        Dice, Ecology 26, 1945.
    """
    both, t, f = overlap("dice", truth, prediction, warn)
    return 2 * both / (t + f) if t + f else math.nan


def jaccard(truth: npt.ArrayLike, prediction: npt.ArrayLike, warn: Warn = warn_undefined) -> float:
    """Compute the Jaccard index of two masks, the intersection over union: |T and F| / |T or F| = Dice / (2 - Dice).

    Args:
        truth: Mask of any shape, booleans or 0 and 1.
        prediction: Predicted mask of the same shape.
        warn: Called with a message where the metric is undefined; by default it issues UndefinedMetricWarning.

    Returns:
        A number from 0 to 1; nan with a warning if both masks are empty (0/0).

    Raises:
        ValueError: The masks have different shapes, or values other than 0 and 1.

    Example:
        >>> jaccard([1, 1, 0, 0], [1, 0, 0, 0])
        0.5

    Reference:
        Jaccard, New Phytologist 11, 1912.
    """
    both, t, f = overlap("jaccard", truth, prediction, warn)
    return both / (t + f - both) if t + f else math.nan


def conformity(truth: npt.ArrayLike, prediction: npt.ArrayLike, warn: Warn = warn_undefined) -> float:
    """Compute the conformity of two masks: 1 - (pixels of one alone) / (pixels of both) = (3 Dice - 2) / Dice.

    Args:
        truth: Mask of any shape, booleans or 0 and 1.
        prediction: Predicted mask of the same shape.
        warn: Called with a message where the metric is undefined; by default it issues UndefinedMetricWarning.

    Returns:
        A number up to 1, below 0 where fewer pixels are in both than in one alone; -inf where none is in both, with a
        warning if a mask is empty; nan with a warning if both are (0/0).

    Raises:
        ValueError: The masks have different shapes, or values other than 0 and 1.

    Example:
        >>> conformity([1, 1, 1, 0], [1, 1, 0, 0])
        0.5

    Reference:
        Chang, Zhuang, Valentino & Chu, "Performance measure characterization for evaluating neuroimage segmentation
        algorithms", NeuroImage 47, 2009.
    """
    both, t, f = overlap("conformity", truth, prediction, warn)
    return 1 - (t + f - 2 * both) / both if both else -math.inf if t or f else math.nan


def tanimoto(truth: npt.ArrayLike, prediction: npt.ArrayLike, warn: Warn = warn_undefined) -> float:
    """Compute a b / (|a|^2 + |b|^2 - a b) of two grey images, such as probabilities; of masks it is Jaccard's index.

    Args:
        truth: Finite numbers of any shape.
        prediction: Finite numbers of the same shape.
        warn: Called with a message where the metric is undefined; by default it issues UndefinedMetricWarning.

    Returns:
        A number, computed in float64, 1 for equal images; nan with a warning if both are 0 everywhere (0/0).

    Raises:
        ValueError: Shapes differ, or a number is not finite.

    Example:
        >>> tanimoto([1.0, 0.0], [0.5, 0.0])
        0.6666666666666666

    Reference:
        Rogers & Tanimoto, Science 132, 1960; so used by Lou, Guan & Loew 2021.
    """
    a, b = np.asarray(truth, np.float64).ravel(), np.asarray(prediction, np.float64).ravel()
    if np.shape(truth) != np.shape(prediction) or not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError(
            f"tanimoto: needs finite images of one shape, got {np.shape(truth)} and {np.shape(prediction)}"
        )
    both, total = float(a @ b), float(a @ a + b @ b)
    if not (a.any() and b.any()):
        warn("tanimoto: an image is zero everywhere; see the table of tinymed.metrics.segmentation")
    return both / (total - both) if total else math.nan


def volume_error(truth: npt.ArrayLike, prediction: npt.ArrayLike, warn: Warn = warn_undefined) -> float:
    """Compute the relative volume error (|F| - |T|) / |T|, positive where too much was found.

    Args:
        truth: Mask of any shape, booleans or 0 and 1.
        prediction: Predicted mask of the same shape.
        warn: Called with a message where the metric is undefined; by default it issues UndefinedMetricWarning.

    Returns:
        A number from -1; inf if only the truth is empty, nan if both masks are (0/0), each with a warning.

    Raises:
        ValueError: The masks have different shapes, or values other than 0 and 1.

    Example:
        >>> volume_error([1, 1, 0, 0], [1, 1, 1, 0])
        0.5
    """
    _, t, f = overlap("volume_error", truth, prediction, warn)
    return (f - t) / t if t else math.inf if f else math.nan


# ------------------------------------------------------------------------------------------------- surfaces


def surface(mask: Mask) -> Mask:
    """Return the pixels of a mask with a neighbour along an axis that is not in it, nor is the outside of the image."""
    inner = mask.copy()
    for axis in range(mask.ndim):
        near, far = np.moveaxis(inner, axis, 0), np.moveaxis(mask, axis, 0)
        near[1:] &= far[:-1]
        near[:-1] &= far[1:]
        near[:1] = near[-1:] = False
    return mask & ~inner


def surface_distances(truth: npt.ArrayLike, prediction: npt.ArrayLike, spacing: Spacing = 1.0) -> tuple[Float, Float]:
    """Compute the distances between the surfaces of two masks, exactly and between centres of pixels.

    Args:
        truth: Mask of any shape, booleans or 0 and 1.
        prediction: Predicted mask of the same shape.
        spacing: Distance between neighbouring pixels, such as mm; one number, or one per axis.

    Returns:
        float64 arrays in the unit of spacing: the distance of every pixel of the truth's surface to the prediction's
        surface, and the other way round.  Both are empty if a mask is.

    Raises:
        ValueError: The masks have different shapes, or values other than 0 and 1.
        UserError: Spacings are not positive and finite.

    Example:
        >>> surface_distances([1, 0, 0], [0, 0, 1], spacing=0.5)
        (array([1.]), array([1.]))
    """
    t, f = pair("surface_distances", truth, prediction)
    steps = check_spacing(spacing, t.ndim)
    if not (t.any() and f.any()):
        return np.zeros(0), np.zeros(0)
    edges = [surface(mask) for mask in (t, f)]
    box = bounds(edges[0] | edges[1])  # no surface is nearer to another than inside the box of both
    a, b = (edge[box] for edge in edges)
    if np.count_nonzero(a) * np.count_nonzero(b) <= FEW:
        return pair_by_pair(a, b, steps)
    return distance_transform(b, steps)[a], distance_transform(a, steps)[b]


def pair_by_pair(a: Mask, b: Mask, steps: Sequence[float]) -> tuple[Float, Float]:
    """Return the distance of every pixel of a to the nearest of b, and the other way round, to the transform's bits."""
    first, second = np.argwhere(a), np.argwhere(b)
    there, back = np.empty(len(first)), np.full(len(second), np.inf)
    rows = max(HELD // len(second), 1)
    for start in range(0, len(first), rows):
        part = slice(start, start + rows)
        squared: Float = np.zeros(())
        for axis, step in enumerate(steps):
            squared = squared + (step * np.subtract.outer(first[part, axis], second[:, axis])) ** 2
        there[part] = squared.min(axis=1)
        np.minimum(back, squared.min(axis=0), out=back)
    return np.sqrt(there), np.sqrt(back)


def bounds(mask: Mask) -> tuple[slice, ...]:
    """Return the smallest box with all pixels of a mask that is not empty."""
    box = []
    for axis in range(mask.ndim):
        used = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        box.append(slice(int(used[0]), int(used[-1]) + 1))
    return tuple(box)


def hausdorff(
    truth: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing: Spacing = 1.0,
    percentile: float = 95.0,
    warn: Warn = warn_undefined,
) -> float:
    """Compute the larger of the two directed percentiles of surface distances: HD95, or at 100 the Hausdorff distance.

    As MONAI's `compute_hausdorff_distance`: percentiles are interpolated linearly, direction by direction.

    Args:
        truth: Mask of any shape, booleans or 0 and 1.
        prediction: Predicted mask of the same shape.
        spacing: Distance between neighbouring pixels, such as mm; one number, or one per axis.
        percentile: From 0 to 100.
        warn: Called with a message where the metric is undefined; by default it issues UndefinedMetricWarning.

    Returns:
        A distance in the unit of spacing; inf if one mask is empty, nan if both are, each with a warning.

    Raises:
        ValueError: The masks do not fit each other, or percentile is outside 0 to 100.
        UserError: Spacings are not positive and finite.

    Example:
        >>> hausdorff([1, 0, 0, 0], [0, 0, 0, 1], spacing=2.0)
        6.0

    Reference:
        Huttenlocher, Klanderman & Rucklidge, IEEE TPAMI 15, 1993.
    """
    if not 0 <= percentile <= 100:
        raise ValueError(f"hausdorff: percentile is from 0 to 100, got {percentile}")
    return between(
        "hausdorff",
        truth,
        prediction,
        spacing,
        warn,
        lambda a, b: max(float(np.percentile(d, percentile)) for d in (a, b)),
    )


def average_surface_distance(
    truth: npt.ArrayLike, prediction: npt.ArrayLike, spacing: Spacing = 1.0, warn: Warn = warn_undefined
) -> float:
    """Compute the mean over all pixels of both surfaces of the distance to the other surface.

    (sum of d(t, F) + sum of d(f, T)) / (|surface T| + |surface F|), which is symmetric.

    Args:
        truth: Mask of any shape, booleans or 0 and 1.
        prediction: Predicted mask of the same shape.
        spacing: Distance between neighbouring pixels, such as mm; one number, or one per axis.
        warn: Called with a message where the metric is undefined; by default it issues UndefinedMetricWarning.

    Returns:
        A distance in the unit of spacing; inf if one mask is empty, nan if both are, each with a warning.

    Raises:
        ValueError: The masks have different shapes, or values other than 0 and 1.
        UserError: Spacings are not positive and finite.

    Example:
        >>> average_surface_distance([1, 1, 0], [0, 1, 0])
        0.3333333333333333

    Reference:
        Heimann et al., IEEE TMI 28, 2009.
    """
    return between(
        "average_surface_distance",
        truth,
        prediction,
        spacing,
        warn,
        lambda a, b: float((a.sum() + b.sum()) / (a.size + b.size)),
    )


def between(
    name: str,
    truth: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing: Spacing,
    warn: Warn,
    summary: Callable[[Float, Float], float],
) -> float:
    """Return a summary of the surface distances, or what the module's table says where a mask is empty."""
    _, t, f = overlap(name, truth, prediction, warn)
    if not (t and f):
        return math.inf if t or f else math.nan
    return summary(*surface_distances(truth, prediction, spacing))


# ---------------------------------------------------------------------------------------------- label by label

METRICS = ("dice", "jaccard", "conformity", "hd95", "asd", "volume_error")


def label_metrics(
    truth: npt.ArrayLike,
    prediction: npt.ArrayLike,
    classes: int,
    spacing: Spacing = 1.0,
    *,
    ignored: int | None = None,
    distances: bool = True,
) -> dict[str, list[float | None]]:
    """Compute the metrics of every class of two images of class numbers.

    Args:
        truth: Class numbers, integers of any shape.
        prediction: Predicted class numbers of the same shape.
        classes: Number of classes.
        spacing: Distance between neighbouring pixels, such as mm; one number, or one per axis.
        ignored: A class number of the truth whose pixels count nowhere; they are taken out of the prediction too.
        distances: Also compute HD95 and the average surface distance ("hd95", "asd"), in the unit of spacing.

    Returns:
        {metric: one value per class}; None where it is nan or inf, see the module's table.

    Raises:
        ValueError: Shapes differ, or the arrays do not hold integers.
        UserError: Spacings are not positive and finite.

    Example:
        >>> label_metrics(np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1]), 2, distances=False)["dice"]
        [0.6666666666666666, 0.8]
    """
    t, f = np.asarray(truth), np.asarray(prediction)
    if t.shape != f.shape or t.dtype.kind not in "iu" or f.dtype.kind not in "iu":
        raise ValueError(
            f"label_metrics: needs class numbers of one shape, got {t.dtype} {t.shape} and {f.dtype} {f.shape}"
        )
    counted: Any = True if ignored is None else t != ignored
    rows: dict[str, list[float | None]] = {name: [] for name in METRICS if distances or name not in ("hd95", "asd")}
    for label in range(classes):
        a, b = (t == label) & counted, (f == label) & counted
        overlaps = (dice, jaccard, conformity, volume_error)
        values = {measure.__name__: measure(a, b, quiet) for measure in overlaps}
        if distances:
            near = surface_distances(a, b, spacing)
            values |= (
                {"hd95": math.nan, "asd": math.nan}
                if not near[0].size
                else {
                    "hd95": max(float(np.percentile(d, 95)) for d in near),
                    "asd": float(np.concatenate(near).mean()),
                }
            )
        for name, row in rows.items():
            row.append(values[name] if math.isfinite(values[name]) else None)
    return rows


def quiet(message: str) -> None:
    """Ignore a message: a `warn` for tables in which None says it."""


def mean_over_labels(row: Sequence[float | None], background: int | None = 0) -> float | None:
    """Return the mean over labels where the metric is defined, without the background.

    Args:
        row: A value or None per class, as in `label_metrics`.
        background: Class number to leave out, or None.

    Returns:
        The mean, or None if no class is left.

    Example:
        >>> mean_over_labels([0.9, 0.5, None])
        0.5
    """
    kept = [v for label, v in enumerate(row) if v is not None and label != background]
    return float(np.mean(kept)) if kept else None
