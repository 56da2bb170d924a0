"""The operations by name: what `tinymed image` offers is what is declared here, and nothing is listed twice."""

import inspect
import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class Operation(NamedTuple):
    """An operation on a picture.

    show: From (result, image) to what a file can hold, where the result is no picture itself.
    keeps: Its picture has the image's own depth; otherwise 8 bits.
    chart: Its result is (counts, edges), to be drawn or listed.
    """

    name: str  # as the command line says it
    function: Callable[..., Any]
    show: Callable[[Any, Any], Any] | None
    keeps: bool
    chart: bool

    @property
    def summary(self) -> str:
        """Return the first line of its docstring, as a description."""
        first = (self.function.__doc__ or "").partition("\n")[0].rstrip(".")
        return first.removeprefix("Return ").partition(":")[0]

    @property
    def options(self) -> dict[str, inspect.Parameter]:
        """Return what it takes beside the image, by name."""
        parameters = dict(inspect.signature(self.function).parameters)
        del parameters["image"]
        return parameters

    def help_of(self, option: str) -> str:
        """Return what its docstring says of an option."""
        found = re.search(rf"^ +{option}: ((?:.|\n(?! +\w+: |\n))*)", self.function.__doc__ or "", re.MULTILINE)
        return " ".join(found[1].split()).rstrip(".") if found else ""


OPERATIONS: dict[str, Operation] = {}


def operation(
    show: Callable[[Any, Any], Any] | None = None, keeps: bool = True, chart: bool = False
) -> Callable[[F], F]:
    """Declare a function of an image as an operation of the command line, under its own name."""

    def declare(function: F) -> F:
        name = function.__name__.replace("_", "-")
        OPERATIONS[name] = Operation(name, function, show, keeps, chart)
        return function

    return declare
