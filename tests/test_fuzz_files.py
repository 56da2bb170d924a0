"""Mutated files of every format the package reads: each is read, or refused in one line that names it.

No crash, no hang, no error of another class, no memory beyond the file's due.  A part runs always; `pytest -m full`
tries 2,000 files of each format.  What a file becomes depends on (format, number) alone, so a failure is found again.
"""

import contextlib
import faulthandler
import gzip
import io
import json
import resource
import struct
import time
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from datasets import class_folders, picture, write_image
from masks import blob, mask_tree, write_nifti
from PIL import Image

import tinymed
from tinymed import tasks
from tinymed.audit.reader import read_rows
from tinymed.data import open_boxes, open_dataset, open_segmentation
from tinymed.data.findings import open_findings
from tinymed.data.image import decode, decode_mask, image_size
from tinymed.data.segmentation_layouts import is_image
from tinymed.data.values import open_values
from tinymed.data.volumes import check_grids, read_values, read_volume, series_image
from tinymed.errors import UserError
from tinymed.tasks import read_config
from tinymed.train.callbacks import JsonLog
from tinymed.train.checkpoint import load_checkpoint, save_checkpoint

FEW, MANY = 60, 2000
SECONDS = 5.0  # of processor time for one file
HANG = 300.0  # seconds after which the process is ended with its traces
MEMORY = 1 << 20  # kilobytes that a whole format may add to the process

Sample = tuple[Path, list[bytes], Callable[[Path], object]]  # where the file lies, what it may be, how it is read
TOKENS = [
    b'"',
    b",",
    b";",
    b"\n",
    b"\r",
    b"\0",
    b"nan",
    b"-1",
    b"1e999",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"|",
    b"\t",
    b"{",
]
TOKENS += [
    b"}",
    b"[" * 3000,
    b"9" * 5000,
    b"../",
    b"\\",
    "\N{PILE OF POO}".encode(),
    b"null",
    b"true",
    b"0" * 300,
    b" ",
]
EXTREMES = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF]


def mutated(data: bytes, random: np.random.Generator) -> bytes:
    """The bytes after one to four changes: bits, bytes, numbers, tokens, cuts, repeats."""
    changed = bytearray(data)
    for _ in range(int(random.integers(1, 5))):
        if not changed:
            break
        # half of the changes hit the head, where formats say how large everything is
        reach = len(changed) if random.random() < 0.5 else min(len(changed), 128)
        at, kind = int(random.integers(reach)), int(random.integers(8))
        if kind == 0:
            changed[at] ^= 1 << int(random.integers(8))
        elif kind == 1:
            changed[at] = int(random.integers(256))
        elif kind == 2:
            width, order = int(random.choice([1, 2, 4, 8])), ("little", "big")[int(random.integers(2))]
            value = EXTREMES[int(random.integers(len(EXTREMES)))] & (256**width - 1)
            changed[at : at + width] = value.to_bytes(width, order)
        elif kind == 3:
            changed[at:at] = TOKENS[int(random.integers(len(TOKENS)))]
        elif kind == 4:
            del changed[at : at + int(random.integers(1, 64))]
        elif kind == 5:
            changed[at:at] = changed[int(random.integers(len(changed))) :][: int(random.integers(1, 200))]
        elif kind == 6:
            changed[at : at + int(random.integers(1, 16))] = bytes(random.integers(0, 256, 8, np.uint8))
        elif random.random() < 0.5:
            del changed[int(random.integers(len(changed))) :]
    return bytes(changed)


def inside_gzip(data: bytes, random: np.random.Generator) -> bytes:
    """The file with its content changed and packed again: damage that no checksum tells."""
    return gzip.compress(mutated(gzip.decompress(data), random), 1, mtime=0)


