"""Whether ops are remembered for backward: a switch that belongs to a thread, as in PyTorch.

    with tinymed.no_grad(): ...         @tinymed.no_grad()  and  @tinymed.no_grad  def predict(x): ...
    tinymed.set_grad_enabled(False)     from here on, or for the block of a `with`

A thread starts with the tape on, whatever the thread that started it does.
"""

import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any, Self


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
        """The function, run in this mode at every call, in whatever thread; a generator while it computes."""
        mode = self.mode
        if inspect.isgeneratorfunction(function):
            return generating(function, mode)

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with GradMode(mode):
                return function(*args, **kwargs)

        return run


def generating(function: Callable[..., Any], mode: bool) -> Callable[..., Any]:
    """A generator function whose body runs in a mode, while those who iterate over it stay in theirs."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        generator = function(*args, **kwargs)
        step: Callable[[], Any] = functools.partial(next, generator)
        try:
            while True:
                with GradMode(mode):
                    try:
                        given = step()
                    except StopIteration as end:
                        return end.value
                try:
                    step = functools.partial(generator.send, (yield given))
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
    """Nothing inside is remembered for backward; a context, or a decorator with or without a call."""

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(Bare):
    """Remember ops inside, also within no_grad; a context, or a decorator with or without a call."""

    def __init__(self) -> None:
        super().__init__(True)


class set_grad_enabled(GradMode):
    """Switch the tape on or off: from the call on, or for the block of a `with`, or as a decorator."""

    def __init__(self, mode: bool):
        super().__init__(bool(mode))
        self.before.append(thread.grad_enabled)
        thread.grad_enabled = self.mode

    def __enter__(self) -> Self:
        thread.grad_enabled = self.mode
        return self

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        thread.grad_enabled = self.before.pop()  # a decorator changes nothing where it stands
        return super().__call__(function)


class inference_mode(GradMode):
    """As no_grad; inference_mode(False) as enable_grad.  A context, or a decorator with or without a call.

    Tensors made inside may take part in training afterwards, which PyTorch refuses.
    """

    def __new__(cls, mode: Any = True) -> Any:
        return super().__new__(cls) if isinstance(mode, bool) else cls()(mode)

    def __init__(self, mode: bool = True):
        super().__init__(not mode)


def is_grad_enabled() -> bool:
    """Whether ops are remembered for backward at present, in this thread."""
    return thread.grad_enabled
