"""DICOM files that the tests write, and those that pydicom ships."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom", reason='DICOM needs pydicom: pip install ".[medical]"')
encaps = pytest.importorskip("pydicom.encaps")

EXPLICIT = "1.2.840.10008.1.2.1"
CR, CT = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.2"
SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"


def make(
    values: np.ndarray, bits: int | None = None, frames: bool = False, **fields: Any
) -> pydicom.dataset.FileDataset:
    """A DICOM object of values [rows, columns(, 3)], or [frames, rows, columns]; fields are set as they are."""
    syntax = fields.pop("syntax", EXPLICIT)
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = fields.get("SOPClassUID", CR)
    meta.MediaStorageSOPInstanceUID = fields.setdefault("SOPInstanceUID", pydicom.uid.generate_uid())
    found = pydicom.dataset.FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    found.SOPClassUID = meta.MediaStorageSOPClassUID
    count, shape = (len(values), values.shape[1:]) if frames else (1, values.shape)
    found.Rows, found.Columns = shape[:2]
    found.SamplesPerPixel = 3 if len(shape) == 3 else 1
    found.PhotometricInterpretation = "RGB" if len(shape) == 3 else "MONOCHROME2"
    if len(shape) == 3:
        found.PlanarConfiguration = 0
    if frames:
        found.NumberOfFrames = count
    found.BitsAllocated = 8 * values.dtype.itemsize
    found.BitsStored = bits or found.BitsAllocated
    found.HighBit = found.BitsStored - 1
    found.PixelRepresentation = int(values.dtype.kind == "i")
    packed = fields.pop("packed", None)
    for name, value in fields.items():
        setattr(found, name, value)
    found.PixelData = values.tobytes() if packed is None else encaps.encapsulate(packed)
    if packed is not None:
        found["PixelData"].VR = "OB"
        found["PixelData"].is_undefined_length = True
    return found


def save(path: Path, values: np.ndarray, bits: int | None = None, **fields: Any) -> Path:
    """A DICOM file, see `make`; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    make(values, bits, **fields).save_as(path, enforce_file_format=True)
    return path


def item(**fields: Any) -> pydicom.dataset.Dataset:
    """An item of a sequence."""
    found = pydicom.dataset.Dataset()
    for name, value in fields.items():
        setattr(found, name, value)
    return found


def save_series(
    folder: Path,
    values: np.ndarray,
    spacing: tuple[float, float, float] = (2.5, 0.5, 0.75),
    turn: tuple[float, ...] = (1, 0, 0, 0, 1, 0),
    **fields: Any,
) -> list[Path]:
    """A CT series of values [slices, rows, columns] in Hounsfield units, slices 2.5 mm apart; returns its files.

    spacing: between slices, rows, columns.  The files are written in an order that is not that of the slices.
    """
    normal = np.cross(turn[:3], turn[3:])
    series, study, frame = (pydicom.uid.generate_uid() for _ in range(3))
    files = []
    for k in np.random.default_rng(0).permutation(len(values)):
        own = {
            "SOPClassUID": CT,
            "Modality": "CT",
            "ImageOrientationPatient": list(turn),
            "ImagePositionPatient": [float(v) for v in np.array([-10.0, 20.0, 5.0]) + k * spacing[0] * normal],
            "PixelSpacing": list(spacing[1:]),
            "SliceThickness": spacing[0],
            "SeriesInstanceUID": series,
            "StudyInstanceUID": study,
            "FrameOfReferenceUID": frame,
            "RescaleSlope": 1,
            "RescaleIntercept": -1024,
        }
        files.append(save(folder / f"{len(files):03}.dcm", (values[k] + 1024).astype(np.uint16), 12, **(own | fields)))
    return files
