"""Losses of segmentation that compare overlaps, composed of other ops: Dice, Jaccard, Tanimoto, Tversky.

With t = sum p g, the sums of probability p and truth g over an image's pixels, for each class:

    Dice      2 t / (sum p + sum g)             squared: sums of p^2 and g^2     Milletari et al. 2016, equation 2
    Jaccard   t / (sum p + sum g - t)           squared: Tanimoto
    Tversky   t / (t + a sum p (1 - g) + b sum (1 - p) g)                        Salehi et al. 2017, equation 2

`smooth` is added above and below, so that a class that is absent and not predicted scores 1 (loss 0).  The loss is 1 -
the index, averaged over classes by their weights and then over images.
"""

from typing import Any

from ..annotations import Tensor
from .cast import Cast
from .clamp import clamp
from .compare import ne
from .elementwise import add, div, mul, pow, sub
from .gather import one_hot
from .loss import IGNORED, check_reduction
from .reduce import mean, sum
from .shape import permute, reshape
from .unary import abs

__all__ = ["dice_loss", "focal_tversky_loss", "jaccard_loss", "tanimoto_loss", "tversky_loss"]

TINY = 1e-7  # keeps the power's gradient finite where nothing is wrong


def dice_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = IGNORED,
    reduction: str = "mean",
    *,
    squared: bool = False,
    smooth: float = 1e-5,
    batch: bool = False,
    weight_map: Tensor | None = None,
) -> Tensor:
    """Compute 1 - Dice of probabilities: 1 - (2 sum p g + smooth) / (sum p + sum g + smooth).

    PyTorch has no such function.

    Args:
        input: Probabilities p, (N, C, *space).
        target: The truth g: class numbers (N, *space), for C = 1 numbers 0 and 1, or probabilities of the input's
            shape.
        weight: (C,), the weights of the classes, or None.
        ignore_index: A class number that does not count.
        reduction: "none" for (N, C), or (C,) with batch; otherwise the "mean" or "sum" over images.
        squared: Take sums of squares in the denominator.
        smooth: Added above and below, so that an empty truth and an empty prediction agree.
        batch: Compute one index over all images instead of one per image.
        weight_map: (N, *space), a weight of each pixel, or None.

    Returns:
        A tensor without axes, or of the shape that reduction says.

    Raises:
        ValueError: Shapes or reduction do not fit.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> p = tinymed.tensor([[[1.0, 1.0, 0.0, 0.0]]])
        >>> F.dice_loss(p, tinymed.tensor([[1, 1, 0, 0]])).item()
        0.0
        >>> F.dice_loss(p, tinymed.tensor([[1, 0, 0, 1]]), smooth=0.0).item()
        0.5

    Reference:
        Milletari, Navab & Ahmadi, 3DV 2016.
    """
    t, p, g = overlaps("dice_loss", input, target, ignore_index, weight_map, squared, batch)
    index = div(add(mul(t, 2.0), smooth), add(add(p, g), smooth))
    return averaged("dice_loss", index, weight, reduction)


def jaccard_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = IGNORED,
    reduction: str = "mean",
    *,
    squared: bool = False,
    smooth: float = 1e-5,
    batch: bool = False,
    weight_map: Tensor | None = None,
) -> Tensor:
    """Compute 1 - Jaccard (intersection over union) of probabilities.

    1 - (sum p g + smooth) / (sum p + sum g - sum p g + smooth). PyTorch has no such function; the arguments are those
    of `dice_loss`.

    Args:
        input: Probabilities p, (N, C, *space).
        target: The truth g: class numbers (N, *space), for C = 1 numbers 0 and 1, or probabilities of the input's
            shape.
        weight: (C,), the weights of the classes, or None.
        ignore_index: A class number that does not count.
        reduction: "none" for (N, C), or (C,) with batch; otherwise the "mean" or "sum" over images.
        squared: Take sums of squares in the denominator.
        smooth: Added above and below.
        batch: Compute one index over all images instead of one per image.
        weight_map: (N, *space), a weight of each pixel, or None.

    Returns:
        A tensor without axes, or of the shape that reduction says.

    Raises:
        ValueError: Shapes or reduction do not fit.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> p = tinymed.tensor([[[1.0, 1.0, 0.0, 0.0]]])
        >>> F.jaccard_loss(p, tinymed.tensor([[1, 1, 0, 0]])).item()
        0.0

    Reference:
        Rahman & Wang, ISVC 2016.
    """
    t, p, g = overlaps("jaccard_loss", input, target, ignore_index, weight_map, squared, batch)
    index = div(add(t, smooth), add(sub(add(p, g), t), smooth))
    return averaged("jaccard_loss", index, weight, reduction)


