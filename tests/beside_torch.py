"""A network of ours beside the same written in PyTorch: equal outputs, statistics and gradients in float64."""

from typing import Any

import numpy as np
import torch

import tinymed
from tinymed import Tensor, nn
from tinymed.dispatch import use_backend


def as_tuple(x: Any) -> tuple[Any, ...]:
    return x if isinstance(x, tuple) else (x,)


def close(ours: np.ndarray, true: np.ndarray, what: str, scale: float = 0.0) -> None:
    """1e-8 of the largest value; a gradient that cancels to nothing (a bias before batch norm), of the largest
    gradient."""
    error, largest = np.abs(ours - true).max(), np.abs(true).max()
    assert error <= 1e-8 * max(largest, 1e-3 * scale, 1e-3), f"{what}: off by {error:.2g} of {largest:.2g}"


def same_weights(model: Any, twin: Any, fixed: str) -> None:
    """The twin's weights, all of them moved off 0 and 1, in ours; every name and shape must be there.

    fixed: the beginning of names that ours has besides: constants that the twin computes.
    """
    with torch.no_grad():
        for p in twin.parameters():
            p.add_(0.1 * torch.randn_like(p))
    state = twin.state_dict()
    own = {n: t.shape for n, t in model.state_dict().items() if not (fixed and n.startswith(fixed))}
    assert {n: tuple(t.shape) for n, t in state.items()} == own
    model.load_state_dict(state, strict=not fixed)


def beside_torch(model: Any, twin: Any, inputs: list[tuple[int, ...]], batch: int = 2, fixed: str = "") -> None:
    """Outputs, statistics and every gradient (also of the inputs) equal to 1e-8, with random cotangents.

    model: without dropout.  inputs: shapes without the batch axis.  fixed: see same_weights.
    """
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    model, twin = model.double().train(), twin.double().train()
    for module in model.modules():
        if isinstance(module, nn.norm.BatchNorm):
            module.statistics = "torch"
    same_weights(model, twin, fixed)
    given = [rng.normal(size=(batch, *shape)) for shape in inputs]
    mine, true = ([Tensor(a, requires_grad=True) for a in given], [torch.tensor(a, requires_grad=True) for a in given])
    with use_backend("numpy"):
        ys, zs = as_tuple(model(*mine)), as_tuple(twin(*true))
        assert len(ys) == len(zs)
        cotangents = [rng.normal(size=y.shape) for y in ys]
        sum((y * Tensor(c)).sum() for y, c in zip(ys, cotangents, strict=True)).backward()
    sum((z * torch.tensor(c)).sum() for z, c in zip(zs, cotangents, strict=True)).backward()
    for y, z in zip(ys, zs, strict=True):
        close(y.array, z.detach().numpy(), "output")
    for y, z in zip(mine, true, strict=True):
        close(y.grad.array, z.grad.numpy(), "gradient of the input")
    ours = dict(model.named_parameters())
    scale = max(float(p.grad.abs().max()) for p in twin.parameters())
    for key, p in twin.named_parameters():
        close(ours[key].grad.array, p.grad.numpy(), key, scale)
    state = model.state_dict()
    for key, b in twin.named_buffers():
        if "running" in key:
            close(state[key].array, b.numpy(), key)


def seeded(make: Any) -> Any:
    """What make() returns, with initial weights that repeat."""
    tinymed.manual_seed(0)
    return make()
