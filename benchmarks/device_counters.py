"""Nsight Compute's counters beside the emulator's, for every rung of every ladder on its small problem.

    python benchmarks/device_counters.py --out FILE [--backend emulated --quick]

The emulator counts 32-byte sectors of global memory and passes over the banks of shared memory for each request of a
warp; ncu reads the same from the GPU.  Where ncu is missing or refused, its column says so.
"""

import csv
import io
import re
import shutil
import subprocess
import sys
from collections import Counter
from typing import Any

from device_clock import arguments, saved
from peers import HERE, rounded

METRICS = {
    "load_requests": "l1tex__t_requests_pipe_lsu_mem_global_op_ld.sum",
    "load_sectors": "l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum",
    "store_requests": "l1tex__t_requests_pipe_lsu_mem_global_op_st.sum",
    "store_sectors": "l1tex__t_sectors_pipe_lsu_mem_global_op_st.sum",
    "shared_loads": "smsp__inst_executed_op_shared_ld.sum",
    "shared_stores": "smsp__inst_executed_op_shared_st.sum",
    "shared_load_passes": "l1tex__data_pipe_lsu_wavefronts_mem_shared_op_ld.sum",
    "shared_store_passes": "l1tex__data_pipe_lsu_wavefronts_mem_shared_op_st.sum",
}


def emulated(quick: bool) -> dict[str, Any]:
    """{ladder: {rung: sectors and passes for each request}} as the emulator counts."""
    from tinymed import dispatch
    from tinymed.cli.ladder import Step, count_accesses
    from tinymed.cuda.ladders import LADDERS

    dispatch.table("emulated")
    found: dict[str, Any] = {}
    for name, chosen in list(LADDERS.items())[: 1 if quick else None]:
        steps = [Step(rung.label) for rung in chosen.rungs]
        why = count_accesses(chosen, steps)
        if why:
            return {"missing": why}
        found[name] = {s.rung: rounded({"sectors": s.sectors, "passes": s.passes}) for s in steps}
    return found


def command() -> list[str]:
    """ncu over the driver that launches every rung once."""
    return [
        "ncu",
        "--clock-control",
        "none",
        "--csv",
        "--print-kernel-base",
        "mangled",
        "--metrics",
        ",".join(METRICS.values()),
        sys.executable,
        str(HERE / "device_kernels.py"),
        "--backend",
        "cuda",
        "--only",
        "ladder",
    ]


def profiled(said: str) -> dict[str, dict[str, float]]:
    """{mangled kernel: {counter: sum over its launches}} of ncu's CSV, which follows what the program printed."""
    names = {metric: name for name, metric in METRICS.items()}
    lines = said.splitlines()
    head = next((i for i, line in enumerate(lines) if line.startswith('"ID"')), None)
    if head is None:
        return {}
    found: dict[str, dict[str, float]] = {}
    for row in csv.DictReader(io.StringIO("\n".join(lines[head:]))):
        name = names.get(row.get("Metric Name") or "")
        if name:
            value = float((row["Metric Value"] or "0").replace(",", ""))
            kernel = found.setdefault(row["Kernel Name"], {})
            kernel[name] = kernel.get(name, 0.0) + value
    return found


def economy(kernel: dict[str, float]) -> dict[str, Any]:
    """Sectors and passes for each request, as the emulator states them."""
    pairs = {
        "sectors": ("load_sectors", "store_sectors", "load_requests", "store_requests"),
        "passes": ("shared_load_passes", "shared_store_passes", "shared_loads", "shared_stores"),
    }
    result: dict[str, Any] = {}
    for name, (a, b, c, d) in pairs.items():
        moved, asked = (kernel.get(x, 0.0) + kernel.get(y, 0.0) for x, y in ((a, b), (c, d)))
        result[name] = moved / asked if asked else None
    return rounded(result)


def beside(counted: dict[str, Any], kernels: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """Return a row a rung: the emulator's counts, and those of the GPU's kernels with the rung's entry.

    A rung of several ladders says so: ncu's counts are of all their problems then, and the emulator's of one.
    """
    from tinymed.cuda.ladders import LADDERS

    homes = Counter(rung.kernel for chosen in LADDERS.values() for rung in chosen.rungs)
    rows = []
    for name, rungs in counted.items():
        for rung in LADDERS[name].rungs:
            own = [k for entry, k in kernels.items() if re.search(rung.entry, entry)]
            total = {key: sum(k.get(key, 0.0) for k in own) for key in METRICS}
            row = {"ladder": name, "rung": rung.label, "emulator": rungs[rung.label]}
            row |= {"gpu": economy(total)} if own else {}
            rows.append(row | ({"ladders": homes[rung.kernel]} if homes[rung.kernel] > 1 else {}))
    return rows


def main() -> None:
    o = arguments(__doc__)
    result: dict[str, Any] = {"emulator": emulated(o.quick), "ncu": ""}
    counted = {} if "missing" in result["emulator"] else result["emulator"]
    saved(o, result)
    if o.backend == "emulated" or not shutil.which("ncu"):
        result["ncu"] = "missing: ncu was not found" if not shutil.which("ncu") else "left out: no GPU is asked for"
        result["rows"] = beside(counted, {})
    else:
        done = subprocess.run(command(), capture_output=True, text=True)
        kernels = profiled(done.stdout)
        result["ncu"] = f"{len(kernels)} kernels" if kernels else f"no counters: {(done.stdout + done.stderr)[-600:]}"
        result["rows"] = beside(counted, kernels)
    saved(o, result)
    print(f"emulator: {sum(map(len, counted.values()))} rungs; ncu: {result['ncu']}")
    if result["ncu"].startswith("no counters"):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
