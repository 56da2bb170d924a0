"""A patch network run fully convolutionally gives the scores of sliding it; three planes; patches about voxels."""

import json
from pathlib import Path

import numpy as np
import pytest
from commands import invoke
from masks import mask_tree, volume_tree

import tinymed
from tinymed import nn
from tinymed.check import gradcheck
from tinymed.data.augment import Augment
from tinymed.data.patch_classification import VoxelLoader, cut
from tinymed.data.patches import Cases
from tinymed.data.segmentation_layouts import open_segmentation
from tinymed.data.tiles import mirror
from tinymed.errors import UserError
from tinymed.models import create
from tinymed.models.fully_convolutional import DenseTriplanar, FullyConvolutional
from tinymed.tape import no_grad
from tinymed.tasks.inference.dense_inference import patch_network

NETWORKS = {
    "ciresan_n4": ({"width": 0.05}, 1, 95),
    "zhang2015": ({"width": 0.05}, 3, 13),
    "dcnn": ({"size": 48}, 3, 48),
    "lenet5_modern": ({}, 1, 32),
}


@pytest.fixture(autouse=True)
def reference():
    """Small sizes: the reference backend needs no compiler."""
    with tinymed.use_backend("numpy"):
        yield


def double(model: nn.Module) -> nn.Module:
    """The model in float64 and evaluation mode, its statistics unlike those it began with."""
    random = np.random.default_rng(0)
    model.double().eval()
    for name, buffer in model.named_buffers():
        if name.endswith(("mean", "var")):
            buffer.array[...] = random.uniform(0.5, 1.5, buffer.shape)
    return model


def slid(model: nn.Module, image: np.ndarray, patch: int) -> np.ndarray:
    """Scores [n, classes, rows, columns] of every patch, one by one."""
    rows, columns = (side - patch + 1 for side in image.shape[2:])
    with no_grad():
        scores = [
            [
                model(tinymed.Tensor(np.ascontiguousarray(image[:, :, i : i + patch, j : j + patch]))).array
                for j in range(columns)
            ]
            for i in range(rows)
        ]
    return np.array(scores).transpose(2, 3, 0, 1)


class TestFullyConvolutional:
    @pytest.mark.parametrize("name", NETWORKS)
    def test_it_gives_the_scores_of_sliding(self, name):
        options, channels, patch = NETWORKS[name]
        model = double(create(name, **options))
        image = np.random.default_rng(1).random((2, channels, patch + 3, patch + 2))
        dense = FullyConvolutional(model, patch)
        with no_grad():
            scores = dense(tinymed.Tensor(image)).array
        assert scores.shape[2:] == (4, 3)
        assert np.abs(scores - slid(model, image, patch)).max() < 1e-10

    @pytest.mark.parametrize("pool", [nn.MaxPool2d(3, 2), nn.AvgPool2d(2), nn.MaxPool2d(2, 1), nn.AvgPool2d(3, 2)])
    def test_strides_overlapping_pools_dilation_and_groups(self, pool):
        model = double(
            nn.Sequential(
                nn.Conv2d(2, 4, 3, stride=2),
                nn.ReLU(),
                pool,
                nn.Conv2d(4, 6, 2, dilation=2, groups=2),
                nn.Tanh(),
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
                nn.Linear(6, 5),
                nn.BatchNorm1d(5),
                nn.Linear(5, 3),
            )
        )
        image = np.random.default_rng(1).random((1, 2, 26, 28))
        with no_grad():
            scores = FullyConvolutional(model, 23)(tinymed.Tensor(image)).array
        assert np.abs(scores - slid(model, image, 23)).max() < 1e-10

    def test_it_shares_its_parameters_and_has_gradients(self):
        model = double(create("lenet5_modern"))
        dense = FullyConvolutional(model, 32)
        image = tinymed.tensor(np.random.default_rng(0).random((1, 1, 33, 33)))
        dense(image)[:, 1, 1, 1].sum().backward()
        ours = {name: p.grad.array.copy() for name, p in model.named_parameters()}
        model.zero_grad()
        model(image[:, :, 1:, 1:])[:, 1].sum().backward()
        for name, parameter in model.named_parameters():
            assert np.allclose(parameter.grad.array, ours[name], atol=1e-12), name
        small = nn.Sequential(nn.Conv2d(1, 2, 2), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 2)).double()
        whole = FullyConvolutional(small, 5)
        gradcheck(whole, (tinymed.tensor(np.random.default_rng(0).random((1, 1, 6, 7)), requires_grad=True),))

    @pytest.mark.parametrize(
        ("layers", "message"),
        [
            ([nn.Conv2d(1, 2, 3, padding=1)], "padding"),
            ([nn.Conv2d(1, 2, 3, padding="same")], "padding"),
            ([nn.Conv2d(1, 2, 2), nn.MaxPool2d(2, ceil_mode=True)], "hangs over the border"),
            ([nn.Conv2d(1, 2, 2), nn.AdaptiveAvgPool2d(2)], "cannot be run"),
        ],
    )
    def test_what_depends_on_the_border_is_refused(self, layers, message):
        with pytest.raises(ValueError, match=message):
            FullyConvolutional(nn.Sequential(*layers), 8, 1)

    def test_a_network_with_branches_is_refused(self):
        class Twice(nn.Module):
            def __init__(self):
                super().__init__()
                self.conv, self.flat, self.head = nn.Conv2d(1, 1, 3), nn.Flatten(), nn.Linear(36, 2)

            def forward(self, input):
                return self.head(self.flat(self.conv(input) + self.conv(input)))

        with pytest.raises(ValueError, match="no plain chain"):
            FullyConvolutional(Twice(), 8)

    def test_a_small_image(self):
        with pytest.raises(ValueError, match="smaller than the patch"):
            FullyConvolutional(create("lenet5_modern"), 32)(tinymed.zeros(1, 1, 31, 40))

    def test_what_cannot_be_converted_is_slid(self):
        model = double(create("kumar_cnn3", width=0.05))
        image = np.random.default_rng(0).random((3, 5, 4))
        found = patch_network(model, 51, 3, 1)(image)
        padded = mirror(image, [25, 25], [25, 25])[None]
        assert np.abs(found - slid(model, padded, 51)[0]).max() < 1e-10


