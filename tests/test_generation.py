"""A generator and a discriminator: a step as PyTorch's, distances between pictures, runs on the command line."""

import csv
import json
from itertools import pairwise

import numpy as np
import pytest
from commands import invoke
from datasets import write_image

import tinymed
from tinymed import Tensor, models, optim
from tinymed.errors import UserError
from tinymed.metrics.frechet import compare_samplers, frechet_distance
from tinymed.metrics.neighbours import memorising, nearest
from tinymed.tasks.heads.adversarial_head import AdversarialHead, Opponents, adversarial_step
from tinymed.tasks.inference.latent import draw_pictures, latent_rows
from tinymed.tasks.inference.trivial_samplers import sample_trivially

torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")
SHAPE = {"latent": 5, "channels": 2, "size": 16, "base": 3}
QUICK = ["--backend", "numpy", "--workers", "0", "--batch", "8", "--size", "8", "--option", "base=4"]


def their_pair(latent, channels, size, base):
    """The networks of the paper, made by PyTorch's layers."""
    t = torch.nn
    widths = [base * 2**i for i in range(int(np.log2(size)) - 2)]
    up = [t.ConvTranspose2d(latent, widths[-1], 4, bias=False)]
    for wide, narrow in zip(widths[:0:-1], widths[-2::-1], strict=True):
        up += [t.BatchNorm2d(wide), t.ReLU(), t.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=False)]
    up += [t.BatchNorm2d(base), t.ReLU(), t.ConvTranspose2d(base, channels, 4, 2, 1), t.Tanh()]
    down = [t.Conv2d(channels, base, 4, 2, 1), t.LeakyReLU(0.2)]
    for narrow, wide in pairwise(widths):
        down += [t.Conv2d(narrow, wide, 4, 2, 1, bias=False), t.BatchNorm2d(wide), t.LeakyReLU(0.2)]
    down += [t.Conv2d(widths[-1], 1, 4)]
    return t.ModuleDict({"generator": t.Sequential(*up), "discriminator": t.Sequential(*down)}).double()


def our_pair(theirs):
    """Ours, in float64, with PyTorch's weights."""
    ours = models.create("dcgan", **SHAPE)
    for p in (*ours.parameters(), *ours.buffers()):
        if p.dtype == np.float32:
            p.array = p.array.astype(np.float64)
    state = {name: value.numpy().copy() for name, value in theirs.state_dict().items()}
    assert set(ours.state_dict()) >= {name for name in state if not name.endswith("num_batches_tracked")}
    ours.load_state_dict(state, strict=False)
    return ours


def batches(count=3):
    """Latent numbers and real pictures of a few steps."""
    rng = np.random.default_rng(3)
    return [(rng.normal(size=(6, 5, 1, 1)), rng.uniform(-1, 1, (6, 2, 16, 16))) for _ in range(count)]


def their_step(theirs, optimizers, latent, real):
    """A step as the paper trains, in PyTorch."""
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    drawn = theirs["generator"](latent)
    optimizers[1].zero_grad()
    said = theirs["discriminator"](real), theirs["discriminator"](drawn.detach())
    ((bce(said[0], torch.ones_like(said[0])) + bce(said[1], torch.zeros_like(said[1]))) / 2).backward()
    optimizers[1].step()
    optimizers[0].zero_grad()
    answer = theirs["discriminator"](drawn)
    loss = bce(answer, torch.ones_like(answer))
    loss.backward()
    optimizers[0].step()
    return loss.item()


