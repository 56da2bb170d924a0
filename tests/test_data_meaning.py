"""What files say about their pixels: places of volumes in space, meanings of mask values, depth, sizes of patches."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from commands import QUICK, invoke, write_images
from datasets import class_folders, picture, write_image
from masks import blob, mask_tree, write_nifti
from PIL import Image

from tinymed.data import Loader, MaskLoader, decode, open_boxes, open_dataset, open_segmentation, prepare
from tinymed.data.labels import IGNORED, guess_labels
from tinymed.data.loader import channel_statistics
from tinymed.data.patch_classification import VoxelLoader
from tinymed.data.patches import Cases, PatchLoader
from tinymed.data.splits import split_dataset
from tinymed.errors import UserAdvice, UserError, as_option

RAS = np.array([[1.5, 0, 0, -20], [0, 2, 0, 30], [0, 0, 1, 4], [0, 0, 0, 1.0]])


def moved(affine: np.ndarray, step: tuple[int, int, int]) -> np.ndarray:
    """The affine of the same voxels turned round along the axes where `step` is -1, over 8, 9, 10 voxels."""
    turned = affine @ np.diag([*step, 1.0])
    turned[:3, 3] += affine[:3, :3] @ [(n - 1) if s < 0 else 0 for n, s in zip((8, 9, 10), step, strict=True)]
    return turned


def at(axis: int, shift: float) -> np.ndarray:
    """What moves an affine's origin along an axis."""
    change = np.zeros((4, 4))
    change[axis, 3] = shift
    return change


def tilted(affine: np.ndarray) -> np.ndarray:
    """The affine turned by a hundredth about z, with its origin kept."""
    c, s = np.cos(0.01), np.sin(0.01)
    result = affine.copy()
    result[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ affine[:3, :3]
    return result


class TestPlaces:
    """Image and mask are turned by their own headers, so they must lie on the same voxels in space."""

    def pair(self, root: Path, image: np.ndarray, mask: np.ndarray, turn: tuple[int, int, int] = (1, 1, 1)):
        pytest.importorskip("nibabel", reason='NIfTI needs nibabel: pip install ".[medical]"')
        values, labels = blob(1, (8, 9, 10))
        write_nifti(root / "images" / "c.nii.gz", values, image)
        write_nifti(root / "masks" / "c.nii.gz", labels[:: turn[0], :: turn[1], :: turn[2]], mask)
        return lambda: open_segmentation(root)["all"].pair(0)

    @pytest.mark.parametrize("turn", [(1, 1, 1), (-1, 1, 1), (-1, -1, 1), (1, -1, -1)])
    def test_another_order_of_the_same_voxels_is_paired_rightly(self, tmp_path, turn):
        image, mask = self.pair(tmp_path, RAS, moved(RAS, turn), turn)()
        assert np.array_equal(image[..., 0], blob(1, (8, 9, 10))[0])
        assert np.array_equal(mask, blob(1, (8, 9, 10))[1])

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda a: np.eye(4), "spacing and origin"),
            (lambda a: np.diag([-1, -1, 1, 1.0]) @ a, "direction and origin"),
            (lambda a: a @ np.diag([-1, 1, 1, 1.0]), "direction and origin"),
            (lambda a: a + at(0, 0.01), "origin"),
            (lambda a: a @ np.diag([1.01, 1, 1, 1]), "spacing"),
            (tilted, "direction"),
        ],
    )
    def test_another_place_is_refused_with_both_named(self, tmp_path, change, words):
        where = r"masks/c\.nii\.gz: the mask lies elsewhere in space than its image .*images/c\.nii\.gz"
        with pytest.raises(UserError, match=rf"{where}: they differ in {words} \(.*spacing.*; the image RAS"):
            self.pair(tmp_path, RAS, change(RAS))()

    def test_rounding_in_headers_is_no_difference(self, tmp_path):
        assert self.pair(tmp_path, RAS, RAS * (1 + 1e-6) + at(1, 5e-4))()

    def test_it_is_refused_when_the_data_are_opened(self, tmp_path):
        self.pair(tmp_path, RAS, np.eye(4))
        with pytest.raises(UserError, match="elsewhere"):
            open_segmentation(tmp_path)

    def test_modalities_of_a_case_too(self, tmp_path):
        pytest.importorskip("nibabel", reason='NIfTI needs nibabel: pip install ".[medical]"')
        values, labels = blob(1, (8, 9, 10))
        for m, affine in enumerate((RAS, np.eye(4))):
            write_nifti(tmp_path / "images" / f"c_000{m}.nii.gz", values, affine)
        write_nifti(tmp_path / "masks" / "c.nii.gz", labels, RAS)
        with pytest.raises(UserError, match=r"c_0001\.nii\.gz: the modality lies elsewhere"):
            open_segmentation(tmp_path)["all"].pair(0)


