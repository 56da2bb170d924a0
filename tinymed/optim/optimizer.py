"""What all optimizers share: groups of parameters, the step, and a state of NumPy arrays."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from .. import devices, dispatch, tape
from ..dispatch import Array
from ..nn.switches import clear_gradient
from ..tape import enable_grad
from ..tensor import Tensor
from . import kernels  # declares them
from .memory import GroupMemory, ParamGroup, Slot

__all__ = ["Optimizer", "kernels"]


class Optimizer(ABC):
    """Update parameters from their gradients.

    A subclass names the numbers its kernels read (`layout`) and defines `update`.

    The parameters of a group are moved into one buffer; each keeps its shape and its order in memory.

    Args:
        params: tensors that require a gradient, or dicts {"params": tensors, option: value} with a group's own options.
        defaults: the options of groups that do not have them.
        foreach: picks an implementation in PyTorch; here every step is fused and capturable.
        fused: as foreach.
        capturable: as foreach.
        differentiable: False only: the step has no derivatives.

    Raises:
        TypeError: params is one tensor, or holds something else than tensors.
        ValueError: params is empty, an option lies outside its range, or differentiable=True.
        RuntimeError: foreach and fused are both True.

    Example:
        >>> from tinymed import nn, optim
        >>> model = nn.Linear(4, 3)
        >>> optimizer = optim.SGD([{"params": [model.weight], "lr": 0.1}, {"params": [model.bias]}], lr=0.01)
        >>> [group["lr"] for group in optimizer.param_groups]
        [0.1, 0.01]

    As `torch.optim.Optimizer`; its state is NumPy arrays by name, see `state_dict`.
    """

    layout: ClassVar[tuple[str, ...]]
    scalars: ClassVar[tuple[str, ...]] = ()  # kinds of state that are one number for each parameter

    def __init__(
        self,
        params: Iterable[Any],
        defaults: dict[str, Any],
        foreach: bool | None = None,
        fused: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
    ):
        """Make the groups of parameters, each in a buffer of its own."""
        if differentiable:
            raise ValueError(
                f"{type(self).__name__}: differentiable=True asks for derivatives of the step itself, which tinymed "
                "does not have: first derivatives only"
            )
        if foreach and fused:
            raise RuntimeError(f"{type(self).__name__}: foreach and fused cannot both be True")
        self.defaults = defaults
        self.param_groups: list[ParamGroup] = []
        self.memory: list[GroupMemory] = []
        self.constants: dict[Any, Array] = {}
        if isinstance(params, Tensor):
            raise TypeError(f"{type(self).__name__}: params is an iterable of tensors or dicts, got one tensor")
        groups = list(params)
        if not groups:
            raise ValueError(f"{type(self).__name__}: the list of parameters is empty")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Add parameters with options of their own.

        Args:
            group: {"params": tensors, option: value}; options that are left out have the defaults.

        Raises:
            TypeError: something else than tensors is given.
            ValueError: an unknown option, or a tensor that is in a group already, is not a leaf, or is not
                floating-point.
        """
        name = type(self).__name__
        unknown = [n for n in group if n != "params" and n not in self.defaults and n != "initial_lr"]
        if "params" not in group or unknown:
            raise ValueError(
                f"{name}: a group has 'params' and options among {', '.join(self.defaults)}; got {', '.join(group)}"
            )
        params = group["params"]
        params = [params] if isinstance(params, Tensor) else [unnamed(p) for p in params]
        known = {id(p) for g in self.param_groups for p in g["params"]}
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(f"{name}: optimises tensors, got {type(p).__name__}")
            if not p.is_leaf or p.dtype.kind != "f" or not devices.writeable(p.array):
                raise ValueError(
                    f"{name}: optimises floating-point leaf tensors with memory of their own, got one of "
                    f"shape {list(p.shape)}, {p.dtype}, made by {type(p.op).__name__}"
                )
            if id(p) in known:
                raise ValueError(f"{name}: a parameter of shape {list(p.shape)} is given twice")
            known.add(id(p))
        options = self.defaults | dict(group) | {"params": params}
        self.check(options)
        self.param_groups.append(ParamGroup(options, self.layout))
        self.memory.append(GroupMemory(params))

    def check(self, options: dict[str, Any]) -> None:
        """Raise ValueError for an option outside its range."""
        for option in NOT_NEGATIVE:
            if option in options and not float(options[option]) >= 0:
                raise ValueError(f"{type(self).__name__}: {option} must not be negative, got {options[option]}")
        if "betas" in options and not (len(options["betas"]) == 2 and all(0 <= b < 1 for b in options["betas"])):
            raise ValueError(f"{type(self).__name__}: betas are two numbers in [0, 1), got {options['betas']}")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters.

        Args:
            set_to_none: whether they are dropped; if not, those that exist become zero.  Default: True.
        """
        for group in self.param_groups:
            for p in group["params"]:
                clear_gradient(p, set_to_none)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        Args:
            closure: computes loss and gradients first and returns the loss.  Default: None.

        Returns:
            What closure returned, else None.
        """
        for o in tape.observers:
            o.optimizer(self)
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group, memory in zip(self.param_groups, self.memory, strict=True):
            memory.sync()
            group.follow()
            k = memory.table()
            group.hyper = devices.move(group.hyper, memory.device)
            active = memory.begin(k)
            if active:
                self.update(k, group, memory, active)
            for slot in active:
                slot.parameter.version.value += 1
        return loss

    def descent(self, k: dispatch.Table, group: ParamGroup, slot: Slot) -> Array:
        """Return a slot's gradient, of the other sign where the group maximises; of weights with the slope of l1 |p|.

        "l1" is an option of a group that is set after it is made, see `penalise`.
        """
        g = slot.gradient(k)
        g = k.neg(g) if group["maximize"] else g
        if group.get("l1") and slot.parameter.ndim > 1:
            penalty = self.constant([group["l1"]], slot).reshape(())
            g = k.add(g, k.scale_gradient(k.sign_forward(slot.flat), penalty))
        return g

    def constant(self, values: list[float], slot: Slot) -> Array:
        """Return an array of numbers that stay, of a slot's dtype and where it lies."""
        place = devices.of(slot.flat)
        key = (*values, slot.dtype, place)
        if key not in self.constants:
            self.constants[key] = devices.move(np.array(values, slot.dtype), place)
        return self.constants[key]

    def penalise(self, l1: float) -> None:
        """Add l1 times the sum of all weights' sizes to what is minimised: the gradient of each gets l1 sign(p).

        Weights are parameters of two axes or more; biases and the scales of norms are not penalised.

        Args:
            l1: weight of the penalty, at least 0; 0 takes it away.

        Raises:
            ValueError: l1 is negative or not finite.

        Example:
            >>> from tinymed import nn, ones, optim, zeros
            >>> p = nn.Parameter(ones(1, 2))
            >>> optimizer = optim.SGD([p], lr=0.5)
            >>> optimizer.penalise(0.1)
            >>> (p * zeros(1, 2)).sum().backward()
            >>> optimizer.step()
            >>> print(f"{p.numpy()[0, 0]:.2f}")
            0.95

        Reference:
            Tibshirani, "Regression shrinkage and selection via the lasso", 1996; of networks, Kamnitsas et al. 2017.
        """
        if not 0 <= l1 < np.inf:
            raise ValueError(f"{type(self).__name__}: l1 is a finite number from 0 on, got {l1}")
        for group in self.param_groups:
            group["l1"] = float(l1)

    @abstractmethod
    def update(self, k: dispatch.Table, group: ParamGroup, memory: GroupMemory, active: list[Slot]) -> None:
        """Call the update kernels of one group for the slots that have a gradient."""

    # --------------------------------------------------------------------------------------------- state

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return the state as NumPy arrays by name, for one safetensors file.

        Returns:
            {name: array}: group.<i>.<option>, and state.<parameter>.<kind> in the parameter's shape.

        Example:
            >>> from tinymed import nn, ones, optim
            >>> optimizer = optim.SGD([nn.Parameter(ones(2))], lr=0.5)
            >>> float(optimizer.state_dict()["group.0.lr"])
            0.5
        """
        state: dict[str, np.ndarray] = {}
        for i, group in enumerate(self.param_groups):
            for name, value in group.items():
                if name != "params" and value is not None:
                    state[f"group.{i}.{name}"] = np.asarray(value)
        for j, (memory, slot) in enumerate(self.places()):
            state[f"state.{j}.step"] = devices.move(memory.steps[slot.index : slot.index + 1].copy(), "cpu")
            for name, flat in slot.buffers.items():
                state[f"state.{j}.{name}"] = np.array(devices.move(slot.shaped(flat), "cpu"), order="C")
            for name, numbers in memory.scalars.items():
                state[f"state.{j}.{name}"] = devices.move(numbers[slot.index : slot.index + 1].copy(), "cpu")
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned.

        Args:
            state: arrays by name, for the same groups and shapes.

        Raises:
            ValueError: says what does not fit.
        """
        name, places = type(self).__name__, self.places()
        counts = [
            1 + max((int(n.split(".")[1]) for n in state if n.startswith(kind)), default=-1)
            for kind in ("group.", "state.")
        ]
        if counts != [len(self.param_groups), len(places)]:
            raise ValueError(
                f"{name}: the state has {counts[0]} groups and {counts[1]} parameters, the optimizer "
                f"{len(self.param_groups)} and {len(places)}"
            )
        for key, value in state.items():
            kind, index, entry = key.split(".", 2)
            shape = places[int(index)][1].view.shape
            if kind == "state" and entry not in ("step", *self.scalars) and np.shape(value) != shape:
                raise ValueError(f"{name}: {key} has shape {list(np.shape(value))}, the parameter {list(shape)}")
        for key, value in state.items():
            kind, index, entry = key.split(".", 2)
            if kind == "group":
                self.param_groups[int(index)][entry] = plain(value)
                continue
            memory, slot = places[int(index)]
            if entry == "step":
                memory.steps[slot.index] = int(np.asarray(value).reshape(()))
            elif entry in self.scalars:
                memory.require_scalar(entry, 0.0)[slot.index] = float(np.asarray(value).reshape(()))
            else:
                memory.require(entry)
                slot.shaped(slot.buffers[entry])[...] = devices.move(np.asarray(value), memory.device)

    def places(self) -> list[tuple[GroupMemory, Slot]]:
        """Return every parameter's place, in order of the groups."""
        return [(memory, slot) for memory in self.memory for slot in memory.slots]

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            options = ", ".join(f"{n}={v}" for n, v in group.items() if n != "params")
            lines.append(f"  group {i}: {len(group['params'])} tensors, {options}")
        return f"{type(self).__name__}(\n" + "\n".join(lines) + "\n)"


NOT_NEGATIVE = (
    "lr",
    "eps",
    "weight_decay",
    "momentum",
    "alpha",
    "lr_decay",
    "initial_accumulator_value",
    "momentum_decay",
    "lambd",
)


def unnamed(parameter: Any) -> Any:
    """Return the tensor of an item of params, which may be (name, tensor) as named_parameters gives it."""
    pair = isinstance(parameter, tuple) and len(parameter) == 2 and isinstance(parameter[0], str)
    return parameter[1] if pair else parameter


def plain(value: Any) -> Any:
    """Return an option as Python values: a number, a truth value or a tuple."""
    listed = np.asarray(value).tolist()
    return tuple(listed) if isinstance(listed, list) else listed
