"""A report as a plain structure: sections of text, tables and pictures, which HTML, Markdown and LaTeX are made from.

Every text in it is taken for hostile: names of files, classes and columns come from outside.  `visible` makes what
cannot be seen seen; escaping is the business of each format.
"""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..errors import printable


def visible(text: object) -> str:
    r"""Return a text in which control and direction characters stand as escapes, on one line.

    Args:
        text: Anything; bytes of file names that are not UTF-8 become escapes too.

    Returns:
        The text.

    Example:
        >>> visible("a\nb")
        'a\\nb'
    """
    shown = printable(text)
    return shown if shown.isprintable() else "".join(escape_invisible(c) for c in shown)


def escape_invisible(character: str) -> str:
    """Return a character, or its escape where it is a control, a separator of lines or turns the direction."""
    if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Cs"):
        return character.encode("unicode_escape").decode("ascii")
    return character


@dataclass
class Text:
    """A paragraph."""

    text: str


@dataclass
class Heading:
    """A title inside a section."""

    text: str


@dataclass
class Missing:
    """Why something is not there, and how to get it."""

    reason: str


@dataclass
class Table:
    """Rows of cells below their heads; the first cell of a row names it.

    Attributes:
        caption: What it shows.
        head: Names of the columns.
        rows: As many cells a row.
        numbers: Whether all but the first column are aligned right.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: bool = True


@dataclass
class Picture:
    """What draws a PNG, what it shows for those who do not see it, and its caption.

    It is drawn when a page is written: tables alone need no picture.
    """

    draw: Callable[[], bytes]
    alt: str
    caption: str


Block = Text | Heading | Missing | Table | Picture


@dataclass
class Section:
    """A part of a report: its key is the address inside the page."""

    key: str
    title: str
    blocks: list[Block] = field(default_factory=list)


@dataclass
class Document:
    """A report.

    Attributes:
        title: What it is of.
        lead: Lines that stand first: the rule of the split before all.
        sections: Its parts in order.
    """

    title: str
    lead: list[str]
    sections: list[Section]


def facts(caption: str, rows: Sequence[tuple[str, object]], head: tuple[str, str] = ("what", "value")) -> Table:
    """Return names and values as a table.

    Example:
        >>> facts("Seeds", [("seed", 0)]).rows
        [('seed', '0')]
    """
    return Table(caption, head, [(name, str(value)) for name, value in rows], numbers=False)
