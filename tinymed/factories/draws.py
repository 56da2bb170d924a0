"""Tensors of random numbers, from `manual_seed`'s generator or from a seed of their own (seed=)."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import random, tape
from ..annotations import DType
from ..ops.axes import integer, is_integer
from ..ops.cast import as_dtype
from ..ops.inplace import below, no_generator
from ..tensor import Tensor, made
from .values import shape_of, zeros_like


def ticket(seed: int | None) -> tuple[int, int, int]:
    """Return what a draw is a function of: a seed of its own, or the next place of manual_seed's generator."""
    return (integer("random", "seed", seed), random.NOISE, 0) if seed is not None else random.init_generator.ticket()


def count_of(shape: Sequence[int]) -> int:
    """Return the number of elements of a shape."""
    return math.prod(shape)


def floating(name: str, dtype: Any) -> np.dtype[Any]:
    """Return a floating-point dtype, float32 by default."""
    wanted = as_dtype(name, dtype or np.float32)
    if wanted.kind != "f":
        raise TypeError(f"{name}: draws floating-point numbers, not {wanted}; use randint")
    return wanted


def drawn(
    name: str,
    numbers: Callable[..., np.ndarray],
    shape: tuple[int, ...],
    seed: int | None,
    dtype: Any,
    device: str | None,
    requires_grad: bool,
) -> Tensor:
    """Draw a tensor of random floating-point numbers of a shape."""
    values = numbers(count_of(shape), *ticket(seed)).astype(floating(name, dtype)).reshape(shape)
    return made(values, device, requires_grad)


def randn(
    *sizes: Any,
    size: Any = None,
    seed: int | None = None,
    dtype: DType | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    generator: Any = None,
) -> Tensor:
    """Draw standard normal numbers.

    Args:
        sizes: The length of each axis, one by one or as a sequence.
        size: The same by name.
        seed: A seed for this draw alone; manual_seed's generator if None. PyTorch has no such argument.
        dtype: A floating-point dtype; float32 if None.
        device: "cpu" or "cuda"; where the backend in use works if None.
        requires_grad: Ask for a gradient.
        generator: Refused unless None.

    Returns:
        A tensor of that shape.

    Raises:
        TypeError: dtype is not floating-point.

    Example:
        >>> import tinymed
        >>> tinymed.equal(tinymed.randn(2, 3, seed=1), tinymed.randn(2, 3, seed=1))
        True

    Reference:
        Salmon et al., SC 2011, for the generator; Box & Muller, 1958, for the normal numbers.
    """
    no_generator("randn", generator)
    return drawn("randn", random.normal, shape_of("randn", sizes, size), seed, dtype, device, requires_grad)


def rand(
    *sizes: Any,
    size: Any = None,
    seed: int | None = None,
    dtype: DType | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    generator: Any = None,
) -> Tensor:
    """Draw uniform numbers from 0 to 1.

    Args:
        sizes: The length of each axis, one by one or as a sequence.
        size: The same by name.
        seed: A seed for this draw alone; manual_seed's generator if None. PyTorch has no such argument.
        dtype: A floating-point dtype; float32 if None.
        device: "cpu" or "cuda"; where the backend in use works if None.
        requires_grad: Ask for a gradient.
        generator: Refused unless None.

    Returns:
        A tensor of that shape.

    Raises:
        TypeError: dtype is not floating-point.

    Example:
        >>> import tinymed
        >>> x = tinymed.rand(100)
        >>> bool((x >= 0).all()), bool((x <= 1).all())
        (True, True)
    """
    no_generator("rand", generator)
    return drawn("rand", random.uniform, shape_of("rand", sizes, size), seed, dtype, device, requires_grad)


