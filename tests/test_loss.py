"""The losses' public functions against PyTorch's: forms, reductions, corners, errors."""

import numpy as np
import pytest
import torch

import tinymed
from tinymed.nn import functional as F

T = torch.nn.functional
REDUCTIONS = ["mean", "sum", "none"]


def weighed(x, t, m):
    """Cross-entropy under a map."""
    return F.cross_entropy(tinymed.tensor(x), tinymed.tensor(t), weight_map=tinymed.tensor(m)).item()


def against(ours, theirs, *arrays, rtol=1e-10):
    """Forward and the gradients of all float arguments, in float64 on the default backend, under a random cotangent."""
    a = [tinymed.tensor(v, requires_grad=v.dtype.kind == "f") for v in arrays]
    b = [torch.tensor(v, requires_grad=v.dtype.kind == "f") for v in arrays]
    y, z = ours(*a), theirs(*b)
    np.testing.assert_allclose(y.numpy(), z.detach().numpy(), rtol=rtol, atol=1e-12)
    weight = np.random.default_rng(1).normal(size=y.shape)
    y.backward(tinymed.tensor(weight))
    z.backward(torch.tensor(weight))
    for p, q in zip(a, b, strict=True):
        if q.grad is not None:
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=rtol, atol=1e-12)


PAIRED = [
    ("mse_loss", {}),
    ("l1_loss", {}),
    ("huber_loss", {"delta": 0.7}),
    ("smooth_l1_loss", {"beta": 0.3}),
    ("smooth_l1_loss", {"beta": 0.0}),
]


@pytest.mark.parametrize("reduction", REDUCTIONS)
class TestRegression:
    @pytest.mark.parametrize(("name", "options"), PAIRED)
    def test_as_pytorch(self, name, options, reduction, rng):
        x, t = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
        x[0], x[1, 0] = t[0], t[1, 0] + 0.3  # no difference; on a border
        options = {"reduction": reduction, **options}
        against(lambda a, b: getattr(F, name)(a, b, **options), lambda a, b: getattr(T, name)(a, b, **options), x, t)

    @pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss")
    @pytest.mark.parametrize("log_target", [False, True])
    def test_kl_div(self, log_target, reduction, rng):
        x, t = (torch.log_softmax(torch.tensor(rng.normal(size=(4, 3))), 1).numpy() for _ in range(2))
        t = t if log_target else np.where(rng.random((4, 3)) < 0.3, 0, np.exp(t))
        options = {"reduction": reduction, "log_target": log_target}
        x = tinymed.tensor(x, requires_grad=True)
        y, z = F.kl_div(x, tinymed.tensor(t), **options), T.kl_div(torch.tensor(x.numpy()), torch.tensor(t), **options)
        np.testing.assert_allclose(y.numpy(), z, rtol=1e-12)
        F.kl_div(x, tinymed.tensor(t), reduction="sum", log_target=log_target).backward()
        np.testing.assert_allclose(x.grad.numpy(), -np.exp(t) if log_target else -t, rtol=1e-12)

    def test_hinge(self, reduction, rng):
        x, sign = rng.normal(size=(5, 2)) * 2, np.where(rng.random((5, 2)) < 0.5, 1.0, -1.0)

        def reduced(loss):
            return loss if reduction == "none" else getattr(loss, reduction)()

        for name, power in (("hinge_loss", 1), ("squared_hinge_loss", 2)):
            against(
                lambda a, name=name: getattr(F, name)(a, tinymed.tensor(sign), reduction),
                lambda a, power=power: reduced(torch.relu(1 - torch.tensor(sign) * a) ** power),
                x,
            )
        against(
            lambda a: F.hinge_embedding_loss(a, tinymed.tensor(sign), 0.8, reduction=reduction),
            lambda a: T.hinge_embedding_loss(a, torch.tensor(sign), 0.8, reduction=reduction),
            x,
        )


def test_kl_div_batchmean_is_the_divergence(rng):
    x, t = np.log([[0.2, 0.8], [0.5, 0.5]]), np.array([[0.3, 0.7], [0.5, 0.5]])
    expected = T.kl_div(torch.tensor(x), torch.tensor(t), reduction="batchmean").item()
    assert F.kl_div(tinymed.tensor(x), tinymed.tensor(t), reduction="batchmean").item() == pytest.approx(
        expected, rel=1e-12
    )


