"""Accumulated gradients, averaged weights, sampled classes: each against its formula, and resumed to the same bits."""

import json

import numpy as np
import pytest
from commands import invoke, write_images
from hypothesis import given
from hypothesis import strategies as st

import tinymed
from tinymed import Tensor, nn, optim
from tinymed.data import Dataset, Loader
from tinymed.data.sampling import SAMPLINGS, class_quotas, draw_epoch, effective_number
from tinymed.errors import UserError
from tinymed.program import capture
from tinymed.tasks.base.steps import accumulated_step, grouped, train_step, update_step
from tinymed.tasks.heads.class_heads import FocalHead, SigmoidHead, SoftmaxHead
from tinymed.tasks.heads.class_weights import effective_weights, parse_weights
from tinymed.train.averaging import WeightAverage, evaluated_weights, warmed_decay
from tinymed.train.callbacks import Schedule
from tinymed.train.checkpoint import digest, load_checkpoint, save_checkpoint
from tinymed.train.trainer import Callback, Trainer


@pytest.fixture(autouse=True)
def _on_the_reference():
    with tinymed.use_backend("numpy"):
        yield


def network(norm: bool = False) -> nn.Module:
    tinymed.manual_seed(4)
    layers = [nn.Conv2d(3, 4, 3), *([nn.BatchNorm2d(4)] if norm else []), nn.Tanh(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(4 * 36, 2))


def batches(sizes, dtype=np.float64):
    rng = np.random.default_rng(1)
    return [(Tensor(rng.normal(size=(n, 3, 8, 8)).astype(dtype)), Tensor(rng.integers(0, 2, n))) for n in sizes]


def made(norm=False, average=None, accumulate=1, images=22, **options) -> Trainer:
    """A small trainer on synthetic cells, 16 of them for training, in batches of 3."""
    model = network(norm)
    pixels = np.random.default_rng(3).integers(0, 256, (images, 8, 8, 3), np.uint8)
    data = Dataset(pixels, np.arange(images) % 2, ["a", "b"])
    train = Loader(data.subset(range(16)), 3, 8, shuffle=True, seed=2, workers=0)
    val = Loader(data.subset(range(16, images)), 4, 8, workers=0)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    trainer = Trainer(model, optimizer, SoftmaxHead(2), train, val, accumulate=accumulate, **options)
    cosine = optim.lr_scheduler.CosineAnnealingLR(optimizer, 4 * trainer.steps_per_epoch)
    trainer.callbacks.append(Schedule(cosine, every="step"))
    if average is not None:
        trainer.callbacks.append(WeightAverage(model, average, 0.9, 1))
    return trainer


class TestAccumulation:
    @pytest.mark.parametrize("sizes", [(4, 4), (5, 2, 1), (3,)])
    def test_a_group_is_one_large_batch(self, sizes):
        parts = batches(sizes)
        whole = tuple(Tensor(np.concatenate([p[i].array for p in parts])) for i in (0, 1))
        gradients = []
        for grouping in ([whole], parts):
            model = network().double()
            step = accumulated_step(model, SoftmaxHead(2), lambda: None)
            loss, outputs = step(*(tuple(column) for column in zip(*grouping, strict=True)))
            answers = np.concatenate([o.array for o in outputs])
            gradients.append([loss.array, answers, *(p.grad.array for p in model.parameters())])
        for one, other in zip(*gradients, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)

    @pytest.mark.parametrize("norm", [False, True])
    def test_captured_is_eager_to_the_bit(self, norm):
        ends = []
        for wrap in (lambda f: f, capture):
            model = network(norm)
            optimizer = optim.Adam(model.parameters(), lr=0.01)
            step = wrap(accumulated_step(model, SoftmaxHead(2), update_step(model, optimizer, 0.5)))
            for sizes in ((4, 4, 4), (4, 4, 4), (4, 2), (4, 4, 4)):
                group = batches(sizes, np.float32)
                loss, _ = step(*(tuple(column) for column in zip(*group, strict=True)))
            ends.append((loss.item(), digest({k: v.array for k, v in model.state_dict().items()})))
        assert ends[0] == ends[1]

    def test_its_memory_is_that_of_one_batch(self):
        def arena(count: int) -> int:
            layers = [nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
            model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8, 2))
            step = capture(accumulated_step(model, SoftmaxHead(2), lambda: None))
            group = [(Tensor(np.zeros((8, 3, 24, 24), np.float32)), Tensor(np.zeros(8, np.int64)))] * count
            step(*(tuple(column) for column in zip(*group, strict=True)))
            return step.program.arena.nbytes

        assert arena(8) < 1.2 * arena(1)

    def test_a_trainer_counts_optimiser_steps(self):
        trainer = made(accumulate=4)
        seen = []

        class Watch(Callback):
            def on_step(self, trainer, loss):
                seen.append((trainer.progress.step, trainer.progress.batch, trainer.progress.images))

        trainer.callbacks.append(Watch())
        progress = trainer.fit(epochs=2)
        assert trainer.steps_per_epoch == 2  # batches of 3, 3, 3, 3 and of 3, 1
        assert seen == [(1, 4, 12), (2, 6, 16), (3, 4, 28), (4, 6, 32)]
        rates = [row["lr"] for row in progress.history]
        assert rates == pytest.approx([0.01 * (1 + np.cos(np.pi * s / 8)) / 2 for s in (2, 4)])

    def test_groups(self):
        assert list(grouped(range(5), 2)) == [[0, 1], [2, 3], [4]]
        assert list(grouped([], 3)) == []

    def test_one_batch_a_step_is_the_usual_step(self):
        parts, ends = batches([6], np.float32), []
        for grouped_step in (False, True):
            model = network()
            optimizer = optim.SGD(model.parameters(), lr=0.1)
            update = update_step(model, optimizer, None)
            if grouped_step:
                accumulated_step(model, SoftmaxHead(2), update)((parts[0][0],), (parts[0][1],))
            else:
                train_step(model, optimizer, SoftmaxHead(2), None)(*parts[0])
            ends.append(digest({k: v.array for k, v in model.state_dict().items()}))
        assert ends[0] == ends[1]


