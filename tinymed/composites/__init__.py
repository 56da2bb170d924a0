"""Composites that several backends share: each is written once and calls kernels that every one of them has.

A backend's package imports this; the numpy backend, which has the references, does not.  `pool` holds a rewrite: it is
declared before those of a backend, which may then take a ReLU and a pooling together.
"""

from . import batch_norm, elementwise, imaging, join, loss, mixed, pool, recurrent, reduce, softmax

__all__ = ["batch_norm", "elementwise", "imaging", "join", "loss", "mixed", "pool", "recurrent", "reduce", "softmax"]
