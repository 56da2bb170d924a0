"""What stands beside a tensor: a number on either side of every binary op, and every change of dtype, on each backend.

The samples of ops draw arrays of one dtype: a kernel that serves them may refuse a number, or call another launcher.
"""

import numpy as np
import pytest

import tinymed
from tinymed import Tensor
from tinymed.nn import functional as F

torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")
SHAPES = [(7,), (2, 3, 4, 5), (0, 3), ()]
ORDERS = ["dense", "transposed", "reversed", "gaps"]
BINARY = {
    "add": lambda a, b, _: a + b,
    "sub": lambda a, b, _: a - b,
    "mul": lambda a, b, _: a * b,
    "div": lambda a, b, _: a / b,
    "maximum": lambda a, b, lib: lib.maximum(beside(a, lib), beside(b, lib)),
    "minimum": lambda a, b, lib: lib.minimum(beside(a, lib), beside(b, lib)),
    "where": lambda a, b, lib: lib.where((a if is_tensor(a) else b) > 0.5, a, b),
}
DTYPES = [np.float32, np.float64, np.int32, np.int64, np.uint8, np.bool_]


def is_tensor(a):
    """Whether it is no number."""
    return hasattr(a, "shape")


def beside(a, lib):
    """A number as PyTorch takes it in maximum: a tensor."""
    return torch.tensor(a, dtype=torch.float32) if lib is torch and not is_tensor(a) else a


def lying(values, order):
    """The values in another order of memory."""
    if order == "transposed":
        return values.T.copy().T
    if order == "reversed":
        return values[::-1].copy()[::-1] if values.ndim else values
    if order == "gaps" and values.ndim:
        wide = np.zeros((*values.shape[:-1], 2 * values.shape[-1]), values.dtype)
        wide[..., ::2] = values
        return wide[..., ::2]
    return values


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("number_first", [False, True])
@pytest.mark.parametrize("name", BINARY)
def test_a_number_beside_a_tensor(name, number_first, order, backend_name, rng):
    """Values and gradients as PyTorch's; equal elements, NaN and infinity included."""
    for shape in SHAPES:
        values = rng.uniform(0.1, 1, shape).astype(np.float32)
        if values.size > 5:
            values.ravel()[:3] = 0.5, np.nan, np.inf
        cotangent = rng.normal(size=shape).astype(np.float32)
        theirs = torch.tensor(values, requires_grad=True)
        ours = Tensor(lying(values, order), requires_grad=True)
        results = []
        for x, lib, dy in ((theirs, torch, torch.tensor(cotangent)), (ours, tinymed, Tensor(cotangent))):
            y = BINARY[name](0.5, x, lib) if number_first else BINARY[name](x, 0.5, lib)
            y.backward(dy)
            results.append(y)
        np.testing.assert_allclose(results[1].detach().numpy(), results[0].detach().numpy(), rtol=2e-6)
        np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=2e-6)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("target", DTYPES, ids=lambda d: d.__name__)
@pytest.mark.parametrize("source", DTYPES, ids=lambda d: d.__name__)
def test_every_change_of_dtype(source, target, order, backend_name, rng):
    """The numbers of NumPy, which are PyTorch's: towards 0 from floats, rounded from large integers, truth as 1."""
    for shape in SHAPES:
        values = rng.uniform(0, 200, shape)
        if values.size > 5 and np.dtype(source).kind in "fi" and np.dtype(target).kind != "u":
            values.ravel()[:3] = -7.9, 0.0, 16_777_217
        if values.size > 5 and np.dtype(source).kind == "f" and np.dtype(target).kind in "fb":
            values.ravel()[3:5] = np.nan, -np.inf
        array = values.astype(source)
        found = Tensor(lying(array, order)).to(np.dtype(target))
        assert found.dtype == target
        np.testing.assert_array_equal(found.numpy(), array.astype(target))


@pytest.mark.parametrize("wide", [False, True])
def test_volumes_pooled_by_windows_of_two_and_wider(wide, backend_name, rng):
    """Max-pooling of volumes and its gradient, windows that meet included."""
    values = rng.normal(size=(2, 3, 6, 7, 5)).astype(np.float32)
    window = {"kernel_size": 3, "stride": 2, "padding": 1} if wide else {"kernel_size": 2}
    theirs, ours = torch.tensor(values, requires_grad=True), Tensor(values, requires_grad=True)
    wanted, found = torch.nn.functional.max_pool3d(theirs, **window), F.max_pool3d(ours, **window)
    cotangent = rng.normal(size=found.shape).astype(np.float32)
    wanted.backward(torch.tensor(cotangent))
    found.backward(Tensor(cotangent))
    np.testing.assert_array_equal(found.detach().numpy(), wanted.detach().numpy())
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-6)