class Weights(Callback):
    """Keeps a copy of the weights after each step and each epoch."""

    def __init__(self):
        self.steps, self.epochs = [], []

    def on_step(self, trainer, loss):
        self.steps.append({k: v.array.copy() for k, v in trainer.model.state_dict().items()})

    def on_epoch(self, trainer, row):
        self.epochs.append({k: v.array.copy() for k, v in trainer.model.state_dict().items()})


class TestAverages:
    def test_exponential(self):
        trainer, kept = made(average="ema"), Weights()
        trainer.callbacks.append(kept)
        trainer.fit(epochs=2)
        want = kept.steps[0]["3.weight"].astype(np.float64)
        for n, state in enumerate(kept.steps[1:], start=1):
            d = min(0.9, (1 + n) / (10 + n))
            want = d * want + (1 - d) * state["3.weight"]
        found = evaluated_weights(trainer.state())["3.weight"]
        np.testing.assert_allclose(found, want, rtol=2e-6, atol=1e-7)
        assert not np.allclose(found, kept.steps[-1]["3.weight"], atol=1e-4)

    def test_equal_with_statistics_of_its_own(self):
        trainer, kept = made(norm=True, average="swa"), Weights()
        trainer.callbacks.append(kept)
        trainer.fit(epochs=4)
        found = evaluated_weights(trainer.state())
        want = np.mean([state["4.weight"] for state in kept.epochs[1:]], axis=0, dtype=np.float64)
        np.testing.assert_allclose(found["4.weight"], want, rtol=2e-6, atol=1e-7)
        model = network(True)
        model.load_state_dict(found)
        images = [images for images, _, _ in trainer.train_loader.epoch(3)]
        outputs = [model[0](Tensor(batch)).array for batch in images]
        mean = np.mean([o.mean(axis=(0, 2, 3)) for o in outputs], axis=0)
        np.testing.assert_allclose(found["1.running_mean"], mean, rtol=1e-4, atol=1e-6)

    def test_validation_sees_the_average_and_training_does_not(self):
        alone, averaged = made(), made(average="ema")
        kept = Weights(), Weights()
        for trainer, callback in zip((alone, averaged), kept, strict=True):
            trainer.callbacks.append(callback)
            trainer.fit(epochs=3)
        for one, other in zip(kept[0].steps, kept[1].steps, strict=True):
            assert digest(one) == digest(other)
        model = network()
        model.load_state_dict(evaluated_weights(averaged.state()))
        other = Trainer(model, averaged.optimizer, SoftmaxHead(2), averaged.train_loader, averaged.val_loader)
        want = other.validate()["val_loss"]
        assert averaged.progress.history[-1]["val_loss"] == want != alone.progress.history[-1]["val_loss"]

    def test_the_decay_warms_up(self):
        assert [warmed_decay(0.9, n) for n in (0, 8, 1000)] == [0.1, 0.5, 0.9]


class StopAfter(Callback):
    def __init__(self, step):
        self.step = step

    def on_step(self, trainer, loss):
        trainer.stop = trainer.progress.step == self.step


