"""Batch, layer, group and instance normalisation.

All subtract a mean, divide by a standard deviation and apply an affine map; they differ in the elements that share the
statistics:  batch: one channel of all samples;  layer: the last axes of one sample;  group: some channels of one
sample;  instance: one channel of one sample.

The gradient through the statistics is the same everywhere.  With xhat = (x - mean) rstd, g = dy weight and means taken
over the elements that share statistics:   dx = rstd (g - mean(g) - xhat mean(g xhat)).
"""

from collections.abc import Sequence
from typing import Any

from .. import devices
from ..annotations import Tensor
from ..dispatch import Array, kernel
from ..tape import Node, Op
from .axes import is_integer, sizes
from .batch_norm import BatchNorm, affine, channel_stats, moments, over_batch, per_channel, update_running
from .promotion import floating
from .shape import clone

# ------------------------------------------------------------------------------------------------------ layer norm


def layer_stats(x: Array, weight: Any, bias: Any, axes: int, eps: float) -> list[tuple[int, ...]]:
    """Return the shapes of y, mean and rstd."""
    outer = x.shape[: x.ndim - axes] + (1,) * axes
    return [x.shape, outer, outer]


@kernel(out=layer_stats, flops=lambda x, *_: 8 * x.size)
def layer_norm_forward(xp: Any, x: Array, weight: Any, bias: Any, axes: int, eps: float) -> Any:
    """y = weight (x - mean) rstd + bias, moments over the last `axes` axes; also mean, rstd (axes kept as 1)."""
    mean, centred, var = moments(xp, x, tuple(range(x.ndim - axes, x.ndim)))
    rstd = 1 / xp.sqrt(var + eps)
    return affine(centred * rstd, weight, bias), mean, rstd


@kernel(
    out=lambda dy, x, weight, mean, rstd, axes: [x.shape, x.shape[x.ndim - axes :], x.shape[x.ndim - axes :]],
    flops=lambda dy, *_: 10 * dy.size,
)
def layer_norm_backward(xp: Any, dy: Array, x: Array, weight: Any, mean: Array, rstd: Array, axes: int) -> Any:
    """dx = rstd (g - mean(g) - xhat mean(g xhat)), g = weight dy;  dweight = sum dy xhat;  dbias = sum dy."""
    outer, inner = tuple(range(x.ndim - axes)), tuple(range(x.ndim - axes, x.ndim))
    xhat = (x - mean) * rstd
    dweight, dbias = (dy * xhat).sum(outer), dy.sum(outer)
    return through_statistics(dy if weight is None else dy * weight, xhat, rstd, inner), dweight, dbias


