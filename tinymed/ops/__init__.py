"""The ops: rule, reference kernel, samples and oracle, one family a file.  Importing this imports every family."""

from . import activations, conv, dropout, elementwise, matmul, norm

__all__ = ["activations", "conv", "dropout", "elementwise", "matmul", "norm"]
