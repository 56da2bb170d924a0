"""The tree of modules: walks over what a module and those below it hold, and what a dotted name means."""

from collections.abc import Iterator
from typing import Any

from .state import MissingName


class Tree:
    """Modules, parameters and buffers by dotted name."""

    _modules: dict[str, Any]

    def named_modules(
        self, memo: set["Tree"] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        """(dotted name, module) of this module (named prefix) and all below it, parents first.

        Each is met once, or, without remove_duplicate, under all its names.  memo: modules met before.
        """
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, child in self._modules.items():
            if child is not None:
                yield from child.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self) -> Iterator[Any]:
        """This module and all below it."""
        return (m for _, m in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Any]]:
        """(name, module) of the modules directly below, each once."""
        met: set[Tree] = set()
        for name, module in self._modules.items():
            if module is not None and module not in met:
                met.add(module)
                yield name, module

    def children(self) -> Iterator[Any]:
        """The modules directly below."""
        return (m for _, m in self.named_children())

    def _named_members(self, place: str, prefix: str, recurse: bool, unique: bool = True) -> Iterator[tuple[str, Any]]:
        """(dotted name, tensor) of what modules hold in one of their dictionaries."""
        seen: set[int] = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=unique) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, value in getattr(module, place).items():
                if value is not None and not (unique and id(value) in seen):
                    seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        """(dotted name, parameter), each parameter once."""
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Any]:
        """The parameters, each once."""
        return (p for _, p in self.named_parameters("", recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        """(dotted name, buffer), each buffer once."""
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Any]:
        """The buffers, each once."""
        return (b for _, b in self.named_buffers("", recurse))

    def get_submodule(self, target: str) -> Any:
        """The module of a dotted name; "" is this one."""
        module: Any = self
        for name in target.split(".") if target else ():
            if name not in module._modules or module._modules[name] is None:
                raise MissingName(
                    f"{type(self).__name__} has no module {target!r}: {type(module).__name__} holds "
                    f"{', '.join(module._modules) or 'none'}"
                )
            module = module._modules[name]
        return module

    def get_parameter(self, target: str) -> Any:
        """The parameter of a dotted name."""
        return self._get_member("_parameters", "parameter", target)

    def get_buffer(self, target: str) -> Any:
        """The buffer of a dotted name."""
        return self._get_member("_buffers", "buffer", target)

    def _get_member(self, place: str, kind: str, target: str) -> Any:
        """What a module below holds in one of its dictionaries."""
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        held = getattr(module, place)
        if held.get(name) is None:
            raise MissingName(
                f"{type(self).__name__} has no {kind} {target!r}: {type(module).__name__} holds "
                f"{', '.join(n for n, v in held.items() if v is not None) or 'none'}"
            )
        return held[name]
