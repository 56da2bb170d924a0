"""What each op of the tape becomes in ONNX, one family a file.  Importing this imports every family."""

from . import activation, attention, conv, dense, elementwise, norm, pool, recurrent, reduce, resample, shape

__all__ = [
    "activation",
    "attention",
    "conv",
    "dense",
    "elementwise",
    "norm",
    "pool",
    "recurrent",
    "reduce",
    "resample",
    "shape",
]
