"""Axial attention in one op beside the same composed op by op, and when which of the two serves."""

from typing import Any

import numpy as np
import pytest
from conftest import absence

import tinymed
from tinymed import Tensor, nn
from tinymed.dispatch import Kernel, Observer, observing, use_backend
from tinymed.nn.axial import POSITIONS, AxialAttention
from tinymed.ops.axial_attention import axial_attention


def layer(positions: str, axis: int, channels: int = 32, side: int = 5) -> AxialAttention:
    """A layer whose every number is off its start."""
    tinymed.manual_seed(3)
    made = AxialAttention(channels, side, axis, positions)
    rng = np.random.default_rng(4)
    for p in made.parameters():
        p.array[...] += 0.2 * rng.standard_normal(p.shape)
    return made


def step(made: AxialAttention, x: np.ndarray, dy: np.ndarray, fused: bool) -> dict[str, np.ndarray]:
    """The output, the running statistics and all gradients."""
    given = Tensor(x, requires_grad=True)
    for p in made.parameters():
        p.grad = None
    y = made.fused(given) if fused else made.composed(given)
    (y * Tensor(dy)).sum().backward()
    found = {"y": y.array, "dx": given.grad.array}
    found |= {name: p.grad.array for name, p in made.named_parameters() if p.grad is not None}
    return found | {name: b.array.copy() for name, b in made.named_buffers() if "running" in name or "num_" in name}


def beside(positions: str, axis: int, training: bool, dtype: Any, within: float) -> None:
    """Both ways from the same state, all they give within a bound of the largest number."""
    rng = np.random.default_rng(5)
    shape = (3, 32, 5, 14) if axis == 2 else (3, 32, 14, 5)
    x, dy = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    found = []
    for fused in (True, False):
        made = layer(positions, axis)
        made = made.double() if dtype == np.float64 else made
        made.train()
        made.composed(Tensor(x))  # running statistics that are not at their start
        found.append(step(made.train(training), x, dy, fused))
    ours, true = found
    assert set(ours) == set(true)
    scale = max(np.abs(a).max() for name, a in true.items() if "." in name or name.startswith(("gate", "dist")))
    for name, a in true.items():
        # gradients that cancel (a bias before a softmax, a gate before a norm) are noise where they are composed
        bound = within * max(np.abs(a).max(), scale if a.size and name not in ("y", "dx") else 0.0)
        assert np.abs(ours[name] - a).max() <= bound, (
            f"{name}: off by {np.abs(ours[name] - a).max():.2g} of {bound:.2g}"
        )


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("axis", [2, 3])
@pytest.mark.parametrize("positions", POSITIONS)
def test_one_op_is_the_composition(positions: str, axis: int, training: bool) -> None:
    for backend in ("numpy", "loops"):
        with use_backend(backend):
            beside(positions, axis, training, np.float64, 1e-8)
    with use_backend("numba"):
        beside(positions, axis, training, np.float32, 3e-5)


class Names(Observer):
    """Remembers which kernels ran."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def after(self, dispatcher: Any, kernel: Kernel, args: Any, outs: Any) -> None:
        self.seen.add(kernel.name)


def kernels(made: AxialAttention, x: Any) -> set[str]:
    """The kernels that a layer calls."""
    names = Names()
    with observing(names):
        made(x)
    return names.seen


def test_the_layer_runs_in_one_op() -> None:
    x = tinymed.ones(2, 32, 5, 4)
    seen = kernels(layer("gated", 2), x)
    assert {"axial_statistics", "axial_attention_forward"} <= seen
    assert not {"softmax_forward", "batched_matmul"} & seen


def test_a_hook_on_the_scores_sees_scores() -> None:
    made, seen = layer("plain", 3), []
    made.score_norm.register_forward_hook(lambda module, args, out: seen.append(args[0].shape))
    made(tinymed.ones(2, 32, 4, 5))
    assert seen == [(8, 24, 5, 5)]


@pytest.mark.skipif(bool(absence("emulated")), reason=f"backend emulated: {absence('emulated')}")
def test_the_emulator_runs_what_a_gpu_runs() -> None:
    with use_backend("emulated"):
        seen = kernels(layer("gated", 2), tinymed.ones(2, 32, 5, 4))
    assert "softmax_forward" in seen or "softmax_rows" in seen
    assert not {"axial_statistics", "axial_attention_forward"} & seen


def test_bf16_composes() -> None:
    with tinymed.use_precision("bf16"):
        assert "axial_attention_forward" not in kernels(layer("plain", 3), tinymed.ones(2, 32, 4, 5))


def test_the_first_evaluated_batch_is_compared_with_the_statistics() -> None:
    rng = np.random.default_rng(0)
    x = Tensor(rng.standard_normal((16, 32, 5, 7)).astype(np.float32))
    made = layer("none", 2)
    made(x)
    made.eval()
    made.score_norm.running_var.fill_(1e6)
    with pytest.warns(nn.StatisticsWarning, match="running statistics are far"):
        made(x)
    assert not made.score_norm.unchecked
    assert "axial_attention_forward" in kernels(made, x)


def test_frozen_statistics_stay() -> None:
    made = layer("gated", 2)
    made.score_norm.frozen = True
    before = made.score_norm.running_var.array.copy()
    made(tinymed.ones(2, 32, 5, 4))
    np.testing.assert_array_equal(made.score_norm.running_var.array, before)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"axis": 1}, "axis 2 or 3"),
        ({"channels": 9}, "multiple of 4 heads"),
        ({"distances": tinymed.ones(4, 8)}, r"it takes \[4, 9\]"),
        ({"gates": tinymed.ones(3)}, r"it takes \[4\]"),
        ({"statistics": "mean"}, "statistics is one of"),
        ({"distances": None, "channels": 8, "gates": tinymed.ones(4)}, "give distances"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], words: str) -> None:
    channels = change.get("channels", 24)
    norm = {name: tinymed.ones(channels) for name in ("weight", "bias", "running_mean", "running_var")}
    given: dict[str, Any] = {
        "input": tinymed.ones(1, 32, 5, 4),
        "distances": tinymed.ones(4, 9),
        "gates": None,
        **norm,
        "count": tinymed.tensor(0),
        "training": True,
        "momentum": 0.1,
        "eps": 1e-5,
        "statistics": "corrected",
        "channels": channels,
        "axis": 2,
    }
    with pytest.raises(ValueError, match=words):
        axial_attention(**(given | change))
