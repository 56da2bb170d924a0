"""What `tinymed predict` makes of files for a segmenting run: masks, their sizes, overlays, objects told apart."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...data.dataset import Reading
from ...data.labels import Labels
from ...data.masks import read_case
from ...data.organs import Organs, keep_inside, nothing_outside
from ...data.volumes import case_name, read_volume
from ...errors import UserError, printable
from ...metrics.mask_cases import Row
from ...postprocess.steps import Refinement
from ...report.overlays import Example, save_overlays
from ..base.task import Predictions
from ..results.mask_results import case_files, check_form, write_mask, write_objects
from .case_scores import merge_boundary


def predict_masks(
    config: Any,
    predict: Callable[[np.ndarray, str], np.ndarray],
    files: Sequence[Path],
    out: Path | None,
    overlays: bool,
    refine: Refinement | None = None,
    form: str | None = None,
) -> Predictions:
    """Write the mask of every file into `out`; a file that cannot be read is named in the errors.

    Args:
        config: Of the run.
        predict: (image, name) -> probabilities [classes, *space].
        files: Images, several of a case separated by commas.
        out: The folder of the masks.
        overlays: Whether pictures of mask on image are written too.
        refine: Post-processing; where it tells objects apart, their numbers are written too.
        form: png, nifti or dicom-seg; None: as the image is.
    """
    if out is None:
        raise UserError("this run segments images: say where the masks go with --out DIR")
    check_form(form)
    refine, mask = refine or Refinement(), config.mask
    named, result = case_files([str(file) for file in files], mask.modalities, out), Predictions()
    out.mkdir(parents=True, exist_ok=True)
    meaning = Labels(dict(mask.values), mask.ignore)
    classes = meaning.names
    for name, case in named.items():
        row: Row = {"image": printable(case[0])}
        try:
            image, region = read_seen(config, case)
            spacing = read_volume(case[0]).spacing if image.ndim == 4 else (1.0, 1.0)
            scores = predict(image, printable(case[0]))
            scores = refine.scores(scores if region is None else nothing_outside(scores, region), image, spacing)
            found = refine.labels(scores)
            labels = merge_boundary(found) if mask.boundary else found
            file = write_mask(meaning, out / name, labels, case[0], form)
            if refine.separates:
                objects = refine.objects(found, scores)
                row["objects"] = int(objects.max(initial=0))
                row["object_file"] = str(write_objects(out / f"{name}-objects", objects, case[0]))
        except UserError as error:
            result.errors.append(str(error).partition("; ")[0])
            continue
        pixels = np.bincount(labels.ravel(), minlength=len(classes)).tolist()
        row |= {"mask": str(file), "pixels": dict(zip(classes, pixels, strict=True))}
        if labels.ndim == 3:
            row["millilitres"] = {label: n * float(np.prod(spacing)) / 1000 for label, n in row["pixels"].items()}
        if overlays:
            example = Example(image, None, labels, name, spacing)
            row["overlay"] = str(save_overlays([example], classes, out / f"{name}-overlay.png"))
        shares = [f"{label} {100 * n / labels.size:.2f} %" for label, n in row["pixels"].items()]
        shares += [f"{row['objects']} objects"] if refine.separates else []
        result.rows.append(row)
        result.lines.append(f"{file}: {', '.join(shares)}")
    return result


def read_seen(config: Any, case: Sequence[Path]) -> tuple[np.ndarray, np.ndarray | None]:
    """Return (the image of a case as the run looks at it, [*space, channels], the organ that it looks inside or None).

    case: its files, one for each modality.  Raises UserError for what cannot be read, or has no organ's mask.
    """
    image, mask = read_case(list(case), Reading(**config.data.reading())), config.mask
    if not mask.inside:
        return image, None
    region = Organs(Path(mask.inside), mask.inside_margin).region(case_name(case[0]), image.shape[:-1])
    return keep_inside(image, region), region