def tanimoto_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = IGNORED,
    reduction: str = "mean",
    *,
    smooth: float = 1e-5,
    batch: bool = False,
    weight_map: Tensor | None = None,
) -> Tensor:
    """Compute 1 - t / (sum p^2 + sum g^2 - t), t = sum p g: Jaccard with squared sums, for grey truths too.

    PyTorch has no such function; the arguments are those of `dice_loss`.

    Args:
        input: Probabilities p, (N, C, *space).
        target: The truth g: class numbers (N, *space), or probabilities of the input's shape.
        weight: (C,), the weights of the classes, or None.
        ignore_index: A class number that does not count.
        reduction: "none", "mean" or "sum" over images.
        smooth: Added above and below.
        batch: Compute one index over all images instead of one per image.
        weight_map: (N, *space), a weight of each pixel, or None.

    Returns:
        A tensor without axes, or of the shape that reduction says.

    Raises:
        ValueError: Shapes or reduction do not fit.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> p = tinymed.tensor([[[0.5, 0.5]]])
        >>> F.tanimoto_loss(p, p).item()
        0.0
    """
    return jaccard_loss(
        input, target, weight, ignore_index, reduction, squared=True, smooth=smooth, batch=batch, weight_map=weight_map
    )


def tversky_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = IGNORED,
    reduction: str = "mean",
    *,
    alpha: float = 0.5,
    beta: float = 0.5,
    smooth: float = 1e-5,
    batch: bool = False,
    weight_map: Tensor | None = None,
) -> Tensor:
    """Compute 1 - Tversky's index: t / (t + alpha false positives + beta false negatives), t = sum p g.

    Both weights 1/2 give Dice, both 1 Jaccard. PyTorch has no such function; the other arguments are those of
    `dice_loss`.

    Args:
        input: Probabilities p, (N, C, *space).
        target: The truth g: class numbers (N, *space), or probabilities of the input's shape.
        weight: (C,), the weights of the classes, or None.
        ignore_index: A class number that does not count.
        reduction: "none", "mean" or "sum" over images.
        alpha: The weight of false positives.
        beta: The weight of false negatives.
        smooth: Added above and below.
        batch: Compute one index over all images instead of one per image.
        weight_map: (N, *space), a weight of each pixel, or None.

    Returns:
        A tensor without axes, or of the shape that reduction says.

    Raises:
        ValueError: Shapes or reduction do not fit.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> p = tinymed.tensor([[[1.0, 0.0]]])
        >>> F.tversky_loss(p, tinymed.tensor([[1, 0]]), alpha=0.3, beta=0.7).item()
        0.0

    Reference:
        Salehi, Erdogmus & Gholipour, MLMI 2017.
    """
    index = tversky_index("tversky_loss", input, target, ignore_index, alpha, beta, smooth, batch, weight_map)
    return averaged("tversky_loss", index, weight, reduction)


def focal_tversky_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = IGNORED,
    reduction: str = "mean",
    *,
    alpha: float = 0.25,
    beta: float = 0.75,
    gamma: float = 0.75,
    smooth: float = 1.0,
    batch: bool = True,
    weight_map: Tensor | None = None,
) -> Tensor:
    """Compute (1 - Tversky's index)^gamma, so that classes already found well count less or more.

    PyTorch has no such function; the other arguments are those of `tversky_loss`. The defaults are those of DC-UNet's
    code (Lou et al. 2021).

    Args:
        input: Probabilities p, (N, C, *space).
        target: The truth g: class numbers (N, *space), or probabilities of the input's shape.
        weight: (C,), the weights of the classes, or None.
        ignore_index: A class number that does not count.
        reduction: "none", "mean" or "sum" over images.
        alpha: The weight of false positives.
        beta: The weight of false negatives.
        gamma: The power.
        smooth: Added above and below.
        batch: Compute one index over all images instead of one per image.
        weight_map: (N, *space), a weight of each pixel, or None.

    Returns:
        A tensor without axes, or of the shape that reduction says.

    Raises:
        ValueError: Shapes or reduction do not fit.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> p = tinymed.tensor([[[1.0, 0.0]]])
        >>> F.focal_tversky_loss(p, tinymed.tensor([[1, 0]])).shape
        ()

    Reference:
        Abraham & Khan, ISBI 2019.
    """
    index = tversky_index("focal_tversky_loss", input, target, ignore_index, alpha, beta, smooth, batch, weight_map)
    return averaged("focal_tversky_loss", index, weight, reduction, gamma)


