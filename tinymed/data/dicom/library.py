"""The libraries that read DICOM, each imported when it is first needed, and kept from repeating what files say.

pydicom reads the format, imagecodecs (BSD) decodes JPEG, JPEG-LS and JPEG 2000, highdicom writes segmentations:
`pip install "tinymed[medical]"`.
"""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from ...errors import UserError

LOCK = threading.RLock()  # filters of warnings belong to the whole process


def library(name: str, what: str) -> Any:
    """Return a library by name; raise a UserError that says how to get it.

    what: for which it is needed, such as "DICOM files".
    """
    try:
        with silence():
            return import_module(name)
    except ImportError:
        raise UserError(f'{what} need {name.partition(".")[0]}: pip install "tinymed[medical]"') from None


def pydicom() -> Any:
    """Return pydicom, told not to check values: what is needed of a header is checked here."""
    found = library("pydicom", "DICOM files")
    found.config.settings.reading_validation_mode = found.config.IGNORE
    return found


@contextmanager
def silence() -> Iterator[None]:
    """Let no warning and no log of a library out: they quote values of headers, names of patients among them."""
    logger = logging.getLogger("pydicom")
    with LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before, logger.disabled = logger.disabled, True
        try:
            yield
        finally:
            logger.disabled = before


@contextmanager
def guarded(path: Path, what: str, done: str = "read") -> Iterator[None]:
    """Turn whatever a library raises of a damaged file into one UserError, which quotes nothing of it.

    what: that cannot be `done`, such as "its header".
    """
    try:
        with silence():
            yield
    except UserError:
        raise
    except MemoryError:
        raise UserError(f"{path}: {what} cannot be {done}: it asks for more memory than there is") from None
    except Exception as error:  # a damaged header raises nearly anything, and its text may quote a patient
        kind = type(error).__name__
        raise UserError(f"{path}: {what} cannot be {done} ({kind}); replace or remove the file", SKIP) from None


SKIP = {"skip_bad=True": "or leave it out with {}"}
