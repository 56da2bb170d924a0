"""Values and errors that other projects' tests found different from PyTorch's."""

import numpy as np
import pytest

import tinymed as tm
from tinymed.nn import functional as F

torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")

SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 3, -3, 6, 100, -100, 20, -20, 1e30, 0.5] * 5)
ACTIVATIONS = [
    *("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "sigmoid", "logsigmoid", "hardtanh", "softsign"),
    *("softplus", "silu", "mish", "hardswish", "hardsigmoid", "tanh"),
]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_and_gradients_at_special_values(name, backend_name):
    """Nothing hides a NaN or an infinity that PyTorch lets through, nor makes one."""
    x = SPECIAL.astype(np.float32)
    theirs, ours = torch.tensor(x, requires_grad=True), tm.tensor(x, requires_grad=True)
    y, z = getattr(torch.nn.functional, name)(theirs), getattr(F, name)(ours)
    y.sum().backward(), z.sum().backward()
    np.testing.assert_allclose(z.detach().numpy(), y.detach().numpy(), rtol=1e-5, atol=1e-6)
    if name not in ("elu", "selu", "celu", "relu6", "hardtanh", "hardswish"):  # PyTorch's own depends on the length
        np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-4, atol=2e-5)
    else:
        here = ~np.isnan(x)
        np.testing.assert_allclose(ours.grad.numpy()[here], theirs.grad.numpy()[here], rtol=1e-4, atol=2e-5)


ARANGES = [
    ((-30.2, -0.3, 0.75), {}),
    ((0.0, -8.000001, -4.0), {"dtype": "int64"}),
    ((5,), {}),
    ((1.5,), {}),
    ((3, 3), {}),
    ((10, 0, -3), {}),
    ((0, 5, 2), {"dtype": "float32"}),
    ((), {"start": 1, "end": 7, "step": 2}),
    ((), {"end": 3}),
]


