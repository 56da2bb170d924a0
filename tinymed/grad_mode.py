"""Whether ops are remembered for backward: a switch that belongs to a thread, as in PyTorch.

    with tinymed.no_grad(): ...         @tinymed.no_grad()  and  @tinymed.no_grad  def predict(x): ...
    tinymed.set_grad_enabled(False)     from here on, or for the block of a `with`

A thread starts with the tape on, whichever mode its starter is in.
"""

import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any, Self

__all__ = ["enable_grad", "inference_mode", "is_grad_enabled", "no_grad", "set_grad_enabled"]


class PerThread(threading.local):
    """What the tape keeps for each thread: whether it remembers ops, and the modules being called."""

    grad_enabled = True

    def __init__(self) -> None:
        self.scope: list[str] = []  # names of the modules being called, for messages


thread = PerThread()


class GradMode:
    """A grad mode for a block (`with`) or for the calls of a function (as a decorator)."""

    def __init__(self, mode: bool):
        self.mode = mode
        self.before: list[bool] = []

    def __enter__(self) -> Self:
        self.before.append(thread.grad_enabled)
        thread.grad_enabled = self.mode
        return self

    def __exit__(self, *_: object) -> None:
        thread.grad_enabled = self.before.pop()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, run in this mode at every call, in any thread; a generator while it computes."""
        mode = self.mode
        if inspect.isgeneratorfunction(function):
            return generating(function, mode)

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with GradMode(mode):
                return function(*args, **kwargs)

        return run


def generating(function: Callable[..., Any], mode: bool) -> Callable[..., Any]:
    """Return a generator function whose body runs in a mode, while those who iterate over it stay in theirs."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        generator = function(*args, **kwargs)
        step: Callable[[], Any] = functools.partial(next, generator)
        try:
            while True:
                with GradMode(mode):
                    try:
                        value = step()
                    except StopIteration as end:
                        return end.value
                try:
                    step = functools.partial(generator.send, (yield value))
                except GeneratorExit:
                    raise
                except BaseException as error:
                    step = functools.partial(generator.throw, error)
        finally:
            with GradMode(mode):
                generator.close()

    return run


class Bare(GradMode):
    """A mode that needs no argument: it also decorates without being called, `@no_grad`."""

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        if function is None:
            return super().__new__(cls)
        if not callable(function):
            raise TypeError(f"{cls.__name__} takes nothing, or as a decorator a function, got {function!r}")
        return cls()(function)


class no_grad(Bare):
    """Remember nothing inside for backward; a context, or a decorator with or without a call.

    As `torch.no_grad`.

    Example:
        >>> x = tinymed.ones(2, requires_grad=True)
        >>> with no_grad():
        ...     y = 2 * x
        >>> y.requires_grad
        False
    """

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(Bare):
    """Remember ops inside, also within no_grad; a context, or a decorator with or without a call.

    As `torch.enable_grad`.

    Example:
        >>> x = tinymed.ones(2, requires_grad=True)
        >>> with no_grad(), enable_grad():
        ...     y = 2 * x
        >>> y.requires_grad
        True
    """

    def __init__(self) -> None:
        super().__init__(True)


class set_grad_enabled(GradMode):
    """Switch the tape on or off: from the call on, or for the block of a `with`, or as a decorator.

    As `torch.set_grad_enabled`.

    Args:
        mode: Whether ops are remembered for backward.

    Example:
        >>> with set_grad_enabled(False):
        ...     is_grad_enabled()
        False
    """

    def __init__(self, mode: bool):
        super().__init__(bool(mode))
        self.before.append(thread.grad_enabled)
        thread.grad_enabled = self.mode

    def __enter__(self) -> Self:
        thread.grad_enabled = self.mode
        return self

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function in this mode, and undo the call that made the decorator."""
        thread.grad_enabled = self.before.pop()  # a decorator changes nothing where it stands
        return super().__call__(function)


class inference_mode(GradMode):
    """Remember nothing inside, as no_grad; inference_mode(False) as enable_grad.

    As `torch.inference_mode`, but tensors made inside may take part in training afterwards, which PyTorch refuses.  A
    context, or a decorator with or without a call.

    Args:
        mode: Whether nothing is remembered.

    Example:
        >>> with inference_mode():
        ...     is_grad_enabled()
        False
    """

    def __new__(cls, mode: Any = True) -> Any:
        """Return the mode, or where a function is decorated without a call, that function in it."""
        return super().__new__(cls) if isinstance(mode, bool) else cls()(mode)

    def __init__(self, mode: bool = True):
        super().__init__(not mode)


def is_grad_enabled() -> bool:
    """Return whether ops are remembered for backward at present, in this thread.

    As `torch.is_grad_enabled`.

    Returns:
        Whether the tape is on.

    Example:
        >>> is_grad_enabled()
        True
    """
    return thread.grad_enabled
