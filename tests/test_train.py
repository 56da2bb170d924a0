"""The trainer and its parts: heads, callbacks, configuration, the choice of the positive class."""

import json
import math
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

import tinymed
from tinymed import nn, optim
from tinymed.data import Loader, split_dataset, synthetic_smear
from tinymed.data.dataset import Dataset
from tinymed.errors import UserError
from tinymed.metrics.positive_class import choose_positive, looks_negative
from tinymed.runs.waiting import LongRun
from tinymed.schema import checked
from tinymed.tasks.base.steps import train_step
from tinymed.tasks.base.task import fingerprint_samples
from tinymed.tasks.classification import ClassificationConfig, ClassificationData, divide
from tinymed.tasks.heads.class_heads import SigmoidHead, SoftmaxHead
from tinymed.tasks.heads.class_weights import balanced_weights, parse_weights
from tinymed.tasks.inference.class_scores import predict_scores
from tinymed.train import display
from tinymed.train.callbacks import Checkpoints, EarlyStopping, Interrupt, JsonLog, Schedule, improves
from tinymed.train.checkpoint import BEST, NEWEST, digest, load_checkpoint, save_checkpoint
from tinymed.train.display import Lines, clock
from tinymed.train.trainer import Callback, Diverged, Trainer


class TestPositive:
    @pytest.mark.parametrize(
        "name", ["normal", "Normal", "notumor", "non_melanoma", "uninfected", "healthy", "negative", "benign", "no"]
    )
    def test_names_of_the_absence_are_recognised(self, name):
        assert looks_negative(name)

    @pytest.mark.parametrize("name", ["parasitized", "pneumonia", "melanoma", "1", "abnormal", "grade2"])
    def test_names_of_findings_are_not(self, name):
        assert not looks_negative(name)

    def test_the_second_class_is_the_default(self):
        assert choose_positive(["uninfected", "parasitized"], None) == "parasitized"

    def test_a_negative_default_is_refused_or_asked_about(self):
        classes = ["parasitized", "uninfected"]
        with pytest.raises(UserError, match="--positive"):
            choose_positive(classes, None)
        assert choose_positive(classes, None, lambda question: " parasitized ") == "parasitized"
        with pytest.raises(UserError, match="not one of the classes"):
            choose_positive(classes, None, lambda question: "maybe")

    def test_the_one_asked_for_must_exist(self):
        assert choose_positive(["a", "none"], "none") == "none"
        with pytest.raises(UserError, match="a, b"):
            choose_positive(["a", "b"], "c")


class TestMonitor:
    def test_losses_fall_and_scores_rise(self):
        assert improves("val_loss", 0.5, 0.6)
        assert not improves("val_loss", 0.6, 0.6)
        assert improves("val_accuracy", 0.7, 0.6)
        assert not improves("val_auc", 0.65, 0.6, min_delta=0.1)
        assert improves("val_auc", 0.1, None)
        assert not improves("val_loss", math.nan, 0.6)
        assert not improves("val_auc", None, 0.6)


# ---------------------------------------------------------------------------------------------------- the loop


@pytest.fixture
def parts():
    """28 training and 12 validation cells of 16 px."""
    return split_dataset(synthetic_smear(40, 16, seed=1), {"train": 0.7, "val": 0.3})


def trainer(parts, callbacks=(), lr=0.01, **more):
    """A linear classifier on pixels: 4 steps an epoch."""
    tinymed.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.1), nn.Linear(3 * 16 * 16, 2))
    train = Loader(parts["train"], 8, 16, shuffle=True, seed=1, workers=0)
    val = Loader(parts["val"], 5, 16, workers=0)
    optimizer = optim.SGD(model.parameters(), lr=lr)
    return Trainer(model, optimizer, SigmoidHead(2), train, val, callbacks=callbacks, **more)


