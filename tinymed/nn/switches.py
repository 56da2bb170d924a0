"""What switches a module and all below it: mode, frozen parameters, dtype and device."""

from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np

from .. import devices
from ..ops.cast import as_dtype
from ..tape import Node
from ..tensor import Tensor
from .state import matches
from .tree import Tree


class Switches(Tree):
    """Set the mode, the frozen parameters, the dtype and the device of a module and all modules below it."""

    _unwatched: ClassVar[frozenset[str]] = frozenset()  # attributes that decide nothing a recorded step would do
    training: bool

    def train(self, mode: bool = True) -> Self:
        """Set training mode: dropout drops, batch norm uses the batch's statistics.

        Args:
            mode: whether it is training mode or evaluation mode.  Default: True.

        Returns:
            The module.

        Raises:
            ValueError: mode is neither True nor False.

        Example:
            >>> from tinymed import nn
            >>> model = nn.Sequential(nn.Dropout())
            >>> model.train(False)[0].training
            False
        """
        if not isinstance(mode, bool):
            raise ValueError(f"train: mode is True or False, got {mode!r}")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Self:
        """Set evaluation mode: dropout passes its input on, batch norm uses its running statistics.

        Returns:
            The module.
        """
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True, pattern: str = "*") -> Self:
        """Switch gradients of the parameters whose dotted name matches a pattern, or that lie below a match.

        Args:
            requires_grad: whether they get gradients.  Default: True.
            pattern: a shell's pattern.  Default: "*", all.

        Returns:
            The module.

        Raises:
            ValueError: no parameter matches; a mistyped pattern would otherwise train what should be frozen.

        Example:
            >>> from tinymed import nn
            >>> model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
            >>> [p.requires_grad for p in model.requires_grad_(False, "0").parameters()]
            [False, False, True, True]
        """
        chosen = [p for n, p in self._named_members("_parameters", "", True, unique=False) if matches(n, pattern)]
        if not chosen and pattern != "*":
            tops = sorted({n.split(".")[0] for n, _ in self.named_parameters()})
            raise ValueError(
                f"{type(self).__name__}: no parameter matches {pattern!r}; names begin with {', '.join(tops)}"
            )
        for p in chosen:
            p.requires_grad_(requires_grad)
        return self

    def freeze(self, pattern: str = "*", statistics: bool = False) -> Self:
        """Stop learning the parameters that match a pattern.

        Args:
            pattern: a shell's pattern of dotted names, such as "features.*".  Default: "*", all.
            statistics: whether batch norm there uses its running statistics, and leaves them, in training mode too.
                Default: False.

        Returns:
            The module.

        Raises:
            ValueError: no parameter matches.

        Example:
            >>> from tinymed import nn
            >>> model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)).freeze("0.*")
            >>> [name for name, p in model.named_parameters() if p.requires_grad]
            ['1.weight', '1.bias']
        """
        if statistics:
            self.freeze_statistics(True, pattern)
        return self.requires_grad_(False, pattern)

    def unfreeze(self, pattern: str = "*") -> Self:
        """Learn the parameters that match a pattern; batch norm there uses the batch's statistics in training again.

        Args:
            pattern: a shell's pattern of dotted names.  Default: "*", all.

        Returns:
            The module.

        Raises:
            ValueError: no parameter matches.
        """
        self.freeze_statistics(False, pattern)
        return self.requires_grad_(True, pattern)

    def freeze_statistics(self, frozen: bool, pattern: str) -> None:
        """Hold, or free, the running statistics of the batch norms whose dotted name matches a pattern.

        Args:
            frozen: whether they are held.
            pattern: a shell's pattern of dotted names.
        """
        for name, module in self.named_modules():
            if hasattr(module, "frozen") and matches(name, pattern):
                module.frozen = frozen

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters.

        Args:
            set_to_none: whether they are dropped; if not, those that exist become zero.  Default: True.
        """
        for p in self.parameters():
            clear_gradient(p, set_to_none)

    def apply(self, fn: Callable[[Any], Any]) -> Self:
        """Call a function on every module, children first.

        Args:
            fn: takes a module; what it returns is ignored.

        Returns:
            The module.

        Example:
            >>> from tinymed import nn
            >>> def clear(module):
            ...     if isinstance(module, nn.Linear):
            ...         nn.init.zeros_(module.bias)
            >>> nn.Sequential(nn.Linear(4, 2)).apply(clear)[0].bias.tolist()
            [0.0, 0.0]
        """
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def to(
        self, *args: Any, device: str | None = None, dtype: Any = None, non_blocking: bool = False, **unknown: Any
    ) -> Self:
        """Bring floating-point parameters and buffers to another dtype, and all to a device.

        Called as to(device), to(dtype), to(device, dtype) or to(tensor), whose device and dtype are taken.

        Args:
            args: devices, dtypes or a tensor.
            device: "cpu" or "cuda".  Default: None, as they are.
            dtype: float32 or float64.  Default: None, as they are.
            non_blocking: without effect.
            unknown: names that are refused.

        Returns:
            The module, changed in place.

        Raises:
            TypeError: a dtype that is not floating-point, or an unknown argument.

        Example:
            >>> import tinymed
            >>> tinymed.nn.Linear(4, 3).to(tinymed.float64).weight.dtype
            dtype('float64')
        """
        if unknown:
            raise TypeError(f"to: takes device, dtype and non_blocking, got {', '.join(unknown)}")
        for a in args:
            if isinstance(a, Node):
                device, dtype = devices.of(a.array), a.array.dtype
            elif isinstance(a, str) and a.split(":")[0] in devices.NAMES:
                device = a
            elif a is not None and not isinstance(a, bool):
                dtype = a
        if dtype is not None:
            self._cast(as_dtype("to", dtype))
        if device is not None:
            place = devices.checked("to", device)
            for t in (*self.parameters(), *self.buffers()):
                t.array = devices.move(t.array, place)
                t.grad = None if t.grad is None else Tensor(devices.move(t.grad.array, place))
        return self

    def _cast(self, dtype: np.dtype[Any]) -> None:
        """Bring floating-point parameters and buffers to a dtype."""
        if dtype.kind != "f":
            raise TypeError(f"to: a module takes a floating-point dtype, got {dtype}")
        for t in (*self.parameters(), *self.buffers()):
            if t.dtype.kind == "f" and t.dtype != dtype:
                t.array = t.array.astype(dtype, order="K")
                t.grad = None if t.grad is None else Tensor(t.grad.array.astype(dtype, order="K"))

    def type(self, dst_type: Any) -> Self:
        """Bring floating-point parameters and buffers to a dtype.

        Args:
            dst_type: float32 or float64.

        Returns:
            The module, changed in place.
        """
        return self.to(dtype=dst_type)

    def cpu(self) -> Self:
        """Bring parameters and buffers to the CPU; return the module."""
        return self.to("cpu")

    def cuda(self, device: Any = None) -> Self:
        """Bring parameters and buffers to the GPU.

        Args:
            device: None, 0, "cuda" or "cuda:0": there is one.

        Returns:
            The module, changed in place.

        Raises:
            ValueError: another device.
        """
        if device not in (None, 0, "cuda", "cuda:0"):
            raise ValueError(f"cuda: tinymed uses one GPU, number 0; got {device!r}")
        return self.to("cuda")

    def half(self) -> Self:
        """Raise: parameters are float32 or float64.

        Raises:
            TypeError: always; the precision of products is a switch of its own, `tinymed.use_precision`.
        """
        raise TypeError(
            f"{type(self).__name__}: parameters of 16 bits do not exist in tinymed; they are float32 or float64. "
            "The precision of products is a switch of its own, tinymed.use_precision"
        )

    bfloat16 = half

    def float(self) -> Self:
        """Bring floating-point parameters and buffers to float32; return the module."""
        return self.to(np.float32)

    def double(self) -> Self:
        """Bring floating-point parameters and buffers to float64; return the module."""
        return self.to(np.float64)


def clear_gradient(p: Tensor, set_to_none: bool) -> None:
    """Drop a tensor's gradient, or make it zero."""
    if set_to_none or p.grad is None:
        p.grad = None
    else:
        p.grad = Tensor(devices.table_on(p.device).full(p.grad.shape, p.grad.dtype, 0))
