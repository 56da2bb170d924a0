"""Element-wise functions: argument forms, promotion, corners and errors; formulas and gradients are in test_ops."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinymed as tm

torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")

NUMBERS = [1, 2.5, -3, True, 0.0]
DTYPES = [np.float32, np.float64, np.int64, np.int32, np.uint8, np.bool_]
BINARY = ["add", "mul", "div", "maximum", "minimum", "eq", "lt", "ge", "logical_and"]


def both(a):
    """The same array in both libraries."""
    a = np.asarray(a)
    return tm.tensor(a), torch.from_numpy(np.array(a))


def same(ours, theirs):
    """Equal shape, dtype and values."""
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("a_type", DTYPES)
@pytest.mark.parametrize("b_type", DTYPES)
def test_two_tensors_promote_as_in_pytorch(name, a_type, b_type):
    a, ta = both(np.array([[0, 1, 3], [2, 1, 1]]).astype(a_type))
    b, tb = both(np.array([1, 1, 2]).astype(b_type))
    same(getattr(tm, name)(a, b), getattr(torch, name)(ta, tb))


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_operators_with_numbers(dtype, number):
    a, ta = both(np.array([1, 2, 0]).astype(dtype))
    for function in (
        lambda x: x + number,
        lambda x: number + x,
        lambda x: x * number,
        lambda x: number * x,
        lambda x: x / 2,
        lambda x: number / (x + 1.0),
        lambda x: x == number,
        lambda x: x < number,
        lambda x: x != number,
        lambda x: number >= x,
    ):
        same(function(a), function(ta))
    if dtype != np.bool_ and number is not True:
        for function in (lambda x: x - number, lambda x: number - x, lambda x: -x, lambda x: abs(x)):
            same(function(a), function(ta))


def test_numpy_on_either_side():
    a = tm.tensor([1.0, 2.0])
    for result in (a + np.ones(2, np.float32), np.ones(2, np.float32) + a, a + np.float64(1), np.float64(1) + a):
        assert isinstance(result, tm.Tensor)
        assert result.dtype == np.float32
        assert result.tolist() == [2.0, 3.0]
    assert isinstance(np.array([1.0, 5.0]) == a, tm.Tensor)
    assert (np.array([1.0, 5.0]) < a).tolist() == [False, False]


def test_what_is_no_operand():
    a = tm.tensor([1.0])
    assert (a == None) is False  # noqa: E711
    assert (a != "x") is True
    with pytest.raises(TypeError, match="unsupported operand"):
        a + "x"
    with pytest.raises(TypeError, match="add: takes tensors, NumPy arrays and numbers, got list"):
        tm.add(a, [1.0])
    with pytest.raises(ValueError, match=r"mul: shapes \[2, 3\] and \[4\] do not broadcast"):
        tm.ones(2, 3) * tm.ones(4)


@pytest.mark.parametrize("mode", ["floor", "trunc"])
@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8])
def test_rounded_division(mode, dtype):
    a, ta = both(np.array([7, -7, 6, 1, -1] if dtype != np.uint8 else [7, 9, 6, 1, 0]).astype(dtype))
    b, tb = both(np.array([2, 2, -3, 2, 2] if dtype != np.uint8 else [2, 4, 3, 2, 5]).astype(dtype))
    same(tm.div(a, b, rounding_mode=mode), torch.div(ta, tb, rounding_mode=mode))
    same(tm.div(a, 2, rounding_mode=mode), torch.div(ta, 2, rounding_mode=mode))
    same(a // b, ta // tb)
    with pytest.raises(ValueError, match="rounding_mode"):
        tm.div(a, b, rounding_mode="up")


def test_alpha():
    assert tm.add(tm.tensor([1.0]), tm.tensor([2.0]), alpha=3).item() == 7
    assert tm.sub(tm.tensor([1.0]), 2, alpha=3).item() == -5


@pytest.mark.parametrize(
    ("base", "exponent"),
    [
        ([0.0, 1.0, 2.0], 0),
        ([0.0, 1.0, 2.0], 1),
        ([0.0, 1.0, 2.0], 2),
        ([0.0, 2.0], 0.5),
        ([-1.0, 0.0], 3),
        ([0.0, 1.0], [0.0, 0.0]),
        ([0.0, 0.0, 2.0], [2.0, 0.0, -1.0]),
        (0, [0.0, 2.0]),
        (2, [0.0, -1.0, 3.0]),
    ],
)
def test_pow_at_zero(base, exponent):
    leaves = []

    def make(module, v):
        if not isinstance(v, list):
            return v
        leaves.append(module.tensor(v, requires_grad=True))
        return leaves[-1]

    ours, theirs = (module.pow(make(module, base), make(module, exponent)) for module in (tm, torch))
    same(ours, theirs)
    ours.backward(tm.ones_like(ours))
    theirs.sum().backward()
    for a, b in zip(leaves[: len(leaves) // 2], leaves[len(leaves) // 2 :], strict=True):
        same(a.grad, b.grad)


def test_integer_powers():
    a, ta = both(np.array([2, 3]))
    for e in (0, 2, 3, 0.5):
        same(a**e, ta**e)
    same(2**a, 2**ta)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_ties_share_the_gradient(name):
    values = [1.0, 2.0, 3.0], [1.0, 3.0, 2.0]
    a, b = (tm.tensor(v, requires_grad=True) for v in values)
    ta, tb = (torch.tensor(v, requires_grad=True) for v in values)
    getattr(tm, name)(a, b).sum().backward()
    getattr(torch, name)(ta, tb).sum().backward()
    same(a.grad, ta.grad)
    same(b.grad, tb.grad)
    assert a.grad.tolist()[0] == 0.5


@pytest.mark.parametrize("limits", [(0.0, 1.0), (None, 0.5), (1, None), (2, -2), (0, 2.5)])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_clamp(limits, dtype):
    a, ta = both(np.array([-3, 0, 1, 2, 5]).astype(dtype))
    same(tm.clamp(a, *limits), torch.clamp(ta, *limits))
    if dtype == np.float32:
        a.requires_grad_().clip(min=limits[0], max=limits[1]).sum().backward()
        torch.clamp(ta.requires_grad_(), *limits).sum().backward()
        same(a.grad, ta.grad)


def test_clamp_needs_a_limit():
    with pytest.raises(ValueError, match="at least one"):
        tm.ones(2).clamp()
    with pytest.raises(TypeError, match="takes tensors, NumPy arrays and numbers"):
        tm.ones(2).clamp(min="0")


def test_where():
    c, tc = both(np.array([True, False, True]))
    a, ta = both(np.array([1.0, 2.0, 3.0], np.float32))
    i, ti = both(np.array([[7], [8]]))
    same(tm.where(c, a, i), torch.where(tc, ta, ti))
    same(tm.where(c, a, 0), torch.where(tc, ta, 0))
    same(tm.where(c, 1, 2), torch.where(tc, 1, 2))
    same(tm.where(c, 1.5, 2), torch.where(tc, 1.5, 2))
    same(i.where(i > 7, -1), ti.where(ti > 7, -1))
    with pytest.raises(TypeError, match="bool"):
        tm.where(a, a, a)


def test_logic():
    a, ta = both(np.array([True, False]))
    i, ti = both(np.array([5, 6]))
    for f in (
        lambda x, y: x & y,
        lambda x, y: x | y,
        lambda x, y: x ^ y,
        lambda x, y: True & x,
        lambda x, y: y & 4,
        lambda x, y: ~x,
        lambda x, y: ~y,
    ):
        same(f(a, i), f(ta, ti))
    with pytest.raises(TypeError, match="use logical_and"):
        tm.ones(2) & True
    with pytest.raises(TypeError, match="logical_xor"):
        a - a
    with pytest.raises(TypeError, match="logical_not"):
        tm.neg(a)


def test_special_values():
    x, tx = both(np.array([np.nan, np.inf, -np.inf, 0.0, 1.0]))
    for name in (
        "isnan",
        "isinf",
        "isfinite",
        "logical_not",
        "exp",
        "log",
        "sqrt",
        "rsqrt",
        "reciprocal",
        "abs",
        "sign",
        "log1p",
    ):
        same(getattr(tm, name)(x), getattr(torch, name)(tx))


@pytest.mark.parametrize("name", ["exp", "log", "sqrt", "sin", "cos", "erf", "reciprocal", "rsqrt", "log1p", "expm1"])
def test_integers_become_float32(name):
    a, ta = both(np.array([1, 2, 3]))
    same(getattr(tm, name)(a), getattr(torch, name)(ta))


@given(st.floats(-10, 10, allow_subnormal=False))
def test_erf_is_exact_to_1e15(x):
    assert tm.erf(tm.tensor(x, dtype=np.float64)).item() == pytest.approx(math.erf(x), rel=1e-15, abs=0)


def test_erf_on_a_grid():
    x = np.concatenate([np.linspace(-7, 7, 20001), [1.0, -1.0, 6.0, 5e-324, np.nextafter(1, 0)]])
    exact = np.array([math.erf(v) for v in x])
    assert np.abs(tm.erf(tm.tensor(x)).numpy() - exact).max() < 4e-16
    assert tm.erf(tm.tensor([np.inf, -np.inf])).tolist() == [1.0, -1.0]
    assert tm.erf(tm.tensor(x.astype(np.float32))).numpy() == pytest.approx(exact, abs=1e-6)


def test_arithmetic_is_native(backend_name):
    """Equal shapes, numbers on either side, broadcasting: none falls back, and division by 0 does not raise."""
    if backend_name != "numba":
        pytest.skip("only numba has compiled kernels")
    before = tm.dispatch.record("numba")
    a, b = tm.ones(4, 3, requires_grad=True), tm.tensor([0.0, 1.0, 2.0], requires_grad=True)
    y = ((a + b) * 2 - 1) / b - (1 - a) * (3 / a) + (-b)
    y.sum().backward()
    after = tm.dispatch.record("numba")
    native = set(tm.dispatch.table("numba").native)
    fell_back = {n for n in native if after.get(n, (0, 0))[1] > before.get(n, (0, 0))[1]}
    assert not fell_back
    assert np.isinf(y.numpy()[0, 0])


def test_erfinv_undoes_erf_to_the_last_bits():
    """Near 0, in the middle, and in the tails, where 1 - |x| cancels; infinite at the ends and NaN outside."""
    x = np.concatenate([np.linspace(-0.999, 0.999, 501), [1e-300, -1e-12, 1 - 1e-15, np.nextafter(1, 0)]])
    true = torch.erfinv(torch.tensor(x)).numpy()
    np.testing.assert_allclose(tm.erfinv(tm.tensor(x, dtype=np.float64)).numpy(), true, rtol=1e-14)
    assert tm.erfinv(tm.tensor([-1.0, 1.0])).tolist() == [-np.inf, np.inf]
    assert np.isnan(tm.erfinv(tm.tensor([-1.5, 1.5, np.nan])).numpy()).all()


def test_bounds_that_are_numbers_stay_numbers():
    """As tensors they would be arrays that no kernel made: a captured step refuses those."""
    x = tm.tensor([-3.0, 0.5, 3.0])
    with tm.dispatch.observing(Names()) as seen:
        assert tm.clamp(x, -1, 1).tolist() == [-1.0, 0.5, 1.0]
    assert "cast" not in seen.names
    for bounds in ((-1, 1), (None, 1), (-1.0, None)):
        captured = tm.capture(lambda x, bounds=bounds: tm.clamp(x, *bounds))
        assert captured(x).tolist() == tm.clamp(x, *bounds).tolist()


class Names(tm.dispatch.Observer):
    """The names of the kernels called."""

    def __init__(self):
        self.names = []

    def before(self, dispatcher, kernel, args):
        self.names.append(dispatcher.name)


class TestRepeatedOperands:
    """Products, differences and quotients with an operand that lies repeated along some axes: no copy of it is made."""

    @staticmethod
    def operands(rng, dtype):
        """Two arrays of one shape, of a random memory order: the second is repeated along some of the axes."""
        axes = int(rng.integers(1, 6))
        shape = tuple(int(n) for n in rng.integers(1, 6, axes))
        order = rng.permutation(axes)
        lies = [shape[i] for i in order]
        x = rng.normal(size=lies).astype(dtype).transpose(np.argsort(order))
        core = [n if rng.random() < 0.5 else 1 for n in lies]
        b = (rng.normal(size=core) + 3).astype(dtype).transpose(np.argsort(order))
        return x, np.broadcast_to(b, shape)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_as_numpy(self, monkeypatch, rng, dtype):
        from tinymed.cpu import elementwise

        monkeypatch.setattr(elementwise, "WORTH", 0)
        k, served = tm.dispatch.table("numba"), 0
        for _ in range(300):
            x, b = self.operands(rng, dtype)
            served += elementwise.is_repeated(x, b)
            for kernel, wanted in ((k.mul, np.multiply), (k.sub, np.subtract), (k.div, np.divide)):
                for one, other in ((x, b), (b, x)):
                    np.testing.assert_array_equal(kernel(one, other), wanted(one, other))
        assert served > 100

    def test_no_copy_is_made(self):
        """A gate of channels beside channels-last images, a row and a column beside a matrix."""
        image = np.moveaxis(np.ones((2, 30, 30, 16), np.float32), -1, 1)
        gate, matrix = np.ones((2, 16, 1, 1), np.float32), np.ones((200, 100), np.float32)
        seen = []

        class Kernels(tm.dispatch.Observer):
            def after(self, dispatcher, kernel, args, outs):
                seen.append(dispatcher.name)

        with tm.use_backend("numba"), tm.no_grad(), tm.dispatch.observing(Kernels()):
            for x, b in ((image, gate), (matrix, matrix[:1]), (matrix, np.ones((200, 1), np.float32))):
                tm.from_numpy(x) * tm.from_numpy(b)
        assert "mul_beside" in seen
        assert not {"canonical", "copy"} & set(seen)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_a_column_of_a_matrix_and_outer_products(self, dtype, rng):
        """A view that is repeated is copied, not what it is repeated to; two that repeat each other are one product."""
        matrix, block = rng.normal(size=(130, 90)).astype(dtype), rng.normal(size=(4, 1, 40, 90)).astype(dtype)
        column, row = matrix[:, 3:4], matrix[1:2]
        for kernel, a, b in (
            ("mul_beside", matrix, column),
            ("mul_beside", column, matrix),
            ("sub_beside", matrix, column),
            ("mul_outer", column, row),
            ("mul_outer", row, column),
            ("mul_outer", block[..., :1], row),
        ):
            with tm.use_backend("numba"), tm.dispatch.observing(Names()) as seen:
                x, y = tm.from_numpy(a), tm.from_numpy(b)
                z = x - y if kernel == "sub_beside" else x * y
            assert kernel in seen.names
            np.testing.assert_array_equal(z.numpy(), a - b if kernel == "sub_beside" else a * b)
