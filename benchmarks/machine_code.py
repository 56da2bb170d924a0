"""The machine code of the ladders' rungs as tables, for machines without nvcc: tinymed/cuda/machine_code.json.

    python benchmarks/machine_code.py [--all]

Needs nvcc and nvdisasm, no GPU.  `tinymed ladder OP --predict GPU` reads what this writes.  A file whose text, and that
of what it includes, is as when its table was made is left as it is; --all compiles every file.
"""

import argparse
import datetime
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from tinymed.cuda.build import CSRC, find_nvcc, run
from tinymed.cuda.ladders import LADDERS
from tinymed.cuda.machine_code import compiled
from tinymed.cuda.prediction import GENERATIONS, SHIPPED, as_table, digest, tables

ARCHITECTURES = sorted(set(GENERATIONS.values()))


def entries(source: str) -> list[str]:
    """Return what the names of a file's kernels are searched for: all of a ladder's own, else those that are rungs."""
    if source.startswith("ladders/"):
        return [""]
    return [rung.entry for ladder in LADDERS.values() for rung in ladder.rungs if rung.source == source]


def table(source: str, known: dict[str, Any]) -> dict[str, Any]:
    """Return a file's digest and its kernels by generation; what is known of the same text is taken from there."""
    name = digest(source)
    if known.get(source, {}).get("digest") == name:
        return dict(known[source])
    began = time.monotonic()
    found: dict[str, Any] = {"digest": name}
    for arch in ARCHITECTURES:
        kernels = compiled(CSRC / source, arch, [f"-I{CSRC}"], entries(source))
        found[arch] = [as_table(kernel) for kernel in kernels]
    print(f"{source}: {time.monotonic() - began:.0f} s", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="compile every file")
    known = {} if parser.parse_args().all else tables()
    sources = sorted({rung.source for ladder in LADDERS.values() for rung in ladder.rungs})
    with ThreadPoolExecutor(2) as pool:
        files = dict(zip(sources, pool.map(partial(table, known=known), sources), strict=True))
    version = re.search(r"V([\d.]+)", run([find_nvcc(), "--version"]))
    about = {"date": str(datetime.date.today()), "nvcc": version[1] if version else "", "files": files}
    SHIPPED.write_text(json.dumps(about, separators=(",", ":")) + "\n")
    print(f"{len(sources)} files, {SHIPPED.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
