"""Mixup and cutmix: what is drawn, what is mixed, and soft labels from the loader to the printed accuracy."""

import re

import numpy as np
import pytest
import scipy.stats
from commands import invoke, write_images
from PIL import Image

import tinymed
from tinymed.data import Dataset, Loader, Mixing, mix_batch, open_dataset, prepare
from tinymed.data.augment import draw
from tinymed.data.augment.mixing import mixing_of, symmetric_beta
from tinymed.errors import UserError
from tinymed.tasks.heads.class_heads import SigmoidHead, SoftmaxHead

torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")


class TestDrawing:
    @pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0, 4.0])
    def test_shares_are_of_the_beta_distribution(self, alpha):
        u, v = np.random.default_rng(0).random((2, 20_000))
        drawn = symmetric_beta(alpha, u, v)
        low = drawn[drawn < 0.5]  # near 1, float64 is too coarse for a small alpha
        assert scipy.stats.kstest(low, lambda x: 2 * scipy.stats.beta(alpha, alpha).cdf(x)).pvalue > 0.01
        assert scipy.stats.binomtest(len(low), len(drawn)).pvalue > 0.01

    def test_a_tiny_alpha_gives_ends_without_a_warning(self):
        drawn = symmetric_beta(1e-4, *np.random.default_rng(1).random((2, 1000)))
        assert np.isfinite(drawn).all()
        assert ((drawn < 1e-6) | (drawn > 1 - 1e-6)).mean() > 0.99

    def test_every_image_is_the_partner_of_one_other(self):
        for count in (2, 3, 8):
            partners, *_ = mixing_of(Mixing(mixup=1.0), draw(0, 0, np.arange(count)), 4, 4)
            assert sorted(partners) == list(range(count))
            assert (partners != np.arange(count)).all()

    def test_a_share_depends_on_its_image_alone(self):
        rows = draw(5, 2, np.array([3, 9, 4]))
        shares = mixing_of(Mixing(mixup=0.4), rows, 4, 4)[1]
        assert shares[1] == mixing_of(Mixing(mixup=0.4), draw(5, 2, np.array([9])), 4, 4)[1][0]

    def test_boxes_have_the_area_that_labels_lose(self):
        shares, boxes = mixing_of(Mixing(cutmix=1.0), draw(0, 0, np.arange(400)), 16, 24)[1:]
        area = (boxes[:, 1] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 2])
        assert np.array_equal(shares, 1 - area / (16 * 24))
        assert (boxes >= 0).all()
        assert (boxes <= [16, 16, 24, 24]).all()
        assert 0.55 < shares.mean() < 0.75  # uniform, less what lies outside

    def test_both_by_chance(self):
        boxes = mixing_of(Mixing(1.0, 1.0), draw(0, 0, np.arange(400)), 32, 32)[2]
        assert 140 < (boxes[:, 1] > boxes[:, 0]).sum() < 240

    def test_refusals(self):
        with pytest.raises(UserError, match="mixup"):
            Mixing(mixup=-1)
        with pytest.raises(UserError, match="cutmix"):
            Mixing(cutmix=float("nan"))


class TestBatch:
    def test_mixup_by_its_formula(self):
        images = np.random.default_rng(0).random((5, 4, 3, 2), np.float32)
        labels, rows = np.eye(5, dtype=np.float32), draw(0, 1, np.arange(5))
        partners, shares, _ = mixing_of(Mixing(mixup=0.7), rows, 4, 3)
        mixed, soft = mix_batch(images, labels, Mixing(mixup=0.7), rows)
        for i, (partner, share) in enumerate(zip(partners, shares, strict=True)):
            assert np.allclose(mixed[i], share * images[i] + (1 - share) * images[partner], atol=1e-6)
            assert np.allclose(soft[i], share * labels[i] + (1 - share) * labels[partner], atol=1e-6)

    def test_cutmix_takes_every_pixel_from_one_of_two(self):
        images = np.repeat(np.arange(6, dtype=np.float32), 64).reshape(6, 8, 8, 1)
        rows = draw(0, 2, np.arange(6))
        mixed, soft = mix_batch(images, np.eye(6, dtype=np.float32), Mixing(cutmix=1.0), rows)
        for i in range(6):
            counts = np.bincount(mixed[i].ravel().astype(int), minlength=6)
            assert np.allclose(counts / 64, soft[i], atol=1e-6)

    def test_nothing_given_is_changed(self):
        images, labels = np.random.default_rng(0).random((3, 4, 4, 1), np.float32), np.eye(3, dtype=np.float32)
        before = images.copy(), labels.copy()
        mix_batch(images, labels, Mixing(1.0, 1.0), draw(0, 0, np.arange(3)))
        assert np.array_equal(images, before[0])
        assert np.array_equal(labels, before[1])


