"""NIfTI volumes: orientation, affine and spacing kept; patches, tiles and augmentation in three axes; a run."""

import json
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from commands import invoke
from datasets import shared_data
from masks import blob, volume_tree, write_nifti

from tinymed.data.augment import Augment, Parameters, parameters
from tinymed.data.augment3d import augment_volume
from tinymed.data.patches import Cases, PatchLoader, z_score
from tinymed.data.segmentation_layouts import open_segmentation
from tinymed.data.volumes import read_values, read_volume, volume_bytes
from tinymed.errors import UserAdvice, UserError

nibabel = pytest.importorskip("nibabel", reason='NIfTI needs nibabel: pip install ".[medical]"')

TURNS = {  # the axes of the file: what an RAS+ array is turned by
    "RAS": np.diag([1, 2, 3, 1.0]),
    "LAS": np.diag([-1, 2, 3, 1.0]),
    "LPS": np.diag([-1, -2, 3, 1.0]),
    "SRA": np.array([[0, 1, 0, 0], [0, 0, 2, 0], [3, 0, 0, 0], [0, 0, 0, 1.0]]),
}


class TestFiles:
    @pytest.mark.parametrize("axes", TURNS)
    def test_arrays_are_ras_and_files_keep_their_order_affine_and_spacing(self, tmp_path, axes):
        affine = TURNS[axes].copy()
        affine[:3, 3] = (-9, 4, 2.5)
        values = np.random.default_rng(0).integers(0, 3, (4, 5, 6)).astype(np.int16)
        image = nibabel.Nifti1Image(values, affine)
        image.set_sform(affine, code=2)
        image.header.set_xyzt_units("mm", "sec")
        nibabel.save(image, tmp_path / "a.nii.gz")
        volume = read_volume(tmp_path / "a.nii.gz")
        assert volume.spacing == pytest.approx((1, 2, 3))
        ras = nibabel.as_closest_canonical(image).get_fdata()
        assert np.array_equal(volume.values[..., 0], ras)
        for suffix in (".nii", ".nii.gz"):
            path = tmp_path / f"b{suffix}"
            path.write_bytes(volume_bytes(ras.astype(np.uint8), volume, suffix == ".nii.gz"))
            back = nibabel.load(path)
            assert np.array_equal(back.get_fdata(), values)
            assert np.allclose(back.affine, affine)
            assert back.header.get_zooms() == pytest.approx(image.header.get_zooms())
            assert back.header.get_xyzt_units() == ("mm", "sec")
            assert int(back.header["sform_code"]) == 2
            assert back.get_data_dtype() == np.uint8

    @pytest.mark.parametrize(("unit", "factor"), [("mm", 1), ("meter", 1000), ("micron", 1e-3), (0, 1)])
    def test_lengths_are_millimetres_whatever_unit_the_header_has(self, tmp_path, unit, factor):
        values, labels = blob(0, (6, 7, 8), 3)
        affine = np.diag([-1, 2, 3, 1.0])
        image = nibabel.Nifti1Image(values, affine / np.array([[factor]] * 3 + [[1]]))
        image.header.set_xyzt_units(unit)
        (tmp_path / "images").mkdir()
        nibabel.save(image, tmp_path / "images" / "a.nii.gz")
        write_nifti(tmp_path / "masks" / "a.nii.gz", labels, affine)  # in millimetres
        data = open_segmentation(tmp_path)["all"]
        assert data.spacing(0) == pytest.approx((1, 2, 3))
        assert np.array_equal(data.pair(0)[1], labels[::-1])
        back = nibabel.Nifti1Image.from_bytes(
            volume_bytes(labels, read_volume(tmp_path / "images" / "a.nii.gz"), compressed=False)
        )
        assert np.allclose(back.affine, image.affine)
        assert back.header.get_xyzt_units()[0] == image.header.get_xyzt_units()[0]

    @pytest.mark.parametrize(
        ("qform", "words"),
        [
            (np.diag([-1, 2, 3, 1.0]), r"sform RAS.*qform LAS"),
            (np.diag([1, 2, 5, 1.0]), r"spacing 1 x 2 x 3,.*spacing 1 x 2 x 5"),
            (np.array([[1, 0.8, 0, 0], [-0.4, 2, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1]]), "two places"),
            (np.diag([1, 2, 3, 1.0]) + np.eye(4, k=3) * 40, ""),
            (None, ""),
        ],
        ids=["mirrored", "stretched", "turned", "moved", "none"],
    )
    def test_two_places_in_one_header_are_said(self, tmp_path, recwarn, qform, words):
        values, labels = blob(0, (6, 7, 8), 3)
        for folder, array in (("images", values), ("masks", labels)):
            image = nibabel.Nifti1Image(array, np.diag([1, 2, 3, 1.0]))
            image.set_sform(image.affine, code=1)
            image.set_qform(qform, code=0 if qform is None else 1)
            (tmp_path / folder).mkdir()
            nibabel.save(image, tmp_path / folder / "a.nii.gz")
        open_segmentation(tmp_path)
        told = [str(warning.message) for warning in recwarn if issubclass(warning.category, UserAdvice)]
        assert len(told) == bool(words)
        if words:
            assert "2 volumes have headers that give two places" in told[0]
            assert re.search(words, told[0])

    @pytest.mark.parametrize(
        ("value", "kind", "words"),
        [
            (np.nan, "f4", "1 of 336 voxels are nan or infinite; replace them"),
            (-np.inf, "f8", "1 of 336 voxels are nan or infinite"),
            (-1e300, "f8", r"voxels up to 1e\+300 are too large for 32 bits"),
            (1, "c8", "voxels of type complex64; .*convert it"),
        ],
    )
    def test_voxels_that_no_network_can_learn_from_are_refused(self, tmp_path, recwarn, value, kind, words):
        values = np.zeros((6, 7, 8), kind)
        values[1, 2, 3] = value
        write_nifti(tmp_path / "a.nii", values)
        with pytest.raises(UserError, match=rf"a\.nii: {words}"):
            read_volume(tmp_path / "a.nii")
        assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning)]

    @pytest.mark.parametrize("value", [2**31, 2**32 + 1, 1e10, -3e9])
    def test_labels_that_are_no_numbers_of_classes_are_refused(self, tmp_path, value):
        labels = np.zeros((6, 7, 8), "f8")
        labels[1] = value
        write_nifti(tmp_path / "a.nii", labels)
        with pytest.raises(UserError, match=r"a\.nii: label values from .* Number its classes from 0"):
            read_values(tmp_path / "a.nii")

    def test_what_is_no_volume_is_named(self, tmp_path):
        with pytest.raises(UserError, match="no such file"):
            read_volume(tmp_path / "none.nii")
        (tmp_path / "bad.nii.gz").write_bytes(b"nothing")
        with pytest.raises(UserError, match=r"bad\.nii\.gz: not a readable NIfTI"):
            read_volume(tmp_path / "bad.nii.gz")
        whole = write_nifti(tmp_path / "cut.nii", np.zeros((9, 9, 9), np.float32)).read_bytes()
        (tmp_path / "cut.nii").write_bytes(whole[:-500])
        with pytest.raises(UserError, match=r"cut\.nii: its voxels cannot be read"):
            read_volume(tmp_path / "cut.nii")
        with pytest.raises(UserError, match="nan or infinite"):
            read_volume(write_nifti(tmp_path / "nan.nii", np.full((2, 2, 2), np.nan, np.float32)))
        with pytest.raises(UserError, match="the axes x, y, z"):
            read_volume(write_nifti(tmp_path / "flat.nii", np.zeros((3, 3), np.float32)))

    def test_a_repaired_header_is_said_with_its_file_and_not_logged(self, tmp_path, capfd):
        raw = bytearray(write_nifti(tmp_path / "a.nii", np.zeros((2, 3, 4), np.float32)).read_bytes())
        struct.pack_into("<f", raw, 80, -2.0)  # pixdim[1]
        struct.pack_into("<2h", raw, 252, 0, 0)  # neither qform nor sform
        (tmp_path / "b.nii").write_bytes(bytes(raw))
        with pytest.warns(UserAdvice, match=r"b\.nii: its header was repaired \(pixdim.*should be positive"):
            assert read_volume(tmp_path / "b.nii").spacing == (2, 1, 1)
        assert capfd.readouterr().err == ""

    def test_channels_and_labels(self, tmp_path):
        four = write_nifti(tmp_path / "four.nii", np.zeros((3, 4, 5, 2), np.float32))
        assert read_volume(four).values.shape == (3, 4, 5, 2)
        with pytest.raises(UserError, match="a label volume"):
            read_values(four)
        values, _ = read_values(write_nifti(tmp_path / "labels.nii", np.full((2, 2, 2), 2.0, np.float64)))
        assert values.dtype == np.int32

    def test_a_mask_of_another_size(self, tmp_path):
        volume_tree(tmp_path, 2)
        write_nifti(tmp_path / "labels" / "case1.nii.gz", np.zeros((3, 3, 3), np.uint8))
        with pytest.raises(UserError, match=r"case1\.nii\.gz: the mask has 3 x 3 x 3 pixels, its image"):
            open_segmentation(tmp_path)["all"].pair(1)

    def test_decathlon_names(self, tmp_path):
        for i in range(2):
            image, mask = blob(i, (6, 7, 8), 3)
            for m in range(2):
                write_nifti(tmp_path / "imagesTr" / f"c{i}_000{m}.nii.gz", image.astype(np.float32) * (m + 1))
            write_nifti(tmp_path / "labelsTr" / f"c{i}.nii.gz", mask)
        (tmp_path / "dataset.json").write_text(
            json.dumps({"labels": {"0": "background", "1": "Anterior", "2": "Post"}})
        )
        dataset = open_segmentation(tmp_path)["all"]
        assert dataset.classes == ["background", "Anterior", "Post"]
        image = dataset.image(0)
        assert image.shape == (6, 7, 8, 2)
        assert np.array_equal(image[..., 1], 2 * image[..., 0])

    def test_the_real_set(self):
        sets = open_segmentation(shared_data("hippocampus_3d"), verify=False)
        assert {name: len(part) for name, part in sets.items()} == {"train": 120, "val": 20, "test": 40}
        image, mask = sets["val"].pair(0)
        assert set(np.unique(mask)) == {0, 1, 2}
        assert image.shape[:3] == mask.shape