SOME = (1, 4, 6, 9)  # after a first step, within an epoch, after the last step of one


@pytest.mark.parametrize("stop", [pytest.param(s, marks=[] if s in SOME else pytest.mark.full) for s in range(1, 12)])
@pytest.mark.parametrize("average", ["ema", "swa"])
def test_a_resumed_run_ends_with_the_same_bits(tmp_path, average, stop):
    """Batch norm, accumulation with an incomplete group, a schedule and an average, stopped after any step."""
    whole = made(True, average, 2)
    whole.fit(epochs=4)
    first = made(True, average, 2)
    first.callbacks.append(StopAfter(stop))
    first.fit(epochs=4)
    save_checkpoint(tmp_path / "c.safetensors", first.state())
    second = made(True, average, 2)
    second.restore(load_checkpoint(tmp_path / "c.safetensors"))
    second.fit(epochs=4)
    for one, other in zip((whole.state(), second.state()), (second.state(), whole.state()), strict=True):
        assert digest(evaluated_weights(one)) == digest(evaluated_weights(other))
        assert digest(one["model"]) == digest(other["model"])
    losses = [[row["val_loss"] for row in trainer.progress.history] for trainer in (whole, second)]
    assert losses[0] == losses[1]


counts_of_classes = st.lists(st.integers(0, 30), min_size=2, max_size=5).filter(any)


