"""Reductions: dim and keepdim forms, ties, empties, infinities and errors; formulas and gradients are in test_ops."""

import numpy as np
import pytest

import tinymed as tm

torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")

X = np.array([[[3, -1, 2], [0, 5, 5]], [[1, 1, 1], [-2, 4, 0]]])
DIMS = [None, 0, -1, (0, 2), (-1, 1, 0), []]
NAMES = ["sum", "mean", "var", "std", "amax", "amin", "any", "all", "logsumexp", "norm"]


def same(ours, theirs, rtol=1e-6):
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=rtol, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dim", DIMS, ids=str)
@pytest.mark.parametrize("keepdim", [False, True])
def test_dim_forms(name, dim, keepdim, backend_name):
    x, tx = tm.tensor(X.astype(np.float32)), torch.tensor(X.astype(np.float32))
    full = dim if dim not in (None, []) else (0, 1, 2)
    if name == "norm":
        same(tm.norm(x, 2, dim, keepdim), torch.linalg.vector_norm(tx, 2, full, keepdim))
    else:
        same(getattr(x, name)(dim, keepdim=keepdim), getattr(torch, name)(tx, full, keepdim=keepdim))


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.bool_, np.int64])
def test_integers(dtype, backend_name):
    a = np.abs(X).astype(dtype)
    x, tx = tm.tensor(a), torch.tensor(a)
    for dim in (None, 1, (0, 2)):
        same(x.sum(dim), tx.sum(dim))
    same(x.prod(1), tx.prod(1))
    same(x.cumsum(-1), tx.cumsum(-1))
    for name in ("mean", "var", "std", "logsumexp", "norm"):
        with pytest.raises(TypeError, match=f"{name}: needs a floating-point tensor"):
            getattr(x, name)(0) if name != "norm" else x.norm()
    same(x.mean(dtype=np.float32), tx.to(torch.float32).mean())


def test_correction():
    x, tx = tm.tensor(X.astype(np.float64)), torch.tensor(X.astype(np.float64))
    same(x.var(False), tx.var(False))
    same(x.var(0, False), tx.var(0, False))
    same(x.std(1, correction=0.5), tx.std(1, correction=0.5))
    assert np.isnan(tm.ones(1).var().item())
    with pytest.raises(ValueError, match="not both"):
        x.var(0, True, correction=1)


def test_std_of_equal_values_has_gradient_zero():
    x = tm.full((4,), 2.0, requires_grad=True)
    x.std().backward()
    assert x.grad.tolist() == [0.0] * 4


@pytest.mark.parametrize("name", ["max", "min"])
def test_extremes_and_ties(name, backend_name):
    x, tx = tm.tensor(X.astype(np.float32), requires_grad=True), torch.tensor(X.astype(np.float32), requires_grad=True)
    same(getattr(x, name)(), getattr(tx, name)())
    for dim in (0, 1, -1):
        ours, theirs = getattr(x, name)(dim), getattr(tx, name)(dim)
        same(ours.values, theirs.values)
        same(ours.indices, theirs.indices)
        same(getattr(tm, "arg" + name)(x, dim, keepdim=True), getattr(torch, "arg" + name)(tx, dim, keepdim=True))
    same(getattr(x, "arg" + name)(), getattr(tx, "arg" + name)())
    for f in (
        lambda t: getattr(t, name)(),
        lambda t: getattr(t, name)(-1).values.sum(),
        lambda t: getattr(t, "a" + name)((0, 2)).sum(),
    ):
        f(x).backward()
        f(tx).backward()
        same(x.grad, tx.grad)
    same(getattr(tm, name)(x, -x), getattr(torch, name)(tx, -tx))


def test_nan_is_the_extreme():
    x = tm.tensor([1.0, float("nan"), 3.0])
    assert np.isnan(x.max().item())
    assert x.argmax().item() == x.max(0).indices.item() == 1