class TestTurnedPictures:
    """EXIF turns a picture, and nothing says whether its mask was drawn before or after."""

    @pytest.mark.parametrize(
        ("image", "mask", "said"), [(6, 1, 1), (3, 1, 1), (2, 1, 1), (1, 6, 1), (6, 6, 0), (1, 1, 0)]
    )
    def test_it_is_said_unless_both_are_turned_alike(self, tmp_path, recwarn, image, mask, said):
        mask_tree(tmp_path, 2)
        pixels, labels = np.zeros((32, 32, 3), np.uint8), np.eye(32, dtype=np.uint8) * 255
        for folder, array, value in (("images", pixels, image), ("masks", labels, mask)):
            exif = Image.Exif()
            exif[0x0112] = value
            Image.fromarray(array).save(tmp_path / folder / "turned.png", exif=exif)
        open_segmentation(tmp_path)
        told = [str(w.message) for w in recwarn if issubclass(w.category, UserAdvice)]
        assert len(told) == said
        assert all("a picture is turned or mirrored by EXIF, such as" in text for text in told)


class TestModalities:
    def test_two_images_of_one_name_are_no_modalities(self, tmp_path):
        mask_tree(tmp_path, 2)
        for i in range(2):
            write_image(tmp_path / "images" / f"0{i}.jpg", picture(i, 32, 40))
        with pytest.raises(UserError, match=r"00\.jpg and .*00\.png: two images of one name"):
            open_segmentation(tmp_path)

    def test_every_case_has_the_same(self, tmp_path):
        for i, numbers in enumerate((("0000", "0001"), ("0000", "0002"))):
            image, mask = blob(i)
            for number in numbers:
                write_image(tmp_path / "images" / f"case{i}_{number}.png", image)
            write_image(tmp_path / "labels" / f"case{i}.png", mask)
        with pytest.raises(UserError, match="case1: has the modalities _0000 _0002, but case0 _0000 _0001"):
            open_segmentation(tmp_path)


