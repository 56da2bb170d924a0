"""Tensor: an array, its gradient, and the op that made it.  Methods are one-line calls into ops."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import devices, tape
from .absent import missing
from .annotations import DType, Operand
from .ops.axes import sizes
from .ops.cast import as_dtype
from .ops.exchange import Exchange
from .ops.methods import Methods
from .tape import Node


class Tensor(Exchange, Methods):
    """An n-dimensional array that remembers how it was computed.  Names and behaviour are PyTorch's."""

    __slots__ = ()
    __array_priority__ = 1000  # numpy_array * tensor asks the tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the length of each axis.

        Returns:
            A tuple of ints.

        Example:
            >>> import tinymed
            >>> tinymed.zeros(2, 3).shape
            (2, 3)
        """
        shape: tuple[int, ...] = self.array.shape
        return shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return the type of an element, a NumPy dtype.

        Returns:
            A numpy.dtype.

        Example:
            >>> import tinymed
            >>> tinymed.zeros(2).dtype.name
            'float32'
        """
        dtype: np.dtype[Any] = self.array.dtype
        return dtype

    @property
    def device(self) -> devices.device:
        """Return where the array lives.

        Returns:
            A tinymed.device, which is the string "cpu" or "cuda".

        Example:
            >>> import tinymed
            >>> tinymed.zeros(2, device="cpu").device
            device(type='cpu')
        """
        return devices.device(devices.of(self.array))

    @property
    def is_leaf(self) -> bool:
        """Return whether no op on the tape made the tensor.

        Returns:
            A bool.

        Example:
            >>> import tinymed
            >>> x = tinymed.zeros(2, requires_grad=True)
            >>> x.is_leaf, (x + 1).is_leaf
            (True, False)
        """
        return self.op is None

    def __getattr__(self, name: str) -> Any:
        raise missing("tinymed.Tensor", name)

    def __repr__(self) -> str:
        tape.host_read("repr")
        body = np.array2string(devices.move(self.array, "cpu"), precision=4, separator=", ", prefix="tensor(")
        tail = f", op={type(self.op).__name__}" if self.op else ", requires_grad=True" if self.requires_grad else ""
        kind = "" if self.dtype in (np.float32, np.int64, np.bool_) else f", dtype={self.dtype}"
        place = "" if self.device == "cpu" else f", device='{self.device}'"
        shape = f", shape={self.shape}" if "..." in body else ""  # what is left out cannot be counted
        return f"tensor({body}{shape}{kind}{place}{tail})"

    # ------------------------------------------------------------------------------------------ the tape

    def backward(
        self,
        gradient: "Tensor | None" = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: "Tensor | Sequence[Tensor] | None" = None,
    ) -> None:
        """Add d(self)/d(leaf) to the .grad of every leaf that requires a gradient.

        Args:
            gradient: The weights of this tensor's elements, in its shape; 1 for a scalar if None.
            retain_graph: Keep what the tape saved, for a second walk.
            create_graph: Refused: there are first derivatives only.
            inputs: The only tensors that get a gradient; of one that is not a leaf it is retained.

        Raises:
            RuntimeError: No input requires a gradient, or gradient is missing for a tensor of more than one element.
            ValueError: gradient has another shape, or create_graph is True.

        Example:
            >>> import tinymed
            >>> x = tinymed.tensor([2.0, 3.0], requires_grad=True)
            >>> (x * x).sum().backward()
            >>> x.grad.tolist()
            [4.0, 6.0]
        """
        if create_graph:
            raise ValueError("backward: create_graph=True asks for second derivatives, which tinymed does not have")
        if not self.requires_grad:
            raise RuntimeError(
                "backward: no input of this tensor requires a gradient (requires_grad=True), or it was "
                "computed under no_grad()"
            )
        if inputs is not None:
            inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
            if not inputs:
                raise RuntimeError("backward: inputs must not be empty; leave it out for all leaves")
            for tensor in inputs:
                tensor.retain_grad()
        tape.walk([self], [cotangent(self, gradient)], bool(retain_graph), None, inputs)

    def detach(self) -> "Tensor":
        """Return a tensor on the same memory that is not on the tape.

        Returns:
            A tensor that requires no gradient.

        Example:
            >>> import tinymed
            >>> x = tinymed.ones(2, requires_grad=True)
            >>> x.detach().requires_grad
            False
        """
        return Tensor(self.array, version=self.version)

    def requires_grad_(self, requires_grad: bool = True) -> "Tensor":
        """Ask for a gradient from here on, or no longer.

        Args:
            requires_grad: Whether to ask.

        Returns:
            This tensor.

        Raises:
            RuntimeError: The tensor is not a leaf, or not of floating-point numbers.

        Example:
            >>> import tinymed
            >>> tinymed.zeros(2).requires_grad_().requires_grad
            True
        """
        if self.op is not None:
            raise RuntimeError("requires_grad_: only a leaf can be switched; use detach()")
        if requires_grad and self.dtype.kind != "f":
            raise RuntimeError(f"requires_grad_: only floating-point tensors have gradients, this one is {self.dtype}")
        self.requires_grad = requires_grad
        return self

    def register_hook(self, hook: Any) -> tape.Handle:
        """Call a function with this tensor's gradient when it is known.

        Args:
            hook: Takes the gradient; what it returns, if anything, replaces the gradient.

        Returns:
            A handle whose remove() takes the hook off, and that is a context for a hook of a block.

        Raises:
            RuntimeError: The tensor does not require a gradient.

        Example:
            >>> import tinymed
            >>> x = tinymed.ones(1, requires_grad=True)
            >>> handle = x.register_hook(lambda g: g * 10)
            >>> (x * 2).sum().backward()
            >>> x.grad.tolist()
            [20.0]
        """
        if not self.requires_grad:
            raise RuntimeError("register_hook: the tensor does not require a gradient")
        if self.op is not None:
            return self.op.hook(self.index, hook)
        if self.hooks is None:
            self.hooks = {}
        return tape.Handle(self.hooks, hook)

    def retain_grad(self) -> None:
        """Keep the gradient of a tensor that is not a leaf, in .grad, to which each backward adds.

        Raises:
            RuntimeError: The tensor does not require a gradient.

        Example:
            >>> import tinymed
            >>> x = tinymed.ones(1, requires_grad=True)
            >>> y = x * 2
            >>> y.retain_grad()
            >>> (y * 3).sum().backward()
            >>> y.grad.tolist()
            [3.0]
        """
        if not self.requires_grad:
            raise RuntimeError("retain_grad: the tensor does not require a gradient")
        if self.op is not None and not self.retains_grad:
            self.register_hook(tape.Retained(self))

    @property
    def retains_grad(self) -> bool:
        """Return whether backward keeps the gradient of this tensor, which is not a leaf.

        Returns:
            True after retain_grad().

        Example:
            >>> import tinymed
            >>> tinymed.ones(1).retains_grad
            False
        """
        hooks = self.op.hooks.get(self.index, {}) if self.op is not None else {}
        return any(isinstance(hook, tape.Retained) for hook in hooks.values())

    @property
    def data(self) -> "Tensor":
        """Return a tensor on the same memory that the tape knows nothing of.

        A value written through it goes unnoticed. Assigning to it gives this tensor the memory of another, of the same
        dtype.

        Returns:
            A tensor that requires no gradient.

        Raises:
            TypeError: What is assigned is not a tensor, or has another dtype.

        Example:
            >>> import tinymed
            >>> p = tinymed.tensor([-1.0, 2.0], requires_grad=True)
            >>> p.data = p.data.clamp(0, 1)
            >>> p.tolist()
            [0.0, 1.0]
        """
        self.version.viewed = self.version.exposed = True
        return Tensor(self.array)

    @data.setter
    def data(self, value: "Tensor") -> None:
        if not isinstance(value, Node):
            raise TypeError(f"data: takes a tensor, got {type(value).__name__}")
        if value.array.dtype != self.array.dtype:
            raise TypeError(f"data: this tensor is {self.dtype}, the new value {value.array.dtype}; cast it first")
        self.array = value.array
        self.version.exposed = True  # a write to `value` is counted elsewhere

    # ---------------------------------------------------------------------------------- others of its kind

    def new_tensor(
        self, data: Any, dtype: DType | None = None, device: str | None = None, requires_grad: bool = False
    ) -> "Tensor":
        """Return a tensor that holds a copy of data.

        Args:
            data: Numbers, nested lists, an array or a tensor.
            dtype, device: This tensor's if None.
            requires_grad: Ask for a gradient.

        Returns:
            A tensor.

        Example:
            >>> import tinymed
            >>> tinymed.zeros(1).new_tensor([1, 2]).tolist()
            [1.0, 2.0]
        """
        return tensor(data, dtype or self.dtype, device or self.device, requires_grad)

    def new_full(
        self,
        size: Any,
        fill_value: Operand,
        dtype: DType | None = None,
        device: str | None = None,
        requires_grad: bool = False,
    ) -> "Tensor":
        """Return a tensor filled with one value.

        Args:
            size: The shape.
            fill_value: A number.
            dtype, device: This tensor's if None.
            requires_grad: Ask for a gradient.

        Returns:
            A tensor of that shape.

        Example:
            >>> import tinymed
            >>> tinymed.zeros(1).new_full((2,), 3).tolist()
            [3.0, 3.0]
        """
        return filled(sizes("new_full", (size,)), fill_value, dtype or self.dtype, device or self.device, requires_grad)

    def new_zeros(
        self, *size: Any, dtype: DType | None = None, device: str | None = None, requires_grad: bool = False
    ) -> "Tensor":
        """Return zeros.

        Args:
            size: The length of each axis, one by one or as a sequence.
            dtype, device: This tensor's if None.
            requires_grad: Ask for a gradient.

        Returns:
            A tensor of that shape.

        Example:
            >>> import tinymed
            >>> tinymed.ones(1).new_zeros(2).tolist()
            [0.0, 0.0]
        """
        return self.new_full(sizes("new_zeros", size), 0, dtype, device, requires_grad)

    def new_ones(
        self, *size: Any, dtype: DType | None = None, device: str | None = None, requires_grad: bool = False
    ) -> "Tensor":
        """Return ones.

        Args:
            size: The length of each axis, one by one or as a sequence.
            dtype, device: This tensor's if None.
            requires_grad: Ask for a gradient.

        Returns:
            A tensor of that shape.

        Example:
            >>> import tinymed
            >>> tinymed.zeros(1).new_ones(2).tolist()
            [1.0, 1.0]
        """
        return self.new_full(sizes("new_ones", size), 1, dtype, device, requires_grad)

    new_empty = new_zeros

    __hash__ = Node.__hash__


