"""PyTorch's side of the segmentation benchmark: the same network, and the same loss, as ours."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

import tinymed
from tinymed import models
from tinymed.data.labels import IGNORED
from tinymed.tasks.heads.mask_head import MaskHead

torch = pytest.importorskip("torch")
BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def benchmark():
    """The benchmark under a name of its own: tests/ has a torch_segmentation too."""
    sys.path.insert(0, str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("benchmarks_torch_segmentation", BENCHMARKS / "torch_segmentation.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.remove(str(BENCHMARKS))
    return module


CASES = [
    ("unet", {"base": 4, "dropout": 0.2}, (1, 1, 188, 188)),
    ("unet_bn", {"base": 4}, (2, 1, 32, 32)),
    ("unet3d", {"base": 2, "padding": "same"}, (1, 1, 16, 16, 16)),
]


@pytest.mark.parametrize(("name", "options", "shape"), CASES, ids=[case[0] for case in CASES])
def test_the_twin_gives_our_scores_with_our_weights(benchmark, name, options, shape):
    ours = models.create(name, num_classes=3, in_channels=1, **options)
    theirs = benchmark.twin_of(name, options, 3, 1)
    benchmark.twins.copy_weights(torch, ours, theirs)
    assert set(ours.state_dict()) == set(theirs.state_dict())  # so that PyTorch's weights load into ours
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    ours.eval(), theirs.eval()
    wanted = theirs(torch.from_numpy(image)).detach().numpy()
    np.testing.assert_allclose(ours(tinymed.tensor(image)).array, wanted, atol=2e-4 * np.abs(wanted).max())


def test_dropout_is_that_of_the_last_two_levels(benchmark):
    drops = benchmark.twin_of("unet", {"base": 2, "dropout": 0.2}, 2, 1).dropout
    assert drops.p == 0.2
    assert benchmark.twin_of("unet", {"base": 2}, 2, 1).dropout.p == 0.5


@pytest.mark.parametrize(
    ("name", "options"),
    [("dcunet", {"base": 4}), ("unet3d", {"base": 4}), ("unet_bn", {"base": 4, "upsample": "bilinear"})],
)
def test_a_network_without_a_twin_is_refused(benchmark, name, options):
    with pytest.raises(SystemExit, match=name):
        benchmark.twin_of(name, options, 2, 1)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_is_ours_of_patches_with_weights_and_ignored_pixels(benchmark, weighted):
    rng = np.random.default_rng(1)
    outputs = rng.normal(size=(2, 3, 6, 5)).astype(np.float32)
    classes = rng.integers(0, 3, (2, 6, 5))
    classes[0, :2] = IGNORED
    weights = rng.uniform(0.5, 5, (2, 6, 5)).astype(np.float32) if weighted else None
    targets = tinymed.tensor(classes) if weights is None else (tinymed.tensor(classes), tinymed.tensor(weights))
    ours = MaskHead(3, "dice_cross_entropy")(tinymed.tensor(outputs), targets).item()
    mapped = None if weights is None else torch.from_numpy(weights)
    theirs = benchmark.loss_of(torch.from_numpy(outputs), torch.from_numpy(classes), mapped).item()
    assert theirs == pytest.approx(ours, rel=1e-5)
