"""Training on csrc's kernels: from the same weights, the same losses and gradients as the reference, step by step."""

import contextlib

import numpy as np
import pytest
from conftest import absence

import tinymed
from tinymed import dispatch, models, nn, optim
from tinymed.nn import functional as F
from tinymed.program import capture

pytestmark = pytest.mark.skipif(bool(absence("emulated")), reason=f"backend emulated: {absence('emulated')}")
STEPS, CLOSE, CLOSE_TF32, CLOSE_BF16 = 5, 1e-4, 2e-3, 2e-2
SMOOTH = 2000  # the first batch of those with rounded products
BATCHES = {("3D U-Net block", "tf32"): 2400, ("dcnn", "tf32"): 2100, ("resnet20", "bf16"): 2100}  # where it is another


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


class Recurrent(nn.Module):
    """An LSTM over rows of an image, and a head."""

    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(6, 5, batch_first=True), nn.Linear(5, 2)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


class Attending(nn.Module):
    """An attention block of two heads over a few places, and a head."""

    def __init__(self):
        super().__init__()
        self.block = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, activation="gelu", batch_first=True)
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        return self.head(self.block(x).mean(1))


def unet3d():
    return models.create("unet3d", num_classes=2, in_channels=1, base=2, depth=1, padding="same")


CASES = {
    "DCNN": (dcnn, (4, 3, 14, 14), F.binary_cross_entropy_with_logits, optim.Adam),
    "ResNet block": (Residual, (4, 4, 6, 5), F.cross_entropy, optim.SGD),
    "U-Net block": (lambda: unet("bilinear"), (2, 1, 6, 10), F.cross_entropy, optim.SGD),
    "U-Net block, transposed": (lambda: unet("transposed"), (2, 1, 6, 10), F.cross_entropy, optim.SGD),
    "3D U-Net block": (unet3d, (1, 1, 4, 6, 4), F.cross_entropy, optim.SGD),
    "LSTM": (Recurrent, (3, 4, 6), F.cross_entropy, optim.SGD),
    "attention block": (Attending, (3, 5, 8), F.cross_entropy, optim.SGD),
}
# Whole networks, as small as they can be built, on images that the emulator takes seconds for.
WHOLE = {
    "dcnn": (lambda: models.create("dcnn"), (2, 3, 50, 50), F.binary_cross_entropy_with_logits, optim.Adam),
    "resnet20": (lambda: models.create("resnet20", width=0.125), (2, 3, 16, 16), F.cross_entropy, optim.SGD),
    "unet": (
        lambda: models.create("unet", base=2, depth=3, padding="same", norm=True, dropout=0.0),
        (1, 1, 16, 16),
        F.cross_entropy,
        optim.SGD,
    ),
    "unet3d": (
        lambda: models.create("unet3d", num_classes=2, in_channels=1, base=2, depth=2, padding="same"),
        (1, 1, 8, 8, 8),
        F.cross_entropy,
        optim.SGD,
    ),
}
ALL = CASES | WHOLE


def batch(step, shape, loss, model):
    """Seeded images and targets of the model's outputs, different at every step."""
    rng = np.random.default_rng(step)
    x = rng.normal(size=shape).astype(np.float32)
    if loss is not F.cross_entropy:
        return x, np.eye(2, dtype=np.float32)[rng.integers(0, 2, shape[0])]
    dense = isinstance(model, models.UNet | models.UNet3d)
    return x, rng.integers(0, 2, (shape[0], *shape[2:]) if dense else shape[:1])


def run(case, used, wrap=lambda step: step, states=None, first=0):
    """[(loss, gradients)] of each step on a backend; states: begin each step from the state_dict given for it.

    first: the number of the first batch.
    """
    build, shape, loss, optimizer = ALL[case]
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


@pytest.fixture(scope="module", params=[*CASES, *(pytest.param(name, marks=pytest.mark.full) for name in WHOLE)])
def case(request):
    """A network's name, and what the reference makes of it."""
    return request.param, *run(request.param, "numpy", first=first_batch(request.param))