def inside_zip(data: bytes, random: np.random.Generator) -> bytes:
    """The archive with one member changed and packed again."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        names = old.namelist()
        hit = names[int(random.integers(len(names)))]
        for name in names:
            new.writestr(name, mutated(old.read(name), random) if name == hit else old.read(name))
    return out.getvalue()


def inside_png(data: bytes, random: np.random.Generator) -> bytes:
    """The picture with one chunk changed and its checksum right."""
    at, chunks = 8, []
    while at < len(data):
        length = struct.unpack(">I", data[at : at + 4])[0]
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    hit = int(random.integers(len(chunks)))
    chunks[hit] = (chunks[hit][0], mutated(chunks[hit][1], random) if chunks[hit][1] else b"")
    parts = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
    return data[:8] + b"".join(parts)


DEEPER = {".gz": inside_gzip, ".npz": inside_zip, ".png": inside_png}


def saved(folder: Path, suffix: str, *images: Image.Image, **options) -> list[bytes]:
    """The bytes of images in a format."""
    found = []
    for image in images:
        image.save(folder / f"seed{suffix}", **options)
        found.append((folder / f"seed{suffix}").read_bytes())
    return found


def pictures(folder: Path, suffix: str) -> Sample:
    """Colour, grey, palette and deep pictures of a format, as far as it has them."""
    colour, grey = Image.fromarray(picture(0)), Image.fromarray(picture(1, channels=1))
    deep = Image.fromarray(np.arange(120, dtype=np.uint16).reshape(12, 10) * 500)
    seeds = saved(folder, suffix, colour, grey)
    if suffix in (".png", ".tif", ".gif", ".bmp"):
        seeds += saved(folder, suffix, colour.convert("P"))
    if suffix in (".png", ".tif"):
        seeds += saved(folder, suffix, deep, grey.convert("1"))
    if suffix == ".tif":
        for packing in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg"):
            seeds += saved(folder, suffix, colour, compression=packing)
        seeds += saved(folder, suffix, Image.fromarray(np.ones((5, 6), np.float32)))
    if suffix == ".jpg":
        seeds += saved(folder, suffix, colour, progressive=True, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0")
    return folder / f"hit{suffix}", seeds, lambda path: each(path, decode, decode_mask, image_size)


def each(path: Path, *readers: Callable[[Path], object]) -> None:
    """Read a file by every reader, whether or not one refuses it; the first refusal is raised."""
    refusals = []
    for reader in readers:
        try:
            reader(path)
        except UserError as error:
            refusals.append(error)
    if refusals:
        raise refusals[0]


def volumes(folder: Path, suffix: str) -> Sample:
    """Volumes of several types and a label, plain or packed."""
    pytest.importorskip("nibabel", reason='NIfTI needs nibabel: pip install ".[medical]"')
    image, mask = blob(0, (7, 6, 5), 3)
    good = write_nifti(folder / f"good{suffix}", image)
    kinds = [image.astype(np.float32), mask, image.astype(np.int16)[..., None].repeat(2, axis=3)]
    seeds = [write_nifti(folder / f"seed{i}{suffix}", values).read_bytes() for i, values in enumerate(kinds)]
    readers = (read_volume, read_values, lambda path: check_grids(good, path, "mask"))
    return folder / f"hit{suffix}", seeds, lambda path: each(path, *readers)


def dicom(folder: Path) -> Sample:
    """DICOM pictures: plain, windowed, signed, in colours, with a table, and packed in every way."""
    pytest.importorskip("pydicom", reason='DICOM needs pydicom: pip install ".[medical]"')
    from dicom_files import SHIPPED, save

    grey = np.arange(120, dtype=np.uint16).reshape(12, 10) * 30
    place = {"ImagePositionPatient": [0, 0, 0], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [1, 1]}
    made = [
        save(folder / "1.dcm", grey, 12, WindowCenter=500, WindowWidth=900, PatientID="p", **place),
        save(folder / "2.dcm", grey.astype(np.int16) - 900, 12, RescaleSlope=2, RescaleIntercept=-5, **place),
        save(folder / "3.dcm", picture(0)),
        save(folder / "4.dcm", np.stack([grey, grey]), 12, frames=True),
    ]
    shipped = (
        "JPEGLSNearLossless_16.dcm",
        "SC_rgb_small_odd_jpeg.dcm",
        "MR_small_RLE.dcm",
        "MR_small_jp2klossless.dcm",
    )
    seeds = [path.read_bytes() for path in [*made, *(SHIPPED / name for name in (*shipped, "SC_rgb_jpeg_gdcm.dcm"))]]
    return folder / "hit.dcm", seeds, lambda path: each(path, decode_page, image_size, read_series)


def decode_page(path: Path) -> np.ndarray:
    """The first page of a picture."""
    return decode(path, page=1)


def read_series(path: Path) -> None:
    """A volume of one slice, which a picture without a place in space is not."""
    np.asarray(series_image(path).dataobj)


def coco_list(folder: Path) -> Sample:
    """COCO's annotations."""
    class_folders(folder, {"a": 2})
    content = {
        "images": [{"id": 1, "file_name": "a/0.png"}, {"id": 2, "file_name": "a/1.png"}],
        "annotations": [{"image_id": 1, "category_id": 3, "bbox": [1, 1, 4, 4.5]}],
        "categories": [{"id": 3, "name": "cell"}],
    }
    return folder / "hit.json", [json.dumps(content).encode()], lambda path: open_boxes(path, verify=False)


