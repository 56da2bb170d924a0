"""Cast to another dtype, move to another device, and describe a tensor."""

from typing import Any

import numpy as np

from .. import devices
from ..dispatch import Array
from ..tape import Node, Op
from .promotion import category, result_type

DTYPES = {
    float: np.float32,
    int: np.int64,
    bool: np.bool_,
    "float": np.float32,
    "double": np.float64,
    "half": np.float16,
    "long": np.int64,
    "short": np.int16,
}
TYPES = {  # PyTorch's names of tensors of a dtype
    "float32": "Float",
    "float64": "Double",
    "float16": "Half",
    "int64": "Long",
    "int32": "Int",
    "int16": "Short",
    "int8": "Char",
    "uint8": "Byte",
    "bool": "Bool",
}


class Cast(Op):
    """y = x in another dtype;  dx = dy in x's dtype."""

    oracle = None
    oracle_reason = "a change of dtype has nothing to compare"

    def forward(self, x: Array, dtype: Any) -> Array:
        self.save(x.dtype)
        return self.k.cast(x, dtype)

    def backward(self, dy: Array) -> Any:
        return self.k.cast(dy, *self.saved), None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return draw.array(draw.shape()), np.dtype(np.float64)


class Move(Op):
    """y = x on another device;  dx = dy on x's."""

    oracle = None
    oracle_reason = "a change of place has nothing to compare"

    def forward(self, x: Array, place: str) -> Array:
        self.save(devices.of(x))
        return self.k.copy(x) if devices.of(x) == place else devices.move(x, place)

    def backward(self, dy: Array) -> Any:
        return devices.move(dy, *self.saved), None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return draw.array(draw.shape()), "cpu"


def as_dtype(name: str, dtype: Any) -> np.dtype[Any]:
    """Return a dtype from NumPy's names, or Python's float (float32, as in PyTorch), int and bool."""
    try:
        found = np.dtype(DTYPES.get(dtype, dtype) if isinstance(dtype, type | str) else dtype)
    except TypeError:
        raise TypeError(f"{name}: {dtype!r} names no dtype; use for instance tinymed.float32") from None
    if found.kind not in "buif" or found.itemsize > 8:
        raise TypeError(f"{name}: dtype {found} is not supported; tensors hold bool, integers, float32 or float64")
    return found


def to(
    input: Any,
    *args: Any,
    dtype: Any = None,
    device: Any = None,
    other: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: Any = None,
) -> Any:
    """Return the tensor in another dtype or on another device.

    Args:
        args: A dtype, a device, a device and a dtype, or another tensor whose dtype and device are taken.
        dtype, device, other: The same by name.
        non_blocking, memory_format: Accepted as PyTorch's and ignored.
        copy: Return a copy also where nothing changes.

    Returns:
        A tensor of this one's shape: itself if nothing changes, unless copy.

    Raises:
        TypeError: The arguments are none of these.

    Example:
        >>> import tinymed
        >>> tinymed.ones(2).to(tinymed.int64).tolist()
        [1, 1]
    """
    args = args if other is None else (*args, other)
    for a in args:
        if hasattr(a, "array") and hasattr(a, "op"):
            dtype, device = a.dtype, a.device
        elif isinstance(a, str) and a.split(":")[0] in devices.NAMES:
            device = a
        elif isinstance(a, bool):  # non_blocking, by position
            continue
        elif a is not None:
            dtype = a
    if device is not None and (place := devices.checked("to", device)) != devices.of(input.array):
        input = Move.apply(input, place)
    wanted = input.array.dtype if dtype is None else as_dtype("to", dtype)
    if wanted != input.array.dtype:
        return Cast.apply(input, wanted)
    if not copy:
        return input
    from .shape import clone

    return clone(input)


def cpu(input: Any) -> Any:
    """Return the tensor on the CPU: itself if it is there.

    Returns:
        A tensor of the input's shape and dtype.

    Example:
        >>> import tinymed
        >>> tinymed.ones(2).cpu().device
        device(type='cpu')
    """
    return to(input, device="cpu")


def cuda(input: Any) -> Any:
    """Return the tensor on the GPU: itself if it is there.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        BackendError: There is no GPU; the message says what is missing.
    """
    return to(input, device="cuda")


def type_as(input: Any, other: Any) -> Any:
    """Return the tensor in the dtype of another.

    Args:
        other: The other tensor.

    Returns:
        A tensor of this one's shape.

    Example:
        >>> import tinymed
        >>> tinymed.ones(2).type_as(tinymed.tensor([1])).tolist()
        [1, 1]
    """
    return to(input, other.dtype)


def to_float(input: Any, memory_format: Any = None) -> Any:
    """Return the tensor as float32.

    Args:
        memory_format: Accepted as PyTorch's and ignored.

    Returns:
        A tensor of this one's shape.

    Example:
        >>> import tinymed
        >>> tinymed.tensor([1]).float().tolist()
        [1.0]
    """
    return to(input, np.float32)


def to_double(input: Any, memory_format: Any = None) -> Any:
    """Return the tensor as float64.

    Args:
        memory_format: Accepted as PyTorch's and ignored.

    Returns:
        A tensor of this one's shape.

    Example:
        >>> import tinymed
        >>> tinymed.tensor([1]).double().dtype.name
        'float64'
    """
    return to(input, np.float64)


