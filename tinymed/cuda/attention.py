"""Attention, on the GPU: csrc/attention.cu."""

from typing import Any

from ..dispatch import kernel


@kernel(backend="csrc")
def attention_forward(
    y: Any,
    top: Any,
    total: Any,
    q: Any,
    k: Any,
    v: Any,
    mask: Any,
    ticket: Any,
    scale: Any,
    causal: Any,
    limit: Any,
    keep: Any,
) -> None:
    """y = softmax(scale Q K' + mask) V by an online softmax over tiles of keys; of each query top and total."""


@kernel(backend="csrc", work=lambda dy, q, *_: [q.shape[:3]])
def attention_backward(
    dq: Any,
    dk: Any,
    dv: Any,
    dscores: Any,
    mean: Any,
    dy: Any,
    q: Any,
    k: Any,
    v: Any,
    mask: Any,
    y: Any,
    top: Any,
    total: Any,
    ticket: Any,
    scale: Any,
    causal: Any,
    limit: Any,
    keep: Any,
    of_scores: Any,
) -> None:
    """dq, dk and dv, each with the weights computed again tile by tile; the scores' gradient where it is wanted."""
