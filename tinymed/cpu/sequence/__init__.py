"""Kernels over sequences: attention among tokens, and the recurrences that walk from step to step."""

from . import attention, axial, axial_gradient, lstm_gates, lstm_layer, recurrent

__all__ = ["attention", "axial", "axial_gradient", "lstm_gates", "lstm_layer", "recurrent"]
