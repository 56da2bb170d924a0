"""Initial values: distributions against PyTorch's, and what seeds and layouts decide."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from fake_cupy import reading_allowed

import tinymed
from tinymed import Tensor, models, nn, random
from tinymed.nn import init, init_default
from tinymed.nn.module import new_parameter
from tinymed.ops import filling


class TestInit:
    def moments(self, fill: Any, *args: Any, shape: tuple[int, ...] = (400, 300), **kwargs: Any) -> np.ndarray:
        tinymed.manual_seed(1)
        return fill(nn.Parameter(np.zeros(shape)), *args, **kwargs).array

    @pytest.mark.parametrize(
        ("name", "kwargs"),
        [
            ("kaiming_uniform_", {}),
            ("kaiming_uniform_", {"a": 5**0.5}),
            ("kaiming_normal_", {"mode": "fan_out", "nonlinearity": "relu"}),
            ("xavier_uniform_", {"gain": 2.0}),
            ("xavier_normal_", {}),
            ("normal_", {"mean": 1.0, "std": 0.3}),
            ("uniform_", {"a": -3.0, "b": 1.0}),
            ("trunc_normal_", {"std": 2.0, "a": -1.0, "b": 3.0}),
        ],
    )
    @pytest.mark.parametrize("shape", [(400, 300), (40, 30, 10, 10)])
    def test_distribution_is_torchs(self, name: str, kwargs: dict[str, Any], shape: tuple[int, ...]) -> None:
        from scipy.stats import ks_2samp

        ours = self.moments(getattr(init, name), shape=shape, **kwargs)
        torch.manual_seed(0)
        theirs = getattr(torch.nn.init, name)(torch.zeros(shape, dtype=torch.float64), **kwargs).numpy()
        assert ks_2samp(ours.ravel(), theirs.ravel()).pvalue > 1e-3

    @pytest.mark.parametrize("name", ["Linear", "Conv2d", "ConvTranspose2d"])
    def test_default_of_layers_is_torchs(self, name: str) -> None:
        args = (300, 200) if name == "Linear" else (40, 60, 3)
        ours, theirs = getattr(nn, name)(*args), getattr(torch.nn, name)(*args)
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            bound = float(q.detach().abs().max())
            assert abs(float(np.abs(p.array).max()) / bound - 1) < 0.05
            np.testing.assert_allclose(p.array.std(), q.detach().numpy().std(), rtol=0.12)

    def test_lecun(self) -> None:
        np.testing.assert_allclose(self.moments(init.lecun_normal_).std(), 300**-0.5, rtol=0.01)
        np.testing.assert_allclose(np.abs(self.moments(init.lecun_uniform_)).max(), (3 / 300) ** 0.5, rtol=0.01)

    @pytest.mark.parametrize("shape", [(5, 9), (9, 5), (8, 4, 3, 3), (6, 6)])
    def test_orthogonal(self, shape: tuple[int, ...]) -> None:
        a = self.moments(init.orthogonal_, 2.0, shape=shape).reshape(shape[0], -1)
        gram = a @ a.T if a.shape[0] <= a.shape[1] else a.T @ a
        np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-12)

    @pytest.mark.parametrize("factor", [2, 3, 4])
    def test_bilinear_upsamples(self, factor: int, rng: np.random.Generator) -> None:
        k = 2 * factor - factor % 2
        layer = nn.ConvTranspose2d(3, 3, k, factor, (k - factor) // 2, bias=False).double()
        init.bilinear_(layer.weight)
        x = rng.normal(size=(1, 3, 6, 5))
        y = layer(Tensor(x), output_size=(6 * factor, 5 * factor)).array
        true = torch.nn.functional.interpolate(torch.tensor(x), scale_factor=factor, mode="bilinear").numpy()
        inner = slice(factor, -factor)  # at the edge a transposed convolution fades to 0
        np.testing.assert_allclose(y[:, :, inner, inner], true[:, :, inner, inner], atol=1e-12)

    @pytest.mark.parametrize("name", ["linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"])
    def test_gain(self, name: str) -> None:
        assert init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name), rel=1e-15)

    def test_seed_decides_and_layout_does_not(self) -> None:
        tinymed.manual_seed(5)
        a = nn.Conv2d(3, 4, 3).weight.array
        tinymed.manual_seed(5)
        b = init.kaiming_uniform_(nn.Parameter(np.zeros((4, 3, 3, 3), np.float32)), a=5**0.5).array
        c = init.kaiming_uniform_(nn.Parameter(np.zeros((4, 3, 3, 3), np.float32)), a=5**0.5).array
        np.testing.assert_array_equal(a, b)
        assert (a != c).any()

    def test_errors(self) -> None:
        p = nn.Parameter(np.zeros(3))
        for fill in (init.xavier_uniform_, init.kaiming_normal_, init.orthogonal_, init.bilinear_):
            with pytest.raises(ValueError, match="axes"):
                fill(p)
        with pytest.raises(ValueError, match="too far"):
            init.trunc_normal_(p, mean=50.0)
        with pytest.raises(ValueError, match="fan_in"):
            init.kaiming_normal_(nn.Parameter(np.zeros((2, 2))), mode="in")
        with pytest.raises(ValueError, match="calculate_gain"):
            init.calculate_gain("relu7")


# ------------------------------------------------------------------------------------------------------ large weights


def drawn(name: str, shape: tuple[int, ...], kind: str = "plain", **parameters: float) -> np.ndarray:
    tinymed.manual_seed(5)
    weight = new_parameter(*shape, kind=kind)
    return getattr(init, name)(weight, **parameters).array.copy(order="K")


LARGE = [((1000, 525), "plain"), ((131, 65, 8, 8), "filter"), ((3, 200_001), "plain"), (((1 << 20) + 3,), "plain")]


@pytest.fixture
def only_numpy(monkeypatch):
    """Draw by NumPy's definitions, whatever the size."""

    def switch() -> None:
        monkeypatch.setattr(filling, "loaded", None)
        monkeypatch.setattr(filling, "LARGE", 1 << 40)

    return switch


