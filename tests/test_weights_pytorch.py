"""Files that `torch.save` writes, in both forms and every protocol, read to the same numbers; refusals by name."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinymed
from tinymed import models, nn
from tinymed.errors import UserError
from tinymed.weights import read_file
from tinymed.weights.names import aligned, imagenet_classifier
from tinymed.weights.torch_values import KINDS

torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")
torch.manual_seed(0)
NETWORK = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 4))
BASE = torch.arange(24.0)
TENSORS = {
    "strided": BASE[::2],
    "transposed": BASE.view(4, 6).t(),
    "shared": BASE[3:9],
    "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
    "expanded": torch.randn(1, 3).expand(5, 3),
    "number": torch.tensor(3.5),
    "empty": torch.zeros(0, 3),
    "conjugate": torch.randn(3, dtype=torch.complex64).conj(),
    "negative": torch.randn(3, dtype=torch.complex64).conj().imag,
    "parameter": torch.nn.Parameter(torch.randn(2)),
}
FORMS = [(zipped, protocol) for zipped in (True, False) for protocol in (2, 3, 4, 5)]


def as_numpy(tensor: Any) -> np.ndarray:
    """The values, in a type that NumPy has."""
    tensor = tensor.detach().resolve_conj().resolve_neg()
    wide = {torch.bfloat16: torch.float32, torch.float8_e5m2: torch.float32, torch.float8_e4m3fn: torch.float32}
    wide[torch.complex32] = torch.complex64
    found: np.ndarray = tensor.to(wide.get(tensor.dtype, tensor.dtype)).numpy()
    return found


def same(found: np.ndarray, tensor: Any) -> None:
    wanted = as_numpy(tensor)
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    np.testing.assert_array_equal(found, wanted)
    assert found.flags.writeable
    assert found.flags.c_contiguous


@pytest.mark.parametrize(("zipped", "protocol"), FORMS)
def test_every_layout_in_every_form(zipped: bool, protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    state = {**NETWORK.state_dict(), **TENSORS}
    torch.save(state, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    content = read_file(path)
    assert list(content.arrays) == list(state)
    assert content.notes == []
    for name, tensor in state.items():
        same(content.arrays[name], tensor)


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_every_type_of_numbers(kind: str, zipped: bool, tmp_path: Path) -> None:
    dtype = getattr(torch, kind)
    if kind.startswith("float8"):
        tensor = torch.arange(256, dtype=torch.uint8).view(dtype)  # every number that there is
    elif dtype.is_complex:
        tensor = torch.randn(5, 2, dtype=torch.complex64).to(dtype)
    elif dtype.is_floating_point:
        tensor = torch.randn(5, 2).to(dtype)
    else:
        tensor = torch.randint(0, 2 if kind == "bool" else 100, (5, 2)).to(dtype)
    path = tmp_path / "weights.pth"
    torch.save(
        {"a": tensor, "turned": tensor.t() if tensor.dim() == 2 else tensor},
        path,
        _use_new_zipfile_serialization=zipped,
    )
    for name, array in read_file(path).arrays.items():
        same(array, tensor.t() if name == "turned" and tensor.dim() == 2 else tensor)


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_with_everything_that_programs_keep(zipped: bool, protocol: int, tmp_path: Path) -> None:
    wrapped = OrderedDict((f"module.{name}", tensor) for name, tensor in NETWORK.state_dict().items())
    content = {
        "epoch": 3,
        "long": 2**70,
        "architecture": "résumé",
        "rate": 1e-3,
        "best": float("nan"),
        "none": None,
        "flags": (True, False),
        "size": torch.Size([2, 3]),
        "dtype": torch.float16,
        "device": torch.device("cuda:1"),
        "set": {1, 2},
        "bytes": b"abc",
        "no_bytes": b"",
        "complex": 1j,
        "history": [[0.1, 0.2], {"val": 0.3}],
        "optimizer": torch.optim.Adam(NETWORK.parameters()).state_dict(),
        "state_dict": wrapped,
    }
    path = tmp_path / "checkpoint.pt"
    torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    found = read_file(path)
    assert list(found.arrays) == list(NETWORK.state_dict())
    assert found.notes[0].startswith("weights found under 'state_dict', beside epoch, long, architecture")
    assert found.notes[1] == "'module.' taken off every name"
    assert {t.shape for t in tinymed.load(path).values()} == {tuple(t.shape) for t in wrapped.values()}


def test_nested_twice(tmp_path: Path) -> None:
    torch.save({"model": {"net": {"_orig_mod.module.w": BASE}, "v": 1}, "model_ema": {"w": BASE}}, tmp_path / "a.pth")
    found = read_file(tmp_path / "a.pth")
    assert list(found.arrays) == ["w"]
    assert found.notes == [
        "weights found under 'model', beside model_ema",
        "weights found under 'net', beside v",
        "'_orig_mod.' taken off every name",
        "'module.' taken off every name",
    ]


class Own:
    """A class of somebody's program."""


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (NETWORK, "torch.nn.modules.container.Sequential"),
        ({"state_dict": NETWORK.state_dict(), "arguments": Own()}, "test_weights_pytorch.Own"),
        ({"w": np.ones(3)}, "numpy"),
        ({"w": torch.ones(2, 2).to_sparse()}, "torch._utils._rebuild_sparse_tensor"),
        ({"w": torch.ones(2, device="meta")}, "torch._utils._rebuild_meta_tensor_no_storage"),
        ([BASE], "holds a list"),
        (BASE, "holds a tensor"),
        ({"epoch": 3}, "no tensors by name, but epoch"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_is_refused_is_named(content: Any, told: str, tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save(content, path)
    with pytest.raises(UserError) as refused:
        tinymed.load(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert told in str(refused.value)
    assert "Nothing of it was run" in str(refused.value)


def test_torchscript_is_refused(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "x.pt", "w") as file:
        for name in ("data.pkl", "code/__torch__.py", "constants.pkl"):
            file.writestr(f"x/{name}", b"\x80\x02}.")
    with pytest.raises(UserError, match="TorchScript program; save its state_dict"):
        read_file(tmp_path / "x.pt")


def test_a_big_endian_file(tmp_path: Path) -> None:
    """As a machine of the other order writes it: the same entries, bytes turned."""
    import zipfile

    torch.save({"a": BASE, "b": torch.tensor([1, 2], dtype=torch.int16)}, tmp_path / "little.pth")
    with zipfile.ZipFile(tmp_path / "little.pth") as old, zipfile.ZipFile(tmp_path / "big.pth", "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("/byteorder"):
                content = b"big"
            if "/data/" in name:
                content = np.frombuffer(content, "<f4" if len(content) == 96 else "<i2").byteswap().tobytes()
            new.writestr(name, content)
    found = read_file(tmp_path / "big.pth").arrays
    same(found["a"], BASE)
    assert found["b"].tolist() == [1, 2]


class TestNames:
    def test_a_prefix_is_taken_off_or_put_on(self) -> None:
        own = {"conv.weight": (2, 3), "fc.weight": (5, 2)}
        state = {"net.backbone.conv.weight": np.ones((2, 3)), "net.backbone.fc.weight": np.ones((7, 2))}
        renamed, note = aligned(own, state)
        assert sorted(renamed) == ["conv.weight", "fc.weight"]
        assert note == "'net.backbone.' taken off 2 names"
        inner = {"encoder.conv.weight": (2, 3), "head.weight": (1, 1)}
        renamed, note = aligned(inner, {"conv.weight": np.ones((2, 3)), "fc.weight": np.ones((5, 2))})
        assert "encoder.conv.weight" in renamed
        assert note == "'encoder.' put before 2 names"

    def test_names_that_fit_stay(self) -> None:
        model = models.create("lenet5_modern")
        own = {name: t.shape for name, t in model.state_dict().items()}
        state = {name: np.zeros(shape) for name, shape in own.items()}
        assert aligned(own, state) == (state, "")
        assert aligned(own, {"other.weight": np.zeros(3)})[1] == ""

    def test_what_is_of_imagenet(self) -> None:
        assert imagenet_classifier({"fc.weight": np.zeros((1000, 3)), "fc.bias": np.zeros(1000)})
        assert not imagenet_classifier({"fc.weight": np.zeros((10, 1000)), "bias": np.zeros(1000)})


def test_a_linear_layer_learns_on_alike(tmp_path: Path) -> None:
    """Loaded weights give PyTorch's gradients."""
    twin = torch.nn.Linear(3, 2).double()
    torch.save(twin.state_dict(), tmp_path / "a.pth")
    layer = nn.Linear(3, 2).double()
    layer.load_state_dict(tinymed.load(tmp_path / "a.pth"))
    x = np.random.default_rng(0).normal(size=(4, 3))
    layer(tinymed.Tensor(x)).square().sum().backward()
    twin(torch.tensor(x)).square().sum().backward()
    np.testing.assert_allclose(layer.weight.grad.numpy(), twin.weight.grad.numpy(), rtol=1e-12)
