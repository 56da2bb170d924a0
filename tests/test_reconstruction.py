"""Images without labels, auto-encoders by the command line, and greedy pre-training: read, damaged, learnt, resumed."""

import csv
import json

import numpy as np
import pytest
from commands import invoke
from datasets import picture, write_image
from masks import volume_tree

import tinymed
from tinymed import Tensor, models, nn
from tinymed.data.dataset import Dataset
from tinymed.data.loader import Loader
from tinymed.data.unlabelled import open_unlabelled, pixels_of
from tinymed.errors import UserError
from tinymed.metrics.reconstruction import evaluate_reconstruction, mean_squared_errors, peak_signal_to_noise
from tinymed.tasks.heads.pixel_head import PixelHead
from tinymed.tasks.inference.corrupted import Corrupted
from tinymed.tasks.inference.reconstruct import trivial_methods
from tinymed.train.run import Run
from tinymed.unsupervised import PretrainConfig, pretrain_layers


def smooth(number, side=16):
    """A picture that three numbers make: a linear code of four holds the whole set."""
    a, b, c = np.random.default_rng(number).uniform(-1, 1, 3)
    y, x = np.mgrid[:side, :side] / side
    values = 0.5 + 0.25 * (a * np.cos(3 * x) + b * np.sin(4 * y) + c * np.cos(5 * x * y)) / 1.5
    return np.clip(255 * values, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """80 smooth pictures in train, val and test, with a list that has patients."""
    root = tmp_path_factory.mktemp("pictures")
    rows = [["file", "person", "part"]]
    for i in range(80):
        part = ("train", "train", "val", "test")[i // 2 % 4]
        write_image(root / part / f"{i:02}.png", smooth(i))
        rows.append([f"{part}/{i:02}.png", f"p{i // 2}", part])
    with (root / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return root


QUICK = ["--backend", "numpy", "--workers", "0", "--batch", "8", "--size", "16"]


class TestReading:
    def test_folders_lists_and_arrays(self, pictures, tmp_path):
        sets = open_unlabelled(pictures)
        assert {name: len(part) for name, part in sets.items()} == {"train": 40, "val": 20, "test": 20}
        listed = open_unlabelled(pictures / "list.csv", split_column="part", group_column="person")
        assert {name: len(np.unique(part.groups)) for name, part in listed.items()} == {
            "train": 20,
            "val": 10,
            "test": 10,
        }
        labels = np.arange(3)
        np.savez(
            tmp_path / "a.npz", train_images=np.stack([picture(i, 8, 8, 1) for i in range(3)]), train_labels=labels
        )
        assert len(open_unlabelled(tmp_path / "a.npz")["train"]) == 3
        assert set(open_unlabelled(pictures / "train")) == {"all"}

    def test_labels_are_not_read(self, tmp_path):
        """Folders of one class, or pictures beside folders, are as good as any; one picture twice in a list is one."""
        write_image(tmp_path / "only" / "a.png", picture(1))
        write_image(tmp_path / "b.png", picture(2))
        assert len(open_unlabelled(tmp_path)["all"]) == 2
        (tmp_path / "l.csv").write_text("path,finding\nb.png,edema\nb.png,mass\n")
        assert len(open_unlabelled(tmp_path / "l.csv")["all"]) == 1

    def test_the_same_picture_on_two_sides_is_told(self, tmp_path):
        for part in ("train", "test"):
            write_image(tmp_path / part / f"{part}.png", picture(1))
        with pytest.raises(UserError, match=r"train\.png"):
            open_unlabelled(tmp_path)

    @pytest.mark.parametrize("channels", [1, 3])
    def test_patches_of_pictures_are_cut_not_resized(self, tmp_path, channels):
        image = write_image(tmp_path / "a.png", picture(3, 20, 14))
        part = open_unlabelled(tmp_path, patches=6, size=5, channels=channels)["all"]
        whole = Dataset([image], [0], ["a"]).image(0) if channels == 3 else open_unlabelled(tmp_path)["all"].image(0)
        from tinymed.data.image import with_channels

        whole = with_channels(whole, channels)
        windows = np.lib.stride_tricks.sliding_window_view(whole, (5, 5), (0, 1)).transpose(0, 1, 3, 4, 2)
        every = {window.tobytes() for row in windows for window in map(np.ascontiguousarray, row)}
        assert all(np.ascontiguousarray(part.image(i)).tobytes() in every for i in range(6))
        assert len({part.image(i).tobytes() for i in range(6)}) > 1

    def test_patches_of_volumes(self, tmp_path):
        """Their places depend on the seed alone, a file is a group, three channels are three neighbouring slices."""
        pytest.importorskip("nibabel", reason='NIfTI needs nibabel: pip install ".[medical]"')
        folder = volume_tree(tmp_path, 3) / "images"
        grey = open_unlabelled(folder, patches=9, size=6)["all"]
        again = open_unlabelled(folder, patches=9, size=6)["all"]
        other = open_unlabelled(folder, patches=9, size=6, seed=1)["all"]
        assert grey.samples.shape == (27, 6, 6, 1)
        assert len(np.unique(grey.groups)) == 3
        np.testing.assert_array_equal(grey.samples, again.samples)
        assert not np.array_equal(grey.samples, other.samples)
        planes = open_unlabelled(folder, patches=9, size=6, channels=3)["all"].samples
        assert planes.shape == (27, 6, 6, 3)
        assert (planes[..., 0] != planes[..., 1]).any()
        assert open_unlabelled(folder, patches=2, size=20)["all"].samples.shape == (6, 20, 20, 1)  # mirrored
        with pytest.raises(UserError, match="--patches"):
            open_unlabelled(folder)
        with pytest.raises(UserError, match="more than twice as large"):
            open_unlabelled(folder, patches=2, size=200)
        write_image(folder / "a.png", picture(1))
        with pytest.raises(UserError, match="of one kind"):
            open_unlabelled(folder, patches=2)


class TestDamage:
    def loader(self, **more):
        images = np.stack([picture(i, 8, 8, 1) for i in range(12)])
        return Loader(Dataset(images, [0] * 12, ["a"]), 5, 8, 1, workers=0, **more)

    @pytest.mark.parametrize("kind", ["mask", "noise"])
    def test_is_a_function_of_seed_epoch_and_image(self, kind):
        whole = Corrupted(self.loader(mean=[0.4], std=[0.3], shuffle=True), kind, 0.3, seed=1)
        seen = {int(i): x for xs, _, rows in whole.epoch(2) for x, i in zip(xs, rows, strict=True)}
        again = {int(i): x for xs, _, rows in whole.epoch(2, 1) for x, i in zip(xs, rows, strict=True)}
        assert all(np.array_equal(seen[i], again[i]) for i in again)
        later = {int(i): x for xs, _, rows in whole.epoch(3) for x, i in zip(xs, rows, strict=True)}
        assert not np.array_equal(seen[0], later[0])
        measured = Corrupted(self.loader(), kind, 0.3, seed=1, measured=True)
        for one, two in zip(measured.epoch(0), measured.epoch(7), strict=True):
            np.testing.assert_array_equal(one[0], two[0])

    def test_hides_pixels_as_black_and_adds_noise_of_its_deviation(self):
        for kind in ("mask", "noise"):
            batches = Corrupted(self.loader(mean=[0.4], std=[0.5]), kind, 0.25, seed=1)
            seen, whole, _ = (np.concatenate(parts) for parts in zip(*batches.epoch(0), strict=True))
            moved = 0.5 * (seen - whole)
            if kind == "noise":
                assert moved.std() == pytest.approx(0.25, rel=0.1)
                assert abs(moved.mean()) < 0.03
            else:
                assert (moved != 0).mean() == pytest.approx(0.25, abs=0.05)
                np.testing.assert_allclose((0.4 + 0.5 * seen)[moved != 0], 0, atol=1e-6)


class TestMeasures:
    def test_psnr_is_scikit_images(self):
        oracle = pytest.importorskip("skimage.metrics").peak_signal_noise_ratio
        rng = np.random.default_rng(0)
        truth, found = rng.random((2, 3, 1, 6, 7))
        ours = peak_signal_to_noise(mean_squared_errors(truth, found))
        np.testing.assert_allclose(ours, [oracle(a, b, data_range=1) for a, b in zip(truth, found, strict=True)])

    def test_gain_is_paired_and_groups_widen_the_interval(self):
        rng = np.random.default_rng(1)
        groups = np.repeat(np.arange(20), 30)
        errors = np.exp(rng.normal(-3, 1, 20)[groups] + rng.normal(0, 0.1, 600))
        floors = {"worse": errors * 1.2, "same": errors}
        alone, grouped = (evaluate_reconstruction(errors, floors, g) for g in (None, groups))
        assert grouped["floors"]["worse"]["gain"] == pytest.approx(10 * np.log10(1.2))
        np.testing.assert_allclose(grouped["floors"]["worse"]["gain_interval"], 10 * np.log10(1.2))
        widths = [r["psnr_interval"][1] - r["psnr_interval"][0] for r in (alone, grouped)]
        assert widths[1] > 2 * widths[0]
        assert any("'same'" in note for note in grouped["warnings"])
        assert (alone["groups"], grouped["groups"]) == (600, 20)
        with pytest.raises(UserError, match="not finite"):
            evaluate_reconstruction([0.1, np.nan])

    def test_floors_are_the_mean_and_the_components_of_the_training_images(self, pictures):
        train = open_unlabelled(pictures)["train"]
        pixels = pixels_of(train, np.arange(40), 16, 1).reshape(-1, 1, 16, 16)
        floors = trivial_methods(train, 16, 1, 3, 0, corrupted=True)
        assert list(floors) == ["mean image", "the input", "3 components"]
        np.testing.assert_allclose(floors["mean image"](pixels)[0], pixels.mean(0), atol=1e-6)
        assert mean_squared_errors(pixels, floors["3 components"](pixels)).max() < 1e-5  # three numbers make a picture

    @pytest.mark.parametrize("loss", ["mse", "l1", "cross_entropy"])
    def test_loss_and_penalty_are_pytorchs(self, loss):
        torch = pytest.importorskip("torch")
        rng = np.random.default_rng(2)
        y, x, h = rng.normal(size=(4, 2, 3, 3)), rng.random((4, 2, 3, 3)), rng.uniform(0.05, 0.95, (4, 5))
        f = torch.nn.functional
        function = {"mse": f.mse_loss, "l1": f.l1_loss, "cross_entropy": f.binary_cross_entropy_with_logits}[loss]
        outputs, hidden = (torch.tensor(a, requires_grad=True) for a in (y, h))
        wanted, found = torch.full((5,), 0.2, dtype=torch.float64), hidden.mean(0)
        both = [torch.stack([p, 1 - p]) for p in (found, wanted)]
        true = function(outputs, torch.tensor(x)) + 3 / 18 * f.kl_div(both[0].log(), both[1], reduction="sum")
        true.backward()
        ours, units = Tensor(y, requires_grad=True), Tensor(h, requires_grad=True)
        with tinymed.use_backend("numpy"):
            value = PixelHead(loss, sparsity=0.2, sparsity_weight=3.0)((ours, units), Tensor(x))
            value.backward()
        assert value.item() == pytest.approx(true.item(), rel=1e-9)
        np.testing.assert_allclose(ours.grad.array, outputs.grad.numpy(), rtol=1e-9, atol=1e-14)
        np.testing.assert_allclose(units.grad.array, hidden.grad.numpy(), rtol=1e-9)
        with pytest.raises(ValueError, match="between 0 and 1"):
            nn.SparsityLoss(1.0)


@pytest.fixture(scope="module")
def run(pictures, tmp_path_factory):
    """A denoising auto-encoder of smooth pictures."""
    from tinymed.cli import main

    out = tmp_path_factory.mktemp("runs") / "run"
    more = ["--option", "hidden=32,4", "--option", "activation=tanh", "--epochs", "60", "--lr", "5e-3"]
    damage = ["--corrupt", "noise", "--corrupted", "0.2"]
    command = ["train", "sae", "--task", "reconstruction", "--data", str(pictures), "--out", str(out)]
    assert main([*command, *QUICK, *more, *damage]) == 0
    return out


class TestRuns:
    def test_is_better_than_the_mean_image_and_the_damaged_one(self, run):
        result = json.loads((run / "metrics.json").read_text())["test"]
        assert result["n"] == 20
        for name in ("mean image", "the input"):
            assert result["floors"][name]["gain_interval"][0] > 0
        assert list(result["floors"]) == ["mean image", "the input", "4 components"]
        assert (run / "reconstructions.png").stat().st_size > 500
        with (run / "errors.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 20
        assert np.mean([float(r["mse"]) for r in rows]) == pytest.approx(result["mse"], rel=1e-6)

    def test_evaluates_predicts_and_exports(self, run, pictures, tmp_path, capsys):
        code, out, _ = invoke(capsys, "evaluate", run, "--data", pictures, "--split", "test", "--json")
        assert code == 0
        assert json.loads(out)["psnr"] == pytest.approx(json.loads((run / "metrics.json").read_text())["test"]["psnr"])
        image = next((pictures / "test").glob("*.png"))
        code, out, _ = invoke(capsys, "predict", run, image, "--out", tmp_path, "--json")
        assert code == 0
        (row,) = json.loads(out)["predictions"] if isinstance(json.loads(out), dict) else json.loads(out)
        assert row["psnr"] == pytest.approx(-10 * np.log10(row["mse"]))
        assert (tmp_path / f"{image.stem}.png").exists()
        assert invoke(capsys, "export", run, "--out", tmp_path / "m.onnx")[0] == 0

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--model", "resnet20"], "is no network for reconstruction"),
            (["--corrupted", "0.5"], "--corrupt mask or noise"),
            (["--sparsity", "0.5"], "--sparsity-weight"),
            (["--model", "unet", "--sparsity-weight", "1"], "does not show its hidden units"),
            (["--loss", "cross_entropy", "--normalise"], "probabilities"),
            (["--class-weights", "balanced"], "pixels have no classes"),
            (["--label-column", "x"], "not an option of reconstruction"),
            (["--patches", "0"], "--patches"),
        ],
    )
    def test_what_has_no_effect_is_refused(self, arguments, message, pictures, capsys):
        code, _, err = invoke(capsys, "train", "--task", "reconstruction", "--data", pictures, *QUICK, *arguments)
        assert code == 2
        assert message in err
        assert len(err.strip().splitlines()) == 1


class TestPretraining:
    def pretrain(self, capsys, pictures, out, *more):
        arguments = ["--data", pictures, "--size", "16", "--epochs", "3", "--batch", "10", "--out", out, *more]
        return invoke(capsys, "pretrain", *arguments)

    @pytest.mark.parametrize(
        ("network", "more"),
        [
            ("mlp", []),
            (
                "mlp",
                ["--by", "autoencoder", "--option", "activation=relu", "--corrupted", "0.2", "--backend", "numpy"],
            ),
            ("sae", ["--normalise", "--chains", "8", "--option", "code=same"]),
        ],
    )
    def test_a_training_begins_with_its_layers(self, network, more, pictures, tmp_path, capsys):
        code, _, err = self.pretrain(capsys, pictures, tmp_path / "p", network, "--option", "hidden=12,6", *more)
        assert code == 0, err
        weights = tinymed.load(tmp_path / "p" / "weights.safetensors")
        own = [text for text in more if text.startswith(("activation=", "code="))]
        options = ["--option", "hidden=12,6", *(["--option", *own] if own else [])]
        task = ["--task", "reconstruction", "--data", pictures]
        if network == "mlp":
            assert set(weights) == {f"features.{i}.{kind}" for i in (1, 3) for kind in ("weight", "bias")}
            return
        assert len(weights) == 8
        code, _, err = invoke(
            capsys,
            "train",
            network,
            *task,
            *QUICK,
            *options,
            "--epochs",
            "1",
            "--lr",
            "1e-9",
            "--normalise",
            "--init",
            tmp_path / "p" / "weights.safetensors",
            "--out",
            tmp_path / "r",
        )
        assert code == 0, err
        assert "8 of 8 tensors taken" in err
        model = Run.open(tmp_path / "r").load_model("last")
        np.testing.assert_allclose(model.stack[0].weight.numpy(), weights["encoder.0.0.weight"].numpy(), atol=1e-6)
        assert (tmp_path / "p" / "filters.png").stat().st_size > 100
        report = json.loads((tmp_path / "p" / "pretrain.json").read_text())
        assert [row["layer"] for row in report["history"]] == [1, 1, 1, 2, 2, 2]

    @pytest.mark.parametrize("by", ["rbm", "autoencoder"])
    def test_an_interrupted_one_ends_with_the_same_bits(self, by, pictures, tmp_path, capsys, monkeypatch):
        """It is stopped in the second layer, after the fifth of six epochs was saved."""
        from tinymed.cli import pretraining

        more = ["mlp", "--by", by, "--option", "hidden=12,6"]
        more += ["--chains", "8"] if by == "rbm" else ["--corrupted", "0.2", "--backend", "numpy"]
        assert self.pretrain(capsys, pictures, tmp_path / "whole", *more)[0] == 0
        kept, calls = pretraining.save_checkpoint, []

        def stop(path, tree):
            kept(path, tree)
            calls.append(path)
            if len(calls) == 5:
                raise UserError("stopped")

        monkeypatch.setattr(pretraining, "save_checkpoint", stop)
        assert self.pretrain(capsys, pictures, tmp_path / "half", *more)[0] == 2
        monkeypatch.setattr(pretraining, "save_checkpoint", kept)
        assert invoke(capsys, "pretrain", "--resume", tmp_path / "half")[0] == 0
        whole, half = (tinymed.load(tmp_path / name / "weights.safetensors") for name in ("whole", "half"))
        for name, value in whole.items():
            np.testing.assert_array_equal(value.numpy(), half[name].numpy())
        assert invoke(capsys, "pretrain", "--resume", tmp_path / "half", "--lr", "1")[0] == 2

    def test_layers_learnt_before_are_encoded_alike(self):
        """What each layer gives the next does not depend on the batch, and an auto-encoder's error falls."""
        data = np.random.default_rng(0).random((60, 12)).astype(np.float32)
        errors = []
        config = PretrainConfig(by="autoencoder", epochs=30, batch=10, lr=0.01, sparsity_weight=0.1)
        with tinymed.use_backend("numpy"):
            layers = pretrain_layers(
                data, [8, 4], config, watch=lambda layer, epoch, error: errors.append((layer, error))
            )
            model = models.create("mlp", size=2, in_channels=3, hidden="8,4")
            from tinymed.unsupervised.greedy import encode, install_layers

            install_layers(model, layers)
            with tinymed.no_grad():
                found = model.features(Tensor(data.reshape(60, 3, 2, 2))).numpy()
            wanted = encode(layers[1], encode(layers[0], data, "sigmoid", 7), "sigmoid", 60)
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
        for layer in (0, 1):
            own = [error for number, error in errors if number == layer]
            assert own[-1] < 0.9 * own[0]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["resnet20"], "no stack of dense layers"),
            (["mlp", "--corrupted", "0.2"], "--by autoencoder"),
            (["mlp", "--by", "autoencoder", "--chains", "5"], "--by rbm"),
            (["mlp", "--by", "autoencoder", "--gibbs", "2"], "--by rbm"),
            (["mlp", "--option", "activation=relu"], "learns sigmoid units"),
            (["mlp", "--visible", "bernoulli", "--normalise"], "leave --normalise out"),
            (["mlp", "--sparsity", "0.3", "--by", "autoencoder"], "--sparsity-weight"),
            (["sae"], "code=same"),
            (["mlp", "--lr", "-1"], "--lr"),
            (["mlp", "--by", "gibbs"], "--by"),
        ],
    )
    def test_what_cannot_be_is_refused_in_one_line(self, arguments, message, pictures, tmp_path, capsys):
        code, _, err = self.pretrain(capsys, pictures, tmp_path / "p", *arguments)
        assert code == 2
        assert message in err
        assert len(err.strip().splitlines()) == 1
        assert not (tmp_path / "p").exists()

    def test_without_data_or_a_folder_to_go_on_with(self, tmp_path, capsys):
        assert "needs --data" in invoke(capsys, "pretrain", "mlp")[2]
        assert "no run" in invoke(capsys, "pretrain", "--resume", tmp_path)[2]