class TestAugment:
    def test_z_scores(self):
        image = np.random.default_rng(0).random((4, 5, 6, 2)).astype(np.float32) * 1e6
        image[..., 1] = 3
        scaled = z_score(image)
        assert scaled[..., 0].mean() == pytest.approx(0, abs=1e-5)
        assert scaled[..., 0].std() == pytest.approx(1, abs=1e-5)
        assert not scaled[..., 1].any()

    def test_a_mask_follows_its_volume(self):
        image, mask = blob(1, (24, 26, 22))
        drawn = parameters(Augment(rotate=20, scale=(0.9, 1.1), shift=0.1, elastic=1.5, horizontal_flip=True), 0, 3, 5)
        moved, followed = augment_volume(image[..., None].astype(np.float32), mask, drawn)
        assert set(np.unique(followed)) == {0, 1}
        assert ((moved[..., 0] > 135) == followed).mean() > 0.97
        assert not np.array_equal(followed, mask)

    def test_quarter_turn_and_nothing(self):
        image, mask = blob(2, (9, 9, 5))
        values = image[..., None].astype(np.float32)
        same = augment_volume(values, mask, Parameters())
        assert np.array_equal(same[0], values)
        assert np.array_equal(same[1], mask)
        shifted = augment_volume(values, mask, Parameters(shift_x=1 / 9))[1]
        assert np.array_equal(shifted[1:], mask[:-1])

    def test_intensities_are_not_clipped(self):
        values = np.array([-3.0, 5.0], np.float32).reshape(1, 1, 2, 1)
        changed = augment_volume(values, np.zeros((1, 1, 2), np.uint8), Parameters(contrast=2.0, brightness=1.0))[0]
        assert changed.ravel().tolist() == [-5, 11]

    def test_patches_of_volumes(self, tmp_path):
        cases = Cases(open_segmentation(volume_tree(tmp_path))["all"], 1)
        loader = PatchLoader(cases, 3, (8, 16, 8), per_image=2, augment=Augment(rotate=10, elastic=1), workers=2)
        images, masks, indices = next(iter(loader.epoch(0)))
        assert (images.shape, masks.shape, len(indices)) == ((3, 1, 8, 16, 8), (3, 8, 16, 8), 3)
        with pytest.raises(UserError, match="does not fit"):
            PatchLoader(cases, 3, (8, 8))