def yolo_text(folder: Path) -> Sample:
    """A text of boxes beside its image."""
    write_image(folder / "images" / "a.png", picture(0))
    (folder / "labels").mkdir()
    (folder / "classes.txt").write_text("cell\nclump\n")
    seed = b"0 0.5 0.5 0.2 0.25\n1 0.25 0.75 0.1 0.1\n"
    return folder / "labels" / "a.txt", [seed], lambda path: open_boxes(path.parents[1], verify=False)


def archive(folder: Path) -> Sample:
    """A MedMNIST-like archive."""
    arrays = {"train_images": np.stack([picture(i, 6, 5, 1) for i in range(4)]), "train_labels": np.arange(4) % 2}
    seeds = []
    for save in (np.savez, np.savez_compressed):
        save(folder / "seed.npz", **arrays)
        seeds.append((folder / "seed.npz").read_bytes())
    return folder / "hit.npz", seeds, open_dataset


def digits(folder: Path, suffix: str) -> Sample:
    """MNIST's files, the images damaged."""
    images, labels = np.stack([picture(i, 6, 5, 1) for i in range(4)]), np.arange(4, dtype=np.uint8) % 2
    content = bytes((0, 0, 8, 3)) + struct.pack(">3I", *images.shape) + images.tobytes()
    (folder / "train-labels-idx1-ubyte").write_bytes(bytes((0, 0, 8, 1)) + struct.pack(">I", 4) + labels.tobytes())
    path = folder / f"train-images-idx3-ubyte{suffix}"
    return path, [gzip.compress(content, mtime=0) if suffix else content], lambda path: open_dataset(path.parent)


def class_list(folder: Path) -> Sample:
    """Lists of images with classes, in several encodings."""
    class_folders(folder, {"a": 2, "b": 2})
    text = 'path,label,split,patient\na/0.png,a,train,p\na/1.png,a,val,q\nb/0.png,b,train,r\n"b/1.png",b,val,s\n'
    seeds = [text.encode(), text.encode("utf-8-sig"), text.encode("utf-16"), text.replace(",", ";").encode()]
    return folder / "hit.csv", seeds, lambda path: open_dataset(path, verify=False, skip_bad=True)


def mask_list(folder: Path) -> Sample:
    """A list of images with masks."""
    mask_tree(folder, 2, (8, 9))
    text = "path,mask,split,PatientID\n" + "".join(f"images/0{i}.png,masks/0{i}.png,train,p{i}\n" for i in range(2))
    return folder / "hit.csv", [text.encode()], lambda path: open_segmentation(path, verify=False)


