"""Check an op: its gradient against finite differences, and every backend against the float64 reference.

    gradcheck(lambda x: tinymed.leaky_relu(x, 0.1), [x])         raises GradientError, never returns False
    compare_backends(lambda x: tinymed.relu(x), [x])             raises BackendMismatch

The gradient is contracted with a random cotangent: with a plain sum as the loss, softmax and batch norm have gradient 0
and a backward that returns zeros would pass.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import backend, random
from .tape import Node
from .tensor import Tensor

Function = Callable[..., Any]


class GradientError(AssertionError):
    """A backward disagrees with finite differences."""


class BackendMismatch(AssertionError):
    """A backend disagrees with the float64 reference."""


class Constant(np.ndarray):
    """A sample's array that is not differentiated: class weights, running statistics."""


class Draw:
    """Draws an op's arguments.  Built on `integer`; a subclass backs it by Hypothesis, so that failures shrink."""

    def __init__(self, seed: int = 0):
        self.seed, self.count = seed, 0

    def integer(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        self.count += 1
        return low + int(random.bits(1, self.seed, random.NOISE, self.count)[0]) % (high - low + 1)

    def choice(self, options: Sequence[Any]) -> Any:
        """One of the options; put the simplest first."""
        return options[self.integer(0, len(options) - 1)]

    def boolean(self) -> bool:
        """False or True."""
        return bool(self.integer(0, 1))

    def number(self, low: float, high: float) -> float:
        """A number of two or three digits from low to high."""
        return round(low + (high - low) * self.integer(0, 64) / 64, 3)

    def shape(self, min_axes: int = 0, max_axes: int = 4, min_side: int = 1, max_side: int = 5) -> tuple[int, ...]:
        """A shape."""
        return tuple(self.integer(min_side, max_side) for _ in range(self.integer(min_axes, max_axes)))

    def array(self, shape: Sequence[int], low: float = -2.0, high: float = 2.0, avoid: Sequence[float] = (),
              margin: float = 0.02, distinct: bool = False, constant: bool = False) -> np.ndarray:  # fmt: skip
        """float64 numbers from low to high, none within `margin` of those to avoid (kinks); `distinct`: no ties."""
        size, seed = int(np.prod(shape, dtype=np.int64)), self.integer(0, 2**31 - 1)
        if distinct:
            order = random.permutation(size, seed, random.NOISE)
            a = low + (high - low) * (order + 0.5) / max(size, 1)
        else:
            a = low + (high - low) * random.uniform(size, seed, random.NOISE)
        for kink in avoid:
            near = np.abs(a - kink) < margin
            a = np.where(near, kink + np.where(a < kink, -margin, margin) * (1 + np.abs(a - kink) / margin), a)
        a = a.reshape(tuple(shape))
        return a.view(Constant) if constant else a

    def integers(self, shape: Sequence[int], low: int, high: int) -> np.ndarray:
        """An int64 array of numbers from low to high, both included."""
        size, seed = int(np.prod(shape, dtype=np.int64)), self.integer(0, 2**31 - 1)
        return (low + random.bits(size, seed, random.NOISE).astype(np.int64) % (high - low + 1)).reshape(tuple(shape))


def leaves(arguments: Sequence[Any], dtype: Any = np.float64) -> list[Any]:
    """Float arrays become tensors of this dtype that require a gradient (constants: that do not); the rest is copied."""
    result: list[Any] = []
    for a in arguments:
        if isinstance(a, Node):
            result.append(Tensor(a.data.astype(dtype) if a.data.dtype.kind == "f" else a.data.copy(), a.requires_grad))
        elif isinstance(a, np.ndarray) and a.dtype.kind in "fib":
            data = np.array(a, dtype if a.dtype.kind == "f" else a.dtype)
            result.append(Tensor(data, a.dtype.kind == "f" and not isinstance(a, Constant)))
        else:
            result.append(a.copy() if isinstance(a, np.ndarray) else a)
    return result


def outputs(result: Any) -> list[Tensor]:
    """The floating-point tensors among what a function returned."""
    many = result if isinstance(result, tuple | list) else (result,)
    return [t for t in many if isinstance(t, Node) and t.data.dtype.kind == "f"]


def cotangents(ys: Sequence[Tensor], seed: int) -> list[np.ndarray]:
    """A random weight for every output element: normal, in float64."""
    return [random.normal(y.data.size, seed, random.NOISE, i).reshape(y.shape) for i, y in enumerate(ys)]


def contract(ys: Sequence[Tensor], weights: Sequence[np.ndarray]) -> float:
    """sum over outputs of <weight, y>."""
    return float(sum((y.data.astype(np.float64) * w).sum() for y, w in zip(ys, weights, strict=True)))


def gradients(fn: Function, arguments: Sequence[Any], dtype: Any, seed: int) -> tuple[list[np.ndarray], list[Any]]:
    """(outputs, gradients of the float arguments) under a random cotangent."""
    inputs = leaves(arguments, dtype)
    ys = outputs(fn(*inputs))
    weights = cotangents(ys, seed)
    from .tape import walk

    on_tape = [(y, w.astype(dtype)) for y, w in zip(ys, weights, strict=True) if y.requires_grad]
    if on_tape:
        walk([y for y, _ in on_tape], [w for _, w in on_tape])
    grads = [None if i.grad is None else i.grad.data for i in inputs if isinstance(i, Node) and i.requires_grad]
    return [y.data for y in ys], grads


def gradcheck(fn: Function, inputs: Sequence[Any], *, eps: float = 1e-6, rtol: float = 1e-5, seed: int = 0,
              max_coordinates: int = 64) -> None:  # fmt: skip
    """Compare fn's gradients with central differences in float64, under a random cotangent; raise GradientError.

    inputs: arrays or tensors (float ones are differentiated) and other arguments of fn.  Checked along one random
    direction through all inputs, and at every coordinate of an input of at most max_coordinates elements.  The
    tolerance is relative to the size of the gradient, never absolute, so a small gradient cannot hide.
    """
    floats = [i for i, a in enumerate(leaves(inputs)) if isinstance(a, Node) and a.requires_grad]
    ys, grads = gradients(fn, inputs, np.float64, seed)
    if not ys or not floats:
        raise GradientError("gradcheck: the function has no floating-point output or no input to differentiate")
    base = [np.array(leaves(inputs)[i].data) for i in floats]
    weights = [random.normal(y.size, seed, random.NOISE, j).reshape(y.shape) for j, y in enumerate(ys)]

    def loss(shifts: Sequence[Any]) -> float:
        moved = leaves(inputs)
        for i, b, s in zip(floats, base, shifts, strict=True):
            moved[i] = Tensor(np.asarray(b + s), True)
        return contract(outputs(fn(*moved)), weights)

    directions = [random.normal(b.size, seed + 1, random.NOISE, j).reshape(b.shape) for j, b in enumerate(base)]
    numeric = (loss([eps * d for d in directions]) - loss([-eps * d for d in directions])) / (2 * eps)
    analytic = sum(float((g * d).sum()) for g, d in zip(grads, directions, strict=True) if g is not None)
    size = float(np.sqrt(sum(float((g**2).sum()) for g in grads if g is not None)))
    noise = 1e-9 * (1 + sum(np.abs(w * y).sum() for w, y in zip(weights, ys, strict=True)))
    if not abs(numeric - analytic) <= rtol * max(size, abs(numeric)) + noise:
        raise GradientError(f"gradcheck: along a random direction the difference quotient is {numeric:.9g}, "
                            f"backward gives {analytic:.9g} (gradient norm {size:.3g}, seed {seed})")  # fmt: skip
    for j, b in enumerate(base):
        if b.size <= max_coordinates:
            coordinates(loss, base, j, grads[j], eps, rtol, noise, floats[j])


def coordinates(loss: Callable[[Sequence[Any]], float], base: Sequence[np.ndarray], j: int, g: np.ndarray | None,
                eps: float, rtol: float, noise: float, argument: int) -> None:  # fmt: skip
    """Compare every partial derivative of one input."""
    numeric = np.zeros(base[j].shape)
    for where in np.ndindex(base[j].shape):
        shift = np.zeros(base[j].shape)
        shift[where] = eps
        around = [[shift * s if i == j else 0.0 for i in range(len(base))] for s in (1, -1)]
        numeric[where] = (loss(around[0]) - loss(around[1])) / (2 * eps)
    analytic = np.zeros(base[j].shape) if g is None else g
    if analytic.shape != numeric.shape:
        raise GradientError(f"gradcheck: argument {argument} has shape {numeric.shape}, its gradient {analytic.shape}")
    wrong = ~(np.abs(numeric - analytic) <= rtol * max(np.abs(numeric).max(initial=0), np.abs(analytic).max(initial=0)) + noise)
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise GradientError(f"gradcheck: argument {argument} at {list(where)}: the difference quotient is "
                            f"{numeric[where]:.9g}, backward gives {analytic[where]:.9g} "
                            f"({int(wrong.sum())} of {wrong.size} elements differ)")  # fmt: skip


def compare_backends(fn: Function, inputs: Sequence[Any], backends: Sequence[str] | None = None, *,
                     dtype: Any = np.float32, rtol: float | None = None, seed: int = 0) -> dict[str, float]:  # fmt: skip
    """Compare outputs and gradients on each backend with the float64 reference; raise BackendMismatch.

    Returns {backend: largest error relative to the largest value of the array it occurs in}.
    """
    rtol = rtol if rtol is not None else 2e-5 if dtype == np.float32 else 1e-11
    with backend.use_backend("numpy"):
        true = gradients(fn, inputs, np.float64, seed)
    errors: dict[str, float] = {}
    for name in backends or list(backend.BACKENDS):
        with backend.use_backend(name):
            ours = gradients(fn, inputs, dtype, seed)
        worst = 0.0
        for kind, a, b in zip(("output", "gradient"), ours, true, strict=True):
            for i, (x, y) in enumerate(zip(a, b, strict=True)):
                if (x is None) != (y is None) or (x is not None and x.shape != y.shape):
                    raise BackendMismatch(f"{name}: {kind} {i} is {describe(x)}, the reference's {describe(y)}")
                if x is None or x.size == 0:
                    continue
                error = relative_error(x, y)
                if not error <= rtol:
                    raise BackendMismatch(f"{name}: {kind} {i} of shape {list(x.shape)} is off by {error:.2e} of its "
                                          f"largest value; allowed {rtol:.0e}")  # fmt: skip
                worst = max(worst, error)
        errors[name] = worst
    return errors


def relative_error(x: np.ndarray, y: np.ndarray) -> float:
    """max |x - y| / max(|y|, 1e-3): infinite where one is not finite and the other is."""
    if not np.array_equal(np.isfinite(x), np.isfinite(y)):
        return float("inf")
    ok = np.isfinite(y)
    if not ok.any():
        return 0.0
    return float(np.abs(x[ok].astype(np.float64) - y[ok]).max() / max(np.abs(y[ok]).max(), 1e-3))


def describe(a: Any) -> str:
    """None or an array's shape."""
    return "absent" if a is None else f"of shape {list(a.shape)}"