@pytest.fixture(scope="module")
def volume_run(tmp_path_factory) -> tuple[Path, Path]:
    """(data, run) of a small 3D U-Net."""
    from tinymed.cli import main

    root = tmp_path_factory.mktemp("volumes")
    volume_tree(root / "data", 10)
    arguments = [
        "train",
        "--task",
        "segmentation",
        "--data",
        root / "data",
        "--out",
        root / "run",
        "--backend",
        "numpy",
    ]
    arguments += ["--labels", "ground,small,large", "--option", "padding=same", "--option", "base=2", "--option"]
    arguments += ["depth=1", "--patch", "8,8,8", "--epochs", "1", "--workers", "0", "--batch", "4"]
    assert main([str(a) for a in arguments]) == 0
    return root / "data", root / "run"


class TestRun:
    def test_metrics_are_in_millimetres_by_label(self, volume_run, capsys):
        metrics = json.loads((volume_run[1] / "metrics.json").read_text())
        assert set(metrics["test"]["per_class"]) == {"ground", "small", "large"}
        assert {"dice", "jaccard", "hd95", "asd", "dice_interval"} <= metrics["test"]["per_class"]["large"].keys()
        code, out, _ = invoke(capsys, "evaluate", volume_run[1], "--split", "val")
        assert code == 0
        assert "hd95 mm" in out

    def test_a_written_volume_has_the_affine_of_its_image(self, volume_run, tmp_path, capsys):
        data, run = volume_run
        images = [data / "images" / f"case{i}.nii.gz" for i in (0, 1)]
        code, out, err = invoke(capsys, "predict", run, *images, "--out", tmp_path / "masks", "--overlays", "--json")
        assert code == 0, err
        rows = json.loads(out)
        for image, row in zip(images, rows, strict=True):
            ours, theirs = nibabel.load(row["mask"]), nibabel.load(image)
            assert ours.shape == theirs.shape
            assert np.array_equal(ours.affine, theirs.affine)
            assert set(np.unique(ours.get_fdata())) <= {0, 1, 2}
            voxels = sum(row["pixels"].values())
            assert voxels == 12 * 14 * 10
            assert sum(row["millilitres"].values()) == pytest.approx(voxels * 2 / 1000)
            assert Path(row["overlay"]).is_file()
