"""`tinymed data`: what a path holds, before anything is learnt from it."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import UserError
from .app import app, examples

ACTIONS = ("inspect", "list", "restore")
LISTED = 10  # lines of one kind


@app.command(
    epilog=examples(
        "tinymed data inspect DIR",
        "tinymed data inspect list.csv --json > data.json",
        "tinymed data inspect DICOM_FOLDER",
        "tinymed data list DICOM_FOLDER --out list.csv",
        "tinymed data restore patient-1f0c2b3a4d5e6f70",
        "tinymed data restore runs/dcnn-001/predictions.csv --out named.csv",
        "tinymed data restore masks/dicom-000012.dcm --out for-the-archive.dcm --among DICOM_FOLDER",
    )
)
def data(
    action: Annotated[str, typer.Argument(help="inspect, list or restore.", show_default=False)],
    path: Annotated[
        Path,
        typer.Argument(help="A folder, a list, an .npz or an image; of restore, a file or a name.", show_default=False),
    ],
    kind: Annotated[
        str | None,
        typer.Option(
            help="classes, findings, numbers, masks, boxes or images (by what lies there).", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Of list: the .csv to write; of restore: the file.", show_default=False)
    ] = None,
    among: Annotated[
        list[Path] | None,
        typer.Option(
            help="Of restore: a folder or list of DICOM files that the names may be of; may be repeated.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Say what a path holds: files, sizes, depths, spacings, classes, patients, duplicates, leaks; or list its images.

    inspect reads every image.  Its exit code is 0, 1 where something is to be mended (files that cannot be read, leaks,
    one picture under two labels), 2 where the path holds no data.  list writes the images with their classes and, of
    DICOM, what the headers say of patients (pseudonyms), studies, sides and views; DICOM files appear as numbers.

    restore puts back what pseudonyms, numbers and hashed UIDs stand for, with your own key and list of numbers: of one
    name it prints it, a text or a DICOM segmentation it writes anew, for you alone to read.
    """
    if action not in ACTIONS:
        raise UserError(f"tinymed data {action}: choose {', '.join(ACTIONS[:-1])} or {ACTIONS[-1]}")
    if action == "restore":
        restore(path, kind, out, among or [], as_json)
        return
    if among:
        raise UserError("--among: has no effect here: it is of tinymed data restore; leave it out")
    if action == "list":
        write_list(path, kind, out, as_json)
        return
    if out is not None:
        raise UserError("--out: has no effect here: inspect prints; write a file with > FILE")
    from ..data.inspection import exit_code, inspect

    result = inspect(path, kind)
    print(json.dumps(result) if as_json else text_of(result))
    raise typer.Exit(exit_code(result))


def text_of(result: dict[str, Any]) -> str:
    """Return an inspection as text."""
    lines = [f"{result['path']}: {result['kind']}", f"files        {result['files']['text']}"]
    for reason, left in result["files"]["left_out"].items():
        if left["such_as"]:
            lines.append(f"             {reason}: such as {', '.join(left['such_as'])}")
    lines.append(f"parts        {counted(result['parts'])}")
    for name in ("sizes", "depths", "spacings", "orientations"):
        if result[name]:
            lines.append(f"{name:13}{counted(result[name])}")
    lines += [f"classes      {part}: {counted(classes)}" for part, classes in result["classes"].items() if classes]
    patients = result["patients"]
    if patients["counts"]:
        lines.append(f"patients     {counted(patients['counts'])}, by {patients['column'] or 'groups'}")
    else:
        lines.append("patients     not known: a split is by image")
    if patients["text"]:
        lines.append(f"             {patients['text']}")
    lines += [f"{name:13}{counted(values)}" for name, values in result["dicom"].items()]
    pairs = result["duplicates"]["such_as"]
    lines.append(f"duplicates   {result['duplicates']['images']}")
    lines += [f"             {one} and {two}" for one, two in pairs]
    lines += listed("unreadable", [f"{each['reason']}" for each in result["unreadable"]])
    lines += listed("two labels", [f"{one} and {two}" for one, two in result["contradictions"]])
    lines += listed("leaks", result["leaks"])
    lines += [f"note: {note}" for note in result["notes"]]
    return "\n".join(lines)


def counted(values: dict[str, int]) -> str:
    """Return names with their counts, of many the first."""
    shown = [f"{name} {count:,}" for name, count in list(values.items())[:LISTED]]
    return "; ".join(shown) + (f"; and {len(values) - LISTED:,} more" if len(values) > LISTED else "")


def listed(name: str, lines: list[str]) -> list[str]:
    """Return a count and the first of its lines."""
    more = [f"             and {len(lines) - LISTED:,} more"] if len(lines) > LISTED else []
    return [f"{name:13}{len(lines)}", *(f"             {line}" for line in lines[:LISTED]), *more]


def write_list(path: Path, kind: str | None, out: Path | None, as_json: bool) -> None:
    """Write the images of a path as a list."""
    from ..data.inspection import list_images
    from ..tasks.results.rows import write_rows

    if out is None or out.suffix.lower() != ".csv":
        raise UserError("tinymed data list: say where the list goes with --out FILE.csv")
    rows = list_images(path, kind, out)
    write_rows(out, rows)
    found = {"file": str(out), "images": len(rows), "columns": list(rows[0])}
    print(json.dumps(found) if as_json else f"{out}: {len(rows):,} images, columns {', '.join(rows[0])}")


def restore(path: Path, kind: str | None, out: Path | None, among: list[Path], as_json: bool) -> None:
    """Print what a name stands for, or write a file with the names in it put back."""
    from ..data.dicom.restore import NAME, Originals, check_owner, restore_file

    if kind is not None:
        raise UserError("--kind: has no effect here: it is of inspect and list; leave it out")
    name = str(path)
    for place in among:
        if not place.exists():
            raise UserError(f"--among {place}: no such file or folder; correct the path")
    if NAME.fullmatch(name) and not path.exists():
        if out is not None:
            raise UserError("--out: has no effect here: what one name stands for is printed; leave it out")
        original = Originals(among).find(name)
        check_owner([name], {} if original is None else {name: original})
        if original is None:
            raise UserError(f"{name}: no DICOM file has that number or UID; name their folder or list with --among")
        print(json.dumps({"name": name, "original": original}) if as_json else original)
        return
    if not path.is_file():
        raise UserError(f"{path}: no such file, and no name such as patient-1f0c2b3a4d5e6f70 or dicom-000012")
    if out is None:
        raise UserError("tinymed data restore: say where the file with names goes with --out FILE")
    count, unknown = restore_file(path, out, among)
    if as_json:
        print(json.dumps({"file": str(out), "restored": count, "unknown": unknown}))
        return
    print(f"{out}: {count:,} names put back; for you alone to read (mode 0600)")
    if unknown:
        print(f"left as they are: {len(unknown):,}, such as {unknown[0]}: name their folder or list with --among")
