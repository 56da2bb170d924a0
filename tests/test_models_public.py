"""Networks whose weights are published: names and shapes are the public ones, numbers are PyTorch's, files load."""

import hashlib
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinymed
from tinymed import models, nn
from tinymed.errors import UserError
from tinymed.models.inverted_residual import DropPath, round_channels
from tinymed.nn.init import no_weights

torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")
import torch_classification as before  # noqa: E402
import torch_public as theirs  # noqa: E402
from beside_torch import beside_torch, seeded  # noqa: E402

# Of torchvision 0.29.1 and MONAI 1.6.1: how many tensors and parameters a state has, and SHA-256 of its "name shape"
# lines in order.
PUBLIC = json.loads((Path(__file__).parent / "data" / "public_names.json").read_text())
OPTIONS: dict[str, dict[str, Any]] = {"unet_monai_plain": {"num_res_units": 0}}


def made(name: str) -> Any:
    """The network as it is published, without memory for its weights."""
    with no_weights():
        return models.create("unet_monai" if name == "unet_monai_plain" else name, **OPTIONS.get(name, {}))


def listing(state: Any) -> str:
    return "".join(f"{name} {list(value.shape)}\n" for name, value in state.items())


@pytest.mark.parametrize("name", PUBLIC)
def test_names_shapes_and_order_are_the_public_ones(name: str) -> None:
    model = made(name)
    state = model.state_dict()
    row = {"tensors": len(state), "parameters": models.count_parameters(model)}
    assert row | {"sha256": hashlib.sha256(listing(state).encode()).hexdigest()} == PUBLIC[name]


def published(name: str) -> Any:
    """The packages' own network, without memory."""
    with torch.device("meta"):
        if not name.startswith("unet"):
            return getattr(importlib.import_module("torchvision.models"), name)()
        axes = 3 if name.endswith("3d") else 2
        more = {"num_res_units": 0 if name.endswith("plain") else 2, "norm": "batch" if axes == 3 else "instance"}
        sizes = {"channels": (16, 32, 64, 128, 256), "strides": (2, 2, 2, 2), "in_channels": 1, "out_channels": 2}
        return importlib.import_module("monai.networks.nets").UNet(spatial_dims=axes, **sizes, **more)


@pytest.mark.full
@pytest.mark.parametrize("name", PUBLIC)
def test_the_list_is_that_of_the_packages(name: str) -> None:
    pytest.importorskip("monai" if name.startswith("unet") else "torchvision", reason="pip install '.[networks]'")
    assert listing(made(name).state_dict()) == listing(published(name).state_dict())


