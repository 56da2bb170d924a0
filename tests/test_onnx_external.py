"""ONNX models whose weights lie in a second file: read from the model's own folder, and from nowhere else."""

import os

import numpy as np
import pytest
from onnx_models import TensorProto, X, model_of, node, perceptron, write

import tinymed
import tinymed.onnx
from tinymed.errors import UserError

DATA = np.arange(40, dtype=np.float32)


def external(location="weights.bin", key="fc.1.weight", **more):
    """A model of which one weight lies in another file."""
    model = perceptron()
    weight = next(t for t in model.graph.initializer if t.name == key)
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for name, value in {"location": location, **more}.items():
        weight.external_data.add(key=name, value=str(value))
    return model


def refused(path, *words):
    with pytest.raises(UserError) as caught:
        tinymed.onnx.load(path)
    for word in (str(path), "fc.1.weight", *words):
        assert word in str(caught.value), caught.value
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("before", "after"), [(0, 0), (64, 0), (128, 12)])
def test_weights_beside_the_model(before, after, tmp_path):
    (tmp_path / "weights.bin").write_bytes(b"x" * before + DATA.tobytes() + b"y" * after)
    model = external(offset=before, length=160) if before else external()
    module = tinymed.onnx.load(write(tmp_path, model))
    np.testing.assert_array_equal(module.state_dict()["fc.1.weight"].numpy().reshape(-1), DATA)
    assert module(np.zeros((4, 5), np.float32)).shape == (4, 3)


def test_a_folder_below_and_a_link_within(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "w").write_bytes(DATA.tobytes())
    (tmp_path / "link").symlink_to(tmp_path / "data" / "w")
    for location in ("data/w", "link"):
        module = tinymed.onnx.load(write(tmp_path, external(location)))
        np.testing.assert_array_equal(module.state_dict()["fc.1.weight"].numpy().reshape(-1), DATA)


def test_every_element_type(tmp_path):
    """Bytes in the file's order, half precision as float32."""
    import onnx

    arrays = [DATA.astype(t) for t in ("float16", "float64", "int64", "uint8", "bool")]
    nodes = [node("Identity", f"c{i}", outputs=[f"y{i}"]) for i in range(len(arrays))]
    names = tuple(f"y{i}" for i in range(len(arrays)))
    model = model_of(nodes, {"x": X}, names, {f"c{i}": a for i, a in enumerate(arrays)})
    kinds = [onnx.helper.np_dtype_to_tensor_dtype(a.dtype) for a in arrays]
    for value, kind in zip(model.graph.output, kinds, strict=True):
        value.type.tensor_type.elem_type = kind
    path = tmp_path / "model.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="all.data", size_threshold=0)
    for got, want in zip(tinymed.onnx.load(path)(X), arrays, strict=True):
        np.testing.assert_array_equal(got.numpy(), want)
        assert got.dtype == want.dtype


def test_an_attribute(tmp_path):
    (tmp_path / "weights.bin").write_bytes(DATA.tobytes())
    inner = external().graph.initializer[0]
    model = model_of(
        [node("Constant", value=inner, outputs=["c"]), node("MatMul", "c", "x")], {"x": np.eye(5, dtype=np.float32)}
    )
    got = tinymed.onnx.load(write(tmp_path, model))(np.eye(5, dtype=np.float32))
    np.testing.assert_array_equal(got.numpy().reshape(-1), DATA)


@pytest.mark.parametrize(
    "location", ["../secret", "/etc/passwd", "a/../../secret", "..", "C:\\secret", "\\\\host\\share", "..\\secret", ""]
)
def test_a_path_out_of_the_folder(location, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "secret").write_bytes(DATA.tobytes())
    refused(write(home, external(location)), "own folder")


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="no links here")
def test_a_link_out_of_the_folder(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "secret").write_bytes(DATA.tobytes())
    (home / "weights.bin").symlink_to(tmp_path / "secret")
    (home / "folder").symlink_to(tmp_path)
    for location in ("weights.bin", "folder/secret"):
        refused(write(home, external(location)), location, "a link out of")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"offset": 1}, ("bytes 1 to 161", "160 bytes")),
        ({"offset": 1 << 62}, ("160 bytes",)),
        ({"length": 159}, ("159 bytes", "take 160")),
        ({"length": 1 << 40}, ("take 160",)),
        ({"offset": -1}, ("offset '-1'",)),
        ({"offset": "1e3"}, ("offset '1e3'",)),
        ({"length": "9" * 30}, ("a number of bytes",)),
    ],
)
def test_offset_and_length(more, words, tmp_path):
    (tmp_path / "weights.bin").write_bytes(DATA.tobytes())
    refused(write(tmp_path, external(**more)), "weights.bin", *words)


def test_a_file_that_is_none(tmp_path):
    refused(write(tmp_path, external("absent.bin")), "absent.bin", "cannot be read")
    (tmp_path / "folder").mkdir()
    refused(write(tmp_path, external("folder")), "folder", "not a file")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    refused(write(tmp_path, external("circle")), "circle")


def test_a_model_in_memory_has_no_folder():
    from tinymed.onnx.read import read_bytes

    with pytest.raises(UserError, match="has no folder"):
        read_bytes(external().SerializeToString(), "memory")
