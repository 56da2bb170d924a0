"""Boxes as others write them: COCO's instances.json, and YOLO's text files beside the images.

COCO   one .json, or a folder with train.json, val.json, test.json (or annotations/instances_train2017.json ...); images
       lie beside it, in images/, or in a folder that is called as the part
YOLO   a folder with images/ and labels/ (or these in train/, val/, test/, or the parts in them), a line
       "class x y width height" a box, the middle and the size as shares of the image; names in data.yaml or classes.txt
"""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import UserError
from .folders import SPLIT_NAMES
from .image import image_size, is_picture
from .walk import Account, files_below, folders_in

MAX_JSON = 512 << 20
PART = re.compile(r"(train|val|valid|validation|test)\d*$", re.IGNORECASE)
NAMES = ("data.yaml", "dataset.yaml", "data.yml", "classes.txt", "obj.names", "classes.names")


@dataclass
class Entry:
    """An image of the lists: its file, part, patient, and its boxes as (class, corners)."""

    file: Path
    split: str | None = None
    group: str | None = None
    boxes: list[tuple[str, list[float]]] = field(default_factory=list)


def other_entries(path: Path) -> list[Entry] | None:
    """Return the images of a path in COCO's or YOLO's form; None of a path in neither.  Raises UserError."""
    if path.is_file():
        return coco_entries([(path, None)]) if path.suffix.lower() == ".json" else None
    if (path / "boxes.csv").is_file() or not path.is_dir():
        return None
    files = coco_files(path)
    return coco_entries(files) if files else yolo_entries(path)


# ------------------------------------------------------------------------------------------------------- COCO


def coco_files(path: Path) -> list[tuple[Path, str | None]]:
    """Return the annotation files of a folder with the part of each."""
    found = [*sorted(path.glob("*.json")), *sorted((path / "annotations").glob("*.json"))]
    named = [(file, part_of(file.stem)) for file in found]
    parts = [(file, part) for file, part in named if part is not None and "instances" in file.stem.lower()] or [
        (file, part) for file, part in named if part is not None
    ]
    if parts:
        return list(parts)
    instances = [
        file for file in found if file.stem.lower() in ("instances", "annotations", "_annotations.coco", "coco")
    ]
    return [(file, None) for file in instances[:1]]


def part_of(name: str) -> str | None:
    """Return the part that the end of a name says, such as instances_val2017."""
    found = PART.search(name)
    return SPLIT_NAMES[found[1].lower()] if found else None


def coco_entries(files: Sequence[tuple[Path, str | None]]) -> list[Entry]:
    """Return the images of annotation files."""
    return [entry for file, part in files for entry in coco_file(file, part)]


def coco_file(file: Path, part: str | None) -> list[Entry]:
    """Return the images that one annotation file names, those without a box too."""
    content = read_object(file)
    images, names = rows_of(file, content, "images"), {}
    for i, row in enumerate(rows_of(file, content, "categories")):
        names[key_of(file, f"categories[{i}].id", row.get("id"))] = text_of(
            file, f"categories[{i}].name", row.get("name")
        )
    entries: dict[Any, Entry] = {}
    for i, row in enumerate(images):
        number = key_of(file, f"images[{i}].id", row.get("id"))
        if number in entries:
            raise UserError(f"{file}: images[{i}].id {number!r} is there twice; give every image an id of its own")
        name = text_of(file, f"images[{i}].file_name", row.get("file_name"))
        entries[number] = Entry(coco_image(file, name, part), part)
    for i, row in enumerate(rows_of(file, content, "annotations")):
        where = f"{file}: annotations[{i}]"
        image, kind = row.get("image_id"), row.get("category_id")
        if not hashable(image) or image not in entries:
            raise UserError(f"{where}.image_id {image!r} is the id of no image")
        if not hashable(kind) or kind not in names:
            raise UserError(f"{where}.category_id {kind!r} is the id of no category")
        entries[image].boxes.append((names[kind], coco_box(where, row.get("bbox"))))
    return list(entries.values())


def read_object(file: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds; raise UserError naming the file."""
    try:
        if file.stat().st_size > MAX_JSON:
            raise ValueError(f"more than {MAX_JSON:,} bytes")
        content = json.loads(file.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file}: cannot be read as JSON ({' '.join(str(error).split())[:100]})") from None
    if not isinstance(content, dict) or not {"images", "annotations", "categories"} <= set(content):
        raise UserError(f"{file}: not COCO's form: an object with images, annotations and categories")
    return content


def rows_of(file: Path, content: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Return a list of objects; raise UserError for anything else."""
    rows = content[name]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{file}: {name} is no list of objects")
    return rows


def hashable(value: Any) -> bool:
    """Return whether a value can be an id."""
    return isinstance(value, int | str) and not isinstance(value, bool)


def key_of(file: Path, where: str, value: Any) -> Any:
    """Return an id; raise UserError for what is none."""
    if not hashable(value):
        raise UserError(f"{file}: {where} is {value!r}, no whole number or text")
    return value


def text_of(file: Path, where: str, value: Any) -> str:
    """Return a text that is not empty; raise UserError for anything else."""
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{file}: {where} is {value!r}, no text")
    return value


def coco_box(where: str, box: Any) -> list[float]:
    """Return the corners of [x, y, width, height]; raise UserError unless they are a box."""
    numbers = isinstance(box, list) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in box)
    if not numbers or len(box) != 4 or not all(map(math.isfinite, box)) or min(box[2:]) <= 0:
        raise UserError(f"{where}.bbox is {box!r}; it holds x, y, width and height in pixels, the last two above 0")
    x, y, width, height = map(float, box)
    return [x, y, x + width, y + height]