S = 1 / 16
SMALL = {"num_classes": 3, "dropout": 0.0}
LEVELS = {"channels": (4, 6, 8), "strides": (2, 2), "num_classes": 3}
CASES: dict[str, tuple[str, dict[str, Any], Any, tuple[int, ...]]] = {
    "resnet18": ("resnet18", {"width": S, "num_classes": 3}, lambda: theirs.resnet(18, (4, 8, 16, 32), 3), (3, 33, 40)),
    "resnet34": ("resnet34", {"width": S, "num_classes": 3}, lambda: theirs.resnet(34, (4, 8, 16, 32), 3), (3, 32, 32)),
    "resnet101": (
        "resnet101",
        {"width": S / 2, "num_classes": 3},
        lambda: theirs.resnet(101, (2, 4, 8, 16), 3),
        (3, 32, 32),
    ),
    "densenet169": (
        "densenet169",
        SMALL | {"width": S},
        lambda: theirs.densenet((6, 12, 32, 32), 2, 3),
        (3, 32, 38),
    ),
    "vgg11": ("vgg11", SMALL | {"width": S / 2}, lambda: before.vgg(A, widths(S / 2), 3, False), (3, 32, 37)),
    "vgg13_bn": ("vgg13_bn", SMALL | {"width": S / 2}, lambda: before.vgg(B, widths(S / 2), 3, True), (3, 64, 64)),
    "mobilenet_v2": ("mobilenet_v2", SMALL | {"width": 0.3}, lambda: theirs.mobilenet_v2(0.3, 3), (3, 45, 64)),
    "mobilenet_v3_large": (
        "mobilenet_v3_large",
        SMALL | {"width": 0.3},
        lambda: theirs.mobilenet_v3("large", 0.3, 3),
        (3, 64, 51),
    ),
    "mobilenet_v3_small": (
        "mobilenet_v3_small",
        SMALL | {"width": 0.3},
        lambda: theirs.mobilenet_v3("small", 0.3, 3),
        (3, 48, 64),
    ),
    "efficientnet_b0": (
        "efficientnet_b0",
        SMALL | {"width": 0.3, "drop_path": 0.0},
        lambda: theirs.efficientnet_b0(0.3, 3),
        (3, 64, 49),
    ),
    "unet_monai": (
        "unet_monai",
        LEVELS,
        lambda: theirs.unet_monai(2, "instance", (4, 6, 8), (2, 2), 2, 3),
        (1, 16, 24),
    ),
    "unet_monai_plain": (
        "unet_monai",
        LEVELS | {"num_res_units": 0},
        lambda: theirs.unet_monai(2, "instance", (4, 6, 8), (2, 2), 0, 3),
        (1, 20, 16),
    ),
    "unet_monai_strides": (
        "unet_monai",
        LEVELS | {"strides": (1, 2), "num_res_units": 3, "norm": "batch"},
        lambda: theirs.unet_monai(2, "batch", (4, 6, 8), (1, 2), 3, 3),
        (1, 10, 8),
    ),
    "unet_monai_3d": (
        "unet_monai_3d",
        LEVELS,
        lambda: theirs.unet_monai(3, "batch", (4, 6, 8), (2, 2), 2, 3),
        (1, 8, 12, 8),
    ),
}
A = (64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0)
B = (64, 64, 0, 128, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0)
LARGE, WHOLE = (3, 64, 64), (3, 224, 224)
FULL: dict[str, tuple[str, dict[str, Any], Any, tuple[int, ...]]] = {
    "resnet152": (
        "resnet152",
        {"width": S, "num_classes": 3},
        lambda: theirs.resnet(152, (4, 8, 16, 32), 3),
        (3, 64, 64),
    ),
    "densenet161": (
        "densenet161",
        SMALL | {"width": 1 / 12},
        lambda: theirs.densenet((6, 12, 36, 24), 4, 3),
        (3, 64, 64),
    ),
    "densenet201": ("densenet201", SMALL | {"width": S}, lambda: theirs.densenet((6, 12, 48, 32), 2, 3), (3, 64, 64)),
    "mobilenet_v2": ("mobilenet_v2", {"dropout": 0.0}, lambda: theirs.mobilenet_v2(1, 1000), (3, 224, 224)),
    "mobilenet_v3": (
        "mobilenet_v3_small",
        {"dropout": 0.0},
        lambda: theirs.mobilenet_v3("small", 1, 1000),
        (3, 224, 224),
    ),
    "efficientnet_b0": (
        "efficientnet_b0",
        {"dropout": 0.0, "drop_path": 0.0},
        lambda: theirs.efficientnet_b0(1, 1000),
        (3, 224, 224),
    ),
}


def widths(width: float) -> Any:
    return lambda c: max(2, int(2 * np.round(c * width / 2)))


@pytest.mark.parametrize("case", CASES)
def test_outputs_and_gradients_are_torchs(case: str) -> None:
    name, options, twin, image = CASES[case]
    beside_torch(seeded(lambda: models.create(name, **options)), twin(), [image])


@pytest.mark.full
@pytest.mark.parametrize("case", FULL)
def test_outputs_and_gradients_are_torchs_at_full_size(case: str) -> None:
    name, options, twin, image = FULL[case]
    beside_torch(seeded(lambda: models.create(name, **options)), twin(), [image])