def tversky_index(
    name: str,
    input: Any,
    target: Any,
    ignore_index: int,
    alpha: float,
    beta: float,
    smooth: float,
    batch: bool,
    weight_map: Any,
) -> Any:
    """Compute t / (t + alpha (sum p - t) + beta (sum g - t)), smoothed, for each image and class."""
    t, p, g = overlaps(name, input, target, ignore_index, weight_map, False, batch)
    wrong = add(mul(sub(p, t), alpha), mul(sub(g, t), beta))
    return div(add(t, smooth), add(add(t, wrong), smooth))


def overlaps(
    name: str, input: Any, target: Any, ignore_index: int, weight_map: Any, squared: bool, batch: bool
) -> tuple[Any, Any, Any]:
    """Compute (sum p g, sum p, sum g) per image and class, (N, C), or (C,) over the batch; squared: of p^2, g^2."""
    truth, share = as_probabilities(name, input, target, ignore_index)
    if weight_map is not None:
        if tuple(weight_map.shape) != (input.shape[0], *input.shape[2:]):
            raise ValueError(
                f"{name}: weight_map has shape {list(weight_map.shape)}, input {list(input.shape)} takes "
                f"{[input.shape[0], *input.shape[2:]]}"
            )
        wide = reshape(weight_map, (input.shape[0], 1, *input.shape[2:]))
        share = wide if share is None else mul(share, wide)
    axes = tuple(a for a in range(len(input.shape)) if a > 1 or (batch and a == 0))
    both, p, g = mul(input, truth), mul(input, input) if squared else input, mul(truth, truth) if squared else truth
    t, p, g = (sum(a if share is None else mul(a, share), axes) for a in (both, p, g))
    return t, p, g


def as_probabilities(name: str, input: Any, target: Any, ignore_index: int) -> tuple[Any, Any]:
    """Return (truth of the input's shape and dtype, 1 for pixels that count and 0 for others; None: all count)."""
    if len(input.shape) < 2 or input.dtype.kind != "f":
        raise ValueError(f"{name}: input is {input.dtype} {list(input.shape)}; it takes probabilities (N, C, *space)")
    classes, pixels = input.shape[1], (input.shape[0], *input.shape[2:])
    if target.dtype.kind == "f":
        if target.shape != input.shape:
            raise ValueError(
                f"{name}: target has shape {list(target.shape)}, input {list(input.shape)}; probabilities "
                "must be of one shape, class numbers are integers"
            )
        return as_type(target, input), None
    if tuple(target.shape) != pixels:
        raise ValueError(
            f"{name}: input {list(input.shape)} takes class numbers {list(pixels)}, got {list(target.shape)}"
        )
    counts = ne(target, ignore_index)
    known = mul(target, as_type(counts, target))  # 0 where ignored
    share = as_type(reshape(counts, (pixels[0], 1, *pixels[1:])), input)
    if classes == 1:
        return as_type(reshape(ne(known, 0), tuple(input.shape)), input), share
    last = len(pixels)
    return as_type(permute(one_hot(known, classes), (0, last, *range(1, last))), input), share


def as_type(a: Any, like: Any) -> Any:
    """Return a in the dtype of another tensor."""
    return a if a.dtype == like.dtype else Cast.apply(a, like.array.dtype)


def averaged(name: str, index: Any, weight: Any, reduction: str, power: float = 1.0) -> Any:
    """Compute (1 - index)^power, its mean over classes by their weights, and its mean or sum over images."""
    check_reduction(name, reduction)
    loss = sub(1.0, index)
    if power != 1:
        loss = pow(clamp(loss, min=TINY), power)
    if weight is not None:
        if tuple(weight.shape) != tuple(index.shape[-1:]):
            raise ValueError(
                f"{name}: weight has shape {list(weight.shape)}; it takes {list(index.shape[-1:])}, one a class"
            )
        loss = mul(loss, div(weight, sum(abs(weight))))
        if reduction == "none":
            return loss
        loss = sum(loss, -1)
    elif reduction != "none":
        loss = mean(loss, -1)
    return loss if reduction == "none" else mean(loss) if reduction == "mean" else sum(loss)