def randn_like(
    input: Tensor,
    *,
    dtype: DType | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Draw standard normal numbers in another tensor's shape.

    Args:
        input: The tensor.
        dtype, device: The input's if None.
        requires_grad: Ask for a gradient.
        memory_format: Accepted as PyTorch's and ignored.

    Returns:
        A tensor of the input's shape.

    Example:
        >>> import tinymed
        >>> tinymed.randn_like(tinymed.zeros(2, 3)).shape
        (2, 3)
    """
    return randn(
        size=input.shape, dtype=dtype or input.dtype, device=device or input.device, requires_grad=requires_grad
    )


def rand_like(
    input: Tensor,
    *,
    dtype: DType | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Draw uniform numbers from 0 to 1 in another tensor's shape.

    Args:
        input: The tensor.
        dtype, device: The input's if None.
        requires_grad: Ask for a gradient.
        memory_format: Accepted as PyTorch's and ignored.

    Returns:
        A tensor of the input's shape.

    Example:
        >>> import tinymed
        >>> tinymed.rand_like(tinymed.zeros(2, 3)).shape
        (2, 3)
    """
    return rand(
        size=input.shape, dtype=dtype or input.dtype, device=device or input.device, requires_grad=requires_grad
    )


def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Any = None,
    dtype: Any = None,
    device: str | None = None,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """Draw normal numbers of given means and standard deviations.

    Args:
        mean, std: Numbers, or tensors that broadcast with each other.
        size: The shape; needed where both are numbers.
        generator: Refused unless None.
        dtype, device: For two numbers; a tensor's own otherwise.
        layout, pin_memory: Accepted as PyTorch's and ignored.

    Returns:
        A tensor of that shape, or of the broadcast shape.

    Raises:
        TypeError: mean and std are numbers and size is missing.

    Example:
        >>> import tinymed
        >>> tinymed.normal(5.0, 0.0, (2,)).tolist()
        [5.0, 5.0]
    """
    no_generator("normal", generator)
    if isinstance(mean, Tensor) or isinstance(std, Tensor):
        first = mean if isinstance(mean, Tensor) else std
        shape = np.broadcast_shapes(*(tuple(v.shape) for v in (mean, std) if isinstance(v, Tensor)))
        drawn: Tensor = randn(size=shape, dtype=first.dtype, device=first.device) * std + mean
        return drawn
    if size is None:
        raise TypeError("normal: of two numbers it needs size")
    numbers: Tensor = randn(size=size, dtype=dtype, device=device) * std + mean
    return numbers


def randint(
    *given: Any,
    low: int = 0,
    high: int | None = None,
    size: Any = None,
    seed: int | None = None,
    dtype: DType | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    generator: Any = None,
) -> Tensor:
    """Draw integers from low to high - 1, each as likely.

    Args:
        given: (high, size) or (low, high, size); also given by name.
        low: The least integer.
        high: One more than the largest.
        size: The shape.
        seed: A seed for this draw alone; manual_seed's generator if None. PyTorch has no such argument.
        dtype: int64 if None.
        device: "cpu" or "cuda"; where the backend in use works if None.
        requires_grad: Ask for a gradient.
        generator: Refused unless None.

    Returns:
        A tensor of that shape.

    Raises:
        ValueError: low is not below high.
        TypeError: high or size is missing.

    Example:
        >>> import tinymed
        >>> x = tinymed.randint(3, 6, (50,))
        >>> sorted(set(x.tolist()))
        [3, 4, 5]
    """
    no_generator("randint", generator)
    numbers = [v for v in given if is_integer(v)]
    shapes = [v for v in given if not is_integer(v)]
    if shapes:
        size = shapes[0]
    if len(numbers) == 2:
        low, high = numbers
    elif len(numbers) == 1 and high is None:
        high = numbers[0]
    elif len(numbers) == 1:
        low = numbers[0]
    if high is None or size is None or len(shapes) > 1 or len(numbers) > 2:
        raise TypeError("randint: takes (high, size) or (low, high, size)")
    first, last, shape = (
        integer("randint", "low", low),
        integer("randint", "high", high),
        shape_of("randint", (size,), None),
    )
    if last <= first:
        raise ValueError(f"randint: low is below high, got {first} and {last}")
    draws = below(last - first, count_of(shape), ticket(seed)) + first
    return made(draws.astype(as_dtype("randint", dtype or np.int64)).reshape(shape), device, requires_grad)


def randint_like(
    input: Tensor, *limits: Any, low: int = 0, high: int | None = None, dtype: Any = None, device: str | None = None
) -> Tensor:
    """Draw integers from low to high - 1 in another tensor's shape.

    Args:
        input: The tensor.
        limits: (high) or (low, high); also given by name.
        low: The least integer.
        high: One more than the largest.
        dtype, device: The input's if None.

    Returns:
        A tensor of the input's shape.

    Raises:
        ValueError: low is not below high.

    Example:
        >>> import tinymed
        >>> tinymed.randint_like(tinymed.zeros(2, 3), 10).shape
        (2, 3)
    """
    return randint(
        *limits, low=low, high=high, size=input.shape, dtype=dtype or input.dtype, device=device or input.device
    )


def randperm(
    n: int, *, seed: int | None = None, dtype: DType | None = None, device: str | None = None, generator: Any = None
) -> Tensor:
    """Return 0 ... n - 1 in a random order.

    Args:
        n: How many.
        seed: A seed for this draw alone; manual_seed's generator if None. PyTorch has no such argument.
        dtype: int64 if None.
        device: "cpu" or "cuda"; where the backend in use works if None.
        generator: Refused unless None.

    Returns:
        A vector of n integers.

    Raises:
        ValueError: n is negative.

    Example:
        >>> import tinymed
        >>> sorted(tinymed.randperm(4).tolist())
        [0, 1, 2, 3]
    """
    no_generator("randperm", generator)
    count = integer("randperm", "n", n)
    if count < 0:
        raise ValueError(f"randperm: n is at least 0, got {count}")
    return made(random.permutation(count, *ticket(seed)).astype(as_dtype("randperm", dtype or np.int64)), device)


def bernoulli(input: Tensor, p: Any = None, *, generator: Any = None) -> Tensor:
    """Draw 1 with a probability, else 0.

    Args:
        input: The probability of each element, from 0 to 1.
        p: One probability for all elements instead, or None.
        generator: Refused unless None.

    Returns:
        A tensor of the input's shape and dtype.

    Example:
        >>> import tinymed
        >>> tinymed.bernoulli(tinymed.tensor([0.0, 1.0])).tolist()
        [0.0, 1.0]
    """
    found: Tensor = zeros_like(input).bernoulli_(input if p is None else p, generator=generator)
    return found


def multinomial(input: Tensor, num_samples: int, replacement: bool = False, *, generator: Any = None) -> Tensor:
    """Draw indices with probabilities in proportion to weights.

    Args:
        input: Weights of at least 0: a vector, or one row per draw in a matrix; floating point.
        num_samples: How many indices of each row.
        replacement: Let an index come more than once.
        generator: Refused unless None.

    Returns:
        An int64 tensor (num_samples,) or (rows, num_samples).

    Raises:
        ValueError: Shape or weights do not fit, or too few weights are above 0 for drawing without replacement.

    Example:
        >>> import tinymed
        >>> tinymed.multinomial(tinymed.tensor([0.0, 5.0, 0.0]), 3, replacement=True).tolist()
        [1, 1, 1]

    Reference:
        Efraimidis & Spirakis, Information Processing Letters 2006, for drawing without replacement.
    """
    no_generator("multinomial", generator)
    tape.host_read("multinomial")
    count = integer("multinomial", "num_samples", num_samples)
    weights: Any = np.atleast_2d(np.asarray(input.cpu().array, np.float64))
    if input.ndim not in (1, 2) or input.dtype.kind != "f" or count < 1:
        raise ValueError(
            f"multinomial: takes a vector or matrix of weights and a count, got {list(input.shape)}, {count}"
        )
    if not (np.isfinite(weights).all() and (weights >= 0).all() and (weights.sum(1) > 0).all()):
        raise ValueError("multinomial: weights are finite, at least 0, and not all 0 in a row")
    if not replacement and (np.count_nonzero(weights, axis=1) < count).any():
        raise ValueError(f"multinomial: {count} samples without replacement need as many weights above 0 in each row")
    if replacement:
        draws = random.uniform(weights.shape[0] * count, *ticket(None)).reshape(weights.shape[0], count)
        sums = np.cumsum(weights, 1) / weights.sum(1, keepdims=True)
        found: Any = np.stack([np.searchsorted(s, d, side="right") for s, d in zip(sums, draws, strict=True)])
        found = np.minimum(found, weights.shape[1] - 1)
    else:  # the largest of ln(u) / w: each order has the probability of drawing one after the other
        draws = random.uniform(weights.size, *ticket(None)).reshape(weights.shape)
        with np.errstate(divide="ignore"):
            found = np.argsort(-np.log(draws) / weights, 1, kind="stable")[:, :count]
    return made(found.astype(np.int64)[0] if input.ndim == 1 else found.astype(np.int64), input.device)
