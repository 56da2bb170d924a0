"""Making tensors: of one value, of steps, of random numbers.  Names, arguments and results are PyTorch's.

Sizes come one by one, as a tuple, or as size=; NumPy's integers are integers.  Random numbers are those of
`manual_seed`'s generator, or of a seed of their own (seed=); PyTorch's generator= is refused.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import random, tape
from .ops.axes import integer, is_integer
from .ops.axes import sizes as given_sizes
from .ops.cast import as_dtype
from .ops.inplace import below, no_generator
from .ops.promotion import result_type
from .tensor import Tensor, filled, made, tensor


def shape_of(name: str, sizes: Sequence[Any], size: Any) -> tuple[int, ...]:
    """A shape from sizes by position, or from size=."""
    if size is not None:
        if sizes:
            raise TypeError(f"{name}: give the sizes once, by position or as size=")
        sizes = (size,)
    shape = given_sizes(name, sizes)
    if min(shape, default=0) < 0:
        raise ValueError(f"{name}: sizes are at least 0, got {list(shape)}")
    return shape


# ------------------------------------------------------------------------------------------------ of one value


def zeros(
    *sizes: Any, size: Any = None, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of zeros, float32 unless dtype says otherwise."""
    return filled(shape_of("zeros", sizes, size), 0, dtype or np.float32, device, requires_grad)


