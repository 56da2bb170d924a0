"""Module: parameters, buffers and children by attribute name, hooks, and the call that names the layer."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Self

import numpy as np

from .. import device as devices
from .. import tape
from ..memory import canonical_order, empty
from ..tape import Node
from ..tensor import Tensor
from .state import LoadResult, copy_into, describe_failure, match, matches


class Parameter(Tensor):
    """A tensor that a module learns: assigned to an attribute of a module, it is found by `parameters()`."""

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True):
        super().__init__(data.array if isinstance(data, Node) else np.asarray(data), requires_grad)

    @property
    def result_class(self) -> type[Node]:
        """What is computed from a parameter is a tensor."""
        return Tensor

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


weightless = False  # set by nn.init.no_weights(): parameters have a shape and no memory


def new_parameter(*shape: int, kind: str = "plain", dtype: Any = np.float32) -> Parameter:
    """An uninitialised parameter.  kind="filter": a convolution weight, whose axes lie (*space, I, O) in memory."""
    if weightless:
        return Parameter(np.broadcast_to(np.zeros((), dtype), shape))
    return Parameter(empty(shape, dtype, canonical_order(kind, len(shape))))


class Handle:
    """Removes the hook it was returned for."""

    def __init__(self, hooks: dict[int, Any], hook: Any):
        self.hooks, self.key = hooks, max(hooks, default=-1) + 1
        hooks[self.key] = hook

    def remove(self) -> None:
        """Take the hook off; a second call does nothing."""
        self.hooks.pop(self.key, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class Module:
    """A function with parameters, made of modules.  Subclasses define `forward`; names and behaviour are PyTorch's.

    An attribute that is a Parameter, or a Module, is registered under its name; a tensor that is state but not learned
    is registered by `register_buffer`.  Calling the module runs the pre-hooks, `forward` and the hooks, and puts the
    module's path on `tape.thread.scope`, so that an error or the NaN locator can name the layer.
    """

    structure: ClassVar[int] = 0  # counts registrations anywhere: when cached paths are stale
    paths: ClassVar[dict[int, str]] = {}  # of the outermost module being called
    training: bool

    def __init__(self) -> None:
        self.__dict__.update(
            training=True,
            _parameters={},
            _buffers={},
            _modules={},
            _transient=set(),
            _pre_hooks={},
            _hooks={},
            _paths=(-1, {}),
        )

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    # ----------------------------------------------------------------------------------------- the call

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        scope = tape.thread.scope
        if not scope:
            Module.paths = self.path_of_modules()
        scope.append(Module.paths.get(id(self)) or type(self).__name__)
        for o in tape.observers:
            o.module(self)
        try:
            for hook in tuple(self._pre_hooks.values()):
                changed = hook(self, args)
                if changed is not None:
                    args = changed if isinstance(changed, tuple) else (changed,)
            result = self.forward(*args, **kwargs)
            for hook in tuple(self._hooks.values()):
                changed = hook(self, args, result)
                result = result if changed is None else changed
        except Exception as error:
            if not any(note.startswith("in layer ") for note in getattr(error, "__notes__", ())):
                error.add_note(f"in layer {scope[-1]} ({type(self).__name__})")
            raise
        finally:
            scope.pop()
        return result

    def path_of_modules(self) -> dict[int, str]:
        """{id of a module below this one: its dotted name}; kept until some module registers another."""
        if self._paths[0] != Module.structure:
            names = {id(m): name for name, m in self.named_modules()}
            self.__dict__["_paths"] = Module.structure, names
        return self._paths[1]  # type: ignore[no-any-return]

    def register_forward_pre_hook(self, hook: Callable[["Module", Any], Any]) -> Handle:
        """Call hook(module, args) before forward; what it returns, if anything, replaces the arguments."""
        return Handle(self._pre_hooks, hook)

    def register_forward_hook(self, hook: Callable[["Module", Any, Any], Any]) -> Handle:
        """Call hook(module, args, result) after forward; what it returns, if anything, replaces the result."""
        return Handle(self._hooks, hook)

    # ------------------------------------------------------------------------------------- registration

    def __setattr__(self, name: str, value: Any) -> None:
        if "_modules" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__}: call super().__init__() before setting {name!r}")
        if isinstance(value, Parameter):
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            self.register_module(name, value)
        elif name in self._parameters or name in self._modules:
            if value is not None:
                raise TypeError(
                    f"{type(self).__name__}.{name} is a registered parameter or module; it takes one of "
                    f"the same kind or None, got {type(value).__name__}"
                )
            (self._parameters if name in self._parameters else self._modules)[name] = None
            Module.structure += 1
        elif name in self._buffers:
            if not (value is None or isinstance(value, Tensor)):
                raise TypeError(
                    f"{type(self).__name__}.{name} is a buffer; it takes a tensor or None, got {type(value).__name__}"
                )
            self._buffers[name] = value
        else:
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        for place in ("_parameters", "_buffers", "_modules"):
            found = self.__dict__.get(place, ())
            if name in found:
                return found[name]
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        for place in (self._parameters, self._buffers, self._modules):
            if name in place:
                del place[name]
                Module.structure += 1
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        return [*object.__dir__(self), *self._parameters, *self._buffers, *self._modules]

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """Add a parameter; None keeps the name (a layer without bias) and gives it no place in the state."""
        self.claim(name, self._parameters)[name] = parameter

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is state but not learned; persistent ones are part of `state_dict`."""
        self.claim(name, self._buffers)[name] = tensor
        (self._transient.discard if persistent else self._transient.add)(name)

    def register_module(self, name: str, module: "Module | None") -> None:
        """Add a child under a name, as assigning it to an attribute does."""
        self.claim(name, self._modules)[name] = module

    def claim(self, name: str, place: dict[str, Any]) -> dict[str, Any]:
        """Check that a name may be registered there, and free it elsewhere."""
        if not name or "." in name:
            raise ValueError(
                f"{type(self).__name__}: {name!r} is no name for a parameter, buffer or module: "
                "it must not be empty or hold a dot"
            )
        self.__dict__.pop(name, None)
        for other in (self._parameters, self._buffers, self._modules):
            if other is not place:
                other.pop(name, None)
        Module.structure += 1
        return place

    # -------------------------------------------------------------------------------------------- walks

    def named_modules(self, prefix: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, "Module"]]:
        """(dotted name, module) of this module (named prefix) and all below it, each once, parents first."""
        seen = set() if seen is None else seen
        if id(self) in seen:
            return
        seen.add(id(self))
        yield prefix, self
        for name, child in self._modules.items():
            if child is not None:
                yield from child.named_modules(f"{prefix}.{name}" if prefix else name, seen)

    def modules(self) -> Iterator["Module"]:
        """This module and all below it."""
        return (m for _, m in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """(name, module) of the modules directly below."""
        return ((n, m) for n, m in self._modules.items() if m is not None)

    def children(self) -> Iterator["Module"]:
        """The modules directly below."""
        return (m for _, m in self.named_children())

    def named_members(self, place: str, prefix: str, recurse: bool, unique: bool = True) -> Iterator[tuple[str, Any]]:
        """(dotted name, tensor) of what modules hold in one of their dictionaries."""
        seen: set[int] = set()
        for path, module in self.named_modules(prefix) if recurse else [(prefix, self)]:
            for name, value in getattr(module, place).items():
                if value is not None and not (unique and id(value) in seen):
                    seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def named_parameters(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Parameter]]:
        """(dotted name, parameter), each parameter once."""
        return self.named_members("_parameters", prefix, recurse)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, each once."""
        return (p for _, p in self.named_parameters("", recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """(dotted name, buffer), each buffer once."""
        return self.named_members("_buffers", prefix, recurse)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, each once."""
        return (b for _, b in self.named_buffers("", recurse))

    def get_submodule(self, path: str) -> "Module":
        """The module of a dotted name; "" is this one."""
        module = self
        for name in path.split(".") if path else ():
            if name not in module._modules or module._modules[name] is None:
                raise ValueError(
                    f"{type(self).__name__} has no module {path!r}: {type(module).__name__} holds "
                    f"{', '.join(module._modules) or 'none'}"
                )
            module = module._modules[name]
        return module

    # -------------------------------------------------------------------------------------------- state

    def state_dict(self) -> dict[str, Tensor]:
        """{dotted name: tensor} of parameters and persistent buffers; the tensors share the module's memory."""
        state: dict[str, Tensor] = {}
        self.collect_state(state, "")
        return state

    def collect_state(self, state: dict[str, Tensor], prefix: str) -> None:
        """Add this module's part of the state, parameters before buffers before children."""
        for name, p in self._parameters.items():
            if p is not None:
                state[prefix + name] = p.detach()
        for name, b in self._buffers.items():
            if b is not None and name not in self._transient:
                state[prefix + name] = b.detach()
        for name, child in self._modules.items():
            if child is not None:
                child.collect_state(state, f"{prefix}{name}.")

    def load_state_dict(self, state: dict[str, Any], strict: bool = True) -> LoadResult:
        """Copy values by name into the parameters and buffers where they lie, keeping their memory order and dtype.

        state: tensors or arrays.  strict: every name must be there with its shape and no other, else ValueError lists
        what is missing, unexpected and of another shape, and nothing is copied.  Not strict: what fits is copied.
        Returns LoadResult(loaded, missing, unexpected, mismatched).
        """
        own = self.state_dict()
        result = match(own, state)
        if strict and (result.missing or result.unexpected or result.mismatched):
            raise ValueError(describe_failure(type(self).__name__, result))
        for name in result.loaded:
            copy_into(own[name], state[name])
        return result

    # ------------------------------------------------------------------------------------------ switches

    def train(self, mode: bool = True) -> Self:
        """Training mode: dropout drops, batch norm uses the batch's statistics."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Evaluation mode."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True, pattern: str = "*") -> Self:
        """Switch gradients of the parameters whose dotted name matches a glob pattern, or lies below a match.

        Raises ValueError if none does: a mistyped pattern would otherwise train what should be frozen.
        """
        chosen = [p for n, p in self.named_members("_parameters", "", True, unique=False) if matches(n, pattern)]
        if not chosen and pattern != "*":
            tops = sorted({n.split(".")[0] for n, _ in self.named_parameters()})
            raise ValueError(
                f"{type(self).__name__}: no parameter matches {pattern!r}; names begin with {', '.join(tops)}"
            )
        for p in chosen:
            p.requires_grad_(requires_grad)
        return self

    def freeze(self, pattern: str = "*", statistics: bool = False) -> Self:
        """Stop learning the parameters that match, e.g. freeze("features.*").

        statistics: batch norm there uses its running statistics, and leaves them, in training mode too.
        """
        if statistics:
            self.freeze_statistics(True, pattern)
        return self.requires_grad_(False, pattern)

    def unfreeze(self, pattern: str = "*") -> Self:
        """Learn the parameters that match; batch norm there uses the batch's statistics in training again."""
        self.freeze_statistics(False, pattern)
        return self.requires_grad_(True, pattern)

    def freeze_statistics(self, frozen: bool, pattern: str) -> None:
        """Hold, or free, the running statistics of the batch norms whose dotted name matches."""
        for name, module in self.named_modules():
            if hasattr(module, "frozen") and matches(name, pattern):
                module.frozen = frozen

    def zero_grad(self) -> None:
        """Drop the gradients of all parameters."""
        for p in self.parameters():
            p.grad = None

    def apply(self, fn: Callable[["Module"], Any]) -> Self:
        """Call fn on every module, children first."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def to(self, target: Any) -> Self:
        """Bring floating-point parameters and buffers to another dtype, or all to a device, "cpu" or "cuda"."""
        if isinstance(target, str) and target.split(":")[0] in devices.NAMES:
            place = devices.checked("to", target)
            for t in (*self.parameters(), *self.buffers()):
                t.array = devices.move(t.array, place)
                t.grad = None if t.grad is None else Tensor(devices.move(t.grad.array, place))
            return self
        dtype = np.dtype(target)
        if dtype.kind != "f":
            raise ValueError(f"to: a module takes a floating-point dtype, got {dtype}")
        for t in (*self.parameters(), *self.buffers()):
            if t.dtype.kind == "f" and t.dtype != dtype:
                t.array = t.array.astype(dtype, order="K")
                t.grad = None if t.grad is None else Tensor(t.grad.array.astype(dtype, order="K"))
        return self

    def cpu(self) -> Self:
        """Parameters and buffers on the CPU."""
        return self.to("cpu")

    def cuda(self) -> Self:
        """Parameters and buffers on the GPU."""
        return self.to("cuda")

    def float(self) -> Self:
        """float32 parameters."""
        return self.to(np.float32)

    def double(self) -> Self:
        """float64 parameters."""
        return self.to(np.float64)

    # ------------------------------------------------------------------------------------------ printing

    def extra_repr(self) -> str:
        """What __repr__ shows between the parentheses."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({n}): {m!r}".replace("\n", "\n  ") for n, m in self._modules.items()]
        extra = self.extra_repr()
        if not lines:
            return f"{type(self).__name__}({extra})"
        return f"{type(self).__name__}({extra}\n  " + "\n  ".join(lines) + "\n)"