Node.default = Tensor


def cotangent(root: Tensor, gradient: Tensor | None) -> Any:
    """Return the array a backward walk starts with."""
    a = root.array
    if gradient is None:
        if a.size != 1:
            raise RuntimeError(
                f"backward: a tensor of shape {list(root.shape)} needs `gradient`, a tensor of that "
                "shape; only a scalar starts with 1"
            )
        return devices.table_on(devices.of(a)).full(a.shape, a.dtype, 1)
    given = gradient.array
    if given.shape != a.shape:
        raise ValueError(f"backward: gradient has shape {list(given.shape)}, the tensor {list(a.shape)}")
    return given if given.dtype == a.dtype else devices.table_on(devices.of(a)).cast(given, a.dtype)


# ------------------------------------------------------------------------------------------------------- making


def made(a: Any, device: str | None, requires_grad: bool = False) -> Tensor:
    """Return a tensor of an array of the CPU, on a device: by default where the backend in use works."""
    place = devices.default() if device is None else devices.checked("device", device)
    return Tensor(devices.move(a, place)).requires_grad_(requires_grad)


def filled(shape: tuple[int, ...], value: Any, dtype: Any, device: str | None, requires_grad: bool = False) -> Tensor:
    """Return a tensor of one value, made by a kernel so that a captured step makes it anew."""
    dtype = as_dtype("dtype", dtype)
    place = devices.default() if device is None else devices.checked("device", device)
    value = np.full((), value, dtype)  # OverflowError for a number that the dtype cannot hold
    a = devices.table_on(place).full(shape, value.dtype, value.item())
    return Tensor(a).requires_grad_(requires_grad)


