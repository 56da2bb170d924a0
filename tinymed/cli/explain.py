"""`tinymed explain`: what in an image an answer rests on.  What it does is in `explaining.py`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from .app import Computing, app, examples
from .options import Given, keyword, path_option, required, with_options

CHECKS = "Networks"


def explain(given: Given) -> int:
    """Draw what in an image the answer of a trained run rests on.

    Methods: grad_cam, grad_cam_plus_plus and hires_cam (maps of a layer), guided_backprop, integrated_gradients and
    occlusion (of the pixels themselves).  One picture an image: the image as the network sees it, then one overlay a
    method.  A map says what moved this network's output, not what is the cause of a disease; --sanity tells whether it
    depends on what was learnt.
    """
    from .explaining import explain_command

    return explain_command(given)


def typed(kind: Any, help: str, *names: str, panel: str | None = None) -> Any:
    """Return the annotation of an option."""
    return Annotated[kind | None, typer.Option(*names, help=help, rich_help_panel=panel, show_default=False)]


RUN: Any = Annotated[Path, typer.Argument(help="The run's folder.", show_default=False)]
IMAGES: Any = Annotated[list[Path] | None, typer.Argument(help="Image files.", show_default=False)]
OPTIONS = {
    "method": typed(list[str], "A method, or all; may be repeated (grad_cam)."),
    "target": typed(str, "The class, or other output, that is explained (the largest output).", "--class"),
    "at": typed(str, "Of a run that segments: the place whose class is explained, ROW,COLUMN or of a volume I,J,K."),
    "layer": typed(str, "Of a map of a layer: which (the last one with at least 4 pixels a side)."),
    "baseline": typed(str, "Where nothing is seen: black, white or mean, of the image's own colours (black)."),
    "steps": typed(int, "Of integrated_gradients: points on the path (64)."),
    "window": typed(int, "Of occlusion: side of what covers, in pixels (an eighth of the image)."),
    "stride": typed(int, "Of occlusion: pixels from one window to the next (half a window)."),
    "out": path_option(None, "Folder of the pictures (explanations in the run's folder)."),
    "weights": typed(str, "best or last (what the run keeps)."),
    "backend": typed(str, "numba, loops, numpy, cuda, cupy or emulated (the run's)."),
    "as_json": typed(bool, "Print a JSON list and nothing else.", "--json"),
    "sanity": typed(
        bool, "Draw the weights anew, layer by layer, and print how like the maps remain.", "--sanity", panel=CHECKS
    ),
    "filters": typed(bool, "Draw the filters of the first layer, or of --layer.", "--filters", panel=CHECKS),
    "features": typed(str, "Draw what this layer makes of each image.", panel=CHECKS),
}

command = with_options(
    explain,
    {},
    [required("run", RUN), keyword("images", IMAGES), *(keyword(name, kind) for name, kind in OPTIONS.items())],
)
app.command(
    cls=Computing,
    name="explain",
    epilog=examples(
        "tinymed explain runs/dcnn-001 cell.png",
        "tinymed explain runs/dcnn-001 *.png --method grad_cam --method occlusion --class parasitized --out maps",
        "tinymed explain runs/dcnn-001 cell.png --method all --sanity",
        "tinymed explain runs/unet-001 lesion.png --at 120,85",
        "tinymed explain runs/dcnn-001 --filters",
        "tinymed explain runs/dcnn-001 cell.png --features features.4",
    ),
)(command)
