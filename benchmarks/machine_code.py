"""The machine code of the ladders' rungs as tables, for machines without nvcc: tinymed/cuda/machine_code.json.

    python benchmarks/machine_code.py

Needs nvcc and nvdisasm, no GPU.  `tinymed ladder OP --predict GPU` reads what this writes.
"""

import datetime
import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tinymed.cuda.build import CSRC, find_nvcc, run
from tinymed.cuda.ladders import LADDERS
from tinymed.cuda.machine_code import compiled
from tinymed.cuda.prediction import GENERATIONS, SHIPPED, as_table


def table(source: str, arch: str) -> list[Any]:
    """Return the kernels of a file that a rung runs: all of a ladder's own, those of its entry of the engine's."""
    entries = [r.entry for ladder in LADDERS.values() for r in ladder.rungs if r.source == source]
    kernels = compiled(CSRC / source, arch, [f"-I{CSRC}"])
    if not source.startswith("ladders/"):
        kernels = [k for k in kernels if any(re.search(entry, k.name) for entry in entries)]
    return [as_table(kernel) for kernel in kernels]


def main() -> None:
    sources = sorted({rung.source for ladder in LADDERS.values() for rung in ladder.rungs})
    found: dict[str, Any] = {}
    for arch in sorted(set(GENERATIONS.values())):
        with ThreadPoolExecutor(2) as pool:
            found[arch] = dict(zip(sources, pool.map(lambda s, arch=arch: table(s, arch), sources), strict=True))
    version = re.search(r"V([\d.]+)", run([find_nvcc(), "--version"]))
    about = {"date": str(datetime.date.today()), "nvcc": version[1] if version else "", "kernels": found}
    SHIPPED.write_text(json.dumps(about, separators=(",", ":")) + "\n")
    print(f"{len(sources)} files, {SHIPPED.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
