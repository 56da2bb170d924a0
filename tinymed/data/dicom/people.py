"""Whom a DICOM file is of, as far as anyone may know: pseudonyms of patient and study, the side, the kind of picture.

Only what comes from a closed list of the standard's terms is passed on as it is; free text never is.
"""

from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import UserError
from .files import of_frame, read
from .library import guarded, library
from .privacy import pseudonym
from .series import is_series, series_files

# What is written into PatientID when patients were taken out: it tells nobody apart.
NOBODY = frozenset(("", "0", "anon", "anonymous", "anonymized", "anonymised", "none", "unknown", "deidentified", "na"))
SIDES = {"L": "left", "R": "right", "B": "both", "U": "unpaired"}
SEXES = {"M": "male", "F": "female", "O": "other"}
VIEWS = frozenset(("AP", "PA", "LL", "RL", "RLD", "LLD", "RLO", "LLO", "CC", "MLO", "ML", "LM", "XCCL", "LATERAL"))
MODALITIES = frozenset(
    ("CR", "CT", "DX", "ES", "GM", "IO", "IVUS", "MG", "MR", "NM", "OCT", "OP", "OPT", "OT", "PT", "PX")
)
MODALITIES |= {"RF", "RTDOSE", "RTIMAGE", "SC", "SEG", "SM", "US", "XA", "XC"}


class Facts(NamedTuple):
    """What a list may say of a file; "" of what its header does not say.

    Attributes:
        patient: Pseudonym.
        study: Pseudonym.
        laterality: left, right, both or unpaired.
        view: Of a radiograph, such as PA.
        modality: CT, MR, ...
        sex: male, female, other.
        age: In whole years, "90+" from there on.
        burned_in: yes, no or "", as the header says: whether text is burned into the pixels.
    """

    patient: str = ""
    study: str = ""
    laterality: str = ""
    view: str = ""
    modality: str = ""
    sex: str = ""
    age: str = ""
    burned_in: str = ""


def facts_of(path: Path) -> Facts:
    """Return what the header of a file, or of the first file of a series, says; nothing of one that cannot be read."""
    file = series_files(path)[0] if is_series(path) else path
    return remembered(str(file), file.stat().st_mtime_ns if file.is_file() else 0)


@lru_cache(1 << 16)
def remembered(path: str, _: int) -> Facts:
    """Return the facts of a file whose time of change is part of the question."""
    try:
        header = read(Path(path), pixels=False)
        with guarded(Path(path), "its header"):
            return facts_in(header)
    except UserError:
        return Facts()


def facts_in(header: Any) -> Facts:
    """Return the facts of a header."""
    study = text_of(header, "StudyInstanceUID")
    person = text_of(header, "PatientID")
    issuer = text_of(header, "IssuerOfPatientID")
    if person.lower().replace("_", "").replace("-", "") in NOBODY:
        person, issuer = "", ""
    whose = f"{issuer}\0{person}" if person else f"study\0{study}" if study else ""
    anatomy = of_frame(header, "FrameAnatomySequence", 0)
    side = text_of(header, "ImageLaterality") or text_of(header, "Laterality") or text_of(anatomy, "FrameLaterality")
    view, modality = text_of(header, "ViewPosition").upper(), text_of(header, "Modality").upper()
    return Facts(
        pseudonym("patient", whose) if whose else "",
        pseudonym("study", study) if study else "",
        SIDES.get(side.upper(), ""),
        view if view in VIEWS else "",
        modality if modality in MODALITIES else "",
        SEXES.get(text_of(header, "PatientSex").upper(), ""),
        age_of(text_of(header, "PatientAge")),
        {"YES": "yes", "NO": "no"}.get(text_of(header, "BurnedInAnnotation").upper(), ""),
    )


# --------------------------------------------------------------------------------------------- any other field

NO_TEXT = frozenset(("SQ", "OB", "OW", "OD", "OF", "OL", "OV", "UN"))  # kinds of fields that are no value to group by
SEPARATOR = "\\"  # of several values of a field, as the standard has it


def check_keyword(keyword: str) -> None:
    """Raise UserError unless the standard knows a field by that name, and it holds text or numbers."""
    names = library("pydicom.datadict", "DICOM files")
    tag = names.tag_for_keyword(keyword)
    if tag is None:
        near = get_close_matches(keyword, names.keyword_dict, 3, 0.7)
        hint = " or ".join(near) if near else "one such as StudyInstanceUID, AccessionNumber or InstitutionName"
        raise UserError(f"--group-column {keyword!r}: DICOM has no field of that keyword; give {hint}")
    if names.dictionary_VR(tag).split(" ")[0] in NO_TEXT:
        raise UserError(f"--group-column {keyword!r}: holds no text or number to group by; give another field")


def field_pseudonym(path: Path, keyword: str) -> str:
    """Return what stands for the value of a field in the header of a file, or of the first of a series; "" of none."""
    file = series_files(path)[0] if is_series(path) else path
    return remembered_field(str(file), file.stat().st_mtime_ns if file.is_file() else 0, keyword)


@lru_cache(1 << 16)
def remembered_field(path: str, _: int, keyword: str) -> str:
    """Return the pseudonym of a field of a file whose time of change is part of the question."""
    try:
        header = read(Path(path), pixels=False)
        with guarded(Path(path), "its header"):
            return hashed_field(keyword, field_text(header, keyword))
    except UserError:
        return ""


def field_text(header: Any, keyword: str) -> str:
    """Return a field of a header as text, several values with the standard's separator between them."""
    value = header.get(keyword)
    if (
        value is None
        or isinstance(value, str | bytes)
        or not hasattr(value, "__iter__")
        or hasattr(value, "family_name")
    ):
        return text_of(header, keyword)
    return SEPARATOR.join(str(each).strip() for each in value)


def hashed_field(keyword: str, text: str) -> str:
    """Return the pseudonym of a field's value: of a study the one that lists have; "" of an empty one."""
    if not text:
        return ""
    return pseudonym("study", text) if keyword == "StudyInstanceUID" else pseudonym("group", f"{keyword}\0{text}")


def text_of(header: Any, name: str) -> str:
    """Return a field of a header as text without blanks around."""
    value = header.get(name)
    return "" if value is None else str(value).strip()


def age_of(text: str) -> str:
    """Return an age such as 045Y or 008M in whole years; "90+" from there on, since so few are older."""
    unit = {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}.get(text[-1:].upper())
    if unit is None or not text[:-1].isdecimal():
        return ""
    years = int(int(text[:-1]) / unit)
    return "90+" if years >= 90 else str(years)
