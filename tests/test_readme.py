"""The README and the pages of docs/ stay true: their code runs, the commands and files they name exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tinymed.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_code_runs():
    for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        done = subprocess.run(
            [sys.executable, "-X", "faulthandler", "-W", "error", "-c", block],
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-4000:]


def commands(text):
    return set(re.findall(r"`tinymed ([\w-]+)", text)) | set(
        re.findall(r"^(?:.*&& )?tinymed ([\w-]+)", text, re.MULTILINE)
    )


def test_the_readme_names_the_main_commands():
    assert commands(README) >= {"train", "evaluate", "predict", "show", "check", "bench"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_exist(page):
    assert commands(page.read_text("utf-8")) <= set(COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_files_exist(page):
    text = page.read_text("utf-8")
    named = re.findall(r"`((?:tinymed|benchmarks|examples|tests|csrc|docs)/[\w/.]+)`", text)
    assert [p for p in named if not (ROOT / p).exists()] == []
    links = [p for p in re.findall(r"\]\(([\w/.-]+)\)", text) if "://" not in p]
    assert [p for p in links if not (page.parent / p).exists()] == []
    assert page.name != "README.md" or len(named) + len(links) > 10
