"""Every classifier, FCN and patch network learns 8 synthetic samples, and is the same after saving and loading."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import invoke
from datasets import class_folders

import tinymed
from tinymed import Tensor, models, nn, optim
from tinymed.models.vgg import he_normal
from tinymed.tasks.heads.class_heads import AUXILIARY, make_head

S, T = 1 / 8, 1 / 16
PLAIN = {"num_classes": 2, "dropout": 0.0}
# name: options, side, learning rate
NETWORKS: dict[str, tuple[str, dict[str, Any], int, float]] = {
    "vgg16": ("vgg16", PLAIN | {"width": S, "pooled": 1}, 32, 1e-3),
    "vgg19": ("vgg19", PLAIN | {"width": S, "pooled": 1}, 32, 1e-3),
    "vgg16_bn": ("vgg16_bn", PLAIN | {"width": S, "pooled": 1}, 64, 3e-3),
    "vgg19_bn": ("vgg19_bn", PLAIN | {"width": S, "pooled": 1}, 64, 3e-3),
    "dcnn_vgg16": ("dcnn_vgg16", {"width": S, "size": 32, "dropout": [0.0]}, 32, 1e-3),
    "alexnet": ("alexnet", PLAIN | {"width": S}, 63, 1e-3),
    "alexnet_2012": ("alexnet", PLAIN | {"width": S, "variant": "2012"}, 67, 3e-3),
    "resnet50": ("resnet50", {"num_classes": 2, "width": T}, 32, 1e-2),
    "resnet20": ("resnet20", {"num_classes": 2, "width": 0.25}, 16, 1e-2),
    "xception": ("xception", PLAIN | {"width": T}, 47, 1e-2),
    "densenet121": ("densenet121", PLAIN | {"width": T}, 32, 1e-2),
    "fcn32s": ("fcn32s", PLAIN | {"width": 1 / 32}, 32, 3e-3),
    "fcn16s": ("fcn16s", PLAIN | {"width": 1 / 32}, 32, 5e-3),
    "fcn8s": ("fcn8s", PLAIN | {"width": 1 / 32}, 32, 5e-3),
    "fcrn50": ("fcrn50", {"width": T}, 32, 1e-2),
    "zhang2015": ("zhang2015", PLAIN | {"width": S}, 13, 3e-3),
    "triplanar": ("triplanar", {"width": 0.5}, 28, 3e-3),
    "ciresan_n4": ("ciresan_n4", {"width": 0.25, "in_channels": 3, "size": 63}, 63, 3e-3),
    "kumar_cnn3": ("kumar_cnn3", PLAIN | {"width": 0.25}, 51, 3e-3),
    "transunet_tiny": ("transunet_tiny", {"size": 32, "dropout": 0.0}, 32, 3e-3),
    "axial_unet": ("axial_unet", {"size": 32}, 32, 2e-2),
    "gated_axial_unet": ("gated_axial_unet", {"size": 32}, 32, 2e-2),
    "bonet": ("bonet", PLAIN | {"width": 0.25, "in_channels": 3, "size": 32}, 32, 3e-3),
}


def samples(side: int, maps: bool) -> tuple[Tensor, Tensor]:
    """8 noisy images (8, 3, side, side), bright on the left or on the right; which, or the bright half as a mask."""
    rng = np.random.default_rng(0)
    label = np.arange(8) % 2
    x = rng.normal(0, 0.3, (8, 3, side, side)).astype(np.float32)
    bright = np.arange(side)[None] * 2 // side == label[:, None]
    x += bright[:, None, None].astype(np.float32)
    mask = np.repeat(bright[:, None].astype(np.int64), side, axis=1)
    return Tensor(x), Tensor(mask if maps else label.astype(np.int64))


def learn(model: Any, x: Tensor, target: Tensor, lr: float, most: int = 60) -> tuple[float, float]:
    """(the first loss, the last): steps until a quarter of the first is left."""
    optimizer, first, last = optim.Adam(model.parameters(), lr=lr), 0.0, float("inf")
    loss = nn.MSELoss() if target.dtype.kind == "f" else nn.CrossEntropyLoss()
    for step in range(most):
        optimizer.zero_grad()
        y = loss(model(x), target)
        y.backward()
        optimizer.step()
        first, last = (y.item() if step == 0 else first), y.item()
        if last < 0.25 * first:
            break
    return first, last


def check_round_trip(model: Any, fresh: Any, x: Tensor, path: Path) -> None:
    """Saved, loaded into a network of other initial weights: the same outputs to the bit, with statistics."""
    tinymed.save(model, path)
    fresh.load_state_dict(tinymed.load(path))
    with tinymed.no_grad():
        np.testing.assert_array_equal(fresh.eval()(x).array, model.eval()(x).array)


LONG = "axial_unet", "transunet_tiny"  # one with axial attention, `gated_axial_unet`, runs every time


@pytest.mark.parametrize("case", [pytest.param(c, marks=pytest.mark.full) if c in LONG else c for c in NETWORKS])
@pytest.mark.filterwarnings("ignore::tinymed.nn.StatisticsWarning")
def test_learns_8_samples_and_reloads(case: str, tmp_path: Path) -> None:
    name, options, side, lr = NETWORKS[case]
    tinymed.manual_seed(1)
    model = models.create(name, **options).train()
    if case == "alexnet_2012":
        model.apply(he_normal)  # from the paper's N(0, 0.01^2) it takes thousands of steps to leave the start
    x, target = samples(side, maps=name.startswith("fc") or "unet" in name)
    first, last = learn(model, x, target, lr)
    assert last < 0.25 * first, f"loss {first:.3g} to {last:.3g}"
    check_round_trip(model, models.create(name, **options), x, tmp_path / "weights.safetensors")


@pytest.mark.full
@pytest.mark.parametrize("name", ["logo", "medt"])
@pytest.mark.filterwarnings("ignore::tinymed.nn.StatisticsWarning")
def test_networks_of_patches_learn_and_reload(name: str, tmp_path: Path) -> None:
    """As above, at 128 pixels, the least that their sixteen patches of a quarter's side take."""
    tinymed.manual_seed(1)
    model = models.create(name, size=128).train()
    x, target = samples(128, maps=True)
    x, target = Tensor(x.array[:2]), Tensor(target.array[:2])
    first, last = learn(model, x, target, 1e-2, most=30)
    assert last < 0.5 * first, f"loss {first:.3g} to {last:.3g}"
    check_round_trip(model, models.create(name, size=128), x, tmp_path / "weights.safetensors")


