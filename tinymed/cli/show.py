"""`tinymed show OP`: one op at every altitude, from the formula to the machine."""

import ast
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Annotated, NamedTuple

import typer

from ..dispatch import LOOPS, REFERENCE, Kernel, implementations
from ..errors import UserError
from ..tape import Op
from . import python_sources
from .app import app, examples
from .ops import declared, find, kernels_of
from .python_sources import Definition

SCREEN = 48  # lines of one altitude, its title included
SHORT = 14  # lines of what leads to the arithmetic
PLACE = re.compile(r"(#|//) [\w/.]+:\d+$|# \w+ >")  # the line above a definition
LINK = 6  # lines of a definition between the kernel and the arithmetic that are shown


class Part(StrEnum):
    """An altitude."""

    formula = "formula"
    reference = "reference"
    loop = "loop"
    vector = "vector"
    cuda = "cuda"
    commands = "commands"


class Altitude(NamedTuple):
    """One section of the printout: blocks of source, each with the line that says where it stands."""

    part: Part
    title: str
    blocks: list[str]


@app.command(
    epilog=examples(
        "tinymed show relu",
        "tinymed show conv2d --part vector",
        "tinymed show relu --assembly",
        "tinymed show my_op.py",
    )
)
def show(
    op: Annotated[str, typer.Argument(help="An op, a function of tinymed.nn.functional, or a file that declares ops.")],
    part: Annotated[Part | None, typer.Option(help="Show one altitude only.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show every kernel and helper in full length.")] = False,
    assembly: Annotated[bool, typer.Option("--assembly", help="Show the machine code of the op's arithmetic.")] = False,
) -> None:
    """Show an op at every altitude: formula and gradient, reference, loop, vector kernel, CUDA kernel, commands."""
    text = assembly_text(op, everything) if assembly else show_text(op, part, everything)
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.syntax import Syntax

        language = "gas" if assembly else "cpp" if part == Part.cuda else "python"
        Console().print(Syntax(text, language, background_color="default"))
    else:
        print(text)


def show_text(name: str, part: Part | None = None, everything: bool = False) -> str:
    """Return an op's altitudes as text.

    Args:
        name: An op, a function that applies ops, or a file that declares some.
        part: The only altitude that is wanted.
        everything: Cut nothing.

    Raises:
        UserError: There is no such op; the message names those that are near.
    """
    return "\n\n".join(page(op, name, part, everything) for op in find(name))


def page(op: type[Op], name: str, part: Part | None, everything: bool) -> str:
    """Return one op's altitudes, below a line that names them."""
    declared()
    kernels = own_kernels(op, name)
    makers: list[Callable[[], Altitude]] = [
        lambda: formula(op, everything),
        lambda: reference(kernels, everything),
        lambda: loop(kernels, everything),
        lambda: vector(kernels, everything),
        lambda: cuda(kernels, everything),
        lambda: commands(op, name),
    ]
    wanted = [make for p, make in zip(Part, makers, strict=True) if part in (None, p)]
    contents = f"# {op.__name__}: {', '.join(Part)}   (--part NAME, --all, --assembly)"
    return "\n\n".join([contents, *(printed(make(), everything) for make in wanted)])