def ones(
    *sizes: Any, size: Any = None, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of ones, float32 unless dtype says otherwise."""
    return filled(shape_of("ones", sizes, size), 1, dtype or np.float32, device, requires_grad)


def empty(
    *sizes: Any,
    size: Any = None,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """A tensor to be filled: of zeros, since memory as it comes would differ from run to run."""
    return filled(shape_of("empty", sizes, size), 0, dtype or np.float32, device, requires_grad)


def full(
    size: Any, fill_value: Any, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor filled with one value, by default of the value's dtype (a Python float's is float32)."""
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    return filled(shape_of("full", (size,), None), fill_value, dtype or result_type(fill_value), device, requires_grad)


def zeros_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Zeros in another tensor's shape and dtype, on its device."""
    return filled(input.shape, 0, dtype or input.dtype, device or input.device, requires_grad)


def ones_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Ones in another tensor's shape and dtype, on its device."""
    return filled(input.shape, 1, dtype or input.dtype, device or input.device, requires_grad)


def full_like(
    input: Tensor,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """One value in another tensor's shape and dtype, on its device."""
    return filled(input.shape, fill_value, dtype or input.dtype, device or input.device, requires_grad)


empty_like = zeros_like


def as_tensor(data: Any, dtype: Any = None, device: str | None = None) -> Tensor:
    """data as a tensor: itself, or on the memory of a NumPy array, where dtype and device allow; else a copy."""
    if isinstance(data, Tensor):
        moved: Tensor = data.to(dtype=dtype, device=device)
        return moved
    if (
        isinstance(data, np.ndarray)
        and data.dtype.kind in "buif"
        and (dtype is None or as_dtype("", dtype) == data.dtype)
    ):
        return made(data, device)
    return tensor(data, dtype, device)


asarray = as_tensor


def scalar_tensor(s: Any, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """A number as a float32 tensor without axes."""
    return filled((), s, dtype or np.float32, device, requires_grad)


def eye(
    n: int, m: int | None = None, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """The n x m matrix with 1 on its diagonal, 0 elsewhere; m is n unless given."""
    rows = integer("eye", "n", n)
    columns = rows if m is None else integer("eye", "m", m)
    if rows < 0 or columns < 0:
        raise ValueError(f"eye: sizes are at least 0, got {rows} and {columns}")
    return made(np.eye(rows, columns, dtype=as_dtype("eye", dtype or np.float32)), device, requires_grad)


# ------------------------------------------------------------------------------------------------- of equal steps


def arange(
    *limits: Any,
    start: Any = None,
    end: Any = None,
    step: Any = None,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """start (0), start + step, ... below end, for a negative step above it; computed in double, then cast.

    Integers give int64, a float anywhere float32.  ValueError for a step of 0 or one that leads away from end.
    """
    first, last, by = progression(limits, start, end, step)
    wanted = as_dtype("arange", dtype) if dtype is not None else result_type(first, last, by)
    if wanted.kind == "b":
        wanted = np.dtype(np.int64)
    if wanted.kind != "f" and dtype is not None:
        first, last, by = int(first), int(last), int(by)
    if by == 0:
        raise ValueError("arange: step must not be 0")
    if not all(map(math.isfinite, (first, last, by))):
        raise ValueError(f"arange: the range {first} to {last} by {by} has no end")
    if (last - first) * by < 0:
        raise ValueError(f"arange: from {first} to {last} leads away from steps of {by}")
    whole = all(isinstance(v, int) for v in (first, last, by))
    count = -((first - last) // by) if whole else math.ceil((float(last) - float(first)) / float(by))
    places = np.arange(max(count, 0), dtype=np.int64)
    values = first + places * by if whole else float(first) + places.astype(np.float64) * float(by)
    return made(np.asarray(values).astype(wanted), device, requires_grad)


def progression(limits: Sequence[Any], start: Any, end: Any, step: Any) -> tuple[Any, Any, Any]:
    """(start, end, step) as Python numbers, from arguments by position and by name."""
    if len(limits) > 3 or (len(limits) == 1 and end is not None and start is not None):
        raise TypeError(f"arange: takes (end), (start, end) or (start, end, step), got {len(limits)} numbers and names")
    given = list(limits)
    if len(given) == 1 and end is None:
        given = [0 if start is None else start, given[0]]
    elif not given:
        given = [0 if start is None else start, end]
    elif len(given) == 1:
        given = [given[0], end]
    by = given[2] if len(given) == 3 else 1 if step is None else step
    numbers = [v.item() if isinstance(v, Tensor | np.generic) else v for v in (*given[:2], by)]
    for v in numbers:
        if not isinstance(v, int | float):
            raise TypeError(f"arange: takes numbers, got {v!r}")
    first, last, by = (int(v) if isinstance(v, bool) else v for v in numbers)
    return first, last, by


def linspace(
    start: Any, end: Any, steps: int, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """`steps` numbers from start to end, both included, at equal distances."""
    first, last = (v.item() if isinstance(v, Tensor) else v for v in (start, end))
    count = integer("linspace", "steps", steps)
    if count < 0:
        raise ValueError(f"linspace: steps is at least 0, got {count}")
    wanted = as_dtype("linspace", dtype or np.float32)
    return made(evenly(float(first), float(last), count).astype(wanted), device, requires_grad)


def evenly(first: float, last: float, count: int) -> np.ndarray:
    """Numbers at equal distances in double, the second half counted from the end, so that both ends are exact."""
    places = np.arange(count)
    by = (last - first) / (count - 1) if count > 1 else 0.0
    return np.where(places < (count + 1) // 2, first + by * places, last - by * (count - 1 - places))


def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` powers of base, of exponents from start to end at equal distances."""
    first, last = (v.item() if isinstance(v, Tensor) else v for v in (start, end))
    count = integer("logspace", "steps", steps)
    if count < 0:
        raise ValueError(f"logspace: steps is at least 0, got {count}")
    wanted = as_dtype("logspace", dtype or np.float32)
    with np.errstate(all="ignore"):
        return made(
            np.power(float(base), evenly(float(first), float(last), count)).astype(wanted), device, requires_grad
        )


def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = np.int64, device: str | None = None) -> Tensor:
    """The places (2, count) of a matrix on and below a diagonal, row by row."""
    return made(np.stack(np.tril_indices(row, offset, col)).astype(as_dtype("tril_indices", dtype)), device)


def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = np.int64, device: str | None = None) -> Tensor:
    """The places (2, count) of a matrix on and above a diagonal, row by row."""
    return made(np.stack(np.triu_indices(row, offset, col)).astype(as_dtype("triu_indices", dtype)), device)


# ---------------------------------------------------------------------------------------------- of random numbers


def ticket(seed: int | None) -> tuple[int, int, int]:
    """What a draw is a function of: a seed of its own, or the next place of manual_seed's generator."""
    return (integer("random", "seed", seed), random.NOISE, 0) if seed is not None else random.init_generator.ticket()


def count_of(shape: Sequence[int]) -> int:
    """The number of elements of a shape."""
    return math.prod(shape)


def floating(name: str, dtype: Any) -> np.dtype[Any]:
    """A floating-point dtype, float32 by default."""
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
    """A tensor of random floating-point numbers of a shape."""
    values = numbers(count_of(shape), *ticket(seed)).astype(floating(name, dtype)).reshape(shape)
    return made(values, device, requires_grad)


def randn(
    *sizes: Any,
    size: Any = None,
    seed: int | None = None,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
    generator: Any = None,
) -> Tensor:
    """Standard normal numbers."""
    no_generator("randn", generator)
    return drawn("randn", random.normal, shape_of("randn", sizes, size), seed, dtype, device, requires_grad)


def rand(
    *sizes: Any,
    size: Any = None,
    seed: int | None = None,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
    generator: Any = None,
) -> Tensor:
    """Uniform numbers from 0 to 1."""
    no_generator("rand", generator)
    return drawn("rand", random.uniform, shape_of("rand", sizes, size), seed, dtype, device, requires_grad)


def randn_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Standard normal numbers in another tensor's shape and dtype, on its device."""
    return randn(
        size=input.shape, dtype=dtype or input.dtype, device=device or input.device, requires_grad=requires_grad
    )


def rand_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Uniform numbers from 0 to 1 in another tensor's shape and dtype, on its device."""
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
    """Normal numbers of a mean and a standard deviation, numbers (then with size) or tensors that broadcast."""
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
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
    generator: Any = None,
) -> Tensor:
    """Integers from low (0) to high - 1, each as likely: randint(high, size) or randint(low, high, size)."""
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
    """Integers from low (0) to high - 1 in another tensor's shape and dtype, on its device."""
    return randint(
        *limits, low=low, high=high, size=input.shape, dtype=dtype or input.dtype, device=device or input.device
    )


def randperm(
    n: int, *, seed: int | None = None, dtype: Any = None, device: str | None = None, generator: Any = None
) -> Tensor:
    """0 ... n - 1 in a random order."""
    no_generator("randperm", generator)
    count = integer("randperm", "n", n)
    if count < 0:
        raise ValueError(f"randperm: n is at least 0, got {count}")
    return made(random.permutation(count, *ticket(seed)).astype(as_dtype("randperm", dtype or np.int64)), device)


def bernoulli(input: Tensor, p: Any = None, *, generator: Any = None) -> Tensor:
    """1 with the probability that each element is (or with probability p), else 0."""
    found: Tensor = zeros_like(input).bernoulli_(input if p is None else p, generator=generator)
    return found


def multinomial(input: Tensor, num_samples: int, replacement: bool = False, *, generator: Any = None) -> Tensor:
    """Indices drawn by weights: (num_samples) of a vector, (rows, num_samples) of a matrix of weights."""
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


__all__ = [
    "arange",
    "as_tensor",
    "asarray",
    "bernoulli",
    "empty",
    "empty_like",
    "eye",
    "full",
    "full_like",
    "linspace",
    "logspace",
    "multinomial",
    "normal",
    "ones",
    "ones_like",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
    "scalar_tensor",
    "tril_indices",
    "triu_indices",
    "zeros",
    "zeros_like",
]
