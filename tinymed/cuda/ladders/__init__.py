"""The ladders of csrc/ladders: from a naive kernel, one idea a rung, to the kernel that the engine runs.

The first rungs are kernels of the table that no op calls: `tinymed ladder` and the tests do; each is compiled when it
is first called.  The last ones are the engine's own.  All rungs of a ladder solve one problem.
"""

from .convolution import CONV2D, CONV2D_INPUT, CONV2D_WEIGHT
from .norm import BATCH_NORM, LAYER_NORM
from .pool import MAX_POOL
from .product import MATMUL
from .rows import HISTOGRAM, REDUCTION, SOFTMAX, TRANSPOSE
from .rung import Ladder, Problem, Rung, normal, ready

LADDERS = {
    "batch_norm": BATCH_NORM,
    "conv2d": CONV2D,
    "conv2d_input": CONV2D_INPUT,
    "conv2d_weight": CONV2D_WEIGHT,
    "histogram": HISTOGRAM,
    "layer_norm": LAYER_NORM,
    "matmul": MATMUL,
    "max_pool": MAX_POOL,
    "reduction": REDUCTION,
    "softmax": SOFTMAX,
    "transpose": TRANSPOSE,
}

__all__ = ["LADDERS", "Ladder", "Problem", "Rung", "normal", "ready"]
