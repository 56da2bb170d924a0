"""Masks to DICOM segmentation objects (SEG), which name nobody.

The object refers to its images by keyed hashes of their UIDs, patient and study are pseudonyms, and dates, names and
whatever else a header may tell of a person are left out.  Who has the key can put the UIDs of an archive through the
same hash (`privacy.unique_id`) and so find the images again.
"""

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UserError
from .files import is_dicom, of_frame, read
from .library import guarded, library, pydicom
from .people import facts_in
from .privacy import unique_id
from .series import Geometry, geometry

# What places a picture in space and says how large it is; nothing else of a header is copied.
KEPT = (
    "SOPClassUID",
    "Modality",
    "Rows",
    "Columns",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "NumberOfFrames",
)
HASHED = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID")
EMPTY = (
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
OF_FRAMES = {"PlanePositionSequence": ("ImagePositionPatient",)}
OF_ALL = {
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
}
EXPLICIT = "1.2.840.10008.1.2.1"
MADE_BY = "tinymed"


def segmentation_bytes(source: Path, labels: np.ndarray, names: list[str]) -> bytes:
    """Return a DICOM SEG file of a mask.

    Args:
        source: The DICOM file, or the folder of a series, that was segmented.
        labels: Class numbers [columns, rows, slices] in the order of the source, 0 the background.
        names: Of the classes, the background first.

    Returns:
        The content of the file.

    Raises:
        UserError: The source is not DICOM or has no place in space, no pixel has a class, or highdicom is not there.
    """
    if not (source.is_dir() or is_dicom(source)):
        raise UserError(f"{source}: is not DICOM, and a DICOM segmentation refers to DICOM images; use --masks nifti")
    seg, sr = library("highdicom.seg", "DICOM segmentations"), library("highdicom.sr", "DICOM segmentations")
    found = geometry(source)
    planes = np.moveaxis(labels, -1, 0).transpose(0, 2, 1)
    present = sorted(set(np.unique(planes).tolist()) & set(range(1, len(names))))
    if not present:
        raise UserError(f"{source}: no pixel has a class, and a DICOM segmentation holds one at least: none is written")
    with guarded(source, "its DICOM segmentation", "made"):
        images, planes = sources(found, planes)
        told = [segment(seg, sr, number + 1, names[value]) for number, value in enumerate(present)]
        numbered = np.zeros(planes.shape, np.uint8)
        for number, value in enumerate(present):
            numbered[planes == value] = number + 1
        result = seg.Segmentation(
            source_images=images,
            pixel_array=numbered,
            segmentation_type=seg.SegmentationTypeValues.BINARY,
            segment_descriptions=told,
            series_instance_uid=unique_id(f"{images[0].SeriesInstanceUID} segmented {hash_of(numbered)}"),
            series_number=1,
            sop_instance_uid=unique_id(f"{images[0].SOPInstanceUID} segmented {hash_of(numbered)}"),
            instance_number=1,
            manufacturer=MADE_BY,
            manufacturer_model_name=MADE_BY,
            software_versions=MADE_BY,
            device_serial_number="0",
            content_label="SEGMENTATION",
        )
        organisation = unique_id(f"{images[0].SeriesInstanceUID} dimensions")  # else a random one in each file

        def settle(_: Any, element: Any) -> None:
            if element.keyword == "DimensionOrganizationUID":
                element.value = organisation

        result.walk(settle)
        for name in ("ContentCreatorName", "SeriesDate", "SeriesTime", "ContentDate", "ContentTime"):
            if name in result:
                setattr(result, name, "")
        for name in ("InstanceCreationDate", "InstanceCreationTime", "ContributingEquipmentSequence"):
            if name in result:
                delattr(result, name)
        out = io.BytesIO()
        result.save_as(out)
        return out.getvalue()


def hash_of(values: np.ndarray) -> str:
    """Return the hash of an array in hex."""
    return hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()


def segment(seg: Any, sr: Any, number: int, name: str) -> Any:
    """Return the description of a segment; its kind is said in the words of the class's name."""
    code = sr.CodedConcept("85756007", "SCT", "Tissue")  # the most general property that the standard has
    return seg.SegmentDescription(
        segment_number=number,
        segment_label=name[:64],
        segmented_property_category=code,
        segmented_property_type=code,
        algorithm_type=seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm(),
    )


def algorithm() -> Any:
    """Return how the segments were found."""
    highdicom = library("highdicom", "DICOM segmentations")
    codes = library("pydicom.sr.codedict", "DICOM segmentations").codes
    return highdicom.AlgorithmIdentificationSequence(name=MADE_BY, version="1", family=codes.DCM.ArtificialIntelligence)


def sources(found: Geometry, planes: np.ndarray) -> tuple[list[Any], np.ndarray]:
    """Return (what the segmentation refers to, the planes in its order): one item a slice, or one file of frames."""
    paths = list(dict.fromkeys(each.path for each in found.slices))
    headers = {path: read(path, pixels=False) for path in paths}
    if len(paths) == len(found.slices):
        return [nameless(headers[path]) for path in paths], planes
    if len(paths) > 1:
        raise UserError(f"{paths[0]}: a series of several files with several frames each; write its mask as nifti")
    order = np.argsort([each.frame for each in found.slices])
    return [nameless(headers[paths[0]], len(found.slices))], planes[order]


def nameless(header: Any, frames: int = 0) -> Any:
    """Return a header that says where its picture lies, and of whom only pseudonyms.

    frames: of a multi-frame object, whose functional groups are copied likewise.
    """
    pydicom()
    dataset, facts = library("pydicom.dataset", "DICOM segmentations"), facts_in(header)
    result = dataset.Dataset()
    for name in KEPT:
        if name in header:
            setattr(result, name, header[name].value)
    for name in HASHED:
        text = str(header.get(name) or "")
        if text:
            setattr(result, name, unique_id(text))
    if "FrameOfReferenceUID" not in result:
        result.FrameOfReferenceUID = unique_id(f"frame of {result.get('SeriesInstanceUID', '')}")
    for name in EMPTY:
        setattr(result, name, "")
    result.PatientID = result.PatientName = facts.patient
    result.SamplesPerPixel, result.PhotometricInterpretation = 1, "MONOCHROME2"
    result.BitsAllocated, result.BitsStored, result.HighBit, result.PixelRepresentation = 16, 16, 15, 0
    if frames:
        each = [placed(dataset, header, frame, OF_FRAMES) for frame in range(frames)]
        result.PerFrameFunctionalGroupsSequence = each
        result.SharedFunctionalGroupsSequence = [placed(dataset, header, 0, OF_ALL)]
    meta = dataset.FileMetaDataset()
    meta.TransferSyntaxUID = EXPLICIT
    result.file_meta = meta
    return result


def placed(dataset: Any, header: Any, frame: int, wanted: Mapping[str, Sequence[str]]) -> Any:
    """Return the functional groups that place a frame, those that are wanted with their fields."""
    groups = dataset.Dataset()
    for name, fields in wanted.items():
        source, item = of_frame(header, name, frame), dataset.Dataset()
        for field in fields:
            if field in source:
                setattr(item, field, source[field].value)
        setattr(groups, name, [item])
    return groups
