"""`tinymed export`: a trained run as an ONNX file."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UserError
from .app import app, examples

if TYPE_CHECKING:
    from ..train.config import RunConfig

PICTURES = "Pillow BILINEAR (the triangle filter, widened when shrinking), on 8-bit values"


@app.command(
    epilog=examples("tinymed export runs/dcnn-001", "tinymed export runs/dcnn-001 --out cells.onnx --opset 21")
)
def export(
    run: Annotated[Path, typer.Argument(help="The run's folder.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="The file to write (model.onnx in the run's folder).")] = None,
    opset: Annotated[int, typer.Option(help="Version of the ONNX operators, 17 to 25.")] = 18,
    weights: Annotated[str | None, typer.Option(help="best or last (what the run keeps).")] = None,
    backend: Annotated[str | None, typer.Option(help="numba, numpy, cuda, cupy or emulated (the run's).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Write a trained network as ONNX, with its classes and the preparation of images in the file's metadata.

    The network takes float32 images (N, channels, height, width) and gives logits; the metadata say how to prepare a
    picture and what the logits mean.  N is free.  Needs the onnx extra.
    """
    from .. import onnx
    from ..factories import randn
    from ..train.run import Run, choose_backend

    if weights not in (None, "best", "last"):
        raise UserError(f"--weights is best or last, got {weights!r}")
    opened = Run.open(run)
    config = opened.config
    choose_backend(backend or config.backend)
    model, path = opened.load_model(weights), out or run / "model.onnx"
    sides = config.mask.patch or [config.data.size] * 2
    information = metadata(config, weights or config.keep)
    example = randn(1, config.data.channels, *sides, seed=0, device="cpu")
    onnx.export(model.cpu(), example, path, opset=opset, metadata=information)
    found = {"file": str(path), "bytes": path.stat().st_size, "opset": opset, "metadata": information}
    if as_json:
        print(json.dumps(found))
        return
    print(f"{path}: {found['bytes']:,} bytes, opset {opset}")
    for key, value in information.items():
        print(f"  {key}: {value if isinstance(value, str) else json.dumps(value)}")


def metadata(config: "RunConfig", weights: str) -> dict[str, Any]:
    """What a program needs beside the network: classes, how to prepare an image, what the outputs mean."""
    data = config.data
    volume = config.task == "segmentation" and config.mask.dimensions == 3
    patch = config.mask.patch
    steps = {
        "layout": "N, channels, " + ("depth, height, width" if volume else "height, width"),
        "channels": data.channels,
        "colour": "as stored" if volume else {1: "grey", 3: "RGB"}.get(data.channels, "as stored"),
        "size": patch or [data.size, data.size],
        "resize": "none: patches, cut out and put together" if patch else PICTURES,
        "scale": "none" if volume else "divide 8-bit values by 255",
        "normalise": "each channel: less its mean, over its standard deviation" if volume else "(x - mean) / std",
        "mean": None if volume else data.mean or 0.0,
        "std": None if volume else data.std or 1.0,
    }
    found: dict[str, Any] = {"tinymed.model": config.model, "tinymed.task": config.task, "tinymed.weights": weights}
    found |= {"tinymed.classes": data.classes, "tinymed.positive": config.positive, "tinymed.preparation": steps}
    if config.task == "detection":
        from ..train.detection import LIMIT, PRIOR

        boxes = config.boxes.model_dump(include={"reference", "smooth", "least", "suppress"})
        found["tinymed.boxes"] = {"background_prior": PRIOR, "log_limit": LIMIT, **boxes}
    return found | {"tinymed.scores": MEANING[config.task if config.task in MEANING else config.head]}


MEANING = {
    "sigmoid": "sigmoid of each output; the largest is the answer",
    "softmax": "softmax over the outputs; the largest is the answer",
    "own": "the largest output is the answer",
    "segmentation": "softmax over axis 1, one channel a class; of a single channel the sigmoid is the foreground's",
    "detection": "the first 1 + classes channels are the background's and the classes': softmax, with background_prior "
    "added to the first; the last two, at most log_limit either way, are the logarithms of a box's width and height "
    "over those of its class's reference, which are shares of the image",
}
