"""docs/afternoon.md names what exists, in at most 3,000 lines."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "afternoon.md"
BUDGET = 3000


def entries():
    """(files, names) of every line of the list; without names the whole files are read."""
    found = []
    for line in PAGE.read_text("utf-8").splitlines():
        if line.startswith("| `"):
            cell = line.split("|")[1]
            files = re.findall(r"`([\w/.]+)`", cell)
            names = cell.partition(":")[2]
            found.append((files, [n.strip() for n in names.split(",") if n.strip()]))
    return found


def lines_of(path, names):
    """How many lines a reader reads: of the whole file, or of the definitions and methods named."""
    text = path.read_text("utf-8")
    if not names:
        return len(text.splitlines())
    spans = {}

    def enter(body, prefix):
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                spans[prefix + node.name] = node.end_lineno - first + 1
                if isinstance(node, ast.ClassDef):
                    enter(node.body, f"{node.name}.")

    enter(ast.parse(text).body, "")
    missing = [n for n in names if n not in spans]
    assert not missing, f"{path.relative_to(ROOT)} defines no {', '.join(missing)}"
    return sum(spans[n] for n in names)


@pytest.mark.parametrize(("files", "names"), entries(), ids=lambda value: value[0] if value else "")
def test_what_is_named_exists(files, names):
    assert files
    assert len(files) == 1 or not names
    for file in files:
        assert (ROOT / file).is_file(), file
        assert lines_of(ROOT / file, names) > 0


def test_it_can_be_read_in_an_afternoon():
    listed = entries()
    total = sum(lines_of(ROOT / file, names) for files, names in listed for file in files)
    assert len(listed) >= 30
    assert 1500 < total <= BUDGET, f"{total} lines"


def test_each_line_says_what_it_teaches():
    rows = [line.split("|") for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    assert all(row[2].strip().endswith(".") for row in rows)
