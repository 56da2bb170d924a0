"""Sets with DICOM files in them: patients from the headers, names of files hidden, burned-in text warned of."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserAdvice, UserError
from .dataset import Dataset
from .dicom.files import is_dicom
from .dicom.people import Facts, check_keyword, facts_of, field_pseudonym
from .dicom.privacy import hide, pseudonym
from .dicom.series import is_series

COLUMN = "PatientID"  # the field of the header that groups come from


def is_from_dicom(path: Path) -> bool:
    """Return whether an image is a DICOM file or a folder of slices."""
    return is_series(path) if path.is_dir() else is_dicom(path)


def files_of(dataset: Dataset) -> list[Path]:
    """Return all files of a set: images, further modalities, masks; none of one array."""
    if isinstance(dataset.samples, np.ndarray):
        return []
    more: list[list[Path]] = getattr(dataset, "more", [])
    return [*map(Path, dataset.samples), *getattr(dataset, "masks", []), *(file for files in more for file in files)]


def identify(where: Path, sets: Mapping[str, Any], field: str | None = None) -> None:
    """Give sets with DICOM files the patients of the headers as groups, unless a list names them, and hide names.

    Patients that a list names become pseudonyms too.  Warns (`UserAdvice`) of text that is burned into pixels.

    Args:
        where: The folder or list that was opened.
        sets: The parts; their groups are set in place.
        field: The column of groups that was asked for; of a folder, the keyword of a field of the headers.

    Raises:
        UserError: The folder holds other files than DICOM, or the field is unknown or not in all headers.
    """
    field = None if any(dataset.groups is not None for dataset in sets.values()) else field
    found = {name: [is_from_dicom(Path(file)) for file in dataset.samples] for name, dataset in of_files(sets).items()}
    if field is not None and not all(name in found and all(found[name]) for name in sets):
        raise UserError(
            f"{where}: the column {field!r} was given for the patient, but there is no list with such columns here, "
            "and not all files are DICOM, whose headers have fields; give a .csv list, or a folder with splits.csv"
        )
    if not any(any(flags) for flags in found.values()):
        return
    root = where if where.is_dir() else where.parent
    hide((file for name in found for file in files_of(sets[name])), root)
    burned = 0
    for name, flags in found.items():
        dataset = sets[name]
        facts = [facts_of(Path(p)) if known else Facts() for p, known in zip(dataset.samples, flags, strict=True)]
        burned += sum(fact.burned_in == "yes" for fact in facts)
        if dataset.groups is not None:
            dataset.groups = np.array([pseudonym("patient", str(group)) for group in dataset.groups], str)
        elif field not in (None, COLUMN):
            dataset.groups, dataset.group_column = groups_of(where, dataset, field), field
        else:
            own = [pseudonym("file", str(path)) for path in dataset.samples]
            dataset.groups = np.array([fact.patient or name for fact, name in zip(facts, own, strict=True)], str)
            dataset.group_column = COLUMN
    if burned:
        warnings.warn(
            UserAdvice(
                f"{where}: {burned:,} DICOM {'files say' if burned > 1 else 'file says'} that text is burned into the "
                "pixels: names may be seen in pictures of this set, and a network may read what it should not; cover it"
            ),
            stacklevel=4,
        )


def groups_of(where: Path, dataset: Dataset, field: str) -> np.ndarray:
    """Return the pseudonym of a field's value in the header of each image; raise UserError where headers lack it."""
    check_keyword(field)
    groups = [field_pseudonym(Path(path), field) for path in dataset.samples]
    lacking = [i for i, group in enumerate(groups) if not group]
    if lacking:
        raise UserError(
            f"{where}: {len(lacking)} of {len(groups)} files have no {field} in their headers, such as "
            f"{dataset.name(lacking[0])}; give another --group-column, or leave it out for the patient"
        )
    return np.array(groups, str)


def of_files(sets: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sets whose images are files."""
    return {name: dataset for name, dataset in sets.items() if not isinstance(dataset.samples, np.ndarray)}
