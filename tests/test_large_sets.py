"""Pictures are decoded once and kept; large sets are opened by headers and bytes, and their pixels compared later."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from commands import QUICK, invoke
from datasets import class_folders, picture, write_image
from PIL import Image

from tinymed.data import Loader, channel_statistics, compare_pixels, large_sets, open_dataset, prepare, split_dataset
from tinymed.data import dataset as dataset_module
from tinymed.data.decoded import Decoded, pixel_hash
from tinymed.errors import UserAdvice, UserError
from tinymed.train.trainer import Trainer


@pytest.fixture
def decoded(monkeypatch):
    """How often each file is decoded from here on."""
    times: Counter[str] = Counter()
    plain = dataset_module.decode

    def counting(path, **options):
        times[str(path)] += 1
        return plain(path, **options)

    monkeypatch.setattr(dataset_module, "decode", counting)
    return times


@pytest.fixture
def large(monkeypatch):
    """Let every set be a large one."""
    monkeypatch.setattr(large_sets, "LARGE", 1)


def split_folders(root: Path, count: int = 6) -> Path:
    """Different pictures in train, val and test, of two classes."""
    for n, part in enumerate(("train", "val", "test")):
        for c in "ab":
            for i in range(count):
                write_image(root / part / c / f"{part}-{c}-{i}.png", picture(100 * n + 10 * i + ord(c)))
    return root


# ------------------------------------------------------------------------------------------------------ decoded once


@pytest.mark.parametrize("form", [None, (16, 3), (16, 1)])
def test_a_file_is_decoded_once_by_whom_it_is_needed_first(tmp_path, decoded, form):
    """Checking, statistics, three epochs, and loaders of every part, with threads."""
    split_folders(tmp_path)
    channels = 3 if form is None else form[1]
    parts = open_dataset(tmp_path, form=form)
    assert set(decoded.values()) == {1}
    assert len(decoded) == 36
    channel_statistics(parts["train"], 16, channels)
    loaded = {}
    for name, part in parts.items():
        for epoch in range(3):
            loaded[name] = list(Loader(part, 5, 16, channels, workers=2).epoch(epoch))
    assert set(decoded.values()) == {1}
    alone = np.stack([prepare(path, 16, channels) for path in parts["val"].samples])
    ours = np.concatenate([images for images, _, _ in loaded["val"]])
    assert np.array_equal(ours, (alone / np.float32(255)).transpose(0, 3, 1, 2).astype(np.float32))


def test_kept_pictures_are_those_of_the_files_in_any_order_of_asking(tmp_path):
    paths = class_folders(tmp_path, {"a": 4, "b": 4})
    data = open_dataset(paths, form=(8, 1))["all"]
    for size, channels in ((8, 1), (12, 3), ((8, 6), 1), (8, 1), (12, 3)):
        for i in np.random.default_rng(0).permutation(8):
            assert np.array_equal(data.prepared(int(i), size, channels), prepare(data.samples[i], size, channels))
            assert np.array_equal(data.image(int(i)), dataset_module.decode(data.samples[i]))


@pytest.mark.parametrize("form", [None, (8, 1)])
def test_another_way_of_reading_gives_other_pixels(tmp_path, form):
    """What was kept under one window is not given out under another; see `Dataset.reading`."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        values = np.random.default_rng(ord(name)).integers(0, 4096, (8, 8)).astype(np.uint16)
        Image.fromarray(values).save(tmp_path / name / "1.png")
    data = open_dataset(tmp_path, form=form, white=4095)["all"]
    for changed in ({"white": 8191}, {"white": None, "window": (1000, 500)}, {"white": 4095, "window": None}):
        for name, value in changed.items():
            setattr(data, name, value)
        path = data.samples[0]
        want = dataset_module.decode(path, white=data.white, window=data.window)
        assert np.array_equal(data.image(0), want), changed
        assert np.array_equal(data.prepared(0, 8, 1), prepare(want, 8, 1)), changed


def test_what_is_kept_cannot_be_written(tmp_path):
    data = open_dataset(class_folders(tmp_path, {"a": 2, "b": 2}), form=(8, 3))["all"]
    for pixels in (data.prepared(0, 8, 3), data.prepared(0, 8, 3)):
        with pytest.raises(ValueError, match="read-only"):
            pixels[...] = 0


def test_the_budget_holds_and_what_has_no_room_is_decoded_again(tmp_path, decoded):
    data = open_dataset(class_folders(tmp_path, {"a": 4, "b": 4}))["all"]
    data.decoded = Decoded(((8, 8), 3), most_bytes=8 * 8 * 3 * 5 + 7)
    for _ in range(2):
        rows = [data.prepared(i, 8, 3) for i in range(8)]
    assert data.decoded.nbytes == sum(held.pixels.nbytes for held in data.decoded.held.values()) == 8 * 8 * 3 * 5
    assert sorted(decoded.values()) == [2] * 5 + [3] * 3  # once by open_dataset, whose store was exchanged
    assert all(np.array_equal(row, prepare(path, 8, 3)) for row, path in zip(rows, data.samples, strict=True))


def test_parts_and_subsets_share_what_is_kept(tmp_path, decoded):
    parts = split_dataset(open_dataset(class_folders(tmp_path, {"a": 10, "b": 10}))["all"])
    for part in parts.values():
        list(Loader(part, 4, 8, workers=0))
        list(Loader(part.subset([0, 1]), 4, 8, workers=0))
    assert set(decoded.values()) == {1}


