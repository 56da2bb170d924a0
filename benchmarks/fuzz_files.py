"""2,000 mutated files of each format that the package reads: read, or refused in one line; nothing else may happen.

    python benchmarks/fuzz_files.py [FORMAT ...]

The files and the rules are those of tests/test_fuzz_files.py, of tests/test_onnx_fuzz.py for ONNX, and of
tests/test_serve.py for uploads to `tinymed serve` (every format and every name, the form itself damaged in a third).  A
format that fails is written with what went wrong.  Written to benchmarks/results/fuzz_files.json, one line a format.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from peers import machine

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import serving
import test_fuzz_files as files
import test_onnx_fuzz as models
import test_serve as served
from commands import QUICK, write_images

from tinymed.cli import main as main_of_tinymed

RESULTS = Path(__file__).parent / "results" / "fuzz_files.json"


def onnx(count: int, folder: Path) -> Counter[str]:
    """Return how many mutated models ran and were refused; raise AssertionError for another outcome."""
    with pytest.MonkeyPatch.context() as limits:
        ran, refused = models.tried(range(count), limits, folder)
    return Counter(read=ran, refused=refused)


def uploads(count: int, folder: Path) -> dict[str, int]:
    """Return how many uploads to a served run got an answer, and how many each refusal."""
    run, cells = folder / "run", folder / "cells"
    write_images(cells, ["clear", "parasite"], 16)
    assert main_of_tinymed(["train", "--data", str(cells), "--out", str(run), "--recipe", "paper", *QUICK]) == 0
    (folder / "whole").mkdir()
    with serving.server(run) as address:
        statuses = served.fuzz(address, count, served.whole_files(folder / "whole"))
        assert served.ask(address).status_code == 200, "it no longer answers"
    return {f"status {status}": number for status, number in sorted(statuses.items())}


KINDS = {"onnx": onnx, "uploads": uploads}


def row(name: str, count: int) -> dict[str, Any]:
    """Return what became of the files of a format."""
    start, found = time.process_time(), {"format": name, "files": count}
    with tempfile.TemporaryDirectory() as folder:
        try:
            kind = KINDS.get(name)
            found |= kind(count, Path(folder)) if kind else files.try_format(name, Path(folder), count)
        except AssertionError as error:
            found["failed"] = str(error)[:300]
    return found | {"cpu_s": round(time.process_time() - start, 1)}


def main() -> None:
    """Try the formats, and write each line as it is known."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help="by default all; others keep their lines")
    parser.add_argument("--count", type=int, default=files.MANY, help="files of each format")
    options = parser.parse_args()
    rows: dict[str, Any] = {}
    if options.formats and RESULTS.exists():
        rows = {kept["format"]: kept for kept in json.loads(RESULTS.read_text())["rows"]}
    for name in options.formats or [*files.FORMATS, *KINDS]:
        rows[name] = row(name, options.count)
        print(rows[name], flush=True)
        lines = ",\n".join(json.dumps(line) for line in rows.values())
        RESULTS.write_text(f'{{"machine": {json.dumps(machine())}, "rows": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