class TestLoader:
    DATA = Dataset(np.random.default_rng(0).integers(0, 256, (10, 8, 8, 3), np.uint8), [0, 1, 2] * 3 + [0], list("abc"))

    def test_soft_labels_the_same_for_any_workers_and_after_a_resume(self):
        def epoch(workers, start=0):
            loader = Loader(self.DATA, 4, 8, shuffle=True, mixing=Mixing(0.4, 1.0), seed=2, workers=workers)
            return list(loader.epoch(1, start))

        one, two = epoch(0), epoch(2)
        assert [labels.dtype for _, labels, _ in one] == [np.float32] * 3
        for a, b in zip(one, two, strict=True):
            assert all(np.array_equal(p, q) for p, q in zip(a, b, strict=True))
            assert np.allclose(a[1].sum(axis=1), 1)
        assert np.array_equal(epoch(0, 2)[0][0], one[2][0])
        assert ((one[0][1] > 0).sum(axis=1) > 1).any()

    def test_without_mixing_labels_are_numbers(self):
        loader = Loader(self.DATA, 4, 8, mixing=Mixing(), workers=0)
        assert next(loader.epoch())[1].dtype == np.int64


class TestHeads:
    SCORES = np.array([[2.0, 0.0, -1.0], [0.0, 1.0, 3.0]], np.float32)
    SOFT = np.array([[0.7, 0.3, 0.0], [0.0, 0.6, 0.4]], np.float32)

    @pytest.mark.parametrize("head", [SoftmaxHead, SigmoidHead])
    @pytest.mark.parametrize("weights", [None, [1.0, 2.0, 0.5]])
    def test_the_loss_and_its_gradient_are_pytorchs(self, head, weights):
        head = head(3, weights)
        scores = tinymed.tensor(self.SCORES, requires_grad=True)
        loss = head(scores, tinymed.tensor(head.targets(self.SOFT)))
        loss.backward()
        x, t = torch.tensor(self.SCORES, requires_grad=True), torch.tensor(self.SOFT)
        w = None if weights is None else torch.tensor(weights)
        if isinstance(head, SoftmaxHead):
            theirs = torch.nn.functional.cross_entropy(x, t, w)
        else:
            of_image = None if w is None else (t @ w)[:, None]
            theirs = torch.nn.functional.binary_cross_entropy_with_logits(x, t, of_image)
        theirs.backward()
        assert loss.item() == pytest.approx(theirs.item(), rel=1e-6)
        assert np.allclose(scores.grad.numpy(), x.grad.numpy(), atol=1e-7)

    def test_accuracy_counts_the_share_of_the_answer(self):
        outputs = tinymed.tensor(self.SCORES)
        assert SoftmaxHead(3).correct(outputs, self.SOFT) == pytest.approx(0.7 + 0.4)
        assert SoftmaxHead(3).correct(outputs, np.array([0, 1])) == 1


class TestCommandLine:
    def test_a_mixed_run_says_how_its_accuracy_counts(self, tmp_path, capsys):
        data = write_images(tmp_path / "cells", ["clear", "parasite"], 8)
        rich = "--turns --shear 5 --crop 0.9 --gamma 0.2 --saturation 0.2 --hue 0.05 --stain 0.03 --pca-colour 0.1"
        rich += " --cutout 0.2 --mixup 0.4 --cutmix 1 --border constant --fill 0.5 --elastic 1"
        size = ["--size", "46", "--epochs", "1", "--batch", "4", "--positive", "parasite", "--backend", "numpy"]
        code, _, err = invoke(capsys, "train", "--data", data, "--out", tmp_path / "run", *size, *rich.split())
        assert code == 0, err
        assert "labels are mixed" in err
        config = (tmp_path / "run" / "config.json").read_text()
        assert '"cutmix": 1.0' in config

    def test_a_preview_is_what_training_would_see(self, tmp_path, capsys):
        data, picture = write_images(tmp_path / "cells", ["clear", "parasite"], 8), tmp_path / "seen.png"
        common = ["--data", data, "--size", "46", "--batch", "3", "--positive", "parasite", "--normalise"]
        common += ["--recipe", "paper"]
        code, _, err = invoke(capsys, "train", *common, "--preview", picture, "--turns", "--backend", "numpy")
        assert code == 0, err
        with Image.open(picture) as opened:
            seen = np.asarray(opened)
        assert seen.shape == (6 * 48 - 2, 3 * 48 - 2, 3)
        every = open_dataset(data)["all"]
        images = [every.image(i) for i in range(len(every))]
        originals = [prepare(pixels, 46, 3) for pixels in images]
        assert any(np.abs(seen[:46, :46].astype(int) - np.rot90(o, k)).max() <= 1 for o in originals for k in range(4))
        assert not (tmp_path / "runs").exists()
        code, _, err = invoke(capsys, "train", *common, "--preview", tmp_path / "seen.jpg", "--backend", "numpy")
        assert code == 2
        assert "ends in .png" in err

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            (["--mixup", "-1"], "--mixup"),
            (["--cutmix", "nan"], "--cutmix"),
            (["--hue", "0.7"], "--hue"),
            (["--crop", "0"], "--crop"),
            (["--shear", "90"], "--shear"),
            (["--border", "wrap"], "--border"),
            (["--fill", "0.5"], "--fill.*--border constant"),
            (["--stain", "0.1", "--grey"], "--stain.*--rgb"),
            (["--saturation", "0.1", "--grey"], "--saturation.*--rgb"),
            (["--model", "lenet5", "--mixup", "1"], "--head softmax"),
        ],
    )
    def test_a_mistake_is_one_sentence(self, given, said, tmp_path, capsys):
        code, _, err = invoke(capsys, "train", "--out", tmp_path / "run", "--synthetic-images", "40", *given)
        assert code == 2
        assert re.search(said, err), err
        assert "Traceback" not in err
