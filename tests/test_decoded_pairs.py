"""Pictures with masks or boxes, and their masks, are decoded once: by the check, training, validation and measuring."""

from collections import Counter

import numpy as np
import pytest
from commands import invoke
from masks import mask_tree, volume_tree
from test_detection import box_tree

from tinymed.data import dataset as dataset_module
from tinymed.data import masks as masks_module
from tinymed.data import open_boxes, open_segmentation
from tinymed.data.decoded import KEPT_BYTES, Decoded
from tinymed.data.image import image_size
from tinymed.data.mask_loader import MaskLoader

RUN = ["--epochs", 2, "--batch", 4, "--size", 32, "--backend", "numpy", "--workers", 2, "--leaks", "error"]


@pytest.fixture
def decoded(monkeypatch):
    """How often each file is decoded from here on."""
    times: Counter[str] = Counter()

    def count(module, name):
        plain = getattr(module, name)

        def counting(path, *args, **options):
            times[str(path)] += 1
            return plain(path, *args, **options)

        monkeypatch.setattr(module, name, counting)

    count(dataset_module, "decode")
    for name in ("decode", "decode_mask", "read_values", "read_volume"):
        count(masks_module, name)
    return times


def test_a_training_of_masks_decodes_each_file_once(tmp_path, decoded, capsys):
    """But the first picture, which tells grey from colours before the set is opened to be learnt from."""
    data = mask_tree(tmp_path / "data", 12)
    labels = ["--labels", "0=ground,255=blob"]
    arguments = ["unet_small", "--option", "base=2", *RUN, *labels]
    code, _, err = invoke(
        capsys, "train", "--task", "segmentation", "--data", data, "--out", tmp_path / "run", *arguments
    )
    assert code == 0, err
    assert len(decoded) == 24
    assert sorted(decoded.values())[:-1] == [1] * 23
    assert max(decoded.values()) <= 2


def test_a_training_of_boxes_decodes_each_file_once(tmp_path, decoded, capsys):
    data = box_tree(tmp_path / "data", 12)
    arguments = ["unet_small", "--option", "base=2", *RUN]
    code, _, err = invoke(capsys, "train", "--task", "detection", "--data", data, "--out", tmp_path / "run", *arguments)
    assert code == 0, err
    assert len(decoded) == 12
    assert sorted(decoded.values())[:-1] == [1] * 11
    assert max(decoded.values()) <= 2


def test_volumes_and_their_masks_are_decoded_once(tmp_path, decoded):
    part = open_segmentation(volume_tree(tmp_path))["all"]
    decoded.clear()
    for _ in range(2):
        pairs = [part.pair(i) for i in range(len(part))]
    assert set(decoded) == {str(path) for path in part.masks}
    assert set(decoded.values()) == {1}
    for (image, _), file in zip(pairs, part.samples, strict=True):
        assert np.array_equal(image, masks_module.read_volume(file).values)


def test_what_is_kept_is_what_lies_in_the_files(tmp_path):
    """Parts share one store within its bytes; what has no room is decoded again, to the same numbers."""
    data = mask_tree(tmp_path, 6)
    kept, plain = open_segmentation(data)["all"], open_segmentation(data, verify=False)["all"]
    assert kept.decoded.most_bytes == KEPT_BYTES
    assert plain.decoded is None
    small = Decoded(most_bytes=3 * 32 * 40)
    kept.decoded = small
    for _ in range(2):
        for i in range(6):
            for ours, theirs in zip(kept.pair(i), plain.pair(i), strict=True):
                assert np.array_equal(ours, theirs)
    assert small.nbytes == 3 * 32 * 40
    batches = [next(MaskLoader(part, 6, 16, 1).epoch()) for part in (kept, plain)]
    assert all(np.array_equal(a, b) for a, b in zip(*batches, strict=True))


def test_boxes_share_what_is_kept(tmp_path, decoded):
    sets = open_boxes(box_tree(tmp_path, 8))
    assert len({id(part.decoded) for part in sets.values()}) == 1
    for part in sets.values():
        for i in range(len(part)):
            assert part.prepared(i, 8, 1).shape == (8, 8, 1)
            assert part.image(i).shape[:2] == image_size(part.samples[i])
    assert set(decoded.values()) == {1}