def box_list(folder: Path) -> Sample:
    """A list of boxes."""
    class_folders(folder, {"a": 2})
    rows = ["path,label,xmin,ymin,xmax,ymax,split", "a/0.png,x,1,2,5,6,train", "a/0.png,y,0,0,4,4.5,train"]
    return (
        folder / "boxes.csv",
        ["\n".join([*rows, "a/1.png,x,1,1,3,3,val\n"]).encode()],
        lambda path: open_boxes(path, verify=False),
    )


def value_list(folder: Path) -> Sample:
    """A list of images with numbers."""
    class_folders(folder, {"a": 3})
    text = "path,age,split,patient\na/0.png,4.5,train,p\na/1.png,-1e3,val,q\na/2.png,7,train,p\n"
    return folder / "hit.csv", [text.encode()], lambda path: open_values(path, verify=False, skip_bad=True)


def finding_list(folder: Path) -> Sample:
    """Lists of images with several findings, in one field and in columns."""
    class_folders(folder, {"a": 3})
    fields = "path,Finding Labels,patient\na/0.png,Edema|Mass,p\na/1.png,No Finding,q\na/2.png,Mass,r\n"
    columns = "path,Edema,Mass\na/0.png,1,0\na/1.png,-1,\na/2.png,0,1.0\n"
    seeds = [fields.encode(), columns.encode()]
    return folder / "hit.csv", seeds, lambda path: open_findings(path, verify=False, skip_bad=True)


def published_table(folder: Path, suffix: str) -> Sample:
    """A table of published results, as `tinymed audit` reads it."""
    rows = "name,sensitivity,specificity,accuracy\nA,0.90,0.85,0.875\nB,0.9,,0.8\n"
    if suffix == ".toml":
        rows = '[[row]]\nname = "A"\nsensitivity = "0.90"\nspecificity = 0.85\n'
    return folder / f"hit{suffix}", [rows.encode()], read_rows


def thresholds_of_a_run(folder: Path) -> Sample:
    """metrics.json of a run of detection, of which `predict` takes its thresholds."""
    task = tasks.find("detection")
    content = {"val": {"per_class": {"cell": {"threshold": 0.4}, "clump": {"threshold": None}}}}
    config = SimpleNamespace(data=SimpleNamespace(classes=["cell", "clump"]))
    return folder / "metrics.json", [json.dumps(content).encode()], lambda path: task.thresholds(path.parent, config)


def log_of_a_run(folder: Path) -> Sample:
    """log.jsonl, of which a resumed run keeps what lies before its checkpoint."""
    rows = [{"event": "step", "step": 1, "loss": 0.5}, {"event": "epoch", "step": 2}, {"event": "step", "step": 9}]
    trainer = SimpleNamespace(progress=SimpleNamespace(step=4, history=[{"step": 2}]))
    seed = "".join(json.dumps(row) + "\n" for row in rows).encode()
    return folder / "log.jsonl", [seed], lambda path: JsonLog(path).on_start(trainer)


def label_file(folder: Path) -> Sample:
    """nnU-Net's and the Decathlon's dataset.json beside images and masks."""
    mask_tree(folder, 2, (8, 9))
    forms = [{"background": 0, "lesion": 255, "ignore": 7}, {"0": "background", "255": "lesion"}]
    seeds = [json.dumps({"channel_names": {"0": "T1"}, "labels": form}).encode() for form in forms]
    return folder / "dataset.json", seeds, lambda path: open_segmentation(path.parent, verify=False)


def weights(folder: Path) -> Sample:
    """Weights as safetensors."""
    tinymed.save({"a.weight": np.ones((2, 3), np.float32), "b": np.arange(4)}, folder / "seed.safetensors")
    return folder / "hit.safetensors", [(folder / "seed.safetensors").read_bytes()], tinymed.load


