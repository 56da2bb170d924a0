"""Check an op: its gradient against finite differences, and every backend against the float64 reference.

    gradcheck(lambda x: tinymed.leaky_relu(x, 0.1), [x])         raises GradientError, never returns False
    compare_backends(lambda x: tinymed.relu(x), [x])             raises BackendMismatch

The gradient is contracted with a random cotangent: with an unweighted sum as the loss, softmax and batch norm have
gradient 0 and a backward that returns zeros would pass.
"""

import functools
import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import devices, dispatch, precision, random
from .draw import Constant
from .tape import Node, Op, walk
from .tensor import Tensor

__all__ = ["BackendMismatch", "GradientError", "compare_backends", "gradcheck", "same_bits", "tf32_bound"]

TOLERANCE = 2e-5  # of float32 in `exact`, relative to the largest value of an array
TF32_ROUNDING = 2.0**-11  # of an operand: tf32 keeps 10 bits behind the first

Function = Callable[..., Any]
Arrange = Callable[[np.ndarray], np.ndarray]


class GradientError(AssertionError):
    """A backward disagrees with finite differences.

    Example:
        >>> issubclass(GradientError, AssertionError)
        True
    """


class BackendMismatch(AssertionError):
    """A backend disagrees with the float64 reference.

    Example:
        >>> issubclass(BackendMismatch, AssertionError)
        True
    """


def leaves(arguments: Sequence[Any], dtype: Any = np.float64, arrange: Arrange = np.asarray) -> list[Any]:
    """Return float arrays as tensors of this dtype, which require a gradient unless constant, and copies of the rest.

    arrange: lays an array out in memory without changing its values.  All are put where the backend in use works.
    """
    result: list[Any] = []
    place = devices.default()
    for a in arguments:
        if isinstance(a, Node):
            values = devices.move(a.array, "cpu")
            a = values if a.requires_grad else values.view(Constant)
        if isinstance(a, np.ndarray) and a.dtype.kind in "fib":
            data = arrange(np.array(a, dtype if a.dtype.kind == "f" else a.dtype, subok=False))
            result.append(Tensor(devices.move(data, place), a.dtype.kind == "f" and not isinstance(a, Constant)))
        else:
            result.append(devices.move(a.copy(), place) if isinstance(a, np.ndarray) else a)
    return result


def results(
    fn: Function,
    arguments: Sequence[Any],
    dtype: Any = np.float64,
    seed: int = 0,
    arrange: Arrange = np.asarray,
    cotangent: Arrange = np.asarray,
) -> tuple[list[Any], list[Any]]:
    """Return (outputs, gradients of the float arguments) of a function of tensors, under a random cotangent.

    arrange: lays arguments out in memory.  cotangent: changes the random cotangents.
    """
    inputs = leaves(arguments, dtype, arrange)
    ys = tensors(fn(*inputs))
    weights = [cotangent(w) for w in cotangents([y.array for y in ys], seed)]
    on_tape = [
        (y, devices.move(w.astype(y.dtype), y.device)) for y, w in zip(ys, weights, strict=True) if y.requires_grad
    ]
    if on_tape:
        walk([y for y, _ in on_tape], [w for _, w in on_tape])
    values = [i.grad for i in inputs if isinstance(i, Node) and i.requires_grad]
    grads = [None if g is None else devices.move(g.array, "cpu") for g in values]
    return [devices.move(y.array, "cpu") for y in ys], grads


def oracle_results(
    op: type[Op], arguments: Sequence[Any], dtype: Any = np.float64, seed: int = 0
) -> tuple[list[Any], list[Any]]:
    """Return what `results` gives for an op, computed by its oracle in PyTorch, which must be installed."""
    import torch

    inputs = oracle_inputs(arguments, dtype)
    result = oracle_function(op)(*inputs)
    ys = list(result) if isinstance(result, tuple | list) else [result]
    weights = cotangents([y.detach().numpy() for y in ys], seed)
    on_tape = [(y, torch.from_numpy(w).to(y.dtype)) for y, w in zip(ys, weights, strict=True) if y.requires_grad]
    if on_tape and op.backward is not None:
        torch.autograd.backward([y for y, _ in on_tape], [w for _, w in on_tape])
    leaf = [t for t in inputs if isinstance(t, torch.Tensor) and t.requires_grad]
    return [y.detach().numpy() for y in ys], [None if t.grad is None else t.grad.numpy() for t in leaf]


