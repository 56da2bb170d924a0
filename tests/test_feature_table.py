"""docs/feature-table.md: every line has a command that exists, with options that exist, and a test that runs it."""

import ast
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from typer.main import get_command

from tinymed.cli import load_commands
from tinymed.cli.app import app, options_of

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "feature-table.md"
OPEN: set[str] = set()
ROWS = [
    [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    for line in PAGE.read_text("utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| feature ")
]
COMMANDS = [(row[0], code) for row in ROWS for code in re.findall(r"`([^`]*)`", row[1]) if " " in code]
NAMED = [(row[0], *name.split("::")) for row in ROWS for name in re.findall(r"`([^`]*::[^`]*)`", row[2])]


def test_it_has_the_36_lines_and_none_is_empty():
    assert len(ROWS) == len({row[0] for row in ROWS}) == 36
    told = {name for name, _ in COMMANDS} & {name for name, *_ in NAMED}
    assert {row[0] for row in ROWS} - told == OPEN


@pytest.mark.parametrize(("feature", "file", "test"), NAMED, ids=[f"{name}-{test}" for name, _, test in NAMED])
def test_the_test_is_run_by_ci_and_gives_the_commands_options(feature, file, test):
    _, tests = parsed(file)
    assert test in tests, f"{file} has no {test}"
    assert not any("mark.full" in mark for mark in tests[test])
    files = [parsed(name)[0] for each, name, _ in NAMED if each == feature]
    for _, code in (pair for pair in COMMANDS if pair[0] == feature and "tinymed " in pair[1]):
        for option in re.findall(r"--[a-z-]+", code):
            assert any(option in text for text in files) or option in GIVEN_BY_ALL, (option, file)


GIVEN_BY_ALL = {"--help"}  # which the test gives to each command in turn


@cache
def parsed(file: str) -> tuple[str, dict[str, list[str]]]:
    """The text of a file of tests, and the marks of each of its tests."""
    source = (ROOT / "tests" / file).read_text("utf-8")
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    return source, {each.name: [ast.unparse(mark) for mark in each.decorator_list] for each in functions}


@cache
def application():
    """The command line with all its commands."""
    load_commands()
    return get_command(app)


@pytest.mark.parametrize(("feature", "code"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_commands_and_options_exist(feature, code):
    words = shlex.split(re.sub(r"^TINYMED_\w+=\w+ ", "", code))
    if words[0] == "python":
        return
    assert words[0] == "tinymed"
    given = {word.removeprefix("--").replace("-", "_") for word in words if word.startswith("--")}
    assert words[1] in application().commands
    assert given <= options_of(application(), words) | {"help", "config"}, code


def test_the_lines_of_python_run():
    """All of them in one process, each by itself in the end: what they print is what they are for."""
    lines = [shlex.split(code)[2] for _, code in COMMANDS if code.startswith("python ")]
    assert len(lines) == 4
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, timeout=120, cwd=Path(ROOT)
    )
    assert done.returncode == 0, done.stderr
    for told in ("True", "digraph", "(2,)", "False"):
        assert told in done.stdout
