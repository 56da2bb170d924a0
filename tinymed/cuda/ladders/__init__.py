"""The ladders of csrc/ladders: from a naive kernel, one idea a rung, to the kernel that the engine runs.

The first rungs are kernels of the table that no op calls: `tinymed ladder` and the tests do; each is compiled when it
is first called.  The last ones are the engine's own.  All rungs of a ladder solve one problem.
"""

from .attention import ATTENTION
from .convolution import CONV2D, CONV2D_INPUT, CONV2D_WEIGHT
from .depthwise import DEPTHWISE, DEPTHWISE_SMALL
from .layouts import LAYOUTS, LAYOUTS_RGB, LAYOUTS_RGB_BACK
from .norm import BATCH_NORM, LAYER_NORM
from .pool import MAX_POOL
from .product import MATMUL
from .rows import HISTOGRAM, REDUCTION, SOFTMAX, TRANSPOSE
from .rung import Ladder, Problem, Rung, normal, ready
from .scan import SCAN
from .winograd import WINOGRAD

LADDERS = {
    "attention": ATTENTION,
    "batch_norm": BATCH_NORM,
    "conv2d": CONV2D,
    "conv2d_input": CONV2D_INPUT,
    "conv2d_weight": CONV2D_WEIGHT,
    "depthwise": DEPTHWISE,
    "depthwise_small": DEPTHWISE_SMALL,
    "histogram": HISTOGRAM,
    "layer_norm": LAYER_NORM,
    "layouts": LAYOUTS,
    "layouts_rgb": LAYOUTS_RGB,
    "layouts_rgb_back": LAYOUTS_RGB_BACK,
    "matmul": MATMUL,
    "max_pool": MAX_POOL,
    "reduction": REDUCTION,
    "scan": SCAN,
    "softmax": SOFTMAX,
    "transpose": TRANSPOSE,
    "winograd": WINOGRAD,
}

__all__ = ["LADDERS", "Ladder", "Problem", "Rung", "normal", "ready"]
