"""Hooks of modules: the handle that takes one off, and the op that lets a module see the gradients that pass it."""

from collections.abc import Callable, Sequence
from typing import Any

from ..handle import Handle
from ..tape import Node, Op

Told = Callable[[tuple[Any, ...]], tuple[Any, ...]]


class ModuleHandle(Handle):
    """Hold a hook that may be called before those that are there, and with keyword arguments.

    Args:
        hooks: the dictionary that the hook is added to.
        hook: the function.
        prepend: whether it is called before those that are there.  Default: False.
        marked: takes the numbers of hooks that want keyword arguments.  Default: None.
    """

    def __init__(
        self, hooks: dict[int, Any], hook: Callable[..., Any], prepend: bool = False, marked: set[int] | None = None
    ):
        super().__init__(hooks, hook)
        self.marked = marked
        if prepend:
            rest = [(key, hooks.pop(key)) for key in list(hooks) if key != self.key]
            hooks.update(rest)
        if marked is not None:
            marked.add(self.key)

    def remove(self) -> None:
        """Take the hook off; a second call does nothing."""
        super().remove()
        if self.marked is not None:
            self.marked.discard(self.key)


class GradientGate(Op):
    """Pass values on, y_i = x_i in the same memory;  dx_i = dy_i, or what `told` makes of all of them together."""

    told: Told | None = None

    def forward(self, *xs: Any) -> Any:
        return xs

    def backward(self, *dys: Any) -> Any:
        return dys if self.told is None else self.told(dys)

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return tuple(draw.array(draw.shape()) for _ in range(draw.integer(1, 3)))

    @staticmethod
    def oracle(torch: Any, *xs: Any) -> Any:
        return tuple(x.clone() for x in xs)


def pass_gate(values: Sequence[Any], told: Told | None = None) -> tuple[tuple[Any, ...], GradientGate | None]:
    """Lead the tensors that require a gradient through one gate; return all values and the gate, None without one.

    told: takes the gradients of all values, None for what is not such a tensor, and returns those to go on with.
    """
    places = [i for i, v in enumerate(values) if isinstance(v, Node) and v.requires_grad]
    if not places:
        return tuple(values), None
    given = [values[i] for i in places]
    passed = GradientGate.apply(*given)
    gate = passed[0].op
    if gate is None:  # under no_grad
        return tuple(values), None
    for before, after in zip(given, passed, strict=True):
        after.version, after.seen, after.made = before.version, before.seen, False
        before.version.viewed = True
    if told is not None:
        gate.told = lambda dys: told_of(dys, places, len(values), given[0].result_class, told)
    result = list(values)
    for i, after in zip(places, passed, strict=True):
        result[i] = after
    return tuple(result), gate


def told_of(dys: Sequence[Any], places: Sequence[int], count: int, tensor: type[Node], told: Told) -> tuple[Any, ...]:
    """Lead arrays of gradients through a function of tensors, one for each value."""
    shown: list[Any] = [None] * count
    for i, dy in zip(places, dys, strict=True):
        shown[i] = tensor(dy)
    changed = told(tuple(shown))
    return tuple(changed[i].array for i in places)


class BackwardHooks:
    """Hold one call of a module with backward hooks: its gates, and what they were told."""

    def __init__(self, module: Any, before: Sequence[Any], after: Sequence[Any]):
        self.module, self.before, self.after = module, list(before), list(after)
        self.outputs: tuple[Any, ...] = ()
        self.inputs, self.gated = 0, False

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Lead the arguments through a gate that shows grad_input to the hooks."""
        self.inputs = len(args)
        passed, gate = pass_gate(args, self.inward)
        self.gated = gate is not None
        return passed

    def leave(self, result: Any) -> Any:
        """Lead the result through a gate that knows grad_output."""
        many = isinstance(result, tuple | list)
        passed, _ = pass_gate(result if many else (result,), self.outward)
        return type(result)(passed) if many else passed[0]

    def outward(self, gradients: tuple[Any, ...]) -> tuple[Any, ...]:
        """Show grad_output, which is known now, to the pre-hooks; they may replace it."""
        for hook in self.before:
            gradients = replaced("register_full_backward_pre_hook", gradients, hook(self.module, gradients))
        self.outputs = gradients
        if not self.gated:
            for hook in self.after:
                hook(self.module, (None,) * self.inputs, gradients)
        return gradients

    def inward(self, gradients: tuple[Any, ...]) -> tuple[Any, ...]:
        """Show grad_input, which is known now, to the hooks; they may replace it."""
        for hook in self.after:
            changed = hook(self.module, gradients, self.outputs)
            gradients = replaced("register_full_backward_hook", gradients, changed)
        return gradients


def replaced(name: str, gradients: tuple[Any, ...], changed: Any) -> tuple[Any, ...]:
    """Return what a hook returned in place of the gradients, or they themselves."""
    if changed is None:
        return gradients
    given = changed if isinstance(changed, tuple | list) else (changed,)
    if len(given) != len(gradients) or any((g is None) != (c is None) for g, c in zip(gradients, given, strict=False)):
        raise RuntimeError(
            f"{name}: the hook returned {len(given)} gradients, the module has {len(gradients)}; return one tensor "
            "for each that is not None, or None to change nothing"
        )
    return tuple(given)
