"""How the pixels of a DICOM file are packed: the transfer syntaxes that are read, and what unpacks each."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...errors import UserError
from .files import frame_count
from .library import SKIP, guarded, library, pydicom

MAX_BYTES = 1 << 30  # that one frame may come to


class Syntax(NamedTuple):
    """A transfer syntax: its name in the standard, and what unpacks a frame of it."""

    name: str
    decoder: str  # "pydicom" of what is not compressed and of RLE, else a function of imagecodecs


SYNTAXES = {
    "1.2.840.10008.1.2": Syntax("Implicit VR Little Endian", "pydicom"),
    "1.2.840.10008.1.2.1": Syntax("Explicit VR Little Endian", "pydicom"),
    "1.2.840.10008.1.2.1.99": Syntax("Deflated Explicit VR Little Endian", "pydicom"),
    "1.2.840.10008.1.2.2": Syntax("Explicit VR Big Endian", "pydicom"),
    "1.2.840.10008.1.2.5": Syntax("RLE Lossless", "pydicom"),
    "1.2.840.10008.1.2.4.50": Syntax("JPEG Baseline (Process 1)", "jpeg8_decode"),
    "1.2.840.10008.1.2.4.51": Syntax("JPEG Extended (Process 2 and 4)", "jpeg8_decode"),
    "1.2.840.10008.1.2.4.57": Syntax("JPEG Lossless, Non-Hierarchical (Process 14)", "jpeg8_decode"),
    "1.2.840.10008.1.2.4.70": Syntax("JPEG Lossless, First-Order Prediction (Process 14, SV 1)", "jpeg8_decode"),
    "1.2.840.10008.1.2.4.80": Syntax("JPEG-LS Lossless", "jpegls_decode"),
    "1.2.840.10008.1.2.4.81": Syntax("JPEG-LS Lossy (Near-Lossless)", "jpegls_decode"),
    "1.2.840.10008.1.2.4.90": Syntax("JPEG 2000 (Lossless Only)", "jpeg2k_decode"),
    "1.2.840.10008.1.2.4.91": Syntax("JPEG 2000", "jpeg2k_decode"),
    "1.2.840.10008.1.2.4.201": Syntax("High-Throughput JPEG 2000 (Lossless Only)", "htj2k_decode"),
    "1.2.840.10008.1.2.4.202": Syntax("High-Throughput JPEG 2000 with RPCL (Lossless Only)", "htj2k_decode"),
    "1.2.840.10008.1.2.4.203": Syntax("High-Throughput JPEG 2000", "htj2k_decode"),
}
IMPLICIT = "1.2.840.10008.1.2"
FAMILIES = ("uncompressed", "deflated", "RLE", "JPEG", "JPEG Lossless", "JPEG-LS", "JPEG 2000")
REVERSED = ("YBR_ICT", "YBR_RCT")  # colours that JPEG 2000 turns back itself


class Stored(NamedTuple):
    """The values of a frame as they are stored.

    Attributes:
        values: Integers or floats [rows, columns] or, of colours, [rows, columns, 3].
        colours: The photometric interpretation that they have once unpacked.
    """

    values: np.ndarray
    colours: str


def syntax_of(path: Path, found: Any) -> tuple[str, Syntax]:
    """Return (UID, transfer syntax) of a file; raise UserError that names one which is not read."""
    meta = getattr(found, "file_meta", None)
    uid = meta.get("TransferSyntaxUID") if meta is not None else None
    if uid is None:  # a file without its first group
        implicit, little = getattr(found, "original_encoding", (True, True))
        guess = IMPLICIT if implicit else "1.2.840.10008.1.2.1" if little else "1.2.840.10008.1.2.2"
        return guess, SYNTAXES[guess]
    if str(uid) in SYNTAXES:
        return str(uid), SYNTAXES[str(uid)]
    name = uid.name if getattr(uid, "is_private", True) is False and uid.name != str(uid) else "unknown"
    raise UserError(
        f"{path}: its pixels are packed by the transfer syntax {name!r}, which is not read "
        f"({', '.join(FAMILIES)} are); convert it to an uncompressed one",
        SKIP,
    )


def stored_values(path: Path, found: Any, frame: int, max_pixels: int) -> Stored:
    """Return the values of one frame as they are stored: signed where the header says so, spare bits cut off.

    Args:
        path: The file, for messages.
        found: What `files.read` returned of it.
        frame: Number of the frame, from 0.
        max_pixels: Limit on rows x columns.

    Raises:
        UserError: The transfer syntax is not read, the frame is damaged, or another size than the header says.
    """
    uid, syntax = syntax_of(path, found)
    with guarded(path, f"its pixels ({syntax.name})"):
        rows, columns, samples = int(found.Rows), int(found.Columns), int(found.get("SamplesPerPixel") or 1)
        allocated, colours = int(found.BitsAllocated) if "BitsAllocated" in found else 32, photometric(found)
        if rows * columns > max_pixels:
            raise UserError(f"{path}: {columns} x {rows} pixels are more than the limit of {max_pixels:,}", SKIP)
        if samples not in (1, 3) or allocated not in (1, 8, 16, 32, 64):
            raise UserError(f"{path}: {samples} samples a pixel of {allocated} bits; 1 or 3 of 1, 8, 16 or 32 are read")
        if syntax.decoder == "pydicom":
            values = uncompressed(found, uid, frame, samples)
            colours = "YBR_FULL" if colours == "YBR_FULL_422" else colours
        else:
            values, colours = unpack(found, syntax, frame, colours)
        if values.shape != ((rows, columns) if samples == 1 else (rows, columns, 3)):
            raise UserError(f"{path}: a frame has the shape {values.shape}, its header says {rows} x {columns}", SKIP)
        if values.dtype.kind not in "iuf":
            raise ValueError("values that are no numbers")
        return Stored(values if values.dtype.kind == "f" else with_sign(values, found), colours)


def photometric(found: Any) -> str:
    """Return what a header says of colours."""
    return str(found.get("PhotometricInterpretation") or "MONOCHROME2").strip().upper()


def uncompressed(found: Any, uid: str, frame: int, samples: int) -> np.ndarray:
    """Return a frame that is stored as it is, or packed by RLE, which pydicom reads by itself."""
    claimed = int(found.Rows) * int(found.Columns) * samples * int(found.get("BitsAllocated") or 32) // 8
    if claimed > MAX_BYTES:
        raise ValueError("a frame of too many bytes")
    decoder = pydicom().pixels.get_decoder(uid)
    if uid.endswith(".1.2.5"):
        values, _ = decoder.as_array(found, index=frame, raw=True, decoding_plugin="pydicom")
    else:
        values, _ = decoder.as_array(found, index=frame, raw=True)
    return np.asarray(values)


def unpack(found: Any, syntax: Syntax, frame: int, colours: str) -> tuple[np.ndarray, str]:
    """Return (values, their colours) of a compressed frame."""
    codecs = library("imagecodecs", "compressed DICOM files")
    frames = pydicom().encaps
    data = frames.get_frame(found.PixelData, frame, number_of_frames=frame_count(found))
    if syntax.decoder != "jpeg8_decode":
        values = np.asarray(getattr(codecs, syntax.decoder)(data))
        return values, "RGB" if colours in REVERSED else colours
    if colours.startswith("MONOCHROME") or colours == "PALETTE COLOR":
        return np.asarray(codecs.jpeg8_decode(data)), colours
    stored = "RGB" if stored_as_rgb(data, colours) else "YCBCR"
    return np.asarray(codecs.jpeg8_decode(data, colorspace=stored, outcolorspace="RGB")), "RGB"


def stored_as_rgb(data: bytes, colours: str) -> bool:
    """Return whether a JPEG stream holds red, green, blue: by Adobe's or JFIF's marker, else as the header says."""
    at = data.find(b"\xff\xee", 0, 4096)
    if at >= 0 and data[at + 2 : at + 9] == b"\0\x0eAdobe" and len(data) > at + 15:
        return data[at + 15] == 0
    return colours == "RGB" and data[6:10] != b"JFIF"


def with_sign(values: np.ndarray, found: Any) -> np.ndarray:
    """Return stored integers cut to their bits, and negative where the header says that they have a sign."""
    allocated = int(found.get("BitsAllocated") or 8 * values.dtype.itemsize)
    bits = min(int(found.get("BitsStored") or allocated), allocated)
    high = int(found.get("HighBit") or bits - 1)
    signed = int(found.get("PixelRepresentation") or 0) == 1
    if bits < 1 or not bits - 1 <= high < allocated:
        raise ValueError("bits")
    wide = values.astype(np.int64)
    if values.dtype.kind == "i" and int(wide.min(initial=0)) < 0 and not signed:
        raise ValueError("negative values in unsigned pixels")
    if high > bits - 1 and values.dtype.kind == "u":
        wide >>= high - bits + 1
    wide &= (1 << bits) - 1
    return np.where(wide >> (bits - 1), wide - (1 << bits), wide) if signed else wide
