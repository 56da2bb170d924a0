"""Classifiers of volumes: the three middle planes as channels, from every kind of file to an answer and its map."""

import json
from pathlib import Path

import numpy as np
import pytest
from commands import invoke
from dicom_files import save_series
from masks import blob, write_nifti

from tinymed.data import Loader, open_dataset
from tinymed.data.image import resize
from tinymed.data.inspection import inspect
from tinymed.data.planes import middle_planes
from tinymed.errors import UserError

pytest.importorskip("nibabel", reason='volumes need nibabel: pip install ".[medical]"')

SHAPE = (9, 12, 7)
QUICK = ["lenet5_modern", "--size", "32", "--backend", "numpy", "--workers", "0", "--batch", "4", "--epochs", "2"]


def volume(number: int) -> np.ndarray:
    """A bright ball (odd numbers) or a dark one (even ones) in a noisy box [x, y, z]."""
    image, mask = blob(number, SHAPE)
    return np.where(mask == 1, 250 if number % 2 else 5, image).astype(np.int16)


def archive(path: Path, shape: tuple[int, ...] = (8, 8, 8), dtype: str = "u1") -> Path:
    """MedMNIST's form with parts of 8, 4 and 4 images."""
    random, arrays = np.random.default_rng(0), {}
    for part, count in (("train", 8), ("val", 4), ("test", 4)):
        arrays[f"{part}_images"] = (random.random((count, *shape)) * 255).astype(dtype)
        arrays[f"{part}_labels"] = np.arange(count)[:, None] % 2
    np.savez(path, **arrays)
    return path


@pytest.fixture
def folder(tmp_path):
    """Class folders of NIfTI volumes, half of them stored from right to left."""
    for i in range(16):
        affine = np.diag([-1.0 if i % 3 else 1.0, 1.0, 2.0, 1.0])
        values = volume(i)[::-1] if i % 3 else volume(i)
        write_nifti(tmp_path / "volumes" / ("dark", "bright")[i % 2] / f"{i:02}.nii.gz", values, affine)
    return tmp_path / "volumes"


def test_planes_are_the_middle_ones_of_a_volume_in_ras(folder):
    data = open_dataset(folder, planes=True)["all"]
    for index in (0, 9):
        number = int(Path(data.samples[index]).name[:2])
        values = volume(number).astype(np.float64)
        low, high = np.percentile(values.astype(np.float32), (0.5, 99.5))
        scaled = (np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.float32)
        found = data.image(index)
        assert found.shape == (12, 12, 3)
        for channel, plane in enumerate((scaled[:, :, 3], scaled[:, 6, :], scaled[4, :, :])):
            assert np.allclose(found[:, :, [channel]], resize(plane.T[::-1][:, :, None].copy(), 12), atol=1e-3)


def test_a_window_says_what_is_black_and_white(folder):
    data = open_dataset(folder, planes=True, window=(100, 50))["all"]
    values = volume(int(Path(data.samples[0]).name[:2]))
    assert np.allclose(data.image(0), middle_planes((np.clip((values - 75) / 50, 0, 1) * 255).astype(np.float32)))


@pytest.mark.parametrize("shape", [(8, 8, 8), (8, 8, 8, 1), (6, 8, 5)])
def test_archives_of_medmnist_keep_their_values(tmp_path, shape):
    path = archive(tmp_path / "a.npz", shape)
    with pytest.raises(UserError, match="read the three middle planes of volumes with planes=True"):
        open_dataset(path)
    sets = open_dataset(path, planes=True)
    values = np.load(path)["test_images"][1].reshape(shape[:3])
    assert {name: len(part) for name, part in sets.items()} == {"train": 8, "val": 4, "test": 4}
    assert sets["test"].image(1).dtype == np.uint8
    assert np.array_equal(sets["test"].image(1), middle_planes(values))
    batch = next(iter(Loader(sets["train"], 4, 8, 3, workers=0).epoch()))
    assert np.asarray(batch[0]).shape == (4, 3, 8, 8)