class TestMeaningOfValues:
    def tree(self, root: Path, labels: object) -> Path:
        for i in range(2):
            image, mask = blob(i, (8, 9), 3)
            write_image(root / "imagesTr" / f"c{i}_0000.png", image)
            write_image(root / "labelsTr" / f"c{i}.png", mask)
        (root / "dataset.json").write_text(json.dumps({"labels": labels}))
        return root

    @pytest.mark.parametrize(
        "labels", [{"background": 0, "lesion": 1, "ignore": 2}, {"0": "background", "1": "lesion", "2": "Ignore"}]
    )
    def test_nnunets_ignore_is_ignored(self, tmp_path, labels):
        dataset = open_segmentation(self.tree(tmp_path, labels))["all"]
        assert dataset.classes == ["background", "lesion"]
        assert dataset.meaning.ignore == 2
        assert np.unique(dataset.mask(0)).tolist() == [0, 1, IGNORED]

    @pytest.mark.parametrize(
        ("labels", "words"),
        [
            ({"background": 0, "whole": [1, 2]}, "regions need regions_class_order, one number for each of whole"),
            ({"background": 0, "a": 1, "b": 1}, "two labels have the same value"),
            ({"background": 0, "a": True}, "cannot be read"),
            ({"background": 0, "a": 1.5}, "cannot be read"),
            ({"background": 0}, "needs 2 to 254 classes"),
            (["background", "a"], "cannot be read"),
            (None, "cannot be read"),
        ],
    )
    def test_what_cannot_be_meant_is_refused(self, tmp_path, labels, words):
        with pytest.raises(UserError, match=words) as caught:
            open_segmentation(self.tree(tmp_path, labels))
        assert str(tmp_path) in str(caught.value)

    @pytest.mark.parametrize("quality", [60, 95, 100])
    def test_a_jpeg_is_no_mask_whatever_it_is_said_to_mean(self, tmp_path, quality):
        mask_tree(tmp_path, 3)
        for path in sorted((tmp_path / "masks").glob("*.png")):
            with Image.open(path) as image:
                image.save(path.with_suffix(".jpg"), quality=quality)
            path.unlink()
        for values in (None, {0: "ground", 255: "lesion"}):
            with pytest.raises(UserError, match="a JPEG makes others in between: save masks as PNG"):
                open_segmentation(tmp_path, values=values)["all"].mask(0)

    def test_a_jpeg_that_has_kept_its_values_is_read(self, tmp_path):
        mask_tree(tmp_path, 2, (16, 16))
        for i in range(2):
            mask = np.zeros((16, 16), np.uint8)
            mask[:8] = 255  # whole blocks of the format
            Image.fromarray(mask).save(tmp_path / "masks" / f"0{i}.jpg", quality=100)
            (tmp_path / "masks" / f"0{i}.png").unlink()
        assert open_segmentation(tmp_path)["all"].mask(0).sum() == 128

    @pytest.mark.parametrize("values", [[-1, 0], [-1, 0, 1], [-1000, 400]])
    def test_values_below_0_are_no_classes_by_themselves(self, values):
        with pytest.raises(
            UserError, match=rf"the value {values[0]}, and what is below 0 is no class.*ignore={values[0]}"
        ):
            guess_labels(values, None, "masks")
        assert guess_labels([-1, 0, 1], -1, "masks").names == ["background", "foreground"]

    @pytest.mark.parametrize(
        ("values", "said"),
        [([0, 1, 255], 2), ([0, 1, 2, 3, 255], 1), ([0, 255], 0), ([0, 128, 255], 0), ([0, 1, 2], 0)],
    )
    def test_255_beside_numbered_classes_is_said(self, recwarn, values, said):
        guess_labels(values, None, "masks")
        told = [str(warning.message) for warning in recwarn]
        assert len(told) == bool(said)
        assert sum(way in "".join(told) for way in ("ignore=255", "labels=0=background,1=foreground,255=fore")) == said

    @pytest.mark.parametrize("values", [[0, 1, 254, 255], [0, 3, 250, 255], [0, 1, 2, 128, 253, 254, 255]])
    def test_values_crowded_round_black_and_white_are_none(self, values):
        with pytest.raises(UserError, match="without smoothing"):
            guess_labels(values, None, "d")

    @pytest.mark.filterwarnings("ignore:.*255 beside 0 to 2")
    @pytest.mark.parametrize("values", [[0, 1, 2, 255], [0, 60, 120, 250], [0, 254, 255], [0, 85, 170, 255], [1, 2, 3]])
    def test_other_values_are_labels(self, values):
        assert len(guess_labels(values, None, "d").names) == len(values)


def deep_folders(root: Path, top: int = 4095, kind: type = np.uint16, suffix: str = ".png") -> Path:
    """Class folders of pictures of 12 bits in deeper files."""
    for i in range(6):
        values = np.random.default_rng(i).integers(0, top + 1, (12, 10))
        values[0, 0] = top
        write_image(root / "ab"[i % 2] / f"{i}{suffix}", values.astype(kind))
    return root