class TestBinary:
    def test_saturated_probabilities_cost_100_with_a_finite_gradient(self, backend_name):
        p = tinymed.tensor(np.array([0.0, 1.0, 0.0, 1.0], np.float32), requires_grad=True)
        q = torch.tensor([0.0, 1.0, 0.0, 1.0], requires_grad=True)
        t = np.array([1, 0, 0, 1], np.float32)
        y, z = (
            F.binary_cross_entropy(p, tinymed.tensor(t), reduction="none"),
            T.binary_cross_entropy(q, torch.tensor(t), reduction="none"),
        )
        assert y.tolist() == z.tolist() == [100, 100, 0, 0]
        y.backward(tinymed.ones(4))
        z.sum().backward()
        np.testing.assert_allclose(p.grad.numpy(), q.grad, rtol=1e-6)

    def test_logits_do_not_overflow(self, backend_name):
        x = np.array([-1e4, -200, 200, 1e4], np.float32)
        for t in (0.0, 1.0, 0.5):
            target = np.full(4, t, np.float32)
            expected = T.binary_cross_entropy_with_logits(torch.tensor(x), torch.tensor(target), reduction="none")
            y = F.binary_cross_entropy_with_logits(tinymed.tensor(x), tinymed.tensor(target), reduction="none")
            np.testing.assert_allclose(y.numpy(), expected, rtol=1e-6)

    def test_class_numbers_are_taken_as_targets(self):
        x = tinymed.randn(5, 2, seed=0)
        t = np.array([[0, 1], [1, 0], [1, 1], [0, 0], [1, 0]])
        a, b = (F.binary_cross_entropy_with_logits(x, tinymed.tensor(v)).item() for v in (t, t.astype(np.float32)))
        assert a == b

    @pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
    @pytest.mark.parametrize("alpha", [0.25, -1])
    def test_focal(self, alpha, gamma, rng):
        """Torchvision's formula, written out."""
        t = (rng.random((6, 3)) < 0.4).astype(np.float64)

        def theirs(x):
            target, p = torch.tensor(t), torch.sigmoid(x)
            ce = T.binary_cross_entropy_with_logits(x, target, reduction="none")
            loss = ce * (1 - (p * target + (1 - p) * (1 - target))) ** gamma
            return ((alpha * target + (1 - alpha) * (1 - target)) * loss if alpha >= 0 else loss).mean()

        against(
            lambda x: F.sigmoid_focal_loss(x, tinymed.tensor(t), alpha, gamma, "mean"),
            theirs,
            rng.normal(size=(6, 3)) * 3,
        )


