"""Readable on purpose: how dense a line is, how long a file, and the field's words for names."""

import ast
import io
import re
import tokenize
from pathlib import Path

import tinymed

PACKAGE = Path(tinymed.__file__).parent
ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(PACKAGE.rglob("*.py"))
EVERYWHERE = sorted(
    {*SOURCES, *(f for room in ("tests", "benchmarks", "examples") for f in (ROOT / room).rglob("*.py"))}
)
PAGES = [*sorted((ROOT / "docs").glob("*.md")), *(ROOT / room for room in ("CONTRIBUTING.md", "csrc/README.md"))]
PAGES += [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(PACKAGE.rglob("*.md"))]
MEAN, MOST, LONGEST = 12.0, 22.0, 500  # tokens a line of the package, of its densest file; lines of a file
WIDEST = 120  # columns of prose

# Names that said something else in this code than the field says: see docs/words.md.
DIALECT = {
    "apart": "taps_disjoint",
    "begun": "start_run",
    "draft": "config_from_options",
    "everywhere": "dense_inference",
    "far": "nontemporal, or prefetch_distance",
    "is_far": "exceeds_cache",
    "halve": "max_pool_2x2",
    "max_halve": "max_pool_2x2",
    "past": "nontemporal",
    "settle": "store_fence",
    "together": "images_per_task",
    "winner": "argmax",
    "winners": "argmax",
    "wins": "argmax",
}
ROOMS = ("composites", "cpu", "cuda", "dispatch", "program", "tasks", "train")  # elsewhere some are plain English
NOT_CODE = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


def density(text):
    """(tokens, lines that hold one), without comments and docstrings."""
    tokens, lines = 0, set()
    for t in tokenize.generate_tokens(io.StringIO(text).readline):
        if t.type in NOT_CODE or (t.type == tokenize.STRING and t.string.startswith(('"""', 'r"""'))):
            continue
        tokens += 1
        lines.update(range(t.start[0], t.end[0] + 1))
    return tokens, len(lines)


def names(tree):
    """Every identifier of a file: functions, classes, arguments, variables, attributes that are assigned."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.id if isinstance(node, ast.Name) else node.attr


def test_lines_are_not_dense():
    counts = {path: density(path.read_text("utf-8")) for path in SOURCES}
    tokens, lines = (sum(c[i] for c in counts.values()) for i in (0, 1))
    assert tokens / lines < MEAN, f"{tokens / lines:.2f} tokens a line in the package"
    dense = {str(p.relative_to(PACKAGE)): round(t / n, 1) for p, (t, n) in counts.items() if n > 20 and t / n > MOST}
    assert not dense, f"tokens a line: {dense}"


def test_files_are_short():
    long = {str(p.relative_to(ROOT)): n for p in EVERYWHERE if (n := len(p.read_text("utf-8").splitlines())) > LONGEST}
    assert not long, f"lines: {long}; one subject a file"


def prose(text):
    """The lines of a page that a writer can break: no code, table or heading, nor one piece of code or one link."""
    fenced = False
    for line in text.splitlines():
        fenced ^= line.lstrip().startswith("```")
        broken = re.sub(r"`+[^`]*`+|!?\[[^\]]*\]\([^)]*\)", "x", line).split()
        if not fenced and not line.startswith(("    ", "#")) and line.lstrip()[:1] not in ("|", "<") and broken[1:]:
            yield line


def test_prose_is_wrapped():
    wide = {
        f"{page.relative_to(ROOT)}: {line[:60]}"
        for page in PAGES
        for line in prose(page.read_text("utf-8"))
        if len(line) > WIDEST
    }
    assert len(PAGES) > 30
    assert not wide


def test_sections_hold_something():
    """A heading (`# ---- title`) stands above code, not above the next heading or the end."""
    empty = []
    for path in EVERYWHERE:
        lines = [line for line in path.read_text().splitlines() if line.strip()]
        headings = [i for i, line in enumerate(lines) if re.match(r"# -{3,}", line)]
        empty += [f"{path}: {lines[i]}" for i in headings if i + 1 in {*headings, len(lines)}]
    assert not empty


def test_the_formatter_lays_out_every_line():
    skipped = [
        p for p in EVERYWHERE for line in p.read_text("utf-8").splitlines() if "# fmt:" in line and p != Path(__file__)
    ]
    assert len(skipped) < 60, skipped


def test_names_are_the_fields():
    found = {}
    for path in [p for p in SOURCES if p.relative_to(PACKAGE).parts[0] in ROOMS]:
        where = str(path.relative_to(PACKAGE))
        for word in DIALECT.keys() & set(names(ast.parse(path.read_text("utf-8")))):
            found.setdefault(f"{word}: say {DIALECT[word]}", []).append(where)
    assert not found