class TestDepth:
    def test_dark_deep_pictures_are_said(self, tmp_path):
        with pytest.warns(UserAdvice, match=r"the brightest pixel is 4,095 of 65,535.*say so with white=4095"):
            open_dataset(deep_folders(tmp_path))
        dataset = open_dataset(tmp_path, white=4095)["all"]
        assert dataset.image(0).max() == 255
        assert open_dataset(deep_folders(tmp_path / "full", 65535))["all"].brightest == 255

    def test_other_deep_files_need_to_be_told_what_is_white(self, tmp_path):
        deep_folders(tmp_path, kind=np.float32, suffix=".tif")
        with pytest.raises(UserError, match=r"floating-point pixels have no known range.*white=MAXIMUM"):
            open_dataset(tmp_path)
        assert open_dataset(tmp_path, white=4095)["all"].brightest == 255

    def test_every_level_reaches_the_network(self, tmp_path):
        whole = np.arange(4096, dtype=np.uint16).reshape(64, 64)
        for name in ("a/0.png", "b/0.png"):
            write_image(tmp_path / name, whole if name[0] == "a" else whole[::-1])
        dataset = open_dataset(tmp_path, white=4095)["all"]
        for channels in (1, 3):
            images, _, _ = next(iter(Loader(dataset, 2, 64, channels, workers=0)))
            assert images.shape == (2, channels, 64, 64)
            assert np.unique(images[0]).size == 4096
            assert np.allclose(images[0, 0], whole / 4095, atol=1e-7)
        mean, std = channel_statistics(dataset, 64, 1)
        assert mean[0] == pytest.approx(0.5)
        assert std[0] == pytest.approx((whole / 4095).std(), rel=1e-6)

    def test_loaders_give_the_same_from_their_cache(self, tmp_path):
        dataset = replace(open_dataset(deep_folders(tmp_path), white=4095)["all"], decoded=None)
        for size in (8, (12, 10)):
            loader = Loader(dataset, 3, size, 1, workers=2)
            first, second = list(loader.epoch(0)), list(loader.epoch(0))
            assert len(loader.cache.deep) > 0
            assert all(np.array_equal(a[0], b[0]) for a, b in zip(first, second, strict=True))
            none = Loader(dataset, 3, size, 1, workers=0, cache_bytes=0)
            assert all(np.array_equal(a[0], b[0]) for a, b in zip(first, none.epoch(0), strict=True))
            assert not none.cache.deep

    def test_sizes_change_as_those_of_8_bits(self, tmp_path):
        pixels = picture(3, 33, 21, 1)
        eight = write_image(tmp_path / "8.png", pixels)
        values = pixels.astype(np.uint16) * 257
        values[0, 0] ^= 1  # or every value would be a byte repeated, and the picture one of 8 bits
        deep = write_image(tmp_path / "16.png", values)
        for channels in (1, 3):
            got = prepare(deep, (16, 12), channels)
            assert got.dtype == np.float32
            assert np.abs(got - prepare(eight, (16, 12), channels)).max() <= 1

    def test_with_masks_and_boxes(self, tmp_path):
        mask_tree(tmp_path, 4)
        for path in sorted((tmp_path / "images").glob("*.png")):
            with Image.open(path) as image:
                write_image(path, np.asarray(image).astype(np.uint16) * 16)
        with pytest.warns(UserAdvice, match="white=4095"):
            open_segmentation(tmp_path)
        dataset = open_segmentation(tmp_path, white=4080)["all"]
        images, masks, _ = next(iter(MaskLoader(dataset, 4, (32, 40), 1, workers=0).epoch(0)))
        assert np.mean((images[:, 0] > 0.53) == masks) > 0.95
        assert masks.dtype == np.int64
        (tmp_path / "boxes.csv").write_text("path,label,xmin,ymin,xmax,ymax\nimages/00.png,x,1,1,3,3\n")
        assert open_boxes(tmp_path / "boxes.csv", white=4080)["all"].brightest == pytest.approx(255, abs=20)

    def test_pictures_of_8_bits_are_as_they_were(self, tmp_path):
        dataset = open_dataset(class_folders(tmp_path, {"a": 2, "b": 2}))["all"]
        assert dataset.image(0).dtype == np.uint8
        assert np.array_equal(dataset.image(1), picture(1))
        assert dataset.brightest is None
        assert decode(dataset.samples[0]).dtype == np.uint8


