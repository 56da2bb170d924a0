"""From pseudonyms, running numbers and hashed UIDs back to what they stand for, for whoever has the key.

A pseudonym is a keyed hash, which cannot be undone.  It is found again by hashing what the headers of known DICOM files
say: those in the user's list of numbers, and those of a folder or list that is named.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ...errors import UserError
from ..walk import Account, files_below
from .files import is_dicom, read
from .library import guarded, pydicom
from .people import facts_in, field_text, hashed_field, text_of
from .privacy import KEY, NUMBERS, configuration_folder, find_number, numbers, private_file, pseudonym, unique_id

NAME = re.compile(  # not in the name of a file that was made, such as masks/dicom-000012.nii.gz
    r"(?<![\w./\\-])(?:(?:patient|study|group|file)-[0-9a-f]{16}|dicom-\d{6,}|2\.25\.\d{1,39})(?![\w-]|\.\w)"
)
TEXTS = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".md", ".html", ".tex", ".log")
MAX_TEXT = 256 << 20
PERSON = ("PatientID", "PatientName")


class Originals:
    """What pseudonyms of the user's key stand for.

    Args:
        among: Folders or lists of DICOM files beside those in the list of numbers.

    Raises:
        UserError: There is no key, or no list of numbers, in the user's folder.
    """

    def __init__(self, among: Iterable[Path] = ()):
        require_key()
        self.of: dict[str, str] = {}
        self.called: dict[str, str] = {}  # pseudonym of a patient -> PatientName
        for file in known_files(among):
            self.learn_file(file)
        for path in among:
            if path.suffix.lower() in (".csv", ".tsv") and path.is_file():
                self.learn_words(path)

    def learn_file(self, file: Path) -> None:
        """Hash what a header says, as the reader of it does; a file that cannot be read says nothing."""
        for text in {str(file), os.path.abspath(file), os.path.relpath(file)}:
            self.of[pseudonym("file", text)] = str(file)
        try:
            header = read(file, pixels=False)
            with guarded(file, "its header"):
                self.learn_header(header)
        except UserError:
            return

    def learn_header(self, header: Any) -> None:
        """Hash patient, study, fields and UIDs of a header."""
        facts, person = facts_in(header), text_of(header, "PatientID")
        study = text_of(header, "StudyInstanceUID")
        self.of |= {name: text for name, text in ((facts.patient, person or study), (facts.study, study)) if name}
        self.called[facts.patient] = text_of(header, "PatientName")
        for element in header.iterall():
            if element.VR == "UI" and element.value:
                for uid in [element.value] if isinstance(element.value, str) else element.value:
                    self.of[unique_id(str(uid))] = str(uid)
        for element in header:
            if element.keyword and element.VR != "SQ" and (text := field_text(header, element.keyword)):
                self.of.setdefault(hashed_field(element.keyword, text), text)

    def learn_words(self, path: Path) -> None:
        """Hash the cells of a list, of which one column may name patients."""
        from ..lists import read_table

        for row in read_table(path).rows:
            for cell in row.values():
                self.of.setdefault(pseudonym("patient", cell), cell)

    def find(self, name: str) -> str | None:
        """Return what a name stands for, None of one that is not known."""
        file = find_number(name)
        return str(file) if file is not None else self.of.get(name)


def require_key() -> None:
    """Raise UserError unless the key and the list of numbers are there; neither is made."""
    folder = configuration_folder()
    for name, what in ((KEY, "key of pseudonyms"), (NUMBERS, "list of DICOM files' numbers")):
        if not (folder / name).is_file():
            raise UserError(
                f"{folder / name}: there is no {what} here, and without it nothing leads back to a name; put the files "
                f"{KEY} and {NUMBERS} of whoever made the pseudonyms there, or set XDG_CONFIG_HOME to the folder above "
                "theirs"
            )


def known_files(among: Iterable[Path]) -> Iterator[Path]:
    """Yield the DICOM files in the list of numbers that are still there, and those in further folders and lists."""
    numbered = numbers()
    numbered.file(0)
    places = [*map(Path, numbered.of), *among]
    seen: set[str] = set()
    for place in places:
        found = files_below(place, is_dicom, Account()) if place.is_dir() else [place] if place.is_file() else []
        for file in found:
            if is_dicom(file) and (full := os.path.abspath(file)) not in seen:
                seen.add(full)
                yield file


def restored_text(text: str, originals: Originals) -> tuple[str, int, list[str]]:
    """Return (a text with names in place of pseudonyms, how many were replaced, the pseudonyms that are not known)."""
    names = list(dict.fromkeys(NAME.findall(text)))
    found = {name: original for name in names if (original := originals.find(name)) is not None}
    check_owner(names, found)
    unknown = [name for name in names if name not in found and not name.startswith("2.25.")]
    return NAME.sub(lambda match: found.get(match[0], match[0]), text), len(found), unknown


def check_owner(names: Iterable[str], found: dict[str, str]) -> None:
    """Raise UserError where no pseudonym is known: the key is another's, whose numbers would lead to other files."""
    hashed = [name for name in names if not name.startswith(("dicom-", "2.25."))]
    if hashed and not any(name in found for name in hashed):
        raise UserError(
            f"none of {len(hashed)} pseudonyms, such as {hashed[0]}, is of this key and these files: they were made "
            "with another key, or the files are elsewhere: name their folder or list with --among"
        )


