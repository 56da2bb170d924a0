"""Losses of tensors whose shapes differ: what PyTorch broadcasts is broadcast, and what it refuses is refused.

Every function of nn.functional that PyTorch has too, and that takes two tensors or more and a reduction, is found by
its signature.  Where PyTorch warns, so do ours; some of ours warn besides where PyTorch is silent.
"""

import inspect
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tinymed
from tinymed import nn
from tinymed.nn import functional as F
from tinymed.tasks.heads.head import loss_of_equals

SHAPE = 3, 4
OTHERS = [(4,), (3, 1), (1, 4), (1, 1), (), (1,), (3,), (2, 4), (12,), (4, 3), (2, 3, 4), (0, 4)]


def tensors_of(name: str) -> int:
    """How many tensors a loss must be given."""
    parameters = inspect.signature(getattr(F, name)).parameters.values()
    return sum(p.default is p.empty for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)


def outcome(lib: Any, name: str, shapes: Any, reduction: str, learned: int) -> Any:
    """The loss and the gradients of its first tensors, and whether it warned; a string where it refuses."""
    functions = F if lib is tinymed else torch.nn.functional
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(0.1, 0.9, shape) for shape in shapes]
    tensors = [lib.tensor(a, requires_grad=i < learned) for i, a in enumerate(arrays)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            y = getattr(functions, name)(*tensors, reduction=reduction)
            y.sum().backward()
        except (ValueError, RuntimeError, IndexError, TypeError) as error:
            return str(error)
    named = [w for w in caught if "target" in str(w.message) and Path(w.filename) == Path(__file__)]
    gradients = [None if t.grad is None else t.grad.numpy() for t in tensors]
    return [y.detach().numpy(), *gradients], bool(named)


def losses() -> dict[str, int]:
    """The losses that take floats of one shape, and how many of their tensors have a gradient in PyTorch."""
    with_reduction = [
        n
        for n, f in vars(F).items()
        if inspect.isfunction(f) and "reduction" in inspect.signature(f).parameters and hasattr(torch.nn.functional, n)
    ]
    tried = [(n, k) for n in with_reduction for k in range(1, tensors_of(n) + 1)]
    return {n: k for n, k in tried if not isinstance(outcome(torch, n, [SHAPE] * tensors_of(n), "sum", k), str)}


LOSSES = losses()


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("name", LOSSES)
def test_shapes_that_differ_are_pytorchs(name, reduction):
    count = tensors_of(name)
    cases = [[SHAPE] * i + [other] + [SHAPE] * (count - i - 1) for other in [SHAPE, *OTHERS] for i in range(count)]
    cases += [[(3, 1), (3,), SHAPE][:count], [(1, 4), (3, 1), (1,)][:count]]
    wrong = []
    for shapes in cases:
        with tinymed.use_backend("numpy"):
            ours = outcome(tinymed, name, shapes, reduction, LOSSES[name])
        true = outcome(torch, name, shapes, reduction, LOSSES[name])
        if isinstance(ours, str) or isinstance(true, str):
            if not isinstance(ours, str) or not isinstance(true, str):
                wrong.append(f"{shapes}: ours {ours}, PyTorch's {true}")
            continue
        (numbers, warned), (right, warns) = ours, true
        same = all(
            a is b is None or (a.shape == b.shape and np.allclose(a, b, 1e-9, 1e-12, equal_nan=True))
            for a, b in zip(numbers, right, strict=True)
        )
        if not same or (warns and not warned):
            wrong.append(f"{shapes}: ours {ours}, PyTorch's {true}")
    assert not wrong, "\n".join(wrong)


def test_the_usual_losses_are_among_them():
    usual = "mse_loss l1_loss smooth_l1_loss huber_loss binary_cross_entropy kl_div soft_margin_loss cross_entropy"
    assert set(usual.split()) <= set(LOSSES)


def test_a_layer_warns_at_the_users_line():
    with pytest.warns(UserWarning, match=r"mse_loss: target has shape \[3\], input \[3, 1\]; they are bro") as found:
        loss = nn.MSELoss()(tinymed.ones(3, 1), tinymed.zeros(3))
    assert loss.item() == 1
    assert [Path(w.filename) for w in found] == [Path(__file__)]


def test_a_training_does_not_broadcast():
    """What the heads of a training compare must be of one shape."""
    with pytest.raises(ValueError, match=r"the network gives \[3, 1\] where the targets have \[3\]"):
        loss_of_equals(F.mse_loss, tinymed.ones(3, 1), tinymed.zeros(3))
