"""Kernels over sequences: attention among tokens, and the recurrences that walk from step to step."""

from . import attention, lstm_gates, lstm_layer, recurrent

__all__ = ["attention", "lstm_gates", "lstm_layer", "recurrent"]
