"""The margin loss of samples with several labels, on the GPU: csrc/loss.cu."""

from typing import Any

from ..composites.arguments import all_float32
from ..composites.loss import classes
from ..dispatch import kernel


@kernel(backend="csrc", composite=True, when=all_float32)
def multilabel_margin_forward(k: Any, x: Any, target: Any) -> Any:
    """multilabel_margin_rows"""
    return k.multilabel_margin_rows(x, classes(k, target).reshape(target.shape))


@kernel(backend="csrc", out=lambda x, target: [x.shape[:1]], flops=lambda x, target: 3 * x.size * x.shape[1])
def multilabel_margin_rows(loss: Any, x: Any, target: Any) -> None:
    """loss[n] = the sum over labels j and other classes c of max(0, 1 - x[j] + x[c]) / C."""


@kernel(backend="csrc", composite=True, when=all_float32)
def multilabel_margin_backward(k: Any, dy: Any, x: Any, target: Any) -> Any:
    """multilabel_margin_gradient"""
    return k.multilabel_margin_gradient(dy, x, classes(k, target).reshape(target.shape))


@kernel(backend="csrc", out=lambda dy, x, target: [x.shape], flops=lambda dy, x, target: 3 * x.size * x.shape[1])
def multilabel_margin_gradient(dx: Any, dy: Any, x: Any, target: Any) -> None:
    """dx[c] += dy / C and dx[label j] -= dy / C for each pair whose gap is open."""
