"""The timing model beside published measurements of three public ladders of matrix products; no GPU is asked.

    python benchmarks/timing.py SOURCES [--work FOLDER] [--only NAME] [--fit]

SOURCES holds checkouts of the repositories of PUBLIC, owner+name each; they are read, compiled and run in the emulator
there, and nothing of them is kept but names, commits and figures.  Needs g++, nvcc and nvdisasm.  --fit looks for the
constants on the first ladder alone; without it those of tinymed.cuda.timing are used.  All others are held out.
"""

import argparse
import itertools
import json
import re
import subprocess
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from tinymed.cuda import emulate, machine_code
from tinymed.cuda.gpus import GPUS
from tinymed.cuda.prediction import as_table, from_table, predictions
from tinymed.cuda.timing import FITTED, Constants
from tinymed.explain.sanity import rank_correlation

RESULT = Path(__file__).with_name("results") / "timing.json"
DEPTHS = 64, 128  # of the products that are sampled: what grows with the depth grows as from one to the other
CLIFF = 0.7  # of |log(predicted / measured)| from which a row is marked
STUBS = {
    "cublas_v2.h": """#pragma once
typedef void* cublasHandle_t;
enum cublasStatus_t { CUBLAS_STATUS_SUCCESS = 0 };
enum { CUBLAS_OP_N, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT };
#if __has_include(<library_types.h>)
#include <library_types.h>
#else
#define CUDA_R_32F 0
#endif
template <class... T>
cublasStatus_t cublasGemmEx(T...) { return CUBLAS_STATUS_SUCCESS; }
"""
}  # what others' headers ask of a library that no kernel here calls
MAIN = """#include <cstdint>
#include <cstdlib>
#include <cassert>
#include <cuda_runtime.h>
{includes}
{before}
int main() {{
    float *a, *b, *c;
    const int n = {n};
    const size_t bytes = sizeof(float) * n * n;
    cudaMalloc(&a, bytes), cudaMalloc(&b, bytes), cudaMalloc(&c, bytes);
    cudaMemset(a, 0, bytes), cudaMemset(b, 0, bytes), cudaMemset(c, 0, bytes);
    for (int depth : {{{depths}}}) {{
        {launches}
        cudaDeviceSynchronize();
    }}
}}
"""


class Public(NamedTuple):
    """A public ladder: where its files lie, its GPU, the size of its square product, and what it publishes."""

    repository: str
    gpu: str
    n: int
    folder: str
    rows: dict[str, tuple[str, str, float]]  # label: (file, launch, TFLOP/s)
    before: str = ""
    alone: tuple[str, ...] = ()  # kernels whose files cannot be included beside the others


def tiles(name: str, columns: int, rows: int, threads: str) -> str:
    """Return a launch of a kernel with the arguments that all kernels of the first ladder take."""
    return f"{name}<<<dim3({columns}, {rows}), dim3({threads})>>>(n, n, depth, 0.5f, a, b, 3.0f, c);"


def by_launcher(version: str) -> str:
    """Return the call of the second ladder's own launcher."""
    arguments = "n, n, depth, &one, a, depth, b, n, &zero, c, n, 0"
    return f"{{ float one = 1, zero = 0; launch_gemm_kernel_{version}<float>({arguments}); }}"


def by_parameters(launcher: str) -> str:
    """Return the call of the third ladder's own launcher."""
    return f"{{ GemmParams p{{}}; p.dA = a, p.dB = b, p.dC = c, p.M = p.N = n, p.K = depth; {launcher}(p); }}"