def printed(altitude: Altitude, everything: bool) -> str:
    """Return an altitude as text, cut to a screen."""
    title = f"# {'-' * 4} {altitude.title} ".ljust(100, "-")
    text = "\n\n".join([title, *altitude.blocks])
    whole = text.splitlines()
    if everything or len(whole) <= SCREEN:
        return text
    shown = whole[: SCREEN - 2]
    starts = [n for n, line in enumerate(shown) if n > SCREEN // 2 and not line and PLACE.match(whole[n + 1])]
    if starts:  # rather one definition less than a half
        shown = shown[: starts[-1]]
    rest = len(whole) - len(shown)
    return "\n".join([*shown, "", f"# ... {rest} more lines: --part {altitude.part} --all"])


def own_kernels(op: type[Op], name: str) -> list[str]:
    """Return the kernels that an op calls: those named after it first, forward before backward.

    What only moves memory is left out, and what serves three axes where the name asks for two.
    """
    names = kernels_of(op)
    names = [n for n in names if n not in python_sources.MOVES] or names
    if "3d" not in name:
        names = [n for n in names if "3d" not in n] or names
    return sorted(names, key=lambda n: (not n.startswith(name.lower()), "backward" in n, "inference" in n))


def block(d: Definition, most: int = 0) -> str:
    """Return a definition below the line that says where it stands; of a long one the beginning."""
    lines = d.text.splitlines()
    if most and len(lines) > most:
        lines = [*lines[: most - 1], f"    ...  # {len(lines) - most + 1} lines more"]
    return "\n".join([f"# {d.where}", *lines])


# ------------------------------------------------------------------------------------------------- the altitudes


def formula(op: type[Op], everything: bool) -> Altitude:
    """Return the op's class: what it computes, its gradient, and the rule in terms of kernels."""
    text, line = python_sources.source(op)
    lines = text.splitlines()
    if not everything:  # without what is there for tests
        for node in reversed(ast.parse(text).body[0].body):  # type: ignore[attr-defined]
            named = getattr(node, "name", "") or " ".join(
                n.id for t in getattr(node, "targets", ()) for n in ast.walk(t) if isinstance(n, ast.Name)
            )
            if named in ("samples", "oracle", "tolerance", "oracle_reason"):
                del lines[python_sources.first_line(node) - 1 : node.end_lineno]
    shown = "\n".join(lines).rstrip()
    while "\n\n\n" in shown:
        shown = shown.replace("\n\n\n", "\n\n")
    return Altitude(
        Part.formula, "1. Formula and gradient", [f"# {python_sources.place(op.__module__, line)}\n{shown}"]
    )


def reference(kernels: list[str], everything: bool) -> Altitude:
    """Return the reference kernels, which define what every other implementation must compute."""
    found = [implementations[REFERENCE, n] for n in kernels if (REFERENCE, n) in implementations]
    definitions = [python_sources.definition_of(k) for k in found]
    called = [h for d in definitions for h in python_sources.helpers(d)] if everything else []
    return Altitude(
        Part.reference,
        "2. Reference: the definition, on NumPy and CuPy",
        [block(d) for d in unique([*definitions, *called])],
    )


def loop(kernels: list[str], everything: bool) -> Altitude:
    """Return the op as a plain loop, with the helpers that it calls."""
    blocks: list[Definition] = []
    for name in kernels:
        kernel = implementations.get((LOOPS, f"{name}_loop")) or implementations.get((LOOPS, name))
        for part in python_sources.compiled_parts(kernel) if kernel else ():
            d = python_sources.definition_of(part)
            blocks += [d, *python_sources.helpers(d)]
    none = absent("# no loop is written for", kernels, "the reference serves")
    return Altitude(
        Part.loop, "3. Loop: the same in plain Python, compiled by Numba", [block(d) for d in unique(blocks)] or [none]
    )


def vector(kernels: list[str], everything: bool) -> Altitude:
    """Return the kernels of the CPU, and what each comes down to: the function that does the arithmetic."""
    blocks: dict[tuple[str, int], str] = {}
    links: dict[tuple[str, int], str] = {}  # between a kernel and its arithmetic
    for name in kernels:
        kernel = implementations.get(("numba", name))
        ways = python_sources.ways_to_arithmetic(kernel) if kernel else []
        for way in ways if everything else ways[:1]:
            for d in (way[0], *way[1:-1], way[-1]):
                key = d.module, d.line
                if d is way[-1] and len(way) > 1:
                    blocks.setdefault(key, f"{route(way)}\n{block(d)}")
                elif d is way[0] or d.size == 1:
                    blocks.setdefault(key, block(d, 0 if everything else SHORT))
                elif everything or d.size <= LINK:
                    links.setdefault(key, block(d))
    blocks |= {key: text for key, text in links.items() if key not in blocks}
    none = absent("# no kernel of the CPU is written for", kernels, "the loop or the reference serves")
    return Altitude(
        Part.vector, "4. Vector kernel: registers and caches of this processor", list(blocks.values()) or [none]
    )


def absent(what: str, kernels: list[str], instead: str) -> str:
    """Return the comment that stands for an altitude that an op has not got."""
    begin = what.partition(" ")[0] + " "
    return textwrap.fill(f"{what} {', '.join(kernels)}; {instead}", 110, subsequent_indent=begin)


def route(way: tuple[Definition, ...]) -> str:
    """Return the names that lead from a kernel to its arithmetic, as a comment."""
    names = " > ".join(d.label for d in way)
    return textwrap.fill(names, 116, initial_indent="# ", subsequent_indent="#    ", break_on_hyphens=False)


def cuda(kernels: list[str], everything: bool) -> Altitude:
    """Return what the CUDA kernels of the op are made of: of each file only what belongs to it."""
    from . import cuda_sources  # and with it all of cuda/

    found: dict[tuple[str, int], str] = {}
    for name in kernels:
        kernel = implementations.get(("csrc", name))
        parts = python_sources.compiled_parts(kernel) if kernel else []
        first = name.partition("_")[0]  # of a composite's kernels, one of its own before a sum or a quotient
        parts = sorted(parts, key=lambda part: not part.name.startswith(first))
        for part in parts if everything else parts[:1]:
            for piece in cuda_sources.parts(part.name):
                found.setdefault((piece.file, piece.line), f"// csrc/{piece.file}:{piece.line}\n{piece.text}")
    none = absent("// no CUDA kernel is written for", kernels, "on a GPU the reference runs on CuPy")
    return Altitude(Part.cuda, "5. CUDA kernel: one thread of thousands", list(found.values()) or [none])


def commands(op: type[Op], name: str) -> Altitude:
    """Return the commands that test and time the op."""
    mine = not op.__module__.startswith("tinymed.")
    lines = [] if mine else [f'python -m pytest tests/test_ops.py -k "{op.__name__}"'.ljust(58) + "# the derived tests"]
    lines += [f"tinymed check {name}".ljust(58) + "# gradient and backends, on samples"]
    lines += [f"tinymed bench {name}".ljust(58) + "# time, beside the roofline"]
    return Altitude(Part.commands, "6. Test it, time it", ["\n".join(lines)])


def unique(definitions: list[Definition]) -> list[Definition]:
    """Return definitions without those that came before."""
    return list({(d.module, d.line): d for d in definitions}.values())


# ------------------------------------------------------------------------------------------------- machine code


def assembly_text(name: str, everything: bool) -> str:
    """Return the machine code of the function that does an op's arithmetic.

    Raises:
        UserError: None of its kernels calls a function of its own.
    """
    declared()
    from ..cpu.compiler import llvm_functions

    for op in find(name):
        for symbol in symbols(own_kernels(op, name)):
            lines = llvm_functions.assembly_of(symbol).splitlines()
            code = [line for line in lines if not line.startswith("\t.")]
            title = f"# {symbol}, for this processor; {len(code)} lines"
            if not everything and len(code) > 2 * SCREEN:
                code = [*code[: 2 * SCREEN], f"# ... {len(code) - 2 * SCREEN} more lines: --all"]
            return "\n".join([title, *code])
    raise UserError(
        f"--assembly: {name} calls no function of its own in machine code; its kernels are Numba loops, "
        f"which `tinymed show {name} --part vector` prints"
    )


def symbols(kernels: list[str]) -> Iterator[str]:
    """Yield the functions in LLVM IR that kernels call, those on the way to the arithmetic first."""
    from ..cpu.compiler import llvm_functions

    for name in kernels:
        kernel: Kernel | None = implementations.get(("numba", name))
        if kernel is None:
            continue
        way = python_sources.ways_to_arithmetic(kernel)[0]
        words = {word for d in way for word in (d.name, *python_sources.strings(d))}
        needed = {s for part in python_sources.compiled_parts(kernel) for s in llvm_functions.required(part.fn)}
        yield from sorted(needed, key=lambda s: (s.removeprefix("tinymed_") not in words, s))
