"""`tinymed predict`: what a trained run says of each image."""

import json
from pathlib import Path
from typing import Annotated

import typer

from .app import WRONG_INPUT, Computing, app, check_weights_name, complain, examples
from .options import CRF_HELP, STEPS_HELP


@app.command(
    cls=Computing,
    epilog=examples(
        "tinymed predict runs/dcnn-001 cell.png",
        "tinymed predict runs/dcnn-001 *.png --json",
        "tinymed predict runs/dcnn-001 DIR --csv predictions.csv",
        "tinymed predict runs/dcnn-001 *.png --calibrated --threshold",
        "tinymed predict runs/unet_bn-001 *.png --out masks --overlays",
        "tinymed predict runs/unet_bn-001 *.png --out masks --postprocess auto",
        "tinymed predict runs/unet3d-001 SERIES_FOLDER --out masks --masks dicom-seg",
    ),
)
def predict(
    run: Annotated[Path, typer.Argument(help="The run's folder.", show_default=False)],
    images: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.", show_default=False)],
    weights: Annotated[str | None, typer.Option(help="best or last (what the run keeps).")] = None,
    backend: Annotated[
        str | None, typer.Option(help="numba, loops, numpy, cuda, cupy or emulated (the run's).")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for masks, boxes and pictures.")] = None,
    overlays: Annotated[bool, typer.Option("--overlays", help="Also write pictures of mask on image.")] = False,
    postprocess: Annotated[
        str | None, typer.Option(help=STEPS_HELP.replace("chooses", "takes what was chosen"))
    ] = None,
    crf: Annotated[str | None, typer.Option(help=CRF_HELP.replace("chooses", "takes what was chosen"))] = None,
    masks: Annotated[
        str | None,
        typer.Option(help="Of a segmentation: write masks as png, nifti or dicom-seg (as the images are)."),
    ] = None,
    calibrated: Annotated[
        bool, typer.Option("--calibrated", help="Use the temperature that evaluate --calibrate kept with the run.")
    ] = False,
    threshold: Annotated[
        bool, typer.Option("--threshold", help="Decide by the threshold that evaluate --threshold kept with the run.")
    ] = False,
    listing: Annotated[
        Path | None, typer.Option("--csv", help="Write the answers here, a row an image.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list and nothing else.")] = False,
) -> None:
    """Say what a trained run makes of images: a class, a grade, a number, findings, a mask or boxes.

    An unreadable image is named on stderr, and the exit code is then 2.  Of a run that takes several files a case, give
    them separated by commas.
    """
    from ..train.run import Run, choose_backend
    from .predicting import expand, list_predictions

    check_weights_name(weights)
    opened = Run.open(run)
    opened.task.check_answers(run)
    choose_backend(backend or opened.config.backend, opened.config.precision)
    volumes = len(opened.task.sees(opened.config)) > 3 or getattr(opened.config.data, "planes", False)
    model, given = opened.load_model(weights), (expand(images, volumes), out, overlays)
    if postprocess is None and crf is None and masks is None:
        found = opened.task.predict(opened.folder, opened.config, model, *given)
    else:
        found = opened.task.predict_refined(opened.folder, opened.config, model, *given, (postprocess, crf), masks)
    if calibrated or threshold:
        from .decision import decided

        found = decided(opened, weights, found, calibrated, threshold)
    for error in found.errors:
        complain(error, WRONG_INPUT)
    if listing is not None:
        list_predictions(listing, found.rows)
    if as_json:
        print(json.dumps(found.rows))
    else:
        print("".join(f"{line}\n" for line in found.lines), end="")
    if found.errors:
        raise typer.Exit(WRONG_INPUT)