def oracle_inputs(arguments: Sequence[Any], dtype: Any) -> list[Any]:
    """Return arguments as PyTorch's tensors; float arrays that are not constants require a gradient."""
    import torch

    inputs: list[Any] = []
    for a in arguments:
        if isinstance(a, np.ndarray) and a.dtype.kind in "fib":
            data = np.array(a, dtype if a.dtype.kind == "f" else a.dtype, order="C", subok=False)
            inputs.append(torch.from_numpy(data).requires_grad_(a.dtype.kind == "f" and not isinstance(a, Constant)))
        else:
            inputs.append(a)
    return inputs


def oracle_function(op: type[Op]) -> Function:
    """Return the op's oracle as a function of PyTorch's tensors."""
    import torch

    if isinstance(op.oracle, str):
        module, _, name = op.oracle.rpartition(".")
        return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]
    return functools.partial(op.oracle, torch)


def tensors(result: Any) -> list[Tensor]:
    """Return the tensors among what a function returned."""
    return [t for t in (result if isinstance(result, tuple | list) else (result,)) if isinstance(t, Tensor)]


def cotangents(ys: Sequence[np.ndarray], seed: int) -> list[np.ndarray]:
    """Return a random weight for every output element: normal, in float64."""
    return [random.normal(y.size, seed, random.NOISE, i).reshape(y.shape) for i, y in enumerate(ys)]


def contract(ys: Sequence[Any], weights: Sequence[np.ndarray]) -> float:
    """Return the sum over the floating-point outputs of <weight, y>."""
    return float(sum((y.astype(np.float64) * w).sum() for y, w in zip(ys, weights, strict=True) if y.dtype.kind == "f"))


def gradcheck(
    fn: Function,
    inputs: Sequence[Any],
    *,
    eps: float = 1e-6,
    rtol: float = 1e-5,
    seed: int = 0,
    max_coordinates: int = 64,
) -> None:
    """Compare a function's gradients with central differences in float64, under a random cotangent.

    As `torch.autograd.gradcheck`, which has no random cotangent and an absolute tolerance.  Checked along one random
    direction through all inputs, and at every coordinate of a small input.  The tolerance is relative to the size of
    the gradient, never absolute, so a small gradient cannot hide.

    Args:
        fn: Function of tensors (and other arguments) to a tensor or several.
        inputs: Arrays or tensors (float ones are differentiated) and other arguments of fn.
        eps: Step of the differences.
        rtol: Tolerance relative to the size of the gradient.
        seed: Seed of the cotangent and of the direction.
        max_coordinates: Elements of an input up to which every coordinate is checked.

    Raises:
        GradientError: They disagree, or there is nothing to differentiate.

    Example:
        >>> gradcheck(lambda x: (x * x).sum(), [np.array([1.0, -2.0])])
        >>> gradcheck(lambda x: x.detach() * x, [np.array([1.0, -2.0])])
        Traceback (most recent call last):
        tinymed.check.GradientError: ...
    """
    floats = [i for i, a in enumerate(leaves(inputs)) if isinstance(a, Node) and a.requires_grad]
    ys, grads = results(fn, inputs, np.float64, seed)
    if not floats or not any(y.dtype.kind == "f" for y in ys):
        raise GradientError("gradcheck: the function has no floating-point output or no input to differentiate")
    base = [np.array(leaves(inputs)[i].array) for i in floats]
    weights = cotangents(ys, seed)

    def loss(shifts: Sequence[Any]) -> float:
        moved = leaves(inputs)
        for i, b, s in zip(floats, base, shifts, strict=True):
            moved[i] = Tensor(np.asarray(b + s), True)
        return contract([y.array for y in tensors(fn(*moved))], weights)

    directions = [random.normal(b.size, seed + 1, random.NOISE, j).reshape(b.shape) for j, b in enumerate(base)]
    numeric = (loss([eps * d for d in directions]) - loss([-eps * d for d in directions])) / (2 * eps)
    analytic = sum(float((g * d).sum()) for g, d in zip(grads, directions, strict=True) if g is not None)
    size = float(np.sqrt(sum(float((g**2).sum()) for g in grads if g is not None)))
    noise = 1e-9 * (1 + sum(np.abs(w * y).sum() for w, y in zip(weights, ys, strict=True) if y.dtype.kind == "f"))
    if not abs(numeric - analytic) <= rtol * max(size, abs(numeric)) + noise:
        wrong = []
        for j, (g, d) in enumerate(zip(grads, directions, strict=True)):  # one argument at a time
            alone = [eps * d if i == j else 0.0 for i in range(len(base))]
            slope = (loss(alone) - loss([-shift for shift in alone])) / (2 * eps)
            own = 0.0 if g is None else float((g * d).sum())
            norm = 0.0 if g is None else float(np.sqrt((g**2).sum()))
            if not abs(slope - own) <= rtol * max(norm, abs(slope)) + noise:
                wrong.append(f"argument {floats[j]}: the difference quotient is {slope:.9g}, backward gives {own:.9g}")
        raise GradientError(
            f"gradcheck: along a random direction the difference quotient is {numeric:.9g}, "
            f"backward gives {analytic:.9g} (gradient norm {size:.3g}, seed {seed}); {'; '.join(wrong) or 'in all'}"
        )
    for j, b in enumerate(base):
        if b.size <= max_coordinates:
            coordinates(loss, base, j, grads[j], eps, rtol, noise, floats[j])


