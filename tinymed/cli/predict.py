"""`tinymed predict`: a label and its percentage for each image."""

import json
from pathlib import Path
from typing import Annotated

import typer

from .app import WRONG_INPUT, app, complain, examples


@app.command(
    epilog=examples(
        "tinymed predict runs/dcnn-001 cell.png",
        "tinymed predict runs/dcnn-001 *.png --json",
        "tinymed predict runs/unet_small-001 *.png --out masks --overlays",
    )
)
def predict(
    run: Annotated[Path, typer.Argument(help="The run's folder.", show_default=False)],
    images: Annotated[list[Path], typer.Argument(help="Image files.", show_default=False)],
    weights: Annotated[str | None, typer.Option(help="best or last (what the run keeps).")] = None,
    backend: Annotated[str | None, typer.Option(help="numba, numpy, cuda, cupy or emulated (the run's).")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for masks, boxes and pictures.")] = None,
    overlays: Annotated[bool, typer.Option("--overlays", help="Also write pictures of mask on image.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list and nothing else.")] = False,
) -> None:
    """Classify or segment images, or find objects in them, with a trained run.

    An unreadable image is named on stderr, and the exit code is then 2.  Of a run that takes several files a case, give
    them separated by commas.
    """
    from ..errors import UserError
    from ..train.run import Run, choose_backend

    opened = Run.open(run)
    choose_backend(backend or opened.config.backend)
    model, classes = opened.load_model(weights), opened.config.data.classes
    if opened.config.task == "segmentation":
        from .segmenting import segment_files, show_masks

        rows = segment_files(opened, model, [str(image) for image in images], out, overlays)
        raise typer.Exit(show_masks(rows, as_json))
    if opened.config.task == "detection":
        from .detecting import find_boxes

        raise typer.Exit(find_boxes(opened, model, images, out, overlays, as_json))
    results, code = [], 0
    for image in images:
        try:
            scores = opened.predict(model, [image])[0]
        except UserError as error:
            code = complain(str(error).partition("; ")[0], WRONG_INPUT)
            continue
        best = int(scores.argmax())
        results.append(
            {
                "image": str(image),
                "label": classes[best],
                "percentage": round(100 * float(scores[best]), 4),
                "scores": {name: float(score) for name, score in zip(classes, scores, strict=True)},
            }
        )
    if as_json:
        print(json.dumps(results))
    else:
        for row in results:
            print(f"{row['image']}: {row['label']} {row['percentage']:.2f} %")
    if code:
        raise typer.Exit(code)
