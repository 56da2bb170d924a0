"""Kernels of csrc/ that no op enters: optimizers, clipping, memory orders and fills, checked and at awkward sizes."""

import numpy as np
import pytest
from conftest import absence
from hypothesis import given, settings
from hypothesis import strategies as st

import tinymed.optim.kernels  # noqa: F401  declares the references
from tinymed import dispatch
from tinymed.cuda import emulated

pytestmark = pytest.mark.skipif(bool(absence("emulated")), reason=f"backend emulated: {absence('emulated')}")
SIZES = st.sampled_from((0, 1, 3, 31, 257, 1024, 1031))


def both(name, *args):
    """What the emulator, checked, and the reference make of a kernel: outputs, and arguments written in place."""
    results = []
    for used in ("emulated", "numpy"):
        mine = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
        with emulated.checking():
            out = getattr(dispatch.table(used), name)(*mine)
        results.append([*(out if isinstance(out, tuple) else (out,)), *mine])
    return results


def assert_same(name, *args, tolerance=2e-6):
    for got, want in zip(*both(name, *args), strict=True):
        if isinstance(want, np.ndarray):
            assert got.dtype == want.dtype
            scale = max(float(np.nanmax(np.abs(want), initial=0)), 1e-30)
            np.testing.assert_allclose(got / scale, want / scale, rtol=0, atol=tolerance, err_msg=name)


def rates(count):
    return np.array([[0.1, 0.9, 0.5, 0.01, 1e-3, 0.2, 0.7, 0.02]] * count, np.float32) * np.arange(
        1, count + 1, dtype=np.float32
    ).reshape(-1, 1)


@settings(max_examples=15)
@given(st.data())
def test_steps(data):
    n, seed = data.draw(SIZES), data.draw(st.integers(0, 9))
    p, g, a, b, c = np.random.default_rng(seed).uniform(0.1, 1, (5, n)).astype(np.float32)
    four, eight = rates(1)[0, :4].copy(), rates(1)[0]
    flag, other = data.draw(st.booleans()), data.draw(st.booleans())
    assert_same("sgd_step", p, g, four)
    assert_same("momentum_step", p, a, g, four, flag)
    assert_same("adam_step", p, a, b, g, eight, flag)
    assert_same("adagrad_step", p, a, g, eight[:3].copy())
    empty = np.zeros(0, np.float32)
    mean, buffer = (a * 0.1 if flag else empty), (c if other else empty)
    assert_same("rmsprop_step", p, b + 1, mean, buffer, g, eight[:6].copy(), flag, other, tolerance=1e-5)


@settings(max_examples=15)
@given(st.data())
def test_flat_steps(data):
    """Parameters of awkward sizes in one buffer, with gaps between them that stay as they are."""
    sizes = data.draw(st.lists(st.sampled_from((1, 2, 63, 1024, 1500)), min_size=1, max_size=4))
    spans, at = [], 0
    for row, n in enumerate(reversed(sizes)):
        at += data.draw(st.sampled_from((0, 3, 2000)))
        spans.append((row, at, at + n))
        at += n
    n = at + data.draw(st.sampled_from((0, 5)))
    p, g, a, b = np.random.default_rng(at).uniform(0.1, 1, (4, n)).astype(np.float32)
    spans, eight = np.array(spans, np.int64), rates(len(spans))
    four = eight[:, :4].copy()
    assert_same("sgd_flat", p, g, four, spans)
    assert_same("momentum_flat", p, a, g, four, spans, data.draw(st.booleans()))
    assert_same("adam_flat", p, a, b, g, eight, spans, data.draw(st.booleans()))


@pytest.mark.parametrize("count", [0, 1, 5, 1031])
def test_numbers_of_a_step(count):
    t, active = np.arange(count) % 7, np.arange(count) % 2
    like = np.zeros(1, np.float32)
    assert_same("advance_steps", t, active)
    assert_same("sgd_rates", t, np.array([0.1, 0.9, 0.3, 0.01]), like)
    for decoupled in (False, True):
        assert_same("adam_rates", t, np.array([0.1, 0.9, 0.999, 1e-8, 0.01]), decoupled, like)
    assert_same("rmsprop_rates", np.array([0.1, 0.9, 1e-8, 0.2, 0.5]), like)
    assert_same("adagrad_rates", t, np.array([0.1, 0.2, 1e-8, 0.3]), like)


