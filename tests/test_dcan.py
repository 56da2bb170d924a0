"""DCAN: the network beside PyTorch, the loss of its two heads, the rule that fuses them, a run by command."""

import json

import numpy as np
import pytest
from commands import invoke
from masks import mask_tree

import tinymed
from tinymed import Tensor, models
from tinymed.data.contours import contours
from tinymed.errors import UserError
from tinymed.nn import functional as F
from tinymed.tasks.heads.contour_head import ContourHead
from tinymed.tasks.heads.mask_head import MaskHead

torch = pytest.importorskip("torch")


def theirs(state, x, classes, auxiliary):
    """The same network as PyTorch's functions on our weights, in training mode."""
    f = torch.nn.functional

    def unit(y, level, place):
        name = f"down.{level}.{place}"
        y = f.conv2d(y, state[f"{name}.weight"], padding=1)
        norm = f"down.{level}.{place + 1}"
        return f.relu(f.batch_norm(y, None, None, state[f"{norm}.weight"], state[f"{norm}.bias"], True))

    levels, y = [], x
    for level in range(5):
        y = unit(unit(f.max_pool2d(y, 2) if level else y, level, 0), level, 3)
        levels.append(y)
    maps = []
    for i, t in enumerate(levels[2:]):
        heads = [f.conv2d(t, state[f"{n}.{i}.weight"], state[f"{n}.{i}.bias"]) for n in ("objects", "outlines")]
        maps.append(torch.cat([f.interpolate(s, x.shape[2:], mode="bilinear") for s in heads], 1))
    return [sum(maps), *maps] if auxiliary else [sum(maps)]


@pytest.mark.parametrize("auxiliary", [False, True])
def test_it_is_pytorchs_composition(auxiliary):
    with tinymed.use_backend("numpy"):
        tinymed.manual_seed(0)
        model = models.create("dcan", in_channels=2, width=1 / 16, auxiliary=auxiliary).double().train()
        x = np.random.default_rng(0).normal(size=(2, 2, 33, 40))
        outputs = model(Tensor(x)) if auxiliary else [model(Tensor(x))]
        rng = np.random.default_rng(1)
        cotangents = [rng.normal(size=o.shape) for o in outputs]
        sum((o * Tensor(c)).sum() for o, c in zip(outputs, cotangents, strict=True)).backward()
    state = {k: torch.tensor(v.array, requires_grad=v.array.dtype.kind == "f") for k, v in model.state_dict().items()}
    other = theirs(state, torch.tensor(x), 2, auxiliary)
    assert len(outputs) == len(other) == (4 if auxiliary else 1)
    sum((o * torch.tensor(c)).sum() for o, c in zip(other, cotangents, strict=True)).backward()
    for one, two in zip(outputs, other, strict=True):
        np.testing.assert_allclose(one.array, two.detach().numpy(), rtol=1e-8, atol=1e-8)
    for name, parameter in model.named_parameters():
        want = state[name].grad.numpy()
        np.testing.assert_allclose(parameter.grad.array, want, rtol=1e-8, atol=1e-8 * np.abs(want).max(), err_msg=name)


def test_parameters_by_the_formula():
    widths = (64, 128, 256, 512, 512)
    count, before = 0, 3
    for n in widths:
        count += 9 * before * n + 9 * n * n + 4 * n
        before = n
    count += 2 * sum(2 * n + 2 for n in widths[2:])
    assert models.describe("dcan")["parameters"] == count


def test_small_images_are_refused():
    with tinymed.no_grad(), pytest.raises(ValueError, match="at least 16"):
        models.create("dcan", width=1 / 16)(tinymed.zeros(1, 3, 15, 20))


class TestHead:
    def outputs(self, count, seed=0):
        rng = np.random.default_rng(seed)
        return [Tensor(rng.normal(size=(2, 4, 6, 7)).astype(np.float32), requires_grad=True) for _ in range(count)]

    @pytest.mark.parametrize("loss", ["cross_entropy", "dice_cross_entropy", "focal"])
    def test_the_loss_is_the_sum_of_all_maps(self, loss):
        labels = np.random.default_rng(2).integers(0, 2, (2, 6, 7))
        head, plain, outputs = ContourHead(2, loss, auxiliary=0.3, radius=1), MaskHead(2, loss), self.outputs(3)
        numbers, lines = head.targets(labels)
        assert np.array_equal(lines[1], contours(labels[1], 1))
        each = [plain(o[:, :2], Tensor(numbers)).item() + plain(o[:, 2:], Tensor(lines)).item() for o in outputs]
        want = each[0] + 0.3 * (each[1] + each[2])
        assert head(outputs, (Tensor(numbers), Tensor(lines))).item() == pytest.approx(want, rel=1e-5)

    def test_fusion_is_the_papers_rule(self):
        (scores,) = self.outputs(1)
        objects, lines = (F.softmax(o, 1).array[:, 1] for o in (scores[:, :2], scores[:, 2:]))
        fused = ContourHead(2).read(scores)
        np.testing.assert_allclose(fused.sum(axis=1), 1, rtol=1e-6)
        assert np.array_equal(fused.argmax(axis=1) == 1, (objects > 0.5) & (lines < 0.5))

    def test_it_is_for_two_classes(self):
        with pytest.raises(UserError, match="objects of one class"):
            ContourHead(3)


class TestCommand:
    def test_a_run(self, tmp_path, capsys):
        data, out = mask_tree(tmp_path / "data", 16), tmp_path / "run"
        small = ["--size", 32, "--batch", 4, "--backend", "numpy", "--workers", 0, "--epochs", 12, "--lr", "0.01"]
        options = ["--task", "segmentation", "--model", "dcan", "--option", "width=0.0625", "--contour", 1]
        code, _, err = invoke(capsys, "train", "--data", data, *options, *small, "--out", out)
        assert code == 0, err
        assert json.loads((out / "metrics.json").read_text())["val"]["dice"] > 0.5
        code, text, err = invoke(capsys, "evaluate", out, "--postprocess", "objects,fill", "--json")
        assert code == 0, err
        found = json.loads(text)
        for name in ("aji", "rand_error", "warping_error"):
            low, high = found[f"{name}_interval"]
            assert 0 <= low <= found[name] <= high <= 1
            assert name in found["refinement"]["difference"]
        code, _, err = invoke(capsys, "export", out)
        assert code == 0, err
        picture = sorted((data / "images").iterdir())[0]
        code, _, err = invoke(capsys, "predict", out, picture, "--out", tmp_path / "m")
        assert code == 0, err

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["--model", "unet_bn", "--contour", 2], "no head for contours"),
            (["--model", "dcan", "--border-weight", 5], "--border-weight"),
            (["--model", "dcan", "--boundary", 1], "objects of one class"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, tmp_path, capsys, options, words):
        data = mask_tree(tmp_path / "data", 8)
        fixed = ["--task", "segmentation", "--data", data, "--size", 32, "--out", tmp_path / "r", "--backend", "numpy"]
        code, _, err = invoke(capsys, "train", *fixed, *options)
        assert code == 2
        assert words in err
