"""Restoration: the noise, PSNR and SSIM beside scikit-image, the networks beside PyTorch, a run by the command line."""

import json
import math

import numpy as np
import pytest
import torch
from beside_torch import beside_torch
from commands import invoke
from datasets import write_image
from PIL import Image

from tinymed import models, random
from tinymed.data import Corruption, Dataset, PatchPairs, open_pictures
from tinymed.data.corruption import FEWEST, KINDS, poisson_quantile
from tinymed.errors import UserError
from tinymed.metrics.restoration import evaluate_restoration, psnr, ssim
from tinymed.models import count_parameters
from tinymed.nn.init import no_weights
from tinymed.tasks.inference.restorer import Restorer
from tinymed.tasks.results.restoration_results import write_restored


def smooth(number: int, height: int = 48, width: int = 40, channels: int = 1) -> np.ndarray:
    """A picture of a few soft discs, uint8."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:height, :width]
    value = np.full((height, width), 40.0)
    for _ in range(4):
        top, left, radius = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(4, 14)
        value += rng.uniform(30, 90) / (1 + np.exp(np.hypot(y - top, x - left) - radius))
    pixels = np.clip(value, 0, 255).astype(np.uint8)
    return pixels if channels == 1 else np.repeat(pixels[:, :, None], channels, axis=2)


# ------------------------------------------------------------------------------------------------------ the noise


class TestNoise:
    @pytest.mark.parametrize("kind", KINDS)
    def test_its_strength_is_what_is_said(self, kind):
        """At a grey of 0.5 the deviation is sigma, sigma / sqrt 2 of counts, sigma / 2 of a factor."""
        image, sigma = np.full((200, 200, 1), 0.5, np.float32), 0.1
        noisy = Corruption(kind, sigma)(image, seed=1, step=2)
        assert noisy.dtype == np.float32
        if kind == "salt_pepper":
            assert (noisy == 0).mean() == pytest.approx(0.05, abs=0.005)
            assert (noisy == 1).mean() == pytest.approx(0.05, abs=0.005)
            assert ((noisy == 0) | (noisy == 1) | (noisy == 0.5)).all()
            return
        expected = {"gaussian": sigma, "poisson": sigma * 0.5**0.5, "speckle": sigma / 2}[kind]
        assert noisy.std() == pytest.approx(expected, rel=0.02)
        assert noisy.mean() == pytest.approx(0.5, abs=0.003)

    @pytest.mark.parametrize("kind", KINDS)
    def test_it_is_a_function_of_seed_and_step(self, kind):
        image, noise = np.full((20, 30, 3), 0.5, np.float32), Corruption(kind, 0.2)
        assert np.array_equal(noise(image, 1, 2), noise(image, 1, 2))
        assert not np.array_equal(noise(image, 1, 2), noise(image, 1, 3))
        assert not np.array_equal(noise(image, 1, 2), noise(image, 2, 2))
        assert noise(image, 1, 2).min() >= 0

    def test_salt_and_pepper_take_whole_pixels(self):
        noisy = Corruption("salt_pepper", 0.5)(np.full((30, 30, 3), 0.5, np.float32), 0, 0)
        assert (np.ptp(noisy, axis=2) == 0).all()

    def test_poisson_is_the_inverse_of_its_distribution(self):
        """As scipy.stats.poisson.ppf: the first k whose probabilities, from logarithms, sum to more than u."""
        rng = np.random.default_rng(0)
        rate, u = rng.uniform(0, 300, 200), rng.uniform(0, 1, 200)
        rate[:3] = 0, 1e-12, 699
        k = np.arange(1200)
        logs = k * np.log(np.maximum(rate, 1e-300))[:, None] - rate[:, None] - np.array([math.lgamma(i + 1) for i in k])
        logs[0] = np.where(k == 0, 0, -np.inf)
        expected = (np.exp(logs).cumsum(axis=1) <= u[:, None]).sum(axis=1)
        assert np.array_equal(poisson_quantile(rate, u), expected)

    def test_poisson_ends_at_the_largest_number_drawn(self):
        largest = np.full(3, (2**32 - 0.5) / 2**32)
        assert np.isfinite(poisson_quantile(np.array([0.0, 1.0, 699.0]), largest)).all()

    @pytest.mark.parametrize(
        ("kind", "sigma", "says"),
        [
            ("rain", 0.1, "choose one of"),
            ("gaussian", 0, "above 0"),
            ("gaussian", float("nan"), "above 0"),
            ("poisson", FEWEST / 2, "photons"),
        ],
    )
    def test_what_is_refused(self, kind, sigma, says):
        with pytest.raises(UserError, match=says):
            Corruption(kind, sigma)


class TestPatches:
    def pairs(self, **more):
        images = np.stack([smooth(i) for i in range(5)])
        data = Dataset(images, np.zeros(5, int), ["picture"])
        return PatchPairs(data, 4, 16, 1, Corruption("gaussian", 0.1), workers=0, **more)

    def test_noise_lies_on_a_cut_of_the_picture(self):
        for noisy, clean, indices in self.pairs(per_image=3, shuffle=True, seed=3).epoch(1):
            assert np.std(noisy - clean) == pytest.approx(0.1, rel=0.15)
            for patch, index in zip(clean[:, 0], indices, strict=True):
                windows = np.lib.stride_tricks.sliding_window_view(smooth(index) / np.float32(255), (16, 16))
                assert (windows == patch).all(axis=(2, 3)).any()

    def test_training_changes_and_validation_does_not(self):
        def first(loader, epoch):
            return next(iter(loader.epoch(epoch)))[0]

        moving, fixed = self.pairs(shuffle=True), self.pairs()
        assert not np.array_equal(first(moving, 0), first(moving, 1))
        assert np.array_equal(first(fixed, 0), first(fixed, 1))

    def test_workers_and_resuming_change_nothing(self):
        whole = list(self.pairs(shuffle=True, per_image=2).epoch(4))
        rest = list(self.pairs(shuffle=True, per_image=2).epoch(4, 1))
        threads = self.pairs(shuffle=True, per_image=2)
        threads.workers = 3
        for one, two, three in zip(whole[1:], rest, list(threads.epoch(4))[1:], strict=True):
            assert all(np.array_equal(a, b) and np.array_equal(a, c) for a, b, c in zip(one, two, three, strict=True))

    def test_a_picture_smaller_than_a_patch_is_mirrored(self):
        data = Dataset(smooth(0, 9, 7)[None], [0], ["picture"])
        _, clean, _ = next(PatchPairs(data, 1, 16, 1, Corruption(), workers=0).epoch())
        assert np.array_equal(clean[0, 0, :9, :7], smooth(0, 9, 7) / np.float32(255))
        assert np.array_equal(clean[0, 0, 9], clean[0, 0, 7])


# ---------------------------------------------------------------------------------------------------- the metrics


class TestMetrics:
    @pytest.mark.parametrize("shape", [(11, 11), (23, 40), (17, 12, 3)])
    @pytest.mark.parametrize("data_range", [1.0, 255.0])
    def test_they_are_scikit_images(self, shape, data_range):
        measure = pytest.importorskip("skimage.metrics")
        rng = np.random.default_rng(0)
        clean = rng.uniform(0, data_range, shape)
        noisy = clean + rng.normal(0, 0.2 * data_range, shape)
        expected = measure.peak_signal_noise_ratio(clean, noisy, data_range=data_range)
        assert psnr(clean, noisy, data_range) == pytest.approx(expected, rel=1e-12)
        more = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        expected = measure.structural_similarity(
            clean, noisy, data_range=data_range, channel_axis=2 if len(shape) == 3 else None, **more
        )
        assert ssim(clean, noisy, data_range) == pytest.approx(expected, abs=1e-10)

    def test_equal_pictures(self):
        assert psnr(smooth(0), smooth(0), 255) == np.inf
        assert ssim(smooth(0), smooth(0), 255) == pytest.approx(1)

    @pytest.mark.parametrize("measure", [psnr, ssim])
    def test_what_is_refused(self, measure):
        with pytest.raises(ValueError, match="one shape"):
            measure(np.zeros((12, 12)), np.zeros((12, 13)), 1)
        with pytest.raises(ValueError, match="data_range"):
            measure(np.zeros((12, 12)), np.zeros((12, 12)), 0)
        with pytest.raises(ValueError, match="11 pixels"):
            ssim(np.zeros((10, 12)), np.zeros((10, 12)), 1)

    def test_the_gain_is_paired(self):
        """Pictures that differ much, each restored by 1 dB: the gain's interval is narrow, the mean's wide."""
        rng = np.random.default_rng(0)
        noisy = rng.uniform(10, 40, 60)
        better = noisy + 1 + 0.1 * rng.normal(size=60)
        result = evaluate_restoration({"psnr": better, "ssim": better / 50}, {"n": {"psnr": noisy, "ssim": noisy / 50}})
        low, high = result["floors"]["n"]["psnr_gain_interval"]
        assert 0.9 < low < result["floors"]["n"]["psnr_gain"] < high < 1.1
        assert np.ptp(result["psnr_interval"]) > 2
        assert not result["warnings"]

    def test_a_miss_and_an_equal_picture_are_said(self):
        result = evaluate_restoration(
            {"psnr": [20.0, 21, np.inf], "ssim": [0.5, 0.6, 1]}, {"n": {"psnr": [22.0, 21, 9], "ssim": [0.6, 0.5, 1]}}
        )
        assert any("not above the floor" in note for note in result["warnings"])
        assert any("equal the clean one" in note for note in result["warnings"])
        assert result["psnr"] == 20.5


# --------------------------------------------------------------------------------------------------- the networks


class TorchDnCNN(torch.nn.Module):
    """Zhang et al. 2017, figure 1."""

    def __init__(self, channels, width, depth):
        super().__init__()
        layers = [torch.nn.Conv2d(channels, width, 3, padding=1), torch.nn.ReLU()]
        for _ in range(depth - 2):
            conv = torch.nn.Conv2d(width, width, 3, padding=1, bias=False)
            layers += [conv, torch.nn.BatchNorm2d(width), torch.nn.ReLU()]
        self.noise = torch.nn.Sequential(*layers, torch.nn.Conv2d(width, channels, 3, padding=1))

    def forward(self, x):
        return x - self.noise(x)


class TorchAutoencoder(torch.nn.Module):
    """Pooled twice, enlarged twice; sides that 4 does not divide are filled up."""

    def __init__(self, channels, width):
        super().__init__()
        conv = torch.nn.Conv2d
        first = [conv(channels, width, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2)]
        second = [conv(width, width, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2)]
        self.encoder = torch.nn.Sequential(*first, *second, conv(width, width, 3, padding=1), torch.nn.ReLU())
        up = [
            layer
            for _ in range(2)
            for layer in (torch.nn.Upsample(scale_factor=2), conv(width, width, 3, padding=1), torch.nn.ReLU())
        ]
        self.decoder = torch.nn.Sequential(*up, conv(width, channels, 3, padding=1))

    def forward(self, x):
        height, width = x.shape[2:]
        filled = torch.nn.functional.pad(x, (0, -width % 4, 0, -height % 4))
        return self.decoder(self.encoder(filled))[:, :, :height, :width]


class TestNetworks:
    def test_dncnn_is_torchs(self):
        model = models.create("dncnn", in_channels=3, base=6, depth=5)
        beside_torch(model, TorchDnCNN(3, 6, 5), [(3, 13, 10)])

    @pytest.mark.parametrize("sides", [(12, 8), (13, 10)])
    def test_the_autoencoder_is_torchs(self, sides):
        model = models.create("denoising_autoencoder", base=5)
        beside_torch(model, TorchAutoencoder(1, 5), [(1, *sides)])

    def test_counts(self):
        with no_weights():
            assert count_parameters(models.create("dncnn")) == 556_097
            assert count_parameters(models.create("dncnn", in_channels=3)) == 556_097 + 2 * 576 + 2 * 577
            assert count_parameters(models.create("denoising_autoencoder")) == 640 + 4 * 36_928 + 577

    def test_dncnn_begins_with_the_picture_itself(self):
        picture = np.random.default_rng(0).uniform(size=(1, 1, 12, 12)).astype(np.float32)
        assert np.array_equal(models.create("dncnn", base=4, depth=3)(picture).array, picture)

    @pytest.mark.parametrize("name", ["dncnn", "denoising_autoencoder"])
    def test_wrong_options(self, name):
        with pytest.raises(UserError, match="at least"):
            models.create(name, depth=0)

    def test_a_large_picture_is_restored_tile_by_tile(self):
        """Away from the seams a tile gives what the whole picture gives."""
        random.manual_seed(0)
        model = models.create("dncnn", base=2, depth=3)
        for parameter in model.parameters():
            parameter.array[...] += np.float32(0.05)
        from tinymed.tasks.heads.restoration_head import RestorationHead

        picture = np.random.default_rng(0).uniform(0.3, 0.6, (20, 600, 1)).astype(np.float32)
        restore = Restorer(model, RestorationHead())
        whole, tiled = restore.scores(picture.transpose(2, 0, 1)[None])[0, 0], restore(picture)[..., 0]
        inner = np.abs(whole - tiled)[4:-4, 4:150]
        assert tiled.shape == (20, 600)
        assert inner.max() < 1e-5


# ------------------------------------------------------------------------------------------------- the command line

QUICK = ["--task", "denoising", "--backend", "numpy", "--workers", "0", "--batch", "8"]
SMALL = ["--option", "base=8", "--option", "depth=4", "--patch-side", "16", "--per-image", "4", "--lr", "1e-2"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    for i in range(30):
        write_image(root / ("train" if i < 18 else "val" if i < 22 else "test") / f"{i:02}.png", smooth(i))
    return root


@pytest.fixture(scope="module")
def run(pictures, tmp_path_factory):
    from tinymed.cli import main

    folder = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", *QUICK, *SMALL, "--data", str(pictures), "--epochs", "3", "--out", str(folder)]) == 0
    return folder


class TestRun:
    def test_it_is_above_the_noisy_picture(self, run):
        found = json.loads((run / "metrics.json").read_text())["test"]
        floor = found["floors"]["noisy"]
        assert found["n"] == 8
        assert floor["psnr_gain_interval"][0] > 1
        assert floor["ssim_gain_interval"][0] > 0
        assert 18 < floor["psnr"] < 22
        assert {"restored.png", "predictions.csv", "curves.png"} <= {p.name for p in run.iterdir()}

    def test_evaluate_gives_the_same_bits(self, run, capsys):
        code, out, _ = invoke(capsys, "evaluate", run, "--json")
        found, before = json.loads(out), json.loads((run / "metrics.json").read_text())["test"]
        assert code == 0
        assert {key: found[key] for key in before} == before

    @pytest.mark.parametrize(("deep", "white"), [(False, None), (True, None)])
    def test_predict_keeps_the_depth(self, run, tmp_path, capsys, deep, white):
        noisy = Corruption()(smooth(40)[..., None] / np.float32(255), 9, 9)[..., 0]
        values = np.rint(noisy * 65535).astype(np.uint16) if deep else np.rint(noisy * 255).astype(np.uint8)
        Image.fromarray(values).save(tmp_path / "noisy.png")
        code, out, _ = invoke(capsys, "predict", run, tmp_path / "noisy.png", "--out", tmp_path / "out", "--json")
        assert code == 0
        restored = np.asarray(Image.open(json.loads(out)[0]["restored"]))
        assert restored.dtype == values.dtype
        assert restored.shape == (48, 40)
        clean, top = smooth(40) / 255, 65535 if deep else 255
        assert psnr(clean, restored / top, 1) > psnr(clean, values / top, 1) + 1

    def test_floating_point_pixels_stay_so(self, tmp_path):
        picture = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4, 1)
        file = write_restored(picture, tmp_path / "a", deep=True, white=2.0)
        assert np.array_equal(np.asarray(Image.open(file)), 2 * picture[..., 0])
        with pytest.raises(UserError, match="--grey"):
            write_restored(np.zeros((3, 4, 3), np.float32), tmp_path / "b", deep=True, white=None)

    def test_an_unreadable_picture_is_named_and_the_others_restored(self, run, tmp_path, capsys):
        (tmp_path / "bad.png").write_bytes(b"no picture")
        write_image(tmp_path / "good.png", smooth(1))
        arguments = (tmp_path / "bad.png", tmp_path / "good.png", "--out", tmp_path / "out")
        code, out, err = invoke(capsys, "predict", run, *arguments)
        assert code == 2
        assert "bad.png" in err
        assert "good.png" in out


class TestMistakes:
    @pytest.mark.parametrize(
        ("options", "says"),
        [
            pytest.param(["--model", "dcnn"], "is no network for denoising", marks=pytest.mark.full),  # tries them all
            (["--sigma", "0"], "--sigma"),
            (["--corruption", "poisson", "--sigma", "0.01"], "photons"),
            (["--corruption", "rain"], "corruption"),
            (["--size", "32"], "--patch-side"),
            (["--noise", "0.1"], "--corruption and --sigma"),
            (["--patch-side", "4"], "patch"),
            (["--label-column", "x"], "not an option of denoising"),
            (["--path-column", "x"], "only a list has columns"),
        ],
    )
    def test_train(self, pictures, tmp_path, capsys, options, says):
        code, _, err = invoke(capsys, "train", *QUICK, "--data", pictures, "--out", tmp_path / "run", *options)
        assert code == 2
        assert says in err
        assert "Traceback" not in err

    def test_predict_needs_a_folder(self, run, pictures, capsys):
        code, _, err = invoke(capsys, "predict", run, pictures / "test" / "22.png")
        assert code == 2
        assert "--out" in err

    def test_a_folder_without_pictures(self, tmp_path):
        with pytest.raises(UserError, match="no pictures"):
            open_pictures(tmp_path)
        with pytest.raises(UserError, match="no such file"):
            open_pictures(tmp_path / "nothing")

    def test_lists_and_loose_folders(self, pictures, tmp_path):
        (pictures / "list.csv").write_text("path,split\n" + "".join(f"train/{i:02}.png,train\n" for i in range(3)))
        assert len(open_pictures(pictures / "list.csv")["train"]) == 3
        write_image(tmp_path / "a" / "deep" / "x.png", smooth(3))
        assert len(open_pictures(tmp_path)["all"]) == 1