@pytest.mark.parametrize(("shape", "kind"), LARGE)
def test_large_weights_have_the_bits_of_the_definition(shape, kind, only_numpy):
    """Compiled loops draw them, straight to their place or piece by piece."""
    uniform = drawn("uniform_", shape, kind, a=-0.3, b=0.7)
    normal = drawn("normal_", shape, kind, mean=0.1, std=2.0)
    assert filling.loaded is not None
    only_numpy()
    assert np.array_equal(uniform, drawn("uniform_", shape, kind, a=-0.3, b=0.7))
    assert np.array_equal(normal, drawn("normal_", shape, kind, mean=0.1, std=2.0))
    assert filling.loaded is None
    assert uniform.strides == normal.strides == new_parameter(*shape, kind=kind).array.strides


@pytest.mark.parametrize("kind", ["plain", "filter"])
def test_pieces_do_not_show(kind, monkeypatch):
    whole = drawn("normal_", (700, 7, 11, 10), kind)
    monkeypatch.setattr(filling, "PIECE", 10_001)
    assert np.array_equal(whole, drawn("normal_", (700, 7, 11, 10), kind))


def test_small_weights_load_no_compiler():
    """A small network is made by NumPy alone, in the bits of one that is made after a large one."""
    script = """
import sys, tinymed, hashlib
from tinymed import models
tinymed.manual_seed(3)
state = models.create("resnet20").state_dict()
assert "numba" not in sys.modules
print(hashlib.sha256(b"".join(v.array.tobytes() for v in state.values())).hexdigest())
"""
    found = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()
        for script in (script, script.replace("tinymed.manual_seed", LOADED).replace("assert", "# assert"))
    ]
    assert found[0] == found[1]


LOADED = """
from tinymed.cpu.simd import draws
from tinymed.ops import filling
filling.loaded = draws
tinymed.manual_seed"""


def test_weights_have_the_same_bits_on_every_backend(backend_name):
    def made() -> list[np.ndarray]:
        tinymed.manual_seed(9)
        return [p.array for p in models.create("lenet5").parameters()] + [drawn("normal_", (800, 700))]

    found = made()
    with tinymed.use_backend("numba"):
        expected = made()
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_weights_of_a_gpu_have_the_bits_of_the_cpu(cuda):
    host = drawn("normal_", (300, 20, 3, 3), "filter")
    tinymed.manual_seed(5)
    there = new_parameter(300, 20, 3, 3, kind="filter").to("cuda")
    init.normal_(there)
    assert there.device == "cuda"
    with reading_allowed():
        assert np.array_equal(host, there.to("cpu").array)


def test_methods_of_tensors_draw_the_same_numbers():
    tinymed.manual_seed(5)
    assert np.array_equal(tinymed.zeros(40, 30).normal_(0.5, 2).array, drawn("normal_", (40, 30), mean=0.5, std=2))
    tinymed.manual_seed(5)
    assert np.array_equal(tinymed.zeros(40, 30).uniform_(-1, 2).array, drawn("uniform_", (40, 30), a=-1, b=2))


class TestDrawnOnce:
    """Default weights that a network replaces are not drawn; all others are those of a network built outside."""

    @staticmethod
    def built(replaced: bool) -> nn.Module:
        tinymed.manual_seed(1)
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(4, 5), nn.ConvTranspose2d(4, 2, 2, bias=False))
        if replaced:
            init.normal_(model[1].weight)
        return model

    @pytest.mark.parametrize("replaced", [False, True])
    def test_the_weights_are_the_same(self, replaced):
        outside = self.built(replaced).state_dict()
        with init_default.drawn_once():
            model = self.built(replaced)
        assert all(np.array_equal(v.array, outside[k].array) for k, v in model.state_dict().items())
        assert np.array_equal(random.init_generator.get_state(), self.state_after(replaced))

    def state_after(self, replaced: bool) -> np.ndarray:
        self.built(replaced)
        return random.init_generator.get_state()

    def test_what_is_written_through_other_memory_stays(self):
        with init_default.drawn_once():
            layer = nn.Linear(3, 2)
            layer.weight.array[...] = 7
        assert np.all(layer.weight.array == 7)

    def test_a_network_that_copies_default_weights_is_built_as_outside(self):
        def build() -> nn.Module:
            layer = nn.TransformerEncoderLayer(8, 2, 16)
            return nn.Sequential(nn.Linear(8, 8), nn.TransformerEncoder(layer, 2))

        tinymed.manual_seed(2)
        outside = build().state_dict()
        tinymed.manual_seed(2)
        inside = init_default.build_drawn_once(build).state_dict()
        assert all(np.array_equal(inside[name].array, value.array) for name, value in outside.items())

    def test_a_replaced_weight_is_not_drawn(self, monkeypatch):
        drawn = []
        monkeypatch.setattr(init_default, "kaiming_uniform_", lambda weight, **_: drawn.append(weight.shape))
        with init_default.drawn_once():
            self.built(True)
        assert drawn == [(4, 3, 3, 3), (4, 2, 2, 2)]
