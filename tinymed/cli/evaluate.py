"""`tinymed evaluate`: a trained run on a set of images."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UserError
from .app import app, check_weights_name, examples, say
from .options import CRF_HELP, STEPS_HELP


@app.command(
    epilog=examples(
        "tinymed evaluate runs/dcnn-001",
        "tinymed evaluate runs/dcnn-001 --data DIR --split test",
        "tinymed evaluate runs/dcnn-001 --data DIR --json > result.json",
        "tinymed evaluate runs/unet-001 --postprocess auto --crf auto",
        "tinymed evaluate runs/unet-001 --postprocess largest,fill --crf w=4,d=40,c=15",
    )
)
def evaluate(
    run: Annotated[Path, typer.Argument(help="The run's folder.", show_default=False)],
    data: Annotated[str | None, typer.Option(help="Images as for train; without it the run's own.")] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Which part: train, val or test (test if there is one; a folder without parts is taken whole)."
        ),
    ] = None,
    weights: Annotated[str | None, typer.Option(help="best or last (what the run keeps).")] = None,
    backend: Annotated[
        str | None, typer.Option(help="numba, loops, numpy, cuda, cupy or emulated (the run's).")
    ] = None,
    postprocess: Annotated[str | None, typer.Option(help=STEPS_HELP)] = None,
    crf: Annotated[str | None, typer.Option(help=CRF_HELP)] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave unreadable images out and list them.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Measure a trained run on a set of images, by the measures of its task, with intervals and floors."""
    from ..train.run import Run, choose_backend

    check_weights_name(weights)
    opened = Run.open(run)
    choose_backend(backend or opened.config.backend)
    if skip_bad and data is None:
        raise UserError("--skip-bad: has no effect here: the run's own images are what they were; it is of --data")
    dataset = opened.images(data, split, skip_bad)
    for name, reason in dataset.skipped:
        say(f"skipped {name}: {reason}")
    if postprocess is None and crf is None:
        result, _ = opened.measure(opened.load_model(weights), dataset)
    else:
        result = opened.measure_refined(opened.load_model(weights), dataset, postprocess, crf)
    if data is not None and dataset.split == "all" and str(Path(data).absolute()) == opened.config.data.path:
        say("note: these include the images that the run was trained on; without --data its own test part is measured")
    result = {"run": str(run), "model": opened.config.model, "data": dataset.source, "split": dataset.split, **result}
    if as_json:
        print(json.dumps(result, allow_nan=False))
        return
    title = f"{opened.config.model} on {dataset.source or 'data'} [{dataset.split}]"
    print(opened.task.text(opened.config, result, title))