class Recorder(Callback):
    """Writes down what is called, and stops the training after a step or an epoch if asked."""

    def __init__(self, stop_after: int = 0):
        self.events, self.stop_after = [], stop_after

    def on_start(self, trainer):
        self.events.append("start")

    def on_step(self, trainer, loss):
        self.events.append(trainer.progress.step)
        trainer.stop = trainer.progress.step == self.stop_after

    def on_epoch(self, trainer, row):
        self.events.append(("epoch", row["epoch"], row["step"]))

    def on_end(self, trainer):
        self.events.append("end, interrupted" if trainer.interrupted else "end")

    def close(self):
        self.events.append("closed")


@pytest.mark.usefixtures("on_numpy")
class TestTrainer:
    def test_epochs_and_steps_end_where_they_say(self, parts):
        seen = Recorder()
        trainer(parts, [seen]).fit(epochs=2)
        epochs = [("epoch", 1, 4), ("epoch", 2, 8)]
        assert seen.events == ["start", 1, 2, 3, 4, epochs[0], 5, 6, 7, 8, epochs[1], "end", "closed"]
        seen = Recorder()
        progress = trainer(parts, [seen]).fit(steps=6)
        assert seen.events[-4:] == [6, ("epoch", 1.5, 6), "end", "closed"]
        assert (progress.epoch, progress.batch) == (1, 2)

    def test_the_shorter_of_epochs_and_steps_counts(self, parts):
        assert trainer(parts).fit(epochs=1, steps=100).step == 4
        assert trainer(parts).fit(epochs=100, steps=3).step == 3
        with pytest.raises(ValueError, match="how long"):
            trainer(parts).fit()

    def test_a_row_holds_means_over_the_whole_set(self, parts):
        t = trainer(parts)
        row = t.fit(epochs=1).history[0]
        scores, labels, loss = predict_scores(t.model, Loader(parts["val"], 12, 16, workers=0), t.loss)
        assert row["val_loss"] == pytest.approx(loss, rel=1e-6)
        assert row["val_accuracy"] == (scores.argmax(axis=1) == labels).mean()
        assert {"loss", "accuracy", "lr", "seconds", "val_auc", "val_sensitivity"} <= row.keys()

    def test_stopping_after_any_step_and_going_on_gives_the_same_bits(self, parts, tmp_path):
        whole = trainer(parts)
        whole.fit(epochs=2)
        expected = digest({k: v.array for k, v in whole.model.state_dict().items()})
        for stop in range(1, 9):
            first = trainer(parts, [Recorder(stop)])
            first.fit(epochs=2)
            assert first.interrupted or stop == 8
            save_checkpoint(tmp_path / NEWEST, first.state())
            tinymed.manual_seed(99)
            second = trainer(parts, [Recorder()])
            second.restore(load_checkpoint(tmp_path / NEWEST))
            second.fit(epochs=2)
            assert digest({k: v.array for k, v in second.model.state_dict().items()}) == expected, stop
            rows = [
                [{k: v for k, v in r.items() if k != "seconds"} for r in t.progress.history] for t in (whole, second)
            ]
            assert rows[0] == rows[1]

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_leaves_a_long_validation_and_loses_nothing(self, parts, tmp_path, number):
        """A validation of hours is left at once, its mode and gradients as before, and a resumed run has the bits."""
        whole = trainer(parts)
        whole.fit(epochs=2)

        def measure(t):
            if t.progress.step == 4:
                with tinymed.no_grad():
                    t.model.eval()
                    os.kill(os.getpid(), number)
                    time.sleep(60)
            raise AssertionError("the signal did not end the validation")

        first = trainer(parts, [Interrupt()], measure=measure)
        before = signal.getsignal(number)
        began = time.monotonic()
        first.fit(epochs=2)
        assert time.monotonic() - began < 30
        assert first.interrupted
        assert tinymed.is_grad_enabled()
        assert signal.getsignal(number) == before
        assert (first.progress.step, first.progress.history) == (4, [])
        save_checkpoint(tmp_path / NEWEST, first.state())
        second = trainer(parts)
        second.restore(load_checkpoint(tmp_path / NEWEST))
        second.fit(epochs=2)
        ends = [digest({k: v.array for k, v in t.model.state_dict().items()}) for t in (whole, second)]
        assert ends[0] == ends[1]
        assert [row["val_loss"] for row in second.progress.history] == [r["val_loss"] for r in whole.progress.history]

    def test_lengthening_a_run_that_ended_within_an_epoch(self, parts):
        once = trainer(parts)
        once.fit(steps=7)
        twice = trainer(parts)
        twice.fit(steps=3)
        twice.fit(steps=7)
        assert np.array_equal(once.model[2].weight.array, twice.model[2].weight.array)

    def test_divergence_is_an_error_and_callbacks_are_closed(self, parts):
        seen = Recorder()
        with pytest.raises(Diverged, match="lower the learning rate"):
            trainer(parts, [seen], lr=1e38).fit(epochs=5)
        assert seen.events[-1] == "closed"
        assert "end" not in seen.events

    def test_the_step_can_be_replaced(self, parts):
        plain = trainer(parts)
        plain.fit(epochs=1)
        calls = []

        def step(images, targets):
            calls.append(images.shape)
            return train_step(other.model, other.optimizer, other.loss, None)(images, targets)

        other = trainer(parts, step=step)
        other.fit(epochs=1)
        assert calls == [(8, 3, 16, 16)] * 3 + [(4, 3, 16, 16)]
        assert np.array_equal(plain.model[2].weight.array, other.model[2].weight.array)

    def test_clipping_bounds_the_step(self, parts):
        t = trainer(parts, lr=1.0, clip_norm=1e-3)
        before = t.model[2].weight.array.copy()
        t.fit(steps=1)
        assert 0 < np.linalg.norm(t.model[2].weight.array - before) <= 1e-3