@pytest.mark.parametrize(("limits", "options"), ARANGES)
def test_arange_is_computed_in_double(limits, options):
    """PyTorch rounds the start of each of its vectors to float32; its double values, cast, have no such steps."""
    theirs = {k: getattr(torch, v) if k == "dtype" else v for k, v in options.items()}
    wanted = torch.arange(*limits, **({"start": 0} | theirs if not limits and "start" not in theirs else theirs))
    found = tm.arange(*limits, **options)
    assert str(found.dtype) == str(wanted.dtype)[6:]
    assert len(found) == len(wanted)
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1.2e-7)
    if found.dtype == np.float32 and limits:
        double = torch.arange(*limits, dtype=torch.float64)
        assert found.tolist() == double.float().tolist()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: tm.arange(0, 3, 0), ValueError, "step must not be 0"),
        (lambda: tm.arange(3, 0), ValueError, "leads away"),
        (lambda: tm.arange(0, float("inf")), ValueError, "has no end"),
        (lambda: tm.max(2, 3), TypeError, "takes a tensor first"),
        (lambda: tm.tensor([1, 2]) ** -2, ValueError, "no power of -2"),
        (lambda: tm.tensor([1, 2]) // 0, ZeroDivisionError, "cannot be divided by 0"),
        (lambda: tm.tensor([1, 2]) % tm.tensor([1, 0]), ZeroDivisionError, "cannot be divided by 0"),
        (lambda: tm.tensor(1.0).narrow(0, 0, 1), ValueError, "without axes"),
        (lambda: tm.tensor(1.0).unbind(), IndexError, "no axes"),
        (lambda: tm.tensor(1.0).roll(1, 0), IndexError, "no axes"),
        (lambda: tm.tensor([1.0]).roll((1, 2)), ValueError, "2 shifts without dims"),
        (lambda: F.binary_cross_entropy(tm.tensor([1.7]), tm.tensor([1.0])), ValueError, "input are from 0 to 1"),
        (lambda: F.binary_cross_entropy(tm.tensor([np.nan]), tm.tensor([1.0])), ValueError, "input are from 0 to 1"),
        (lambda: F.binary_cross_entropy(tm.tensor([0.7]), tm.tensor([-1.0])), ValueError, "target are from 0 to 1"),
        (lambda: F.hardtanh(tm.tensor([True])), TypeError, "does not take bool"),
    ],
)
def test_what_is_refused_says_so(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_scalars_and_integers_as_pytorch_has_them():
    t = tm.tensor(3.0)
    assert t.index_select(0, tm.tensor([0])).item() == 3
    assert t.movedim(0, 0).item() == 3
    assert t.roll(1).item() == 3
    assert tm.zeros(1, 2, 1).squeeze(()).shape == (1, 2, 1)
    assert (2 ** tm.tensor([-1, 2])).tolist() == [0, 4]
    assert (tm.tensor([1, -1, 3]) ** tm.tensor([-1, -2, -3])).tolist() == [1, 1, 0]
    assert tm.tensor([True]).sign().dtype == bool
    assert tm.tensor([True]).square().dtype == np.int64
    for dtype in (np.int64, np.int32):
        assert F.relu6(tm.tensor([-3, 9], dtype=dtype)).dtype == dtype
    assert F.local_response_norm(tm.arange(12).reshape(1, 3, 4), 2).dtype == np.float32


def test_prelu_of_a_weight_without_axes(backend_name):
    x, w = tm.tensor([-2.0, 3.0], requires_grad=True), tm.tensor(0.25, requires_grad=True)
    y = F.prelu(x, w)
    y.sum().backward()
    assert (y.tolist(), x.grad.tolist(), w.grad.item()) == ([-0.5, 3.0], [0.25, 1.0], -2.0)


def test_unfold_of_an_empty_batch(backend_name):
    x = tm.zeros(0, 1, 4, 4, requires_grad=True)
    F.unfold(x, 2).sum().backward()
    assert x.grad.shape == (0, 1, 4, 4)


@pytest.mark.parametrize("factor", [1.00001, (2.05, 3.15), 2.0, 0.5, 1.3])
def test_nearest_keeps_and_doubles_pixels_whatever_the_factor(factor, backend_name):
    x = np.arange(24, dtype=np.float32).reshape(1, 1, 4, 6)
    wanted = torch.nn.functional.interpolate(torch.tensor(x), scale_factor=factor)
    assert F.interpolate(tm.tensor(x), scale_factor=factor).tolist() == wanted.tolist()


def test_a_captured_step_gives_nan_outside_the_unit_interval():
    """A replay reads no values, so it cannot refuse; nothing passes as a number."""
    step = tm.capture(lambda p, t: F.binary_cross_entropy(p, t))
    good, bad = tm.tensor([0.5, 0.5]), tm.tensor([0.2, 1.7])
    assert step(good, tm.tensor([0.0, 1.0])).item() == pytest.approx(np.log(2))
    assert np.isnan(step(bad, tm.tensor([0.0, 1.0])).item())


EQUATIONS = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("bij,bjk", (2, 3, 4), (2, 4, 5)),
    ("...ij,...jk->...ik", (2, 3, 4), (4, 5)),
    ("ii->i", (3, 3)),
    ("ii", (3, 3)),
    ("ij->ji", (2, 3)),
    ("i,j,k->kij", (2,), (3,), (4,)),
    ("ijk,ijl,kl->ij", (2, 3, 4), (2, 3, 5), (4, 5)),
    ("b...->...", (2, 3, 4)),
    ("iij,jk->ik", (2, 2, 3), (3, 4)),
]


@pytest.mark.parametrize("case", EQUATIONS, ids=lambda c: c[0])
def test_einsum(case, rng):
    equation, *shapes = case
    arrays = [rng.normal(size=s) for s in shapes]
    ours, theirs = ([m.tensor(a, requires_grad=True) for a in arrays] for m in (tm, torch))
    y, z = tm.einsum(equation, *ours), torch.einsum(equation, *theirs)
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy())
    (y * y).sum().backward(), (z * z).sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy())


def test_the_random_factories(rng):
    tm.manual_seed(0)
    assert set(tm.randint(3, (999,)).tolist()) == {0, 1, 2}
    assert sorted(tm.randperm(9).tolist()) == list(range(9))
    assert tm.randn_like(tm.zeros(2, 3, dtype=np.float64)).dtype == np.float64
    drawn = tm.multinomial(tm.tensor([0.0, 1.0, 3.0]), 4000, replacement=True).numpy()
    assert abs((drawn == 2).mean() - 0.75) < 0.03
    assert 0 not in drawn
    assert sorted(tm.multinomial(tm.tensor([1.0, 2.0, 3.0]), 3).tolist()) == [0, 1, 2]
    assert abs(tm.bernoulli(tm.full((4000,), 0.3)).mean().item() - 0.3) < 0.03
    with pytest.raises(TypeError, match="manual_seed"):
        tm.randn(2, generator=1)