FLOPS_2048 = 2 * 2048**3 / 1e9  # the third ladder publishes milliseconds: TFLOP/s are these by them
REFUSED = {
    "siboehm/SGEMM_CUDA 11 double buffer": "divergence: halves of its block wait at different __syncthreads",
    "leimao/CUDA-GEMM-Optimization v06": "out-of-bounds: reads past its shared tile: a tile for each thread",
    "leimao/CUDA-GEMM-Optimization v06_vectorized": "out-of-bounds: reads past its shared tile, as v06",
}
PUBLIC = (
    Public(
        "siboehm/SGEMM_CUDA",
        "a6000",
        4096,
        "src/kernels",
        {
            "1 naive": ("1_naive.cuh", tiles("sgemm_naive", 128, 128, "32, 32"), 0.3090),
            "2 coalesced": (
                "2_kernel_global_mem_coalesce.cuh",
                tiles("sgemm_global_mem_coalesce<32>", 128, 128, "1024"),
                1.9865,
            ),
            "3 shared": (
                "3_kernel_shared_mem_blocking.cuh",
                tiles("sgemm_shared_mem_block<32>", 128, 128, "1024"),
                2.9803,
            ),
            "4 1-D tile": (
                "4_kernel_1D_blocktiling.cuh",
                tiles("sgemm1DBlocktiling<64, 64, 8, 8>", 64, 64, "512"),
                8.4747,
            ),
            "5 2-D tile": (
                "5_kernel_2D_blocktiling.cuh",
                tiles("sgemm2DBlocktiling<128, 128, 8, 8, 8>", 32, 32, "256"),
                15.9717,
            ),
            "6 vectorized": (
                "6_kernel_vectorize.cuh",
                tiles("sgemmVectorize<128, 128, 8, 8, 8>", 32, 32, "256"),
                18.2373,
            ),
            "7 linearized": (
                "7_kernel_resolve_bank_conflicts.cuh",
                tiles("sgemmResolveBankConflicts<128, 128, 8, 8, 8>", 32, 32, "256"),
                16.2134,
            ),
            "8 extra column": (
                "8_kernel_bank_extra_col.cuh",
                tiles("sgemmResolveBankExtraCol<128, 128, 8, 8, 8>", 32, 32, "256"),
                16.4592,
            ),
            "9 autotuned": (
                "9_kernel_autotuned.cuh",
                tiles("sgemmAutotuned<128, 128, 16, 8, 8>", 32, 32, "256"),
                19.7210,
            ),
            "10 warp tile": (
                "10_kernel_warptiling.cuh",
                tiles("sgemmWarptiling<128, 128, 16, 64, 64, 4, 8, 4, 128>", 32, 32, "128"),
                21.7793,
            ),
        },
    ),
    Public(
        "leimao/CUDA-GEMM-Optimization",
        "rtx3090",
        4096,
        "src",
        {
            version: (f"{file}.cu", by_launcher(version), tflops)
            for version, file, tflops in (
                ("v00", "00_non_coalesced_global_memory_access", 0.278129),
                ("v01", "01_coalesced_global_memory_access", 1.7218),
                ("v02", "02_2d_block_tiling", 2.66157),
                ("v02_vectorized", "02_2d_block_tiling_vectorized_memory_access", 1.90514),
                ("v03", "03_2d_block_tiling_1d_thread_tiling", 8.91318),
                ("v03_vectorized", "03_2d_block_tiling_1d_thread_tiling_vectorized_memory_access", 4.04796),
                ("v04", "04_2d_block_tiling_2d_thread_tiling", 13.0247),
                ("v04_vectorized", "04_2d_block_tiling_2d_thread_tiling_vectorized_memory_access", 15.027),
                ("v05", "05_2d_block_tiling_2d_thread_tiling_matrix_transpose", 11.1448),
                (
                    "v05_vectorized",
                    "05_2d_block_tiling_2d_thread_tiling_matrix_transpose_vectorized_memory_access",
                    19.6688,
                ),
            )
        },
        "void check_cuda_last(const char* const, const int) {}",
    ),
    Public(
        "Pupking/01_tiled_gemm",
        "rtx3050-laptop",
        2048,
        ".",
        {
            name: (f"{name}.cu", by_parameters(f"{name[3:]}_launch"), FLOPS_2048 / ms)
            for name, ms in (
                ("00_naive", 39.73),
                ("01_tiled", 11.28),
                ("02_tiled_coalesced", 9.06),
                ("03_regblock", 7.22),
                ("04_warp_rebalance", 6.35),
                ("05_bank_pad_vec", 5.85),
            )
        },
        alone=("00_naive", "01_tiled", "02_tiled_coalesced", "03_regblock", "04_warp_rebalance", "05_bank_pad_vec"),
    ),
)


