"""Inference on one thread: ours, captured, beside PyTorch, ONNX Runtime and OpenVINO, images one by one and by eight.

    python benchmarks/inference.py [--only "resnet50"] [--rounds 5] [--before FOLDER]

The papers' CNN on 3x64x64, ResNet-50, DenseNet-121, Xception and VGG-16 on 3x224x224, U-Net (base 32, batch norm) on
1x128x128.  ONNX Runtime and OpenVINO run the file that tinymed exports; PyTorch the networks of the tests.  --before
adds the tinymed of another checkout, in the same rounds.  Written to benchmarks/results/inference.json: processor time
of a call, interleaved; memory at the peak.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from models import MALLOC, RESULTS
from peers import Absent, Peer, as_json, compare, machine, save, table, traps

ROOT = Path(__file__).resolve().parent.parent
LARGE = {"shape": (3, 224, 224), "options": {"num_classes": 1000}}
NETWORKS: dict[str, dict[str, Any]] = {
    "dcnn 3x64x64": {
        "network": "dcnn",
        "shape": (3, 64, 64),
        "options": {"num_classes": 2, "in_channels": 3, "size": 64, "padding": "same"},
        "calls": 40,
    },
    "resnet50 3x224x224": {"network": "resnet50", **LARGE},
    "densenet121 3x224x224": {"network": "densenet121", **LARGE},
    "xception 3x224x224": {"network": "xception", **LARGE},
    "vgg16 3x224x224": {"network": "vgg16", **LARGE},
    "unet, base 32 1x128x128": {
        "network": "unet_bn",
        "shape": (1, 128, 128),
        "options": {"num_classes": 2, "in_channels": 1, "base": 32},
    },
}
TASKS = {
    f"{name} b{batch}": task | {"batch": batch, "calls": max(1, task.get("calls", 1) // batch)}
    for name, task in NETWORKS.items()
    for batch in (1, 8)
}


def images(task: dict[str, Any]) -> Any:
    """Return seeded images."""
    import numpy as np

    return np.random.default_rng(0).standard_normal((task["batch"], *task["shape"])).astype(np.float32)


def repeated(task: dict[str, Any], call: Any) -> Any:
    """Return a function that makes as many calls as the task says: a turn must outlast the clock's grain."""

    def turn() -> Any:
        for _ in range(task["calls"]):
            result = call()
        return result

    return turn


def ours(task: dict[str, Any]) -> Any:
    """Return our network, evaluating, with statistics that fit the images."""
    import tinymed
    from tinymed import models

    tinymed.manual_seed(0)
    model = models.create(task["network"], **task["options"])
    with tinymed.no_grad():
        model(tinymed.tensor(images(task | {"batch": 2})))
    return model.eval()


def make_captured(task: dict[str, Any]) -> Any:
    """Ours, through tinymed.capture."""
    import tinymed

    model, x = ours(task), tinymed.tensor(images(task))
    run = tinymed.capture(lambda x: model(x))

    def infer() -> Any:
        with tinymed.no_grad():
            return run(x).numpy()

    return repeated(task, infer)


def exported(task: dict[str, Any]) -> bytes:
    """Return our network as ONNX, with one size of batch."""
    import tinymed
    from tinymed import onnx

    with tempfile.TemporaryDirectory() as folder, tinymed.use_backend("numpy"):
        path = Path(folder) / "model.onnx"
        onnx.export(ours(task), tinymed.tensor(images(task)), path, dynamic_batch=False)
        return path.read_bytes()


def make_onnxruntime(task: dict[str, Any]) -> Any:
    """ONNX Runtime."""
    try:
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise Absent(str(error)) from error
    from twins_onnx import session

    x, opened = images(task), session(exported(task), task["threads"])
    name = opened.get_inputs()[0].name
    return repeated(task, lambda: opened.run(None, {name: x})[0])


def make_openvino(task: dict[str, Any]) -> Any:
    """OpenVINO, for latency."""
    try:
        import openvino
    except ImportError as error:
        raise Absent(str(error)) from error
    settings = {
        "INFERENCE_NUM_THREADS": task["threads"],
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(exported(task)), "CPU", settings)
    request, x = compiled.create_infer_request(), images(task)
    return repeated(task, lambda: next(iter(request.infer([x]).values())))


def twin(torch: Any, task: dict[str, Any]) -> Any:
    """Return the network in PyTorch."""
    sys.path.append(str(ROOT / "tests"))
    import torch_classification as networks
    import twins

    name, classes = task["network"], task["options"]["num_classes"]
    made = {
        "dcnn": lambda: twins.dcnn(torch, channels=3, size=64, padding=1),
        "resnet50": lambda: networks.resnet50((64, 128, 256, 512), classes, False),
        "densenet121": lambda: networks.densenet121(32, classes),
        "xception": lambda: networks.xception(lambda n: n, classes),
        "vgg16": lambda: networks.vgg(networks.D, lambda n: n, classes, False),
        "unet_bn": lambda: twins.unet(torch, classes, 1, base=32),
    }
    return made[name]()


def make_torch(task: dict[str, Any], layout: str = "contiguous_format") -> Any:
    """PyTorch, NCHW."""
    import torch

    torch.set_num_threads(task["threads"])
    torch.manual_seed(0)
    memory_format = getattr(torch, layout)
    model = twin(torch, task).eval().to(memory_format=memory_format)
    x = torch.from_numpy(images(task)).contiguous(memory_format=memory_format)

    def infer() -> Any:
        with torch.inference_mode():
            return model(x).numpy()

    return repeated(task, infer)


def make_torch_channels_last(task: dict[str, Any]) -> Any:
    """PyTorch, channels last."""
    return make_torch(task, "channels_last")


PEERS = [
    Peer("torch eager NCHW", "inference", "make_torch"),
    Peer("torch channels_last, malloc", "inference", "make_torch_channels_last", MALLOC),
    Peer("onnxruntime", "inference", "make_onnxruntime"),
    Peer("openvino", "inference", "make_openvino"),
    Peer("tinymed captured", "inference", "make_captured", {"TINYMED_BACKEND": "numba"}),
]


def before(folder: Path) -> Peer:
    """Return the tinymed of another checkout as a peer."""
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    return Peer("tinymed before", "inference", "make_captured", {"TINYMED_BACKEND": "numba", "PYTHONPATH": path})


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="part of a task's name")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--before", type=Path, help="another checkout, measured beside")
    parser.add_argument("--out", type=Path, default=RESULTS / "inference.json")
    o = parser.parse_args()
    kept = json.loads(o.out.read_text())["tasks"] if o.out.exists() else {}
    head = {"machine": machine(), "traps": traps(1), "threads": 1}
    for name, task in TASKS.items():
        if o.only in name:
            absent: dict[str, str] = {}
            peers = [*PEERS, *([before(o.before)] if o.before else [])]
            results = compare(peers, task, 1, o.rounds, absent=absent)
            load = round(os.getloadavg()[0], 1)
            kept[name] = {"peers": as_json(results), "commit": head["machine"]["commit"], "load": load}
            kept[name] |= {"absent": absent} if absent else {}
            save(o.out, head | {"tasks": kept})
            print(
                f"\n{name}\n{table(results)}", *(f"{peer}: {why}" for peer, why in absent.items()), sep="\n", flush=True
            )


if __name__ == "__main__":
    main()
