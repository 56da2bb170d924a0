"""Losses of segmentation: definitions, gradients beside PyTorch's, ignored and weighted pixels, deep supervision."""

from typing import Any

import numpy as np
import pytest

from tinymed import nn
from tinymed.check import gradcheck
from tinymed.nn import functional as F
from tinymed.tensor import Tensor

torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")

OVERLAPS = ("dice_loss", "jaccard_loss", "tanimoto_loss", "tversky_loss", "focal_tversky_loss")


def true_index(name: str, p: Any, g: Any, smooth: float) -> Any:
    """An index of one class of one image, from the formulas of the papers."""
    if name == "dice_loss":
        return (2 * (p * g).sum() + smooth) / (p.sum() + g.sum() + smooth)
    if name == "jaccard_loss":
        return ((p * g).sum() + smooth) / (p.sum() + g.sum() - (p * g).sum() + smooth)
    if name == "tanimoto_loss":
        return ((p * g).sum() + smooth) / ((p * p).sum() + (g * g).sum() - (p * g).sum() + smooth)
    a, b = (0.5, 0.5) if name == "tversky_loss" else (0.25, 0.75)
    return ((p * g).sum() + smooth) / ((p * g).sum() + a * (p * (1 - g)).sum() + b * ((1 - p) * g).sum() + smooth)


