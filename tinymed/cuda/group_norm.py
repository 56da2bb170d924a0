"""Group, layer and local response normalisation, on the GPU: csrc/group_norm.cu."""

from math import prod
from typing import Any

from ..dispatch import kernel
from .reduce import rows_of, sums_work


def is_single(x: Any, *_: Any) -> bool:
    """Return whether an array is of float32, with no more axes than a launcher takes."""
    return bool(x.dtype.char == "f" and x.ndim <= 8)


def is_grouped(x: Any, *_: Any) -> bool:
    """Return whether these are images, of any number of axes of space, of at least a pixel."""
    return is_single(x) and bool(x.ndim >= 3 and 0 not in x.shape[1:])


@kernel(backend="csrc", image="y x", when=is_grouped)
def group_norm_forward(y: Any, mean: Any, rstd: Any, x: Any, weight: Any, bias: Any, groups: Any, eps: Any) -> None:
    """y = weight (x - mean) rstd + bias, moments of each group of channels of a sample; also mean and rstd."""


@kernel(backend="csrc", image="dx dy x", work=lambda dy, *_: [sums_work(2, *rows_of(dy))], when=is_grouped)
def group_norm_backward(
    dx: Any, dweight: Any, dbias: Any, partial: Any, dy: Any, x: Any, weight: Any, mean: Any, rstd: Any
) -> None:
    """dx = rstd (g - mean(g) - xhat mean(g xhat)), g = weight dy;  dweight = sum dy xhat;  dbias = sum dy."""


@kernel(backend="csrc", when=is_single)
def layer_norm_forward(y: Any, mean: Any, rstd: Any, x: Any, weight: Any, bias: Any, axes: Any, eps: Any) -> None:
    """y = weight (x - mean) rstd + bias, moments over the last axes; also mean and rstd."""


def rows_work(dy: Any, x: Any, weight: Any, mean: Any, rstd: Any, axes: int) -> list[Any]:
    """Return the workspace of two sums for each place of a row."""
    return [sums_work(2, mean.size, prod(x.shape[x.ndim - axes :]))]


@kernel(backend="csrc", work=rows_work, when=is_single)
def layer_norm_backward(
    dx: Any, dweight: Any, dbias: Any, partial: Any, dy: Any, x: Any, weight: Any, mean: Any, rstd: Any, axes: Any
) -> None:
    """dx = rstd (g - mean(g) - xhat mean(g xhat)), g = weight dy;  dweight = sum dy xhat;  dbias = sum dy."""


@kernel(backend="csrc", rows="y x", when=lambda x, *_: is_single(x) and x.ndim >= 2)
def local_response_norm_forward(y: Any, x: Any, size: Any, alpha: Any, beta: Any, k: Any) -> None:
    """y = x s^-beta, s = k + alpha / size times the sum of x^2 over the channels around."""


@kernel(
    backend="csrc",
    rows="dx dy x",
    work=lambda dy, *_: [(dy.size,), (dy.size,)],
    when=lambda dy, *_: is_single(dy) and dy.ndim >= 2,
)
def local_response_norm_backward(
    dx: Any, scale: Any, share: Any, dy: Any, x: Any, size: Any, alpha: Any, beta: Any, k: Any
) -> None:
    """dx = dy s^-beta - 2 alpha beta / size x sum(dy x s^(-beta - 1)), over the windows that hold the channel."""


# ------------------------------------------------------------------------------------------------ running statistics


@kernel(backend="csrc", composite=True, when=lambda x, *rest: is_single(x) and x.ndim >= 2)
def instance_norm_update(k: Any, x: Any, running_mean: Any, running_var: Any, momentum: float) -> Any:
    """Call follow_statistics with the means over the samples of each instance's mean and variance."""
    if not x.size:
        return ()
    space, samples = tuple(range(2, x.ndim)), float(x.shape[0])
    pixels = prod(x.shape[2:])
    mean = k.div(k.sum_forward(x, space), float(pixels))
    var = k.var_forward(x, space, 1 if pixels > 1 else 0)
    means = [k.div(k.sum_forward(v, (0,)), samples) for v in (mean, var)]
    return k.follow_statistics(running_mean, running_var, *means, momentum)


@kernel(backend="csrc", out=lambda *_: [], writes="running_mean running_var", flops=lambda mean, *_: 4 * mean.size)
def follow_statistics(running_mean: Any, running_var: Any, mean: Any, var: Any, rate: Any) -> None:
    """Move running means and variances to those given: running += rate (now - running)."""
