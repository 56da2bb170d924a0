"""Several refinements in a row, as one line of text: what `tinymed evaluate --postprocess` takes.

threshold=T    of two classes: the second where its probability is at least T
grow=T         each region on to the pixels of its class's probability of at least T that hang together with it
largest[=N]    the N largest components of each class (1)
least=N        components of at least N pixels; with watershed, markers
fill[=N]       holes, of at most N pixels
objects        components are objects: the aggregated Jaccard index is measured
watershed[=T]  objects are flooded from where the probability of the inside is above T (0.5)
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ..data.components import components
from ..errors import UserError
from .dense_crf import CrfSettings, dense_crf
from .regions import fill_holes, grow, largest_components, remove_small
from .watershed import instances_of_classes

__all__ = ["Refinement", "parse_steps"]

Step = tuple[str, float | None]
SHARES = ("threshold", "grow", "watershed")  # take a probability
COUNTS = ("largest", "least", "fill")  # take pixels, or how many
OPTIONAL = ("largest", "fill", "watershed")  # may stand alone
OBJECTS = ("objects", "watershed")


def parse_steps(text: str) -> list[Step]:
    """Return the steps that a text names, in its order.

    Args:
        text: Such as "largest,fill=50"; "" for none.

    Returns:
        (name, number or None) of each step.

    Raises:
        UserError: A step is unknown, or its number is missing or out of range.

    Example:
        >>> parse_steps("threshold=0.4,fill")
        [('threshold', 0.4), ('fill', None)]
    """
    steps: list[Step] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, number = part.partition("=")
        try:
            value = float(number) if equals else None
        except ValueError:
            value = np.nan
        lowest, highest = (0, 1) if name in SHARES else (1, 2**40)
        known = name in (*SHARES, *COUNTS, "objects")
        right = name in (*OPTIONAL, "objects") if value is None else name != "objects" and lowest <= value <= highest
        if not known or not right:
            raise UserError(
                f"--postprocess {part!r}: write steps such as largest, largest=2, fill, fill=50, least=20, grow=0.3, "
                "threshold=0.4, objects or watershed=0.7, with commas between them, or auto"
            )
        steps.append((name, value))
    return steps


@dataclass(frozen=True)
class Refinement:
    """A dense CRF on the probabilities, then steps on the classes; either may be missing.

    Args:
        steps: What `parse_steps` returns.
        crf: Weights and widths of the field, or None for no field.

    Example:
        >>> scores = np.array([[0.1, 0.6, 0.1, 0.9], [0.9, 0.4, 0.9, 0.1]])
        >>> Refinement(parse_steps("threshold=0.3")).labels(scores).tolist()
        [1, 1, 1, 0]
    """

    steps: list[Step] = field(default_factory=list)
    crf: CrfSettings | None = None

    @property
    def separates(self) -> bool:
        """Say whether objects are told apart and measured."""
        return any(name in OBJECTS for name, _ in self.steps)

    def text(self) -> str:
        """Return the steps as `parse_steps` reads them, or "none"."""
        return ",".join(name if value is None else f"{name}={value:g}" for name, value in self.steps) or "none"

    def scores(self, scores: np.ndarray, image: np.ndarray, spacing: tuple[float, ...] | None = None) -> np.ndarray:
        """Return probabilities [classes, *space], refined by the field where there is one.

        image: [*space, channels] as it was decoded; spacing: of its pixels.
        """
        return scores if self.crf is None else dense_crf(scores, visible(image), self.crf, spacing=spacing)

    def labels(self, scores: np.ndarray) -> np.ndarray:
        """Return class numbers uint8 [*space] of probabilities [classes, *space], the background being class 0."""
        labels: np.ndarray = scores.argmax(axis=0).astype(np.uint8)
        flooded = any(name == "watershed" for name, _ in self.steps)
        for name, value in self.steps:
            if name == "threshold":
                if len(scores) != 2:
                    raise UserError(f"--postprocess threshold: is of two classes, there are {len(scores)}")
                labels = np.asarray(scores[1] >= value, np.uint8)
            elif name not in OBJECTS and not (flooded and name == "least"):
                labels = each_class(labels, len(scores), change(name, value, scores))
        return labels

    def objects(self, labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Return the objects, int32 [*space]: components of what is not background, or basins of the watershed.

        Class 1 is the inside of objects; further classes are their boundary.
        """
        values = dict(self.steps)
        if "watershed" not in values:
            return components(labels > 0)
        sure, least = values["watershed"], values.get("least")
        return instances_of_classes(scores[1], labels > 0, int(least or 1), 0.5 if sure is None else sure)


def change(name: str, value: float | None, scores: np.ndarray) -> Callable[[int, np.ndarray], np.ndarray]:
    """Return what a step makes of the mask of a class, given its number."""
    count = None if value is None else int(value)
    steps: dict[str, Callable[[int, np.ndarray], np.ndarray]] = {
        "largest": lambda label, mask: largest_components(mask, count or 1),
        "least": lambda label, mask: remove_small(mask, count or 1),
        "fill": lambda label, mask: fill_holes(mask, count),
        "grow": lambda label, mask: grow(mask, scores[label] >= (value or 0)),
    }
    return steps[name]


def each_class(labels: np.ndarray, classes: int, change: Callable[[int, np.ndarray], np.ndarray]) -> np.ndarray:
    """Return class numbers with the mask of every class but the background changed; none takes another's pixels."""
    result = labels.copy()
    for label in range(1, classes):
        before = result == label
        after = change(label, before)
        result[before & ~after] = 0
        result[after & (result == 0)] = label
    return result


def visible(image: np.ndarray) -> np.ndarray:
    """Return an image on the scale of 0 to 255: 8 bits as they are, others from their 1st to their 99th percentile."""
    if image.dtype == np.uint8:
        return image
    axes = tuple(range(image.ndim - 1))
    low, high = (np.percentile(image, q, axis=axes) for q in (1, 99))
    return np.asarray(np.clip((image - low) / np.maximum(high - low, 1e-12), 0, 1) * 255)
