"""Modules that hold modules, or parameters."""

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from ..tensor import Tensor
from .module import Module, Parameter


class Listed(Module):
    """Modules in order, under their numbers or names: what Sequential and ModuleList share."""

    def __init__(self, *modules: Any):
        super().__init__()

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        self.add_module(str(len(self)), checked(module, self))
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end."""
        if not isinstance(modules, Iterable):
            raise TypeError(f"{type(self).__name__}: extend takes several modules, got {type(modules).__name__}")
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Add a module before the one at index; those after it are numbered anew."""
        modules = list(self)
        modules.insert(index, checked(module, self))
        self.renumber(modules)
        return self

    def pop(self, key: Any = -1) -> Module:
        """Take a module out and return it."""
        module: Module = self[key]
        del self[key]
        return module

    def renumber(self, modules: Iterable[Module]) -> None:
        """Hold these modules, numbered from 0."""
        kept = list(modules)
        self._modules.clear()
        Module._structure += 1
        self.extend(kept)

    def name_of(self, index: Any) -> str:
        """The name of the module at an index; IndexError if there is none."""
        at, n = operator.index(index), len(self)
        if not -n <= at < n:
            raise IndexError(f"{type(self).__name__}: index {at} is out of range; it holds {n} modules")
        return list(self._modules)[at]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self.sliced(index)
        return self._modules[self.name_of(index)]

    def sliced(self, index: slice) -> Any:
        """A container of some of the modules."""
        return type(self)(list(self._modules.values())[index])

    def __setitem__(self, index: Any, module: Module) -> None:
        setattr(self, self.name_of(index), checked(module, self))

    def __delitem__(self, index: Any) -> None:
        names = list(self._modules)
        chosen = names[index] if isinstance(index, slice) else [self.name_of(index)]
        self.renumber([self._modules[n] for n in names if n not in chosen])

    def __iadd__(self, modules: Iterable[Module]) -> Self:
        return self.extend(modules)

    def __add__(self, modules: Iterable[Module]) -> Any:
        return type(self)([*self, *modules])

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())


class Sequential(Listed):
    """Modules called one after the other.  Takes modules, or one dict of named modules."""

    def __init__(self, *modules: Any):
        super().__init__()
        named = modules[0].items() if len(modules) == 1 and isinstance(modules[0], dict) else enumerate(modules)
        for name, module in named:
            self.add_module(str(name), checked(module, self))

    def forward(self, input: Any) -> Any:
        for module in self._modules.values():
            input = module(input)
        return input

    def sliced(self, index: slice) -> Any:
        return type(self)(dict(list(self._modules.items())[index]))

    def __delitem__(self, index: Any) -> None:
        """Take modules out; the others keep their names unless these are numbers."""
        names = list(self._modules)
        for name in names[index] if isinstance(index, slice) else [self.name_of(index)]:
            delattr(self, name)
        numbered = all(n.isdigit() for n in names)
        if numbered:
            self.renumber(list(self))

    def __add__(self, modules: Iterable[Module]) -> Any:
        return type(self)(*self, *modules)

    def __mul__(self, times: int) -> Any:
        return type(self)(*list(self) * operator.index(times))


class ModuleList(Listed):
    """A list of modules, without a forward of its own."""

    def __init__(self, modules: Iterable[Module] | None = None):
        super().__init__()
        self.extend(() if modules is None else modules)


class ModuleDict(Module):
    """A dictionary of modules, without a forward of its own."""

    def __init__(self, modules: Any = None):
        super().__init__()
        self.update({} if modules is None else modules)

    def update(self, modules: Any) -> None:
        """Add or replace modules by name, from a mapping or pairs."""
        for name, module in modules.items() if isinstance(modules, Mapping | ModuleDict) else modules:
            self[name] = module

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._modules.keys()

    def values(self) -> Iterable[Module]:
        """The modules."""
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Module]]:
        """(name, module)."""
        return self._modules.items()

    def pop(self, key: str) -> Module:
        """Take a module out and return it."""
        module: Module = self._modules[key]
        delattr(self, key)
        return module

    def clear(self) -> None:
        """Take all modules out."""
        for name in list(self._modules):
            delattr(self, name)

    def __getitem__(self, name: str) -> Module:
        return self._modules[name]  # type: ignore[no-any-return]

    def __setitem__(self, name: str, module: Module) -> None:
        self.add_module(name, checked(module, self))

    def __delitem__(self, name: str) -> None:
        self.pop(name)

    def __contains__(self, name: str) -> bool:
        return name in self._modules

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)


