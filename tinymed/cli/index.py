"""`tinymed index`: the embeddings of a set of pictures by a trained run, to be searched."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import UserError
from .app import Computing, app, check_weights_name, examples, say


@app.command(
    cls=Computing,
    epilog=examples(
        "tinymed index runs/dcnn-001",
        "tinymed index runs/dcnn-001 DIR --out archive --layer features",
        "tinymed index runs/dcnn-001 DIR --out archive --unlabelled --json",
    ),
)
def index(
    run: Annotated[Path, typer.Argument(help="The run's folder.", show_default=False)],
    data: Annotated[str | None, typer.Argument(help="Images as for train (the run's own).", show_default=False)] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the index, new or empty (RUN/index).")] = None,
    layer: Annotated[
        str | None,
        typer.Option(help="Layer of the embedding (a retrieval's output; else what the last linear layer is given)."),
    ] = None,
    spatial: Annotated[str, typer.Option(help="What becomes of maps and tokens: mean, max or flatten.")] = "mean",
    split: Annotated[str | None, typer.Option(help="Which part: train, val or test (all of them).")] = None,
    unlabelled: Annotated[
        bool, typer.Option("--unlabelled", help="Take every picture below DATA, whatever its label.")
    ] = False,
    weights: Annotated[str | None, typer.Option(help="best or last (what the run keeps).")] = None,
    backend: Annotated[
        str | None, typer.Option(help="numba, loops, numpy, cuda, cupy or emulated (the run's).")
    ] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave unreadable images out and list them.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Write down where a trained run's network puts each picture, for `tinymed search`.

    Leaves index.safetensors (a unit vector a picture) and names.csv (path, label, patient, part).
    """
    from ..retrieval.build import SPATIAL, build_index, check_run, choose_layer
    from ..train.run import Run, choose_backend

    check_weights_name(weights)
    if spatial not in SPATIAL:
        raise UserError(f"--spatial {spatial!r}: choose one of {', '.join(SPATIAL)}")
    opened = Run.open(run)
    choose_backend(backend or opened.config.backend, opened.config.precision)
    folder = out or run / "index"
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: exists and is not an empty folder; give another --out")
    model = opened.load_model(weights)
    check_run(opened, model)
    place = choose_layer(opened, model, layer)
    sets = read_sets(opened, data, unlabelled, skip_bad)
    if split is not None and split not in sets:
        raise UserError(f"--split {split}: the data have {', '.join(sets)}")
    chosen = list(sets.values()) if split is None else [sets[split]]
    for part in chosen:
        for name, reason in part.skipped:
            say(f"skipped {name}: {reason}")
    made = build_index(
        opened,
        model,
        chosen,
        layer=place,
        spatial=spatial,
        weights=weights or opened.config.keep,
        root=data if data is not None else opened.config.data.path,
    )
    made.save(folder)
    n, d = made.rows.shape
    if as_json:
        print(json.dumps({"index": str(folder), "images": n, "dimensions": d, "layer": str(place)}))
        return
    print(f"{folder}: {n:,} pictures, {d:,} numbers each, of {place}")


def read_sets(opened: Any, data: str | None, unlabelled: bool, skip_bad: bool) -> dict[str, Any]:
    """Return the parts of a path, or of the run's own data.  Raises UserError."""
    from ..data.pictures import open_pictures

    if data is None:
        given = {"--unlabelled": unlabelled, "--skip-bad": skip_bad}
        for option in [name for name, value in given.items() if value]:
            raise UserError(f"{option}: has no effect here: the run's own images are what they were; it is of DATA")
        return dict(opened.splits())
    if unlabelled:
        return dict(open_pictures(data, skip_bad=skip_bad, leaks="ignore", **opened.config.data.reading()))
    return dict(opened.task.open_path(opened.config, data, skip_bad))
