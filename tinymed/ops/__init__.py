"""The ops: rule, reference kernel, samples and oracle, one family a file.  Importing this imports every family."""

from . import activations, elementwise, norm

__all__ = ["activations", "elementwise", "norm"]
