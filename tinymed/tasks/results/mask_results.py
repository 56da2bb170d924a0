"""Results of a segmentation: tables, measures of every case, overlays, masks as files."""

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...data.dicom.segmentations import segmentation_bytes
from ...data.labels import Labels
from ...data.masks import MaskDataset
from ...data.tiff import is_stack, stack_bytes
from ...data.volumes import as_stored, case_name, picture_bytes, read_volume, stem, volume_bytes
from ...errors import UserError
from ...files import write_atomic
from ...metrics.mask_cases import SHARES, bounds_of
from ...metrics.measures import Mean, Measure
from ...metrics.segmentation import METRICS, mean_over_labels
from ...report.overlays import Example, save_overlays
from ...report.paths import below
from ...report.tables import interval, number, table
from ..inference.case_scores import scored_cases
from .rows import Cases, Row

OBJECTS_SHOWN = {  # what is said, and how many of them are counted
    "aji": ("aggregated Jaccard index of objects", 1),
    "rand_error": ("adapted Rand error of objects", 1),
    "warping_error": ("warping error, pixels in 1,000", 1000),
}


def mask_text(result: dict[str, Any], title: str, volumes: bool = False, slices: bool = False) -> str:
    """Return an evaluation as text: a row a class, and the mean over the classes but the background."""
    lines = [f"{title}: n = {result['n']} cases, {100 * result['level']:g} % intervals over cases"]
    names = [key for key in ("dice", "jaccard", "hd95", "asd") if key in result]
    unit = "mm" if volumes else "px"
    heads = [f"{name} {unit}" if name in ("hd95", "asd") else name for name in names]
    rows = [("class", *(cell for head in heads for cell in (head, "", "median")))]
    classes = {name: result["per_class"][name] for name in result["classes"]}
    whole = {f"whole region {name}": row for name, row in result.get("per_region", {}).items()}
    for name, row in {**classes, "mean without background": result, **whole}.items():
        cells = [(number(row[key]), interval(row[f"{key}_interval"]), number(row[f"{key}_median"])) for key in names]
        rows.append((name, *(cell for triple in cells for cell in triple)))
    lines.append(table(rows))
    counted = "slice" if slices else "pixel"  # the voxels of a slice have one class
    lines.append(f"{counted} accuracy {number(result['accuracy'])} {interval(result['accuracy_interval'])}")
    for name, (shown, many) in OBJECTS_SHOWN.items():
        if name in result:
            ends = result[f"{name}_interval"]
            found = interval(ends and [many * end for end in ends])
            lines.append(f"{shown} {number(many * result[name])} {found}")
    if "refinement" in result:
        lines += refinement_lines(result["refinement"])
    lines += [f"note: {note}" for note in result["warnings"]]
    return "\n".join(lines)


def refinement_lines(refinement: dict[str, Any]) -> list[str]:
    """Return what post-processing was done, and how much it changes, paired by case."""
    cases = refinement["chosen_on"]
    how = f"chosen on {cases} validation cases" if cases else "as given"
    lines = [f"post-processing, {how}: {refinement['postprocess']}; dense CRF: {refinement['crf'] or 'none'}"]
    for name, found in refinement["difference"].items():
        before = number(refinement["without"][name])
        change, shown = number(found["difference"], 4), interval(found["difference_interval"])
        lines.append(
            f"{name}: {before} without it; paired difference {change} {shown} over {found['difference_n']} cases"
        )
    return lines


def save_case_overlays(
    predict: Callable[[np.ndarray, str], np.ndarray], dataset: MaskDataset, rows: Sequence[Row], path: Path, title: str
) -> None:
    """Draw five cases, from the worst to the best by their mean Dice."""
    means = [mean_over_labels(row["dice"]) for row in rows]
    order = np.argsort([1.0 if mean is None else mean for mean in means], kind="stable")
    chosen = dict.fromkeys(order[np.rint(np.linspace(0, len(order) - 1, 5)).astype(int)].tolist())
    examples = []
    for index in chosen:
        [case] = scored_cases(predict, dataset.subset([index]))
        labels = case.scores.argmax(axis=0).astype(np.uint8)
        name = f"{stem(Path(case.name))}, Dice {number(means[index], 3)}"
        examples.append(Example(case.image, case.mask, labels, name, case.spacing))
    save_overlays(examples, dataset.classes, path, title)