def test_logsumexp_at_infinity():
    inf = float("inf")
    values = [[-inf, -inf], [0.0, -inf], [1000.0, 1000.0], [-1000.0, -1001.0]]
    x, tx = tm.tensor(values, requires_grad=True), torch.tensor(values)
    same(x.logsumexp(1), tx.logsumexp(1))
    x.logsumexp(1).sum().backward()
    assert np.isfinite(x.grad.numpy()).all()
    assert x.grad.tolist()[0] == [0.0, 0.0]


def test_gradients_of_logsumexp_at_nan_and_infinity():
    inf, nan = float("inf"), float("nan")
    values = [[inf, 0.0, 1.0], [inf, inf, 0.0], [nan, 0.0, -inf], [inf, nan, 0.0], [2.0, 0.0, -inf]]
    x, tx = tm.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    x.logsumexp(1).sum().backward()
    tx.logsumexp(1).sum().backward()
    assert np.allclose(x.grad.numpy(), tx.grad.numpy(), equal_nan=True)


@pytest.mark.parametrize("p", [0, 1, 2, 3, 0.5, float("inf"), -float("inf"), "fro"])
def test_norms(p):
    values = [[3.0, -4.0, 0.0], [0.0, 0.0, 0.0], [2.0, 2.0, -2.0]]
    x, tx = tm.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    q = 2 if p == "fro" else p
    same(x.norm(p), torch.linalg.vector_norm(tx, q))
    if p not in (0, 0.5, -float("inf")):
        x.norm(p, 1).sum().backward()
        torch.linalg.vector_norm(tx, q, 1).sum().backward()
        same(x.grad, tx.grad)
    with pytest.raises(ValueError, match='"fro"'):
        x.norm("max")


def test_product_with_zeros():
    for values in ([2.0, 0.0, 3.0], [0.0, 0.0, 3.0], [1.0, 2.0, 4.0]):
        x, tx = tm.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
        x.prod().backward()
        tx.prod().backward()
        same(x.grad, tx.grad)


def test_empty():
    x, tx = tm.zeros(0, 3), torch.zeros(0, 3)
    for name in ("sum", "prod", "any", "all", "logsumexp"):
        same(getattr(x, name)(0), getattr(tx, name)(0))
    assert x.sum().item() == 0
    assert np.isnan(x.mean().item())
    assert x.amax(1).shape == (0,)
    for f in (lambda: x.max(), lambda: x.argmax(0), lambda: x.min(0)):
        with pytest.raises(IndexError, match="empty"):
            f()


def test_errors_name_the_op():
    x = tm.ones(2, 3)
    with pytest.raises(IndexError, match="sum: dim 2 is out of range; a tensor of 2 axes has dims -2 to 1"):
        x.sum(2)
    with pytest.raises(ValueError, match="twice"):
        x.mean((0, -2))
    with pytest.raises(TypeError, match="dim is an integer"):
        x.cumsum(None)


def test_a_scalar_has_dims_0_and_minus_1():
    x = tm.tensor(3.0)
    assert [x.sum(0).item(), x.amax(-1).item(), x.max(0).values.item(), x.argmin(0).item(), x.cumsum(0).item()] == [
        3,
        3,
        3,
        0,
        3,
    ]


@pytest.mark.parametrize(
    "shape", [(1000,), (37, 5), (3, 16, 7, 5), (2, 3, 4), (2, 7, 1100), (5, 1500), (9, 4500)], ids=str
)
def test_float32_sums_are_accumulated_wide(shape, rng):
    """Native sums, for any axes and memory order: as exact as a float64 sum rounded once."""
    a = (rng.normal(size=shape) + 100).astype(np.float32)
    image = np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1) if len(shape) == 4 else a
    with tm.use_backend("numba"):
        for axes in [None, *range(len(shape)), *([(0, 2, 3), (1, 2)] if len(shape) == 4 else [])]:
            for x in (a, image, np.asfortranarray(a)):
                ours = tm.from_numpy(x).sum(axes).numpy()
                np.testing.assert_allclose(ours, a.sum(axes, dtype=np.float64), rtol=1.2e-7)
    assert tm.dispatch.record("numba")["sum_forward"][0]


