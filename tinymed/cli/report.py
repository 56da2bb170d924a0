"""`tinymed report`: a run or a cross-validation as one page, or as tables for an article."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UserError
from .app import Computing, app, examples, say

if TYPE_CHECKING:
    from ..report.document import Document

FORMATS = {"html": ".html", "markdown": ".md", "latex": ".tex"}
MOST = 12  # cases of each kind


@app.command(
    cls=Computing,
    epilog=examples(
        "tinymed report runs/dcnn-001",
        "tinymed report runs/dcnn-001 --subgroup sex --explain hires_cam --out report.html",
        "tinymed report runs/cv --out cv.html",
        "tinymed report runs/dcnn-001 --format latex --out tables.tex",
    ),
)
def report(
    run: Annotated[Path, typer.Argument(help="The folder of a run or of a cross-validation.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="The file (report.html, .md or .tex in the folder).", show_default=False)
    ] = None,
    form: Annotated[str, typer.Option("--format", help="html, or only tables: markdown or latex.")] = "html",
    cases: Annotated[int | None, typer.Option(help="Worst, and as many typical cases (4).", show_default=False)] = None,
    method: Annotated[
        str | None,
        typer.Option(
            "--explain", help="Maps of the cases: a method of explain, or none (grad_cam).", show_default=False
        ),
    ] = None,
    subgroup: Annotated[
        list[str] | None, typer.Option(help="Measure each value of a column of the list; may be repeated.")
    ] = None,
    backend: Annotated[
        str | None, typer.Option(help="numba, loops, numpy, cuda, cupy or emulated (the run's).", show_default=False)
    ] = None,
) -> None:
    """Write one self-contained page about a run or a cross-validation: data card, results with intervals, checklist.

    The page has no script and asks for nothing from outside; it prints well.  What cannot be told stands there with
    its reason.  The division of the images, by patient or by image, stands in the first lines.
    """
    from ..files import write_atomic
    from ..report.page import to_html
    from ..report.plain_formats import to_latex, to_markdown

    if form not in FORMATS:
        raise UserError(f"--format {form!r} is unknown; choose one of {', '.join(FORMATS)}")
    document = gathered(run, form, cases, method, subgroup or [], backend)
    text = {"html": to_html, "markdown": to_markdown, "latex": to_latex}[form](document)
    path = out or run / f"report{FORMATS[form]}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, [text.encode("utf-8")])
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None
    say(f"report: {path}")


def gathered(
    folder: Path, form: str, cases: int | None, method: str | None, subgroups: list[str], backend: str | None
) -> "Document":
    """Return the report of a folder.  Raises UserError for what the folder has no use for."""
    from ..explain import METHODS
    from ..train.run import Run, choose_backend
    from .reports.folds import backend_of_folds, is_cross_validation, report_folds
    from .reports.run import report_run

    if cases is not None and not 0 <= cases <= MOST:
        raise UserError(f"--cases {cases}: 0 to {MOST} of each kind")
    if method is not None and method not in (*METHODS, "none"):
        raise UserError(f"--explain {method!r} is unknown; choose none or one of {', '.join(METHODS)}")
    if form != "html" and method is not None:
        raise UserError(f"--explain: has no effect here: --format {form} has tables alone")
    drawn = None if form != "html" or method == "none" else method or "grad_cam"
    if is_cross_validation(folder):
        choose_backend(backend or backend_of_folds(folder))
        return report_folds(folder, 4 if cases is None else cases, drawn, subgroups)
    config = Run.open(folder).config
    choose_backend(backend or config.backend, config.precision)
    return report_run(folder, 4 if cases is None else cases, drawn, subgroups)
