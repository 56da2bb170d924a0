"""The networks of attention: counts of the authors' code, and outputs and gradients of a PyTorch composition."""

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")

import torch_attention as theirs
from test_models_segmentation import beside_torch

import tinymed
from tinymed import models
from tinymed.errors import UserError
from tinymed.nn.axial import AxialAttention
from tinymed.nn.init import no_weights

CASES: dict[str, tuple[str, dict[str, Any], Callable[[], Any], list[tuple[int, ...]]]] = {
    "axial_unet": ("axial_unet", {"size": 32}, lambda: theirs.AxialUNet(2, 3, 32, 16, "plain"), [(3, 32, 32)]),
    "gated_axial_unet": (
        "gated_axial_unet",
        {"size": 32, "in_channels": 1},
        lambda: theirs.AxialUNet(2, 1, 32, 16, "gated"),
        [(1, 32, 32)],
    ),
    "transunet_tiny": (
        "transunet_tiny",
        {"size": 48, "dropout": 0.0},
        lambda: theirs.TransUNet(2, 3, 48, 8, (1, 1, 2), 64, 2, 4, (32, 16, 8, 8)),
        [(3, 48, 48)],
    ),
}
LARGE: dict[str, tuple[str, dict[str, Any], Callable[[], Any], list[tuple[int, ...]]]] = {
    "medt": ("medt", {}, lambda: theirs.MedT(2, 3, 128, 16, "gated", "none"), [(3, 128, 128)]),
    "logo": ("logo", {}, lambda: theirs.MedT(2, 3, 128, 16, "plain", "plain"), [(3, 128, 128)]),
}


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("medt", {}, 1_560_140),
        ("medt", {"size": 256}, 1_564_236),
        ("logo", {}, 1_529_532),
        ("gated_axial_unet", {}, 1_326_914),
        ("axial_unet", {}, 1_326_850),
        ("transunet", {}, 105_277_081),
    ],
)
def test_parameters(name: str, options: dict[str, Any], parameters: int) -> None:
    with no_weights():
        assert models.count_parameters(models.create(name, **options)) == parameters


def test_parts_of_transunet() -> None:
    with no_weights():
        model = models.create("transunet")
    parts = {"trunk": 11_894_848, "embed": 787_200, "encoder": 85_056_000, "head": 1_305}
    assert {part: models.count_parameters(getattr(model, part)) for part in parts} == parts
    assert models.count_parameters(model.begin) + models.count_parameters(model.join) == 7_387_200


@pytest.mark.parametrize(("name", "gates"), [("medt", 24), ("gated_axial_unet", 64)])
def test_gates_can_be_kept(name: str, gates: int) -> None:
    with no_weights():
        free, kept = (models.create(name, learn_gates=learn) for learn in (True, False))
    frozen = [n for n, p in kept.named_parameters() if not p.requires_grad]
    assert len(frozen) == gates
    assert all("gate_" in n for n in frozen)
    assert all(p.requires_grad for p in free.parameters())


@pytest.mark.parametrize("case", CASES)
def test_outputs_and_gradients_are_torchs(case: str) -> None:
    name, options, twin, inputs = CASES[case]
    beside_torch(name, options, twin(), inputs, 2)


@pytest.mark.full
@pytest.mark.parametrize("case", LARGE)
def test_outputs_and_gradients_of_patches_are_torchs(case: str) -> None:
    name, options, twin, inputs = LARGE[case]
    beside_torch(name, options, twin(), inputs, 1)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("medt", {"size": 64}, "multiple of 128"),
        ("axial_unet", {"size": 40}, "multiple of 32"),
        ("gated_axial_unet", {"width": 8}, "multiple of 16"),
        ("transunet", {"size": 100}, "multiple of 16"),
    ],
)
def test_wrong_options(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        models.create(name, **options)


def test_an_image_of_another_size_is_refused() -> None:
    model = models.create("transunet_tiny", size=32)
    with pytest.raises(ValueError, match="make it with another size"):
        model(tinymed.zeros(1, 3, 48, 48))
    with pytest.raises(ValueError, match="AxialAttention"):
        AxialAttention(16, 8, 2)(tinymed.zeros(1, 16, 4, 4))