class TestNuclearNorm:
    """The sum of singular values, as torch.norm(x, "nuc")."""

    @pytest.mark.parametrize(
        ("shape", "dim"), [((4, 3), None), ((2, 3, 4), (0, 2)), ((2, 3, 4), (-1, 1)), ((0, 3), None)]
    )
    @pytest.mark.parametrize("keepdim", [False, True])
    def test_as_pytorch(self, backend_name, shape, dim, keepdim, rng):
        x = rng.standard_normal(shape).astype(np.float32)
        a, b = tm.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        ours, theirs = tm.norm(a, "nuc", dim, keepdim), torch.norm(b, "nuc", dim, keepdim)
        assert ours.shape == tuple(theirs.shape)
        np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=2e-6)
        ours.sum().backward()
        theirs.sum().backward()
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-4, atol=2e-6)

    def test_a_matrix_of_low_rank_has_the_smallest_subgradient(self, backend_name):
        x = tm.ones(3, 3, requires_grad=True)
        tm.norm(x, "nuc").backward()
        np.testing.assert_allclose(x.grad.numpy(), np.full((3, 3), 1 / 3), rtol=1e-6)

    def test_other_than_two_axes_are_refused(self):
        with pytest.raises(ValueError, match=r'p="nuc" takes two axes, got 3 of shape \[2, 2, 2\]'):
            tm.norm(tm.ones(2, 2, 2), "nuc")


ORDERS = [(0, 1, 2, 3), (0, 2, 3, 1), (3, 1, 0, 2)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["prod", "logsumexp", "cumprod"])
def test_large_lines_in_any_memory_order(name, dtype, rng):
    """On numba, forward and backward, beside float64 on the reference: where kernels of lines, and loops, serve."""
    shape = (5, 37, 20, 19)  # above dispatch.select.LARGE
    low, high = (0.9, 1.1) if name != "logsumexp" else (-40, 40)
    for order in ORDERS:
        a = rng.uniform(low, high, [shape[i] for i in order]).astype(dtype).transpose(np.argsort(order))
        for axes in (1, 3) if name.startswith("cum") else (1, 3, (0, 2), (0, 1, 2, 3)):
            if name == "prod" and isinstance(axes, tuple):
                continue
            values = a.copy(order="K")
            if name != "logsumexp":
                values[0, 3], values[1, :2, 4], values[2, 5, 6, 7] = 1, 0, -0.5
            sides = []
            for backend, kind in (("numba", dtype), ("numpy", np.float64)):
                with tm.use_backend(backend):
                    x = tm.tensor(values.astype(kind), requires_grad=True)
                    y = getattr(x, name)(axes)
                    (y * y).sum().backward()
                    sides += [y.detach().numpy(), x.grad.numpy()]
            digits = 3e-5 if dtype == np.float32 else 1e-10
            for ours, exact in zip(sides[:2], sides[2:], strict=True):
                np.testing.assert_allclose(ours, exact, rtol=digits, atol=digits * np.abs(exact).max())


def test_a_product_whose_parts_leave_the_range_of_float32(backend_name):
    """Divided by, not multiplied from both ends: what lies behind 1e30 is 1e-60, which float32 has not got."""
    values = np.tile(np.array([1e30, 1e30, 1e-30, 1e-30], np.float32), (1 << 15, 1))
    with tm.use_backend("numba"):
        x = tm.tensor(values, requires_grad=True)
        x.prod(1).sum().backward()
    np.testing.assert_allclose(x.grad.numpy()[0], [1e-30, 1e-30, 1e30, 1e30], rtol=1e-5)