def through_statistics(g: Array, xhat: Array, rstd: Array, axes: tuple[int, ...]) -> Array:
    """Compute rstd (g - mean(g) - xhat mean(g xhat)), means over the axes that share statistics."""
    n = max(1, xhat.size // max(1, rstd.size))
    return rstd * (g - g.sum(axes, keepdims=True) / n - xhat * ((g * xhat).sum(axes, keepdims=True) / n))


class LayerNorm(Op):
    """y = weight xhat + bias, xhat normalised over the last `axes` axes of each sample; dx as in the module's text.

    dweight, dbias: dy xhat and dy summed over the other axes.  Ba, Kiros & Hinton 2016.
    """

    promotes = floating("layer_norm")

    def forward(self, x: Array, weight: Any, bias: Any, axes: int, eps: float) -> Array:
        y, mean, rstd = self.k.layer_norm_forward(x, weight, bias, axes, eps)
        self.save(x, weight, mean, rstd, axes)
        return y

    def backward(self, dy: Array) -> Any:
        return *self.k.layer_norm_backward(dy, *self.saved), None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        shape, axes = (*draw.shape(0, 3, 0, 4), draw.integer(4, 7)), draw.integer(1, 2)
        axes = min(axes, len(shape))
        weight, bias = (draw.array(shape[-axes:]) if draw.integer(0, 3) else None for _ in range(2))
        return draw.array(shape, -3, 3), weight, bias, axes, draw.choice((1e-5, 1e-3))

    @staticmethod
    def oracle(torch: Any, x: Any, weight: Any, bias: Any, axes: int, eps: float) -> Any:
        return torch.nn.functional.layer_norm(x, x.shape[x.ndim - axes :], weight, bias, eps)


# ------------------------------------------------------------------------------------------------------ group norm


def grouped(x: Array, groups: int) -> Array:
    """Reshape (N, C, *space) to (N, groups, the rest)."""
    return x.reshape(x.shape[0], groups, x.size // max(1, x.shape[0] * groups))


@kernel(
    out=lambda x, weight, bias, groups, eps: [x.shape, *[(x.shape[0], groups, 1)] * 2], flops=lambda x, *_: 8 * x.size
)
def group_norm_forward(xp: Any, x: Array, weight: Any, bias: Any, groups: int, eps: float) -> Any:
    """y = weight (x - mean) rstd + bias, moments of each group of channels; also mean, rstd: (N, groups, 1)."""
    mean, centred, var = moments(xp, grouped(x, groups), (2,))
    rstd = 1 / xp.sqrt(var + eps)
    w, b = (None if v is None else per_channel(v, x.ndim) for v in (weight, bias))
    return affine((centred * rstd).reshape(x.shape), w, b), mean, rstd


@kernel(out=lambda dy, *_: channel_stats(dy), flops=lambda dy, *_: 10 * dy.size)
def group_norm_backward(xp: Any, dy: Array, x: Array, weight: Any, mean: Array, rstd: Array) -> Any:
    """dx = rstd (g - mean(g) - xhat mean(g xhat)), g = weight dy;  dweight = sum dy xhat;  dbias = sum dy."""
    groups, axes = mean.shape[1], over_batch(x)
    xhat = (grouped(x, groups) - mean) * rstd
    g = dy if weight is None else dy * per_channel(weight, x.ndim)
    dx = through_statistics(grouped(g, groups), xhat, rstd, (2,)).reshape(x.shape)
    return dx, (dy * xhat.reshape(x.shape)).sum(axes), dy.sum(axes)


class GroupNorm(Op):
    """y = weight xhat + bias, xhat normalised over each of `groups` equal runs of channels of each sample.

    dx as in the module's text;  dweight = sum(dy xhat), dbias = sum(dy) per channel.  Wu & He, ECCV 2018, section 3;
    with as many groups as channels it is instance norm (Ulyanov et al. 2016).
    """

    promotes = floating("group_norm")

    def forward(self, x: Array, weight: Any, bias: Any, groups: int, eps: float) -> Array:
        y, mean, rstd = self.k.group_norm_forward(x, weight, bias, groups, eps)
        self.save(x, weight, mean, rstd)
        return y

    def backward(self, dy: Array) -> Any:
        return *self.k.group_norm_backward(dy, *self.saved), None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        groups, size = draw.integer(1, 3), draw.integer(1, 3)
        shape = (draw.integer(1, 3), groups * size, draw.integer(4, 7), *draw.shape(0, 2, 1, 4))
        weight, bias = (draw.array((groups * size,)) if draw.integer(0, 3) else None for _ in range(2))
        return draw.array(shape, -3, 3), weight, bias, groups, draw.choice((1e-5, 1e-3))

    @staticmethod
    def oracle(torch: Any, x: Any, weight: Any, bias: Any, groups: int, eps: float) -> Any:
        weight = torch.ones_like(bias) if weight is None and bias is not None else weight  # torch 2.13 fails without
        return torch.nn.functional.group_norm(x, groups, weight, bias, eps)


@kernel(out=lambda *_: [], writes="running_mean running_var", flops=lambda x, *_: 6 * x.size)
def instance_norm_update(xp: Any, x: Array, running_mean: Array, running_var: Array, momentum: float) -> Any:
    """Let running statistics follow the mean over samples of each instance's mean and unbiased variance."""
    space = tuple(range(2, x.ndim))
    mean, _, var = moments(xp, x, space)
    n, samples = x.size // max(1, mean.size), max(1, x.shape[0])
    mean, var = (v.sum(0).reshape(-1) / samples for v in (mean, var))
    update_running(xp, mean, var, n * min(1, x.shape[0]), running_mean, running_var, None, momentum, False, True)
    return ()


# ------------------------------------------------------------------------------------------------ public functions

RULES = ("torch", "keras", "corrected")


def batch_norm(
    input: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    statistics: str = "torch",
    count: Any = None,
) -> Tensor:
    """Normalise each channel by its mean and variance over the batch, then scale and shift it.

    y = weight (x - mean) / sqrt(var + eps) + bias. As `torch.nn.functional.batch_norm`, with two arguments more.

    Args:
        input: (N, C, *space), floating point; or (0,), which is returned as it is.
        running_mean, running_var: (C,), or both None: then the batch's moments are always used.
        weight, bias: (C,) or None.
        training: Use the mean and the biased variance of the batch, and update the running ones in place; otherwise
            use the running ones.
        momentum: The weight of the batch in an update (of the running value for "keras").
        eps: Added to the variance; positive in training.
        statistics: The rule of the update. "torch": running = (1 - momentum) running + momentum batch, with the
            unbiased variance. "keras": running = momentum running + (1 - momentum) batch, with the biased variance.
            "corrected": as "torch" with max(momentum, 1 / t) at update t, the arithmetic mean of the first batches, so
            that the initial 0 and 1 do not dominate a short training.
        count: An int64 tensor of one element, the number of updates so far; it is counted up in place, and "corrected"
            needs it.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        ValueError: Shapes do not fit, a channel has only one value in training, or statistics is unknown.

    Example:
        >>> import tinymed
        >>> x = tinymed.tensor([[1.0, 0.0], [3.0, 8.0]])
        >>> mean, var = tinymed.zeros(2), tinymed.ones(2)
        >>> tinymed.nn.functional.batch_norm(x, mean, var, training=True, momentum=0.5, eps=1e-5).shape
        (2, 2)
        >>> mean.tolist()
        [1.0, 2.0]

    Reference:
        Ioffe & Szegedy, ICML 2015, algorithms 1 and 2.
    """
    if statistics not in RULES:
        raise ValueError(f"batch_norm: statistics is one of {', '.join(RULES)}, got {statistics!r}")
    if statistics == "corrected" and training and running_mean is not None and count is None:
        raise ValueError('batch_norm: statistics="corrected" needs count, an int64 tensor that counts the updates')
    if input.shape == (0,):
        return clone(input)
    check_channels("batch_norm", input, weight=weight, bias=bias, running_mean=running_mean, running_var=running_var)
    if (running_mean is None) != (running_var is None):
        raise ValueError("batch_norm: running_mean and running_var are given together or not at all")
    shape, training = input.shape, training or running_mean is None
    if eps < 0 or (training and eps == 0):
        raise ValueError(f"batch_norm: eps must be positive in training and never negative, got {eps}")
    if training and input.array.size == shape[1] != 0:
        raise ValueError(
            f"batch_norm: training needs more than 1 value per channel, input is {list(shape)}; use a "
            "larger batch (drop the last incomplete one) or evaluate with running statistics"
        )
    if training:
        written(running_mean, running_var, count)
    rate = 1.0 - momentum if statistics == "keras" else momentum
    return BatchNorm.apply(
        input,
        weight,
        bias,
        running_mean,
        running_var,
        count,
        training,
        float(rate),
        float(eps),
        statistics == "corrected",
        statistics != "keras",
    )


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each sample by the mean and variance over its last axes.

    Args:
        input: (..., *normalized_shape), floating point.
        normalized_shape: The lengths of the last axes, or an int for one.
        weight, bias: Of shape normalized_shape, or None.
        eps: Added to the variance.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        ValueError: The input does not end in normalized_shape, or weight or bias has another shape.

    Example:
        >>> import tinymed
        >>> tinymed.layer_norm(tinymed.tensor([[1.0, 3.0], [5.0, 5.0]]), (2,), eps=3.0)[0].tolist()
        [-0.5, 0.5]

    Reference:
        Ba, Kiros & Hinton, arXiv 1607.06450, 2016.
    """
    shape = sizes("layer_norm", (normalized_shape,) if is_integer(normalized_shape) else (tuple(normalized_shape),))
    if not shape or input.shape[-len(shape) :] != shape:
        raise ValueError(f"layer_norm: input {list(input.shape)} does not end in normalized_shape {list(shape)}")
    for name, v in (("weight", weight), ("bias", bias)):
        if v is not None and v.shape != shape:
            raise ValueError(f"layer_norm: {name} has shape {list(v.shape)}, normalized_shape is {list(shape)}")
    return LayerNorm.apply(input, weight, bias, len(shape), float(eps))


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Normalise groups of neighbouring channels of each sample by their mean and variance.

    Args:
        input: (N, C, *space), floating point.
        num_groups: The number of groups; it divides C.
        weight, bias: (C,) or None.
        eps: Added to the variance.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        ValueError: num_groups does not divide C, a group has only one value, or shapes do not fit.

    Example:
        >>> import tinymed
        >>> tinymed.group_norm(tinymed.ones(2, 6, 4, 4), 3).abs().max().item()
        0.0

    Reference:
        Wu & He, ECCV 2018, section 3.
    """
    check_channels("group_norm", input, weight=weight, bias=bias)
    if num_groups < 1 or input.shape[1] % num_groups:
        raise ValueError(f"group_norm: {input.shape[1]} channels cannot be cut into {num_groups} equal groups")
    if input.array.size == num_groups:
        raise ValueError(
            f"group_norm: needs more than 1 value per group, input is {list(input.shape)}, num_groups {num_groups}"
        )
    return GroupNorm.apply(input, weight, bias, int(num_groups), float(eps))


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each channel of each sample by its mean and variance over space.

    Args:
        input: (N, C, *space), floating point.
        running_mean, running_var: (C,) or None; updated in place where they are given and use_input_stats holds.
        weight, bias: (C,) or None.
        use_input_stats: Use the input's own moments; otherwise the running ones, as batch_norm does in evaluation.
        momentum: The weight of the new moments in an update.
        eps: Added to the variance.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        ValueError: Shapes do not fit, there is only one element of space, or running moments are missing.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.instance_norm(tinymed.ones(2, 3, 4, 4)).abs().max().item()
        0.0

    Reference:
        Ulyanov et al., arXiv 1607.08022, 2016.
    """
    check_channels("instance_norm", input, weight=weight, bias=bias, running_mean=running_mean, running_var=running_var)
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise ValueError("instance_norm: use_input_stats=False needs running_mean and running_var")
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    n, channels = input.shape[:2]
    if input.array.size == n * channels != 0:
        raise ValueError(f"instance_norm: needs more than 1 spatial element, input is {list(input.shape)}")
    if running_mean is not None and running_var is not None:
        written(running_mean, running_var)
        k = devices.table_for("instance_norm", (input.array, running_mean.array, running_var.array))
        k.instance_norm_update(input.array, running_mean.array, running_var.array, float(momentum))
    return GroupNorm.apply(input, weight, bias, max(1, channels), float(eps))


def check_channels(name: str, input: Any, **vectors: Any) -> None:
    """Raise unless input is (N, C, ...) and each vector given is (C,)."""
    shape = input.shape
    if len(shape) < 2:
        raise ValueError(f"{name}: input must have at least 2 axes (N, C, ...), got {list(shape)}")
    for what, v in vectors.items():
        if v is not None and v.shape != shape[1:2]:
            raise ValueError(f"{name}: {what} has shape {list(v.shape)}, input has {shape[1]} channels")


def written(*tensors: Any) -> None:
    """Count a write in place to each tensor, so that a backward that saved it notices."""
    for t in tensors:
        if isinstance(t, Node):
            t.version.value += 1


__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm"]
