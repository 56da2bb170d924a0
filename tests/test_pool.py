"""Pooling: the arguments it takes, ties and NaN, what it refuses.  Values and gradients in general: test_ops.py."""

import numpy as np
import pytest

import tinymed
from tinymed import dispatch
from tinymed.ops import adaptive_pool as A
from tinymed.ops import pool as P

torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")


def both(name, x, *args, **options):
    """(ours, PyTorch's): each (y, indices) or (y,), then the gradient of sum(y * w)."""
    ours_x, theirs_x = tinymed.tensor(x, requires_grad=True), torch.from_numpy(x).requires_grad_()
    results = []
    for value, fn, array in (
        (ours_x, getattr(A if "adaptive" in name else P, name), tinymed.tensor),
        (theirs_x, getattr(torch.nn.functional, name), torch.from_numpy),
    ):
        ys = fn(value, *args, **options)
        ys = ys if isinstance(ys, tuple) else (ys,)
        weight = np.random.default_rng(1).standard_normal(tuple(ys[0].shape)).astype(x.dtype)
        ys[0].backward(array(weight))
        results.append([np.asarray(y.detach().numpy()) for y in ys] + [np.asarray(value.grad.numpy())])
    return results


def agree(name, x, *args, **options):
    ours, theirs = both(name, x, *args, **options)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("kernel", "options"),
    [
        (2, {}),
        ((2, 2), {"stride": 2}),
        (3, {"stride": 2, "padding": 1}),
        ((2, 3), {"stride": (1, 2), "padding": (1, 0)}),
        (3, {"dilation": 2}),
        (2, {"ceil_mode": True}),
        (3, {"stride": 2, "padding": 1, "ceil_mode": True}),
        (1, {"stride": 3}),
    ],
)
@pytest.mark.parametrize("side", [7, 8])
def test_max_pool2d(rng, backend_name, kernel, options, side):
    agree("max_pool2d", rng.standard_normal((2, 5, side, 9), dtype=np.float32), kernel, return_indices=True, **options)


@pytest.mark.parametrize("kernel", [2, 3, (2, 1)])
def test_ties_go_to_the_first(backend_name, kernel):
    """After ReLU most windows are all zeros: which of the zeros gets the gradient is a rule, not chance."""
    agree("max_pool2d", np.zeros((2, 17, 6, 7), np.float32), kernel, return_indices=True)
    agree("max_pool2d", np.full((1, 3, 6, 6), -np.inf, np.float32), kernel, return_indices=True)


@pytest.mark.parametrize("kernel", [2, 3])
def test_nan_wins(rng, backend_name, kernel):
    """A NaN in a window is its maximum, wherever it stands and whatever its sign; windows without one are untouched."""
    x = rng.standard_normal((2, 33, 12, 12), dtype=np.float32)
    where = rng.random(x.shape) < 0.1
    x[where] = np.where(rng.random(where.sum()) < 0.5, np.float32(np.nan), -np.float32(np.nan))
    agree("max_pool2d", x, kernel, return_indices=True)


def test_windows_of_more_than_256_taps(rng, backend_name):
    """Their winners do not fit in a byte."""
    agree("max_pool2d", rng.standard_normal((1, 2, 40, 20), dtype=np.float32), (20, 15), stride=3, return_indices=True)


def test_one_byte_a_winner_is_kept(rng):
    """Not the image: a byte for each output element."""
    x = tinymed.tensor(rng.standard_normal((1, 2, 8, 8), dtype=np.float32), requires_grad=True)
    arrays = [s for s in P.max_pool2d(x, 2).op.saved if isinstance(s, np.ndarray)]
    assert [(a.dtype, a.size) for a in arrays] == [(np.uint8, 32)]


@pytest.mark.parametrize(
    ("kernel", "options"),
    [
        (2, {}),
        (3, {"stride": 2, "padding": 1}),
        (3, {"stride": 2, "padding": 1, "count_include_pad": False}),
        (3, {"stride": 2, "ceil_mode": True}),
        ((2, 3), {"padding": (1, 1), "ceil_mode": True}),
        (2, {"divisor_override": -3}),
        (3, {"stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False}),
        (20, {}),
    ],
)
def test_avg_pool2d(rng, backend_name, kernel, options):
    agree("avg_pool2d", rng.standard_normal((2, 3, 23, 24), dtype=np.float32), kernel, **options)


@pytest.mark.parametrize("kind", ["avg", "max"])
@pytest.mark.parametrize("size", [1, 3, (7, None), (None, 5), 9])
def test_adaptive(rng, backend_name, kind, size):
    agree(f"adaptive_{kind}_pool2d", rng.standard_normal((2, 17, 7, 6), dtype=np.float32), size)


@pytest.mark.parametrize("name", ["max_pool1d", "max_pool3d", "avg_pool1d", "avg_pool3d"])
def test_other_numbers_of_axes(rng, backend_name, name):
    space = (9,) if "1d" in name else (5, 6, 4)
    agree(name, rng.standard_normal((2, 3, *space), dtype=np.float32), 2)
    agree(name, rng.standard_normal((3, *space), dtype=np.float32), 3, stride=2, padding=1)


def test_asymmetric_padding(rng, backend_name):
    """Keras pads stride-2 windows of 3 at the end only; padding counts as -inf in a maximum."""
    x = rng.standard_normal((1, 2, 8, 8), dtype=np.float32)
    ours = P.max_pool2d(tinymed.tensor(x), 3, 2, ((0, 1), (0, 1))).numpy()
    padded = torch.nn.functional.pad(torch.from_numpy(x), (0, 1, 0, 1), value=-np.inf)
    np.testing.assert_array_equal(ours, torch.nn.functional.max_pool2d(padded, 3, 2).numpy())


def test_global_mean_of_a_large_map_keeps_its_digits(rng):
    x = rng.random((1, 3, 300, 300), dtype=np.float32) + 100
    with dispatch.use_backend("numba"):
        y = A.adaptive_avg_pool2d(tinymed.tensor(x), 1).numpy()
    np.testing.assert_allclose(y[..., 0, 0], x.astype(np.float64).mean((2, 3)), rtol=1e-6)


def zeros(*shape, dtype=np.float32):
    return tinymed.zeros(*shape, dtype=dtype)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: P.max_pool2d(zeros(1, 1, 2, 8), 3),
            r"max_pool2d: the window covers \[3, 3\] pixels, the input \[2, 8\]",
        ),
        (lambda: P.max_pool2d(zeros(1, 1, 8, 8), 2, padding=2), "at most half of the window"),
        (lambda: P.max_pool2d(zeros(1, 1, 8, 8), 0), "kernel_size is 0"),
        (lambda: P.max_pool2d(zeros(1, 1, 8, 8), (2, 2, 2)), "a tuple of 2"),
        (lambda: P.max_pool2d(zeros(8, 8), 2), r"it takes \(N, C, H, W\)"),
        (lambda: P.max_pool2d(zeros(1, 1, 8, 8, dtype=np.int64), 2), "floating-point"),
        (lambda: P.avg_pool2d(zeros(1, 1, 8, 8), 2, divisor_override=0), "divisor_override is 0"),
        (lambda: P.avg_pool3d(zeros(1, 1, 8, 8), 9), "avg_pool3d: the window covers"),
        (lambda: A.adaptive_avg_pool2d(zeros(1, 1, 8, 8), 0), "output_size is 0"),
        (lambda: A.adaptive_max_pool2d(zeros(1, 1, 8, 8), (1, 2, 3)), "a tuple of 2"),
    ],
)
def test_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