class TestTriplanar:
    def test_dense_scores_are_those_of_three_patches(self):
        model, patch = double(create("triplanar", width=0.1, in_channels=6, num_classes=3)), 28
        volume = np.random.default_rng(0).random((4, 3, 5, 2))
        padded = mirror(np.moveaxis(volume, -1, 0), [(patch - 1) // 2] * 3, [patch // 2] * 3)
        with no_grad():
            dense = DenseTriplanar(model, patch)(tinymed.Tensor(padded)).array
            for place in np.ndindex(4, 3, 5):
                planes = cut(volume, place, patch, triplanar=True).transpose(2, 0, 1)[None]
                single = model(tinymed.Tensor(np.ascontiguousarray(planes))).array[0]
                assert np.abs(dense[(slice(None), *place)] - single).max() < 1e-10

    def test_the_planes_of_a_patch(self):
        volume = np.arange(5 * 6 * 7, dtype=np.float32).reshape(5, 6, 7, 1)
        xy, yz, zx = np.moveaxis(cut(volume, (2, 3, 4), 3, triplanar=True), -1, 0)
        assert np.array_equal(xy, volume[1:4, 2:5, 4, 0])
        assert np.array_equal(yz, volume[2, 2:5, 3:6, 0])
        assert np.array_equal(zx, volume[1:4, 3, 3:6, 0].T)
        assert xy[1, 1] == yz[1, 1] == zx[1, 1] == volume[2, 3, 4, 0]
        assert cut(volume, (0, 0, 0), 3)[0, 0, 0] == volume[1, 1, 0, 0]  # mirrored


class TestVoxelLoader:
    def test_the_middle_of_a_patch_has_its_class(self, tmp_path):
        cases = Cases(open_segmentation(mask_tree(tmp_path))["all"], 1)
        how = {"per_image": 8, "augment": Augment(horizontal_flip=True, noise=0.02), "seed": 1}
        batches = list(VoxelLoader(cases, 16, 9, workers=0, **how).epoch(0))
        patches, classes = (np.concatenate([batch[i] for batch in batches]) for i in (0, 1))
        assert patches.shape == (80, 1, 9, 9)
        assert np.mean((patches[:, 0, 4, 4] > 0.53) == classes) > 0.9
        assert 0.4 < classes.mean() < 0.75
        again = list(VoxelLoader(cases, 16, 9, workers=2, **how).epoch(0))
        assert all(np.array_equal(a[0], b[0]) for a, b in zip(batches, again, strict=True))

    def test_three_planes_need_a_volume(self, tmp_path):
        with pytest.raises(UserError, match="volumes"):
            VoxelLoader(Cases(open_segmentation(mask_tree(tmp_path))["all"], 1), 4, 9, triplanar=True)


class TestRuns:
    def run(self, capsys, data: Path, out: Path, *options):
        arguments = ["train", "--task", "segmentation", "--data", data, "--out", out, "--backend", "numpy"]
        arguments += ["--loss", "cross_entropy", "--workers", 0, "--batch", 16, *options]
        code, _, err = invoke(capsys, *arguments)
        assert code == 0, err
        return json.loads((out / "metrics.json").read_text())

    def test_a_patch_network_segments_pictures(self, tmp_path, capsys):
        data = mask_tree(tmp_path / "data", 8, (20, 24))
        options = ["--model", "zhang2015", "--option", "width=0.05", "--option", "dropout=0", "--epochs", 6]
        options += ["--per-image", 48, "--lr", "0.003"]
        metrics = self.run(capsys, data, tmp_path / "r", *options)
        assert metrics["test"]["per_class"]["foreground"]["dice"] > 0.5
        code, _, err = invoke(capsys, "predict", tmp_path / "r", data / "images" / "00.png", "--out", tmp_path / "m")
        assert code == 0, err

    def test_triplanar_segments_volumes(self, tmp_path, capsys):
        pytest.importorskip("nibabel", reason='NIfTI needs nibabel: pip install ".[medical]"')
        data = volume_tree(tmp_path / "data", 6, (8, 9, 7))
        options = ["--model", "triplanar", "--option", "width=0.1", "--per-image", 8, "--epochs", 1]
        metrics = self.run(capsys, data, tmp_path / "r", *options)
        assert set(metrics["val"]["per_class"]) == {"background", "label 1", "label 2"}
        config = json.loads((tmp_path / "r" / "config.json").read_text())
        assert (config["mask"]["planes"], config["data"]["channels"], config["data"]["size"]) == (3, 1, 28)