@pytest.fixture
def on_numpy():
    with tinymed.use_backend("numpy"):
        yield


@pytest.mark.usefixtures("on_numpy")
class TestCallbacks:
    def test_early_stopping_waits_for_its_patience(self, parts):
        t = trainer(parts, [EarlyStopping(2)], lr=0.0)
        progress = t.fit(epochs=50)
        assert progress.epoch == 3
        assert "val_loss" in progress.stopped
        assert t.finished
        assert t.fit(epochs=50).epoch == 3  # also after a restart

    def test_the_best_checkpoint_is_that_of_the_best_epoch(self, parts, tmp_path):
        t = trainer(parts, [Checkpoints(tmp_path, {"a": 1}, monitor="val_loss")], lr=0.05)
        history = t.fit(epochs=4).history
        best = load_checkpoint(tmp_path / BEST)
        losses = [row["val_loss"] for row in history]
        assert best["progress"]["history"][-1]["val_loss"] == min(losses)
        assert load_checkpoint(tmp_path / NEWEST)["progress"]["epoch"] == 4
        assert best["config"] == {"a": 1}

    def test_schedules_by_epoch_by_step_and_by_plateau(self, parts):
        def rates(make, **how):
            t = trainer(parts)
            t.callbacks.append(Schedule(make(t.optimizer), **how))
            return [row["lr"] for row in t.fit(epochs=3).history], t.learning_rate

        step_lr = optim.lr_scheduler.StepLR
        assert rates(lambda o: step_lr(o, 1, gamma=0.5)) == (
            pytest.approx([0.01, 0.005, 0.0025]),
            pytest.approx(0.00125),
        )
        assert rates(lambda o: step_lr(o, 4, gamma=0.5), every="step")[0] == pytest.approx([0.005, 0.0025, 0.00125])
        never = optim.lr_scheduler.ReduceLROnPlateau
        _, last = rates(
            lambda o: never(o, patience=0, factor=0.1, threshold=1e9, threshold_mode="abs"), monitor="val_loss"
        )
        assert last == pytest.approx(0.01 * 0.1**2)

    def test_the_log_forgets_what_is_done_again(self, parts, tmp_path):
        path = tmp_path / "log.jsonl"
        t = trainer(parts, [JsonLog(path, every=1), Recorder(3)])
        t.fit(epochs=1)
        with path.open("a") as file:
            file.write('{"event": "step", "step": 4, "loss": 1}\n{"event": "epoch", "step": 4}\n{"event": "st')
        t.stop, t.callbacks[1] = False, Recorder()
        t.fit(epochs=1)
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert [(row["event"], row["step"]) for row in rows] == [*(("step", i) for i in (1, 2, 3, 4)), ("epoch", 4)]
        assert rows[3]["loss"] != 1

    def test_lines_say_pace_and_time_left(self, parts):
        lines = []
        trainer(parts, [Lines(lines.append, seconds=0)]).fit(epochs=2)
        assert len(lines) == 8  # of the first two steps of eight nothing is known
        assert all("images/s" in line for line in lines)
        assert lines[-1].startswith("epoch 2/2  step 8  loss ")
        assert "0:00 left" in lines[-1]
        assert [clock(s) for s in (7, 100, 3723)] == ["0:07", "1:40", "1:02:03"]

    def test_the_first_line_comes_as_soon_as_the_pace_is_known(self, parts, monkeypatch):
        lines = []
        monkeypatch.setattr(display, "SOON", 0.0)
        trainer(parts, [Lines(lines.append, seconds=3600)]).fit(epochs=2)
        assert len(lines) == 3
        assert lines[0].startswith("epoch 1  batch 3/4")
        assert "left" in lines[0]

    @pytest.mark.parametrize(("minutes", "count"), [(0.0, 1), (30.0, 0)])
    def test_a_long_training_is_said_to_be_one(self, parts, minutes, count):
        lines = []
        trainer(parts, [LongRun(lines.append, minutes=minutes, seconds=0.0)]).fit(epochs=2)
        assert len(lines) == count
        assert all("at this pace the training takes 0:0" in line and "--size" in line for line in lines)