def tensor(data: Any, dtype: DType | None = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """Return a tensor that holds a copy of data.

    Args:
        data: Numbers, nested lists, an array or a tensor.
        dtype: The data's if None; Python floats become float32.
        device: "cpu" or "cuda"; by default where data is if it is a tensor, else where the backend in use works.
        requires_grad: Ask for a gradient.

    Returns:
        A tensor.

    Raises:
        TypeError: data does not hold numbers.

    Example:
        >>> import tinymed
        >>> tinymed.tensor([[1.0, 2.0], [3.0, 4.0]])
        tensor([[1., 2.],
                [3., 4.]])
    """
    if isinstance(data, Tensor):
        data, device = data.array, device or data.device
    if not isinstance(data, np.ndarray) and hasattr(data, "get") and hasattr(data, "strides"):  # CuPy's
        moved = devices.move(data, devices.checked("tensor", device or "cuda"))
        return Tensor(moved.astype(dtype or moved.dtype, copy=moved is data)).requires_grad_(requires_grad)
    dtype = None if dtype is None else as_dtype("tensor", dtype)
    if isinstance(data, list | tuple) and any_tensor(data):
        data = plain(data)
    if dtype is None and not hasattr(data, "dtype"):
        a = np.array(data)
        a = a.astype(np.float32) if a.dtype.kind == "f" else a
    else:
        a = np.array(data, dtype=dtype, copy=True)
    if a.dtype.kind not in "buif":
        raise TypeError(f"tensor: takes numbers, got elements of type {a.dtype}")
    return made(a, device, requires_grad)


def any_tensor(data: Any) -> bool:
    """Return whether nested lists hold a tensor."""
    return any(isinstance(d, Node) or (isinstance(d, list | tuple) and any_tensor(d)) for d in data)


def plain(data: Any) -> Any:
    """Return nested lists with the numbers of tensors in place of the tensors."""
    if isinstance(data, Node):
        return data.tolist()  # type: ignore[attr-defined]
    return [plain(d) for d in data] if isinstance(data, list | tuple) else data


def from_numpy(array: np.ndarray) -> Tensor:
    """Return a tensor that shares an array's memory.

    Args:
        array: A NumPy array of numbers.

    Returns:
        A tensor of the array's shape and dtype.

    Raises:
        TypeError: It is not an array of numbers.

    Example:
        >>> import tinymed
        >>> import numpy as np
        >>> tinymed.from_numpy(np.arange(3)).tolist()
        [0, 1, 2]
    """
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "buif":
        raise TypeError(f"from_numpy: takes a NumPy array of numbers, got {type(array).__name__}")
    return on_memory_of_others(array)


def on_memory_of_others(array: Any) -> Tensor:
    """Return a tensor on memory that others may write to."""
    result = Tensor(array)
    result.version.exposed = True
    return result


def from_dlpack(ext_tensor: Any) -> Tensor:
    """Return a tensor on the memory of another library's tensor, on its device, without a copy.

    Args:
        ext_tensor: What has `__dlpack__`: a tensor of PyTorch, CuPy or JAX, an array of NumPy.

    Returns:
        A tensor.

    Example:
        >>> import tinymed
        >>> import numpy as np
        >>> tinymed.from_dlpack(np.arange(3)).tolist()
        [0, 1, 2]
    """
    return on_memory_of_others(devices.from_dlpack(ext_tensor))
