"""How far mixed precision is from float32 after a training step: ours, and PyTorch's autocast on the same networks.

    python benchmarks/bf16_steps.py [--batches 40] [--only DCNN]

The networks, weights and batches of tests/test_cuda_train.py, dropout switched off (the libraries draw other words).
Five steps by the reference in float32; each is made once more from the same weights in float32 and in bfloat16 by
either library.  A step's error is the largest difference of a gradient from the same library's in float32, over the
step's largest gradient; of a run the largest of five.  Over the runs, which differ in their batches: the smallest, the
median and the largest, written to benchmarks/results/bf16_steps.json.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from peers import HERE, machine, save, use_checkout

use_checkout()
sys.path.insert(0, str(HERE.parent / "tests"))

RESULT = HERE / "results" / "bf16_steps.json"
Gradients = list[np.ndarray]


def without_dropout(model: Any) -> Any:
    """Return the network, nothing dropped."""
    for module in model.modules():
        if type(module).__name__.startswith("Dropout"):
            module.p = 0.0
    return model


def errors(name: str, first: int) -> dict[str, float]:
    """{library: the largest error of five steps in bfloat16}, and PyTorch's in float32 from our reference."""
    import test_cuda_train as cases
    import torch
    from torch_cases import twin_of

    import tinymed

    build, shape, _, _ = cases.ALL[name]
    cases.ALL[name] = (lambda: without_dropout(build()), *cases.ALL[name][1:])
    try:
        true, states = cases.run(name, "numpy", first=first)
        with tinymed.use_precision("bf16"):
            ours, _ = cases.run(name, "numpy", states=states, first=first)
        model = cases.ALL[name][0]()
    finally:
        cases.ALL[name] = (build, *cases.ALL[name][1:])
    twin, order = twin_of(name, model).train(), [key for key, _ in model.named_parameters()]
    found: dict[str, list[Gradients]] = {"float32": [], "autocast": []}
    for i in range(cases.STEPS):
        x, y = cases.batch(first + i, shape, cases.ALL[name][2], model)
        for how, gradients in found.items():
            twin.load_state_dict({k: torch.tensor(v) for k, v in states[i].items()})
            twin.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=how == "autocast"):
                scores = twin(torch.tensor(x))
                if y.dtype == np.float32:
                    loss = torch.nn.functional.binary_cross_entropy_with_logits(scores, torch.tensor(y))
                else:
                    loss = torch.nn.functional.cross_entropy(scores, torch.tensor(y))
            loss.backward()
            own = {key: p.grad.numpy() for key, p in twin.named_parameters()}
            gradients.append([own[key] for key in order])
    reference = [step[1:] for step in true]
    return {
        "ours": worst([step[1:] for step in ours], reference),
        "torch": worst(found["autocast"], found["float32"]),
        "float32": worst(found["float32"], reference),
    }


def worst(steps: Sequence[Gradients], true: Sequence[Gradients]) -> float:
    """Return the largest difference of a gradient over its step's largest gradient."""
    shares = []
    for got, want in zip(steps, true, strict=True):
        off = max(float(np.abs(a - b).max()) for a, b in zip(got, want, strict=True))
        shares.append(off / max(float(np.abs(b).max()) for b in want))
    return max(shares)


def main() -> None:
    import test_cuda_train as cases

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=40, help="runs of five batches each")
    parser.add_argument(
        "--only", default="", help="names of networks, separated by commas; the others stay as they were"
    )
    o = parser.parse_args()
    rows: dict[str, Any] = json.loads(RESULT.read_text())["networks"] if RESULT.exists() else {}
    for name in [n for n in cases.ALL if not o.only or n in o.only.split(",")]:
        runs = [errors(name, 3000 + 10 * i) for i in range(o.batches)]
        rows[name] = {
            who: {
                "least": min(values := [run[who] for run in runs]),
                "median": statistics.median(values),
                "most": max(values),
            }
            for who in ("ours", "torch", "float32")
        } | {"runs": o.batches}
        shown = {who: [f"{v:.1e}" for v in rows[name][who].values()] for who in ("ours", "torch", "float32")}
        print(name, shown, flush=True)
        save(RESULT, {"machine": machine(), "networks": rows})


if __name__ == "__main__":
    main()