class TestNetworks:
    def test_counts_by_hand(self):
        model = models.create("dcgan")
        generator = 64 * 256 * 16 + 2 * 256 + 256 * 128 * 16 + 2 * 128 + 128 * 64 * 16 + 2 * 64 + 64 * 3 * 16 + 3
        discriminator = 3 * 64 * 16 + 64 + 64 * 128 * 16 + 2 * 128 + 128 * 256 * 16 + 2 * 256 + 256 * 16 + 1
        assert sum(p.numel() for p in model.generator.parameters()) == generator == 921_475
        assert sum(p.numel() for p in model.discriminator.parameters()) == discriminator == 663_361

    def test_weights_begin_as_in_the_paper(self):
        tinymed.manual_seed(0)
        model = models.create("dcgan")
        weight = model.discriminator[5].weight.numpy()
        assert abs(weight.mean()) < 1e-3
        assert weight.std() == pytest.approx(0.02, rel=0.02)
        assert model.generator[1].weight.numpy().mean() == pytest.approx(1, abs=0.01)

    @pytest.mark.parametrize("size", [12, 4, 512])
    def test_a_side_that_cannot_be_doubled_to_is_refused(self, size):
        with pytest.raises(UserError, match="8, 16, 32"):
            models.create("dcgan", size=size)

    def test_three_steps_are_pytorchs(self):
        """Two Adams in turn, the generator's gradient through a discriminator whose weights are constant."""
        theirs = their_pair(**SHAPE)
        ours = our_pair(theirs)
        rates = {"lr": 2e-3, "betas": (0.5, 0.999)}
        adams = [torch.optim.Adam(theirs[part].parameters(), **rates) for part in ("generator", "discriminator")]
        pair = Opponents(*(optim.Adam(m.parameters(), **rates) for m in (ours.generator, ours.discriminator)))
        with tinymed.use_backend("numpy"):
            step = adversarial_step(ours, pair)
            for latent, real in batches():
                wanted = their_step(theirs, adams, torch.tensor(latent), torch.tensor(real))
                loss, _ = step(Tensor(latent), Tensor(real))
                assert loss.item() == pytest.approx(wanted, rel=1e-9)
        found = ours.state_dict()  # whose running statistics are corrected, as those of all our networks
        for name, value in theirs.state_dict().items():
            if name in found and "running" not in name:
                np.testing.assert_allclose(found[name].numpy(), value.numpy(), rtol=1e-7, atol=1e-9, err_msg=name)

    @pytest.mark.parametrize("backend", ["numpy", "numba"])
    def test_a_captured_step_is_the_eager_one(self, backend):
        losses = []
        for wrap in (lambda step: step, tinymed.capture):
            tinymed.manual_seed(1)
            with tinymed.use_backend(backend):
                model = models.create("dcgan", **SHAPE)
                pair = Opponents(*(optim.Adam(m.parameters(), lr=1e-3) for m in (model.generator, model.discriminator)))
                step = wrap(adversarial_step(model, pair))
                tensors = [[Tensor(a.astype(np.float32)) for a in batch] for batch in batches(4)]
                losses.append([step(*batch)[0].item() for batch in tensors])
        np.testing.assert_allclose(*losses, rtol=2e-5)

    def test_the_weights_learn_again_after_the_generators_turn(self):
        model = models.create("dcgan", **SHAPE)
        pair = Opponents(*(optim.SGD(m.parameters(), lr=0.1) for m in (model.generator, model.discriminator)))
        with tinymed.use_backend("numpy"):
            adversarial_step(model, pair)(*(Tensor(a.astype(np.float32)) for a in batches(1)[0]))
        assert all(p.requires_grad for p in model.parameters())

    def test_told_apart_counts_both_kinds(self):
        outputs = (
            Tensor(np.array([1.0, -1.0]).reshape(2, 1, 1, 1)),
            Tensor(np.array([-2.0, -3.0]).reshape(2, 1, 1, 1)),
        )
        assert AdversarialHead().correct(outputs, None) == 1.5


class TestDrawing:
    def test_a_picture_is_a_function_of_seed_and_number(self):
        alone, many = latent_rows(np.array([7]), 5, 3), latent_rows(np.arange(10), 5, 3)
        np.testing.assert_array_equal(alone[0], many[7])
        assert not np.array_equal(latent_rows(np.array([7]), 5, 4), alone)
        assert not np.array_equal(latent_rows(np.array([7]), 5, 3, epoch=0), alone)

    def test_latent_numbers_are_standard_normal(self):
        drawn = latent_rows(np.arange(2000), 64, 0).ravel()
        assert drawn.mean() == pytest.approx(0, abs=0.01)
        assert drawn.std() == pytest.approx(1, abs=0.01)
        assert (np.abs(drawn) < 1.959964).mean() == pytest.approx(0.95, abs=0.003)

    def test_batches_do_not_change_pictures(self):
        model = models.create("dcgan", **SHAPE)
        with tinymed.use_backend("numpy"), tinymed.no_grad():
            for epoch in range(3):  # batch norm's running statistics
                model(Tensor(latent_rows(np.arange(200), 5, 0, epoch)))
            whole = draw_pictures(model, np.arange(140), 0)
            np.testing.assert_allclose(draw_pictures(model, np.arange(130, 140), 0), whole[130:], atol=1e-6)
        assert whole.shape == (140, 2, 16, 16)

    def test_trivial_samplers_have_the_moments_of_the_training_pictures(self):
        rng = np.random.default_rng(0)
        hidden = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 16))
        train = (0.5 + 0.03 * hidden).reshape(300, 1, 4, 4)
        found = sample_trivially(train, 4000, 0)
        assert list(found) == ["pixel by pixel", "3 components"]
        for sample in found.values():
            np.testing.assert_allclose(sample.mean(0), train.mean(0), atol=0.006)
            np.testing.assert_allclose(sample.std(0), train.std(0), rtol=0.08)
        rows = {name: np.corrcoef(x.reshape(4000, -1), rowvar=False) for name, x in found.items()}
        true = np.corrcoef(train.reshape(300, -1), rowvar=False)
        assert np.abs(rows["3 components"] - true).max() < 0.1
        assert np.abs(rows["pixel by pixel"] - np.eye(16)).max() < 0.08


