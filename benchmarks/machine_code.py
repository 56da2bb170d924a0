"""The machine code of the ladders' rungs and of the products' main loops as tables: tinymed/cuda/machine_code.json.

    python benchmarks/machine_code.py [--all]

Needs nvcc and nvdisasm, no GPU.  Machines without them read what this writes: `tinymed ladder OP --predict GPU`, and
the budgets of tests/test_cuda_stages.py.  A file whose text, and that of what it includes, is as when its table was
made is left as it is; --all compiles every file.
"""

import argparse
import datetime
import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tinymed.cuda.build import CSRC, find_nvcc, run
from tinymed.cuda.ladders import LADDERS
from tinymed.cuda.machine_code import compiled
from tinymed.cuda.prediction import GENERATIONS, SHIPPED, as_table, digest, tables
from tinymed.cuda.stages import IMAGES, SOURCES, issued

ARCHITECTURES = sorted(set(GENERATIONS.values()))
SECOND = r"\d(merge|total|add_parts)_kernel"  # what the engine's rungs launch after their own kernel


def entries(source: str) -> list[str]:
    """Return what a file's kernels are searched for: all of a ladder's own, else what its rungs launch."""
    if source.startswith("ladders/"):
        return [""]
    return [SECOND, *(rung.entry for ladder in LADDERS.values() for rung in ladder.rungs if rung.source == source)]


def missing(table: dict[str, Any], source: str, arch: str) -> bool:
    """Return whether a file has still to be compiled for a generation."""
    return arch not in table or (source in SOURCES.values() and arch not in table.get("stages", {}))


def own_first(source: str) -> tuple[bool, str]:
    """Return what sources are sorted by: those of the engine, which hold many kernels beside a rung's, are slow."""
    return not source.startswith("ladders/"), source


def known(source: str) -> dict[str, Any]:
    """Return what the tables have of the text that a file has now."""
    old, name = tables().get(source, {}), digest(source)
    return dict(old) if old.get("digest") == name else {"digest": name}


def save(files: dict[str, Any]) -> None:
    """Write all tables that there are."""
    version = re.search(r"V([\d.]+)", run([find_nvcc(), "--version"]))
    about = {"date": str(datetime.date.today()), "nvcc": version[1] if version else "", "files": files}
    SHIPPED.write_text(json.dumps(about, separators=(",", ":")) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="compile every file")
    again = parser.parse_args().all
    sources = sorted({rung.source for ladder in LADDERS.values() for rung in ladder.rungs}, key=own_first)
    files = {source: {"digest": digest(source)} if again else known(source) for source in sources}
    work = [(s, arch) for arch in ARCHITECTURES for s in sources if missing(files[s], s, arch)]
    lock = threading.Lock()

    def fill_in(one: tuple[str, str]) -> None:
        source, arch = one
        began = time.monotonic()
        rungs, products = entries(source), source in SOURCES.values()
        kernels = compiled(CSRC / source, arch, [f"-I{CSRC}"], [*rungs, *([IMAGES] if products else [])])
        with lock:
            files[source][arch] = [as_table(k) for k in kernels if any(re.search(rung, k.name) for rung in rungs)]
            if products:
                files[source].setdefault("stages", {})[arch] = issued(kernels)
            save(files)  # what is done stays, if this is stopped
        print(f"{source} sm_{arch}: {time.monotonic() - began:.0f} s", flush=True)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(fill_in, sorted(work, key=lambda one: (own_first(one[0])[0], one[1], one[0]))))
    save(files)
    print(f"{len(sources)} files, {SHIPPED.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