def checkpoint(folder: Path) -> Sample:
    """A run's checkpoint."""
    save_checkpoint(folder / "seed.safetensors", {"model": {"w": np.ones(3, np.float32)}, "progress": {"step": 4}})
    return folder / "hit.safetensors", [(folder / "seed.safetensors").read_bytes()], load_checkpoint


def configuration(folder: Path) -> Sample:
    """A run's config.json."""
    content = {"model": "dcnn", "data": {"val_fraction": 0.1, "test_fraction": 0.1, "size": 64}, "epochs": 2, "lr": 0.1}
    return folder / "config.json", [json.dumps(content).encode()], read_config


FORMATS: dict[str, Callable[[Path], Sample]] = {
    **{s: lambda p, s=s: pictures(p, s) for s in (".png", ".jpg", ".bmp", ".tif", ".gif", ".webp", ".ppm")},
    **{s: lambda p, s=s: volumes(p, s) for s in (".nii", ".nii.gz")},
    **{f"idx{s}": lambda p, s=s: digits(p, s) for s in ("", ".gz")},
    **{
        f.__name__: f
        for f in (archive, class_list, mask_list, box_list, label_file, weights, checkpoint, configuration)
    },
    **{f.__name__: f for f in (value_list, finding_list, thresholds_of_a_run, log_of_a_run)},
    **{f.__name__: f for f in (dicom, coco_list, yolo_text)},
    **{f"table{s}": lambda p, s=s: published_table(p, s) for s in (".csv", ".toml")},
}


def try_format(name: str, folder: Path, count: int) -> Counter[str]:
    """Read `count` mutated files of a format; raise AssertionError that says which one went wrong and how.

    Returns how many were read, and how many refused.
    """
    path, seeds, read = FORMATS[name](folder)
    deeper = DEEPER.get(path.suffix)
    for seed in seeds:  # what is whole is read, but that a picture in colours is no mask, and channels are no labels
        path.write_bytes(seed)
        with warnings.catch_warnings(), contextlib.suppress(UserError) if is_image(path) else contextlib.nullcontext():
            warnings.simplefilter("ignore")
            read(path)
    counts: Counter[str] = Counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(count):
        random = np.random.default_rng([number, *name.encode()])
        seed = seeds[int(random.integers(len(seeds)))]
        path.write_bytes(deeper(seed, random) if deeper and random.random() < 0.5 else mutated(seed, random))
        faulthandler.dump_traceback_later(HANG, exit=True)
        start = time.process_time()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read(path)
            counts["read"] += 1
        except UserError as error:
            counts["refused"] += 1
            message = str(error)
            named = path.name in message or str(path.parent) in message or "dicom-" in message
            assert named, f"{name} {number}: no file named: {message}"
            assert "\n" not in message, f"{name} {number}: several lines: {message!r}"
        except Exception as error:
            raise AssertionError(f"{name} {number}: {type(error).__name__}: {error}") from error
        finally:
            faulthandler.cancel_dump_traceback_later()
        spent = time.process_time() - start
        assert spent < SECONDS, f"{name} {number}: {spent:.1f} s of processor time"
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < MEMORY, f"{name}: {grown // 1024} MiB more memory"
    return counts


@pytest.mark.parametrize("name", FORMATS)
def test_mutated_files_are_read_or_refused(name: str, tmp_path: Path) -> None:
    """A part of the files of each format."""
    try_format(name, tmp_path, FEW)


@pytest.mark.full
@pytest.mark.parametrize("name", FORMATS)
def test_many_mutated_files_are_read_or_refused(name: str, tmp_path: Path) -> None:
    """2,000 files of each format."""
    try_format(name, tmp_path, MANY)