def test_a_run_decodes_each_file_once(tmp_path, decoded, capsys):
    """The check, the statistics, training, validation and the figures of val and test; pictures of mistakes aside."""
    data = split_folders(tmp_path / "data", 8)
    few = [*QUICK, "--workers", 2]
    code, _, err = invoke(capsys, "train", "--data", data, "--out", tmp_path / "run", "--epochs", 2, *few)
    assert code == 0, err
    assert {name for name, times in decoded.items() if times > 1 and "/test/" not in name} == set()


# ------------------------------------------------------------------------------------------------------- large sets


def test_a_large_set_is_opened_without_decoding(tmp_path, decoded, large):
    parts = open_dataset(split_folders(tmp_path))
    assert not decoded
    assert all(part.is_pending for part in parts.values())
    compare_pixels(parts)
    assert set(decoded.values()) == {1}
    assert not any(part.is_pending for part in parts.values())
    for part in parts.values():
        assert part.hashes == [pixel_hash(dataset_module.decode(path)) for path in part.samples]
        list(Loader(part, 4, 16, workers=0))
    assert set(decoded.values()) == {2}  # the line above, and once by whoever was first


def test_what_the_epoch_decoded_is_not_decoded_again_to_be_compared(tmp_path, decoded, large):
    parts = open_dataset(split_folders(tmp_path), form=(16, 3))
    list(Loader(parts["train"], 4, 16, workers=2))
    compare_pixels(parts)
    list(Loader(parts["val"], 4, 16, workers=2))
    assert set(decoded.values()) == {1}


def copy_of_pixels(source: Path, target: Path) -> None:
    """Write the same pixels into another file of other bytes."""
    Image.fromarray(dataset_module.decode(source)).save(target, compress_level=0)
    assert source.read_bytes() != target.read_bytes()


def test_a_copied_file_is_refused_when_opened(tmp_path, decoded, large):
    split_folders(tmp_path)
    shutil.copy(tmp_path / "train/a/train-a-0.png", tmp_path / "val/a/copy.png")
    with pytest.raises(UserError, match=r"train-a-0\.png \(train\) and .*copy\.png \(val\) are the same image"):
        open_dataset(tmp_path)
    assert not decoded


def test_equal_pixels_in_other_bytes_are_found_by_comparing(tmp_path, large):
    split_folders(tmp_path)
    copy_of_pixels(tmp_path / "train/a/train-a-0.png", tmp_path / "test/a/copy.png")
    with pytest.raises(UserError, match=r"train-a-0\.png \(train\) and .*copy\.png \(test\) are the same image"):
        compare_pixels(open_dataset(tmp_path))
    with pytest.warns(UserAdvice, match="are the same image"):
        compare_pixels(open_dataset(tmp_path, leaks="warn"))
    compare_pixels(open_dataset(tmp_path, leaks="ignore"))


def test_one_picture_under_two_labels_is_told_once_compared(tmp_path, large):
    split_folders(tmp_path)
    copy_of_pixels(tmp_path / "train/a/train-a-0.png", tmp_path / "train/b/copy.png")
    parts = open_dataset(tmp_path)
    assert not parts["train"].contradictions
    with pytest.warns(UserAdvice, match="two labels"):
        compare_pixels(parts)
    assert len(parts["train"].contradictions) == 1


def test_a_damaged_header_is_refused_when_opened_and_damaged_pixels_when_decoded(tmp_path, large):
    split_folders(tmp_path)
    path = tmp_path / "train/a/train-a-0.png"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    parts = open_dataset(tmp_path)
    with pytest.raises(UserError, match="train-a-0"):
        compare_pixels(parts)
    path.write_bytes(b"no picture")
    with pytest.raises(UserError, match="train-a-0"):
        open_dataset(tmp_path)


def test_skip_bad_decodes_a_large_set_at_once(tmp_path, decoded, large):
    split_folders(tmp_path)
    (tmp_path / "train/a/train-a-0.png").write_bytes(b"no picture")
    parts = open_dataset(tmp_path, skip_bad=True)
    assert len(parts["train"].skipped) == 1
    assert len(decoded) == 36
    assert not parts["train"].is_pending


@pytest.mark.parametrize("leaking", [False, True])
def test_training_stops_before_the_first_validation(tmp_path, large, capsys, monkeypatch, leaking):
    data = split_folders(tmp_path / "data")
    if leaking:
        copy_of_pixels(data / "train/a/train-a-0.png", data / "test/a/copy.png")
    validated = []
    plain = Trainer.validate
    monkeypatch.setattr(Trainer, "validate", lambda self: (validated.append(1), plain(self))[1])
    code, _, err = invoke(capsys, "train", "--data", data, "--out", tmp_path / "run", *QUICK)
    if not leaking:
        assert code == 0, err
        assert json.loads((tmp_path / "run/metrics.json").read_text())["val"]["loss"] > 0
        return
    assert code == 2
    assert "are the same image" in err
    assert not validated


def test_a_bar_shows_on_a_terminal(tmp_path, large, capsys, monkeypatch):
    split_folders(tmp_path)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    open_dataset(tmp_path)
    assert "checking files" in capsys.readouterr().err