@pytest.mark.parametrize(
    ("shape", "dtype"), [((8, 8, 3), "u1"), ((8, 8), "u1"), ((8, 8, 8), "f4"), ((8, 8, 8, 3), "u1")]
)
def test_what_is_no_volume_is_refused(tmp_path, shape, dtype):
    with pytest.raises(UserError, match=r"a\.npz \[train\]: (pictures|images) of shape"):
        open_dataset(archive(tmp_path / "a.npz", shape, dtype), planes=True)


def test_series_and_pages_are_volumes_and_pictures_are_none(tmp_path):
    tifffile = pytest.importorskip("tifffile", reason="the test writes TIFF by another library")
    for i in range(4):
        values = volume(i).T
        place = tmp_path / "data" / ("a", "b")[i % 2]
        if i < 2:
            save_series(place / f"case{i}", values.astype(int), PatientID=f"ID{i}")
        else:
            place.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(place / f"case{i}.tif", values.astype(np.uint8), photometric="minisblack")
    data = open_dataset(tmp_path / "data", planes=True)["all"]
    assert data.counts() == {"a": 2, "b": 2}
    assert {data.image(i).shape for i in range(4)} == {(12, 12, 3)}
    flat = tmp_path / "flat.csv"
    tifffile.imwrite(tmp_path / "one.tif", np.zeros((4, 4), np.uint8))
    flat.write_text("path,label\none.tif,a\ndata/a/case2.tif,b\n")
    with pytest.raises(UserError, match=r"one\.tif: is a picture, and volumes are wanted"):
        open_dataset(flat, planes=True)
    channels = write_nifti(tmp_path / "c" / "x" / "two.nii", np.zeros((4, 4, 4, 2), np.float32))
    write_nifti(tmp_path / "c" / "y" / "one.nii", np.zeros((4, 4, 4), np.float32))
    with pytest.raises(UserError, match=rf"{channels}: has 2 channels"):
        open_dataset(tmp_path / "c", planes=True)


def test_inspection_finds_volumes_by_itself(folder, tmp_path):
    found = inspect(folder)
    assert (found["kind"], found["classes"]["all"]) == ("classes", {"bright": 8, "dark": 8})
    assert found["sizes"] == {"9 x 12 x 7, grey": 16}
    assert inspect(archive(tmp_path / "a.npz"))["parts"] == {"train": 8, "val": 4, "test": 4}


@pytest.mark.filterwarnings("ignore")
def test_a_run_on_volumes_answers_and_explains(folder, tmp_path, capsys):
    run = tmp_path / "run"
    code, told, err = invoke(capsys, "train", *QUICK, "--data", folder, "--out", run, "--positive", "bright")
    assert (code, "--planes" in err) == (2, True)
    code, told, err = invoke(
        capsys, "train", *QUICK, "--data", folder, "--out", run, "--positive", "bright", "--planes"
    )
    assert code == 0, err
    assert "volumes, their three middle planes" in told + err
    code, _, err = invoke(capsys, "evaluate", run)
    assert code == 0, err
    image = next((folder / "bright").iterdir())
    code, told, err = invoke(capsys, "predict", run, image, "--json")
    assert (code, set(json.loads(told)[0]["scores"])) == (0, {"bright", "dark"}), err
    code, told, err = invoke(capsys, "explain", run, image, "--out", tmp_path / "maps")
    assert code == 0, err
    assert list((tmp_path / "maps").glob("001-*.png"))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--grey"], "--grey: has no effect here: --planes are three channels"),
        (["--page", "1"], "--page: has no effect here"),
        (["--hue", "0.1"], "--hue: has no effect here: volumes have no colours"),
    ],
)
def test_options_of_pictures_are_refused_beside_planes(folder, capsys, options, why):
    code, _, err = invoke(capsys, "train", *QUICK, "--data", folder, "--planes", *options)
    assert (code, why in err) == (2, True), err
