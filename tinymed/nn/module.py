"""Module: parameters, buffers and children by attribute name, hooks, and the call that names the layer."""

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, ClassVar

import numpy as np

from .. import tape
from ..memory import canonical_order, empty
from ..tape import Node
from ..tensor import Tensor
from .arguments import python_arguments
from .hooks import BackwardHooks, ModuleHandle
from .state import IncompatibleKeys, copy_state, match, refuse_misfit
from .switches import Switches


class Parameter(Tensor):
    """Mark a tensor as learned: assigned to an attribute of a module, it is found by `parameters()`.

    Args:
        data: a tensor, or an array; its memory is shared.  Default: None, an empty one.
        requires_grad: whether `backward` gives it a gradient.  Default: True.

    Raises:
        RuntimeError: requires_grad for data that is not floating-point.

    Example:
        >>> from tinymed import nn, ones
        >>> layer = nn.Module()
        >>> layer.scale = nn.Parameter(ones(3))
        >>> [name for name, _ in layer.named_parameters()]
        ['scale']

    As `torch.nn.Parameter`.
    """

    __slots__ = ()

    def __init__(self, data: Any = None, requires_grad: bool = True):
        given = np.empty(0, np.float32) if data is None else data
        version = given.version if isinstance(given, Node) else None
        a = given.array if isinstance(given, Node) else np.asarray(given)
        if requires_grad and a.dtype.kind != "f":
            raise RuntimeError(
                f"Parameter: only floating-point tensors have gradients, this one is {a.dtype}; "
                "requires_grad=False, or register_buffer"
            )
        super().__init__(a, requires_grad, version=version)
        self.version.exposed = self.version.exposed or (version is None and data is not None)

    @property
    def result_class(self) -> type[Node]:
        """Return Tensor: what is computed from a parameter is a tensor."""
        return Tensor

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


PACKAGE = __name__.rpartition(".")[0]  # whose layers take NumPy's numbers
weightless = False  # set by nn.init.no_weights(): parameters have a shape and no memory


def new_parameter(*shape: int, kind: str = "plain", dtype: Any = np.float32) -> Parameter:
    """Make an uninitialised parameter; kind="filter": a convolution weight, whose axes lie (*space, I, O) in memory."""
    if weightless:
        return Parameter(Tensor(np.broadcast_to(np.zeros((), dtype), shape)))
    return Parameter(Tensor(empty(shape, dtype, canonical_order(kind, len(shape)))))


