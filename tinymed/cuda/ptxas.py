"""What nvcc makes of a kernel file without a GPU: registers, spills and instructions of each of its kernels."""

import re
import tempfile
from pathlib import Path
from typing import NamedTuple

from .build import CSRC, find_nvcc, run


class Usage(NamedTuple):
    """What one kernel takes of a multiprocessor: registers a thread, bytes spilled, bytes of static shared memory."""

    registers: int
    spilled: int
    shared: int


def usage(log: str) -> dict[str, Usage]:
    """{mangled name of a kernel: what it takes} from what `ptxas -v` printed."""
    found = {}
    for part in log.split("Compiling entry function")[1:]:
        name = re.search(r"'(\w+)'", part)
        registers, spills = re.search(r"Used (\d+) registers", part), re.search(r"(\d+) bytes spill stores", part)
        shared = re.search(r"(\d+) bytes smem", part)
        if name and registers:
            numbers = (int(m[1]) if m else 0 for m in (registers, spills, shared))
            found[name[1]] = Usage(*numbers)
    return found


def compiled(source: Path, arch: str = "80") -> dict[str, Usage]:
    """Compile a kernel file for one GPU generation and throw the code away.  build.Absent without nvcc."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["-std=c++17", "-O3", f"-I{CSRC}", f"-arch=sm_{arch}", "-Xptxas", "-v", "-cubin"]
        return usage(
            run([find_nvcc(), *options, "-o", f"{folder}/cubin", str(source)], f"{source.name} does not compile")
        )


def ptx(source: Path, arch: str = "80") -> dict[str, str]:
    """{mangled name of a kernel: its PTX} of a kernel file.  build.Absent without nvcc."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "ptx")
        options = ["-std=c++17", "-O3", f"-I{CSRC}", f"-arch=compute_{arch}", "-ptx"]
        run([find_nvcc(), *options, "-o", str(target), str(source)], f"{source.name} does not compile")
        entries = re.split(r"\.entry (\w+)\(", target.read_text())
    return dict(zip(entries[1::2], entries[2::2], strict=True))
