"""Importing this imports every family of operators, which fills the table."""

from . import activation, conv, dense, elementwise, norm, pool, reduce, resample, shape

__all__ = ["activation", "conv", "dense", "elementwise", "norm", "pool", "reduce", "resample", "shape"]
