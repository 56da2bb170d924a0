"""Binary cross-entropy as fused ops, of probabilities and of scores, and the reductions that fused losses share."""

from typing import Any

from ..dispatch import Array, kernel
from ..tape import Op
from .promotion import floating
from .smooth import log_one_plus_exp, logistic

LARGEST = 100.0  # a logarithm's magnitude is clamped here, so that a wrong certainty costs 100 and not infinity
SMALLEST = 1e-12  # least p (1 - p) in the gradient
REDUCTIONS = ("mean", "sum", "none")


def reduced_shape(x: Array, *args: Any) -> list[tuple[int, ...]]:
    """Return the shape of one loss, or of one per element."""
    return [x.shape if args[-1] == "none" else ()]


def reduce(loss: Array, reduction: str) -> Any:
    """Return the loss per element, its sum, or its mean (NaN of nothing)."""
    if reduction == "none":
        return loss
    total = loss.sum()
    return total if reduction == "sum" else total / total.dtype.type(loss.size)


def spread(dy: Array, size: int, reduction: str) -> Array:
    """Return the gradient of every element's loss."""
    return dy / dy.dtype.type(max(size, 1)) if reduction == "mean" else dy


def times(a: Array, weight: Any) -> Array:
    """Compute a times weight; a weight that is None is 1."""
    return a if weight is None else a * weight


# -------------------------------------------------------------------------------------------- binary cross-entropy


def log_clamped(xp: Any, p: Array) -> Array:
    """Compute log p, at least -100."""
    return xp.maximum(xp.log(p), -LARGEST)


@kernel(out=reduced_shape, flops=lambda x, *_: 8 * x.size)
def binary_cross_entropy_forward(xp: Any, x: Array, target: Array, weight: Any, reduction: str) -> Any:
    """loss = weight (-target ln x - (1 - target) ln(1 - x)), logarithms at least -100; reduced."""
    loss = -target * log_clamped(xp, x) - (1 - target) * xp.maximum(xp.log1p(-x), -LARGEST)
    return reduce(times(loss, weight), reduction)


@kernel(out=lambda dy, x, *_: [x.shape], flops=lambda dy, x, *_: 6 * x.size)
def binary_cross_entropy_backward(xp: Any, dy: Array, x: Array, target: Array, weight: Any, reduction: str) -> Array:
    """dx = dy weight (x - target) / max(x (1 - x), 1e-12); mean: dy / size."""
    return times(spread(dy, x.size, reduction) * (x - target), weight) / xp.maximum(x * (1 - x), SMALLEST)


@kernel(out=lambda dy, x, *_: [x.shape], flops=lambda dy, x, *_: 6 * x.size)
def binary_cross_entropy_backward_target(xp: Any, dy: Array, x: Array, weight: Any, reduction: str) -> Array:
    """dtarget = dy weight (ln(1 - x) - ln x), logarithms at least -100; mean: dy / size."""
    odds = xp.maximum(xp.log1p(-x), -LARGEST) - log_clamped(xp, x)
    return times(spread(dy, x.size, reduction) * odds, weight)


class BinaryCrossEntropy(Op):
    """loss = -w (t log p + (1 - t) log(1 - p)), each log at least -100;  dp = w (p - t) / max(p (1 - p), 1e-12).

    dt = w (log(1 - p) - log p).  The two clamps are PyTorch's.
    """

    promotes = floating("binary_cross_entropy")

    def forward(self, x: Array, target: Array, weight: Any, reduction: str) -> Array:
        self.save(x, target, weight, reduction)
        return self.k.binary_cross_entropy_forward(x, target, weight, reduction)

    def backward(self, dy: Array) -> Any:
        x, _, weight, reduction = self.saved
        dx = self.k.binary_cross_entropy_backward(dy, *self.saved) if self.needs[0] else None
        dt = self.k.binary_cross_entropy_backward_target(dy, x, weight, reduction) if self.needs[1] else None
        return dx, dt, None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        shape = draw.shape(0, 4)
        weight = draw.array(shape, 0.2, 2, constant=True) if draw.boolean() else None
        target = draw.array(shape, 0, 1, constant=draw.boolean())
        return draw.array(shape, 0.05, 0.95), target, weight, draw.choice(REDUCTIONS)

    @staticmethod
    def oracle(torch: Any, x: Any, target: Any, weight: Any, reduction: str) -> Any:
        return torch.nn.functional.binary_cross_entropy(x, target, weight, reduction=reduction)