class Module(Switches):
    """Hold parameters, buffers and modules by attribute name, and call `forward`.  Subclasses define `forward`.

    An attribute that is a Parameter, or a Module, is registered under its name; a tensor that is state but not learned
    is registered by `register_buffer`.  Calling the module runs the pre-hooks, `forward` and the hooks, and puts the
    module's path on `tape.thread.scope`, so that an error or the NaN locator can name the layer.

    Raises:
        AttributeError: a parameter or module is assigned before super().__init__() was called.
        TypeError: something else is assigned to the name of a parameter, module or buffer.

    Example:
        >>> from tinymed import nn, ones
        >>> class Twice(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.layer = nn.Linear(4, 4)
        ...
        ...     def forward(self, input):
        ...         return self.layer(self.layer(input))
        >>> model = Twice()
        >>> model(ones(2, 4)).shape
        (2, 4)
        >>> sorted(model.state_dict())
        ['layer.bias', 'layer.weight']

    As `torch.nn.Module`; patterns in `requires_grad_`, `freeze` and `unfreeze` are tinymed's own.
    """

    _structure: ClassVar[int] = 0  # counts registrations anywhere: when cached paths are stale
    _outermost: ClassVar[dict[int, str]] = {}  # of the outermost module being called
    _optional_state: ClassVar[Sequence[str]] = ()  # names that a state may lack: older files were written without them
    _makes_tensors: ClassVar[bool] = False  # whether device= and dtype= may be given: parameters, or buffers, are made
    training: bool

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith(PACKAGE) and "__init__" in cls.__dict__:
            cls.__init__ = python_arguments(cls.__init__)  # type: ignore[method-assign]

    def __init__(self) -> None:
        self.__dict__.update(
            training=True,
            _parameters={},
            _buffers={},
            _modules={},
            _transient=set(),
            _pre_hooks={},
            _hooks={},
            _backward_pre_hooks={},
            _backward_hooks={},
            _with_kwargs=set(),
            _paths=(-1, {}),
        )

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the module's output; a subclass defines it.

        Raises:
            NotImplementedError: the subclass does not.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    # ----------------------------------------------------------------------------------------- the call

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        scope = tape.thread.scope
        if not scope:
            Module._outermost = self._path_of_modules()
        scope.append(Module._outermost.get(id(self)) or type(self).__name__)
        for o in tape.observers if tape.entries else ():
            o.module(self)
        try:
            if self._pre_hooks:
                args, kwargs = self._run_pre_hooks(args, kwargs)
            watch = None
            if self._backward_hooks or self._backward_pre_hooks:
                watch = BackwardHooks(self, self._backward_pre_hooks.values(), self._backward_hooks.values())
                args = watch.enter(args)
            result = self.forward(*args, **kwargs)
            if self._hooks:
                result = self._run_hooks(args, kwargs, result)
            if watch is not None:
                result = watch.leave(result)
        except Exception as error:
            if not any(note.startswith("in layer ") for note in getattr(error, "__notes__", ())):
                error.add_note(f"in layer {scope[-1]} ({type(self).__name__})")
            raise
        finally:
            scope.pop()
        return result

    def _path_of_modules(self) -> dict[int, str]:
        """Return {id of a module below this one: its dotted name}; kept until some module registers another."""
        if self._paths[0] != Module._structure:
            names = {id(m): name for name, m in self.named_modules()}
            self.__dict__["_paths"] = Module._structure, names
        return self._paths[1]  # type: ignore[no-any-return]

    def _run_pre_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Call the hooks before forward; return the arguments they leave."""
        for key, hook in tuple(self._pre_hooks.items()):
            if key in self._with_kwargs:
                changed = hook(self, args, kwargs)
                if changed is not None:
                    args, kwargs = changed
                continue
            changed = hook(self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        return args, kwargs

    def _run_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> Any:
        """Call the hooks after forward; return the result they leave."""
        for key, hook in tuple(self._hooks.items()):
            given = (args, kwargs, result) if key in self._with_kwargs else (args, result)
            changed = hook(self, *given)
            result = result if changed is None else changed
        return result

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> ModuleHandle:
        """Call a hook before `forward`; what it returns, if anything, replaces the arguments.

        Args:
            hook: called as hook(module, args), or hook(module, args, kwargs), which returns both.
            prepend: whether it is called before the hooks that are there.  Default: False.
            with_kwargs: whether the hook takes keyword arguments.  Default: False.

        Returns:
            A handle, whose `remove` takes the hook off.

        Example:
            >>> from tinymed import nn, ones
            >>> layer = nn.Identity()
            >>> handle = layer.register_forward_pre_hook(lambda module, args: args[0] * 2)
            >>> layer(ones(2)).tolist()
            [2.0, 2.0]
            >>> handle.remove()
            >>> layer(ones(2)).tolist()
            [1.0, 1.0]
        """
        return ModuleHandle(self._pre_hooks, hook, prepend, self._with_kwargs if with_kwargs else None)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> ModuleHandle:
        """Call a hook after `forward`; what it returns, if anything, replaces the result.

        Args:
            hook: called as hook(module, args, result), or hook(module, args, kwargs, result).
            prepend: whether it is called before the hooks that are there.  Default: False.
            with_kwargs: whether the hook takes keyword arguments.  Default: False.
            always_call: False only.

        Returns:
            A handle, whose `remove` takes the hook off.

        Raises:
            ValueError: always_call=True, which asks for a call after an error.

        Example:
            >>> from tinymed import nn, ones
            >>> layer, shapes = nn.Linear(4, 3), []
            >>> handle = layer.register_forward_hook(lambda module, args, result: shapes.append(result.shape))
            >>> y = layer(ones(2, 4))
            >>> shapes
            [(2, 3)]
        """
        if always_call:
            raise ValueError(
                "register_forward_hook: always_call=True is not supported; a hook runs when forward returned"
            )
        return ModuleHandle(self._hooks, hook, prepend, self._with_kwargs if with_kwargs else None)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> ModuleHandle:
        """Call a hook when the gradients of the module's inputs are known; what it returns, if anything, replaces them.

        Args:
            hook: called as hook(module, grad_input, grad_output), tuples with None for what has no gradient.
            prepend: whether it is called before the hooks that are there.  Default: False.

        Returns:
            A handle, whose `remove` takes the hook off.
        """
        return ModuleHandle(self._backward_hooks, hook, prepend)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> ModuleHandle:
        """Call a hook before the module's backward; what it returns, if anything, replaces grad_output.

        Args:
            hook: called as hook(module, grad_output), a tuple with None for what has no gradient.
            prepend: whether it is called before the hooks that are there.  Default: False.

        Returns:
            A handle, whose `remove` takes the hook off.
        """
        return ModuleHandle(self._backward_pre_hooks, hook, prepend)

    # ------------------------------------------------------------------------------------- registration

    def __setattr__(self, name: str, value: Any) -> None:
        if "_modules" not in self.__dict__:
            if isinstance(value, Parameter | Module):
                raise AttributeError(f"{type(self).__name__}: call super().__init__() before setting {name!r}")
            object.__setattr__(self, name, value)
        elif isinstance(value, Parameter):
            self._claim(name, self._parameters)[name] = value
        elif isinstance(value, Module):
            self._claim(name, self._modules)[name] = value
        elif name in self._parameters or name in self._modules:
            if value is not None:
                raise TypeError(
                    f"{type(self).__name__}.{name} is a registered parameter or module; it takes one of "
                    f"the same kind or None, got {type(value).__name__}"
                )
            (self._parameters if name in self._parameters else self._modules)[name] = None
            Module._structure += 1
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
                self._transient.discard(name)
                Module._structure += 1
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        return [*object.__dir__(self), *self._parameters, *self._buffers, *self._modules]

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under a name.

        Args:
            name: not empty, without a dot.
            param: the parameter; None keeps the name (a layer without bias) and gives it no place in the state.

        Raises:
            TypeError: param is neither a Parameter nor None.
            KeyError: the name is empty, holds a dot, or is another attribute's.
        """
        if not (param is None or isinstance(param, Parameter)):
            raise TypeError(
                f"{type(self).__name__}: register_parameter takes a Parameter or None for {name!r}, got "
                f"{type(param).__name__}"
            )
        self._unused(name, self._parameters)[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is state but not learned.

        Args:
            name: not empty, without a dot.
            tensor: the buffer; None keeps the name.
            persistent: whether it is part of `state_dict`.  Default: True.

        Raises:
            TypeError: tensor is neither a tensor nor None.
            KeyError: the name is empty, holds a dot, or is another attribute's.

        Example:
            >>> from tinymed import nn, zeros
            >>> layer = nn.Module()
            >>> layer.register_buffer("mean", zeros(3))
            >>> list(layer.state_dict()), list(layer.parameters())
            (['mean'], [])
        """
        if not (tensor is None or isinstance(tensor, Tensor)):
            raise TypeError(
                f"{type(self).__name__}: register_buffer takes a tensor or None for {name!r}, got "
                f"{type(tensor).__name__}"
            )
        self._unused(name, self._buffers)[name] = tensor
        (self._transient.discard if persistent else self._transient.add)(name)

    def add_module(self, name: str, module: "Module | None") -> None:
        """Add a module under a name, as assigning it to an attribute does.

        Args:
            name: not empty, without a dot.
            module: the module; None keeps the name.

        Raises:
            TypeError: module is neither a module nor None.
            KeyError: the name is empty, holds a dot, or is another attribute's.
        """
        if not (module is None or isinstance(module, Module)):
            raise TypeError(f"{type(self).__name__}: {name!r} must be a module or None, got {type(module).__name__}")
        self._unused(name, self._modules)[name] = module

    register_module = add_module

    def _unused(self, name: str, place: dict[str, Any]) -> dict[str, Any]:
        """Check a name as `claim` does, and that no other attribute has it."""
        if isinstance(name, str) and name not in place and hasattr(self, name):
            raise KeyError(f"{type(self).__name__}: attribute {name!r} exists already; delete it first")
        return self._claim(name, place)

    def _claim(self, name: str, place: dict[str, Any]) -> dict[str, Any]:
        """Check that a name may be registered there, and free it elsewhere."""
        if not isinstance(name, str):
            raise TypeError(f"{type(self).__name__}: a name is a string, got {name!r}")
        if not name or "." in name:
            raise KeyError(
                f"{type(self).__name__}: {name!r} is no name for a parameter, buffer or module: "
                "it must not be empty or hold a dot"
            )
        self.__dict__.pop(name, None)
        for other in (self._parameters, self._buffers, self._modules):
            if other is not place:
                other.pop(name, None)
        Module._structure += 1
        return place

    # -------------------------------------------------------------------------------------------- state

    def state_dict(
        self, *, destination: dict[str, Tensor] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Tensor]:
        """Return parameters and persistent buffers by dotted name; the tensors share the module's memory.

        Args:
            destination: a dictionary to add to.  Default: None, a new one.
            prefix: what names begin with.  Default: "".
            keep_vars: whether the parameters themselves are returned, on the tape, instead of detached tensors.
                Default: False.

        Returns:
            {dotted name: tensor}, parameters before buffers before children.

        Example:
            >>> from tinymed import nn
            >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
            >>> {name: tensor.shape for name, tensor in model.state_dict().items()}
            {'0.weight': (3, 4), '0.bias': (3,)}
        """
        state: dict[str, Tensor] = {} if destination is None else destination
        self._collect_state(state, prefix, keep_vars)
        return state

    def _collect_state(self, state: dict[str, Tensor], prefix: str, keep_vars: bool = False) -> None:
        """Add this module's part of the state, parameters before buffers before children."""
        for name, p in self._parameters.items():
            if p is not None:
                state[prefix + name] = p if keep_vars else p.detach()
        for name, b in self._buffers.items():
            if b is not None and name not in self._transient:
                state[prefix + name] = b if keep_vars else b.detach()
        for name, child in self._modules.items():
            if child is not None:
                child._collect_state(state, f"{prefix}{name}.", keep_vars)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Copy values by name into the parameters and buffers where they lie, keeping their memory order and dtype.

        Args:
            state_dict: tensors or arrays by dotted name.
            strict: whether every name must be there and no other; if not, what is missing or unexpected is returned.
                Default: True.
            assign: False only: parameters stay where they lie.

        Returns:
            (missing_keys, unexpected_keys), with what was loaded as `.loaded`.

        Raises:
            StateMismatch: lists what does not fit, and nothing is copied; a tensor of another shape never fits
                (`nn.load_matching` leaves it out).
            ValueError: assign=True.

        Example:
            >>> from tinymed import nn
            >>> model, other = nn.Linear(4, 3), nn.Linear(4, 3)
            >>> model.load_state_dict(other.state_dict())
            <All keys matched successfully>
        """
        if assign:
            raise ValueError(
                "load_state_dict: assign=True is not supported: values are copied to where the parameters lie"
            )
        own = self.state_dict()
        result = match(own, state_dict, self._names_optional())
        refuse_misfit(type(self).__name__, result, strict)
        copy_state(self, own, state_dict, result.loaded)
        return IncompatibleKeys(result)

    def _names_optional(self) -> set[str]:
        """Return the dotted names that a state may lack."""
        return {
            f"{path}.{name}" if path else name
            for path, module in self.named_modules(remove_duplicate=False)
            for name in module._optional_state
        }

    def _loaded(self, names: Set[str]) -> None:
        """Take note of a load, with those of the module's own names that were copied; does nothing by default."""

    # ------------------------------------------------------------------------------------------ printing

    def extra_repr(self) -> str:
        """Return what __repr__ shows between the parentheses; a subclass may define it."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({n}): {m!r}".replace("\n", "\n  ") for n, m in self._modules.items()]
        extra = self.extra_repr()
        if not lines:
            return f"{type(self).__name__}({extra})"
        return f"{type(self).__name__}({extra}\n  " + "\n  ".join(lines) + "\n)"

    def _get_name(self) -> str:
        return type(self).__name__