def case(classes: int, space: tuple[int, ...], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Scores (3, classes, *space) and class numbers."""
    return rng.normal(size=(3, classes, *space)), rng.integers(0, max(2, classes), (3, *space))


class TestOverlapLosses:
    @pytest.mark.parametrize("batch", [False, True])
    @pytest.mark.parametrize(("classes", "space"), [(3, (4, 5)), (1, (7,)), (2, (3, 2, 4))])
    @pytest.mark.parametrize("name", OVERLAPS)
    def test_are_the_papers_formulas(
        self, name: str, classes: int, space: tuple[int, ...], batch: bool, rng: Any
    ) -> None:
        scores, target = case(classes, space, rng)
        x, z = Tensor(scores, requires_grad=True), torch.tensor(scores, requires_grad=True)
        p = F.softmax(x, 1) if classes > 1 else F.sigmoid(x)
        ours = getattr(F, name)(p, Tensor(target), smooth=0.1, batch=batch)
        q = torch.softmax(z, 1) if classes > 1 else torch.sigmoid(z)
        hot = np.stack([target == c for c in range(classes)], 1) if classes > 1 else (target == 1)[:, None]
        g = torch.tensor(hot.astype(float))
        images = [slice(None)] if batch else [slice(i, i + 1) for i in range(3)]
        each = torch.stack([1 - true_index(name, q[i, c], g[i, c], 0.1) for i in images for c in range(classes)])
        true = (each**0.75 if name == "focal_tversky_loss" else each).mean()
        assert ours.item() == pytest.approx(true.item(), rel=1e-12)
        ours.backward()
        true.backward()
        np.testing.assert_allclose(x.grad.array, z.grad.numpy(), rtol=1e-9, atol=1e-12)

    @pytest.mark.parametrize("name", OVERLAPS)
    def test_gradients(self, name: str, rng: Any) -> None:
        p, target = rng.uniform(0.1, 0.9, (2, 3, 4)), Tensor(rng.integers(0, 3, (2, 4)))
        gradcheck(lambda x: getattr(F, name)(x, target, reduction="none"), (p,))

    def test_squared_dice_is_vnets(self, rng: Any) -> None:
        p, g = rng.uniform(size=(1, 1, 9)), rng.integers(0, 2, (1, 9))
        true = 1 - 2 * (p[0, 0] * g[0]).sum() / ((p**2).sum() + (g**2).sum())
        assert F.dice_loss(Tensor(p), Tensor(g), squared=True, smooth=0.0).item() == pytest.approx(true, rel=1e-12)

    def test_tversky_with_halves_is_dice_and_with_ones_jaccard(self, rng: Any) -> None:
        p, target = Tensor(rng.uniform(size=(2, 3, 8))), Tensor(rng.integers(0, 3, (2, 8)))
        for weights, other in (
            ({"alpha": 0.5, "beta": 0.5}, F.dice_loss),
            ({"alpha": 1.0, "beta": 1.0}, F.jaccard_loss),
        ):
            ours = F.tversky_loss(p, target, smooth=0.0, **weights)
            assert ours.item() == pytest.approx(other(p, target, smooth=0.0).item(), rel=1e-12)

    @pytest.mark.parametrize("name", OVERLAPS)
    def test_ignored_pixels_might_as_well_not_be_there(self, name: str, rng: Any) -> None:
        p, target = rng.uniform(size=(2, 3, 10)), rng.integers(0, 3, (2, 10))
        wide = np.concatenate([p, rng.uniform(size=(2, 3, 4))], 2)
        labels = np.concatenate([target, np.full((2, 4), 255)], 1)
        x = Tensor(wide, requires_grad=True)
        loss = getattr(F, name)(x, Tensor(labels), ignore_index=255)
        assert loss.item() == pytest.approx(getattr(F, name)(Tensor(p), Tensor(target)).item(), rel=1e-12)
        loss.backward()
        assert not x.grad.array[:, :, 10:].any()

    def test_a_weight_map_repeats_pixels(self, rng: Any) -> None:
        p, target, times = rng.uniform(size=(1, 2, 6)), rng.integers(0, 2, (1, 6)), np.array([1, 2, 0, 3, 1, 1])
        ours = F.dice_loss(Tensor(p), Tensor(target), weight_map=Tensor(times[None].astype(float)))
        true = F.dice_loss(Tensor(np.repeat(p, times, 2)), Tensor(np.repeat(target, times, 1)))
        assert ours.item() == pytest.approx(true.item(), rel=1e-12)

    def test_class_weights_and_reductions(self, rng: Any) -> None:
        p, target = Tensor(rng.uniform(size=(4, 3, 8))), Tensor(rng.integers(0, 3, (4, 8)))
        each = F.dice_loss(p, target, reduction="none").array
        assert each.shape == (4, 3)
        assert F.dice_loss(p, target, reduction="none", batch=True).shape == (3,)
        assert F.dice_loss(p, target, reduction="sum").item() == pytest.approx(each.mean(1).sum())
        no_background = F.dice_loss(p, target, Tensor(np.array([0.0, 1.0, 3.0])))
        assert no_background.item() == pytest.approx((each @ [0, 0.25, 0.75]).mean())

    def test_absent_classes_cost_nothing(self) -> None:
        p, target = np.zeros((1, 3, 5)), np.zeros((1, 5), np.int64)
        p[:, 0] = 1
        for name in OVERLAPS:
            assert getattr(F, name)(Tensor(p), Tensor(target)).item() == pytest.approx(0, abs=1e-5)

    def test_wrong_arguments(self) -> None:
        p = Tensor(np.zeros((2, 3, 4)))
        for target, message in (
            (np.zeros((2, 3), int), "takes class numbers"),
            (np.zeros((2, 4)), "must be of one shape"),
        ):
            with pytest.raises(ValueError, match=message):
                F.dice_loss(p, Tensor(target))
        with pytest.raises(ValueError, match="one a class"):
            F.dice_loss(p, Tensor(np.zeros((2, 4), int)), Tensor(np.ones(2)))
        with pytest.raises(ValueError, match="weight_map has shape"):
            F.dice_loss(p, Tensor(np.zeros((2, 4), int)), weight_map=Tensor(np.ones((2, 5))))
        with pytest.raises(ValueError, match="reduction is one of"):
            F.dice_loss(p, Tensor(np.zeros((2, 4), int)), reduction="batch")


class TestModules:
    @pytest.mark.parametrize("name", ["DiceLoss", "JaccardLoss", "TanimotoLoss", "TverskyLoss", "FocalTverskyLoss"])
    def test_take_scores(self, name: str, rng: Any) -> None:
        scores, target = case(3, (5,), rng)
        function = {
            "DiceLoss": F.dice_loss,
            "JaccardLoss": F.jaccard_loss,
            "TanimotoLoss": F.tanimoto_loss,
            "TverskyLoss": F.tversky_loss,
            "FocalTverskyLoss": F.focal_tversky_loss,
        }[name]
        ours = getattr(nn, name)(ignore_index=2)(Tensor(scores), Tensor(target))
        assert ours.item() == function(F.softmax(Tensor(scores), 1), Tensor(target), ignore_index=2).item()

    def test_pixel_cross_entropy_is_torchs(self, rng: Any) -> None:
        scores, target = case(3, (4, 5), rng)
        target[0, 0] = 255
        weight = np.array([1.0, 2.0, 0.5])
        ours = nn.PixelCrossEntropyLoss(weight, 255, reduction="sum")(Tensor(scores), Tensor(target))
        true = torch.nn.functional.cross_entropy(
            torch.tensor(scores), torch.tensor(target), torch.tensor(weight), ignore_index=255, reduction="sum"
        )
        assert ours.item() == pytest.approx(true.item(), rel=1e-6)  # the module's weights are float32

    def test_pixel_cross_entropy_of_one_class_is_binary(self, rng: Any) -> None:
        scores, target = case(1, (4, 5), rng)
        weights = rng.uniform(0.5, 2, target.shape)
        x, z = Tensor(scores, requires_grad=True), torch.tensor(scores, requires_grad=True)
        ours = nn.PixelCrossEntropyLoss(reduction="sum")(x, Tensor(target), Tensor(weights))
        true = torch.nn.functional.binary_cross_entropy_with_logits(
            z[:, 0], torch.tensor(target, dtype=torch.float64), torch.tensor(weights), reduction="sum"
        )
        assert ours.item() == pytest.approx(true.item(), rel=1e-12)
        ours.backward()
        true.backward()
        np.testing.assert_allclose(x.grad.array, z.grad.numpy(), rtol=1e-10)
        weighted = nn.PixelCrossEntropyLoss([3.0], reduction="sum")(Tensor(scores), Tensor(target)).item()
        true = torch.nn.functional.binary_cross_entropy_with_logits(
            z[:, 0], torch.tensor(target).double(), reduction="sum", pos_weight=torch.tensor(3.0)
        )
        assert weighted == pytest.approx(true.item(), rel=1e-6)

    def test_focal(self, rng: Any) -> None:
        scores, target = case(3, (4,), rng)
        p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        chosen = np.take_along_axis(p, target[:, None], 1)[:, 0]
        ours = nn.FocalLoss(gamma=1.5)(Tensor(scores), Tensor(target))
        assert ours.item() == pytest.approx(((1 - chosen) ** 1.5 * -np.log(chosen)).mean(), rel=1e-10)
        one, labels = case(1, (6,), rng)
        p = 1 / (1 + np.exp(-one[:, 0]))
        chosen = np.where(labels == 1, p, 1 - p)
        ours = nn.FocalLoss()(Tensor(one), Tensor(labels))
        assert ours.item() == pytest.approx(((1 - chosen) ** 2 * -np.log(chosen)).mean(), rel=1e-10)

    @pytest.mark.parametrize("classes", [1, 3])
    def test_dice_and_cross_entropy(self, classes: int, rng: Any) -> None:
        scores, target = case(classes, (4, 4), rng)
        x, t = Tensor(scores), Tensor(target)
        ours = nn.dice_cross_entropy(0.3, 0.7, squared=True)(x, t)
        true = 0.3 * nn.PixelCrossEntropyLoss()(x, t).item() + 0.7 * nn.DiceLoss(squared=True)(x, t).item()
        assert ours.item() == pytest.approx(true, rel=1e-12)
        with pytest.raises(ValueError, match="2 losses take 2 weights"):
            nn.SumLoss([nn.DiceLoss(), nn.DiceLoss()], [1.0])


class TestDeepSupervision:
    def test_weighted_sum_over_outputs(self, rng: Any) -> None:
        (a, target), (b, _) = case(2, (4, 6), rng), case(2, (4, 6), rng)
        outputs, t, loss = (Tensor(a), Tensor(b)), Tensor(target), nn.PixelCrossEntropyLoss()
        one, two = (loss(o, t).item() for o in outputs)
        assert nn.DeepSupervision(loss, auxiliary=0.25)(outputs, t).item() == pytest.approx(one + 0.25 * two)
        assert nn.DeepSupervision(loss, [2.0, 3.0])(outputs, t).item() == pytest.approx(2 * one + 3 * two)
        assert nn.DeepSupervision(loss)(outputs[0], t).item() == pytest.approx(one)
        with pytest.raises(ValueError, match="2 outputs, but 1 weights"):
            nn.DeepSupervision(loss, [1.0])(outputs, t)

    def test_smaller_outputs_see_the_nearest_pixels(self, rng: Any) -> None:
        small = Tensor(rng.normal(size=(1, 2, 2, 3)))
        labels = rng.integers(0, 2, (1, 2, 3))
        target = Tensor(labels.repeat(2, 1).repeat(3, 2))
        loss = nn.PixelCrossEntropyLoss()
        ours = nn.DeepSupervision(loss)((small,), target)
        assert ours.item() == pytest.approx(loss(small, Tensor(labels)).item(), rel=1e-12)

    def test_class_scores_take_the_target_as_it_is(self, rng: Any) -> None:
        x, t = Tensor(rng.normal(size=(4, 3))), Tensor(np.array([0, 2, 1, 1]))
        loss = nn.CrossEntropyLoss()
        assert nn.DeepSupervision(loss)((x, x), t).item() == pytest.approx(2 * loss(x, t).item())