# ---------------------------------------------------------------------------------------- heads, configuration


@pytest.mark.usefixtures("on_numpy")
class TestHeads:
    @pytest.mark.parametrize("weights", [None, [0.5, 2.0, 1.0]])
    def test_losses_are_those_of_pytorch(self, weights, rng):
        torch = pytest.importorskip("torch")
        z, labels = rng.normal(0, 3, (7, 3)), np.array([0, 1, 2, 0, 1, 2, 2])
        for head in (SigmoidHead(3, weights), SoftmaxHead(3, weights)):
            ours, theirs = tinymed.tensor(z, requires_grad=True), torch.tensor(z, requires_grad=True)
            loss = head(
                ours, tinymed.Tensor(head.targets(labels).astype(np.float64) if head.name == "sigmoid" else labels)
            )
            loss.backward()
            w = None if weights is None else torch.tensor(weights, dtype=torch.float64)
            target = torch.tensor(labels)
            if head.name == "sigmoid":
                hot = torch.nn.functional.one_hot(target, 3).double()
                per_image = None if w is None else w[target][:, None]
                expected = torch.nn.functional.binary_cross_entropy_with_logits(theirs, hot, per_image)
                scores = torch.sigmoid(theirs)
            else:
                expected, scores = torch.nn.functional.cross_entropy(theirs, target, w), torch.softmax(theirs, 1)
            expected.backward()
            assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
            assert np.allclose(ours.grad.array, theirs.grad.numpy(), rtol=1e-6, atol=1e-12)
            assert np.allclose(head.scores(z), scores.detach().numpy(), rtol=1e-12)

    def test_scores_of_huge_logits_are_finite(self):
        z = np.array([[1e4, -1e4], [-1e4, 1e4]], np.float32)
        for head in (SigmoidHead(2), SoftmaxHead(2)):
            assert np.array_equal(head.scores(z), [[1, 0], [0, 1]])

    def test_class_weights_of_the_command_line(self):
        counts = {"a": 30, "b": 10}
        assert parse_weights("none", ["a", "b"], counts) is None
        assert parse_weights("1,3.5", ["a", "b"], counts) == [1.0, 3.5]
        assert parse_weights("tempered", ["a", "b"], {"a": 9, "b": 1}) == pytest.approx([10 / 12, 10 / 4])
        assert parse_weights("balanced", ["a", "b"], counts) == balanced_weights(counts) == [pytest.approx(2 / 3), 2.0]
        for text in ("1", "1,2,3", "1,-1", "0,1", "nan,1", "heavy"):
            with pytest.raises(UserError):
                parse_weights(text, ["a", "b"], counts)


