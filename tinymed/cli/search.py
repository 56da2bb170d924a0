"""`tinymed search`: the pictures of an index that are most like others."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import UserError, printable
from .app import WRONG_INPUT, Computing, app, complain, examples, say


@app.command(
    cls=Computing,
    epilog=examples(
        "tinymed search runs/dcnn-001 cell.png",
        "tinymed search archive cell.png --count 10 --out found.png",
        "tinymed search archive *.png --patient P17 --json",
    ),
)
def search(
    where: Annotated[Path, typer.Argument(help="An index, or a run whose index is in it.", show_default=False)],
    images: Annotated[list[Path], typer.Argument(help="Image files.", show_default=False)],
    index: Annotated[
        Path | None, typer.Option(help="The index, where the first argument is a run (RUN/index).")
    ] = None,
    run: Annotated[Path | None, typer.Option(help="The run, if it is no longer where the index was made.")] = None,
    count: Annotated[int, typer.Option("--count", "-k", help="How many neighbours.", min=1, max=1000)] = 5,
    patient: Annotated[str, typer.Option(help="Patient of the images, whose own pictures are left out.")] = "",
    same_patient: Annotated[
        bool, typer.Option("--same-patient", help="Also pictures of the same patient, where patients are known.")
    ] = False,
    backend: Annotated[
        str | None, typer.Option(help="numba, loops, numpy, cuda, cupy or emulated (the run's).")
    ] = None,
    out: Annotated[Path, typer.Option(help="Picture of the neighbours, a PNG.")] = Path("neighbours.png"),
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list and nothing else.")] = False,
) -> None:
    """Find the pictures of an index that are most like others, by the cosine of their embeddings.

    A picture that is in the index itself is not its own neighbour, and no other of its patient is either. An unreadable
    image is named on stderr, and the exit code is then 2.
    """
    from ..report.neighbours import save_neighbours
    from ..retrieval.build import embed_query, read_query
    from ..retrieval.index import Index, shown
    from ..retrieval.neighbours import drawn_row
    from ..train.run import Run, choose_backend

    if out.suffix.lower() != ".png":
        raise UserError(f"--out {out}: the picture is a PNG; give a name that ends in .png")
    folder, run_folder = find_index(where, index, run)
    opened_index = Index.load(folder)
    opened = Run.open(run_folder or Path(str(opened_index.about.get("run"))))
    choose_backend(backend or opened.config.backend, opened.config.precision)
    model = opened.load_model(opened_index.about.get("weights"))
    opened_index.check_model(model, folder, opened.folder)
    data = opened.config.data
    results: list[dict[str, Any]] = []
    pictures = []
    failed = False
    for image in images:
        try:
            pixels, key = read_query(image, data)
        except UserError as error:
            complain(str(error).partition("; ")[0], WRONG_INPUT)
            failed = True
            continue
        left_out = opened_index.excluded(key, patient, keep_patient=same_patient)
        found = opened_index.search(embed_query(model, pixels, data, opened_index.about), count, left_out)
        near = [opened_index.entries[f.place]._asdict() | {"cosine": f.cosine} for f in found]
        results.append({"image": printable(image), "left_out": int(left_out.sum()), "neighbours": near})
        pictures.append(drawn_row(opened_index, image, pixels, found))
        if not as_json:
            note = f" ({int(left_out.sum())} left out: itself or its patient's)" if left_out.any() else ""
            print(f"{printable(image)}{note}")
            for rank, f in enumerate(found, start=1):
                print(f"  {rank:3}  {f.cosine:.4f}  {shown(opened_index.entries[f.place])}")
    if pictures:
        save_neighbours(pictures, out)
        say(f"picture: {out}")
    if as_json:
        print(json.dumps(results))
    if failed:
        raise typer.Exit(WRONG_INPUT)


def find_index(where: Path, index: Path | None, run: Path | None) -> tuple[Path, Path | None]:
    """Return (the index, the run or None where the index says which).  Raises UserError for options that conflict."""
    from ..retrieval.index import ROWS
    from ..train.transfer import CONFIG

    if (where / CONFIG).is_file():
        if run is not None:
            raise UserError(f"--run: has no effect here: {where} is a run itself; it is of an index")
        return index or where / "index", where
    if index is not None:
        raise UserError(f"--index: is of a run, and {where} is none")
    if not (where / ROWS).is_file():
        raise UserError(f"{where}: neither a run nor an index; make one with `tinymed index RUN DATA --out DIR`")
    return where, run
