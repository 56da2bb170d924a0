"""`tinymed models`: the networks there are."""

import json
from typing import Annotated, Any

import typer

from .app import app, examples


@app.command(epilog=examples("tinymed models", "tinymed models --json"))
def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list and nothing else.")] = False,
) -> None:
    """List the networks: parameters, multiply-accumulates of one image, memory that training holds for it, input,
    source."""
    from .. import models as registry
    from ..report.tables import table

    rows = [registry.describe(name) for name in registry.available()]
    if as_json:
        print(json.dumps(rows))
        return
    cells = [("name", "parameters", "MMAC", "MiB/image", "input", "source")]
    for row in rows:
        macs, held = f"{row['macs'] / 1e6:,.3f}", f"{row['activation_bytes'] / 2**20:,.2f}"
        cells.append((row["name"], f"{row['parameters']:,}", macs, held, shown(row["input"]), row["source"]))
    print(table(cells, right=(1, 2, 3)))


def shown(input: list[Any]) -> str:
    """3 x 50 x 50; a network of several inputs: their shapes joined by +."""
    shapes = input if isinstance(input[0], list) else [input]
    return " + ".join(" x ".join(map(str, shape)) for shape in shapes)