def coco_image(file: Path, name: str, part: str | None) -> Path:
    """Return an image's file, which lies beside the annotations or in one of the usual folders."""
    root = file.parent.parent if file.parent.name == "annotations" else file.parent
    end = PART.search(file.stem)
    places = [file.parent, root, root / "images", *([root / end[0], root / "images" / end[0]] if end else [])]
    places += [root / part, root / "images" / part] if part else []
    for place in places:
        try:
            if (place / name).is_file():
                return place / name
        except (OSError, ValueError):
            break
    raise UserError(f"{file}: there is no image {name!r} beside it, nor in {', '.join(p.name for p in places[2:])}")


# ------------------------------------------------------------------------------------------------------- YOLO


def yolo_entries(path: Path) -> list[Entry] | None:
    """Return the images of a folder with images and labels; None of another folder."""
    pairs = yolo_folders(path)
    if not pairs:
        return None
    names = yolo_names(path)
    entries = []
    for images, labels, part in pairs:
        for file in files_below(images, is_picture, Account()):
            text = (labels / file.relative_to(images)).with_suffix(".txt")
            entries.append(Entry(file, part, boxes=yolo_boxes(text, file, names) if text.is_file() else []))
    if not any(entry.boxes for entry in entries):
        raise UserError(f"{pairs[0][1]}: no text file holds a box, so there is nothing to learn")
    return entries


def yolo_folders(path: Path) -> list[tuple[Path, Path, str | None]]:
    """Return (images, labels, part) of the forms that a folder may have; a folder of labels holds text files."""
    inside = {folder.name.lower(): folder for folder in folders_in(path)}
    if {"images", "labels"} <= set(inside):
        images, labels = inside["images"], inside["labels"]
        parts = [
            (f, labels / f.name, SPLIT_NAMES[f.name.lower()])
            for f in folders_in(images)
            if f.name.lower() in SPLIT_NAMES
        ]
        found: list[tuple[Path, Path, str | None]] = list(parts) or [(images, labels, None)]
    else:
        found = [
            (folder / "images", folder / "labels", SPLIT_NAMES[name])
            for name, folder in inside.items()
            if name in SPLIT_NAMES and (folder / "images").is_dir() and (folder / "labels").is_dir()
        ]
    return found if any(labels.is_dir() and any(labels.rglob("*.txt")) for _, labels, _ in found) else []


def yolo_names(path: Path) -> list[str]:
    """Return the names of the classes; raise UserError where no file has them."""
    for name in NAMES:
        if (path / name).is_file():
            lines = (path / name).read_text("utf-8-sig", "replace").splitlines()
            names = (
                yaml_names(lines)
                if name.endswith(("yaml", "yml"))
                else [line.strip() for line in lines if line.strip()]
            )
            if not names or len(set(names)) < len(names):
                raise UserError(f"{path / name}: names no classes, or one twice; write names: [a, b]")
            return names
    raise UserError(
        f"{path}: has no names of classes; write them into {NAMES[0]} (names: [a, b]) or {NAMES[3]}, one a line"
    )


def yaml_names(lines: Sequence[str]) -> list[str]:
    """Return "names" of a data.yaml: [a, b], or below it "- a" or "0: a" a line.  Other keys are not read."""
    start = next((i for i, line in enumerate(lines) if re.match(r"names\s*:", line)), None)
    if start is None:
        return []
    rest = lines[start].partition(":")[2].split("#")[0].strip()
    if rest.startswith("[") and rest.endswith("]"):
        return [part.strip().strip("'\"") for part in rest[1:-1].split(",") if part.strip()]
    names: dict[int, str] = {}
    for line in lines[start + 1 :]:
        found = re.match(r"\s*(?:-|(\d+)\s*:)\s*(\S.*)$", line)
        if not found:
            if line.strip() and not line.startswith((" ", "\t", "#")):
                break
            continue
        number = int(found[1]) if found[1] else len(names)
        names[number] = found[2].split("#")[0].strip().strip("'\"")
    return [names[i] for i in sorted(names)] if sorted(names) == list(range(len(names))) else []


def yolo_boxes(text: Path, image: Path, names: Sequence[str]) -> list[tuple[str, list[float]]]:
    """Return the boxes of a text file in pixels of its image; raise UserError naming file and line."""
    height, width = image_size(image)
    boxes = []
    try:
        lines = text.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise UserError(f"{text}: cannot be read as text") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where, parts = f"{text}, line {number}", line.split()
        try:
            kind, values = int(parts[0]), [float(part) for part in parts[1:]]
        except ValueError:
            raise UserError(f"{where}: {line.strip()[:80]!r}: write class x y width height") from None
        if len(values) != 4 or not all(0 <= v <= 1 for v in values) or min(values[2:]) <= 0:
            raise UserError(
                f"{where}: {line.strip()[:80]!r}: write class x y width height, as shares of the image from 0 to 1"
            )
        if not 0 <= kind < len(names):
            raise UserError(f"{where}: class {kind}, but there are {len(names)} names of classes")
        x, y, w, h = values
        corners = [(x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height]
        boxes.append((names[kind], corners))
    return boxes
