"""The activations' public functions: borders, extremes, arguments.  Their gradients: test_ops.py."""

import numpy as np
import pytest
import torch

import tinymed
from tinymed import random
from tinymed.nn import functional as F

KINKS = np.array([-6.0, -3.0, -1.0, 0.0, 1.0, 3.0, 6.0], np.float32)
FORMS = {
    "relu": {},
    "relu6": {},
    "hardtanh": {"min_val": -1.0, "max_val": 3.0},
    "hardsigmoid": {},
    "hardswish": {},
    "leaky_relu": {"negative_slope": 0.2},
    "elu": {"alpha": 0.7},
    "selu": {},
    "celu": {"alpha": 2.0},
    "softsign": {},
    "softplus": {"beta": 2.0, "threshold": 6.0},
    "silu": {},
    "mish": {},
    "gelu": {"approximate": "tanh"},
    "logsigmoid": {},
}


@pytest.mark.parametrize("name", FORMS)
def test_values_and_gradients_at_kinks_are_pytorchs(name, backend_name):
    x, t = tinymed.tensor(KINKS, requires_grad=True), torch.tensor(KINKS, requires_grad=True)
    y, z = getattr(F, name)(x, **FORMS[name]), getattr(torch.nn.functional, name)(t, **FORMS[name])
    y.backward(tinymed.tensor(np.ones(7, np.float32)))
    z.sum().backward()
    np.testing.assert_allclose(y.numpy(), z.detach(), rtol=2e-6, atol=5e-7)
    np.testing.assert_allclose(x.grad.numpy(), t.grad, rtol=2e-6, atol=5e-7)


BOUNDED = [
    "sigmoid",
    "tanh",
    "softsign",
    "softplus",
    "silu",
    "mish",
    "gelu",
    "logsigmoid",
    "softtanh",
    "elu",
    "scaled_tanh",
]


@pytest.mark.parametrize("name", BOUNDED)
def test_extremes_neither_overflow_nor_lose_the_limit(name, backend_name):
    """+-200, where exp overflows float32, with finite values and gradients."""
    x = tinymed.tensor(np.array([-1e4, -200, -90, 90, 200, 1e4], np.float32), requires_grad=True)
    y = getattr(F, name)(x)
    y.backward(tinymed.tensor(np.ones(6, np.float32)))
    wide = tinymed.tensor(x.numpy().astype(np.float64))
    with tinymed.use_backend("numpy"):
        expected = getattr(F, name)(wide).numpy()
    assert np.isfinite(y.numpy()).all()
    assert np.isfinite(x.grad.numpy()).all()
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-6, atol=1e-30)


def test_sigmoid_of_minus_80_is_not_zero(backend_name):
    y = F.sigmoid(tinymed.tensor(np.array([-80.0, 80.0], np.float32))).numpy()
    np.testing.assert_allclose(y, [np.exp(-80.0), 1.0], rtol=1e-5)


def test_softtanh_tends_to_hardtanh(rng):
    x = rng.normal(size=100) * 3
    gap = [np.abs(F.softtanh(tinymed.tensor(x), b).numpy() - np.clip(x, -1, 1)).max() for b in (1, 10, 1000)]
    assert gap[0] > gap[1] > gap[2]
    assert gap[2] <= np.log(2) / 1000 + 1e-12  # its largest distance, at the kinks
    assert F.softtanh(tinymed.tensor(np.array([0.0, 50.0, -50.0]))).tolist() == pytest.approx([0, 1, -1], abs=1e-15)


def test_scaled_tanh_passes_through_one():
    assert F.scaled_tanh(tinymed.tensor(np.array([1.0, -1.0]))).tolist() == pytest.approx([1, -1], abs=1e-4)


class TestRReLU:
    def test_training_draws_a_slope_for_each_negative_element(self, backend_name):
        random.manual_seed(3)
        x = tinymed.tensor(np.full((4, 5, 20, 20), -1.0, np.float32), requires_grad=True)
        y = F.rrelu(x, training=True)
        y.backward(tinymed.ones(*x.shape))
        slopes = -y.numpy()
        assert slopes.min() >= 1 / 8
        assert slopes.max() <= 1 / 3
        assert abs(slopes.mean() - 11 / 48) < 0.003  # standard error: 0.0007
        np.testing.assert_array_equal(x.grad.numpy(), slopes)
        assert (F.rrelu(x, training=True).numpy() != y.numpy()).mean() > 0.99

    def test_evaluation_uses_the_mean_slope_and_draws_nothing(self, rng):
        before = random.default_generator.state.copy()
        x = rng.normal(size=(3, 4))
        expected = torch.nn.functional.rrelu(torch.tensor(x), 0.1, 0.5).numpy()
        np.testing.assert_allclose(F.rrelu(tinymed.tensor(x), 0.1, 0.5).numpy(), expected, rtol=1e-12)
        np.testing.assert_array_equal(random.default_generator.state, before)


