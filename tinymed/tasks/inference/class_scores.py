"""A classifier over a whole set: its scores, its loss, and what an epoch's validation says of them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...data.device_batches import as_array, device_batches, device_of
from ...data.device_reading import read_late
from ...metrics.classification import evaluate_scores
from ...program import capture
from ...tape import no_grad
from ...tensor import Tensor
from ..heads.head import Head
from .mirrors import Axes, averaged

EPOCH_METRICS = ("accuracy", "auc", "sensitivity", "specificity")


def forward_pass(model: Any) -> Callable[[Any], Any]:
    """Return the model as a function of one argument: images, or a tuple of its inputs."""
    return lambda images: model(*images) if isinstance(images, tuple) else model(images)


@contextmanager
def sharing(model: Any, forward: Any) -> Iterator[None]:
    """Let what measures a network inside run its forward pass as it was captured before."""
    shared[id(model)] = forward
    try:
        yield
    finally:
        del shared[id(model)]


shared: dict[int, Any] = {}  # the captured forward pass of a network, by its id


def predict_scores(
    model: Any,
    loader: Any,
    head: Head,
    stop: Callable[[], bool] = lambda: False,
    forward: Any = None,
    empty: tuple[int, ...] | None = None,
    mirrors: Sequence[Axes] = (),
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return (scores [n, classes], labels [n, ...], mean loss) of a whole set in evaluation mode, in its order.

    Args:
        model: the network.
        loader: of the set, such as `tinymed.data.Loader`.
        head: what the outputs mean; the loss is the head's without class weights.
        stop: asked after each batch; when it says so, leave early with what there is.
        forward: the model, captured; by default that which is shared, or a new one, after batch norm has compared its
            statistics with a batch.
        empty: shape of the scores of no image; by default (0, classes).
        mirrors: axes of the mirrors of an image that are averaged with it, see `mirrors_of`.
    """
    model.eval()
    compared = forward is not None or not any(getattr(module, "unchecked", False) for module in model.modules())
    forward = averaged(forward or shared.get(id(model)) or capture(forward_pass(model), fallback=True), mirrors)
    loss, total, place = head.unweighted(), 0.0, device_of(model)
    scores, labels = [np.zeros(empty or (0, head.classes))], []

    def computed(compared: bool) -> Iterator[tuple[Any, Tensor, Any]]:
        for images, targets, classes, _ in device_batches(loader.epoch(0), head.targets, place):
            if not compared:
                forward_pass(model)(images)
                compared = True
            outputs = forward(images)
            yield outputs, loss(outputs, targets), classes

    with no_grad():
        for outputs, value, classes in read_late(computed(compared), place):
            total += value.item() * len(classes)
            scores.append(head.scores(as_array(outputs)))
            labels.append(classes)
            if stop():
                break
    truth = np.concatenate(labels) if labels else np.zeros(0, np.int64)
    return np.concatenate(scores), truth, total / max(len(truth), 1)


def measure_classes(trainer: Any) -> dict[str, Any]:
    """Return loss and EPOCH_METRICS of a trainer's classifier on its validation set; {} when it is told to stop."""
    loader: Any = trainer.val_loader
    scores, labels, loss = predict_scores(trainer.model, loader, trainer.loss, lambda: trainer.stop, trainer.forward)
    if trainer.stop:
        return {}
    classes = loader.dataset.classes
    result = evaluate_scores(scores, labels, classes, trainer.positive or classes[1], resamples=0)
    return {"loss": loss} | {name: result[name] for name in EPOCH_METRICS}
