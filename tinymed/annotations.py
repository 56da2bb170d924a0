"""Names for what public functions take and return.  To a type checker each is Any: PyTorch's arguments are wide."""

from typing import Any

Tensor = Any  # a tinymed.Tensor; as an argument also what becomes one: an array, nested lists
Operand = Any  # a tensor, an array or a number
Size = Any  # an int for every axis of space, or one for each
Padding = Any  # a Size, or what names a rule: "same", "valid"
DType = Any  # a NumPy dtype, or what names one