class TestSoftmax:
    @pytest.mark.parametrize("dim", [0, 1, 2, 3, -1, -2])
    def test_any_axis(self, dim, rng, backend_name):
        x = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
        for name in ("softmax", "log_softmax", "softmin"):
            expected = getattr(torch.nn.functional, name)(torch.tensor(x), dim).numpy()
            np.testing.assert_allclose(getattr(F, name)(tinymed.tensor(x), dim).numpy(), expected, rtol=1e-5, atol=1e-6)

    def test_masked_scores_get_exactly_nothing(self, backend_name):
        y = F.softmax(tinymed.tensor(np.array([[0.0, -np.inf, 0.0]], np.float32)), dim=1)
        assert y.tolist() == [[0.5, 0.0, 0.5]]

    def test_large_scores_do_not_overflow(self, backend_name):
        x = np.array([[1e4, 1e4 - 1, -1e4]], np.float32)
        expected = torch.log_softmax(torch.tensor(x), 1).numpy()
        np.testing.assert_allclose(F.log_softmax(tinymed.tensor(x), 1).numpy(), expected, rtol=1e-6)

    def test_without_axes_and_without_elements(self, backend_name):
        assert F.softmax(tinymed.tensor(np.float32(3)), 0).tolist() == 1.0
        for shape in ((0, 3), (2, 0), (2, 3, 0)):
            assert F.softmax(tinymed.zeros(*shape), 1).shape == shape

    def test_the_axis_must_be_said(self):
        with pytest.raises(ValueError, match="softmax: say along which axis"):
            F.softmax(tinymed.zeros(2, 3))
        with pytest.raises(IndexError, match="dim 2 is not an axis"):
            F.softmax(tinymed.zeros(2, 3), 2)

    def test_integers_need_a_dtype(self):
        with pytest.raises(TypeError, match="give dtype"):
            F.softmax(tinymed.tensor([1, 2]), 0)
        assert F.softmax(tinymed.tensor([1, 1]), 0, dtype=np.float64).dtype == np.float64


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "hardtanh"])
@pytest.mark.parametrize("size", [1, 15, 17, 1025, 4096 * 5 + 3, (1 << 22) + 1037])
def test_piecewise_linear_of_every_length(name, size, rng):
    """Parts of vectors, several pieces, and more than the caches hold; infinities and NaN among the numbers."""
    a, dy = (rng.normal(size=size).astype(np.float32) for _ in range(2))
    a[:: max(1, size // 7)] = np.resize(np.float32([np.nan, np.inf, -np.inf, 0.0, -0.0]), a[:: max(1, size // 7)].size)
    x, t = tinymed.tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)
    y, z = getattr(F, name)(x, **FORMS[name]), getattr(torch.nn.functional, name)(t, **FORMS[name])
    y.backward(tinymed.tensor(dy))
    z.backward(torch.tensor(dy))
    assert np.array_equal(y.numpy(), z.detach().numpy(), equal_nan=True)
    real = ~np.isnan(a)  # of a NaN PyTorch lets the gradient through in some and not in others
    assert np.array_equal(x.grad.numpy()[real], t.grad.numpy()[real])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: F.hardtanh(x, 1, -1), "min_val must not exceed max_val"),
        (lambda x: F.elu(x, -1.0), "elu: alpha must not be negative"),
        (lambda x: F.celu(x, 0.0), "celu: alpha must be positive"),
        (lambda x: F.softplus(x, 0.0), "softplus: beta must not be 0"),
        (lambda x: F.softtanh(x, 0.0), "softtanh: beta must be positive"),
        (lambda x: F.gelu(x, "erf"), "gelu: approximate"),
        (lambda x: F.rrelu(x, 0.5, 0.1), "lower must not exceed upper"),
        (
            lambda x: F.prelu(x, tinymed.zeros(5)),
            r"prelu: weight has shape \[5\]; input \[2, 3\] takes \(1,\) or \(3,\)",
        ),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(tinymed.zeros(2, 3))


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
@pytest.mark.parametrize(
    "call", [lambda T, F, x: F.hardtanh(x, 1, 4), lambda T, F, x: F.relu6(x), lambda T, F, x: F.relu(x)]
)
def test_integers_alone_are_not_given_to_kernels_of_float32(backend_name, dtype, call):
    """They would write float32 into an output of integers: wrong numbers, and for small ones memory beside it."""
    x = np.arange(0 if dtype == "uint8" else -4, 9).astype(dtype)
    ours = call(tinymed, F, tinymed.tensor(x)).numpy()
    assert ours.dtype == x.dtype
    np.testing.assert_array_equal(ours, call(torch, torch.nn.functional, torch.tensor(x)).numpy())
