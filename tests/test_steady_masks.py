"""The steady recipe of segmentations: what trains where no network is named, and what the images decide of it."""

import numpy as np
import pytest
from commands import invoke
from datasets import write_image
from masks import blob, mask_tree, volume_tree

from tinymed.cli.start_run import config_from_options, open_sets, with_data_fields
from tinymed.tasks.base.config import parse_config
from tinymed.tasks.base.steady_masks import FEWEST, MOST, SHOWN
from tinymed.tasks.segmentation import SegmentationConfig


def configured(data, **options):
    """The configuration of a segmentation of these data, and the lines that are said of it."""
    given = {"task": "segmentation", "backend": "numpy", "workers": 0, "data": str(data)} | options
    config = config_from_options(given)
    return with_data_fields(config, open_sets(config, given), given)


def striped(folder, side=256, width=2, count=12):
    """Pictures whose masks are stripes of `width` pixels."""
    rng = np.random.default_rng(3)
    for i in range(count):
        mask = ((np.arange(side) + i) // width % 2).astype(np.uint8) * np.ones((side, 1), np.uint8)
        turned = mask.T if i % 2 else mask
        write_image(folder / "images" / f"{i:02}.png", (turned * 90 + rng.integers(0, 60, mask.shape)).astype(np.uint8))
        write_image(folder / "masks" / f"{i:02}.png", turned * np.uint8(255))
    return folder


@pytest.fixture(scope="module")
def blobs(tmp_path_factory):
    """24 images with masks, not divided.  Not to be changed."""
    return mask_tree(tmp_path_factory.mktemp("blobs"), 24)


class TestOfPictures:
    def test_it_trains_where_no_network_is_named(self, blobs):
        config, lines = configured(blobs)
        assert (config.recipe, config.model, config.model_options) == ("steady", "unet_bn", {"base": 8})
        assert (config.optimizer, config.warmup, config.keep, config.monitor) == ("adamw", 0.05, "best", "val_dice")
        assert (config.data.size, config.mask.patch) == (48, None)  # no larger than the pictures themselves
        assert config.augment.rotate == 15
        assert config.data.mean is not None
        assert lines[-1].startswith(f"recipe steady: {config.epochs} epochs of batches of 8, adamw")

    def test_a_network_that_is_named_trains_as_it_did(self, blobs):
        config, _ = configured(blobs, model="unet_small", option=["base=2"])
        assert (config.recipe, config.optimizer, config.epochs, config.data.size) == ("paper", "adam", 40, 256)
        assert (config.augment.settings(), config.data.mean) == (None, None)
        steady, _ = configured(blobs, model="unet_small", option=["base=2"], recipe="steady", size=32)
        assert (steady.recipe, steady.optimizer, steady.model_options, steady.data.size) == (
            *("steady", "adamw"),
            *({"base": 2}, 32),
        )

    @pytest.mark.parametrize(
        ("option", "value"),
        [("epochs", 7), ("batch", 5), ("optimizer", "sgd"), ("lr", 0.01), ("schedule", "constant"), ("keep", "last")],
    )
    def test_an_option_outranks_the_recipe(self, option, value, blobs):
        config, _ = configured(blobs, **{option: value})
        assert getattr(config, option) == value
        assert configured(blobs, augment=False, normalise=False)[0].augment.settings() is None

    def test_an_older_run_is_of_no_recipe(self, blobs):
        content = configured(blobs)[0].model_dump(mode="json")
        del content["recipe"]
        assert parse_config(SegmentationConfig, content).recipe == "paper"

    def test_an_unknown_recipe_is_refused(self, blobs, tmp_path, capsys):
        where = ["--task", "segmentation", "--data", blobs, "--out", tmp_path / "r"]
        code, out, err = invoke(capsys, "train", *where, "--recipe", "quick")
        assert (code, out) == (2, "")
        assert "--recipe 'quick': a segmentation has steady or paper" in err

    def test_large_pictures_are_resized(self, tmp_path):
        for i in range(8):
            image, mask = blob(i, (200, 260))
            write_image(tmp_path / "images" / f"{i}.png", image)
            write_image(tmp_path / "masks" / f"{i}.png", mask * np.uint8(255))
        config, _ = configured(tmp_path)
        assert (config.data.size, config.mask.patch) == (128, None)

    def test_masks_too_fine_for_it_are_learnt_by_patches(self, tmp_path):
        fine = striped(tmp_path)
        config, lines = configured(fine)
        assert (config.mask.patch, config.mask.per_image) == ([128, 128], 4)
        assert any("too fine to be resized to 128 px" in line for line in lines)
        assert configured(fine, per_image=3)[0].mask.per_image == 3
        resized, lines = configured(fine, size=128)
        assert resized.mask.patch is None
        assert not any("too fine" in line for line in lines)

    def test_the_number_of_pictures_decides_the_epochs(self, blobs, tmp_path):
        assert configured(blobs)[0].epochs == MOST
        assert configured(striped(tmp_path), per_image=200)[0].epochs == max(FEWEST, round(SHOWN[2] / 200 / 8))

    def test_a_run_learns_predicts_and_goes_on(self, blobs, tmp_path, capsys):
        run = tmp_path / "run"
        small = ["--option", "base=2", "--option", "depth=2", "--steps", 6, "--backend", "numpy", "--workers", 0]
        assert invoke(capsys, "train", "--task", "segmentation", "--data", blobs, "--out", run, *small)[0] == 0
        code, _, err = invoke(capsys, "train", "--resume", run, "--steps", 8)
        assert code == 0, err
        assert invoke(capsys, "predict", run, blobs / "images" / "00.png", "--out", tmp_path / "masks")[0] == 0
        config, _ = configured(blobs, init=str(run))
        assert (config.model_options, config.data.size) == ({"base": 2, "depth": 2}, 48)


def test_volumes_are_not_mirrored(tmp_path):
    pytest.importorskip("nibabel", reason="nibabel is not installed: pip install '.[test]'")
    data = volume_tree(tmp_path)
    config, _ = configured(data, option=["base=2", "depth=1"])
    assert (config.recipe, config.model, config.batch, config.epochs) == ("steady", "unet3d", 2, MOST)
    assert (config.augment.horizontal_flip, config.augment.vertical_flip, config.augment.rotate) == (False, False, 10)
    assert configured(data, option=["base=2", "depth=1"], augment=False)[0].augment.settings() is None
