"""`tinymed features`: rows of numbers that stand for images, from layers of runs and descriptors."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import UserError
from .app import Computing, app, examples, say


@app.command(
    cls=Computing,
    epilog=examples(
        "tinymed features runs/dcnn-001",
        "tinymed features runs/dcnn-001 DIR --layer features --layer classifier.0 --l2 --out rows.npz",
        "tinymed features runs/dcnn-001 --concat hog --concat runs/dcnn-002:classifier.2 --l2",
        "tinymed features runs/dcnn-001 --codes 128 --out codes.csv",
    ),
)
def features(
    run: Annotated[Path, typer.Argument(help="The run's folder.", show_default=False)],
    data: Annotated[
        str | None, typer.Argument(help="Images as for train; without them the run's own.", show_default=False)
    ] = None,
    layer: Annotated[
        list[str] | None,
        typer.Option(help="Layer of the run's network; may be repeated (what its last linear layer is given)."),
    ] = None,
    concat: Annotated[
        list[str] | None,
        typer.Option(help="A descriptor, RUN or RUN:LAYER whose columns stand beside; may be repeated."),
    ] = None,
    l2: Annotated[bool, typer.Option("--l2", help="Divide each source's row by its length.")] = False,
    spatial: Annotated[str, typer.Option(help="Of maps: mean or max over places, or flatten.")] = "mean",
    codes: Annotated[
        int | None, typer.Option(help="Learn so many bits on the training part, and write these.", show_default=False)
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Which part: train, val or test (every one).", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A .npz or .csv file (features.npz in the run's folder).")] = None,
    seed: Annotated[int | None, typer.Option(help="Of --codes and words (the run's).", show_default=False)] = None,
    backend: Annotated[
        str | None, typer.Option(help="numba, loops, numpy, cuda, cupy or emulated (the run's).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Write the features of images: layers of a trained network, further runs and hand-made descriptors beside them.

    Descriptors are gist, glcm, histogram, hog, lbp, pixels and words, of images as the run's network sees them; the
    dictionary of words is learnt on the training part.  The file has the name, the label and the part of each image
    beside its row.
    """
    from ..features.output import check_format, write_table
    from ..features.sources import AT, Sources
    from ..train.run import Run, choose_backend

    opened = Run.open(run)
    choose_backend(backend or opened.config.backend, opened.config.precision)
    target = out or run / "features.npz"
    check_format(target)
    own = [f"{run}{AT}{name}" for name in layer or ()] or [str(run)]
    sources = Sources([*own, *(concat or ())], spatial, l2)  # type: ignore[arg-type]
    if seed is not None and codes is None and not sources.learns:
        raise UserError("--seed: has no effect here: only --codes and words draw")
    seed = opened.config.seed if seed is None else seed
    sets = parts_of(opened, data)
    asked = {split: opened.task.choose_part(sets, split, data or str(run), own=data is None)} if split else sets
    if sources.learns:
        given = opened.config.data
        sources.learn(train_part(opened, sets)[0], given.size, given.channels, seed, opened.config.workers)
    table = rows_of(opened, sources, asked, data)
    result: dict[str, Any] = {"run": str(run), "sources": str(sources), "file": str(target)}
    if codes is not None:
        learned, where = learn_codes(opened, sources, sets, codes, seed)
        table = table._replace(kind="codes", rows=learned.encode(table.rows))
        result |= {"learned_on": where, "energies": learned.energies}
    write_table(target, table)
    result |= {"kind": table.kind, "images": len(table.rows), "columns": table.rows.shape[1]}
    if as_json:
        print(json.dumps(result))
        return
    if codes is not None:
        energies = result["energies"]
        say(f"bits learned on {result['learned_on']}: energy {energies[0]:.4g} before, {energies[-1]:.4g} after")
    print(f"{table.kind} of {sources}: {len(table.rows):,} images, {table.rows.shape[1]:,} columns, in {target}")


def parts_of(run: Any, data: str | None) -> dict[str, Any]:
    """Return the sets of images of a path, or the run's own.  Raises UserError for what is not pictures."""
    from ..data.dataset import Dataset

    sets: dict[str, Any] = run.splits() if data is None else run.task.open_path(run.config, data)
    for dataset in sets.values():
        if not isinstance(dataset, Dataset) or len(run.task.sees(run.config)) != 3:
            raise UserError(f"{run.folder}: its network sees volumes, and features are of pictures; choose another run")
    return sets


def rows_of(run: Any, sources: Any, sets: dict[str, Any], data: str | None) -> Any:
    """Return the rows of sets of images, one set after the other, as a table."""
    import numpy as np

    from ..features.output import Table
    from ..report.paths import below

    config = run.config.data
    root = data or config.path
    rows, names, labels, splits = [], [], [], []
    for part, dataset in sets.items():
        rows.append(sources.rows(dataset, config.size, config.channels, run.config.workers))
        names += [below(dataset.name(i), root) for i in range(len(dataset))]
        labels += [dataset.label_text(i) for i in range(len(dataset))]
        splits += [part] * len(dataset)
    return Table("features", np.concatenate(rows), names, labels, splits)


def train_part(run: Any, sets: dict[str, Any]) -> tuple[Any, str]:
    """Return (the training part of the images, or of the run's own, and which that is)."""
    if "train" in sets:
        return sets["train"], "the train part"
    return run.splits()["train"], "the train part of the run's own images"


def learn_codes(run: Any, sources: Any, sets: dict[str, Any], bits: int, seed: int) -> tuple[Any, str]:
    """Return (bits learned on the training part of the images, or of the run's own, and which that was)."""
    from ..features.codes import BinaryCodes

    train, where = train_part(run, sets)
    if not train.tells_classes:
        raise UserError(f"--codes: bits are learned from classes, and the images of {run.folder} have none")
    config = run.config.data
    rows = sources.rows(train, config.size, config.channels, run.config.workers)
    return BinaryCodes(bits, seed=seed).fit(rows, train.labels, len(train.classes)), where
