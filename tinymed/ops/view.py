"""Tensor.view: the elements in another shape, which see each other's writes.

A convolution's output lies with its channels last, where no view can join axes that lie apart: such a view is a copy.
PyTorch's would show the same memory, so a write to one of the two is made to the other as well, as long as both are in
use (`writing.write_linked`).
"""

from typing import Any

from ..annotations import Tensor
from ..versions import link
from .shape import reshape


def view(input: Tensor, *shape: Any) -> Tensor:
    """Return `reshape` of the tensor, of the same arguments; a write to one of the two is seen in the other.

    Example:
        >>> import tinymed
        >>> x = tinymed.zeros(2, 3)
        >>> x.view(-1)[1:3] = 1.0
        >>> x.tolist()
        [[0.0, 1.0, 1.0], [0.0, 0.0, 0.0]]
    """
    result = reshape(input, *shape)
    if result.version is not input.version:
        link(input, result)
    return result


__all__: list[str] = []  # a method of tensors only, as in PyTorch
