"""cross_entropy: of class numbers an op of loss.py, of class probabilities a composition of others."""

from ..annotations import Tensor
from .loss import IGNORED, CrossEntropy, check_classes, check_reduction, raw
from .loss_functions import soft_cross_entropy
from .reduction import torch_arguments
from .shape import reshape


@torch_arguments("input target weight size_average ignore_index reduce reduction label_smoothing")
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = IGNORED,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    weight_map: Tensor | None = None,
) -> Tensor:
    """Compute the softmax cross-entropy of scores: -log softmax(input)[target].

    The mean divides by the sum of the weights that count (for probabilities by the number of pixels), as PyTorch's
    does.

    Args:
        input: Scores (N, C), (N, C, *space) or (C,).
        target: Class numbers (N, *space), or class probabilities of the input's shape.
        weight: (C,), the weights of the classes, or None.
        ignore_index: A class number that does not count.
        reduction: "none" for a loss per element, "sum", or "mean".
        label_smoothing: The share of probability spread over all classes, from 0 to 1.
        weight_map: (N, *space), a weight of each pixel; PyTorch has no such argument.

    Returns:
        A tensor without axes; (N, *space) for reduction "none".

    Raises:
        ValueError: Shapes, label_smoothing or reduction do not fit.
        TypeError: Class numbers are not integers.
        IndexError: A target is not a class.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> scores = tinymed.tensor([[100.0, 0.0, 0.0], [0.0, 0.0, 100.0]])
        >>> F.cross_entropy(scores, tinymed.tensor([0, 2])).item()
        0.0
        >>> F.cross_entropy(scores, tinymed.tensor([1, 2]), reduction="none").tolist()
        [100.0, 0.0]
    """
    check_reduction("cross_entropy", reduction)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing is from 0 to 1, got {label_smoothing}")
    if target.array.dtype.kind == "f":
        return soft_cross_entropy(input, target, weight, reduction, label_smoothing, weight_map)
    if len(input.shape) == 1:
        one = cross_entropy(
            reshape(input, 1, -1),
            reshape(target, 1),
            weight,
            ignore_index=ignore_index,
            reduction=reduction,
            label_smoothing=label_smoothing,
        )
        return reshape(one, ()) if reduction == "none" else one
    check_classes("cross_entropy", input, target, weight, ignore_index)
    if weight_map is not None and weight_map.shape != target.shape:
        raise ValueError(f"cross_entropy: weight_map has shape {list(weight_map.shape)}, target {list(target.shape)}")
    return CrossEntropy.apply(
        input, target, raw(weight), raw(weight_map), int(ignore_index), float(label_smoothing), reduction
    )


__all__ = ["cross_entropy"]