def first_batch(name):
    """The number of a network's first batch in float32: in DCNN's own a pooling window holds two alike."""
    return SMOOTH if name == "dcnn" else 0


def assert_close(ours, true, what):
    for step, (a, b) in enumerate(zip(ours, true, strict=True)):
        for i, (got, want) in enumerate(zip(a, b, strict=True)):
            off = np.abs(got - want).max() / max(np.abs(want).max(), 1e-3)
            assert off <= CLOSE, f"{what}, step {step}, {'loss' if i == 0 else f'gradient {i - 1}'}: off by {off:.1e}"


def test_losses_and_gradients_are_the_references(case):
    name, true, states = case
    assert_close(run(name, "emulated", states=states, first=first_batch(name))[0], true, name)


def tf32(a):
    """Return float32 rounded to 10 binary digits behind the point, away from zero in the middle."""
    near = (np.ascontiguousarray(a).view(np.uint32) + np.uint32(0x1000)) & np.uint32(0xFFFFE000)
    return near.view(np.float32).reshape(a.shape)


@contextlib.contextmanager
def reference_in(precision, rounding):
    """Let the reference compute what a precision is held to.

    In bf16 as its table says.  In tf32 in float32, or, rounding, convolutions of rounded numbers: in a whole network
    some of a million numbers change their sign in a ReLU, which no reference in float32 follows.
    """
    with pytest.MonkeyPatch.context() as patch, tinymed.use_precision("bf16" if precision == "bf16" else "exact"):
        for name in ("forward", "backward_input", "backward_weight") if precision == "tf32" and rounding else ():
            for rank in (2, 3):
                kernel = dispatch.implementations[dispatch.REFERENCE, f"conv{rank}d_{name}"]
                patch.setattr(kernel, "fn", of_rounded(kernel.fn))
        dispatch.table("numpy").forget()
        yield
    dispatch.table("numpy").forget()


def of_rounded(convolve):
    """Return a convolution of its two arrays rounded to tf32."""
    return lambda xp, a, b, *rest: convolve(xp, tf32(a), tf32(b), *rest)


@pytest.mark.parametrize(("precision", "close"), [("tf32", CLOSE_TF32), ("bf16", CLOSE_BF16)])
def test_losses_and_gradients_of_rounded_products(case, precision, close):
    """In tf32 close to the reference, in mixed precision to its own, of a step's largest gradient; not float32's.

    The batches are such that rounding turns over no ReLU and no pooling winner, which would be another function.
    """
    name, *_ = case
    first = BATCHES.get((name, precision), SMOOTH)
    with reference_in(precision, name in WHOLE):
        true, states = run(name, "numpy", first=first)
    exact, _ = run(name, "emulated", states=states, first=first)
    with tinymed.use_precision(precision):
        found, _ = run(name, "emulated", states=states, first=first)
    for ours, want in zip(found, true, strict=True):
        largest = max(np.abs(w).max() for w in want[1:])
        assert abs(ours[0] - want[0]) <= close * abs(want[0])
        assert max(np.abs(a - b).max() for a, b in zip(ours[1:], want[1:], strict=True)) <= close * largest
    convolves = name not in ("LSTM", "attention block")  # tf32 speaks of convolutions
    changed = any(not np.array_equal(a, b) for a, b in zip(found[0], exact[0], strict=True))
    assert changed == (convolves or precision == "bf16")


@pytest.mark.parametrize("precision", ["exact", "bf16"])
def test_captured_is_the_same(case, precision):
    """A recorded program, its kernels fused and its updates gathered, on the emulator."""
    name, *_ = case
    with tinymed.use_precision(precision):
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
    lengths = {"full"} if case[0] == "LSTM" else set()  # of its sequences: whole numbers
    assert fell <= lengths, f"kernels that ran as their reference: {fell}"
