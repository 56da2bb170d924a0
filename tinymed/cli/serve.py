"""`tinymed serve`: a trained run as a local page.  What it does is in `serving.py`."""

from pathlib import Path
from typing import Annotated

import typer

from .app import Computing, app, check_weights_name, examples

LIMITS = "Limits"


@app.command(
    cls=Computing,
    epilog=examples(
        "tinymed serve runs/dcnn-001",
        "tinymed serve runs/dcnn-001 --port 0 --max-upload 8 --queue 4",
        "curl -H 'Authorization: Bearer TOKEN' -F image=@cell.png http://127.0.0.1:8765/predict",
    ),
)
def serve(
    run: Annotated[Path, typer.Argument(help="The run's folder.", show_default=False)],
    host: Annotated[str, typer.Option(help="Address to listen at; any but this machine's own opens it to others.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 8765,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Another name under which it is asked, as NAME or NAME:PORT; repeatable.")
    ] = None,
    no_token: Annotated[
        bool, typer.Option("--no-token", help="Ask for no token; only where nobody else can reach the address.")
    ] = False,
    weights: Annotated[str | None, typer.Option(help="best or last (what the run keeps).")] = None,
    backend: Annotated[
        str | None, typer.Option(help="numba, loops, numpy, cuda, cupy or emulated (the run's).")
    ] = None,
    max_upload: Annotated[float, typer.Option(help="MiB of a request.", min=0.01, rich_help_panel=LIMITS)] = 32,
    max_pixels: Annotated[float, typer.Option(help="Millions of pixels.", min=0.0001, rich_help_panel=LIMITS)] = 64,
    timeout: Annotated[float, typer.Option(help="Seconds to answer in.", min=0.001, rich_help_panel=LIMITS)] = 60,
    queue: Annotated[int, typer.Option(help="Images that wait or are answered.", min=1, rich_help_panel=LIMITS)] = 16,
) -> None:
    """Show what a trained run says of an image on a local page, and answer programs with JSON.

    Probabilities, how often the run was right when it gave that class, and Grad-CAM or the mask.  Bound to this
    machine, with a token, unless told otherwise; nothing that is sent is kept.  For research only.  Needs the serve
    extra.
    """
    from ..serve.limits import Limits
    from .serving import serve_command

    check_weights_name(weights)
    limits = Limits(round(max_upload * (1 << 20)), round(max_pixels * 1e6), min(30.0, timeout), timeout, queue)
    serve_command(run, (host, port), allow_host or [], not no_token, weights, backend, limits)
