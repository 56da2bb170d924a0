"""The papers' networks, by name: `create("dcnn", size=64)`."""

from .dcnn import DCNN
from .lenet5 import LeNet5, LeNet5Modern
from .registry import available, create, default_size, describe, entry, register
from .summary import Row, count_parameters, summary, total_macs

__all__ = ["DCNN", "LeNet5", "LeNet5Modern", "Row", "available", "count_parameters", "create", "default_size",
           "describe", "entry", "register", "summary", "total_macs"]  # fmt: skip