@pytest.mark.parametrize(
    ("case", "zipped"),
    [  # the older form of the file holds the same pickle
        *[(case, True) for case in ("resnet18", "densenet169", "mobilenet_v3_small", "efficientnet_b0", "unet_monai")],
        ("resnet18", False),
        *[pytest.param(c, False, marks=pytest.mark.full) for c in ("densenet169", "mobilenet_v3_small", "unet_monai")],
    ],
)
def test_a_file_of_torch_loads_and_evaluates_equally(case: str, zipped: bool, tmp_path: Path) -> None:
    """Seeded weights through torch.save, in evaluation mode: with the running statistics of the file."""
    name, options, twin, image = CASES[case]
    torch.manual_seed(3)
    network = twin().double().train()
    network(torch.randn(4, *image, dtype=torch.float64))  # moves the running statistics
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": network.state_dict()}, path, _use_new_zipfile_serialization=zipped)
    model = models.create(name, **options).double()
    model.load_state_dict(tinymed.load(path))
    images = torch.randn(2, *image, dtype=torch.float64)
    with tinymed.use_backend("numpy"), tinymed.no_grad():
        found = model.eval()(tinymed.Tensor(images.numpy())).numpy()
    wanted = network.eval()(images).detach().numpy()
    assert np.abs(found - wanted).max() <= 1e-8 * np.abs(wanted).max()


def test_the_names_of_2017_become_those_of_today() -> None:
    """Files that torchvision published for DenseNets have a point that today's names lack."""
    model = models.create("densenet121", width=1 / 16, num_classes=3)
    state = model.state_dict()
    old = {
        name.replace("norm1", "norm.1").replace("norm2", "norm.2").replace("conv1", "conv.1").replace("conv2", "conv.2")
        for name in state
    }
    assert len(old - set(state)) > 500
    assert set(model.adapted_state(dict.fromkeys(old))) == set(state)


def test_channels_are_rounded_to_eights() -> None:
    assert [round_channels(c) for c in (1, 12, 19, 20, 72 // 4, 960 // 4)] == [8, 16, 24, 24, 24, 240]
    with pytest.raises(UserError, match="positive, got 0"):
        models.create("mobilenet_v2", width=0)


def test_drop_path_leaves_images_out_and_keeps_the_mean() -> None:
    tinymed.manual_seed(0)
    layer, x = DropPath(0.25), tinymed.ones(4000, 1, 2, 2)
    with tinymed.use_backend("numpy"):
        y = layer.train()(x).numpy()
    assert set(np.unique(y).round(4)) == {0, np.float32(4 / 3).round(4)}
    assert (y == y[:, :, :1, :1]).all()  # whole images
    assert abs(y.mean() - 1) < 0.03
    assert layer.eval()(x) is x


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("unet_monai", {"channels": (4, 8)}, "one fewer than channels"),
        ("unet_monai", {"kernel_size": 2}, "odd"),
        ("unet_monai", {"norm": "layer"}, "instance, batch"),
        ("unet_monai", {"axes": 4}, "2, 3"),
    ],
)
def test_wrong_options(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        models.create(name, **options)


def test_a_side_that_the_strides_do_not_divide() -> None:
    network = models.create("unet_monai", channels=(2, 4, 8), strides=(2, 2))
    for sides in ((16, 18), (4, 4)):
        with pytest.raises(ValueError, match=r"multiples of 4, the longest at least 8, got \[\d+, \d+\]"):
            network(tinymed.zeros(1, 1, *sides))
    assert network(tinymed.zeros(1, 1, 4, 8)).shape == (1, 2, 4, 8)
    batch = models.create("unet_monai", channels=(2, 4, 8), strides=(2, 2), norm="batch").eval()
    assert batch(tinymed.zeros(1, 1, 4, 4)).shape == (1, 2, 4, 4)


def test_a_momentum_is_passed_on() -> None:
    for name in ("resnet18", "densenet201", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0"):
        with no_weights():
            model = models.create(name, bn_momentum=0.3, statistics="torch", width=0.1)
        norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
        assert {(m.momentum, m.statistics) for m in norms} == {(0.3, "torch")}