def stretched(small: dict[str, Any], large: dict[str, Any], depth: int) -> dict[str, Any]:
    """Return a launch of the full depth: its counts grow with it as they do between two small ones."""
    steps = (depth - DEPTHS[0]) / (DEPTHS[1] - DEPTHS[0])

    def grown(x: float, y: float) -> float:
        return x + (y - x) * steps

    def added(rows: list[list[Any]], key: int) -> dict[tuple[Any, ...], list[float]]:
        found: dict[tuple[Any, ...], list[float]] = {}
        for row in rows:
            before = found.get(tuple(row[:key]), [0.0] * (len(row) - key))
            found[tuple(row[:key])] = [a + b for a, b in zip(before, row[key:], strict=True)]
        return found

    result = large | {"numbers": [grown(x, y) for x, y in zip(small["numbers"], large["numbers"], strict=True)]}
    for name, key in (("rows", 4), ("places", 3)):
        before, after = added(small[name], key), added(large[name], key)
        result[name] = [
            [*at, *(grown(x, y) for x, y in zip(before.get(at, [0.0] * len(n)), n, strict=True))]
            for at, n in after.items()
        ]
    return result


def observed(ladder: Public, labels: tuple[str, ...], sources: Path, work: Path) -> tuple[list[Any], list[Any]]:
    """Return (the machine code, a sampled launch for each label) of some kernels, kept in the work folder."""
    checkout = sources / ladder.repository.replace("/", "+")
    stem = re.sub(r"\W+", "_", f"{ladder.repository}_{labels[0]}".lower())
    wrapper, kept = work / f"{stem}.cu", work / f"{stem}.json"
    if kept.exists():
        found = json.loads(kept.read_text())
        return [from_table(table) for table in found["code"]], found["launches"]
    rows = [ladder.rows[label] for label in labels]
    text = MAIN.format(
        includes="\n".join(f'#include "{checkout / ladder.folder / file}"' for file, _, _ in rows),
        before=ladder.before,
        n=ladder.n,
        depths=", ".join(map(str, DEPTHS)),
        launches="\n        ".join(launch for _, launch, _ in rows),
    )
    wrapper.write_text(text)
    folders = (work, checkout / ladder.folder, checkout / "include", checkout)
    run = emulate.run(wrapper, emulate.Options(sample=True, arch=86, folders=folders))
    if run.code:
        raise SystemExit(f"{ladder.repository} {labels[0]}: {run.what}")
    half = len(labels)
    launches = [stretched(a, b, ladder.n) for a, b in zip(run.launches[:half], run.launches[half:], strict=True)]
    print(f"{ladder.repository} {labels[0]}: sampled", flush=True)
    code = machine_code.compiled(wrapper, GPUS[ladder.gpu].arch, [f"-I{folder}" for folder in folders])
    kept.write_text(json.dumps({"code": [as_table(kernel) for kernel in code], "launches": launches}))
    return code, launches


def predicted(ladder: Public, seen: tuple[list[Any], list[Any]], constants: Constants) -> tuple[float, str]:
    """Return the predicted TFLOP/s of a kernel and what bounds it."""
    times = predictions(*seen, GPUS[ladder.gpu], constants)
    longest = max(times, key=lambda t: t.seconds)
    return 2 * ladder.n**3 / sum(t.seconds for t in times) / 1e12, longest.bound


