"""`tinymed show OP`: one op at every altitude, from the formula to the machine."""

import inspect
import sys
import textwrap
from pathlib import Path
from typing import Annotated

import typer

from ..dispatch import Kernel
from ..tape import Op
from .app import app, examples
from .ops import find, implementations_of, kernels_of, parts_of


@app.command(epilog=examples("tinymed show leaky_relu", "tinymed show conv2d", "tinymed show my_op.py"))
def show(
    op: Annotated[str, typer.Argument(help="An op, a function of tinymed.nn.functional, or a file that declares ops.")],
) -> None:
    """Show an op at every altitude: formula and rule, reference, Numba loops, CUDA kernel."""
    text = show_text(op)
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.syntax import Syntax

        Console().print(Syntax(text, "python", background_color="default"))
    else:
        print(text)


def show_text(name: str) -> str:
    """The op's formula and rule, and each of its kernels in every language it is written in."""
    return "\n\n".join(section for op in find(name) for section in sections(op))


def sections(op: type[Op]) -> list[str]:
    """The parts of the printout, each with a heading that names the file."""
    parts = [heading(f"{op.__name__}: formula and rule", op), textwrap.dedent(inspect.getsource(op)).rstrip()]
    seen: set[str] = set()
    waiting = kernels_of(op)
    while waiting:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        for implementation in implementations_of(name):
            parts += [
                heading(f"{name}: {language(implementation)}", implementation.fn),
                textwrap.dedent(inspect.getsource(implementation.fn)).rstrip(),
            ]
            if implementation.composite:
                waiting += parts_of(implementation.fn)
    parts += cuda_sections(seen)
    return parts


def language(kernel: Kernel) -> str:
    """What an implementation is, in words."""
    if kernel.reference:
        return "reference, for NumPy and CuPy"
    return f"{kernel.backend}, composed of kernels" if kernel.composite else f"{kernel.backend}, compiled"


def cuda_sections(names: set[str]) -> list[str]:
    """The CUDA sources that define these kernels, when the sources are at hand."""
    from ..cuda.build import CSRC

    found = [f for f in sorted(CSRC.glob("*.cu")) if any(n in f.read_text() for n in names)]
    if not found:
        return [f"# CUDA: no kernel written for {', '.join(sorted(names))}; on a GPU the reference runs on CuPy"]
    return [f"# CUDA: {f.name}\n\n{f.read_text().rstrip()}" for f in found]


def heading(title: str, thing: object) -> str:
    """A comment line with the place in the sources."""
    try:
        path, line = Path(inspect.getsourcefile(thing) or ""), inspect.getsourcelines(thing)[1]  # type: ignore[arg-type]
    except (OSError, TypeError):
        return f"# {title}"
    package = Path(__file__).resolve().parents[1]
    shown = path.relative_to(package.parent) if path.is_relative_to(package) else path
    return f"# {title} ({shown}:{line})"
