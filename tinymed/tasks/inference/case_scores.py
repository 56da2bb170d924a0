"""One segmented image or volume after the other: the network's scores, refined perhaps, and their measures."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...data.components import components
from ...data.device_batches import device_of
from ...data.device_reading import taken_late
from ...data.labels import IGNORED
from ...data.masks import MaskDataset
from ...data.organs import nothing_outside
from ...data.volumes import stem
from ...metrics.instances import aggregated_jaccard
from ...metrics.mask_cases import Row, measure_case
from ...metrics.membranes import rand_error, warping_error
from ...postprocess.steps import Refinement
from ...program import capture
from ...tape import no_grad
from ...tensor import Tensor
from ..heads.mask_head import MaskHead
from .class_scores import forward_pass
from .mask_predictor import MaskPredictor

MANY = 20  # images, from which on recording the network's program costs less than it saves


class ScoredCase(NamedTuple):
    """A case with what the network says of it.

    Attributes:
        name: Its file.
        image: [*space, channels] as decoded.
        mask: Class numbers [*space], IGNORED where they do not count.
        scores: Probabilities float32 [classes, *space].
        spacing: Distance between neighbouring pixels along each axis.
    """

    name: str
    image: np.ndarray
    mask: np.ndarray
    scores: np.ndarray
    spacing: tuple[float, ...]


def recorded(model: Any, dataset: MaskDataset) -> Any:
    """Return the model, captured where the images are enough to pay for it; else None."""
    return capture(forward_pass(model), fallback=True) if len(dataset) >= MANY else None


def scored_cases(predict: Callable[[np.ndarray, str], np.ndarray], dataset: MaskDataset) -> Iterator[ScoredCase]:
    """Yield the cases of a set with the scores that `predict` gives their images.

    A network's are read, on a GPU, when that of the next image is on its way.
    """

    def on_their_way() -> Iterator[Callable[[], ScoredCase]]:
        for index in range(len(dataset)):
            image, mask = dataset.pair(index)
            name = dataset.name(index)
            read = predict.begin(image, name) if isinstance(predict, MaskPredictor) else partial(predict, image, name)
            yield partial(scored, dataset, index, image, mask, read)

    return taken_late(on_their_way(), device_of(predict.model) if isinstance(predict, MaskPredictor) else "cpu")


def scored(
    dataset: MaskDataset, index: int, image: np.ndarray, mask: np.ndarray, read: Callable[[], np.ndarray]
) -> ScoredCase:
    """Return a case with the scores that were read."""
    name, scores = dataset.name(index), read()
    if dataset.organs is not None:
        scores = nothing_outside(scores, dataset.organs.region(stem(Path(name)), mask.shape))
    return ScoredCase(name, image, mask, scores, dataset.spacing(index))


def merge_boundary(labels: np.ndarray) -> np.ndarray:
    """Return class numbers with the boundary of objects, class 2, as part of them, class 1."""
    return np.where(labels == 2, 1, labels).astype(labels.dtype)


def measure_scored(
    case: ScoredCase,
    head: MaskHead,
    refine: Refinement,
    boundary: bool = False,
    distances: bool = False,
    regions: Mapping[str, Sequence[int]] | None = None,
) -> Row:
    """Return the measures of a case.

    Args:
        case: The scores.
        head: Of the network; its loss is that of the refined scores.
        refine: What is done before a pixel is given its class, and to the classes.
        boundary: Whether class 2 is the boundary of class 1; the two are measured as one.
        distances: Measure what takes time too: distances between surfaces, in the unit of the spacing, and of pictures
            of objects the warping error.
        regions: See `measure_case`.
    """
    scores = refine.scores(case.scores, case.image, case.spacing)
    with no_grad():
        loss = head(Tensor(head.logits(scores[None])), Tensor(case.mask[None].astype(np.int64))).item()
    labels, truth, classes = refine.labels(scores), case.mask, head.classes
    more: Row = {}
    if refine.separates:
        real = components((truth > 0) & (truth != IGNORED))
        found = np.where(truth == IGNORED, 0, refine.objects(labels, scores))
        more |= {"aji": aggregated_jaccard(real, found), "rand_error": rand_error(real, found)}
        if truth.ndim == 2 and distances:
            more["warping_error"] = warping_error(real, found)
    if boundary:
        labels, truth, classes = merge_boundary(labels), merge_boundary(truth), 2
    spacing = case.spacing if distances else None
    return measure_case(case.name, loss, truth, labels, classes, spacing, regions) | more