def fitted(ladder: Public, seen: dict[str, Any]) -> Constants:
    """Return the constants of a grid that fit the first ladder best: the smallest mean of |log ratio|."""
    grid = {
        "corner": (1.5, 2.0, 2.5, 3.0, 4.0, 6.0),
        "l2_bytes": (32.0, 48.0, 64.0),
        "load": (1.0, 2.0, 4.0),
        "l2_latency": (200.0, 260.0, 320.0),
    }
    best, least = FITTED, float("inf")
    for values in itertools.product(*grid.values()):
        trial = replace(FITTED, **dict(zip(grid, values, strict=True)))
        off = [abs(np.log(predicted(ladder, s, trial)[0] / ladder.rows[label][2])) for label, s in seen.items()]
        if np.mean(off) < least:
            best, least = trial, float(np.mean(off))
    return best


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return rank correlation and median |log ratio| of some rows."""
    measured, ours = (np.array([row[key] for row in rows]) for key in ("measured", "predicted"))
    return {
        "kernels": len(rows),
        "rank_correlation": round(rank_correlation(measured, ours) or 0.0, 3),
        "median_log_ratio": round(float(median(abs(np.log(ours / measured)))), 3),
    }


def commit_of(checkout: Path) -> str:
    """Return the commit of a checkout, as its file COMMIT or git says."""
    if (checkout / "COMMIT").exists():
        return (checkout / "COMMIT").read_text().strip()
    return subprocess.run(["git", "-C", checkout, "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path)
    parser.add_argument("--work", type=Path, default=Path("timing-work"))
    parser.add_argument("--only", default="", help="ladders with one of these words in their names")
    parser.add_argument("--fit", action="store_true")
    o = parser.parse_args()
    o.work.mkdir(parents=True, exist_ok=True)
    for name, text in STUBS.items():
        (o.work / name).write_text(text)
    chosen = [ladder for ladder in PUBLIC if any(name in ladder.repository for name in o.only.split(","))]
    seen: dict[str, dict[str, Any]] = {}
    for ladder in chosen:
        beside = tuple(label for label in ladder.rows if label not in ladder.alone)
        seen[ladder.repository] = {}
        for labels in [*([beside] if beside else []), *((label,) for label in ladder.alone)]:
            code, launches = observed(ladder, labels, o.sources, o.work)
            for label, launch in zip(labels, launches, strict=True):
                seen[ladder.repository][label] = code, [launch]
    if PUBLIC[0] not in chosen:
        return  # only sampled, for another run
    constants = fitted(PUBLIC[0], seen[PUBLIC[0].repository]) if o.fit else FITTED
    result: dict[str, Any] = {"date": str(date.today()), "constants": asdict(constants), "ladders": {}}
    held_out = []
    for ladder in chosen:
        rows = []
        for label, (file, _, measured) in ladder.rows.items():
            ours, bound = predicted(ladder, seen[ladder.repository][label], constants)
            off = float(np.log(ours / measured))
            row = {"kernel": label, "file": file, "measured": round(measured, 4), "predicted": round(ours, 4)}
            rows.append(
                row | {"log_ratio": round(off, 3), "bound": bound} | ({"cliff": True} if abs(off) > CLIFF else {})
            )
        held_out += rows if ladder is not PUBLIC[0] else []
        about = {"commit": commit_of(o.sources / ladder.repository.replace("/", "+")), "gpu": GPUS[ladder.gpu].name}
        about |= {"n": ladder.n, "fitted": ladder is PUBLIC[0], **summary(rows), "rows": rows}
        result["ladders"][ladder.repository] = about
        print(ladder.repository, about["gpu"], summary(rows))
        for row in rows:
            measured, ours = (f"{row[key]:8.3f}" for key in ("measured", "predicted"))
            print(f"  {row['kernel']:18} {measured} {ours} {row['log_ratio']:+.2f} {row['bound']}")
    result |= {"held_out": summary(held_out) if held_out else None, "refused": REFUSED}
    print("held out:", result["held_out"], "\nconstants:", result["constants"])
    RESULT.write_text(json.dumps(result, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
