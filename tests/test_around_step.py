"""What surrounds the steps of a run: how often programs are recorded, the last, smaller batch, and the measuring."""

import json
import warnings
from collections import Counter
from contextlib import nullcontext
from importlib import import_module

import numpy as np
import pytest
from commands import QUICK, invoke

import tinymed
from tinymed import dispatch, nn, optim
from tinymed.data import Dataset, Loader
from tinymed.models.lenet5 import LeNet5Modern
from tinymed.nn import functional as F
from tinymed.program import capture
from tinymed.tasks.heads.class_heads import SoftmaxHead
from tinymed.tasks.inference.class_scores import predict_scores, sharing
from tinymed.train.run import Run
from tinymed.train.trainer import Trainer

capturing = import_module("tinymed.program.capture")


@pytest.fixture
def recorded(monkeypatch):
    """The shapes of the inputs that programs were recorded for, from here on."""
    shapes: list[tuple[int, ...]] = []
    plain = capturing.Captured.record

    def record(self, inputs):
        shapes.append(tuple(inputs[0].shape))
        return plain(self, inputs)

    monkeypatch.setattr(capturing.Captured, "record", record)
    return shapes


def test_every_epoch_replays_what_the_first_recorded(recorded, rng):
    """One program of each size of batch, for training and for evaluation; more epochs record no more."""
    data = Dataset(rng.integers(0, 256, (40, 8, 8), np.uint8), np.arange(40) % 2, ["a", "b"])
    train, val = (Loader(part, 16, 8, 1, shuffle=True, workers=0) for part in (data, data.subset(range(18))))
    with dispatch.use_backend("numpy"):
        model = small_network()
        trainer = Trainer(model, optim.Adam(model.parameters(), lr=1e-3), SoftmaxHead(2), train, val)
        trainer.fit(epochs=1)
        first = Counter(recorded)
        trainer.fit(epochs=4)
    assert first == Counter({(16, 1, 8, 8): 2, (8, 1, 8, 8): 1, (2, 1, 8, 8): 1})
    assert Counter(recorded) == first


def test_measuring_in_the_end_runs_the_programs_of_the_validation(cells, tmp_path, capsys, monkeypatch):
    """The network's Python does not run any more: every batch of val and test is a replay."""
    calls: list[int] = []
    plain = LeNet5Modern.forward
    monkeypatch.setattr(LeNet5Modern, "forward", lambda self, x: (calls.append(len(x)), plain(self, x))[1])
    finish = Run.finish
    before: list[int] = []

    def counted(self, trainer, sets):
        before.extend(calls)
        return finish(self, trainer, sets)

    monkeypatch.setattr(Run, "finish", counted)
    options = [*QUICK, "--batch", 2, "--epochs", 1]
    code, _, err = invoke(capsys, "train", "--data", cells, "--out", tmp_path / "run", *options)
    assert code == 0, err
    assert before
    assert calls == before
    calls.clear()
    code, text, err = invoke(capsys, "evaluate", tmp_path / "run", "--json")
    assert code == 0, err
    assert calls == [2, 2]  # one program, recorded twice
    there, now = json.loads((tmp_path / "run/metrics.json").read_text())["test"], json.loads(text)
    assert now["loss"] == pytest.approx(there["loss"], rel=1e-6)


def small_network() -> nn.Module:
    """A network with batch norm, whose images have 8 x 8 pixels."""
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 2))


class Steps:
    """A network and its training step, plain or captured."""

    def __init__(self, captured: bool):
        tinymed.manual_seed(4)
        self.model = nn.Sequential(*small_network()[:4], nn.Dropout(), nn.Linear(4 * 6 * 6, 2))
        self.optimizer = optim.Adam(self.model.parameters(), lr=1e-3)
        self.run = capture(self.step) if captured else self.step

    def step(self, x, y):
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        return loss


