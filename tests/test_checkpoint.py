"""Checkpoints: every bit comes back, damage and foreign files are noticed, a failed write loses nothing."""

import contextlib
import json
import os
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tinymed import files
from tinymed.train.checkpoint import (
    BEST,
    NEWEST,
    PREVIOUS,
    CheckpointError,
    digest,
    load_checkpoint,
    load_newest,
    save_checkpoint,
)

TREE = {
    "model": {"conv.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "conv.bias": np.array(0.5, np.float32)},
    "optimizer": {"state": [{"moment": np.ones(3)}, {}], "groups": [{"lr": 1e-3, "betas": [0.9, 0.999]}]},
    "progress": {"step": 7, "best": None, "history": [{"loss": 0.1 + 0.2, "epoch": 1}], "name": "ü \n"},
}


def equal(a, b):
    """Whether two trees are the same, arrays in type, shape and bits."""
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and a == b


class TestCheckpoint:
    def test_round_trip_keeps_every_bit(self, tmp_path):
        save_checkpoint(tmp_path / NEWEST, TREE)
        assert equal(load_checkpoint(tmp_path / NEWEST), TREE)
        assert os.listdir(tmp_path) == [NEWEST]

    @given(arrays.arrays(st.sampled_from(["f4", "f8", "i8", "u4", "?"]), arrays.array_shapes(min_dims=0, min_side=0)))
    def test_arrays_of_any_type_shape_and_order(self, tmp_path_factory, a):
        path = tmp_path_factory.mktemp("checkpoint") / NEWEST
        save_checkpoint(path, {"model": {"a": a, "transposed": a.T}})
        loaded = load_checkpoint(path)["model"]
        assert equal(loaded["a"], a)
        assert loaded["transposed"].shape == a.T.shape
        assert np.array_equal(loaded["transposed"], a.T, equal_nan=a.dtype.kind == "f")

    def test_weights_are_readable_by_any_safetensors_reader(self, tmp_path):
        from safetensors.numpy import load_file

        save_checkpoint(tmp_path / NEWEST, TREE)
        assert np.array_equal(load_file(tmp_path / NEWEST)["model.conv.weight"], TREE["model"]["conv.weight"])

    @pytest.mark.parametrize("value", [object(), {1, 2}, np.array(["text"]), np.array([None])])
    def test_only_data_is_stored(self, tmp_path, value):
        with pytest.raises(ValueError, match="checkpoint"):
            save_checkpoint(tmp_path / NEWEST, {"model": {"a": value}})
        assert not any(tmp_path.iterdir())

    def test_every_flipped_byte_is_noticed(self, tmp_path):
        path = tmp_path / NEWEST
        save_checkpoint(path, TREE)
        content, survived = path.read_bytes(), 0
        for place in range(0, len(content), 7):
            path.write_bytes(content[:place] + bytes([content[place] ^ 0x41]) + content[place + 1 :])
            with contextlib.suppress(
                CheckpointError
            ):  # else: white space in the header's padding, which carries nothing
                assert equal(load_checkpoint(path), TREE)
                survived += 1
        assert survived <= 2

    @pytest.mark.parametrize("length", [0, 4, 8, 100, -1])
    def test_a_cut_file_is_refused(self, tmp_path, length):
        path = tmp_path / NEWEST
        save_checkpoint(path, TREE)
        path.write_bytes(path.read_bytes()[:length])
        with pytest.raises(CheckpointError):
            load_checkpoint(path)

    def test_foreign_files_are_refused(self, tmp_path):
        from safetensors.numpy import save_file

        save_file({"weight": np.ones(3, np.float32)}, tmp_path / "foreign.safetensors")
        with pytest.raises(CheckpointError, match="no training state of tinymed"):
            load_checkpoint(tmp_path / "foreign.safetensors")
        (tmp_path / "text.safetensors").write_text("not a checkpoint at all")
        with pytest.raises(CheckpointError, match="not a safetensors file"):
            load_checkpoint(tmp_path / "text.safetensors")
        with pytest.raises(CheckpointError, match="no such checkpoint"):
            load_checkpoint(tmp_path / "missing.safetensors")

    @pytest.mark.parametrize(
        "header",
        [
            '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
            '{"../a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
            '{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}',
            '{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,4]}}',
            '{"a":[1]}',
            "[" * 3000,
        ],
    )
    def test_malformed_headers_are_refused(self, tmp_path, header):
        state = {"format": "tinymed checkpoint 1", "state": "{}", "sha256": digest({}, "{}")}
        text = header if header[0] == "[" else f'{{"__metadata__":{json.dumps(state)},{header[1:]}'
        path = tmp_path / NEWEST
        path.write_bytes(struct.pack("<Q", len(text)) + text.encode() + bytes(4))
        with pytest.raises(CheckpointError):
            load_checkpoint(path)

    def test_the_previous_one_stands_in_for_a_damaged_one_and_it_is_said(self, tmp_path):
        for step in (1, 2, 3):
            save_checkpoint(tmp_path / NEWEST, {"step": step, "model": {"a": np.ones(9)}}, keep_previous=True)
        tree, path, note = load_newest(tmp_path)
        assert (tree["step"], path, note) == (3, tmp_path / NEWEST, "")
        damaged = bytearray((tmp_path / NEWEST).read_bytes())
        damaged[-1] ^= 1
        (tmp_path / NEWEST).write_bytes(damaged)
        tree, path, note = load_newest(tmp_path)
        assert tree["step"] == 2
        assert path.name == PREVIOUS
        assert "damaged" in note
        assert PREVIOUS in note
        (tmp_path / PREVIOUS).write_bytes(b"")
        with pytest.raises(CheckpointError):
            load_newest(tmp_path)

    @pytest.mark.parametrize("call", ["fsync", "replace", "link"])
    def test_a_failure_while_writing_leaves_the_old_one(self, tmp_path, monkeypatch, call):
        save_checkpoint(tmp_path / NEWEST, {"step": 1}, keep_previous=True)
        count = 0

        def fail(*_, **__):
            nonlocal count
            count += 1
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            if call == "link":  # a file system without hard links still works
                save_checkpoint(tmp_path / NEWEST, {"step": 2}, keep_previous=True)
            else:
                with pytest.raises(OSError, match="No space"):
                    save_checkpoint(tmp_path / NEWEST, {"step": 2}, keep_previous=True)
        assert count == 1
        assert load_newest(tmp_path)[0] == {"step": 2 if call == "link" else 1}
        files.remove_temporaries(tmp_path)
        assert {p.name for p in tmp_path.iterdir()} <= {NEWEST, PREVIOUS, BEST}