DATA = {"val_fraction": 0.25, "test_fraction": 0.25, "size": 16}


def dataset(split: str, labels: list[int], seed: int = 0) -> Dataset:
    """Noise images with these labels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 16, 16, 3), np.uint8)
    return Dataset(pixels, np.array(labels), ["a", "b"], split=split)


class TestDividing:
    def test_given_parts_are_kept_and_missing_ones_cut_off(self):
        data = ClassificationData(**DATA)
        train, val, test = (dataset(name, [0, 1] * 8) for name in ("train", "val", "test"))
        assert divide({"train": train, "val": val}, data, 0) == {"train": train, "val": val}
        cut = divide({"train": train, "test": test}, data, 0)
        assert {name: len(part) for name, part in cut.items()} == {"train": 12, "val": 4, "test": 16}
        cut = divide({"all": dataset("all", [0, 1] * 8)}, data, 0)
        assert {name: len(part) for name, part in cut.items()} == {"train": 8, "val": 4, "test": 4}
        with pytest.raises(UserError, match="no train images"):
            divide({"test": test}, data, 0)

    def test_the_last_part_of_a_sorted_set_is_refused(self):
        data = ClassificationData(val_fraction=0.3, test_fraction=0, size=16, split="last")
        mixed = divide({"all": dataset("all", [0, 1] * 10)}, data, 0)
        assert mixed["val"].labels.tolist() == [0, 1, 0, 1, 0, 1]
        with pytest.raises(UserError, match="stratified"):
            divide({"all": dataset("all", [0] * 10 + [1] * 10)}, data, 0)

    def test_a_fingerprint_sees_images_labels_and_parts(self):
        a, b = dataset("train", [0, 1, 0, 1]), dataset("train", [0, 1, 1, 0])
        prints = [
            fingerprint_samples(s, None)
            for s in ({"train": a}, {"train": b}, {"val": a}, {"train": dataset("t", [0, 1, 0, 1], 1)})
        ]
        assert len(set(prints)) == 4
        assert fingerprint_samples({"train": dataset("train", [0, 1, 0, 1])}, None) == prints[0]


class TestConfig:
    def test_the_defaults_are_the_papers_recipe(self):
        config = ClassificationConfig(data=ClassificationData(**DATA))
        assert (config.epochs, config.batch, config.optimizer, config.lr, config.head) == (
            20,
            128,
            "adam",
            1e-3,
            "sigmoid",
        )
        assert ClassificationConfig.model_validate(json.loads(json.dumps(config.model_dump()))) == config

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"lr": "fast"}, "lr"),
            ({"lr": 0}, "lr"),
            ({"batches": 3}, "batches"),
            ({"epochs": None}, "epochs or steps"),
            ({"data": DATA | {"channels": 0}}, "data.channels"),
            ({"seed": -1}, "seed"),
        ],
    )
    def test_a_wrong_value_is_named_in_one_line(self, change, says):
        with pytest.raises(UserError, match=says) as error:
            checked(lambda: ClassificationConfig.model_validate({"data": DATA} | change), Path("config.json"))
        assert "\n" not in str(error.value)
