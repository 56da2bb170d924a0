"""TIFF files of several pages are volumes: values, channels, spacing, masks of as many pages, and a run on them."""

from pathlib import Path

import numpy as np
import pytest
from commands import invoke
from masks import blob
from PIL import Image

from tinymed.data import open_segmentation
from tinymed.data.inspection import inspect
from tinymed.data.labels import Labels
from tinymed.data.tiff import is_stack, stack_bytes, stack_of
from tinymed.data.unlabelled import open_unlabelled
from tinymed.data.volumes import read_values, read_volume
from tinymed.errors import UserAdvice, UserError
from tinymed.tasks.results.mask_results import write_mask

tifffile = pytest.importorskip("tifffile", reason="the tests write TIFF by another library: pip install tifffile")
pytest.importorskip("nibabel", reason='volumes need nibabel: pip install ".[medical]"')

PAGES = np.random.default_rng(0).integers(0, 250, (6, 5, 7))  # slices, rows, columns
IMAGEJ = {"imagej": True, "resolution": (1 / 0.3, 1 / 0.4)}


def write(path: Path, values: np.ndarray, **tags) -> Path:
    """A TIFF of pages as tifffile writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = tags if "photometric" in tags or "imagej" in tags else {"photometric": "minisblack", **tags}
    tifffile.imwrite(path, values, **options)
    return path


def stack_tree(root: Path, count: int = 6, spacing: float | None = 2.5) -> Path:
    """root/images/<i>.tif and root/labels/<i>.tif with the labels 0, 1, 2."""
    for i in range(count):
        image, mask = blob(i, (12, 14, 10), 3)
        told = {"imagej": True, "resolution": (2, 2), "metadata": {"spacing": spacing, "unit": "mm"}} if spacing else {}
        write(root / "images" / f"case{i}.tif", image.T.copy(), **told)
        write(root / "labels" / f"case{i}.tif", mask.T.copy())
    return root


@pytest.mark.parametrize("dtype", ["u1", "u2", ">u2", "i2", "i4", "f4"])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits"])
def test_values_are_those_of_tifffile_columns_first(tmp_path, dtype, compression):
    values = (PAGES * 9 - 700 if "i" in dtype else PAGES).astype(dtype)
    path = write(tmp_path / "a.tif", values, compression=compression, byteorder=">" if ">" in dtype else "<")
    assert np.array_equal(read_volume(path).values[..., 0], tifffile.imread(path).transpose(2, 1, 0))


@pytest.mark.parametrize(
    ("axes", "name", "turned"),
    [("ZCYX", "a.tif", (3, 2, 0, 1)), ("CZYX", "a.ome.tif", (3, 2, 1, 0)), ("ZCYX", "a.ome.tif", (3, 2, 0, 1))],
)
def test_channels_of_pages(tmp_path, axes, name, turned):
    shape = {"Z": 6, "C": 2, "Y": 5, "X": 7}
    values = np.arange(420, dtype=np.uint16).reshape([shape[axis] for axis in axes])
    path = write(tmp_path / name, values, **({"imagej": True} if name == "a.tif" else {}), metadata={"axes": axes})
    assert np.array_equal(read_volume(path).values, values.transpose(turned))


def test_colours_are_three_channels(tmp_path):
    values = np.stack([PAGES, PAGES // 2, PAGES // 3], axis=-1).astype(np.uint8)
    path = write(tmp_path / "a.tif", values, photometric="rgb")
    assert np.array_equal(read_volume(path).values, values.transpose(2, 1, 0, 3))


@pytest.mark.parametrize(
    ("tags", "spacing", "unsaid"),
    [
        ({}, (1, 1, 1), "xyz"),
        ({**IMAGEJ, "metadata": {"spacing": 2.5, "unit": "um"}}, (3e-4, 4e-4, 2.5e-3), ""),
        ({**IMAGEJ, "metadata": {"spacing": 2.5, "unit": "\\u00B5m"}}, (3e-4, 4e-4, 2.5e-3), ""),
        ({**IMAGEJ, "metadata": {"unit": "mm", "axes": "ZYX"}}, (0.3, 0.4, 1), "z"),
        ({**IMAGEJ, "metadata": {"spacing": 2.5}}, (1, 1, 2.5), "xy"),  # in pixels, of which nobody knows the size
        ({"resolution": (100, 50), "resolutionunit": "CENTIMETER"}, (0.1, 0.2, 1), "z"),
        ({"resolution": (254, 254), "resolutionunit": "INCH"}, (0.1, 0.1, 1), "z"),
        ({"resolution": (3, 3), "resolutionunit": "NONE"}, (1, 1, 1), "xyz"),
    ],
)
def test_spacing_is_the_tags(tmp_path, tags, spacing, unsaid):
    path = write(tmp_path / "a.tif", PAGES.astype(np.uint8), **tags)
    assert read_volume(path).spacing == pytest.approx(spacing)
    assert "".join(stack_of(path).unsaid) == unsaid


def test_spacing_of_ome(tmp_path):
    sizes = {"PhysicalSizeX": 0.3, "PhysicalSizeY": 400, "PhysicalSizeYUnit": "nm", "PhysicalSizeZ": 2}
    told = {"axes": "ZYX", "PhysicalSizeXUnit": "µm", "PhysicalSizeZUnit": "µm", **sizes}
    path = write(tmp_path / "a.ome.tif", PAGES.astype(np.uint16), metadata=told)
    assert read_volume(path).spacing == pytest.approx((3e-4, 4e-4, 2e-3))


class TestRefused:
    @pytest.mark.parametrize(
        ("dtype", "tags", "why"),
        [
            ("i1", {}, "signed pixels of 8 bits"),
            ("u1", {"photometric": "miniswhite"}, "white is 0"),
            ("u2", {"photometric": "miniswhite"}, "white is 0"),
            ("u1", {"extratags": [(274, 3, 1, 6, True)]}, r"page 1 has pixels that are to be turned"),
            ("u2", {"imagej": True, "metadata": {"axes": "TYX"}}, "6 points in time"),
            ("u2", {"imagej": True, "metadata": {"axes": "CYX"}}, "6 channels of one slice"),
        ],
    )
    def test_pages_that_would_be_read_as_others(self, tmp_path, dtype, tags, why):
        with pytest.raises(UserError, match=rf"a\.tif: .*{why}"):
            read_volume(write(tmp_path / "a.tif", PAGES.astype(dtype), **tags))

    def test_large_unsigned_values(self, tmp_path):
        values = PAGES.astype(np.uint32) + np.uint32(2**31)
        with pytest.raises(UserError, match="2,147,483,648 and more"):
            read_volume(write(tmp_path / "a.tif", values))

    def test_pages_of_two_sizes_name_the_option(self, tmp_path):
        with tifffile.TiffWriter(tmp_path / "a.tif") as file:
            file.write(np.zeros((8, 8), np.uint8))
            file.write(np.zeros((4, 4), np.uint8))
        with pytest.raises(UserError, match=r"page 2 is 4 x 4 .*page 1 8 x 8 .*page=1"):
            read_volume(tmp_path / "a.tif")

    def test_another_number_of_pages_than_imagej_announces(self, tmp_path):
        path = tmp_path / "a.tif"
        for held in (1, 5):
            text = "ImageJ=1.54f\nimages=6\nslices=6\n"
            write(path, PAGES[:held].astype(np.uint8), description=text, metadata=None)
            with pytest.raises(UserError, match=f"says 6 pages, and it holds {held}"):
                read_volume(path)

    def test_a_mask_of_another_number_of_pages_names_both(self, tmp_path):
        root = stack_tree(tmp_path, 2)
        for kept in (7, 1):
            write(root / "labels" / "case1.tif", blob(1, (12, 14, 10), 3)[1].T[:kept].copy())
            told = "1 page," if kept == 1 else f"{kept} pages,"
            with pytest.raises(UserError, match=rf"labels/case1\.tif: has {told} its image .*case1\.tif 10 pages"):
                open_segmentation(root, values={0: "a", 1: "b", 2: "c"})

    def test_a_picture_among_volumes(self, tmp_path):
        root = stack_tree(tmp_path, 2)
        for folder in ("images", "labels"):
            write(root / folder / "case1.tif", np.eye(5, dtype=np.uint8))
        with pytest.raises(UserError, match=r"case0\.tif is a volume and .*case1\.tif a picture.*page=NUMBER"):
            open_segmentation(root)

    def test_damaged_files_are_named(self, tmp_path):
        whole = write(tmp_path / "whole.tif", PAGES.astype(np.uint16), compression="zlib").read_bytes()
        path, seen = tmp_path / "a.tif", set()
        rng = np.random.default_rng(1)
        for trial in range(60):
            damaged = bytearray(whole[: rng.integers(9, len(whole) + 1)])
            for at in rng.integers(0, len(damaged), trial % 5):
                damaged[at] = rng.integers(256)
            path.write_bytes(bytes(damaged))
            if not is_stack(path):
                continue
            try:
                read_volume(path)
            except UserError as error:
                seen.add(str(path) in str(error))
        assert seen == {True}

    def test_a_page_makes_them_pictures(self, tmp_path):
        write(tmp_path / "images" / "a.tif", PAGES.astype(np.uint8))
        write(tmp_path / "masks" / "a.tif", (PAGES[2] > 100).astype(np.uint8))
        with pytest.raises(UserError, match="has 1 page, its image"):
            open_segmentation(tmp_path)
        data = open_segmentation(tmp_path, page=3)["all"]
        assert data.dimensions == 2
        image, mask = data.pair(0)
        assert np.array_equal(image[..., 0], PAGES[2])
        assert np.array_equal(mask, PAGES[2] > 100)


def test_masks_are_written_back_with_pages_and_spacing(tmp_path):
    image = write(tmp_path / "a.tif", PAGES.astype(np.uint8), **IMAGEJ, metadata={"spacing": 2.5, "unit": "um"})
    for dtype in (np.uint8, np.int32):
        labels = (PAGES.transpose(2, 1, 0) * (1 if dtype == np.uint8 else 200)).astype(dtype)
        (tmp_path / "mask.tif").write_bytes(stack_bytes(labels, image))
        values, spacing = read_values(tmp_path / "mask.tif")
        assert np.array_equal(values, labels)
        assert spacing == pytest.approx((3e-4, 4e-4, 2.5e-3))
        assert np.array_equal(tifffile.imread(tmp_path / "mask.tif"), labels.transpose(2, 1, 0))


def test_a_predicted_mask_has_the_form_of_its_image_or_the_one_that_is_asked_for(tmp_path):
    image = write(tmp_path / "a.tif", PAGES.astype(np.uint8), **IMAGEJ, metadata={"spacing": 2.5, "unit": "mm"})
    labels, meaning = (PAGES.transpose(2, 1, 0) > 99).astype(np.uint8), Labels({0: "ground", 7: "cell"})
    for form, name in ((None, "mask.tif"), ("nifti", "mask.nii.gz")):
        file = write_mask(meaning, tmp_path / "mask", labels, image, form)
        values, spacing = read_values(file)
        assert file.name == name
        assert np.array_equal(values, 7 * labels)
        assert spacing == pytest.approx((0.3, 0.4, 2.5))
    for form in ("png", "dicom-seg"):
        with pytest.raises(UserError, match="--masks nifti"):
            write_mask(meaning, tmp_path / "mask", labels, image, form)
    assert write_mask(meaning, tmp_path / "page", labels[:, :, 0], image).name == "page.png"  # of --page 1


def test_spacing_that_is_not_said_is_told_once_for_a_set(tmp_path):
    root = stack_tree(tmp_path, 3, spacing=None)
    with pytest.warns(UserAdvice, match="3 TIFF volumes do not say their spacing along x, y, z, such as case0.tif"):
        data = open_segmentation(root)["all"]
    assert data.spacing(0) == (1, 1, 1)


def test_inspection_of_volumes_with_and_without_masks_and_of_one(tmp_path):
    root = stack_tree(tmp_path, 3)
    for path, kind, number in (
        (root, "masks", 3),
        (root / "images", "images", 3),
        (root / "images/case0.tif", "images", 1),
    ):
        found = inspect(path)
        assert (found["kind"], found["parts"]["all"], found["unreadable"]) == (kind, number, [])
        assert found["spacings"] == {"0.5 x 0.5 x 2.5 mm": number}
        assert found["orientations"] == {}
    found = inspect(root / "labels")
    assert list(found["spacings"]) == ["1 x 1 x 1 mm (x, y, z not said: taken as 1)"]
    assert "3 TIFF volumes do not say" in " ".join(found["notes"])


def test_patches_without_labels(tmp_path):
    root = stack_tree(tmp_path, 2)
    data = open_unlabelled(root / "images", patches=3, size=6)["all"]
    assert data.samples.shape == (6, 6, 6, 1)
    with pytest.raises(UserError, match="--patches; or, of TIFF files, read one page"):
        open_unlabelled(root / "images")
    assert len(open_unlabelled(root / "images", page=2)["all"]) == 2


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")
def test_a_run_on_stacks_and_what_it_predicts(tmp_path, capsys):
    """Trained, evaluated and predicted from the command line; masks come back as TIFF, or as NIfTI when asked."""
    root = stack_tree(tmp_path / "data", 4)
    network = ["unet3d", "--option", "padding=same", "--option", "base=2", "--option", "depth=2"]
    options = ["--patch", "8", "--overlap", "0", "--per-image", "1", "--epochs", "1", "--backend", "numpy"]
    run = tmp_path / "run"
    image = root / "images" / "case0.tif"

    def done(*arguments):
        code, out, err = invoke(capsys, *arguments)
        assert code == 0, err
        return out

    done("train", *network, "--task", "segmentation", "--data", root, *options, "--out", run)
    done("evaluate", run)
    assert (run / "cases.csv").is_file()
    done("predict", run, image, "--out", tmp_path / "masks")
    written = tmp_path / "masks" / "case0.tif"
    assert tifffile.imread(written).shape == (10, 14, 12)
    assert read_values(written)[1] == pytest.approx((0.5, 0.5, 2.5))
    done("predict", run, image, "--out", tmp_path / "nifti", "--masks", "nifti")
    values, spacing = read_values(tmp_path / "nifti" / "case0.nii.gz")
    assert np.array_equal(values, read_values(written)[0])
    assert spacing == pytest.approx((0.5, 0.5, 2.5))


def test_a_colour_picture_is_no_stack(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.tif")
    assert not is_stack(tmp_path / "a.tif")
    assert not is_stack(tmp_path / "none.tif")