def coordinates(
    loss: Callable[[Sequence[Any]], float],
    base: Sequence[np.ndarray],
    j: int,
    g: np.ndarray | None,
    eps: float,
    rtol: float,
    noise: float,
    argument: int,
) -> None:
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
    wrong = ~(
        np.abs(numeric - analytic)
        <= rtol * max(np.abs(numeric).max(initial=0), np.abs(analytic).max(initial=0)) + noise
    )
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise GradientError(
            f"gradcheck: argument {argument} at {list(where)}: the difference quotient is "
            f"{numeric[where]:.9g}, backward gives {analytic[where]:.9g} "
            f"({int(wrong.sum())} of {wrong.size} elements differ)"
        )


def compare_backends(
    fn: Function,
    inputs: Sequence[Any],
    backends: Sequence[str] | None = None,
    *,
    dtype: Any = np.float32,
    rtol: float | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Compare outputs and gradients on each backend with the float64 reference.

    Args:
        fn: Function of tensors (and other arguments) to a tensor or several.
        inputs: Arrays or tensors (float ones are differentiated) and other arguments of fn.
        backends: Names; by default all that work here.
        dtype: Of the backends' arguments.
        rtol: Largest error allowed, relative to the largest value of an array; 2e-5 for float32.
        seed: Seed of the cotangent.

    Returns:
        {backend: largest error relative to the largest value of the array it occurs in}.

    Raises:
        BackendMismatch: An error is larger.

    Example:
        >>> errors = compare_backends(tinymed.relu, [np.array([1.0, -2.0])], ["numpy"])
        >>> errors["numpy"] < 1e-6
        True
    """
    rtol = rtol if rtol is not None else TOLERANCE if dtype == np.float32 else 1e-11
    with dispatch.use_backend("numpy"):
        true = results(fn, inputs, np.float64, seed)
    errors: dict[str, float] = {}
    for name in backends or [b for b in dispatch.BACKENDS if not dispatch.absence(b)]:
        with dispatch.use_backend(name):
            ours = results(fn, inputs, dtype, seed)
        errors[name] = compare(ours, true, rtol, name)
    return errors


def tf32_bound(fn: Function, inputs: Sequence[Any], seed: int = 0) -> float:
    """Return the largest relative error that rounding operands to tf32 makes in the outputs or gradients of products.

    A sum of products x w of rounded operands is off by at most 2 u sum |x| |w|, u = 2^-11 (and u^2 more, of no
    weight).
    The sum of absolute products is fn itself on absolute values, contracted with absolute cotangents; the bound is
    relative to the largest value of each array, as errors are.

    Args:
        fn: A sum of products of its arguments, such as a convolution.
        inputs: Its arguments.
        seed: Of the cotangents, as in `results`.

    Returns:
        A relative error.

    Example:
        >>> 0 < tf32_bound(tinymed.matmul, [np.ones((2, 3)), np.ones((3, 2))]) < 0.01
        True
    """
    with dispatch.use_backend("numpy"):
        true = results(fn, inputs, np.float64, seed)
        absolute = results(fn, [absolute_value(a) for a in inputs], np.float64, seed, cotangent=np.abs)
    bound = 0.0
    for arrays, sizes in zip(true, absolute, strict=True):
        for value, size in zip(arrays, sizes, strict=True):
            if value is not None and size is not None and value.size and value.dtype.kind == "f":
                largest = max(float(np.abs(value).max()), 1e-3)
                bound = max(bound, 2 * TF32_ROUNDING * float(np.abs(size).max()) / largest)
    return bound


def same_bits(fn: Function, inputs: Sequence[Any], seed: int = 0) -> bool:
    """Say whether a function gives the same float32 numbers in `tf32` as in `exact`, on the backend in use.

    Args:
        fn: Function of tensors (and other arguments) to a tensor or several.
        inputs: Its arguments.
        seed: Of the cotangents.

    Returns:
        Whether outputs and gradients are equal to the bit.

    Example:
        >>> same_bits(tinymed.relu, [np.array([1.0, -2.0])])
        True
    """
    every = []
    for name in precision.FLOAT32:
        with precision.use_precision(name):
            every.append(results(fn, inputs, np.float32, seed))
    pairs = (pair for arrays in zip(*every, strict=True) for pair in zip(*arrays, strict=True))
    return all(a is b or (a is not None and b is not None and np.array_equal(a, b, equal_nan=True)) for a, b in pairs)


def absolute_value(a: Any) -> Any:
    """Return a float array without its signs, and anything else as it is."""
    return np.abs(a) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a


def compare(ours: tuple[list[Any], list[Any]], true: tuple[list[Any], list[Any]], rtol: float, what: str) -> float:
    """Return the largest relative error of outputs and gradients; raise BackendMismatch above rtol.

    Integers must be equal.
    """
    worst = 0.0
    for kind, a, b in zip(("output", "gradient"), ours, true, strict=True):
        if len(a) != len(b):
            raise BackendMismatch(f"{what}: {len(a)} {kind}s, expected {len(b)}")
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            if x is None or y is None:
                if np.any(x) or np.any(y):
                    raise BackendMismatch(f"{what}: {kind} {i} is {describe(x)}, expected {describe(y)}")
                continue
            if x.shape != y.shape:
                raise BackendMismatch(f"{what}: {kind} {i} is {describe(x)}, expected {describe(y)}")
            error = relative_error(x, y) if y.dtype.kind == "f" else 0.0 if np.array_equal(x, y) else float("inf")
            if not error <= rtol:
                raise BackendMismatch(
                    f"{what}: {kind} {i} of shape {list(x.shape)} is off by {error:.2e} of its "
                    f"largest value; allowed {rtol:.0e}"
                )
            worst = max(worst, error)
    return worst


def relative_error(x: np.ndarray, y: np.ndarray) -> float:
    """Return max |x - y| / max(|y|, 1e-3): infinite where one is not finite and the other is."""
    ok = np.isfinite(y)
    if not np.array_equal(np.isfinite(x), ok) or not np.array_equal(x[~ok], y[~ok], equal_nan=True):
        return float("inf")
    if not ok.any():
        return 0.0
    scale = max(np.abs(y[ok]).max(), 1e-3)
    return float(np.abs(x[ok].astype(np.float64) - y[ok]).max() / scale)


def describe(a: Any) -> str:
    """Return "absent", or an array's shape in words."""
    return "absent" if a is None else f"of shape {list(a.shape)}"
