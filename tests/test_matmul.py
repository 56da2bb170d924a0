"""Products: which shapes they take, what they refuse."""

import numpy as np
import pytest

import tinymed
from tinymed.ops import matmul as M

torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3,), (3,)),
        ((3,), (3, 4)),
        ((2, 3), (3,)),
        ((5, 2, 3), (3,)),
        ((3,), (5, 3, 4)),
        ((2, 3), (5, 3, 4)),
        ((6, 1, 2, 3), (5, 3, 4)),
        ((5, 2, 3), (3, 4)),
        ((0, 3), (3, 4)),
        ((2, 0), (0, 4)),
        ((4, 2, 0), (0, 3)),
    ],
)
def test_shapes_as_in_torch(rng, backend_name, a, b):
    x, y = rng.standard_normal(a, dtype=np.float32), rng.standard_normal(b, dtype=np.float32)
    expected = torch.matmul(torch.from_numpy(x), torch.from_numpy(y)).numpy()
    ours = M.matmul(tinymed.tensor(x), tinymed.tensor(y))
    assert ours.shape == expected.shape
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-5, atol=1e-5)


def test_integers():
    """Whole numbers multiply exactly."""
    a = tinymed.tensor(np.arange(6).reshape(2, 3))
    assert M.matmul(a, tinymed.tensor(np.arange(3) + 2**40)).tolist() == [5 + 3 * 2**40, 14 + 12 * 2**40]


def test_linear_without_bias_or_batch(rng, backend_name):
    x, w = rng.standard_normal(5, dtype=np.float32), rng.standard_normal((2, 5), dtype=np.float32)
    np.testing.assert_allclose(M.linear(tinymed.tensor(x), tinymed.tensor(w)).numpy(), w @ x, rtol=1e-5)


def zeros(*shape, dtype=np.float32):
    return tinymed.zeros(*shape, dtype=dtype)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: M.matmul(zeros(2, 3), zeros(4, 2)), r"matmul: .*\[2, 3\] and \[4, 2\].*as long"),
        (lambda: M.matmul(zeros(2, 3), zeros(2)), "as long"),
        (lambda: M.matmul(zeros(2, 2, 3), zeros(3, 3, 2)), "do not broadcast"),
        (lambda: M.matmul(zeros(()), zeros(3)), "at least one axis"),
        (lambda: M.matmul(zeros(2, 3), zeros(3, 2, dtype=np.float64)), "must have one dtype"),
        (lambda: M.bmm(zeros(2, 3), zeros(3, 2)), r"bmm: .* it takes \(B, M, K\)"),
        (lambda: M.bmm(zeros(1, 2, 3), zeros(4, 3, 2)), "bmm"),
        (lambda: M.linear(zeros(2, 3), zeros(4, 2)), r"linear: input has shape \[2, 3\], weight \[4, 2\]"),
        (lambda: M.linear(zeros(2, 3), zeros(4, 3), zeros(3)), r"bias has shape \[3\]; it takes \[4\]"),
    ],
)
def test_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