@settings(max_examples=15)
@given(st.lists(SIZES, min_size=1, max_size=4), st.sampled_from((1.0, 2.0, 3.0, float("inf"))))
def test_clipping(sizes, order):
    rng = np.random.default_rng(len(sizes))
    gradients = [rng.normal(size=n).astype(np.float32) for n in sizes]
    for g in gradients:
        assert_same("gradient_norm", g, order)
        assert_same("scale_gradient", g, np.array(0.3, np.float32))
        assert_same("clip_gradient", g, 0.4)
    norms = [np.array(abs(rng.normal()), np.float32) for _ in sizes]
    assert_same("total_norm", order, *norms)
    for norm in norms:
        assert_same("clip_coefficient", norm, 0.5)


def test_a_nan_comes_out_of_every_norm():
    g = np.ones(3000, np.float32)
    g[1234] = np.nan
    for order in (1.0, 2.0, float("inf")):
        assert np.isnan(both("gradient_norm", g, order)[0][0])


@settings(max_examples=25)
@given(st.data())
def test_memory_orders(data):
    """Any order of axes of dense, sliced, reversed and repeated arrays."""
    shape = data.draw(st.lists(st.sampled_from((0, 1, 2, 3, 33)), max_size=4).filter(lambda s: np.prod(s) < 9000))
    x = np.random.default_rng(0).normal(size=(*shape,)).astype(np.float32)
    x = x.transpose(data.draw(st.permutations(range(len(shape)))))
    for axis in range(x.ndim):
        how = data.draw(st.sampled_from(("", "", "slice", "reverse", "repeat")))
        if how == "slice":
            x = x.take(range(x.shape[axis]), axis)[(slice(None),) * axis + (slice(None, None, 2),)]
        elif how == "reverse":
            x = np.flip(x, axis)
        elif how == "repeat" and x.shape[axis] == 1:
            x = np.broadcast_to(x, (*x.shape[:axis], 5, *x.shape[axis + 1 :]))
    order = tuple(data.draw(st.permutations(range(x.ndim))))
    with emulated.checking():
        y = dispatch.table("emulated").canonical(x, order)
    assert np.array_equal(y, x)
    assert y.transpose(order).flags.c_contiguous


@pytest.mark.parametrize("shape", [(), (0,), (1,), (7, 33), (1031,)])
def test_filling_and_copying(shape):
    with emulated.checking():
        k = dispatch.table("emulated")
        assert np.array_equal(k.full(shape, np.float32, 0.25), np.full(shape, 0.25, np.float32))
        x = np.linspace(-3, 3, int(np.prod(shape)), dtype=np.float32).reshape(shape)
        assert np.array_equal(k.copy(x), x)


@settings(max_examples=15)
@given(st.data())
def test_steps_of_the_variants(data):
    n, seed = data.draw(SIZES), data.draw(st.integers(0, 9))
    p, a, b, c = np.random.default_rng(seed).uniform(0.1, 1, (4, n)).astype(np.float32)
    g = np.random.default_rng(seed + 1).uniform(-1, 1, n).astype(np.float32)
    g[::7], g[3::11] = 0, np.nan
    eight, flag = rates(1)[0], data.draw(st.booleans())
    assert_same("amsgrad_step", p, a, b, c, g, eight, flag)
    assert_same("nadam_step", p, a, b, g, eight, flag)
    assert_same("radam_step", p, a, b, g, eight * np.array([1, 1, 1, 1, 1, flag, 1, 1], np.float32), not flag)
    assert_same("adamax_step", p, a, b, g, eight[:6].copy())
    assert_same("adadelta_step", p, a, b, g, eight[:4].copy(), tolerance=1e-5)
    assert_same("asgd_step", p, a, g, eight[:4].copy())
    assert_same("rprop_step", p, a * np.sign(b - 0.5), c, g, np.array([0.5, 1.2, 1e-6, 0.7], np.float32))


@pytest.mark.parametrize("count", [0, 1, 5, 1031])
def test_numbers_of_a_step_of_the_variants(count):
    t, active, like = np.arange(count) % 9, np.arange(count) % 2, np.zeros(1, np.float32)
    product, eta, mu = np.random.default_rng(0).uniform(0.1, 1, (3, count))
    product[::3] = 1  # without a gradient so far
    hyper = np.array([0.1, 0.9, 0.999, 1e-8, 0.01, 4e-3])
    assert_same("adamax_rates", t, hyper[:5].copy(), like)
    assert_same("nadam_advance", t, active, hyper, product)
    for decoupled in (False, True):
        assert_same("nadam_rates", t, hyper, product, decoupled, like)
        assert_same("radam_rates", t, hyper[:5].copy(), decoupled, like)
    average = np.array([0.1, 1e-2, 0.75, 3.0, 0.01])
    assert_same("asgd_rates", t, average, eta, mu, like)
    assert_same("asgd_advance", t, active, average, eta, mu)
    assert_same("adadelta_rates", average[:4].copy(), like)
    assert_same("rprop_rates", average, like)
