"""Training beside PyTorch: the same weights and batches give the same losses and gradients, step by step."""

import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import USABLE

import tinymed
from tinymed import dispatch, models, optim, tape
from tinymed.nn import functional

torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
import twins  # noqa: E402

BATCH = 8


def networks(name, dtype):
    """(ours, PyTorch's, input shape, classes) with the same initial weights, in training mode, dropout off."""
    tinymed.manual_seed(0)
    if name == "dcnn":
        ours = models.create("dcnn", num_classes=2, in_channels=3, size=50, dropout=(0.0, 0.0), statistics="torch")
        theirs, shape, classes = twins.dcnn(torch, dropout=(0.0, 0.0)), (3, 50, 50), 2
    else:
        ours, theirs, shape, classes = models.create("lenet5_modern"), twins.lenet5_modern(torch), (1, 32, 32), 10
    ours.to(dtype)
    theirs.to(torch.float64 if dtype == np.float64 else torch.float32)
    twins.copy_weights(torch, ours, theirs)
    return ours.train(), theirs.train(), shape, classes


def batch(step, shape, classes, dtype):
    """Seeded images and one-hot targets, different at every step."""
    rng = np.random.default_rng(step)
    x = rng.normal(size=(BATCH, *shape)).astype(dtype)
    return x, np.eye(classes, dtype=dtype)[rng.integers(0, classes, BATCH)]


def our_step(model, optimizer, x, y):
    """One step of ours: loss, and the gradients before the update."""
    optimizer.zero_grad()
    loss = functional.binary_cross_entropy_with_logits(model(tinymed.Tensor(x)), tinymed.Tensor(y))
    loss.backward()
    gradients = [np.array(p.grad.array) for p in model.parameters()]
    optimizer.step()
    return loss.item(), gradients


def torch_step(model, optimizer, x, y):
    """The same in PyTorch."""
    optimizer.zero_grad()
    loss = torch.nn.functional.binary_cross_entropy_with_logits(model(torch.from_numpy(x)), torch.from_numpy(y))
    loss.backward()
    gradients = [p.grad.numpy().copy() for p in model.parameters()]
    optimizer.step()
    return loss.item(), gradients


def optimizers(ours, theirs, kind="Adam"):
    """The papers' Adam, in both."""
    options = {"lr": 1e-3, "eps": 1e-7} if kind == "Adam" else {"lr": 1e-2, "momentum": 0.9}
    return getattr(optim, kind)(ours.parameters(), **options), getattr(torch.optim, kind)(
        theirs.parameters(), **options
    )


@pytest.mark.parametrize("name", ["dcnn", "lenet5_modern"])
def test_float64_losses_are_pytorchs_over_50_steps(name):
    ours, theirs, shape, classes = networks(name, np.float64)
    a, b = optimizers(ours, theirs)
    with dispatch.use_backend("numpy"):
        for step in range(50):
            x, y = batch(step, shape, classes, np.float64)
            mine, other = our_step(ours, a, x, y)[0], torch_step(theirs, b, x, y)[0]
            assert abs(mine - other) <= 1e-8, f"step {step}: {mine} against {other}"


class Decisions(tape.Observer):
    """Which ReLUs let through, and which element of each 2x2 window is the largest: what rounding can tip."""

    def __init__(self):
        self.ours, self.theirs = [], []

    def forward(self, op, inputs, outputs):
        if type(op).__name__ == "ReLU":
            self.ours.append(np.array(outputs[0]))

    def watch(self, model):
        for m in model.modules():
            if isinstance(m, torch.nn.ReLU):
                m.register_forward_hook(lambda module, x, y: self.theirs.append(y.detach().numpy().copy()))

    def tipped(self):
        """How many decisions differ between the two engines; each must be a tie within rounding."""
        count = 0
        for a, b in zip(self.ours, self.theirs, strict=True):
            signs = (a > 0) != (b > 0)
            assert np.abs(np.where(signs, a - b, 0)).max() <= 1e-5 * np.abs(b).max(), (
                "a ReLU differs by more than rounding"
            )
            count += int(signs.sum())
            if a.ndim == 4 and a.shape[2] > 1:
                (p, q), (r, s) = windows(a), windows(b)
                differ = (q != s) & (p > 0)
                assert np.abs(np.where(differ, p - r, 0)).max() <= 1e-5 * np.abs(b).max(), (
                    "a maximum differs by more than rounding"
                )
                count += int(differ.sum())
        self.ours.clear()
        self.theirs.clear()
        return count