def restored_dicom(path: Path, originals: Originals) -> tuple[bytes, int, list[str]]:
    """Return (a DICOM file with the UIDs and the patient that its hashes stand for, how many, those not known).

    UIDs that the file itself was given, those of the segmentation, stay as they are.
    """
    import io

    replaced: dict[str, str] = {}
    unknown: list[str] = []
    with guarded(path, "the DICOM file"):
        found = pydicom().dcmread(path)

        def put_back(_: Any, element: Any) -> None:
            name = str(element.value or "")
            if (element.VR == "UI" or element.keyword in PERSON) and NAME.fullmatch(name):
                original = originals.find(name)
                if original is None and not name.startswith("2.25."):
                    unknown.append(name)
                elif original is not None:
                    replaced[name] = original
                    element.value = originals.called.get(name, "") if element.keyword == "PatientName" else original

        found.walk(put_back)
        content = io.BytesIO()
        found.save_as(content)
    check_owner([*replaced, *unknown], replaced)
    return content.getvalue(), len(replaced), list(dict.fromkeys(unknown))


def restore_file(path: Path, out: Path, among: Iterable[Path]) -> tuple[int, list[str]]:
    """Write a text or DICOM file with what its pseudonyms stand for, for the user alone to read (mode 0600).

    Args:
        path: The file.
        out: The file to write, which is not there yet.
        among: See `Originals`.

    Returns:
        (Different names that were replaced, those that are not known.)

    Raises:
        UserError: There is no key, the file is no text, or `out` exists or lies in a run's folder.
    """
    originals = Originals(among)
    if any((folder / "config.json").is_file() for folder in (*out.absolute().parents,)[:3]):
        raise UserError(f"{out}: lies in the folder of a run, where nobody is named; give another --out")
    if path.suffix.lower() in TEXTS:
        if path.stat().st_size > MAX_TEXT:
            raise UserError(f"{path}: {path.stat().st_size:,} bytes are more than the limit of {MAX_TEXT:,}")
        text, count, unknown = restored_text(path.read_text(errors="surrogateescape"), originals)
        content = text.encode(errors="surrogateescape")
    elif is_dicom(path):
        content, count, unknown = restored_dicom(path, originals)
    else:
        raise UserError(f"{path}: names are put back into DICOM files and texts ({' '.join(TEXTS)})")
    if out.exists():
        raise UserError(f"{out}: is there already; give another --out")
    with private_file(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as handle:
        view = memoryview(content)
        while view:
            view = view[os.write(handle, view) :]
    return count, unknown
