"""Training on csrc's kernels: from the same weights, the same losses and gradients as the reference, step by step."""

import numpy as np
import pytest
from conftest import absence

import tinymed
from tinymed import dispatch, models, nn, optim
from tinymed.nn import functional as F
from tinymed.program import capture

pytestmark = pytest.mark.skipif(bool(absence("emulated")), reason=f"backend emulated: {absence('emulated')}")
STEPS, CLOSE, CLOSE_TF32 = 5, 1e-4, 2e-3
SMOOTH = 2000  # the first batch of those in tf32


class Residual(nn.Module):
    """A ResNet's basic block and a head: batch norm, addition and ReLU, global pooling."""

    def __init__(self):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.conv2, self.norm2 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        y = F.relu(self.norm1(self.conv1(x)))
        y = F.relu(self.norm2(self.conv2(y)) + x)
        return self.head(F.adaptive_avg_pool2d(y, 1).flatten(1))


def dcnn():
    """The papers' CNN in small: its layers, a tenth of its widths, dropout from the same words on both backends."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(6),
        nn.Dropout(0.25),
        nn.Conv2d(6, 9, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(9 * 2 * 2, 8),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(8, 2),
    )


def unet(upsample):
    return models.create("unet", in_channels=1, base=3, depth=1, padding="same", norm=True, upsample=upsample)


CASES = {
    "DCNN": (dcnn, (4, 3, 14, 14), F.binary_cross_entropy_with_logits, optim.Adam),
    "ResNet block": (Residual, (4, 4, 6, 5), F.cross_entropy, optim.SGD),
    "U-Net block": (lambda: unet("bilinear"), (2, 1, 6, 10), F.cross_entropy, optim.SGD),
    "U-Net block, transposed": (lambda: unet("transposed"), (2, 1, 6, 10), F.cross_entropy, optim.SGD),
}


def batch(step, shape, loss, model):
    """Seeded images and targets of the model's outputs, different at every step."""
    rng = np.random.default_rng(step)
    x = rng.normal(size=shape).astype(np.float32)
    if loss is not F.cross_entropy:
        return x, np.eye(2, dtype=np.float32)[rng.integers(0, 2, shape[0])]
    pixels = (shape[0], *shape[2:]) if isinstance(model, models.UNet) else shape[:1]
    return x, rng.integers(0, 2, pixels)


def run(case, used, wrap=lambda step: step, states=None, first=0):
    """[(loss, gradients)] of each step on a backend; states: begin each step from the state_dict given for it.

    first: the number of the first batch.
    """
    build, shape, loss, optimizer = CASES[case]
    tinymed.manual_seed(7)
    with dispatch.use_backend(used):
        model = build().train()
        chosen = optimizer(model.parameters(), lr=0.01)

        def step(x, y):
            chosen.zero_grad()
            value = loss(model(x), y)
            value.backward()
            chosen.step()
            return value

        step, found, seen = wrap(step), [], []
        for i in range(STEPS):
            if states:
                model.load_state_dict(states[i])
            seen.append({k: v.numpy().copy() for k, v in model.state_dict().items()})
            value = step(*map(tinymed.tensor, batch(first + i, shape, loss, model)))
            found.append([np.array(value.array), *(np.array(p.grad.array) for p in model.parameters())])
    return found, seen


@pytest.fixture(scope="module", params=CASES)
def case(request):
    """A network's name, and what the reference makes of it."""
    return request.param, *run(request.param, "numpy")


def assert_close(ours, true, what):
    for step, (a, b) in enumerate(zip(ours, true, strict=True)):
        for i, (got, want) in enumerate(zip(a, b, strict=True)):
            off = np.abs(got - want).max() / max(np.abs(want).max(), 1e-3)
            assert off <= CLOSE, f"{what}, step {step}, {'loss' if i == 0 else f'gradient {i - 1}'}: off by {off:.1e}"


def test_losses_and_gradients_are_the_references(case):
    name, true, states = case
    assert_close(run(name, "emulated", states=states)[0], true, name)


def test_losses_and_gradients_in_tf32(case):
    """Products of numbers with 10 bits: close to the reference, of a step's largest gradient, and not float32's.

    The batches are such that rounding turns over no ReLU and no pooling winner, which would be another function.
    """
    name, *_ = case
    true, states = run(name, "numpy", first=SMOOTH)
    exact, _ = run(name, "emulated", states=states, first=SMOOTH)
    with tinymed.use_precision("tf32"):
        found, _ = run(name, "emulated", states=states, first=SMOOTH)
    for ours, want in zip(found, true, strict=True):
        largest = max(np.abs(w).max() for w in want[1:])
        assert abs(ours[0] - want[0]) <= CLOSE_TF32 * abs(want[0])
        assert max(np.abs(a - b).max() for a, b in zip(ours[1:], want[1:], strict=True)) <= CLOSE_TF32 * largest
    assert any(not np.array_equal(a, b) for a, b in zip(found[0], exact[0], strict=True))


def test_captured_is_the_same(case):
    """A recorded program, its kernels fused and its updates gathered, on the emulator."""
    name, *_ = case
    eager, _ = run(name, "emulated")
    captured, _ = run(name, "emulated", capture)
    assert_close(captured, eager, f"{name}, captured")


def test_every_kernel_is_native(case, monkeypatch):
    """A training step of these networks runs no reference on the GPU."""
    monkeypatch.setattr(dispatch.call, "strict", True)
    table = dispatch.table("emulated")
    before = {name: dispatcher.fallback for name, dispatcher in table.dispatchers.items()}
    run(case[0], "emulated")
    fell = {name for name, dispatcher in table.dispatchers.items() if dispatcher.fallback > before.get(name, 0)}
    assert not fell, f"kernels that ran as their reference: {fell}"
