"""The text of a CUDA file as pieces: tokens, the preprocessor's lines, brackets that belong together."""

import re
from collections.abc import Iterator
from typing import NamedTuple

TOKEN = re.compile(
    r"""(?P<raw>(?:u8|[uUL])?R"(?P<mark>[^ ()\\\t\v\f\n]*)\(.*?\)(?P=mark)")"""
    r"""|(?P<comment>//(?:\\\n|[^\n])*|/\*.*?\*/)"""
    r"""|(?P<string>(?:u8|[uUL])?"(?:\\.|[^"\\\n])*")"""
    r"""|(?P<char>(?:u8|[uUL])?'(?:\\.|[^'\\\n])+')"""
    r"""|(?P<number>\.?\d(?:[eEpP][+-]|'?[\w.])*)"""
    r"""|(?P<name>[A-Za-z_]\w*)"""
    r"""|(?P<space>(?:\s|\\\n)+)"""
    r"""|(?P<mark_of_launch><<\s*<)"""  # some editors write << <
    r"""|(?P<punct>::|.)""",
    re.DOTALL,
)
DIRECTIVE = re.compile(r'#(?:\\\n|/\*.*?\*/|//(?:\\\n|[^\n])*|"(?:\\.|[^"\\\n])*"|[^\n])*', re.DOTALL)
OPENING, CLOSING = {"(": ")", "[": "]", "{": "}"}, {")": "(", "]": "[", "}": "{"}


class Token(NamedTuple):
    """A piece of the text; `kind` is a group of TOKEN."""

    kind: str
    text: str


def tokens(text: str) -> list[Token]:
    """Return the pieces of a text; joined they are the text."""
    return [Token(m.lastgroup or "punct", m[0]) for m in TOKEN.finditer(text) if m.lastgroup != "mark" or m[0]]


def segments(text: str) -> Iterator[tuple[bool, str]]:
    """Yield (is a preprocessor's line, text) in order; a line that goes on behind a backslash is one."""
    position, start, fresh = 0, 0, True  # fresh: only space since the line began
    while position < len(text):
        match = (DIRECTIVE if fresh and text[position] == "#" else TOKEN).match(text, position)
        assert match is not None
        if match.re is DIRECTIVE:
            if start < position:
                yield False, text[start:position]
            yield True, match[0]
            start = match.end()
        elif match.lastgroup != "comment":
            fresh = match.lastgroup == "space" and ("\n" in match[0] or fresh)
        position = match.end()
    if start < len(text):
        yield False, text[start:]


class Code:
    """The tokens of a segment, with the places of those that count, and what shall stand for some of them."""

    def __init__(self, text: str, line: int) -> None:
        self.all = tokens(text)
        self.places = [i for i, t in enumerate(self.all) if t.kind not in ("space", "comment")]
        self.line = line

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, i: int) -> str:
        return self.all[self.places[i]].text if 0 <= i < len(self.places) else ""

    def kind(self, i: int) -> str:
        """Return the kind of the i-th token that counts."""
        return self.all[self.places[i]].kind if 0 <= i < len(self.places) else ""

    def line_of(self, i: int) -> int:
        """Return the number of the line on which the i-th token stands."""
        return self.line + sum(t.text.count("\n") for t in self.all[: self.places[i]])

    def between(self, first: int, last: int) -> str:
        """Return the text from token `first` to before `last`, comments left out, newlines kept."""
        if first >= last:
            return ""
        pieces = self.all[self.places[first] : self.places[last - 1] + 1]
        return "".join("\n" * t.text.count("\n") or " " if t.kind == "comment" else t.text for t in pieces)

    def close(self, i: int) -> int:
        """Return the place of the bracket that closes the one at i; the end if there is none."""
        depth = 0
        for k in range(i, len(self)):
            depth += self[k] in OPENING
            depth -= self[k] in CLOSING
            if not depth:
                return k
        return len(self)

    def open(self, i: int) -> int:
        """Return the place of the bracket that opens what i closes; -1 if there is none."""
        depth = 0
        for k in range(i, -1, -1):
            depth += self[k] in CLOSING
            depth -= self[k] in OPENING
            if not depth:
                return k
        return -1

    def replace(self, first: int, last: int, text: str) -> None:
        """Put a text in the place of the tokens from `first` to before `last`; the lines stay as many."""
        old = self.all[self.places[first] : self.places[last - 1] + 1]
        lines = sum(t.text.count("\n") for t in old) - text.count("\n")
        count = len(old)
        self.all[self.places[first] : self.places[first] + count] = [Token("made", text + "\n" * lines)]
        self.places = [i for i, t in enumerate(self.all) if t.kind not in ("space", "comment")]

    def text(self) -> str:
        """Return the segment as it is now."""
        return "".join(t.text for t in self.all)


def split(code: Code, first: int, last: int, angles: bool = False) -> list[tuple[int, int]]:
    """Return the ranges between the commas of `first` to `last` that no bracket encloses."""
    parts, start, depth = [], first, 0
    for i in range(first, last):
        depth += code[i] in OPENING or (angles and code[i] == "<")
        depth -= code[i] in CLOSING or (angles and code[i] == ">")
        if code[i] == "," and not depth:
            parts.append((start, i))
            start = i + 1
    return [*parts, (start, last)] if first < last else []
