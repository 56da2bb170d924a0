"""`tinymed predict`: a label and its percentage for each image."""

import json
from pathlib import Path
from typing import Annotated

import typer

from .app import WRONG_INPUT, app, complain, examples


@app.command(epilog=examples("tinymed predict runs/dcnn-001 cell.png", "tinymed predict runs/dcnn-001 *.png --json"))
def predict(
    run: Annotated[Path, typer.Argument(help="The run's folder.", show_default=False)],
    images: Annotated[list[Path], typer.Argument(help="Image files.", show_default=False)],
    weights: Annotated[str | None, typer.Option(help="best or last (what the run keeps).")] = None,
    backend: Annotated[str | None, typer.Option(help="numba or numpy (the run's).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list and nothing else.")] = False,
) -> None:
    """Classify images with a trained run.  An unreadable one is named on stderr, and the exit code is then 2."""
    from ..errors import UserError
    from ..train.run import Run, choose_backend

    opened = Run.open(run)
    choose_backend(backend or opened.config.backend)
    model, classes = opened.load_model(weights), opened.config.data.classes
    results, code = [], 0
    for image in images:
        try:
            scores = opened.predict(model, [image])[0]
        except UserError as error:
            code = complain(str(error).partition("; ")[0], WRONG_INPUT)
            continue
        best = int(scores.argmax())
        results.append({
            "image": str(image), "label": classes[best], "percentage": round(100 * float(scores[best]), 4),
            "scores": {name: float(score) for name, score in zip(classes, scores, strict=True)},
        })  # fmt: skip
    if as_json:
        print(json.dumps(results))
    else:
        for row in results:
            print(f"{row['image']}: {row['label']} {row['percentage']:.2f} %")
    if code:
        raise typer.Exit(code)
