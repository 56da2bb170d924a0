"""dataset.json of nnU-Net and of the Medical Segmentation Decathlon: labels, one to ignore, regions, pairs of files.

labels     {"0": "background", "1": "liver"} (Decathlon) or {"background": 0, "liver": 1, "ignore": 2} (nnU-Net)
regions    {"background": 0, "whole tumour": [1, 2], "core": [2]} with "regions_class_order": [1, 2]; each value of the
           masks counts as the last region in that order that holds it, so that classes exclude each other
training   [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}], of which the pairs are then taken
"""

import json
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import UserError

NAME = "dataset.json"
MAX_BYTES = 16 << 20
IGNORE = "ignore"  # nnU-Net's name of the label whose pixels do not count


def read_description(path: Path) -> dict[str, Any]:
    """Return the object in a folder's dataset.json, {} where there is none; raise UserError naming the file."""
    file = path / NAME
    if not file.is_file():
        return {}
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES:,} bytes")
        content = json.loads(file.read_text("utf-8-sig"))
        if not isinstance(content, dict) or not isinstance(content.get("labels"), dict):
            raise ValueError("no object of labels")
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f'{file}: cannot be read ({error}); it needs labels as {{"0": "background", ...}}') from None
    return content


def named_labels(path: Path) -> tuple[dict[int, str] | None, int | None]:
    """Return what a dataset.json says: ({value: name}, the value that is ignored), as far as it does."""
    content, file = read_description(path), path / NAME
    if not content:
        return None, None
    labels = content["labels"]
    try:
        if any(isinstance(value, list) for value in labels.values()):
            return regions(file, labels, content.get("regions_class_order"))
        pairs = [label_pair(str(key), value) for key, value in labels.items()]
    except (ValueError, TypeError) as error:
        raise UserError(f'{file}: cannot be read ({error}); it needs labels as {{"0": "background", ...}}') from None
    if len({value for value, _ in pairs}) < len(pairs):
        raise UserError(f"{file}: two labels have the same value; give every label a value of its own")
    void = [value for value, name in pairs if name.lower() == IGNORE]
    values = {value: name for value, name in sorted(pairs) if name.lower() != IGNORE}
    return values, void[0] if void else None


def label_pair(key: str, value: object) -> tuple[int, str]:
    """Return (value, name) of an entry of a dataset.json in either order; raise ValueError for what is neither."""
    if key.isdecimal() and isinstance(value, str):
        return int(key), value
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"{key!r}: {value!r} is no whole number")
    return int(value), key


def regions(file: Path, labels: dict[str, Any], order: object) -> tuple[dict[int, str], int | None]:
    """Return ({value: its last region}, the value that is ignored); raise UserError where regions cross each other."""
    void = next((value for name, value in labels.items() if name.lower() == IGNORE), None)
    held = {name: members(file, name, value) for name, value in labels.items() if name.lower() != IGNORE}
    names = [name for name, values in held.items() if values != {0}]
    if not isinstance(order, list) or len(order) != len(names):
        raise UserError(
            f"{file}: regions need regions_class_order, one number for each of {', '.join(names)}, in the order in "
            f"which they are painted; got {order!r}"
        )
    background = next((name for name, values in held.items() if values == {0}), "background")
    result, owners = {0: background}, dict[str, set[str]]()
    for value in sorted(set().union(*held.values()) - {0}):
        inside = [name for name in names if value in held[name]]
        last = inside[-1]
        if owners.setdefault(last, set(inside)) != set(inside):
            raise UserError(
                f"{file}: the region {last!r} crosses {', '.join(sorted(owners[last] ^ set(inside)))}; regions must "
                "lie in each other, or give every value one name",
                {"values={0: 'NAME', ...}": "with {}"},
            )
        result[value] = last
    if void is not None and (isinstance(void, bool) or not isinstance(void, int)):
        raise UserError(f"{file}: the label {IGNORE!r} is {void!r}, no whole number")
    return result, void


def whole_regions(path: Path) -> dict[str, list[str]]:
    """Return region -> the classes inside it, of a dataset.json's regions that hold several; {} without."""
    content = read_description(path)
    if not any(isinstance(value, list) for value in content.get("labels", {}).values()):
        return {}
    file, labels = path / NAME, content["labels"]
    classes = regions(file, labels, content.get("regions_class_order"))[0]
    found: dict[str, list[str]] = {}
    for name, value in labels.items():
        held = members(file, name, value) if name.lower() != IGNORE else set()
        inside = list(dict.fromkeys(classes[v] for v in sorted(held)))
        if len(held) > 1 and inside != [name]:
            found[name] = inside
    return found


def members(file: Path, name: str, value: object) -> set[int]:
    """Return the values of a region; raise UserError for what are none."""
    found = value if isinstance(value, list) else [value]
    if not found or any(isinstance(v, bool) or not isinstance(v, int) or v < 0 for v in found):
        raise UserError(f"{file}: the label {name!r} is {value!r}; a region is a list of whole numbers")
    return set(found)


def listed_pairs(path: Path) -> list[tuple[Path, Path]]:
    """Return the (image, mask) files that a dataset.json lists as "training", [] where it lists none.

    Raises UserError naming the entry: of another form, or a file outside the folder, or one that is not there.
    """
    training = read_description(path).get("training")
    if training is None:
        return []
    file = path / NAME
    if not isinstance(training, list):
        raise UserError(f"{file}: training is no list")
    pairs = []
    for i, row in enumerate(training):
        where = f"{file}: training[{i}]"
        if isinstance(row, dict):
            pairs.append(
                (
                    inner_file(path, f"{where}.image", row.get("image")),
                    inner_file(path, f"{where}.label", row.get("label")),
                )
            )
        elif not isinstance(row, str):
            raise UserError(f"{where} is {row!r}; write an image and its label")
    return pairs


def inner_file(path: Path, where: str, name: object) -> Path:
    """Return a file below a folder; raise UserError for any other."""
    if not isinstance(name, str) or not name.strip() or "\0" in name:
        raise UserError(f"{where} is {name!r}, no path of a file")
    inner = PurePosixPath(name.replace("\\", "/"))
    if inner.is_absolute() or ".." in inner.parts:
        raise UserError(f"{where} is {name!r}; a path lies below the folder of {NAME}")
    if not (path / inner).is_file():
        raise UserError(f"{where}: there is no file {path / inner}; add it or remove the entry")
    return path / inner
