"""Batch normalisation, and what all normalisations share: moments, and the update of running ones."""

import math
from typing import Any

from ..dispatch import Array, kernel
from ..tape import Op
from .promotion import floating


def per_channel(v: Any, ndim: int) -> Any:
    """Return a vector over channels, shaped to broadcast against (N, C, *space)."""
    return v.reshape((1, -1) + (1,) * (ndim - 2))


def over_batch(x: Array) -> tuple[int, ...]:
    """Return the axes of (N, C, *space) but the channels."""
    return (0, *range(2, x.ndim))


def moments(xp: Any, x: Array, axes: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Return (mean, x - mean, biased variance), axes kept.

    Two passes; the rounding error of the first mean is the mean of the deviations and is taken out, so a variance of 1
    beside a mean of 1e4 survives float32.
    """
    n = max(1, math.prod(x.shape[a] for a in axes))
    mean = x.sum(axes, keepdims=True) / n
    centred = x - mean
    error = centred.sum(axes, keepdims=True) / n
    centred = centred - error
    return mean + error, centred, (centred * centred).sum(axes, keepdims=True) / n


def affine(y: Array, weight: Any, bias: Any) -> Array:
    """Compute weight y + bias; either may be None."""
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


# ------------------------------------------------------------------------------------------------------ batch norm


def channel_stats(x: Array, *_: Any) -> list[tuple[int, ...]]:
    """Return the shapes of y, mean and rstd."""
    return [x.shape, (x.shape[1],), (x.shape[1],)]


def update_running(
    xp: Any,
    mean: Array,
    var: Array,
    n: int,
    running_mean: Any,
    running_var: Any,
    count: Any,
    momentum: float,
    corrected: bool,
    unbiased: bool,
) -> None:
    """Add rate (batch - running) to running, in place;  rate = momentum, or max(momentum, 1 / count) if corrected."""
    if n == 0:
        return
    rate: Any = momentum
    if count is not None:
        count += 1
        if corrected:
            rate = xp.maximum(momentum, 1 / count).astype(mean.dtype)
    if running_mean is not None:
        running_mean += rate * (mean - running_mean)
        running_var += rate * (var * (n / (n - 1) if unbiased and n > 1 else 1) - running_var)


@kernel(out=channel_stats, writes="running_mean running_var count", flops=lambda x, *_: 8 * x.size)
def batch_norm_forward(
    xp: Any,
    x: Array,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    count: Any,
    momentum: float,
    eps: float,
    corrected: bool,
    unbiased: bool,
) -> Any:
    """y = weight (x - mean) rstd + bias, moments of each channel; also mean, rstd; the running ones move on."""
    mean, centred, var = moments(xp, x, over_batch(x))
    rstd = 1 / xp.sqrt(var + eps)
    n = x.size // max(1, x.shape[1])
    update_running(
        xp, mean.reshape(-1), var.reshape(-1), n, running_mean, running_var, count, momentum, corrected, unbiased
    )
    w, b = (None if v is None else per_channel(v, x.ndim) for v in (weight, bias))
    return affine(centred * rstd, w, b), mean.reshape(-1), rstd.reshape(-1)


@kernel(out=channel_stats, flops=lambda x, *_: 2 * x.size)
def batch_norm_inference(xp: Any, x: Array, weight: Any, bias: Any, mean: Array, var: Array, eps: float) -> Any:
    """y = weight (x - mean) rstd + bias with the moments given, rstd = 1 / sqrt(var + eps); also mean, rstd."""
    rstd = 1 / xp.sqrt(var + eps)
    w, b = (None if v is None else per_channel(v, x.ndim) for v in (weight, bias))
    return affine((x - per_channel(mean, x.ndim)) * per_channel(rstd, x.ndim), w, b), mean.copy(), rstd


@kernel(out=lambda dy, *_: channel_stats(dy), flops=lambda dy, *_: 10 * dy.size)
def batch_norm_backward(xp: Any, dy: Array, x: Array, weight: Any, mean: Array, rstd: Array, training: bool) -> Any:
    """dx = weight rstd (dy - mean(dy) - xhat mean(dy xhat)), not training: weight rstd dy; dweight; dbias."""
    n, axes = max(1, x.size // max(1, x.shape[1])), over_batch(x)
    xhat = (x - per_channel(mean, x.ndim)) * per_channel(rstd, x.ndim)
    dbias, dweight = dy.sum(axes), (dy * xhat).sum(axes)
    scale = rstd if weight is None else rstd * weight
    if training:
        dy = dy - per_channel(dbias / n, x.ndim) - xhat * per_channel(dweight / n, x.ndim)
    return dy * per_channel(scale, x.ndim), dweight, dbias


class BatchNorm(Op):
    """y = weight xhat + bias, xhat = (x - mean) rstd, rstd = 1 / sqrt(var + eps), per channel.

    Training: mean and biased variance of the batch, through which the gradient flows:
    dx = weight rstd (dy - mean(dy) - xhat mean(dy xhat)).  Else the running ones: dx = weight rstd dy.
    dweight = sum(dy xhat), dbias = sum(dy).  The input is saved with mean and rstd, never xhat.
    Ioffe & Szegedy, ICML 2015, algorithms 1 and 2.
    """

    promotes = floating("batch_norm")

    def forward(
        self,
        x: Array,
        weight: Any,
        bias: Any,
        running_mean: Any,
        running_var: Any,
        count: Any,
        training: bool,
        momentum: float,
        eps: float,
        corrected: bool,
        unbiased: bool,
    ) -> Array:
        if training:
            y, mean, rstd = self.k.batch_norm_forward(
                x, weight, bias, running_mean, running_var, count, momentum, eps, corrected, unbiased
            )
        else:
            y, mean, rstd = self.k.batch_norm_inference(x, weight, bias, running_mean, running_var, eps)
        self.save(x, weight, mean, rstd, training)
        return y

    def backward(self, dy: Array) -> Any:
        dx, dweight, dbias = self.k.batch_norm_backward(dy, *self.saved)
        return dx, dweight, dbias, *[None] * 8

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        channels = draw.choice((3, 1, 2, 16, 33))
        x = draw.array((draw.integer(4, 7), channels, *draw.shape(0, 3, max_side=3 if channels > 3 else 4)), -3, 3)
        weight, bias = (draw.array((channels,)) if draw.integer(0, 3) else None for _ in range(2))
        mean, var = draw.array((channels,), constant=True), draw.array((channels,), 0.3, 2.0, constant=True)
        training = draw.boolean()
        if training and not draw.integer(0, 3):
            mean = var = None
        count = draw.integers(draw.choice(((), (1,))), 0, 12) if training and draw.boolean() else None
        rule = (count is not None and draw.boolean(), draw.boolean())
        return x, weight, bias, mean, var, count, training, draw.choice((0.1, 0.5)), draw.choice((1e-5, 1e-3)), *rule

    @staticmethod
    def oracle(
        torch: Any,
        x: Any,
        weight: Any,
        bias: Any,
        mean: Any,
        var: Any,
        count: Any,
        training: bool,
        momentum: float,
        eps: float,
        *_: Any,
    ) -> Any:
        mean, var = (None if v is None else v.clone() for v in (mean, var))
        return torch.nn.functional.batch_norm(x, mean, var, weight, bias, training, momentum, eps)
