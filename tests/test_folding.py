"""Batch norm folded into convolutions: every registered network that predicts, folded beside unfolded."""

import numpy as np
import pytest
from conftest import absence
from test_onnx_export import network

import tinymed
from tinymed import models, nn

pytestmark = pytest.mark.skipif(bool(absence("numba")), reason="needs numba")


def with_statistics(model, seed=4):
    """Give batch norms statistics, scales and shifts that a training leaves: not 0 and 1."""
    rng = np.random.default_rng(seed)
    for module in model.modules():
        if getattr(module, "running_var", None) is None:
            continue
        drawn = {"running_mean": (-0.2, 0.2), "running_var": (0.6, 1.6), "weight": (0.7, 1.3), "bias": (-0.2, 0.2)}
        for name, (low, high) in drawn.items():
            if (value := getattr(module, name, None)) is not None:
                value.detach().copy_(tinymed.tensor(rng.uniform(low, high, value.shape).astype(np.float32)))
    return model.eval()


def notes(captured):
    """Return what was done to a captured step's calls, and the names of the kernels that are left."""
    return {c.note for c in captured.program.calls}, [c.dispatcher.name for c in captured.program.calls]


def largest_difference(model, *inputs):
    """Return the captured step, and its largest difference to the network over the largest value."""
    captured = tinymed.capture(lambda *x: model(*x), fallback=True)
    with tinymed.no_grad():
        expected, found = model(*inputs), captured(*inputs)
    if captured.refused:
        pytest.skip(captured.refused)
    pairs = zip(arrays(expected), arrays(found), strict=True)
    return captured, max(float(np.abs(a - b).max(initial=0) / max(np.abs(a).max(initial=0), 1e-30)) for a, b in pairs)


def arrays(tree):
    """Return the arrays of a tensor, or of tuples, lists and dictionaries of tensors."""
    if isinstance(tree, tinymed.Tensor):
        return [tree.numpy()]
    values = tree.values() if isinstance(tree, dict) else tree
    return [a for value in values for a in arrays(value)]


def block(convolution, channels, *after):
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), *after)


CONVOLUTIONS = {
    "direct": lambda bias: nn.Conv2d(8, 16, 5, stride=2, padding=2, bias=bias),
    "pointwise": lambda bias: nn.Conv2d(8, 40, 1, bias=bias),
    "winograd": lambda bias: nn.Conv2d(8, 16, 3, padding=1, bias=bias),
    "depthwise": lambda bias: nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=bias),
    "grouped": lambda bias: nn.Conv2d(8, 16, 3, groups=2, bias=bias),
}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_batch_norm_is_folded_into_each_kind_of_convolution(kind, bias):
    tinymed.manual_seed(0)
    convolution = CONVOLUTIONS[kind](bias)
    model = with_statistics(block(convolution, convolution.out_channels, nn.ReLU()))
    x = tinymed.tensor(np.random.default_rng(0).standard_normal((2, 8, 14, 13)).astype(np.float32))
    with tinymed.use_backend("numba"), tinymed.use_precision("tf32"):
        captured, error = largest_difference(model, x)
        assert error < 1e-5
        assert not any("batch_norm" in name for name in notes(captured)[1]), captured.program
    with tinymed.use_backend("numba"), tinymed.use_precision("exact"):
        captured, _ = largest_difference(model, x)
        assert any("batch_norm" in name for name in notes(captured)[1]), "folded in exact"


def test_what_is_read_between_the_two_or_learns_is_not_folded():
    tinymed.manual_seed(0)
    convolution, norm = nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16)
    both = with_statistics(nn.ModuleList([convolution, norm]))
    x = tinymed.tensor(np.random.default_rng(0).standard_normal((2, 8, 14, 13)).astype(np.float32))
    with tinymed.use_backend("numba"), tinymed.use_precision("tf32"), tinymed.no_grad():
        between = tinymed.capture(lambda x: ((y := convolution(x)), norm(y)))
        between(x)
        assert any("batch_norm" in name for name in notes(between)[1])
    with tinymed.use_backend("numba"), tinymed.use_precision("tf32"):

        def step(x):
            both.zero_grad()
            loss = norm(convolution(x)).relu().sum()
            loss.backward()
            return loss

        learning = tinymed.capture(step)
        learning(x)
        assert any("batch_norm" in name for name in notes(learning)[1])
        assert learning.program.constants is None


def test_a_filter_of_two_convolutions_is_folded_for_neither():
    tinymed.manual_seed(0)
    convolution = nn.Conv2d(8, 8, 3, padding=1)
    first, second = (with_statistics(nn.Sequential(nn.BatchNorm2d(8)), n) for n in (1, 2))
    model = nn.Sequential(convolution, first, convolution, second).eval()
    x = tinymed.tensor(np.random.default_rng(0).standard_normal((2, 8, 14, 13)).astype(np.float32))
    with tinymed.use_backend("numba"), tinymed.use_precision("tf32"):
        assert largest_difference(model, x)[1] < 1e-5


QUICK = ("dcnn", "resnet20")


@pytest.mark.filterwarnings("ignore::tinymed.nn.StatisticsWarning")
@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.full) for n in models.available()]
)
def test_every_network_predicts_the_same_folded(name):
    model, shape = network(name)
    with_statistics(model)
    x = tinymed.tensor(np.random.default_rng(0).standard_normal((2, *shape)).astype(np.float32))
    with tinymed.use_backend("numba"), tinymed.use_precision("tf32"):
        captured, error = largest_difference(model, x)
        assert error < 1e-5, captured.program