@pytest.mark.parametrize("last", [1, 3, 7])
def test_a_smaller_last_batch_has_the_bits_of_eager(last):
    """Nothing is masked or filled up in training.  (Fused kernels of other backends round otherwise, at any size.)"""
    x, y = tinymed.randn(8, 1, 8, 8, seed=1), tinymed.tensor(np.arange(8) % 2)
    states = []
    with dispatch.use_backend("numpy"):
        for captured in (True, False):
            steps = Steps(captured)
            tinymed.manual_seed(6)  # of dropout
            for size in (8, last, 8, last):
                steps.run(x[:size], y[:size])
            states.append(steps.model.state_dict())
    for name, value in states[0].items():
        assert np.array_equal(value.array, states[1][name].array), name


def test_a_smaller_last_batch_shares_compiled_kernels(monkeypatch):
    """The second size compiles, and loads, nothing that the first has not."""
    numba_library = import_module("tinymed.cpu.compiler.numba_library")
    compiled: list[str] = []
    plain = numba_library.KernelCode.compile

    def compiling(self, signature):
        before = len(self.overloads)
        found = plain(self, signature)
        if len(self.overloads) > before:
            compiled.append(self.py_func.__name__)
        return found

    monkeypatch.setattr(numba_library.KernelCode, "compile", compiling)
    x, y = tinymed.randn(8, 1, 8, 8, seed=1), tinymed.tensor(np.arange(8) % 2)
    with dispatch.use_backend("numba"):
        steps = Steps(captured=True)
        for size in (8, 3, 5, 8):
            steps.run(x[:size], y[:size])
            if size == 8:
                compiled.clear()
        assert not compiled


# ------------------------------------------------------------------------------------------------ batch norm's look


def stale(images: np.ndarray) -> nn.Module:
    """A classifier whose running statistics are far from those of its data."""
    model = small_network()
    model[1] = nn.BatchNorm2d(4, momentum=0.01, statistics="torch")
    model(tinymed.tensor(images))
    return model


@pytest.fixture
def data(rng):
    return Dataset(rng.integers(150, 250, (64, 8, 8), np.uint8), np.arange(64) % 2, ["a", "b"])


@pytest.mark.parametrize("shared", [False, True])
def test_captured_measuring_still_tells_stale_statistics(data, shared):
    model = stale(np.random.default_rng(0).normal(5, 0.1, (32, 1, 8, 8)).astype(np.float32))
    loader = Loader(data, 32, 8, 1, workers=0)
    with dispatch.use_backend("numba"):
        within = sharing(model, capture(lambda x: model(x))) if shared else nullcontext()
        with within, pytest.warns(nn.StatisticsWarning, match="far from those"):
            found = predict_scores(model, loader, SoftmaxHead(2))
        with warnings.catch_warnings():  # once after each change of mode
            warnings.simplefilter("error")
            again = predict_scores(model, loader, SoftmaxHead(2))
    assert np.allclose(found[0], again[0], atol=1e-6)


def test_recording_judges_no_statistics(rng):
    """A dry recording computes nothing: what it would compare is whatever memory held."""
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
    x = tinymed.tensor(rng.normal(5, 0.1, (32, 1, 8, 8)).astype(np.float32))
    model(x)
    with dispatch.use_backend("numba"), warnings.catch_warnings():
        warnings.simplefilter("error")
        forward = capture(model.eval())
        with tinymed.no_grad():
            captured = forward(x)
            assert np.allclose(captured.array, model(x).array, atol=1e-5)


def test_training_again_lets_the_statistics_be_looked_at_again(rng):
    model = nn.Sequential(nn.BatchNorm2d(4, momentum=0.01, statistics="torch"))
    x = tinymed.tensor(rng.normal(5, 0.1, (32, 4, 8, 8)).astype(np.float32))
    model(x)
    for _ in range(2):
        with pytest.warns(nn.StatisticsWarning):
            model.eval()(x)
        model.train()
