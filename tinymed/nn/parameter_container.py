"""Modules that hold parameters in order or by name."""

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from ..tensor import Tensor
from .module import Module, Parameter


class ParameterList(Module):
    """Hold a list of parameters; tensors given become parameters on their memory.

    Args:
        values: several tensors.  Default: None, an empty list.

    Raises:
        TypeError: something else than tensors is given.

    Example:
        >>> from tinymed import nn, ones
        >>> weights = nn.ParameterList([ones(2), ones(3)])
        >>> [p.shape for p in weights]
        [(2,), (3,)]

    As `torch.nn.ParameterList`, which also holds what is not a tensor.
    """

    def __init__(self, values: Iterable[Any] | None = None):
        super().__init__()
        self.extend(() if values is None else values)

    def append(self, value: Any) -> Self:
        """Add a parameter at the end.

        Args:
            value: a tensor, which becomes a parameter.

        Returns:
            The list.

        Raises:
            TypeError: it is not a tensor.
        """
        self.register_parameter(str(len(self)), as_parameter(value, self))
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Add parameters at the end.

        Args:
            values: several tensors.

        Returns:
            The list.

        Raises:
            TypeError: they are not several tensors.
        """
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
    """Hold a dictionary of parameters; tensors given become parameters on their memory.

    Args:
        parameters: a mapping, or pairs, of names and tensors.  Default: None, an empty dictionary.

    Raises:
        TypeError: something else than tensors is given.
        KeyError: a name that is empty, holds a dot, or is an attribute's.

    Example:
        >>> from tinymed import nn, ones
        >>> weights = nn.ParameterDict({"left": ones(2), "right": ones(3)})
        >>> {name: p.shape for name, p in weights.items()}
        {'left': (2,), 'right': (3,)}

    As `torch.nn.ParameterDict`, which also holds what is not a tensor.
    """

    def __init__(self, parameters: Any = None):
        super().__init__()
        self.update({} if parameters is None else parameters)

    def update(self, parameters: Any) -> None:
        """Add or replace parameters by name.

        Args:
            parameters: a mapping, or pairs, of names and tensors.

        Raises:
            TypeError: something else than tensors is given.
        """
        mapping = isinstance(parameters, Mapping | ParameterDict)
        for name, value in parameters.items() if mapping else parameters:
            self[name] = value

    def keys(self) -> Iterable[str]:
        """Return the names."""
        return self._parameters.keys()  # type: ignore[no-any-return]

    def values(self) -> Iterable[Parameter]:
        """Return the parameters."""
        return [self[n] for n in self]

    def items(self) -> Iterable[tuple[str, Parameter]]:
        """Return pairs (name, parameter)."""
        return [(n, self[n]) for n in self]

    def get(self, key: str, default: Any = None) -> Any:
        """Return the parameter of a name, or a default.

        Args:
            key: the name.
            default: what is returned where there is none.  Default: None.

        Returns:
            The parameter, or the default.
        """
        return self._parameters.get(key, default)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the parameter of a name, which becomes the default where there is none.

        Args:
            key: the name.
            default: a tensor.  Default: None, which keeps the name.

        Returns:
            The parameter.
        """
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: str) -> Any:
        """Take a parameter out and return it.

        Args:
            key: its name.

        Returns:
            The parameter.

        Raises:
            KeyError: no parameter has that name.
        """
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


def as_parameter(value: Any, owner: Module) -> Parameter | None:
    """Return a tensor as a parameter on its memory."""
    if value is None or isinstance(value, Parameter):
        return value
    if not isinstance(value, Tensor):
        raise TypeError(f"{type(owner).__name__} takes tensors and parameters, got {type(value).__name__}")
    return Parameter(value)


def described(parameters: Mapping[str, Any]) -> str:
    """Return each parameter's name, dtype and shape, for __repr__."""
    return ", ".join(f"{n}: {p.dtype} {list(p.shape)}" for n, p in parameters.items() if p is not None)
