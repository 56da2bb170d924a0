"""`tinymed export`: a trained run as an ONNX file."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .app import Computing, app, check_weights_name, examples

if TYPE_CHECKING:
    from ..train.run import Run


@app.command(
    cls=Computing,
    epilog=examples("tinymed export runs/dcnn-001", "tinymed export runs/dcnn-001 --out cells.onnx --opset 21"),
)
def export(
    run: Annotated[Path, typer.Argument(help="The run's folder.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="The file to write (model.onnx in the run's folder).")] = None,
    opset: Annotated[int, typer.Option(help="Version of the ONNX operators, 17 to 25.")] = 18,
    weights: Annotated[str | None, typer.Option(help="best or last (what the run keeps).")] = None,
    average_flips: Annotated[
        bool | None,
        typer.Option(
            "--average-flips/--no-average-flips",
            help="Average outputs over mirrors in the graph, as `tinymed predict` does (as the run).",
            show_default=False,
        ),
    ] = None,
    backend: Annotated[
        str | None, typer.Option(help="numba, loops, numpy, cuda, cupy or emulated (the run's).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Write a trained network as ONNX, with its classes and the preparation of images in the file's metadata.

    The network takes float32 images (N, channels, height, width) and gives logits; the metadata say how to prepare a
    picture and what the logits mean.  N is free.  A run that answers with means over mirrors does so in the file too,
    which costs two or four passes; --no-average-flips leaves them out.  Needs the onnx extra.
    """
    from .. import onnx
    from ..factories import randn
    from ..train.run import Run, choose_backend

    check_weights_name(weights)
    opened = Run.open(run)
    config = opened.config
    choose_backend(backend or config.backend)
    model, path = opened.load_model(weights), out or run / "model.onnx"
    model, told = opened.task.exported(config, model, average_flips)
    information = metadata(opened, weights or config.keep) | {f"tinymed.{key}": value for key, value in told.items()}
    example = randn(1, *opened.task.sees(config), seed=0, device="cpu")
    onnx.export(model.cpu(), example, path, opset=opset, metadata=information)
    written = {"file": str(path), "bytes": path.stat().st_size, "opset": opset, "metadata": information}
    if as_json:
        print(json.dumps(written))
        return
    print(f"{path}: {written['bytes']:,} bytes, opset {opset}")
    for key, value in information.items():
        print(f"  {key}: {value if isinstance(value, str) else json.dumps(value)}")


def metadata(run: "Run", weights: str) -> dict[str, Any]:
    """Return what a program needs beside the network: classes, how to prepare an image, what the outputs mean."""
    config = run.config
    told = run.task.export_metadata(config)
    result = {"model": config.model, "task": config.task, "weights": weights, "classes": config.data.classes, **told}
    return {f"tinymed.{key}": value for key, value in result.items()}