def to_long(input: Any, memory_format: Any = None) -> Any:
    """Return the tensor as int64, rounded towards 0.

    Args:
        memory_format: Accepted as PyTorch's and ignored.

    Returns:
        A tensor of this one's shape.

    Example:
        >>> import tinymed
        >>> tinymed.tensor([1.5]).long().tolist()
        [1]
    """
    return to(input, np.int64)


def to_int(input: Any, memory_format: Any = None) -> Any:
    """Return the tensor as int32, rounded towards 0.

    Args:
        memory_format: Accepted as PyTorch's and ignored.

    Returns:
        A tensor of this one's shape.

    Example:
        >>> import tinymed
        >>> tinymed.tensor([1.5]).int().tolist()
        [1]
    """
    return to(input, np.int32)


def to_bool(input: Any, memory_format: Any = None) -> Any:
    """Return the tensor as bool: whether elements are not zero.

    Args:
        memory_format: Accepted as PyTorch's and ignored.

    Returns:
        A tensor of this one's shape.

    Example:
        >>> import tinymed
        >>> tinymed.tensor([0.0, 1.5]).bool().tolist()
        [False, True]
    """
    return to(input, np.bool_)


def to_half(input: Any, memory_format: Any = None) -> Any:
    """Return the tensor as float16: to be stored, not to be computed in.

    Args:
        memory_format: Accepted as PyTorch's and ignored.

    Returns:
        A tensor of this one's shape.

    Example:
        >>> import tinymed
        >>> tinymed.ones(1).half().dtype.name
        'float16'
    """
    return to(input, np.float16)


def to_short(input: Any, memory_format: Any = None) -> Any:
    """Return the tensor as int16, rounded towards 0.

    Args:
        memory_format: Accepted as PyTorch's and ignored.

    Returns:
        A tensor of this one's shape.

    Example:
        >>> import tinymed
        >>> tinymed.tensor([1.5]).short().tolist()
        [1]
    """
    return to(input, np.int16)


def to_byte(input: Any, memory_format: Any = None) -> Any:
    """Return the tensor as uint8.

    Args:
        memory_format: Accepted as PyTorch's and ignored.

    Returns:
        A tensor of this one's shape.

    Example:
        >>> import tinymed
        >>> tinymed.tensor([1.5]).byte().tolist()
        [1]
    """
    return to(input, np.uint8)


def to_char(input: Any, memory_format: Any = None) -> Any:
    """Return the tensor as int8, rounded towards 0.

    Args:
        memory_format: Accepted as PyTorch's and ignored.

    Returns:
        A tensor of this one's shape.

    Example:
        >>> import tinymed
        >>> tinymed.tensor([1.5]).char().tolist()
        [1]
    """
    return to(input, np.int8)


def type_of(input: Any, dtype: Any = None, non_blocking: bool = False) -> Any:
    """Return PyTorch's name of the tensor's type, or the tensor in a dtype.

    Args:
        dtype: A dtype, or such a name; None asks for the name.
        non_blocking: Accepted as PyTorch's and ignored.

    Returns:
        "tinymed.FloatTensor" and the like, or a tensor of this one's shape.

    Example:
        >>> import tinymed
        >>> tinymed.ones(1).type()
        'tinymed.FloatTensor'
    """
    names = {f"{name}Tensor": dtype for dtype, name in TYPES.items()}
    if dtype is None:
        return f"tinymed.{TYPES.get(str(input.array.dtype), str(input.array.dtype))}Tensor"
    if isinstance(dtype, str):
        dtype = names.get(dtype.rpartition(".")[2], dtype)
    return to(input, dtype=dtype)


def can_cast(from_: Any, to: Any) -> bool:
    """Return whether a result of one dtype can be written into a tensor of another.

    Args:
        from_, to: The dtypes; no float goes into integers, and none but bool into bool.

    Returns:
        A bool.

    Example:
        >>> import tinymed
        >>> tinymed.can_cast(tinymed.float32, tinymed.int64)
        False
    """
    return category(as_dtype("can_cast", from_)) <= category(as_dtype("can_cast", to))


def common_dtype(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return an op's inputs with every tensor in their common dtype, cast on the tape."""
    return inputs if all_float(inputs) else cast_to(result_type(*inputs), inputs)


def common_float(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return an op's inputs with every tensor in their common dtype, or in float32 if that is not floating point."""
    if all_float(inputs):
        return inputs
    dtype = result_type(*inputs)
    return cast_to(dtype if dtype.kind == "f" else np.dtype(np.float32), inputs)


def all_float(inputs: tuple[Any, ...]) -> bool:
    """Return whether the tensors have one floating-point dtype already, which they nearly always do."""
    dtypes = [i.array.dtype for i in inputs if isinstance(i, Node)]
    return bool(dtypes) and dtypes[0].kind == "f" and dtypes.count(dtypes[0]) == len(dtypes)


def cast_to(dtype: np.dtype[Any], inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return inputs with every tensor in one dtype."""
    return tuple([Cast.apply(i, dtype) if isinstance(i, Node) and i.array.dtype != dtype else i for i in inputs])


def get_default_dtype() -> Any:
    """Return the dtype of tensors that are made of Python floats: float32.

    Returns:
        A numpy.dtype.

    Example:
        >>> import tinymed
        >>> tinymed.get_default_dtype().name
        'float32'
    """
    return np.dtype(np.float32)


__all__ = ["can_cast", "get_default_dtype"]
