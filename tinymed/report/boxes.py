"""Boxes over images: what was found beside what is there."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .overlays import to_rgb
from .plots import COLOURS, new_figure, write_png

__all__ = ["BoxExample", "Boxes", "save_boxes"]


class Boxes(NamedTuple):
    """Boxes to draw.

    Attributes:
        boxes: [n, 4]: xmin, ymin, xmax, ymax in pixels.
        kinds: Their class numbers [n].
        scores: [n], or None of the truth.

    Example:
        >>> Boxes(np.array([[1, 1, 5, 5]]), np.array([0])).scores is None
        True
    """

    boxes: np.ndarray
    kinds: np.ndarray
    scores: np.ndarray | None = None


class BoxExample(NamedTuple):
    """An image with the boxes found.

    Attributes:
        image: [height, width, channels].
        truth: The boxes that are there, or None where they are unknown.
        found: The boxes found.
        title: What stands above.

    Example:
        >>> found = Boxes(np.array([[1, 1, 5, 5]]), np.array([0]))
        >>> BoxExample(np.zeros((8, 8, 1), np.uint8), None, found, "a").title
        'a'
    """

    image: np.ndarray
    truth: Boxes | None
    found: Boxes
    title: str


def save_boxes(examples: Sequence[BoxExample], classes: Sequence[str], path: str | Path, title: str = "") -> Path:
    """Draw one row per image: the truth where it is known, and what was found with its scores.

    Args:
        examples: The images, at least one.
        classes: Names in class order.
        path: The PNG to write, whole or not at all.
        title: What stands above the picture.

    Returns:
        The path.

    Example:
        >>> found = Boxes(np.array([[1, 1, 5, 5]]), np.array([0]))
        >>> example = BoxExample(np.zeros((8, 8, 1), np.uint8), None, found, "a")
        >>> save_boxes([example], ["cell"], "boxes.png").name
        'boxes.png'
    """
    from matplotlib.patches import Patch, Rectangle

    columns = 2 if any(example.truth is not None for example in examples) else 1
    figure = new_figure(4.6 * columns, 3.6 * len(examples) + 0.8)
    grid = figure.subplots(len(examples), columns, squeeze=False)
    for line, example in zip(grid, examples, strict=True):
        sides = [] if example.truth is None else [("truth", example.truth)]
        for axes, (name, drawn) in zip(line, [*sides, ("found", example.found)], strict=False):
            axes.imshow(to_rgb(example.image), interpolation="nearest")
            for i, (box, kind) in enumerate(zip(drawn.boxes, drawn.kinds, strict=True)):
                colour = COLOURS[(int(kind) + 1) % len(COLOURS)]
                width, height = box[2:] - box[:2]
                axes.add_patch(Rectangle(box[:2], width, height, fill=False, edgecolor=colour, linewidth=1.4))
                if drawn.scores is not None:
                    place, score = box[:2] + 2, f"{drawn.scores[i]:.2f}"
                    label = axes.text(*place, score, color="white", fontsize=6, va="top")
                    label.set_bbox({"facecolor": "black", "edgecolor": "none", "alpha": 0.6, "pad": 0.8})
            axes.set_title(f"{example.title}: {name}" if name == "truth" or columns == 1 else name, fontsize=8)
        for axes in line:
            axes.axis("off")
    patches = [Patch(color=COLOURS[(k + 1) % len(COLOURS)], label=name) for k, name in enumerate(classes)]
    figure.legend(handles=patches, loc="outside lower center", ncols=min(len(patches), 5), frameon=False)
    if title:
        figure.suptitle(title)
    return write_png(figure, path)
