"""`tinymed generate`: pictures that a trained generator draws."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UserError
from .app import Computing, app, check_weights_name, examples

COLUMNS = 12


@app.command(
    cls=Computing,
    epilog=examples("tinymed generate runs/dcgan-001", "tinymed generate runs/dcgan-001 --count 500 --out drawn"),
)
def generate(
    run: Annotated[Path, typer.Argument(help="The run's folder.", show_default=False)],
    count: Annotated[int, typer.Option(help="Pictures to draw.", min=1, max=100_000)] = 96,
    seed: Annotated[int, typer.Option(help="Of their latent numbers.", min=0)] = 0,
    out: Annotated[
        Path | None, typer.Option(help="A folder for a PNG each, new or empty; without it one grid, drawn.png in RUN.")
    ] = None,
    weights: Annotated[str | None, typer.Option(help="best or last (what the run keeps).")] = None,
    backend: Annotated[
        str | None, typer.Option(help="numba, loops, numpy, cuda, cupy or emulated (the run's).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Draw pictures with the generator of a run: a file each, or one grid of them.

    The same run, seed and number give the same picture, however many are drawn.
    """
    from ..files import refuse_occupied
    from ..report.samples import save_samples
    from ..train.run import Run, choose_backend

    check_weights_name(weights)
    opened = Run.open(run)
    if not hasattr(opened.task, "draw"):
        raise UserError(f"{run}: is a run of {opened.config.task}, which draws nothing; give one of --task generation")
    choose_backend(backend or opened.config.backend, opened.config.precision)
    if out is not None:
        refuse_occupied(out)
    pictures = opened.task.draw(opened.config, opened.load_model(weights), count, seed)
    if out is None:
        rows = [pictures[i : i + COLUMNS] for i in range(0, count, COLUMNS)]
        files = [save_samples(rows, run / "drawn.png")]
    else:
        files = [save_samples([pictures[i : i + 1]], out / f"{i + 1:05d}.png") for i in range(count)]
    if as_json:
        print(json.dumps({"run": str(run), "count": count, "seed": seed, "files": [str(file) for file in files]}))
        return
    print(f"{count} pictures drawn: {out or files[0]}")
