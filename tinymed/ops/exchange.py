"""A tensor's values as Python numbers, NumPy arrays, and memory that other libraries read."""

from typing import Any

import numpy as np

from .. import tape
from ..tape import Node


class Exchange(Node):
    """Conversions of a tensor, which Tensor inherits.  A recorded step refuses those that read values."""

    __slots__ = ()

    def numpy(self) -> np.ndarray:
        """Return the values as a NumPy array that shares memory, or a copy of a GPU's.

        Returns:
            A numpy.ndarray, read-only while the tape needs the values.

        Example:
            >>> import tinymed
            >>> tinymed.ones(2).numpy().sum().item()
            2.0
        """
        tape.host_read("numpy")
        self.version.viewed = True
        a = self.array if isinstance(self.array, np.ndarray) else self.array.get()
        if self.requires_grad or self.version.held:
            a = a.view()
            a.flags.writeable = False
        else:
            self.version.exposed = True
        return a

    def item(self) -> Any:
        """Return the only element.

        Returns:
            A Python number.

        Raises:
            ValueError: There is not exactly one element.

        Example:
            >>> import tinymed
            >>> tinymed.tensor([[3]]).item()
            3
        """
        if self.array.size != 1:
            raise ValueError(f"item: needs a tensor of one element, this one has shape {list(self.array.shape)}")
        tape.host_read("item")
        return self.array.item()

    def tolist(self) -> Any:
        """Return the values as nested lists.

        Returns:
            Lists of Python numbers, or one number.

        Example:
            >>> import tinymed
            >>> tinymed.eye(2).tolist()
            [[1.0, 0.0], [0.0, 1.0]]
        """
        tape.host_read("tolist")
        return self.array.tolist()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec and not self.array.shape else format(repr(self), spec)

    def __complex__(self) -> complex:
        return complex(self.item())

    def __len__(self) -> int:
        if not self.array.shape:
            raise TypeError("len() of a tensor without axes")
        return int(self.array.shape[0])

    def __dlpack__(self, **options: Any) -> Any:
        """Export the memory to another library's from_dlpack, without a copy.

        Args:
            options: The protocol's stream, version, device and copy.

        Returns:
            A DLPack capsule.

        Raises:
            BufferError: The tensor requires a gradient; detach it first.

        Example:
            >>> import tinymed
            >>> import numpy as np
            >>> np.from_dlpack(tinymed.arange(3)).tolist()
            [0, 1, 2]
        """
        if self.requires_grad:
            raise BufferError(
                "__dlpack__: the tensor requires a gradient, which another library would not see; "
                "export tensor.detach()"
            )
        self.version.viewed = self.version.exposed = True
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        kind, index = self.array.__dlpack_device__()
        return int(kind), int(index)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.numpy(), dtype=dtype, copy=copy)
