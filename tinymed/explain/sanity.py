"""A sanity check: a map that stays the same when what was learnt is destroyed does not show what was learnt.

The weights are drawn anew layer by layer, from the output down to the image, and after each layer the map is compared
with that of the trained network (Adebayo et al., "Sanity checks for saliency maps", 2018).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from ..errors import UserError
from ..grad_mode import no_grad
from ..metrics.restoration import ssim
from ..models.shapes import blank, shapes_only
from ..models.summary import mode
from ..nn.module import Module
from ..tensor import Tensor
from .layers import watch_outputs
from .methods import explain
from .settings import Settings


class Randomised(NamedTuple):
    """How like the map is to the trained network's when this layer and all after it are random.

    Attributes:
        layer: The layer that was drawn last.
        correlation: Spearman's rank correlation of the absolute maps; None where one of them is constant.
        similarity: SSIM of the absolute maps, each scaled to 0...1; None of volumes and of pictures too small for it.

    Example:
        >>> Randomised("fc", 0.1, None).correlation
        0.1
    """

    layer: str
    correlation: float | None
    similarity: float | None


def ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks from 1; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values.ravel(), return_inverse=True, return_counts=True)
    mean: np.ndarray = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return mean


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    """Compute Spearman's rank correlation of two arrays of one shape.

    Args:
        a: Numbers.
        b: As many numbers.

    Returns:
        The correlation of their ranks, -1 to 1; None where one of them is constant.

    Example:
        >>> rank_correlation(np.array([1, 2, 3]), np.array([1, 4, 9]))
        1.0
    """
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.clip(np.corrcoef(ranks(a), ranks(b))[0, 1], -1, 1))


def scaled(heat: np.ndarray) -> np.ndarray:
    """Return absolute values between 0 and 1."""
    heat = np.abs(heat.astype(np.float64))
    return heat / max(float(heat.max()), 1e-300)


def learnt_layers(model: Module, shape: tuple[int, ...]) -> list[str]:
    """Return the layers with weights of their own, in the order in which they are computed."""
    names: dict[str, None] = {}
    dtype = next((p.dtype for p in model.parameters()), np.dtype(np.float32))
    own = {name for name, module in model.named_modules() if any(p is not None for p in module._parameters.values())}

    def see(name: str, module: Module, args: Any, result: Any) -> None:
        names.pop(name, None)
        names[name] = None

    handles = watch_outputs(model, see)
    try:
        with mode(model, training=False), no_grad(), shapes_only():
            model(Tensor(blank((1, *shape), dtype)))
    finally:
        for handle in handles:
            handle.remove()
    return [name for name in names if name in own]


@contextmanager
def restored(model: Module) -> Iterator[None]:
    """Give every parameter its values back afterwards."""
    before = {name: p.array.copy() for name, p in model.named_parameters()}
    try:
        yield
    finally:
        with no_grad():
            for name, p in model.named_parameters():
                p.copy_(Tensor(before[name]))


def draw_anew(module: Module, rng: np.random.Generator) -> None:
    """Draw a layer's own parameters from a normal distribution with the mean and deviation that they have."""
    with no_grad():
        for p in [p for p in module._parameters.values() if p is not None]:
            values = np.asarray(p.numpy(), np.float64)
            drawn = rng.normal(values.mean(), values.std(), values.shape).astype(p.dtype)
            p.copy_(Tensor(drawn).to(p.device))


def randomisation(
    model: Module, image: Any, method: str, target: int, settings: Settings | None = None, seed: int = 0
) -> list[Randomised]:
    """Draw the weights anew from the output down, and compare the map after each layer with the trained network's.

    A map worth believing loses its likeness early.  The model has its weights back when the function returns.

    Args:
        model: The trained network.
        image: [1, channels, *space].
        method: One of METHODS.
        target: The output that is explained.
        settings: What the method is told.
        seed: Of the drawn weights.

    Returns:
        One row for each layer with weights, the one nearest to the output first.

    Raises:
        UserError: As `explain`, or the network has no weights.

    Example:
        >>> from tinymed.models import create
        >>> rows = randomisation(create("lenet5_modern"), np.random.rand(1, 1, 32, 32), "integrated_gradients", 3)
        >>> [row.layer for row in rows][:2]
        ['classifier.4', 'classifier.2']

    Reference:
        Adebayo, Gilmer, Muelly, Goodfellow, Hardt & Kim, "Sanity checks for saliency maps", 2018.
    """
    layers = learnt_layers(model, tuple(image.shape[1:]))
    if not layers:
        raise UserError("the network has no layer with weights, so there is nothing to draw anew")
    first = scaled(explain(model, image, method, target, settings).heat)
    rng, modules, rows = np.random.default_rng(seed), dict(model.named_modules()), []
    with restored(model):
        for name in reversed(layers):
            draw_anew(modules[name], rng)
            heat = scaled(explain(model, image, method, target, settings).heat)
            rows.append(Randomised(name, rank_correlation(first, heat), similarity(first, heat)))
    return rows


def similarity(a: np.ndarray, b: np.ndarray) -> float | None:
    """Return SSIM of two maps in 0...1, or None where it is not defined for them."""
    try:
        return ssim(a, b, 1.0)
    except ValueError:  # volumes, and pictures smaller than its window
        return None
