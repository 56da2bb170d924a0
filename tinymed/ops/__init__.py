"""The ops: rule, reference kernel, samples and oracle, one family a file.  Importing this imports every family."""

from . import activations, adaptive_pool, conv, dropout, elementwise, loss, matmul, norm, pool, softmax

__all__ = [
    "activations",
    "adaptive_pool",
    "conv",
    "dropout",
    "elementwise",
    "loss",
    "matmul",
    "norm",
    "pool",
    "softmax",
]
