"""The README stays true: its code runs, the commands and files it names exist."""

import re
import subprocess
import sys
from pathlib import Path

from tinymed.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def test_the_code_runs():
    for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        subprocess.run([sys.executable, "-W", "error", "-c", block], check=True, timeout=300)


def test_the_commands_exist():
    named = set(re.findall(r"`tinymed (\w+)", README)) | set(re.findall(r"^tinymed (\w+)", README, re.MULTILINE))
    assert named >= {"train", "evaluate", "predict", "show", "check", "bench"}
    assert named <= set(COMMANDS)


def test_the_files_exist():
    paths = re.findall(r"`((?:tinymed|benchmarks|examples|tests)/[\w/.]+)`", README) + re.findall(
        r"\]\(([\w/.-]+)\)", README
    )
    assert len(paths) > 10
    assert [p for p in paths if not (ROOT / p).exists()] == []
