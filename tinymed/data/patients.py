"""Sets with DICOM files in them: patients from the headers, names of files hidden, burned-in text warned of."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserAdvice
from .dataset import Dataset
from .dicom.files import is_dicom
from .dicom.people import Facts, facts_of
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


def identify(where: Path, sets: Mapping[str, Any]) -> None:
    """Give sets with DICOM files the patients of the headers as groups, unless a list names them, and hide names.

    Patients that a list names become pseudonyms too.  Warns (`UserAdvice`) of text that is burned into pixels.

    Args:
        where: The folder or list that was opened.
        sets: The parts; their groups are set in place.
    """
    found = {name: [is_from_dicom(Path(file)) for file in dataset.samples] for name, dataset in of_files(sets).items()}
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


def of_files(sets: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sets whose images are files."""
    return {name: dataset for name, dataset in sets.items() if not isinstance(dataset.samples, np.ndarray)}
