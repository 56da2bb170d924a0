"""`tinymed models`: the networks there are."""

import json
from typing import Annotated

import typer

from .app import app, examples


@app.command(epilog=examples("tinymed models", "tinymed models --json"))
def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list and nothing else.")] = False,
) -> None:
    """List the networks: parameters, multiply-accumulates of one image, input, source."""
    from .. import models as registry
    from .tables import table

    rows = [registry.summary(name) for name in registry.available()]
    if as_json:
        print(json.dumps(rows))
        return
    print(rows)
    print(table([("",)]))