class TestDistances:
    def test_frechet_is_the_formula_with_scipys_root(self):
        linalg = pytest.importorskip("scipy.linalg")
        rng = np.random.default_rng(0)
        a, b = rng.normal(size=(40, 6)) @ rng.normal(size=(6, 6)), rng.normal(1, 2, size=(50, 6))
        s, t = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
        wanted = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s + t - 2 * np.real(linalg.sqrtm(s @ t)))
        assert frechet_distance(a, b) == pytest.approx(wanted, rel=1e-9)
        assert frechet_distance(b, a) == pytest.approx(wanted, rel=1e-9)
        assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)

    def test_more_columns_than_rows(self):
        rows = np.random.default_rng(0).normal(size=(5, 20))
        assert frechet_distance(rows, rows + 1) == pytest.approx(20, rel=1e-6)

    def test_a_nearer_sampler_is_seen_to_be_nearer(self):
        rng = np.random.default_rng(1)
        real, near, far = rng.normal(size=(400, 3)), rng.normal(0.1, 1, (200, 3)), rng.normal(1, 1, (200, 3))
        result = compare_samplers(real, near, {"far": far, "same": near}, resamples=100)
        low, high = result["others"]["far"]["gain_interval"]
        assert 0 < low < result["others"]["far"]["gain"] < high
        assert result["others"]["same"]["gain_interval"] == (0, 0)

    def test_what_cannot_be_compared_is_refused(self):
        rows = np.zeros((4, 2))
        with pytest.raises(UserError, match="far 3"):
            compare_samplers(rows, rows, {"far": rows[:3]})
        with pytest.raises(UserError, match="not finite"):
            frechet_distance(rows * np.nan, rows)
        with pytest.raises(UserError, match="two rows"):
            frechet_distance(rows[:1], rows)
        with pytest.raises(ValueError, match="columns"):
            frechet_distance(rows, rows[:, :1])

    def test_the_nearest_picture_is_the_one_of_every_comparison(self):
        rng = np.random.default_rng(0)
        x, t = rng.random((300, 2, 3)), rng.random((70, 2, 3))
        table = np.sqrt(((x[:, None] - t[None]) ** 2).mean((2, 3)))
        index, distance = nearest(x, t)
        np.testing.assert_array_equal(index, table.argmin(1))
        np.testing.assert_allclose(distance, table.min(1), rtol=1e-12)

    def test_copies_are_suspect_and_new_pictures_are_not(self):
        rng = np.random.default_rng(0)
        train, new, held = rng.random((100, 8)), rng.random((60, 8)), rng.random((200, 8))
        assert memorising(train, train[:60] + 1e-3, held).summary["suspect"] == 1
        assert memorising(train, new, held).summary["suspect"] < 0.1


