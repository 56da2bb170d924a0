"""tinymed: an educational deep-learning engine for convolutional networks on medical images."""

import os

from .backend import table, use_backend
from .tape import enable_grad, is_grad_enabled, no_grad, result_type, set_grad_enabled
from .tensor import Tensor, arange, from_numpy, full, grad, ones, rand, randn, tensor, zeros
from .random import manual_seed

__version__ = "0.1.0"

if os.environ.get("TINYMED_DEBUG") or os.environ.get("TINYMED_VALIDATE"):
    from . import debug

    debug.install()
