"""Composites that several backends share: each is written once and calls kernels that every one of them has.

A backend's package imports this; the numpy backend, which has the references, does not.
"""

from . import batch_norm, elementwise, join, loss, reduce, softmax

__all__ = ["batch_norm", "elementwise", "join", "loss", "reduce", "softmax"]
