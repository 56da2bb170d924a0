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

    rows = [registry.describe(name) for name in registry.available()]
    if as_json:
        print(json.dumps(rows))
        return
    cells = [("name", "parameters", "MMAC", "input", "source")]
    for row in rows:
        size, macs = " x ".join(map(str, row["input"])), f"{row['macs'] / 1e6:,.3f}"
        cells.append((row["name"], f"{row['parameters']:,}", macs, size, row["source"]))
    print(table(cells, right=(1, 2)))