class ParameterList(Module):
    """A list of parameters; tensors given become parameters."""

    def __init__(self, values: Iterable[Any] | None = None):
        super().__init__()
        self.extend(() if values is None else values)

    def append(self, value: Any) -> Self:
        """Add a parameter at the end."""
        self.register_parameter(str(len(self)), as_parameter(value, self))
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Add parameters at the end."""
        if isinstance(values, Tensor) or not isinstance(values, Iterable):
            raise TypeError(f"ParameterList: takes several tensors, got {type(values).__name__}")
        for value in list(values):
            self.append(value)
        return self

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        at, n = operator.index(index), len(self)
        if not -n <= at < n:
            raise IndexError(f"ParameterList: index {at} is out of range; it holds {n} parameters")
        return self._parameters[str(at % n)]

    def __setitem__(self, index: Any, value: Any) -> None:
        at = list(range(len(self)))[operator.index(index)]
        setattr(self, str(at), as_parameter(value, self))

    def __iadd__(self, values: Iterable[Any]) -> Self:
        return self.extend(values)

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._parameters.values())

    def extra_repr(self) -> str:
        return described(self._parameters)


class ParameterDict(Module):
    """A dictionary of parameters; tensors given become parameters."""

    def __init__(self, parameters: Any = None):
        super().__init__()
        self.update({} if parameters is None else parameters)

    def update(self, parameters: Any) -> None:
        """Add or replace parameters by name, from a mapping or pairs."""
        mapping = isinstance(parameters, Mapping | ParameterDict)
        for name, value in parameters.items() if mapping else parameters:
            self[name] = value

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._parameters.keys()  # type: ignore[no-any-return]

    def values(self) -> Iterable[Parameter]:
        """The parameters."""
        return [self[n] for n in self]

    def items(self) -> Iterable[tuple[str, Parameter]]:
        """(name, parameter)."""
        return [(n, self[n]) for n in self]

    def get(self, key: str, default: Any = None) -> Any:
        """The parameter of a name, or a default."""
        return self._parameters.get(key, default)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The parameter of a name, which becomes the default where there is none."""
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: str) -> Any:
        """Take a parameter out and return it."""
        value = self._parameters[key]
        delattr(self, key)
        return value

    def clear(self) -> None:
        """Take all parameters out."""
        for name in list(self._parameters):
            delattr(self, name)

    def __getitem__(self, name: str) -> Any:
        return self._parameters[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.register_parameter(name, as_parameter(value, self))

    def __delitem__(self, name: str) -> None:
        self.pop(name)

    def __contains__(self, name: str) -> bool:
        return name in self._parameters

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def extra_repr(self) -> str:
        return described(self._parameters)


def checked(module: Any, owner: Module) -> Module:
    """A container takes modules only."""
    if not isinstance(module, Module):
        raise TypeError(f"{type(owner).__name__} takes modules, got {type(module).__name__}")
    return module


def as_parameter(value: Any, owner: Module) -> Parameter | None:
    """A tensor as a parameter on its memory."""
    if value is None or isinstance(value, Parameter):
        return value
    if not isinstance(value, Tensor):
        raise TypeError(f"{type(owner).__name__} takes tensors and parameters, got {type(value).__name__}")
    return Parameter(value)


def described(parameters: Mapping[str, Any]) -> str:
    """Each parameter's name, dtype and shape, for __repr__."""
    return ", ".join(f"{n}: {p.dtype} {list(p.shape)}" for n, p in parameters.items() if p is not None)