def windows(y):
    """Maximum and its place in every 2x2 window."""
    n, c, h, w = y.shape
    four = y[:, :, : h // 2 * 2, : w // 2 * 2].reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 2, 4, 3, 5)
    four = four.reshape(*four.shape[:4], 4)
    return four.max(-1), four.argmax(-1)


EVERYWHERE = [  # the larger network on two backends every time
    pytest.param(
        name, used, marks=pytest.mark.full if (name, used) in (("dcnn", "loops"), ("dcnn", "emulated")) else ()
    )
    for name in ("dcnn", "lenet5_modern")
    for used in USABLE
]


@pytest.mark.parametrize(("name", "backend_name"), EVERYWHERE, indirect=["backend_name"])
def test_float32_gradients_from_the_same_weights(name, backend_name):
    """At each of 20 steps, from PyTorch's weights: loss and every gradient within 1e-4 of its largest value.

    Where a ReLU's sign or a window's maximum is a tie within rounding, float32 engines may decide differently, and one
    such decision moves a gradient by more.  Those decisions are found and must be ties; another batch takes its
    place, at most five times, so the bound holds at each of 20 steps.
    """
    ours, theirs, shape, classes = networks(name, np.float32)
    a, b = optimizers(ours, theirs)
    decisions, compared, draws = Decisions(), 0, 0
    decisions.watch(theirs)
    while compared < 20:
        assert draws < 25, "more than five steps tip a tie: more than rounding differs"
        x, y = batch(draws, shape, classes, np.float32)
        draws += 1
        with tinymed.no_grad():
            for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
                p.copy_(tinymed.tensor(q.detach().numpy().reshape(p.shape)))
        with tape.observers.watching(decisions):
            mine, gradients = our_step(ours, a, x, y)
        other, expected = torch_step(theirs, b, x, y)
        tipped = decisions.tipped()
        assert abs(mine - other) <= 1e-4 * abs(other), f"draw {draws}: loss {mine} against {other}"
        if tipped:
            continue
        compared += 1
        for (key, _), g, h in zip(ours.named_parameters(), gradients, expected, strict=True):
            error = np.abs(g - h.reshape(g.shape)).max() / max(np.abs(h).max(), 1e-12)
            # A bias before batch norm has gradient 0 but for rounding: nothing to be relative to.
            assert error <= 1e-4 or np.abs(h).max() < 1e-6, f"draw {draws}, {key}: off by {error:.1e}"


@pytest.mark.parametrize("name", ["dcnn", "lenet5_modern"])
def test_float32_runs_stay_as_near_to_float64_as_pytorchs(name):
    """Left to run, our float32 losses leave the float64 curve by at most twice what PyTorch's do.

    A run ends where a decision differs from float64's, which must be a tie within rounding: from there it is another
    run, PyTorch's as often as ours.  20 steps are compared at least, of at most five runs of 20.
    """
    mine, other, compared = 0.0, [], 0
    for run in range(5):
        exact, exact_torch, shape, classes = networks(name, np.float64)
        ours, theirs, *_ = networks(name, np.float32)
        (a, b), (_, c) = optimizers(ours, theirs), optimizers(exact, exact_torch)
        decisions, errors = Decisions(), [0.0]
        decisions.watch(exact_torch)
        for step in range(20):
            x, y = batch(20 * run + step, shape, classes, np.float32)
            truth = torch_step(exact_torch, c, x.astype(np.float64), y.astype(np.float64))[0]
            with dispatch.use_backend("numba"), tape.observers.watching(decisions):
                loss = our_step(ours, a, x, y)[0]
            errors.append(abs(torch_step(theirs, b, x, y)[0] - truth))
            if decisions.tipped():
                break
            mine, compared = max(mine, abs(loss - truth)), compared + 1
        other.append(max(errors))
    assert compared >= 20, f"{compared} steps before a tie: more than rounding differs"
    assert mine <= 2 * np.median(other) + 1e-6, f"ours {mine:.1e}, PyTorch's {np.median(other):.1e}"