def write_cases(path: Path, rows: Sequence[Row], classes: Sequence[str], root: str | None) -> None:
    """Write cases.csv: the measures of every case, one column per measure and class; names are below `root`."""
    names = [name for name, value in rows[0].items() if isinstance(value, list)]
    text = io.StringIO()
    writer = csv.writer(text)
    columns = [f"{name} {label}" for name in names for label in classes]
    writer.writerow(["name", "loss", "accuracy", *columns, *of_regions(rows[0])])
    for row in rows:
        values = [*(value for name in names for value in row[name]), *of_regions(row).values()]
        shown = below(row["name"], root)
        writer.writerow([shown, row["loss"], row["accuracy"], *("" if v is None else v for v in values)])
    write_atomic(path, [text.getvalue().encode()])


def of_regions(row: Row) -> Row:
    """Return the measures of a case's whole regions, one column per measure and region."""
    regions = row.get("regions", {})
    return {f"{key} whole region {name}": value for name, found in regions.items() for key, value in found.items()}


def files_of(case: str, modalities: int) -> list[Path]:
    """Return the files of a case as the command line names it.  Raises UserError for another number of files."""
    files = [Path(part) for part in case.split(",")] if modalities > 1 else [Path(case)]
    if len(files) != modalities:
        raise UserError(f"{case}: the run takes {modalities} files a case, separated by commas")
    return files


def case_files(cases: list[str], modalities: int, out: Path) -> dict[str, list[Path]]:
    """name -> the files of a case.  Raises UserError: another number of files, or two cases of one name."""
    named: dict[str, list[Path]] = {}
    for case in cases:
        files = files_of(case, modalities)
        name = case_name(files[0])
        if name in named:
            raise UserError(f"{case} and {named[name][0]}: both would become {out / name}; give them in two calls")
        named[name] = files
    return named


FORMS = ("png", "nifti", "dicom-seg")


def check_form(form: str | None) -> None:
    """Raise UserError unless masks can be written so."""
    if form not in (None, *FORMS):
        raise UserError(f"--masks {form!r}: choose one of {', '.join(FORMS)}")


def write_mask(meaning: Labels, path: Path, labels: np.ndarray, image: Path, form: str | None = None) -> Path:
    """Write class numbers as the masks have them: PNG, or NIfTI with the affine and spacing of its image.

    Args:
        meaning: What the values stand for.
        path: Without a suffix.
        labels: Class numbers, of a volume in RAS+.
        image: The file, or the folder of a DICOM series, that was segmented.
        form: One of FORMS; None: PNG of a picture, TIFF of a TIFF of several pages, NIfTI of other volumes.

    Returns:
        The file, which is whole or not there.

    Raises:
        UserError: The image has no place in space, or is not DICOM, which that form needs.
    """
    if form == "dicom-seg":
        file = path.with_name(path.name + ".dcm")
        stored = as_stored(labels, read_volume(image)) if labels.ndim == 3 else labels.T[:, :, None]
        write_atomic(file, [segmentation_bytes(image, stored, meaning.names)])
        return file
    if form == "nifti" and labels.ndim == 2:
        file = path.with_name(path.name + ".nii.gz")
        write_atomic(file, [picture_bytes(meaning.written(labels), image)])
        return file
    if form == "png" and labels.ndim == 3:
        raise UserError(f"{image}: is a volume, whose mask is no PNG; leave --masks out, or give --masks nifti")
    return write_values(path, meaning.written(labels), image, pages=form is None and is_stack(image))


