"""`tinymed models`: the networks there are, or the layers of one."""

import json
from typing import Annotated, Any

import typer

from ..errors import UserError
from .app import app, examples


@app.command(
    epilog=examples(
        "tinymed models", "tinymed models dcnn", "tinymed models resnet20 --size 64", "tinymed models --json"
    )
)
def models(
    network: Annotated[str | None, typer.Argument(help="Show the layers of this one.", show_default=False)] = None,
    size: Annotated[int | None, typer.Option(min=1, help="Side of its image, in pixels (its own).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list and nothing else.")] = False,
) -> None:
    """List the networks, or the layers of one.

    Of each network: parameters, multiply-accumulates of one image, memory that training holds for it, input, source.
    Of each layer: its class, the shape of its output for one image, parameters, multiply-accumulates.
    """
    if network is not None:
        return layers(network, size, as_json)
    if size is not None:
        raise UserError("--size: has no effect here: it is of one network, tinymed models NETWORK --size SIDE")
    from .. import models as registry
    from ..report.tables import table

    rows = [registry.describe(name) for name in registry.available()]
    if as_json:
        print(json.dumps(rows))
        return None
    cells = [("name", "parameters", "MMAC", "MiB/image", "input", "source")]
    for row in rows:
        macs, held = f"{row['macs'] / 1e6:,.3f}", f"{row['activation_bytes'] / 2**20:,.2f}"
        cells.append((row["name"], f"{row['parameters']:,}", macs, held, shown(row["input"]), row["source"]))
    print(table(cells, right=(1, 2, 3)))
    return None


def layers(network: str, size: int | None, as_json: bool) -> None:
    """Print the layers of a network."""
    from .. import models as registry
    from ..models.registry import shape_for
    from ..nn.init import no_weights
    from ..report.tables import table

    found = registry.entry(network)
    options = {"size": size} if size is not None and "size" in found.options else {}
    with no_weights():
        model = registry.create(network, **options)
    shape = shape_for(found, model, options)
    if size is not None and not options:
        if not isinstance(shape[0], int):
            raise UserError(f"--size: {network} takes several images")
        shape = (shape[0], *[size] * (len(shape) - 1))
    try:
        rows = registry.summary(model, shape)
    except ValueError as error:
        raise UserError(f"--size {size}: {error}") from None
    if as_json:
        print(json.dumps([row._asdict() for row in rows]))
        return
    cells = [("layer", "class", "output", "parameters", "MMAC")]
    cells += [(r.name, r.kind, shown(list(r.output)), f"{r.parameters:,}", f"{r.macs / 1e6:,.3f}") for r in rows]
    total = (f"{registry.count_parameters(model):,}", f"{registry.total_macs(rows) / 1e6:,.3f}")
    print(table([*cells, ("all", "", f"of {shown(list(shape))}", *total)], right=(3, 4)))


def shown(input: list[Any]) -> str:
    """Return 3 x 50 x 50; of a network of several inputs their shapes joined by +."""
    shapes = input if input and isinstance(input[0], list | tuple) else [input]
    return " + ".join(" x ".join(map(str, shape)) for shape in shapes)
