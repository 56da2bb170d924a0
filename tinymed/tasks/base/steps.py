"""The steps of a training: of one batch, and of several in the memory of one (gradient accumulation).

The gradient of a mean over N images is the mean, weighted by their sizes, of the gradients over parts of them:

    d/dw (1/N) sum_i l_i  =  sum_k (n_k / N) d/dw (1/n_k) sum_{i in part k} l_i

So a step of K batches is that of one large batch where the loss is a mean over images and nothing else looks across
images: batch norm takes its statistics of each batch by itself, and an overlap loss its overlap.  The K passes stand in
one step, so that capturing records them as one program, whose memory for intermediate values is used K times.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from ...tensor import Tensor
from ..inference.class_scores import forward_pass

Step = Callable[[Any, Any], tuple[Tensor, Any]]


def train_step(model: Any, optimizer: Any, loss: Callable[[Any, Any], Tensor], clip_norm: float | None) -> Step:
    """Return the step, (images, targets) -> (loss, outputs), which reads no value, so that it can be captured."""
    forward, update = forward_pass(model), update_step(model, optimizer, clip_norm)

    def step(images: Any, targets: Any) -> tuple[Tensor, Any]:
        optimizer.zero_grad()
        outputs = forward(images)
        value = loss(outputs, targets)
        value.backward()
        update()
        return value, outputs

    return step


def accumulated_step(model: Any, loss: Callable[[Any, Any], Tensor], update: Callable[[], None]) -> Step:
    """Return the step of a group, (images of each batch, targets of each) -> (loss over all images, outputs of each).

    Args:
        model: the network.
        loss: (outputs, targets) -> the mean over the images of a batch.
        update: clips the gradients and steps the optimiser.
    """
    forward = forward_pass(model)

    def step(images: Any, targets: Any) -> tuple[Tensor, Any]:
        model.zero_grad()
        sizes = [batch_size(batch) for batch in images]
        losses, outputs = [], []
        for batch, wanted, size in zip(images, targets, sizes, strict=True):
            answers = forward(batch)
            share = loss(answers, wanted) * (size / sum(sizes))
            share.backward()
            losses.append(share.detach())
            outputs.append(answers)
        update()
        total = losses[0]
        for share in losses[1:]:
            total = total + share
        return total, tuple(outputs)

    return step


def update_step(model: Any, optimizer: Any, clip_norm: float | None) -> Callable[[], None]:
    """Return the second half of a step: the gradients are clipped, the optimiser uses them."""

    def update() -> None:
        if clip_norm is not None:
            from ...optim import clip_grad_norm_

            clip_grad_norm_(model.parameters(), clip_norm)
        optimizer.step()

    return update


def batch_size(images: Any) -> int:
    """Return how many images a batch has; a tuple holds the inputs of a network that takes several."""
    first = images[0] if isinstance(images, tuple) else images
    return int(first.shape[0])


def grouped(batches: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Yield groups of `size` batches; the last one of an epoch may have fewer."""
    remaining = iter(batches)
    while group := list(islice(remaining, size)):
        yield group
