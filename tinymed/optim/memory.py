"""Where a group's parameters and their state lie: one buffer for each, every parameter starting on a cache line."""

from typing import Any

import numpy as np

from .. import devices
from ..dispatch import Array, Table
from ..memory import ALIGNMENT, dense_order, empty, inverse_order
from ..nn.module import Parameter
from ..tape import Node, host_read


class ParamGroup(dict[str, Any]):
    """Hold the options of a group of parameters; mirror those that are numbers in the array `hyper` that kernels read.

    layout names the elements of hyper; an option of two numbers, such as "betas", stands for two: see PAIRS.
    """

    def __init__(self, options: dict[str, Any], layout: tuple[str, ...]):
        super().__init__()
        self.layout, self.hyper = layout, np.zeros(len(layout))
        self.update(options)

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        if name in PAIRS:
            at = self.layout.index(PAIRS[name])
            self.hyper[at], self.hyper[at + 1] = value
        elif name in self.layout:
            self.hyper[self.layout.index(name)] = float(value)

    def update(self, *args: Any, **kwargs: Any) -> None:
        for name, value in dict(*args, **kwargs).items():
            self[name] = value

    def setdefault(self, name: str, default: Any = None) -> Any:
        if name not in self:
            self[name] = default
        return self[name]

    def follow(self) -> None:
        """Read a learning rate that is a tensor: its value may have changed."""
        if isinstance(self["lr"], Node):
            host_read("an optimizer's step with a tensor as learning rate")
            self["lr"] = self["lr"]


PAIRS = {"betas": "beta1", "etas": "eta_minus", "step_sizes": "least_step"}  # option of two: the first's name in layout


class Slot:
    """Hold one parameter's place in the buffers of its group."""

    def __init__(self, parameter: Parameter, index: int, at: int):
        self.parameter, self.index = parameter, index
        data = parameter.array
        self.dtype, self.order = data.dtype, dense_order(data) or tuple(range(data.ndim))
        self.where = slice(at, at + data.size)
        self.buffers: dict[str, Array] = {}
        self.flat: Array
        self.view: Array

    def move_into(self, buffer: Array) -> None:
        """Let the parameter lie in the buffer, in its shape and its order of axes."""
        self.flat = buffer[self.where]
        shape = [self.parameter.array.shape[i] for i in self.order]
        self.view = self.flat.reshape(shape).transpose(inverse_order(self.order))
        self.view[...] = self.parameter.array
        self.parameter.array = self.view

    def gradient(self, k: Table) -> Array:
        """Return the parameter's gradient as it lies in memory, in the parameter's order: 1-D.

        Raises ValueError where the parameter has got another shape since: kernels would read foreign memory.
        """
        g = self.parameter.grad.array
        if g.shape != self.parameter.array.shape:
            own, old = list(self.parameter.array.shape), list(g.shape)
            raise ValueError(
                f"optimizer: a parameter has the shape {own} and its gradient {old}, of the data that it had before; "
                "call zero_grad() when its data are replaced"
            )
        if g.dtype != self.dtype:
            g = k.cast(g, self.dtype)
        if not g.transpose(self.order).flags.c_contiguous:
            g = k.canonical(g, self.order)
        return g.transpose(self.order).reshape(-1)

    def shaped(self, flat: Array) -> Array:
        """Return a 1-D array of the buffer in the parameter's shape: a view."""
        shape = [self.parameter.array.shape[i] for i in self.order]
        return flat.reshape(shape).transpose(inverse_order(self.order))


class GroupMemory:
    """Hold the buffers of one group: parameters and each kind of state, by dtype, and step counts."""

    def __init__(self, parameters: list[Parameter]):
        self.parameters = parameters
        self.device = devices.of(parameters[0].array) if parameters else "cpu"
        self.steps: Array = np.zeros(len(parameters), np.int64)
        self.chosen: list[int] = []  # the slots that had a gradient in the last step, and
        self.mask: Array = np.zeros(len(parameters), np.int64)  # 1 for each of them
        self.slots: list[Slot] = []
        self.scalars: dict[str, Array] = {}  # state of one number for each parameter, in float64
        self.sizes: dict[np.dtype[Any], int] = {}
        self.gather()

    def gather(self) -> None:
        """Lay the parameters out anew, on the device where they are, keeping the state."""
        self.device = self.table().device
        self.steps, self.mask = devices.move(self.steps, self.device), devices.move(self.mask, self.device)
        self.scalars = {name: devices.move(a, self.device) for name, a in self.scalars.items()}
        before, self.slots, self.sizes = self.slots, [], {}
        for i, p in enumerate(self.parameters):
            at = self.sizes.get(p.dtype, 0)
            self.slots.append(Slot(p, i, at))
            line = ALIGNMENT // p.dtype.itemsize
            self.sizes[p.dtype] = at + -(-p.array.size // line) * line
        buffers = {dtype: zeros(self.device, size, dtype) for dtype, size in self.sizes.items()}
        for slot in self.slots:
            slot.move_into(buffers[slot.dtype])
        for name in before[0].buffers if before else ():
            self.require(name)
            for old, new in zip(before, self.slots, strict=True):
                new.shaped(new.buffers[name])[...] = devices.move(old.shaped(old.buffers[name]), self.device)

    def table(self) -> Table:
        """Return the kernels for the group's parameters; raise RuntimeError if they are on several devices."""
        return devices.table_for("optimizer", [p.array for p in self.parameters])

    def sync(self) -> None:
        """Take in parameters whose array was replaced (another dtype, another optimizer, a user's assignment)."""
        for slot in self.slots:
            p = slot.parameter
            if p.array is not slot.view:
                if p.array.dtype != slot.dtype or devices.of(p.array) != self.device:
                    return self.gather()
                if p.array.shape != slot.view.shape:
                    raise ValueError(
                        f"optimizer: parameter {slot.index} had shape {list(slot.view.shape)} and now has "
                        f"{list(p.array.shape)}; make a new optimizer for a changed model"
                    )
                slot.view[...] = p.array
                p.array = slot.view
        return None

    def require(self, name: str, value: float = 0.0) -> None:
        """Make sure that a kind of state exists; it starts at value."""
        if self.slots and name not in self.slots[0].buffers:
            buffers = {dtype: zeros(self.device, size, dtype, value) for dtype, size in self.sizes.items()}
            for slot in self.slots:
                slot.buffers[name] = buffers[slot.dtype][slot.where]

    def require_scalar(self, name: str, value: float) -> Array:
        """Return the numbers of a kind of state that has one for each parameter; they start at value."""
        if name not in self.scalars:
            self.scalars[name] = devices.move(np.full(len(self.slots), value, np.float64), self.device)
        return self.scalars[name]

    def like(self, dtype: Any) -> Array:
        """Return an array of a dtype of the group: kernels make their coefficients like it."""
        return next(slot.flat for slot in self.slots if slot.dtype == dtype)

    def begin(self, k: Table) -> list[Slot]:
        """Count a step for every parameter that has a gradient; return their slots."""
        active = [slot for slot in self.slots if slot.parameter.grad is not None]
        chosen = [slot.index for slot in active]
        if chosen != self.chosen:
            mask = np.zeros(len(self.slots), np.int64)
            mask[chosen] = 1
            self.chosen, self.mask = chosen, devices.move(mask, self.device)
        k.advance_steps(self.steps, self.mask)
        return active


def zeros(place: str, size: int, dtype: Any, value: float = 0.0) -> Array:
    """Make a 1-D buffer of one value on a device, aligned."""
    a = devices.table_on(place).empty((size,), dtype) if place == "cuda" else empty((size,), dtype)
    a[...] = value
    return a
