"""Modules that hold modules."""

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from ..annotations import Tensor
from .module import Module


class Listed(Module):
    """Hold modules in order, under their numbers or names: what Sequential and ModuleList share."""

    def __init__(self, *modules: Any):
        super().__init__()

    def append(self, module: Module) -> Self:
        """Add a module at the end.

        Args:
            module: the module.

        Returns:
            The container.

        Raises:
            TypeError: it is not a module.
        """
        self.add_module(str(len(self)), checked(module, self))
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end.

        Args:
            modules: several modules.

        Returns:
            The container.

        Raises:
            TypeError: they are not several modules.
        """
        if not isinstance(modules, Iterable):
            raise TypeError(f"{type(self).__name__}: extend takes several modules, got {type(modules).__name__}")
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Add a module before the one at an index; those after it are numbered anew.

        Args:
            index: from 0, or from the end if negative.
            module: the module.

        Returns:
            The container.

        Raises:
            TypeError: it is not a module.
        """
        modules = list(self)
        modules.insert(index, checked(module, self))
        self.renumber(modules)
        return self

    def pop(self, key: Any = -1) -> Module:
        """Take a module out and return it.

        Args:
            key: its index.  Default: -1, the last.

        Returns:
            The module.

        Raises:
            IndexError: there is none.
        """
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
        """Return the name of the module at an index; raise IndexError if there is none."""
        at, n = operator.index(index), len(self)
        if not -n <= at < n:
            raise IndexError(f"{type(self).__name__}: index {at} is out of range; it holds {n} modules")
        return list(self._modules)[at]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self.sliced(index)
        return self._modules[self.name_of(index)]

    def sliced(self, index: slice) -> Any:
        """Return a container of some of the modules."""
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
    """Call modules one after the other, each with the output of the one before.

    Args:
        modules: modules, which are named by their numbers, or one dict of named modules.

    Shape:
        Input as of the first module; output as of the last.

    Raises:
        TypeError: something else than a module is given.

    Example:
        >>> from tinymed import nn, ones
        >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten())
        >>> model(ones(2, 1, 5, 5)).shape
        (2, 36)
        >>> model[:2]
        Sequential(
          (0): Conv2d(1, 4, kernel_size=(3, 3), stride=(1, 1))
          (1): ReLU()
        )

    As `torch.nn.Sequential`.
    """

    def __init__(self, *modules: Any):
        super().__init__()
        named = modules[0].items() if len(modules) == 1 and isinstance(modules[0], dict) else enumerate(modules)
        for name, module in named:
            self.add_module(str(name), checked(module, self))

    def forward(self, input: Tensor) -> Tensor:
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
    """Hold a list of modules, without a forward of its own.

    Args:
        modules: several modules.  Default: None, an empty list.

    Raises:
        TypeError: something else than modules is given.

    Example:
        >>> from tinymed import nn
        >>> layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
        >>> len(layers), len(list(layers.parameters()))
        (3, 6)

    As `torch.nn.ModuleList`.
    """

    def __init__(self, modules: Iterable[Module] | None = None):
        super().__init__()
        self.extend(() if modules is None else modules)


class ModuleDict(Module):
    """Hold a dictionary of modules, without a forward of its own.

    Args:
        modules: a mapping, or pairs, of names and modules.  Default: None, an empty dictionary.

    Raises:
        TypeError: something else than modules is given.
        KeyError: a name that is empty, holds a dot, or is an attribute's.

    Example:
        >>> from tinymed import nn, tensor
        >>> heads = nn.ModuleDict({"relu": nn.ReLU(), "tanh": nn.Tanh()})
        >>> heads["relu"](tensor([-1.0, 1.0])).tolist()
        [0.0, 1.0]

    As `torch.nn.ModuleDict`.
    """

    def __init__(self, modules: Any = None):
        super().__init__()
        self.update({} if modules is None else modules)

    def update(self, modules: Any) -> None:
        """Add or replace modules by name.

        Args:
            modules: a mapping, or pairs, of names and modules.

        Raises:
            TypeError: something else than modules is given.
        """
        for name, module in modules.items() if isinstance(modules, Mapping | ModuleDict) else modules:
            self[name] = module

    def keys(self) -> Iterable[str]:
        """Return the names."""
        return self._modules.keys()

    def values(self) -> Iterable[Module]:
        """Return the modules."""
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Module]]:
        """Return pairs (name, module)."""
        return self._modules.items()

    def pop(self, key: str) -> Module:
        """Take a module out and return it.

        Args:
            key: its name.

        Returns:
            The module.

        Raises:
            KeyError: no module has that name.
        """
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


def checked(module: Any, owner: Module) -> Module:
    """Return a module; raise TypeError for anything else."""
    if not isinstance(module, Module):
        raise TypeError(f"{type(owner).__name__} takes modules, got {type(module).__name__}")
    return module