class TestCategorical:
    def test_one_sample_without_a_batch(self, rng):
        x = rng.normal(size=4)
        for reduction in REDUCTIONS:
            for name in ("cross_entropy", "nll_loss"):
                against(
                    lambda a, n=name, r=reduction: getattr(F, n)(a, tinymed.tensor(np.int64(2)), reduction=r),
                    lambda a, n=name, r=reduction: getattr(T, n)(a, torch.tensor(2), reduction=r),
                    x,
                )

    @pytest.mark.parametrize("shape", [(4,), (5, 4), (2, 4, 3), (2, 4, 3, 2)])
    @pytest.mark.parametrize("smoothing", [0.0, 0.2])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_probabilities_as_targets(self, shape, smoothing, weighted, rng):
        x, axis = rng.normal(size=shape), 1 if len(shape) > 1 else 0
        t = torch.softmax(torch.tensor(rng.normal(size=shape)), axis).numpy()
        w = rng.uniform(0.5, 2, 4)
        ours, theirs = (tinymed.tensor(w), torch.tensor(w)) if weighted else (None, None)
        for r in REDUCTIONS:
            against(
                lambda a, b, r=r: F.cross_entropy(a, b, ours, reduction=r, label_smoothing=smoothing),
                lambda a, b, r=r: T.cross_entropy(a, b, theirs, reduction=r, label_smoothing=smoothing),
                x,
                t,
            )

    def test_probabilities_of_one_class_equal_its_number(self, rng):
        x, t = rng.normal(size=(6, 3)), rng.integers(0, 3, 6)
        a = F.cross_entropy(tinymed.tensor(x), tinymed.tensor(np.eye(3)[t])).item()
        assert a == pytest.approx(F.cross_entropy(tinymed.tensor(x), tinymed.tensor(t)).item(), rel=1e-12)

    def test_everything_ignored_is_nan_in_the_mean_and_zero_in_the_sum(self, backend_name):
        x, t = tinymed.randn(3, 2, seed=0), tinymed.tensor(np.full(3, -100))
        assert np.isnan(F.cross_entropy(x, t).item())
        assert F.cross_entropy(x, t, reduction="sum").item() == 0

    def test_a_map_weighs_pixels(self, rng, backend_name):
        """A map of 2s changes nothing in the mean; a pixel of weight 0 does not count."""
        x, t = rng.normal(size=(2, 3, 4, 4)).astype(np.float32), rng.integers(0, 3, (2, 4, 4))
        m = np.full((2, 4, 4), 2, np.float32)
        plain = F.cross_entropy(tinymed.tensor(x), tinymed.tensor(t)).item()
        assert F.cross_entropy(
            tinymed.tensor(x), tinymed.tensor(t), weight_map=tinymed.tensor(m)
        ).item() == pytest.approx(plain, rel=1e-5)
        m[0] = 0
        second = F.cross_entropy(tinymed.tensor(x[1:]), tinymed.tensor(t[1:])).item()
        assert F.cross_entropy(
            tinymed.tensor(x), tinymed.tensor(t), weight_map=tinymed.tensor(m)
        ).item() == pytest.approx(second, rel=1e-5)

    @pytest.mark.parametrize("classes", [1, 2, 3, 31, 32, 67, 1500])
    @pytest.mark.parametrize("reduction", REDUCTIONS)
    def test_rows_of_few_and_of_many_classes(self, classes, reduction, rng):
        """Some targets ignored, with and without weights and smoothing, over several strips and pieces."""
        x, t = 3 * rng.normal(size=(600, classes)), rng.integers(0, classes, 600)
        t[rng.random(600) < 0.2] = -100
        w, dy = rng.uniform(0.5, 2, classes), rng.normal(size=600 if reduction == "none" else ())
        for weight, smoothing in ((None, 0.0), (w, 0.0), (w, 0.3)):
            a, b = tinymed.tensor(np.float32(x), requires_grad=True), torch.tensor(x, requires_grad=True)
            ours = None if weight is None else tinymed.tensor(np.float32(weight))
            theirs = None if weight is None else torch.tensor(weight)
            y = F.cross_entropy(a, tinymed.tensor(t), ours, reduction=reduction, label_smoothing=smoothing)
            z = T.cross_entropy(b, torch.tensor(t), theirs, reduction=reduction, label_smoothing=smoothing)
            y.backward(tinymed.tensor(np.float32(dy)))
            z.backward(torch.tensor(dy))
            np.testing.assert_allclose(y.numpy(), z.detach().numpy(), rtol=2e-6, atol=2e-6)
            np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=2e-5, atol=1e-6 * np.abs(dy).max())

    @pytest.mark.parametrize("reduction", REDUCTIONS)
    def test_focal(self, reduction, rng):
        x, t, w = rng.normal(size=(6, 3, 2)), rng.integers(0, 3, (6, 2)), rng.uniform(0.5, 2, 3)
        t[0, 0] = -100

        def theirs(a):
            log_p = torch.log_softmax(a, 1)
            return T.nll_loss((1 - log_p.exp()) ** 2 * log_p, torch.tensor(t), torch.tensor(w), reduction=reduction)

        against(lambda a: F.softmax_focal_loss(a, tinymed.tensor(t), tinymed.tensor(w), reduction=reduction), theirs, x)

    def test_focal_without_focus_is_cross_entropy(self, rng):
        x, t = tinymed.tensor(rng.normal(size=(6, 3))), tinymed.tensor(rng.integers(0, 3, 6))
        assert F.softmax_focal_loss(x, t, gamma=0.0).item() == pytest.approx(F.cross_entropy(x, t).item(), rel=1e-12)


X = tinymed.zeros(2, 3)


ONE, BAD = tinymed.tensor([0, 1]), tinymed.tensor([0, 3])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.mse_loss(X, tinymed.zeros(2)), ValueError, r"mse_loss: target has shape \[2\], input \[2, 3\]"),
        (lambda: F.binary_cross_entropy(X, X, reduction="avg"), ValueError, "is one of mean, sum, none, got 'avg'"),
        (lambda: F.cross_entropy(X, BAD), IndexError, "target 3 is no class; input has 3, numbered from 0"),
        (
            lambda: F.cross_entropy(X, tinymed.tensor([0, 1, 2])),
            ValueError,
            r"takes a target of shape \[2\], got \[3\]",
        ),
        (lambda: F.cross_entropy(X, ONE, tinymed.ones(2)), ValueError, r"weight has shape \[2\], input has 3"),
        (lambda: F.cross_entropy(X, ONE, label_smoothing=2.0), ValueError, "label_smoothing is from 0 to 1"),
        (lambda: F.cross_entropy(X, ONE, weight_map=tinymed.ones(3)), ValueError, "weight_map has shape"),
        (lambda: F.nll_loss(X, tinymed.tensor([True, False])), TypeError, "class numbers are integers, got bool"),
        (lambda: F.huber_loss(X, X, delta=0.0), ValueError, "delta must be positive"),
    ],
)
def test_wrong_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
