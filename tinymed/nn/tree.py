"""The tree of modules: walks over what a module and those below it hold, and what a dotted name means."""

from collections.abc import Iterator
from typing import Any

from .state import MissingName


class Tree:
    """Walk over the modules, parameters and buffers below a module, and find them by dotted name."""

    _modules: dict[str, Any]

    def named_modules(
        self, memo: set["Tree"] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        """Yield (dotted name, module) of this module and all below it, parents first.

        Args:
            memo: modules met before, which are left out.  Default: None.
            prefix: this module's name.  Default: "".
            remove_duplicate: whether each is met once; if not, under all its names.  Default: True.

        Yields:
            (dotted name, module).

        Example:
            >>> from tinymed import nn
            >>> [name for name, _ in nn.Sequential(nn.ReLU(), nn.Sequential(nn.ReLU())).named_modules()]
            ['', '0', '1', '1.0']
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
        """Yield this module and all below it, each once."""
        return (m for _, m in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Any]]:
        """Yield (name, module) of the modules directly below, each once."""
        met: set[Tree] = set()
        for name, module in self._modules.items():
            if module is not None and module not in met:
                met.add(module)
                yield name, module

    def children(self) -> Iterator[Any]:
        """Yield the modules directly below, each once."""
        return (m for _, m in self.named_children())

    def _named_members(self, place: str, prefix: str, recurse: bool, unique: bool = True) -> Iterator[tuple[str, Any]]:
        """Yield (dotted name, tensor) of what modules hold in one of their dictionaries."""
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
        """Yield (dotted name, parameter) of this module and all below it.

        Args:
            prefix: what names begin with.  Default: "".
            recurse: whether modules below count.  Default: True.
            remove_duplicate: whether each is met once; if not, under all its names.  Default: True.

        Yields:
            (dotted name, parameter).

        Example:
            >>> from tinymed import nn
            >>> [(name, p.shape) for name, p in nn.Sequential(nn.Linear(4, 3)).named_parameters()]
            [('0.weight', (3, 4)), ('0.bias', (3,))]
        """
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Any]:
        """Yield the parameters of this module and all below it, each once.

        Args:
            recurse: whether modules below count.  Default: True.

        Yields:
            Parameters, such as an optimizer takes.

        Example:
            >>> from tinymed import nn
            >>> sum(p.numel() for p in nn.Linear(4, 3).parameters())
            15
        """
        return (p for _, p in self.named_parameters("", recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        """Yield (dotted name, buffer) of this module and all below it.

        Args:
            prefix: what names begin with.  Default: "".
            recurse: whether modules below count.  Default: True.
            remove_duplicate: whether each is met once; if not, under all its names.  Default: True.

        Yields:
            (dotted name, buffer).
        """
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Any]:
        """Yield the buffers of this module and all below it, each once.

        Args:
            recurse: whether modules below count.  Default: True.

        Yields:
            Buffers, such as batch norm's running statistics.
        """
        return (b for _, b in self.named_buffers("", recurse))

    def get_submodule(self, target: str) -> Any:
        """Return the module of a dotted name.

        Args:
            target: such as "features.0"; "" is this module.

        Returns:
            The module.

        Raises:
            MissingName: no module has that name.

        Example:
            >>> from tinymed import nn
            >>> nn.Sequential(nn.Sequential(nn.ReLU())).get_submodule("0.0")
            ReLU()
        """
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
        """Return the parameter of a dotted name.

        Args:
            target: such as "features.0.weight".

        Returns:
            The parameter.

        Raises:
            MissingName: no parameter has that name.
        """
        return self._get_member("_parameters", "parameter", target)

    def get_buffer(self, target: str) -> Any:
        """Return the buffer of a dotted name.

        Args:
            target: such as "features.1.running_mean".

        Returns:
            The buffer.

        Raises:
            MissingName: no buffer has that name.
        """
        return self._get_member("_buffers", "buffer", target)

    def _get_member(self, place: str, kind: str, target: str) -> Any:
        """Return what a module below holds in one of its dictionaries."""
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        held = getattr(module, place)
        if held.get(name) is None:
            raise MissingName(
                f"{type(self).__name__} has no {kind} {target!r}: {type(module).__name__} holds "
                f"{', '.join(n for n, v in held.items() if v is not None) or 'none'}"
            )
        return held[name]
