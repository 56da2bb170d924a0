"""Facts about a tensor without reading its elements: sizes, bytes, order in memory, device."""

from typing import Any

from .. import devices
from ..annotations import Tensor
from .axes import one_axis

__all__ = ["is_floating_point", "numel"]


def stride(input: Any, dim: int | None = None) -> Any:
    """Return how many elements in memory lie from one element to the next along each axis, or along one.

    Args:
        dim: The axis; None means all.

    Returns:
        A tuple of ints, or one int.

    Example:
        >>> import tinymed
        >>> tinymed.ones(2, 3).stride()
        (3, 1)
    """
    steps = tuple(s // input.array.itemsize for s in input.array.strides)
    return steps if dim is None else steps[one_axis("stride", dim, len(steps))]


def is_contiguous(input: Any, memory_format: Any = None) -> bool:
    """Return whether the elements lie in C order in memory.

    Args:
        memory_format: Accepted as PyTorch's and ignored.

    Returns:
        A bool.

    Example:
        >>> import tinymed
        >>> tinymed.ones(2, 3).T.is_contiguous()
        False
    """
    return bool(input.array.flags.c_contiguous)


def is_cuda(input: Any) -> bool:
    """Return whether the tensor is on a GPU.

    Returns:
        A bool.

    Example:
        >>> import tinymed
        >>> tinymed.ones(2, device="cpu").is_cuda
        False
    """
    return devices.of(input.array) == "cuda"


def nbytes(input: Any) -> int:
    """Return the bytes of all elements.

    Returns:
        An int.

    Example:
        >>> import tinymed
        >>> tinymed.ones(2, 3).nbytes
        24
    """
    return int(input.array.nbytes)


def contiguous(input: Any, memory_format: Any = None) -> Any:
    """Return the tensor itself: the order in memory is the engine's affair, and no shape operation depends on it.

    Args:
        memory_format: Accepted as PyTorch's and ignored.

    Returns:
        This tensor.

    Example:
        >>> import tinymed
        >>> tinymed.ones(2, 3).contiguous().shape
        (2, 3)
    """
    return input


def size(input: Any, dim: int | None = None) -> Any:
    """Return the shape, or the length of one axis.

    Args:
        dim: The axis; None means all.

    Returns:
        A tuple of ints, or one int.

    Example:
        >>> import tinymed
        >>> tinymed.ones(2, 3).size(1)
        3
    """
    return input.shape if dim is None else input.shape[one_axis("size", dim, len(input.shape))]


def numel(input: Tensor) -> int:
    """Return the number of elements.

    Args:
        input: Tensor of any shape.

    Returns:
        An int.

    Example:
        >>> import tinymed
        >>> tinymed.numel(tinymed.zeros(2, 3))
        6
    """
    return int(input.array.size)


def dim(input: Any) -> int:
    """Return the number of axes.

    Returns:
        An int.

    Example:
        >>> import tinymed
        >>> tinymed.ones(2, 3).dim()
        2
    """
    return int(input.array.ndim)


def element_size(input: Any) -> int:
    """Return the bytes of one element.

    Returns:
        An int.

    Example:
        >>> import tinymed
        >>> tinymed.ones(2).element_size()
        4
    """
    return int(input.array.itemsize)


def is_floating_point(input: Tensor) -> bool:
    """Return whether elements are floating-point numbers.

    Args:
        input: Tensor of any shape.

    Returns:
        A bool.

    Example:
        >>> import tinymed
        >>> tinymed.is_floating_point(tinymed.zeros(2))
        True
    """
    return bool(input.array.dtype.kind == "f")
