"""Pictures of more than 8 bits keep their depth from the file to the batch: every format, whole or in tiles."""

from pathlib import Path

import numpy as np
import pytest
from datasets import write_image
from masks import write_nifti
from PIL import Image

from tinymed.data import Loader, MaskLoader, PatchLoader, decode, open_dataset, open_segmentation
from tinymed.data.patches import Cases
from tinymed.errors import UserError
from tinymed.tasks.base.config import parse_window
from tinymed.tasks.results.restoration_results import write_restored

SIDE = 64
RAMP = np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE)  # 4,096 levels
WINDOW = (2047.5, 4095.0)  # from 0 to 4,095


def write_deep(path: Path, values: np.ndarray) -> Path:
    """Values in the format of a suffix; .dcm stores 12 bits, float.tif floating-point numbers."""
    if path.suffix == ".dcm":
        from dicom_files import save

        return save(path, values, 12)
    if path.name.startswith("float"):
        return write_image(path, values.astype(np.float32))
    return write_image(path, values)


@pytest.fixture(params=["a.png", "a.tif", "float.tif", "a.dcm"])
def folder(request, tmp_path):
    """Two classes of one picture each, with all levels, and a mask for each."""
    for i, label in enumerate("xy"):
        values = np.roll(RAMP, i, axis=0)
        write_deep(tmp_path / "classes" / label / request.param, values)
        name = Path(request.param).with_stem(f"{Path(request.param).stem}{i}")
        write_deep(tmp_path / "pairs" / "images" / name, values)
        write_image(tmp_path / "pairs" / "masks" / f"{name.stem}.png", ((values > 2000) * 255).astype(np.uint8))
    return tmp_path


@pytest.mark.filterwarnings("ignore")
def test_every_level_reaches_the_batch(folder):
    data = open_dataset(folder / "classes", window=WINDOW)["all"]
    images = np.asarray(next(iter(Loader(data, 2, SIDE, 1, workers=0).epoch()))[0])
    assert images.shape == (2, 1, SIDE, SIDE)
    assert len(np.unique(images[0])) == 4096
    assert np.allclose(images[0, 0], RAMP / 4095, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_every_level_reaches_the_batch_with_masks_whole_and_in_tiles(folder):
    data = open_segmentation(folder / "pairs", window=WINDOW)["all"]
    images, masks = (np.asarray(x) for x in next(iter(MaskLoader(data, 1, SIDE, 1, workers=0).epoch()))[:2])
    assert len(np.unique(images)) == 4096
    assert np.array_equal(masks[0] == 1, images[0, 0] > 2000 / 4095)
    patches = np.asarray(next(iter(PatchLoader(Cases(data, 1), 1, (32, 32), workers=0).epoch()))[0])
    assert len(np.unique(patches)) == 32 * 32


def test_a_window_is_a_line_cut_off_at_black_and_white(tmp_path):
    for name in ("a.png", "a.tif", "float.tif"):
        got = decode(write_deep(tmp_path / name, RAMP), window=(1000, 400))[:, :, 0]
        assert np.allclose(got, np.clip((RAMP - 800.0) / 400, 0, 1) * 255, atol=1e-3)


def test_a_window_reaches_colours_of_16_bits_and_not_8_bits(tmp_path):
    eight = write_image(tmp_path / "8.png", (RAMP % 256).astype(np.uint8))
    assert np.array_equal(decode(eight, window=(9, 9)), decode(eight))


def test_floating_point_pixels_need_a_range(tmp_path):
    path = write_deep(tmp_path / "float.tif", RAMP)
    with pytest.raises(UserError, match=r"no known range.*white=MAXIMUM.*window=CENTRE,WIDTH"):
        decode(path)
    write_image(tmp_path / "nan.tif", np.full((4, 4), np.nan, np.float32))
    with pytest.raises(UserError, match="not all finite numbers"):
        decode(tmp_path / "nan.tif", window=(0, 1))


def test_a_tiff_of_several_pages_is_refused_or_a_page_is_chosen(tmp_path):
    pages = [Image.fromarray(RAMP + 100 * i) for i in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(UserError, match=r"holds 3 pages.*with page=NUMBER"):
        decode(tmp_path / "a.tif")
    assert np.allclose(decode(tmp_path / "a.tif", page=3)[:, :, 0], (RAMP + 200.0) * (255 / 65535), atol=1e-3)
    with pytest.raises(UserError, match="has no page 4, it has 3"):
        decode(tmp_path / "a.tif", page=4)


def test_volumes_keep_their_depth(tmp_path):
    values = np.arange(8 * 8 * 8, dtype=np.int16).reshape(8, 8, 8) * 50 - 1000
    write_nifti(tmp_path / "images" / "a.nii.gz", values)
    write_nifti(tmp_path / "labels" / "a.nii.gz", (values > 0).astype(np.uint8))
    plain = open_segmentation(tmp_path)["all"].image(0)[..., 0]
    assert np.array_equal(plain, values)
    shown = open_segmentation(tmp_path, window=(0, 1000))["all"].image(0)[..., 0]
    assert np.allclose(shown, np.clip(values / 1000 + 0.5, 0, 1) * 255, atol=1e-3)


@pytest.mark.parametrize("text", ["40", "40,0", "40,-3", "a,b", "nan,4", "1,inf", "1,2,3"])
def test_windows_that_are_none_are_refused(text):
    with pytest.raises(UserError, match=f"--window '{text}'"):
        parse_window(text)


@pytest.mark.parametrize(("window", "suffix"), [((2000, 400), ".png"), ((0, 400), ".tiff"), ((100, 200), ".tiff")])
def test_what_is_restored_through_a_window_has_the_scale_of_the_file(tmp_path, window, suffix):
    """What lay inside the window comes back as it was, not stretched over the depth of the new file."""
    low, high = window[0] - window[1] / 2, window[0] + window[1] / 2
    values = np.linspace(low, high, SIDE * SIDE).reshape(SIDE, SIDE).astype(np.float32)
    source = write_image(tmp_path / "float.tif", values)
    seen = decode(source, window=window) / 255
    made = write_restored(seen.astype(np.float32), tmp_path / "out", deep=True, white=None, window=window)
    assert made.suffix == suffix
    assert np.allclose(np.asarray(Image.open(made)), values, atol=0.51 if suffix == ".png" else 1e-2)
