"""Handle: what registering a hook returns, with which it is taken off again."""

import itertools
from collections.abc import Callable
from typing import Any, Self

numbers = itertools.count()  # never used twice: a handle must not remove a later hook


class Handle:
    """Takes off the one hook it was returned for: by remove(), or at the end of a `with` block.

    As `torch.utils.hooks.RemovableHandle`.

    Args:
        hooks: {number: hook} in the order of registration, of the tensor or module that calls them.
        hook: The function.

    Raises:
        TypeError: The hook is not callable.

    Example:
        >>> hooks = {}
        >>> with Handle(hooks, print):
        ...     len(hooks)
        1
        >>> hooks
        {}
    """

    def __init__(self, hooks: dict[int, Callable[..., Any]], hook: Callable[..., Any]):
        if not callable(hook):
            raise TypeError(f"a hook is a function, got {type(hook).__name__}")
        self.hooks, self.key = hooks, next(numbers)
        hooks[self.key] = hook

    def remove(self) -> None:
        """Take the hook off; a second call does nothing."""
        self.hooks.pop(self.key, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()
