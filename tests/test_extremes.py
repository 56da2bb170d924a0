"""Functions of one tensor where numbers end: NaN, infinities, zeros of both signs, the largest and the smallest.

Every function of nn.functional that PyTorch has too, and that gives rows for rows, is found by its signature.
PyTorch is asked for four elements at a time: its vectors answer otherwise than its own formula of one element at a NaN,
so that what it says depends on where in memory a NaN lies.
"""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from conftest import USABLE, absence

import tinymed
from tinymed.nn import functional as F

ROW = 0.3, -0.7, 1.0  # beside the extreme: softmax and its kind see a whole row
OPTIONS = {"dim": 1, "training": False}  # given wherever a function takes them
DIVIDES = {"cumprod"}  # PyTorch's gradient is 0 / 0 beside an extreme; ours is the product of the others
FORMS: dict[str, list[dict[str, Any]]] = {  # and what has no default, or another branch than its default
    "threshold": [{"threshold": 0.5, "value": 3.0}, {"threshold": -1.0, "value": 0.0}],
    "leaky_relu": [{"negative_slope": -0.5}, {"negative_slope": 0.0}],
    "elu": [{"alpha": 0.0}, {"alpha": 0.7}],
    "celu": [{"alpha": 2.0}],
    "softplus": [{"beta": 2.0, "threshold": 6.0}],
    "gelu": [{"approximate": "tanh"}],
    "hardshrink": [{"lambd": 0.0}],
    "softshrink": [{"lambd": 0.0}],
    "prelu": [{"weight": 0.25}],
    "hardtanh": [{"min_val": 0.0, "max_val": 6.0}],
}


def theirs(name: str) -> Callable[..., Any] | None:
    """PyTorch's function of a name."""
    return getattr(torch.nn.functional, name, None) or getattr(torch, name, None)


def options(name: str) -> list[dict[str, Any]]:
    """The arguments besides the tensor that a function is called with; nothing if it needs others."""
    first, *rest = inspect.signature(getattr(F, name)).parameters.values()
    given = {p.name: OPTIONS[p.name] for p in rest if p.name in OPTIONS}
    asked = [p.name for p in rest if p.default is p.empty and p.name not in given]
    usual = [] if asked or first.name != "input" else [given]
    return usual + [given | form for form in FORMS.get(name, [])]


def differentiable(name: str, kwargs: dict[str, Any]) -> bool:
    """Whether both give rows for rows, and their gradient."""
    for lib, function in ((tinymed, getattr(F, name)), (torch, theirs(name))):
        try:
            y, _ = values_and_gradients(lib, function, np.ones((2, 4)), kwargs)
        except Exception:  # it takes other shapes, or has no gradient
            return False
        if y.ndim != 2 or len(y) != 2:
            return False
    return True


def found() -> list[Any]:
    """Every function and its arguments, as a parameter of a test."""
    functions = {n: f for n, f in sorted(vars(F).items()) if inspect.isfunction(f) and not n.endswith("_")}
    names = [n for n in functions if theirs(n) and n not in DIVIDES]
    calls = [(n, kwargs) for n in names if inspect.signature(getattr(F, n)).parameters for kwargs in options(n)]
    with tinymed.use_backend("numpy"):
        return [
            pytest.param(n, kwargs, id=" ".join([n, *(f"{k}={v}" for k, v in kwargs.items())]))
            for n, kwargs in calls
            if differentiable(n, kwargs)
        ]


def extremes(dtype: Any) -> np.ndarray:
    """Rows that begin with a number where something ends."""
    info = np.finfo(dtype)
    sizes = [np.inf, 0.0, info.max / 16, info.tiny, info.smallest_subnormal, 1e4, 200, 90, 20, 6, 3, 1, 0.5, 1e-5]
    first = np.array([np.nan, *(s * v for v in sizes for s in (1, -1))], dtype)
    return np.stack([first, *(np.full_like(first, v) for v in ROW)], 1)


def values_and_gradients(lib: Any, function: Any, x: np.ndarray, kwargs: dict[str, Any]) -> tuple[Any, Any]:
    """What a function gives, and the gradient of its sum."""
    t = lib.tensor(x, requires_grad=True)
    given = {k: lib.tensor(np.full(1, v, x.dtype)) if k == "weight" else v for k, v in kwargs.items()}
    y = function(t, **given)
    y.backward(lib.ones_like(y))
    return y.detach().numpy(), t.grad.numpy()


def row_by_row(name: str, x: np.ndarray, kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """PyTorch's values and gradients."""
    rows = [values_and_gradients(torch, theirs(name), x[i : i + 1], kwargs) for i in range(len(x))]
    return tuple(np.concatenate(parts) for parts in zip(*rows, strict=True))


FOUND = found()


def places() -> list[Any]:
    """Each backend and type of numbers; what must be compiled for this test alone is left to the full tests."""
    homes = [home for home in USABLE if not absence(home)]  # test_backend.py says why others are absent
    cases = [(home, dtype) for home in homes for dtype in ("float32", "float64")]
    alone = [home == "loops" or (home == "numba" and dtype == "float64") for home, dtype in cases]
    return [
        pytest.param(*case, marks=[pytest.mark.full] if compiled else [])
        for case, compiled in zip(cases, alone, strict=True)
    ]


@pytest.mark.parametrize(("home", "dtype"), places())
@pytest.mark.parametrize(("name", "kwargs"), FOUND)
def test_extremes_are_pytorchs(name, kwargs, home, dtype):
    """In float32 also PyTorch's float64 is right, rounded: its GELU of infinity is NaN, and hardswish overflows."""
    x = extremes(dtype)
    tolerance = {"rtol": 2e-5, "atol": 1e-6} if dtype == "float32" else {"rtol": 1e-7, "atol": 1e-9}
    with np.errstate(all="ignore"), tinymed.use_backend(home):
        ours = values_and_gradients(tinymed, getattr(F, name), x, kwargs)
        same, wide = row_by_row(name, x, kwargs), row_by_row(name, x.astype(np.float64), kwargs)
        for what, o, s, w in zip(("value", "gradient"), ours, same, wide, strict=True):
            right = np.isclose(o, s, equal_nan=True, **tolerance)
            right |= np.isclose(o, w.astype(dtype), equal_nan=True, **tolerance)
            wrong = [f"{x[i]}: {o[i]}, PyTorch {s[i]}" for i in range(len(x)) if not right[i].all()]
            assert not wrong, f"{what} of {name} {kwargs}:\n" + "\n".join(wrong)


def test_the_activations_are_among_them():
    """Every activation of nn that PyTorch has too is one of these functions."""
    rooms = {c.__module__ for c in (tinymed.nn.ReLU, tinymed.nn.Sigmoid)}
    layers = {n for n, c in vars(tinymed.nn).items() if inspect.isclass(c) and c.__module__ in rooms}
    functions = {p.values[0].replace("_", "") for p in FOUND}
    assert len(layers) > 20
    assert not {n for n in layers if hasattr(torch.nn, n) and n.removesuffix("2d").lower() not in functions}
