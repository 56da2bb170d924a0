"""Batches are the same for any number of workers and from any starting point, and nothing is left running."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from datasets import class_folders, picture, write_image
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tinymed import random
from tinymed.data import Augment, Dataset, Loader, channel_statistics, normalise, open_dataset, prepare, to_float
from tinymed.data import dataset as dataset_module
from tinymed.errors import UserError

AUGMENT = Augment(
    horizontal_flip=True, rotate=20, shift=0.1, scale=(0.8, 1.2), noise=0.02, brightness=0.1, contrast=0.1
)


def arrays(count: int = 23, classes: int = 2) -> Dataset:
    images = np.stack([picture(i) for i in range(count)])
    return Dataset(images, np.arange(count) % classes, [f"c{i}" for i in range(classes)])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return open_dataset(class_folders(tmp_path_factory.mktemp("set"), {"a": 12, "b": 7}))["all"]


def same(one: list, two: list) -> bool:
    return len(one) == len(two) and all(
        a.tobytes() == b.tobytes() and a.shape == b.shape
        for first, second in zip(one, two, strict=True)
        for a, b in zip(first, second, strict=True)
    )


def loader_threads() -> int:
    return sum(t.name.startswith("tinymed-loader") for t in threading.enumerate())


class TestBatches:
    def test_shape_memory_and_content(self, files: Dataset) -> None:
        seen = []
        for images, labels, indices in Loader(files, 8, (16, 14), 3, mean=[0.5, 0.4, 0.3], std=0.25):
            assert images.dtype == np.float32
            assert images.shape == (len(indices), 3, 16, 14)
            assert images.transpose(0, 2, 3, 1).flags.c_contiguous
            assert labels.dtype == indices.dtype == np.int64
            assert np.array_equal(labels, files.labels[indices])
            for image, index in zip(images, indices, strict=True):
                want = normalise(to_float(prepare(files.image(index), (16, 14), 3)), [0.5, 0.4, 0.3], 0.25)
                assert np.array_equal(image.transpose(1, 2, 0), want)
            seen += indices.tolist()
        assert seen == list(range(19))

    def test_grey(self, files: Dataset) -> None:
        images, _, _ = next(iter(Loader(files, 4, 9, 1)))
        assert images.shape == (4, 1, 9, 9)

    @given(st.integers(1, 30), st.integers(1, 12), st.booleans())
    def test_length_and_last_batch(self, count, batch, drop_last) -> None:
        loader = Loader(arrays(count), batch, 4, drop_last=drop_last, workers=0)
        sizes = [len(indices) for _, _, indices in loader]
        assert len(sizes) == len(loader)
        assert sum(sizes) == (count // batch * batch if drop_last else count)
        assert all(size == batch for size in sizes[:-1])

    def test_shuffle_is_philoxs_permutation_of_the_epoch(self) -> None:
        loader = Loader(arrays(), 5, 4, shuffle=True, seed=11)
        for epoch in (0, 1, 7):
            got = np.concatenate([indices for _, _, indices in loader.epoch(epoch)])
            assert np.array_equal(got, random.permutation(23, 11, random.SHUFFLE, epoch))


def test_without_memory_each_picture_is_read_from_its_file_every_time(tmp_path) -> None:
    """Though the set has kept what it decoded: who gives no memory sees a file that has changed, or is gone."""
    for name in "ab":
        (tmp_path / name).mkdir()
        for i in range(2):
            Image.fromarray(np.full((6, 6, 3), 40 * i + ord(name), np.uint8)).save(tmp_path / name / f"{name}{i}.png")
    data = next(iter(open_dataset(tmp_path).values()))
    kept, fresh = (Loader(data, 4, 6, workers=0, **options) for options in ({}, {"cache_bytes": 0}))
    before = [next(iter(loader))[0] for loader in (kept, fresh)]
    assert np.array_equal(*before)
    Image.fromarray(np.zeros((6, 6, 3), np.uint8)).save(tmp_path / "a" / "a0.png")
    assert np.array_equal(next(iter(kept))[0], before[0])
    assert not np.array_equal(next(iter(fresh))[0], before[0])
    (tmp_path / "a" / "a0.png").unlink()
    with pytest.raises(UserError, match=r"a0\.png"):
        next(iter(fresh))


class TestSameBits:
    @pytest.mark.parametrize("augment", [None, AUGMENT], ids=["plain", "augmented"])
    def test_for_any_number_of_workers(self, files: Dataset, augment: Augment | None) -> None:
        def batches(workers: int, **options: int) -> list:
            loader = Loader(files, 4, 16, shuffle=True, augment=augment, seed=3, workers=workers, **options)
            return [batch for epoch in range(3) for batch in loader.epoch(epoch)]

        reference = batches(0)
        assert same(reference, batches(1))
        assert same(reference, batches(4))
        assert same(reference, batches(3, prefetch=1))
        assert same(reference, batches(2, cache_bytes=0))
        assert same(reference, batches(2, cache_bytes=5 * 16 * 16 * 3))  # some images held, some not

    @given(st.integers(0, 6), st.integers(0, 3), st.sampled_from([0, 2]), st.booleans())
    def test_from_any_batch(self, start, epoch, workers, balanced) -> None:
        loader = Loader(arrays(), 4, 8, shuffle=True, augment=AUGMENT, seed=5, workers=workers, balanced=balanced)
        whole = list(loader.epoch(epoch))
        assert same(whole[start:], list(loader.epoch(epoch, start_batch=start)))

    @given(st.integers(1, 23), st.integers(1, 23))
    def test_an_images_augmentation_does_not_depend_on_the_batch_size(self, one, two) -> None:
        def by_index(batch: int) -> dict[int, bytes]:
            loader = Loader(arrays(), batch, 8, shuffle=True, augment=AUGMENT, seed=1, workers=0)
            return {
                i: x.tobytes() for images, _, indices in loader.epoch(2) for x, i in zip(images, indices, strict=True)
            }

        assert by_index(one) == by_index(two)

    def test_epochs_differ(self) -> None:
        loader = Loader(arrays(), 23, 8, augment=AUGMENT)
        assert not same(list(loader.epoch(0)), list(loader.epoch(1)))


class TestBalanced:
    @given(st.lists(st.integers(0, 12), min_size=2, max_size=4).filter(any), st.integers(0, 99))
    def test_classes_are_equally_frequent_and_every_image_is_seen(self, counts, epoch) -> None:
        labels = np.repeat(np.arange(len(counts)), counts)
        data = Dataset(np.zeros((len(labels), 4, 4), np.uint8), labels, [str(i) for i in range(len(counts))])
        loader = Loader(data, 5, 4, 1, shuffle=True, balanced=True, workers=0)
        indices, keys = loader.order(epoch)
        assert len(indices) == loader.samples == sum(c > 0 for c in counts) * max(counts)
        assert np.bincount(labels[indices], minlength=len(counts)).tolist() == [max(counts) * (c > 0) for c in counts]
        times = np.bincount(indices, minlength=len(labels))
        for label, count in enumerate(counts):
            if count:
                of_class = times[labels == label]
                assert of_class.max() - of_class.min() <= 1
                assert of_class.min() >= 1
        assert len(set(keys.tolist())) == len(keys)

    def test_repeats_are_augmented_differently(self) -> None:
        data = Dataset(np.stack([picture(i) for i in range(5)]), np.array([0, 0, 0, 0, 1]), ["a", "b"])
        loader = Loader(data, 8, 8, shuffle=True, balanced=True, augment=Augment(rotate=90))
        images, _, indices = next(loader.epoch(0))
        repeats = images[indices == 4]
        assert len(repeats) == 4
        assert len({x.tobytes() for x in repeats}) == 4


class TestEndings:
    def test_leaving_early_stops_the_workers(self) -> None:
        epoch = Loader(arrays(), 1, 16, workers=3, augment=AUGMENT).epoch(0)
        next(epoch)
        assert loader_threads() > 0
        epoch.close()
        assert loader_threads() == 0

    def test_a_finished_epoch_leaves_nothing(self) -> None:
        assert len(list(Loader(arrays(), 4, 16, workers=3))) == 6
        assert loader_threads() == 0

    def test_no_more_than_prefetch_is_prepared(self, monkeypatch: pytest.MonkeyPatch) -> None:
        started: list[int] = []
        plain = Loader.batch

        def counted(self, *arguments):
            started.append(1)
            return plain(self, *arguments)

        monkeypatch.setattr(Loader, "batch", counted)
        epoch = Loader(arrays(), 1, 4, workers=2, prefetch=3).epoch(0)
        next(epoch)
        for thread in threading.enumerate():
            if thread.name.startswith("tinymed-loader"):
                thread.join(0.05)
        assert len(started) <= 3
        epoch.close()

    @pytest.mark.parametrize("workers", [0, 2])
    def test_a_damaged_file_is_named(self, tmp_path: Path, workers: int) -> None:
        data = open_dataset(class_folders(tmp_path, {"a": 5, "b": 5}), verify=False)["all"]
        bad = tmp_path / "b" / "2.png"
        bad.write_bytes(bad.read_bytes()[:60])
        with pytest.raises(UserError, match=r"b/2\.png"):
            list(Loader(data, 2, 8, workers=workers))
        assert loader_threads() == 0

    @pytest.mark.parametrize("workers", [0, 2])
    def test_any_other_error_names_the_sample_and_keeps_its_cause(self, tmp_path, monkeypatch, workers) -> None:
        path = write_image(tmp_path / "x.png", picture(0))

        def broken(*_):
            raise ZeroDivisionError("on purpose")

        monkeypatch.setattr(dataset_module, "prepare", broken)
        with pytest.raises(RuntimeError, match=r"x\.png: ZeroDivisionError") as caught:
            list(Loader(Dataset([path], np.zeros(1), ["a"]), 1, 8, workers=workers))
        assert isinstance(caught.value.__cause__, ZeroDivisionError)

    @pytest.mark.parametrize(
        "wrong",
        [{"batch_size": 0}, {"workers": -1}, {"prefetch": 0}, {"cache_bytes": -1}, {"balanced": True}, {"std": [1, 2]}],
    )
    def test_refusals(self, wrong) -> None:
        with pytest.raises(UserError):
            Loader(arrays(), **({"batch_size": 2, "size": 4} | wrong))

    def test_an_empty_set(self) -> None:
        with pytest.raises(UserError, match="no images"):
            Loader(arrays().subset([]), 2, 4)


class TestCache:
    def test_files_are_decoded_once(self, files: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
        decoded: list[int] = []
        plain = Dataset.image
        monkeypatch.setattr(Dataset, "image", lambda self, i: (decoded.append(i), plain(self, i))[1])
        loader = Loader(replace(files, decoded=None), 4, 16, shuffle=True, workers=2)
        for epoch in range(3):
            list(loader.epoch(epoch))
        assert sorted(decoded) == list(range(19))

    def test_the_byte_limit_holds(self, files: Dataset) -> None:
        assert Loader(files, 4, 16, cache_bytes=16 * 16 * 3 * 5 + 7).cache.nbytes == 16 * 16 * 3 * 5


def test_channel_statistics(files: Dataset) -> None:
    mean, std = channel_statistics(files, 16, 3)
    everything = np.concatenate([images for images, _, _ in Loader(files, 8, 16)]).astype(np.float64)
    assert np.allclose(mean, everything.mean(axis=(0, 2, 3)), atol=1e-7)
    assert np.allclose(std, everything.std(axis=(0, 2, 3)), atol=1e-7)