class TestSampling:
    @given(st.sampled_from(SAMPLINGS), counts_of_classes, st.floats(0, 0.9999))
    def test_quotas(self, sampling, counts, beta):
        quotas = class_quotas(sampling, counts, beta)
        there = [n for n in counts if n]
        assert [q == 0 for q, n in zip(quotas, counts, strict=True) if n == 0] == [True] * counts.count(0)
        want = {"over": len(there) * max(there), "under": len(there) * min(there)}.get(sampling, sum(counts))
        assert sum(quotas) == want
        if sampling in ("over", "under", "balanced"):
            some = [q for q, n in zip(quotas, counts, strict=True) if n]
            assert max(some) - min(some) <= (sampling == "balanced")

    @given(counts_of_classes)
    def test_effective_lies_between_natural_and_balanced(self, counts):
        near, balanced = class_quotas("effective", counts, 1 - 1e-9), class_quotas("balanced", counts)
        assert np.abs(np.subtract(near, balanced)).max() <= 1  # an image that equal shares leave over
        assert class_quotas("effective", counts, 0.0) == list(counts)

    @given(st.sampled_from(SAMPLINGS), counts_of_classes, st.integers(0, 5))
    def test_an_epoch_has_them_and_repeats_none_before_all_were_seen(self, sampling, counts, epoch):
        labels = np.repeat(np.arange(len(counts)), counts)
        quotas = class_quotas(sampling, counts)
        indices, keys = draw_epoch(labels, quotas, 3, epoch)
        assert np.bincount(labels[indices], minlength=len(counts)).tolist() == quotas
        assert len(set(keys.tolist())) == len(keys)
        times = np.bincount(indices, minlength=len(labels))
        for label, n in enumerate(counts):
            assert n == 0 or np.ptp(times[labels == label]) <= 1
        again = draw_epoch(labels, quotas, 3, epoch)
        assert np.array_equal(indices, again[0])

    @pytest.mark.parametrize("sampling", SAMPLINGS)
    def test_a_loader_goes_on_from_any_batch(self, sampling):
        rng = np.random.default_rng(0)
        data = Dataset(rng.integers(0, 256, (13, 8, 8, 3), np.uint8), np.arange(13) % 7 // 5, ["a", "b"])
        loader = Loader(data, 2, 8, shuffle=True, seed=5, workers=0, sampling=sampling)
        whole = list(loader.epoch(2))
        assert len(whole) == len(loader) == -(-loader.samples // 2)
        for start in (1, 3):
            rest = list(loader.epoch(2, start_batch=start))
            assert [i.tolist() for *_, i in rest] == [i.tolist() for *_, i in whole[start:]]

    def test_under_sampling_shows_another_part_each_epoch(self):
        labels = np.array([0] * 20 + [1] * 4)
        seen = {i for epoch in range(20) for i in draw_epoch(labels, [4, 4], 0, epoch)[0].tolist()}
        assert seen == set(range(24))

    def test_refusals(self):
        data = Dataset(np.zeros((4, 8, 8, 3), np.uint8), [0, 1, 0, 1], ["a", "b"])
        with pytest.raises(UserError, match="shuffle"):
            Loader(data, 2, 8, sampling="under")
        with pytest.raises(UserError, match="balanced=True is sampling='over'"):
            Loader(data, 2, 8, shuffle=True, balanced=True, sampling="under")
        with pytest.raises(UserError, match="over, under, balanced, effective"):
            Loader(data, 2, 8, shuffle=True, sampling="evenly")


class TestWeights:
    @given(st.integers(1, 10_000), st.floats(0, 0.9999))
    def test_effective_number_is_its_sum(self, n, beta):
        assert effective_number(n, beta) == pytest.approx(np.sum(beta ** np.arange(n)), rel=1e-6)

    def test_weights_run_from_equal_to_balanced(self):
        counts = {"a": 90, "b": 10}
        assert effective_weights(counts, 0.0) == pytest.approx([1, 1])
        assert effective_weights(counts, 1 - 1e-10) == pytest.approx([100 / 180, 5], rel=1e-3)
        middle = parse_weights("effective=0.9", ["a", "b"], counts)
        want = np.array([0.1 / (1 - 0.9**90), 0.1 / (1 - 0.9**10)])
        np.testing.assert_allclose(middle, want * 100 / (want * [90, 10]).sum(), rtol=1e-12)

    @pytest.mark.parametrize("text", ["effective=", "effective=2", "effective=x", "effectively"])
    def test_mistakes_name_the_option(self, text):
        with pytest.raises(UserError, match=r"beta|--class-weights"):
            parse_weights(text, ["a", "b"], {"a": 3, "b": 4})

    @pytest.mark.parametrize("weights", [None, [1.0, 3.0, 0.5]])
    def test_focal_loss(self, weights):
        torch = pytest.importorskip("torch")
        z, labels = np.random.default_rng(0).normal(size=(7, 3)), np.array([0, 1, 2, 2, 1, 0, 0])
        model = torch.tensor(z, requires_grad=True)
        p = torch.softmax(model, 1)[torch.arange(7), torch.tensor(labels)]
        w = torch.ones(7, dtype=torch.float64) if weights is None else torch.tensor(weights).double()[labels]
        want = (w * (1 - p) ** 1.5 * -torch.log(p)).sum() / w.sum()
        want.backward()
        x = Tensor(z, requires_grad=True)
        loss = FocalHead(3, weights, 1.5)(x, Tensor(labels))
        loss.backward()
        assert loss.item() == pytest.approx(want.item(), rel=1e-8)
        np.testing.assert_allclose(x.grad.array, model.grad.numpy(), rtol=1e-7, atol=1e-10)


QUICK = ["--size", 46, "--batch", 4, "--backend", "numpy", "--workers", 0, "--epochs", 2]


class TestCommand:
    def test_a_run_with_all_of_them(self, tmp_path, capsys):
        data, out = write_images(tmp_path / "data", ["a", "b"], 10), tmp_path / "run"
        options = ["--accumulate", 2, "--average", "swa", "--average-start", 0.5, "--sampling", "under"]
        options += ["--head", "softmax", "--focal", 2, "--class-weights", "effective", "--positive", "a"]
        code, _, err = invoke(capsys, "train", "--data", data, *QUICK, *options, "--out", out)
        assert code == 0, err
        code, text, err = invoke(capsys, "evaluate", out, "--json")
        assert code == 0, err
        assert json.loads(text)["loss"] == json.loads((out / "metrics.json").read_text())["test"]["loss"]

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["--average-decay", 0.5], "--average ema"),
            (["--average", "ema", "--average-start", 0.5], "--average swa"),
            (["--sampling", "under", "--balanced"], "leave one out"),
            (["--effective-beta", 0.9, "--sampling", "over"], "--sampling effective"),
            (["--focal", 2], "--head softmax"),
            (["--accumulate", 0], "--accumulate"),
        ],
    )
    def test_what_has_no_effect_is_refused(self, tmp_path, capsys, options, words):
        code, _, err = invoke(capsys, "train", *QUICK, *options, "--out", tmp_path / "r")
        assert code == 2
        assert words in err


def test_sigmoid_heads_accumulate_too():
    parts = batches([3, 2])
    model = network().double()
    head = SigmoidHead(2)
    step = accumulated_step(model, lambda o, t: head(o, t), lambda: None)
    targets = tuple(Tensor(head.targets(t.array).astype(np.float64)) for _, t in parts)
    loss, _ = step(tuple(images for images, _ in parts), targets)
    with tinymed.no_grad():
        whole = head(model(Tensor(np.concatenate([p[0].array for p in parts]))), tinymed.cat(list(targets)))
    assert loss.item() == pytest.approx(whole.item(), rel=1e-12)