@kernel(out=reduced_shape, flops=lambda x, *_: 8 * x.size)
def bce_with_logits_forward(xp: Any, x: Array, target: Array, weight: Any, pos_weight: Any, reduction: str) -> Any:
    """loss = weight ((1 - t) x + (1 - t + q t) ln(1 + e^-x)), t = target, q = pos_weight or 1; reduced."""
    positive = target if pos_weight is None else target * pos_weight
    loss = (1 - target) * x + (1 - target + positive) * log_one_plus_exp(xp, -x)
    return reduce(times(loss, weight), reduction)


@kernel(out=lambda dy, x, *_: [x.shape], flops=lambda dy, x, *_: 8 * x.size)
def bce_with_logits_backward(
    xp: Any, dy: Array, x: Array, target: Array, weight: Any, pos_weight: Any, reduction: str
) -> Array:
    """dx = dy weight ((1 - t + q t) sigmoid(x) - q t), t = target, q = pos_weight or 1; mean: dy / size."""
    positive = target if pos_weight is None else target * pos_weight
    slope = (1 - target + positive) * logistic(xp, x) - positive
    return times(spread(dy, x.size, reduction) * slope, weight)


@kernel(out=lambda dy, x, *_: [x.shape], flops=lambda dy, x, *_: 8 * x.size)
def bce_with_logits_backward_target(
    xp: Any, dy: Array, x: Array, weight: Any, pos_weight: Any, reduction: str
) -> Array:
    """dtarget = dy weight ((q - 1) ln(1 + e^-x) - x), q = pos_weight or 1; mean: dy / size."""
    slope = -x if pos_weight is None else (pos_weight - 1) * log_one_plus_exp(xp, -x) - x
    return times(spread(dy, x.size, reduction) * slope, weight)


class BCEWithLogits(Op):
    """loss = w ((1 - t) x + (1 + (q - 1) t) softplus(-x)): binary cross-entropy of sigmoid(x), positives weighted by q.

    dx = w ((1 + (q - 1) t) sigmoid(x) - q t);  dt = w ((q - 1) softplus(-x) - x).
    """

    promotes = floating("binary_cross_entropy_with_logits")

    def forward(self, x: Array, target: Array, weight: Any, pos_weight: Any, reduction: str) -> Array:
        self.save(x, target, weight, pos_weight, reduction)
        return self.k.bce_with_logits_forward(x, target, weight, pos_weight, reduction)

    def backward(self, dy: Array) -> Any:
        x, _, *rest = self.saved
        dx = self.k.bce_with_logits_backward(dy, *self.saved) if self.needs[0] else None
        dt = self.k.bce_with_logits_backward_target(dy, x, *rest) if self.needs[1] else None
        return dx, dt, None, None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        shape = draw.choice((draw.shape(0, 4), (400, 3)))
        weight, pos_weight = (
            draw.array(part_of(draw, shape), 0.2, 2, constant=True) if draw.boolean() else None for _ in range(2)
        )
        target = draw.array(shape, 0, 1, constant=draw.boolean())
        return draw.array(shape, -6, 6), target, weight, pos_weight, draw.choice(REDUCTIONS)

    @staticmethod
    def oracle(torch: Any, x: Any, target: Any, weight: Any, pos_weight: Any, reduction: str) -> Any:
        loss = torch.nn.functional.binary_cross_entropy_with_logits
        return loss(x, target, weight, reduction=reduction, pos_weight=pos_weight)


def part_of(draw: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Draw a shape that broadcasts to another."""
    return tuple(n if draw.boolean() else 1 for n in shape)[draw.integer(0, len(shape)) :]