class TestBombs:
    """Files whose headers claim, or whose streams hold, far more than the file has: refused before memory is taken."""

    def test_a_packed_volume_of_zeros(self, tmp_path: Path) -> None:
        """The header claims 200 MB; the file has a kilobyte."""
        pytest.importorskip("nibabel", reason='NIfTI needs nibabel: pip install ".[medical]"')
        raw = bytearray(write_nifti(tmp_path / "a.nii", np.zeros((2, 2, 2), np.float64)).read_bytes())
        struct.pack_into("<3h", raw, 42, 300, 300, 300)
        path = tmp_path / "b.nii.gz"
        path.write_bytes(gzip.compress(bytes(raw), mtime=0))
        with pytest.raises(UserError, match=r"b\.nii\.gz: .*claims 216,000,\d+ bytes, the file has"):
            read_volume(path)

    def test_a_packed_volume_that_goes_on(self, tmp_path: Path) -> None:
        """A small volume with 300 MB of zeros behind it: they are not read."""
        pytest.importorskip("nibabel", reason='NIfTI needs nibabel: pip install ".[medical]"')
        raw = write_nifti(tmp_path / "a.nii", np.ones((2, 2, 2), np.float32)).read_bytes()
        path = tmp_path / "b.nii.gz"
        path.write_bytes(gzip.compress(raw + bytes(300 << 20), 1, mtime=0))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert read_volume(path).values.sum() == 8
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10

    def test_an_archive_that_claims_more_than_deflate_can_hold(self, tmp_path: Path) -> None:
        np.savez_compressed(
            tmp_path / "a.npz", train_images=np.zeros((9, 8, 8), np.uint8), train_labels=np.arange(9) % 2
        )
        raw = bytearray((tmp_path / "a.npz").read_bytes())
        at = raw.rindex(b"PK\x01\x02", 0, raw.rindex(b"train_labels"))
        struct.pack_into("<I", raw, at + 24, 3 << 30)
        (tmp_path / "a.npz").write_bytes(bytes(raw))
        with pytest.raises(UserError, match=r"a\.npz: train_labels claims 3,221,225,472 bytes"):
            open_dataset(tmp_path / "a.npz")

    @pytest.mark.parametrize("suffix", ["", ".gz"])
    def test_digits_that_are_not_there(self, tmp_path: Path, suffix: str) -> None:
        path, _, _ = digits(tmp_path, suffix)
        head = bytes((0, 0, 8, 3)) + struct.pack(">3I", 40_000, 300, 300)
        path.write_bytes(gzip.compress(head, mtime=0) if suffix else head)
        with pytest.raises(UserError, match=r"promises \(40000, 300, 300\), 3,600,000,000 bytes, but it"):
            open_dataset(tmp_path)


def test_an_image_of_every_suffix_is_read(tmp_path: Path) -> None:
    """The allow-list of suffixes and that of formats agree."""
    from tinymed.data.image import FORMATS as KINDS
    from tinymed.data.image import SUFFIXES

    registered = Image.registered_extensions()
    assert all(registered[suffix] in KINDS for suffix in SUFFIXES)
    for suffix in SUFFIXES - {".pbm"}:
        assert decode(write_image(tmp_path / f"a{suffix}", picture(0))).shape[:2] == (12, 10)


def test_weights_are_read_whatever_the_length_of_their_header(tmp_path):
    """A header of 640, 896, 1,152 or 1,408 bytes makes a file that begins with the bytes of a pickle."""
    path, lengths = tmp_path / "w.safetensors", set()
    for letters in range(1, 250, 7):
        state = {f"{'n' * letters}{i}.weight": np.full(1, i, np.float32) for i in range(5)}
        tinymed.save(state, path)
        lengths.add(struct.unpack("<Q", path.read_bytes()[:8])[0])
        read = tinymed.load(path)
        assert {name: value.item() for name, value in read.items()} == {
            f"{'n' * letters}{i}.weight": i for i in range(5)
        }
    assert lengths & {640, 896, 1_152, 1_408}
