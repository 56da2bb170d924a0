"""`tinymed audit`: do published numbers fit each other?"""

import json
from pathlib import Path
from typing import Annotated

import typer

from .app import FAILED, app, examples


@app.command(
    epilog=examples("tinymed audit", "tinymed audit table.csv --one-test-set", "tinymed audit table.csv --json")
)
def audit(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="A .csv or .toml with a row a result; without it the built-in example.", show_default=False
        ),
    ] = None,
    one_test_set: Annotated[bool, typer.Option("--one-test-set", help="All rows claim the same test set.")] = False,
    decimals: Annotated[int | None, typer.Option(help="Digits after the point (read off each number).")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with code 1 on a contradiction.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Check published confusion matrices and rates: counts against rates, implied prevalence, duplicated rows.

    The built-in example holds the numbers printed in the paper whose network is `dcnn`.
    """
    from ..audit.reader import example_rows, read_rows
    from ..audit.table import audit_table
    from ..report.tables import number, table

    rows = example_rows() if file is None else read_rows(file)
    report = audit_table(rows, decimals=decimals, one_test_set=one_test_set)
    if as_json:
        print(json.dumps(report.to_dict(), allow_nan=False))
    else:
        names = ("accuracy", "sensitivity", "specificity", "precision", "f1")
        cells: list[tuple[str, ...]] = [("implied by each row", *names, "prevalence")]
        cells += [(r.name, *(number(r.computed.get(n)) for n in names), number(r.prevalence)) for r in report.rows]
        print(table(cells), end="\n\n")
        for finding in report.findings:
            print(f"{finding.severity}: {', '.join(finding.rows)}: {finding.message}")
        print(f"\n{'no contradiction' if report.consistent else 'the numbers contradict each other'}")
    if strict and not report.consistent:
        raise typer.Exit(FAILED)