class TestSizesOfPatches:
    def test_larger_than_every_image_is_refused_with_the_sizes(self, tmp_path):
        cases = Cases(open_segmentation(mask_tree(tmp_path))["all"], 1)
        words = "a patch of 4096 x 4096 is larger than every image .*largest sides are 40 x 40; .* at most 64 x 64"
        with pytest.raises(UserError, match=words):
            PatchLoader(cases, 4, (4096, 4096))
        with pytest.raises(UserError, match="a patch of 16 x 300 is larger"):
            PatchLoader(cases, 4, (16, 300))
        with pytest.raises(UserError, match="a patch of 4096 x 4096 is larger"):
            VoxelLoader(cases, 4, 4096)
        PatchLoader(cases, 4, (64, 64))  # what networks that halve their input need
        PatchLoader(cases, 4, (200, 200), (16, 16))  # the margin of a network may lie outside

    def test_of_volumes(self, tmp_path):
        pytest.importorskip("nibabel", reason='NIfTI needs nibabel: pip install ".[medical]"')
        from masks import volume_tree

        cases = Cases(open_segmentation(volume_tree(tmp_path))["all"], 1)
        PatchLoader(cases, 2, (16, 16, 16))
        with pytest.raises(UserError, match="the largest sides are 12 x 14 x 10"):
            PatchLoader(cases, 2, (16, 16, 512))
        with pytest.raises(UserError, match="larger than every image"):
            VoxelLoader(cases, 2, 128, triplanar=True)


class TestShort:
    def test_what_is_shown_of_a_set_is_one_short_line(self, tmp_path):
        sets = [open_dataset(class_folders(tmp_path / "c", {f"class{i}": 3 for i in range(12)}))["all"]]
        sets += [open_segmentation(mask_tree(tmp_path / "m", 4))["all"]]
        sets += list(split_dataset(sets[0], {"train": 0.5, "val": 0.5}).values())
        for dataset in sets:
            assert len(repr(dataset)) < 300 + len(str(tmp_path))
            assert "\n" not in repr(dataset)
            assert f"{len(dataset)} images" in repr(dataset)
        assert repr(Loader(sets[0], 4, 8)).startswith("Loader(Dataset(36 images, all")


class TestAdvice:
    """A message names an argument as its reader has it, and only where it has it."""

    def test_forms(self):
        options = {"skip_bad", "path_column", "white", "leaks"}
        assert as_option("skip_bad=True", options) == "--skip-bad"
        assert as_option("path_column='NAME'", options) == "--path-column NAME"
        assert as_option("white=4095", options) == "--white 4095"
        assert as_option("leaks='warn'", options) == "--leaks warn"
        assert as_option("split_column='NAME'", options) == ""

    def test_the_command_line_names_its_options(self, tmp_path, capsys):
        write_images(tmp_path, ["a", "b"], 4)
        (tmp_path / "a" / "bad.png").write_text("no image")
        code, _, err = invoke(capsys, "train", "--data", tmp_path, "--out", tmp_path / "run", *QUICK)
        assert code == 2
        assert "or leave it out with --skip-bad" in err
        assert "skip_bad" not in err

    def test_only_those_that_the_command_has(self, tmp_path, capsys):
        from tinymed.cli import compare, predict  # noqa: F401  which register these commands
        from tinymed.cli.app import app, options_of

        write_images(tmp_path, ["a", "b"], 4)
        (tmp_path / "a" / "bad.png").write_text("no image")
        assert "skip_bad" in options_of(typer.main.get_command(app), ["compare", "dcnn"])
        assert "skip_bad" not in options_of(typer.main.get_command(app), ["predict", "RUN"])
        code, _, err = invoke(capsys, "compare", "lenet5_modern", "dcnn", "--data", tmp_path, "--out", tmp_path / "run")
        assert code == 2
        assert "bad.png" in err
        assert as_option("skip_bad=True", options_of(typer.main.get_command(app), ["predict", "RUN"])) == ""