def write_objects(path: Path, objects: np.ndarray, image: Path) -> Path:
    """Write the numbers of objects, 0 outside, as `write_mask` writes classes.  Returns the file."""
    whole = objects.astype(np.uint8 if objects.max(initial=0) < 256 else np.int32)
    return write_values(path, whole, image, pages=is_stack(image))


def write_values(path: Path, values: np.ndarray, image: Path, pages: bool = False) -> Path:
    """Write integers in the format of an image, of a volume NIfTI or, where `pages`, TIFF; path: without a suffix.

    Returns the file, which is whole or not there.
    """
    if values.ndim == 3 and pages:
        file = path.with_name(path.name + ".tif")
        write_atomic(file, [stack_bytes(values, image)])
        return file
    if values.ndim == 3:
        compressed = not image.name.lower().endswith(".nii")
        file = path.with_name(path.name + (".nii.gz" if compressed else ".nii"))
        write_atomic(file, [volume_bytes(values, read_volume(image), compressed)])
        return file
    file = path.with_name(path.name + ".png")
    write_atomic(file, [png(values)])
    return file


def png(values: np.ndarray) -> bytes:
    """Return an 8-bit grey PNG, or a 16-bit one where a value is above 255."""
    from PIL import Image

    if values.min(initial=0) < 0:
        raise UserError("a PNG holds no negative label values; name others with --labels")
    buffer = io.BytesIO()
    Image.fromarray(values if values.dtype == np.uint8 else values.astype(np.uint16)).save(buffer, "PNG")
    return buffer.getvalue()


def measured_classes(config: Any) -> list[str]:
    """Return the names of the classes that are measured: a boundary that was told apart is part of its objects."""
    classes: list[str] = config.data.classes
    return classes[:2] if config.mask.boundary else classes


def mask_rows(folder: Path, config: Any, dataset: MaskDataset, details: Sequence[Row]) -> list[Row]:
    """Return what predictions.csv says of each case: its measures, one column per measure and class."""
    names = measured_classes(config)
    listed = []
    for row in details:
        values = {f"{k} {label}": v for k in measured(row) for label, v in zip(names, row[k], strict=True)}
        means = {f"mean {name}": mean_over_labels(row[name]) for name in measured(row)}
        values |= of_regions(row)
        listed.append({"path": below(row["name"], config.data.path), "accuracy": row["accuracy"], **means, **values})
    return listed


def measured(row: Row) -> list[str]:
    """Return the measures that a case has a value of for each class."""
    return [name for name, value in row.items() if isinstance(value, list) and name != "pixels"]


def mask_figures(config: Any, cases: Cases) -> dict[str, Measure]:
    """Return the measures of a list of cases, averaged: of each the mean over its classes but the background.

    Whole regions have figures of their own.
    """
    found: dict[str, Measure] = {}
    for column in (name for name in cases if name.startswith("mean ") or " whole region " in name):
        found[column.removeprefix("mean ")] = mean_of(cases, column)
    return found | {"accuracy": Mean(cases.numbers("accuracy"), (0, 1))}


def mask_tables(config: Any, cases: Cases) -> dict[str, dict[str, dict[str, Measure]]]:
    """Return the measures of each class and of each whole region."""
    figures = mask_figures(config, cases)
    regions = {region: f" whole region {region}" for region in config.mask.regions}
    return {
        "per_class": {
            label: {name: mean_of(cases, f"{name} {label}") for name in METRICS if f"{name} {label}" in cases}
            for label in measured_classes(config)
        },
        "per_region": {
            region: {name.removesuffix(end): figures[name] for name in figures if name.endswith(end)}
            for region, end in regions.items()
        },
    }


def mean_of(cases: Cases, column: str) -> Mean:
    """Return the mean of a column that begins with the name of a measure."""
    name = column.removeprefix("mean ").partition(" ")[0]
    return Mean(cases.numbers(column), bounds_of(name), lower_is_better=name not in (*SHARES, "conformity"))


def mask_errors(config: Any, cases: Cases) -> np.ndarray:
    """Return how far each case is from a mean Dice of 1."""
    return 1 - cases.numbers("mean dice")