def disc(number, side=8):
    """A bright disc on dark ground, somewhere."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:side, :side] - rng.uniform(2.5, 4.5, 2)[:, None, None]
    return np.where(x**2 + y**2 < rng.uniform(3, 7), rng.integers(150, 255), rng.integers(0, 60)).astype(np.uint8)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """120 discs in train, val and test."""
    root = tmp_path_factory.mktemp("discs")
    for i in range(120):
        write_image(root / ("train", "train", "val", "test")[i % 4] / f"{i:03}.png", disc(i))
    return root


def train(pictures, out, *more):
    """The arguments of a quick training."""
    return ["train", "--task", "generation", "--data", pictures, "--grey", *QUICK, "--out", out, *more]


@pytest.fixture(scope="module")
def run(pictures, tmp_path_factory):
    """A generator of discs."""
    from tinymed.cli import main

    out = tmp_path_factory.mktemp("runs") / "run"
    assert main([str(a) for a in train(pictures, out, "--epochs", "12", "--lr", "1e-3")]) == 0
    return out


class TestRuns:
    def test_results(self, run):
        result = json.loads((run / "metrics.json").read_text())["test"]
        assert result["n"] == 30
        assert list(result["others"])[:2] == ["real, held out", "pixel by pixel"]
        assert list(result["others"])[2].endswith("components")
        assert result["others"]["real, held out"]["frechet"] < result["frechet"]
        for name in ("samples.png", "neighbours.png"):
            assert (run / name).stat().st_size > 200
        with (run / "predictions.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 30
        assert all(row["nearest"].startswith("train") for row in rows)
        assert "group" not in rows[0]

    def test_resumed_to_the_same_bits(self, run, pictures, tmp_path, capsys):
        out = tmp_path / "half"
        assert invoke(capsys, *train(pictures, out, "--epochs", "12", "--lr", "1e-3", "--steps", "20"))[0] == 0
        config = json.loads((out / "config.json").read_text()) | {"steps": None}
        (out / "config.json").write_text(json.dumps(config))
        assert invoke(capsys, "train", "--resume", out)[0] == 0
        from tinymed.weights.reading import read_arrays

        a, b = (read_arrays(folder / "checkpoints" / "last.safetensors") for folder in (run, out))
        assert all(np.array_equal(a[name], b[name]) for name in a if name.startswith(("model.", "optimizer.")))

    def test_generates_the_same_pictures_however_many(self, run, tmp_path, capsys):
        assert invoke(capsys, "generate", run, "--count", 3, "--out", tmp_path / "few")[0] == 0
        assert invoke(capsys, "generate", run, "--count", 5, "--out", tmp_path / "more")[0] == 0
        few, more = (sorted((tmp_path / n).iterdir()) for n in ("few", "more"))
        assert [f.name for f in more] == [f"{i:05d}.png" for i in range(1, 6)]
        assert [f.read_bytes() for f in few] == [f.read_bytes() for f in more[:3]]
        code, out, _ = invoke(capsys, "generate", run, "--seed", 1, "--json")
        assert code == 0
        assert json.loads(out)["files"] == [str(run / "drawn.png")]
        code, _, err = invoke(capsys, "generate", run, "--out", tmp_path / "few")
        assert code == 2
        assert "is not empty" in err
        assert "--resume" not in err

    def test_exports_the_generator(self, run, tmp_path, capsys):
        runtime = pytest.importorskip("onnxruntime")
        file = tmp_path / "g.onnx"
        assert invoke(capsys, "export", run, "--out", file)[0] == 0
        latent = latent_rows(np.arange(4), 64, 0)
        session = runtime.InferenceSession(str(file))
        (theirs,) = session.run(None, {session.get_inputs()[0].name: latent})
        from tinymed.train.run import Run

        with tinymed.use_backend("numpy"):
            ours = draw_pictures(Run.open(run).load_model(), np.arange(4), 0)
        np.testing.assert_allclose(ours, theirs, atol=1e-5)

    def test_features_of_a_classifier(self, pictures, tmp_path, capsys):
        for label in "ab":
            for i in range(12):
                write_image(
                    tmp_path / "data" / label / f"{i}.png", np.full((32, 32), 10 * i + 120 * (label == "b"), np.uint8)
                )
        quick = ["--backend", "numpy", "--workers", "0", "--batch", "8", "--epochs", "1", "--leaks", "ignore"]
        network = ["lenet5_modern", "--grey", "--size", "32", "--positive", "b"]
        classifier = tmp_path / "classifier"
        code, _, err = invoke(capsys, "train", *network, "--data", tmp_path / "data", *quick, "--out", classifier)
        assert code == 0, err
        code, out, err = invoke(capsys, *train(pictures, tmp_path / "g", "--steps", "3", "--features", classifier))
        assert code == 0, err
        assert f"features of {classifier}" in out + err

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--model", "dcnn"], "does not take base"),
            (["--class-weights", "balanced"], "no classes"),
            (["--normalise"], "-1 to 1"),
            (["--optimizer", "sgd"], "an Adam each"),
            (["--accumulate", "2"], "on each batch"),
            (["--features", "nowhere"], "no run"),
            (["--size", "12"], "8, 16, 32"),
            (["--label-column", "x"], "not an option of generation"),
        ],
    )
    def test_what_has_no_effect_is_refused(self, arguments, message, pictures, tmp_path, capsys):
        code, _, err = invoke(capsys, *train(pictures, tmp_path / "out", *arguments))
        assert code == 2
        assert message in err
        assert len(err.strip().splitlines()) == 1
        assert not (tmp_path / "out").exists()

    def test_runs_of_other_tasks_and_images_are_refused(self, run, pictures, tmp_path, capsys):
        code, _, err = invoke(capsys, "predict", run, next((pictures / "test").iterdir()))
        assert code == 2
        assert "tinymed generate" in err
        code, _, err = invoke(capsys, *train(pictures, tmp_path / "out", "--features", run))
        assert code == 2
        assert "run of generation" in err
