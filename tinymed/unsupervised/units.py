"""Units of Boltzmann machines: their means, their samples, and sums over all their states.

Arrays may lie on the CPU or a GPU; random numbers are Philox's and the same on both.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import devices, random
from ..errors import UserError

Array = Any  # of NumPy or CuPy
MOST_STATES = 20  # binary units whose 2^n states are visited one by one
BLOCK = 1 << 14  # states held at a time


def array_module(a: Array) -> Any:
    """Return NumPy or CuPy, whichever an array is of."""
    return devices.table_on(devices.of(a)).xp


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)), without overflow."""
    xp = array_module(x)
    small = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1, small) / (1 + small)


def softplus(x: Array) -> Array:
    """Return log(1 + exp(x)), without overflow: minus the free energy of a binary unit of input x."""
    xp = array_module(x)
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x)))


def sample_bernoulli(mean: Array, generator: random.Generator) -> Array:
    """Return 1 with probability `mean` and 0 otherwise, elementwise; the generator's counter moves on by one."""
    seed, stream, step = generator.ticket()
    drawn = random.uniform(mean.size, seed, stream, step).reshape(mean.shape)
    return (devices.move(drawn, devices.of(mean)) < mean).astype(mean.dtype)


def sample_normal(mean: Array, generator: random.Generator) -> Array:
    """Return numbers drawn from normal distributions of these means and variance 1."""
    seed, stream, step = generator.ticket()
    drawn = random.normal(mean.size, seed, stream, step).reshape(mean.shape).astype(mean.dtype)
    return mean + devices.move(drawn, devices.of(mean))


def binary_states(units: int, start: int = 0, stop: int | None = None) -> np.ndarray:
    """Return the states of binary units as rows of 0 and 1: the digits of start, start + 1, ..., stop - 1.

    Args:
        units: Their number n.
        start: The first state.
        stop: One past the last, by default 2^n.

    Returns:
        float64 [stop - start, n].

    Example:
        >>> binary_states(2).tolist()
        [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    """
    numbers = np.arange(start, 2**units if stop is None else stop, dtype=np.int64)
    return (numbers[:, None] >> np.arange(units - 1, -1, -1) & 1).astype(np.float64)


def state_blocks(units: int, what: str) -> Sequence[tuple[int, int]]:
    """Return (start, stop) of blocks that cover all states of binary units.  Raises UserError for too many units."""
    if units > MOST_STATES:
        raise UserError(
            f"{what}: sums over 2^{units} states; it is exact for at most {MOST_STATES} units, so use "
            "pseudo_log_likelihood, or free energies of held-out against training images"
        )
    return [(start, min(start + BLOCK, 2**units)) for start in range(0, 2**units, BLOCK)]


def log_sum_exp(values: np.ndarray) -> float:
    """Return log(sum(exp(values))), without overflow."""
    top = float(values.max())
    return top + float(np.log(np.exp(values - top).sum()))
