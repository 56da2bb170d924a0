"""Find what a CUDA kernel is made of in csrc/: its launcher, and the structs and functions that the launcher names."""

import functools
import re
from pathlib import Path
from typing import NamedTuple

from ..cuda.build import CSRC

WORD = re.compile(r"[A-Za-z_]\w*")
PRODUCT = re.compile(r"\+= [\w.\[\]]+ \* [\w.\[\]]+;")  # of two numbers, not an address
BOUNDS = re.compile(r"__launch_bounds__\((?:[^()]|\([^()]*\))*\)")  # which may call a function
MULTIPLY_ADD = re.compile(r"\+=\s*[^;]*\*|\bfma\w*\(|\bmma")


class Piece(NamedTuple):
    """One definition of a file: a function, a struct or a constant, with the comment above it."""

    file: str
    name: str
    text: str
    line: int

    @property
    def is_kernel(self) -> bool:
        return "__global__" in self.text

    @property
    def size(self) -> int:
        return self.text.count("\n") + 1


@functools.cache
def pieces(path: Path) -> list[Piece]:
    """Cut a file into its definitions; those inside a namespace count as the file's own."""
    found: list[Piece] = []
    lines = path.read_text().splitlines()
    begin, depth = 0, 0
    for number, line in enumerate(lines):
        code = re.sub(r'//.*|"(\\.|[^"\\])*"', "", line)
        if depth == 0 and (re.match(r"\s*(namespace\b.*\{|\}\s*$|#|using\b|BIND\()", code) or not line.strip()):
            begin = number + 1
            continue
        depth += code.count("{") - code.count("}")
        if depth == 0 and re.search(r"[};]\s*$", code):
            text = "\n".join(lines[begin : number + 1])
            if name := name_of(text):
                found.append(Piece(path.name, name, text, begin + 1))
            begin = number + 1
    return found


def name_of(text: str) -> str:
    """Return the name that a definition defines, or nothing."""
    head = BOUNDS.sub("", re.sub(r"//.*", "", text).partition("{")[0])
    if match := re.match(r"\s*(?:template\s*<[^>]*>\s*)?(?:struct|union)\s+(\w+)", head):
        return match[1]
    called = [name for name in re.findall(r"(\w+)\s*\(", head) if name != "int"]
    if called and "=" not in head.partition("(")[0]:
        return str(called[0])
    match = re.search(r"(\w+)\s*(?:\[[^=]*)?=", head)
    return match[1] if match else ""


@functools.cache
def included(path: Path) -> tuple[Path, ...]:
    """Return a file and the files of csrc/ that it includes, nearest first."""
    found = [path]
    for file in found:
        for name in re.findall(r'#include "([\w./]+)"', file.read_text()):
            header = CSRC / name
            if header.exists() and header not in found:
                found.append(header)
    return tuple(found)


def launcher(name: str) -> tuple[Path, Piece] | None:
    """Return the file and the launcher of a kernel's name, or None."""
    for path in sorted(CSRC.glob("*.cu")):
        for piece in pieces(path):
            if piece.name == name:
                return path, piece
    return None


def parts(name: str) -> list[Piece]:
    """Return the definitions that a kernel of the table is made of: those of its file, then the arithmetic of headers.

    The launcher stands after what it names; a header's loop that multiplies and adds comes before both.
    """
    found = launcher(name)
    if found is None:
        return []
    path, first = found
    own: list[Piece] = [first]
    rest: list[Piece] = []
    for file in included(path):
        for piece in reversed(pieces(file)):  # a definition stands above its uses
            words = {w for other in (*own, *rest) for w in WORD.findall(re.sub(r"//.*", "", other.text))}
            if piece.name not in words or any(piece.name == p.name and piece.text == p.text for p in (*own, *rest)):
                continue
            (own if file == path else rest).append(piece)
    loops = [p for p in rest if p.is_kernel and MULTIPLY_ADD.search(p.text)]
    loops.sort(key=lambda p: (not PRODUCT.search(p.text), p.size))
    named = set(WORD.findall(first.text))
    maps = [p for p in rest if p.name in named and "operator()" in p.text]  # what the launcher hands to a template
    others = [p for p in rest if p not in [*loops, *maps] and (p.is_kernel or MULTIPLY_ADD.search(p.text))]
    others.sort(key=lambda p: (not p.is_kernel, p.size))
    own = own[::-1]
    return [
        *loops[:1],
        *([first] if loops else []),
        *(p for p in own if p is not first or not loops),
        *maps,
        *loops[1:],
        *others,
    ]
