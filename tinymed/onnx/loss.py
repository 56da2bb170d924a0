"""The losses of classes, from scores or from logarithms of probabilities."""

from typing import Any

import numpy as np

from ..nn import functional as F
from ..tensor import Tensor
from .table import Node, like, operator, plain, unsupported


@operator("SoftmaxCrossEntropyLoss", fixed=(1, 2))
def softmax_cross_entropy(node: Node, scores: Any, target: Any, weight: Any = None) -> Any:
    """(-ln softmax(scores) at the true class, ln softmax(scores)): axis 1 holds the classes."""
    logs = F.log_softmax(scores, 1)
    return (negative_log_likelihood(node, logs, target, weight), logs)[: len(node.outputs)]


@operator("NegativeLogLikelihoodLoss", fixed=(1, 2))
def negative_log_likelihood(node: Node, logs: Any, target: Any, weight: Any = None) -> Any:
    """-weight[target] logs[target], their sum, or their mean by weight; ignore_index is a target of weight 0."""
    how, ignored = node.get("reduction", "mean"), node.get("ignore_index")
    if how not in ("none", "sum", "mean"):
        raise unsupported(node, f"reduction {how!r}", "none, sum, mean")
    if target.shape != (*logs.shape[:1], *logs.shape[2:]):
        raise ValueError(f"{node}: target {list(target.shape)} for scores {list(logs.shape)}; it takes (N, *space)")
    classes = logs.shape[1]
    counts = plain(lambda t: np.ones(t.shape, bool) if ignored is None else t != ignored, target)
    index = plain(lambda t, c: checked(node, np.where(c, t, 0).astype(np.int64), classes), target, counts)
    share = like(counts, logs) if weight is None else F.index_select(weight, 0, F.reshape(index, (-1,)))
    share = F.where(counts, F.reshape(share, index.shape), Tensor(np.zeros((), logs.dtype)))
    loss = F.squeeze(F.gather(logs, 1, F.unsqueeze(index, 1)), 1) * share * -1.0
    if how == "none":
        return loss
    return F.sum(loss) if how == "sum" else F.sum(loss) / F.sum(share)


def checked(node: Node, index: Any, classes: int) -> Any:
    """Return the classes.  Raises ValueError for one that does not exist."""
    if index.size and not (index.min() >= 0 and index.max() < classes):
        raise ValueError(f"{node}: targets from {index.min()} to {index.max()}; it takes 0 to {classes - 1}")
    return index
