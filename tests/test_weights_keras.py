"""HDF5 files of Keras, written as Keras writes them: layouts are turned, links out of the file are refused."""

import numpy as np
import pytest

import tinymed
from tinymed.errors import UserError
from tinymed.weights import read_file

h5py = pytest.importorskip("h5py", reason="pip install h5py")
RNG = np.random.default_rng(0)
FILTERS, BIAS = RNG.normal(size=(3, 3, 2, 4)).astype("f4"), RNG.normal(size=4).astype("f4")
DENSE, NORM = RNG.normal(size=(5, 7)).astype("f4"), [RNG.random(4).astype("f4") for _ in range(4)]
DEPTHWISE = RNG.normal(size=(3, 3, 4, 2)).astype("f4")


def old(path, below=""):
    """The form of Keras 2."""
    layers = {
        "conv2d": {"kernel:0": FILTERS, "bias:0": BIAS},
        "bn": dict(zip(("gamma:0", "beta:0", "moving_mean:0", "moving_variance:0"), NORM, strict=True)),
        "dw": {"depthwise_kernel:0": DEPTHWISE},
        "dense": {"kernel:0": DENSE},
    }
    with h5py.File(path, "w") as file:
        root = file.require_group(below) if below else file
        root.attrs["layer_names"] = [name.encode() for name in layers]
        for name, variables in layers.items():
            group = root.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{each}".encode() for each in variables]
            for each, values in variables.items():
                group[f"{name}/{each}"] = values


def new(path):
    """The form of Keras 3."""
    layers = {"conv2d": [FILTERS, BIAS], "bn": NORM, "depthwise_conv2d": [DEPTHWISE], "dense": [DENSE], "flatten": []}
    with h5py.File(path, "w") as file:
        for name, variables in layers.items():
            group = file.create_group(f"layers/{name}/vars")
            for i, values in enumerate(variables):
                group[str(i)] = values
        file.create_group("optimizer/vars")["0"] = np.int64(3)


@pytest.mark.parametrize("write", [old, new, lambda path: old(path, "model_weights")])
def test_names_and_layouts(write, tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "a.h5"
    write(path)
    found = read_file(path)
    arrays = found.arrays
    assert arrays["conv2d.weight"].shape == (4, 2, 3, 3)
    np.testing.assert_array_equal(arrays["conv2d.weight"][3, 1, 2, 0], FILTERS[2, 0, 1, 3])
    np.testing.assert_array_equal(arrays["conv2d.bias"], BIAS)
    np.testing.assert_array_equal(arrays["dense.weight"], DENSE.T)
    for name, values in zip(("weight", "bias", "running_mean", "running_var"), NORM, strict=True):
        np.testing.assert_array_equal(arrays[f"bn.{name}"], values)
    depthwise = next(arrays[name] for name in ("dw.weight", "depthwise_conv2d.weight") if name in arrays)
    x = RNG.normal(size=(1, 4, 3, 3)).astype("f4")
    y = torch.nn.functional.conv2d(torch.tensor(x), torch.tensor(depthwise), groups=4).numpy().ravel()
    wanted = np.einsum("chw,hwcm->cm", x[0], DEPTHWISE).ravel()  # Keras: output channel c * times + m
    np.testing.assert_allclose(y, wanted, rtol=1e-5)
    assert "Keras" in found.notes[0]
    assert tinymed.load(path)["dense.weight"].shape == (7, 5)


def layer(file):
    return file.create_group("layers/c/vars")


def test_hostile_and_damaged(tmp_path):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["0"] = FILTERS
    cases = {
        "external": lambda file: layer(file).__setitem__("0", h5py.ExternalLink(str(secret), "0")),
        "soft": lambda file: layer(file).__setitem__("0", h5py.SoftLink("/layers")),
        "loop": lambda file: file.create_group("layers/c").__setitem__("again", file["layers"]),
        "bomb": lambda file: layer(file).create_dataset("0", (1 << 20, 1 << 14), "f4", chunks=True),
        "text": lambda file: layer(file).__setitem__("0", "text"),
        "other": lambda file: file.create_group("layers/lstm/vars").__setitem__("0", np.zeros((2, 2, 2, 2, 2, 2))),
        "empty": lambda file: file.create_group("layers"),
        "elsewhere": lambda file: layer(file).create_dataset("0", (4,), "f4", external=[(str(secret), 0, 16)]),
    }
    for name, build in cases.items():
        path = tmp_path / f"{name}.h5"
        with h5py.File(path, "w") as file:
            build(file)
        with pytest.raises(UserError) as refused:
            read_file(path)
        assert str(path) in str(refused.value), name
    whole = tmp_path / "whole.h5"
    new(whole)
    content = whole.read_bytes()
    for i in range(60):
        changed = bytearray(content)
        for place in RNG.integers(8, len(content), 5):
            changed[place] = RNG.integers(0, 256)
        whole.write_bytes(bytes(changed) if i % 3 else content[: RNG.integers(9, len(content))])
        try:
            read_file(whole)
        except UserError as error:
            assert str(whole) in str(error)  # noqa: PT017 - read or refused, both are right