def test_slices_along_z_learn_and_reload(tmp_path: Path) -> None:
    tinymed.manual_seed(1)
    options: dict[str, Any] = {"base": 4, "hidden": 4, "depth": 2}
    model = models.create("unet_convlstm", **options).train()
    pictures, masks = samples(16, maps=True)
    x = Tensor(np.ascontiguousarray(pictures.array.mean(1, keepdims=True)[:, :, None].repeat(3, 2)))
    target = Tensor(np.ascontiguousarray(masks.array[:, None].repeat(3, 1)))
    first, last = learn(model, x, target, 2e-2)
    assert last < 0.25 * first, f"loss {first:.3g} to {last:.3g}"
    check_round_trip(model, models.create("unet_convlstm", **options), x, tmp_path / "weights.safetensors")


@pytest.mark.parametrize("name", ["fcn32s", "fcn16s", "fcn8s", "fcrn50"])
def test_scores_begin_at_zero(name: str) -> None:
    """So the loss begins at the logarithm of the number of classes (Long et al. 2015, section 4.3)."""
    model = models.create(name, num_classes=5, width=1 / 32).eval()
    x, mask = samples(32, maps=True)
    assert abs(nn.CrossEntropyLoss()(model(x), mask).item() - np.log(5)) < 1e-6


def test_mtann_learns_a_gaussian_over_a_lesion(tmp_path: Path) -> None:
    """8 images with a bright blob each: taught the Gaussian about it, the score at the lesion beats that beside it."""
    rng = np.random.default_rng(0)
    tinymed.manual_seed(0)
    model = models.create("mtann")
    centres = [tuple(c) for c in rng.integers(8, 24, (8, 2))]
    blobs = np.stack([models.mtann.gaussian(32, 32, 2.5, c) for c in centres])[:, None]
    x = Tensor(blobs + rng.normal(0, 0.1, blobs.shape).astype(np.float32))
    teacher = Tensor(np.ascontiguousarray(blobs[:, :, 4:-4, 4:-4]))
    first, last = learn(model, x, teacher, 1e-2, most=150)
    assert last < 0.25 * first
    maps = model(x).array
    peaks = [np.unravel_index(m[0].argmax(), (24, 24)) for m in maps]
    assert max(abs(np.array(p) + 4 - c).max() for p, c in zip(peaks, centres, strict=True)) <= 2
    check_round_trip(model, models.create("mtann"), x, tmp_path / "weights.safetensors")


class TestFurtherOutputs:
    """multistream --option auxiliary=true gives (scores, scores of each tract) in training."""

    @pytest.mark.parametrize("name", ["softmax", "sigmoid"])
    def test_each_has_the_same_loss_and_the_first_answers(self, name):
        head = make_head(name, 3, [1.0, 2.0, 0.5])
        rng = np.random.default_rng(0)
        outputs = [tinymed.tensor(rng.normal(size=(4, 3)).astype(np.float32)) for _ in range(3)]
        labels = np.array([0, 2, 1, 1])
        targets = tinymed.tensor(head.targets(labels))
        alone = [head(each, targets).item() for each in outputs]
        wanted = alone[0] + AUXILIARY * (alone[1] + alone[2])
        assert head(tuple(outputs), targets).item() == pytest.approx(wanted, rel=1e-6)
        assert head.correct(tuple(outputs), labels) == head.correct(outputs[0], labels)

    def test_the_command_learns_from_them(self, tmp_path, capsys):
        data = class_folders(tmp_path / "data", {"a": 12, "b": 12})
        small = ["--size", 126, "--option", "width=0.03125", "--option", "hidden=8", "--steps", 2, "--batch", 4]
        options = ["--positive", "a", "--option", "auxiliary=true", "--backend", "numpy", "--workers", 0]
        code, _, err = invoke(
            capsys, "train", "multistream", "--data", data, *small, *options, "--out", tmp_path / "run"
        )
        assert code == 0, err
        assert (tmp_path / "run" / "metrics.json").exists()
