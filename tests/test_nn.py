"""Layers, losses and blocks against PyTorch's with the same state: forward and all gradients."""

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch

import tinymed
from tinymed import Tensor, nn
from tinymed.nn import init


def values(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers that are distinct and off the kinks at 0, +-1, 3 and 6."""
    size = math.prod(shape)
    return ((rng.permutation(size) + 0.5) / max(size, 1) * 7.3 - 3.17).reshape(shape)


def same_state(ours: nn.Module, theirs: torch.nn.Module) -> None:
    """Copy PyTorch's state over, in float64."""
    theirs.double()
    result = ours.double().load_state_dict(theirs.state_dict())
    assert len(result.loaded) == len(theirs.state_dict())


def compare(
    ours: nn.Module, theirs: torch.nn.Module, *inputs: np.ndarray, rng: np.random.Generator, tol: float = 1e-10
) -> None:
    """Forward, and gradients of inputs and parameters under a random cotangent."""
    a = [Tensor(x.copy(), x.dtype.kind == "f") for x in inputs]
    b = [torch.tensor(x, requires_grad=x.dtype.kind == "f") for x in inputs]
    y, z = ours(*a), theirs(*b)
    assert y.shape == tuple(z.shape)
    close(y.array, z.detach().numpy(), tol, "output")
    dy = rng.normal(size=y.shape)
    y.backward(Tensor(dy))
    z.backward(torch.tensor(dy))
    for i, (p, q) in enumerate(zip(a, b, strict=True)):
        if p.requires_grad:
            close(p.grad.array, q.grad.numpy(), tol, f"gradient of input {i}")
    mine = dict(ours.named_parameters())
    for name, q in theirs.named_parameters():
        close(mine[name].grad.array, q.grad.numpy(), tol, f"gradient of {name}")
    state = ours.state_dict()
    for name, t in theirs.state_dict().items():
        close(state[name].array, t.numpy(), tol, name)


def close(x: Any, y: Any, tol: float, what: str) -> None:
    assert x.shape == y.shape, what
    scale = max(float(np.abs(y).max(initial=0)), 1.0)
    assert float(np.abs(x - y).max(initial=0)) <= tol * scale, what


LAYERS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "Linear": (lambda n: n.Linear(7, 5), (3, 7)),
    "Linear without bias": (lambda n: n.Linear(7, 5, bias=False), (2, 3, 7)),
    "Conv1d": (lambda n: n.Conv1d(4, 6, 3, stride=2, padding=1, groups=2), (2, 4, 11)),
    "Conv1d circular": (lambda n: n.Conv1d(2, 3, 4, padding="same", padding_mode="circular"), (2, 2, 9)),
    "Conv2d": (lambda n: n.Conv2d(3, 8, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2)), (2, 3, 9, 8)),
    "Conv2d same": (lambda n: n.Conv2d(3, 4, 4, padding="same", dilation=2, bias=False), (2, 3, 9, 8)),
    "Conv2d valid": (lambda n: n.Conv2d(3, 4, 3, padding="valid"), (2, 3, 7, 5)),
    "Conv2d reflect": (lambda n: n.Conv2d(3, 4, 3, padding=(2, 1), padding_mode="reflect"), (2, 3, 7, 5)),
    "Conv2d replicate same": (lambda n: n.Conv2d(3, 4, (4, 3), padding="same", padding_mode="replicate"), (2, 3, 7, 5)),
    "Conv2d depthwise": (lambda n: n.Conv2d(4, 8, 3, groups=4, padding=1), (2, 4, 6, 6)),
    "Conv3d": (lambda n: n.Conv3d(2, 3, 3, padding=1, stride=2), (2, 2, 5, 6, 4)),
    "ConvTranspose1d": (lambda n: n.ConvTranspose1d(3, 4, 3, stride=2, output_padding=1), (2, 3, 5)),
    "ConvTranspose2d": (lambda n: n.ConvTranspose2d(4, 6, 3, stride=2, padding=1, groups=2, dilation=2), (2, 4, 5, 4)),
    "ConvTranspose3d": (lambda n: n.ConvTranspose3d(2, 3, 2, stride=2), (1, 2, 3, 2, 4)),
    "LayerNorm": (lambda n: n.LayerNorm((5, 4)), (3, 2, 5, 4)),
    "GroupNorm": (lambda n: n.GroupNorm(3, 6, eps=1e-3), (2, 6, 4, 3)),
    "InstanceNorm1d": (lambda n: n.InstanceNorm1d(3), (2, 3, 7)),
    "InstanceNorm2d": (lambda n: n.InstanceNorm2d(3, affine=True, track_running_stats=True), (2, 3, 5, 4)),
    "InstanceNorm3d": (lambda n: n.InstanceNorm3d(3, affine=True), (2, 3, 3, 2, 4)),
    "MaxPool1d": (lambda n: n.MaxPool1d(3, 2, ceil_mode=True), (2, 3, 10)),
    "MaxPool2d": (lambda n: n.MaxPool2d(3, 2, 1), (2, 3, 8, 7)),
    "MaxPool3d": (lambda n: n.MaxPool3d(2), (1, 2, 5, 4, 6)),
    "AvgPool1d": (lambda n: n.AvgPool1d(3, padding=1), (2, 3, 10)),
    "AvgPool2d": (lambda n: n.AvgPool2d(3, 2, 1, count_include_pad=False, ceil_mode=True), (2, 3, 8, 7)),
    "AvgPool3d": (lambda n: n.AvgPool3d(2), (1, 2, 5, 4, 6)),
    "AdaptiveAvgPool1d": (lambda n: n.AdaptiveAvgPool1d(3), (2, 3, 10)),
    "AdaptiveAvgPool2d": (lambda n: n.AdaptiveAvgPool2d((3, None)), (2, 3, 8, 7)),
    "AdaptiveAvgPool3d": (lambda n: n.AdaptiveAvgPool3d(1), (2, 3, 4, 3, 2)),
    "AdaptiveMaxPool1d": (lambda n: n.AdaptiveMaxPool1d(4), (2, 3, 10)),
    "AdaptiveMaxPool2d": (lambda n: n.AdaptiveMaxPool2d(3), (2, 3, 8, 7)),
    "AdaptiveMaxPool3d": (lambda n: n.AdaptiveMaxPool3d(2), (2, 3, 4, 3, 2)),
    "Flatten": (lambda n: n.Flatten(1, 2), (2, 3, 4, 5)),
    "Unflatten": (lambda n: n.Unflatten(1, (2, 3)), (4, 6, 2)),
    "Identity": (lambda n: n.Identity(3, unused=True), (2, 3)),
    "ZeroPad2d": (lambda n: n.ZeroPad2d((1, 2, 0, 3)), (2, 3, 4, 5)),
    "ConstantPad2d": (lambda n: n.ConstantPad2d(1, 0.7), (2, 3, 4, 5)),
    "ReflectionPad2d": (lambda n: n.ReflectionPad2d((1, 2, 3, 0)), (2, 3, 4, 5)),
    "ReplicationPad2d": (lambda n: n.ReplicationPad2d(2), (2, 3, 4, 5)),
    "Upsample nearest": (lambda n: n.Upsample(scale_factor=2), (2, 3, 4, 5)),
    "Upsample bilinear": (lambda n: n.Upsample((7, 9), mode="bilinear", align_corners=True), (2, 3, 4, 5)),
    "Softmax": (lambda n: n.Softmax(dim=1), (2, 5, 3)),
    "LogSoftmax": (lambda n: n.LogSoftmax(dim=-1), (2, 5)),
    "ReLU": (lambda n: n.ReLU(inplace=False), (3, 11)),
    "ReLU6": (lambda n: n.ReLU6(), (3, 11)),
    "LeakyReLU": (lambda n: n.LeakyReLU(0.2), (3, 11)),
    "PReLU": (lambda n: n.PReLU(4), (3, 4, 5)),
    "ELU": (lambda n: n.ELU(0.7), (3, 11)),
    "CELU": (lambda n: n.CELU(alpha=0.5), (3, 11)),
    "SELU": (lambda n: n.SELU(), (3, 11)),
    "GELU": (lambda n: n.GELU(), (3, 11)),
    "GELU tanh": (lambda n: n.GELU(approximate="tanh"), (3, 11)),
    "SiLU": (lambda n: n.SiLU(), (3, 11)),
    "Mish": (lambda n: n.Mish(), (3, 11)),
    "Sigmoid": (lambda n: n.Sigmoid(), (3, 11)),
    "LogSigmoid": (lambda n: n.LogSigmoid(), (3, 11)),
    "Tanh": (lambda n: n.Tanh(), (3, 11)),
    "Hardtanh": (lambda n: n.Hardtanh(-0.5, 2.0), (3, 11)),
    "Hardsigmoid": (lambda n: n.Hardsigmoid(), (3, 11)),
    "Hardswish": (lambda n: n.Hardswish(), (3, 11)),
    "Softplus": (lambda n: n.Softplus(2.0, 5.0), (3, 11)),
    "Softsign": (lambda n: n.Softsign(), (3, 11)),
    "RReLU in evaluation": (lambda n: n.RReLU(0.1, 0.3).eval(), (3, 11)),
    "Dropout in evaluation": (lambda n: n.Dropout(0.5).eval(), (3, 11)),
    "Sequential": (lambda n: n.Sequential(n.Conv2d(3, 4, 3), n.ReLU(), n.Flatten(), n.Linear(4 * 9, 2)), (2, 3, 5, 5)),
}


TOLERANCE = {"Hardsigmoid": 1e-7}  # PyTorch multiplies a float64 gradient by a float32 1/6


class TestLayersAgainstTorch:
    @pytest.mark.parametrize("name", LAYERS)
    def test_forward_and_gradients(self, name: str, rng: np.random.Generator) -> None:
        make, shape = LAYERS[name]
        ours, theirs = make(nn), make(torch.nn)
        same_state(ours, theirs)
        compare(ours, theirs, values(rng, shape), rng=rng, tol=TOLERANCE.get(name, 1e-10))

    def test_output_size_of_a_transposed_convolution(self, rng: np.random.Generator) -> None:
        ours, theirs = nn.ConvTranspose2d(2, 3, 3, stride=3), torch.nn.ConvTranspose2d(2, 3, 3, stride=3)
        same_state(ours, theirs)
        x = values(rng, (1, 2, 3, 4))
        y, z = ours(Tensor(x), output_size=(10, 13)), theirs(torch.tensor(x), output_size=(10, 13))
        close(y.array, z.detach().numpy(), 1e-12, "output")
        with pytest.raises(ValueError, match="not among 9 to 11"):
            ours(Tensor(x), output_size=(12, 13))

    def test_separable_convolution(self, rng: np.random.Generator) -> None:
        ours = nn.SeparableConv2d(3, 5, 3, padding=1, depth_multiplier=2)
        theirs = torch.nn.Sequential(
            torch.nn.Conv2d(3, 6, 3, padding=1, groups=3, bias=False), torch.nn.Conv2d(6, 5, 1)
        )
        theirs.double()
        ours.double().load_state_dict(
            {n.replace("0.", "depthwise.").replace("1.", "pointwise."): t for n, t in theirs.state_dict().items()}
        )
        x = values(rng, (2, 3, 6, 5))
        close(ours(Tensor(x)).array, theirs(torch.tensor(x)).detach().numpy(), 1e-12, "output")

    def test_softtanh_and_scaled_tanh(self, rng: np.random.Generator) -> None:
        x = values(rng, (3, 5))
        softplus = torch.nn.functional.softplus
        t = torch.tensor(x)
        close(
            nn.Softtanh(3.0)(Tensor(x)).array,
            ((softplus(3 * (t + 1)) - softplus(3 * (t - 1))) / 3 - 1).numpy(),
            1e-12,
            "y",
        )
        one = nn.ScaledTanh()(Tensor(np.array([1.0, -1.0]))).array
        np.testing.assert_allclose(one, [1, -1], atol=1e-4)  # the paper's reason for its constants


LOSSES: dict[str, Any] = {
    "CrossEntropyLoss": lambda n, w: n.CrossEntropyLoss(weight=w, label_smoothing=0.1, ignore_index=1),
    "CrossEntropyLoss sum": lambda n, w: n.CrossEntropyLoss(reduction="sum"),
    "NLLLoss": lambda n, w: n.NLLLoss(w),
    "BCEWithLogitsLoss": lambda n, w: n.BCEWithLogitsLoss(pos_weight=w),
    "BCELoss": lambda n, w: n.BCELoss(reduction="none"),
    "MSELoss": lambda n, w: n.MSELoss(),
    "L1Loss": lambda n, w: n.L1Loss(reduction="none"),
    "SmoothL1Loss": lambda n, w: n.SmoothL1Loss(beta=0.5),
    "HuberLoss": lambda n, w: n.HuberLoss(delta=0.5),
    "KLDivLoss": lambda n, w: n.KLDivLoss(reduction="sum"),
    "HingeEmbeddingLoss": lambda n, w: n.HingeEmbeddingLoss(margin=0.7),
}


class TestLossesAgainstTorch:
    @pytest.mark.parametrize("name", LOSSES)
    def test_value_and_gradient(self, name: str, rng: np.random.Generator) -> None:
        w = np.array([0.5, 2.0, 1.0, 0.3])
        ours = LOSSES[name](nn, Tensor(w))
        theirs = LOSSES[name](torch.nn, torch.tensor(w))
        x = rng.uniform(0.1, 0.9, (6, 4)) if "BCELoss" in name else values(rng, (6, 4))
        target: np.ndarray = rng.uniform(0.1, 0.9, (6, 4))
        if "Entropy" in name or "NLL" in name:
            target = np.array([0, 3, 1, 2, 2, 0])
        elif "Hinge" in name:
            target = np.where(target > 0.5, 1.0, -1.0)
        a, b = Tensor(x, True), torch.tensor(x, requires_grad=True)
        y, z = ours(a, Tensor(target)), theirs(b, torch.tensor(target))
        close(y.array, z.detach().numpy(), 1e-12, "loss")
        dy = rng.normal(size=y.shape)
        y.backward(Tensor(np.asarray(dy)))
        z.backward(torch.tensor(dy))
        close(a.grad.array, b.grad.numpy(), 1e-12, "gradient")
        assert list(ours.state_dict()) == list(theirs.state_dict())


class TestBatchNorm:
    @pytest.mark.parametrize(
        ("name", "shape"),
        [
            ("BatchNorm1d", (6, 3)),
            ("BatchNorm1d", (4, 3, 5)),
            ("BatchNorm2d", (3, 4, 5, 2)),
            ("BatchNorm3d", (2, 3, 2, 4, 3)),
        ],
    )
    def test_torchs_rule(self, name: str, shape: tuple[int, ...], rng: np.random.Generator) -> None:
        ours = getattr(nn, name)(shape[1], momentum=0.3, statistics="torch")
        theirs = getattr(torch.nn, name)(shape[1], momentum=0.3)
        same_state(ours, theirs)
        for _ in range(3):
            ours.zero_grad()
            theirs.zero_grad()
            compare(ours, theirs, rng.normal(2, 3, shape), rng=rng)
        ours.eval().zero_grad()
        theirs.eval().zero_grad()
        compare(ours, theirs, rng.normal(2, 3, shape), rng=rng)

    def test_kerass_rule(self, rng: np.random.Generator) -> None:
        layer = nn.BatchNorm2d.keras(3, momentum=0.9)
        mean, var = np.zeros(3), np.ones(3)
        for _ in range(4):
            x = rng.normal(1, 2, (5, 3, 4, 4)).astype(np.float32)
            layer(Tensor(x))
            mean, var = 0.9 * mean + 0.1 * x.mean((0, 2, 3)), 0.9 * var + 0.1 * x.var((0, 2, 3))  # biased
        assert layer.eps == 1e-3
        np.testing.assert_allclose(layer.running_mean.array, mean, rtol=1e-5)
        np.testing.assert_allclose(layer.running_var.array, var, rtol=1e-5)

    def test_corrected_rule_is_the_default(self, rng: np.random.Generator) -> None:
        layer = nn.BatchNorm1d(2, momentum=0.25).double()
        batches = [rng.normal(5, 2, (8, 2)) for _ in range(6)]
        for x in batches:
            layer(Tensor(x))
        mean = np.mean([x.mean(0) for x in batches[:4]], axis=0)  # weights 1, 1/2, 1/3, 1/4, then 1/4
        for x in batches[4:]:
            mean = 0.75 * mean + 0.25 * x.mean(0)
        np.testing.assert_allclose(layer.running_mean.array, mean, rtol=1e-12)
        assert int(layer.num_batches_tracked.array) == 6

    def test_no_momentum_is_the_plain_mean(self, rng: np.random.Generator) -> None:
        ours, theirs = nn.BatchNorm1d(2, momentum=None), torch.nn.BatchNorm1d(2, momentum=None)
        same_state(ours, theirs)
        for _ in range(3):
            x = rng.normal(size=(5, 2))
            ours(Tensor(x))
            theirs(torch.tensor(x))
        close(ours.running_var.array, theirs.running_var.numpy(), 1e-12, "variance")

    @pytest.mark.parametrize(
        ("affine", "names"), [("scale", ["weight"]), ("offset", ["bias"]), (False, []), (True, ["weight", "bias"])]
    )
    def test_part_of_the_affine_map(self, affine: Any, names: list[str], rng: np.random.Generator) -> None:
        layer = nn.BatchNorm2d(3, affine=affine, track_running_stats=False)
        assert [n for n, _ in layer.named_parameters()] == names
        assert not list(layer.buffers())
        x = rng.normal(3, 2, (4, 3, 5, 5)).astype(np.float32)
        for mode in (True, False):  # without running statistics evaluation uses the batch's
            y = layer.train(mode)(Tensor(x)).array
            np.testing.assert_allclose(y.mean((0, 2, 3)), 0, atol=1e-5)

    def test_evaluation_warns_of_stale_statistics(self, rng: np.random.Generator) -> None:
        model = nn.Sequential(nn.BatchNorm2d(4, momentum=0.01, statistics="torch"))
        x = Tensor(rng.normal(5, 0.1, (32, 4, 8, 8)).astype(np.float32))
        model(x)
        with pytest.warns(nn.StatisticsWarning, match=r"^0: .* after 1 updates with momentum 0.01"):
            model.eval()(x)
        with warnings.catch_warnings():  # once per layer
            warnings.simplefilter("error")
            model(x)

    def test_evaluation_does_not_warn_of_good_or_small_batches(self, rng: np.random.Generator) -> None:
        corrected = nn.BatchNorm2d(4, momentum=0.01)
        x = Tensor(rng.normal(5, 0.1, (32, 4, 8, 8)).astype(np.float32))
        corrected(x)
        fresh = nn.BatchNorm2d(4)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            corrected.eval()(x)
            fresh.eval()(Tensor(x.array[:8]))


class TestDropout:
    @pytest.mark.parametrize(
        ("name", "shape"),
        [
            ("Dropout", (50, 80)),
            ("Dropout1d", (50, 80, 4)),
            ("Dropout2d", (50, 80, 3, 2)),
            ("Dropout3d", (50, 80, 2, 2, 2)),
        ],
    )
    def test_drops_in_training_only(self, name: str, shape: tuple[int, ...]) -> None:
        layer = getattr(nn, name)(0.3)
        x = Tensor(np.ones(shape, np.float32))
        y = layer(x).array.reshape(*shape[:2], -1)
        assert (y == y[..., :1]).all()  # a channel is dropped whole
        np.testing.assert_allclose(np.unique(y), [0, 2**16 / (2**16 - round(0.3 * 2**16))], rtol=1e-6)
        assert abs((y[..., 0] == 0).mean() - 0.3) < 0.03
        assert layer.eval()(x) is x

    def test_alpha_dropout_keeps_mean_and_variance(self) -> None:
        y = nn.AlphaDropout(0.2)(tinymed.randn(200, 200, seed=3)).array
        assert abs(y.mean()) < 0.02
        assert abs(y.var() - 1) < 0.03


class TestBlocks:
    @pytest.mark.parametrize("stride", [1, 2])
    def test_bottleneck_matches_its_formula(self, stride: int, rng: np.random.Generator) -> None:
        block = nn.Bottleneck(8, 4, stride, statistics="torch")
        t = torch.nn
        path = t.Sequential(
            t.Conv2d(8, 4, 1, bias=False),
            t.BatchNorm2d(4),
            t.ReLU(),
            t.Conv2d(4, 4, 3, stride, 1, bias=False),
            t.BatchNorm2d(4),
            t.ReLU(),
            t.Conv2d(4, 16, 1, bias=False),
            t.BatchNorm2d(16),
        )
        beside = t.Sequential(t.Conv2d(8, 16, 1, stride, bias=False), t.BatchNorm2d(16))
        both = t.ModuleList([path, beside]).double()
        own = list(block.state_dict())
        named = dict(zip([n for n in own if "down" not in n], path.state_dict().values(), strict=True))
        named |= dict(zip([n for n in own if "down" in n], beside.state_dict().values(), strict=True))
        block.double().load_state_dict(named)
        x = values(rng, (2, 8, 6, 6))
        close(
            block(Tensor(x)).array,
            torch.relu(path(torch.tensor(x)) + beside(torch.tensor(x))).detach().numpy(),
            1e-10,
            "y",
        )
        assert len(list(both.parameters())) == len(list(block.parameters()))

    @pytest.mark.parametrize("shortcut", ["projection", "pad"])
    @pytest.mark.parametrize("kind", ["BasicBlock", "PreActBlock"])
    def test_widening_blocks(self, kind: str, shortcut: str, rng: np.random.Generator) -> None:
        block = getattr(nn, kind)(4, 6, 2, shortcut).double()
        x = Tensor(values(rng, (3, 4, 7, 7)), True)
        y = block(x)
        assert y.shape == (3, 6, 4, 4)
        y.backward(Tensor(rng.normal(size=y.shape)))
        assert all(p.grad is not None and np.isfinite(p.grad.array).all() for p in block.parameters())
        convolutions = 3 if shortcut == "projection" else 2
        assert sum(isinstance(m, nn.Conv2d) for m in block.modules()) == convolutions

    def test_pad_shortcut_is_option_a(self, rng: np.random.Generator) -> None:
        x = values(rng, (2, 4, 5, 6))
        y = nn.PadShortcut(4, 7, 2)(Tensor(x)).array
        np.testing.assert_array_equal(y[:, 1:5], x[:, :, ::2, ::2])
        assert y.shape == (2, 7, 3, 3)
        assert not y[:, :1].any()
        assert not y[:, 5:].any()

    def test_zero_residual_is_the_identity(self, rng: np.random.Generator) -> None:
        block = nn.BasicBlock(3, 3)
        init.zeros_(block.bn2.weight)
        x = np.abs(values(rng, (2, 3, 4, 4))).astype(np.float32)
        np.testing.assert_array_equal(block(Tensor(x)).array, x)
        assert block.downsample is None
        assert not nn.BasicBlock(3, 3, residual=False)(Tensor(x)).array.min() > 0

    def test_dense_layer_and_transition(self, rng: np.random.Generator) -> None:
        x = values(rng, (2, 8, 6, 4)).astype(np.float32)
        y = nn.DenseLayer(8, growth=4)(Tensor(x))
        assert y.shape == (2, 12, 6, 4)
        np.testing.assert_array_equal(y.array[:, :8], x)
        assert nn.Transition(12, 6)(y).shape == (2, 6, 3, 2)

    def test_wrong_shortcut(self) -> None:
        with pytest.raises(ValueError, match="identity shortcut needs stride 1"):
            nn.BasicBlock(3, 4, shortcut="identity")
        with pytest.raises(ValueError, match="one of projection, pad, identity"):
            nn.BasicBlock(3, 4, shortcut="B")


class TestErrors:
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: nn.Conv2d(3, 4, 3, groups=2), "divisible by"),
            (lambda: nn.Conv2d(3, 4, (3, 3, 3)), "kernel_size takes an integer or 2"),
            (lambda: nn.Conv2d(3, 4, 3, padding="full"), "'same', 'valid' or integers"),
            (lambda: nn.Conv2d(3, 4, 3, stride=2, padding="same"), "stride 1"),
            (lambda: nn.Conv2d(3, 4, 3, padding_mode="mirror"), "zeros, reflect"),
            (lambda: nn.BatchNorm2d(3, statistics="tf"), "corrected, torch, keras"),
            (lambda: nn.BatchNorm2d(3, statistics="keras", momentum=None), "needs a momentum"),
            (lambda: nn.BatchNorm2d(3, affine="both"), "'scale' or 'offset'"),
            (lambda: nn.BatchNorm2d(3)(Tensor(np.ones((2, 3), np.float32))), "takes an input of 4 axes"),
            (lambda: nn.GroupNorm(2, 3), "3 channels cannot be cut into 2"),
            (lambda: nn.Dropout(1.5), "from 0 to 1"),
            (lambda: nn.MSELoss(reduction="avg"), "one of 'mean', 'sum', 'none'"),
            (lambda: nn.Unflatten(1, (2, 4))(Tensor(np.ones((2, 6), np.float32))), "does not become"),
        ],
    )
    def test_wrong_arguments(self, make: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            make()

    def test_unknown_options(self) -> None:
        with pytest.raises(TypeError, match="takes negative_slope"):
            nn.LeakyReLU(slope=0.1)
        with pytest.raises(
            TypeError, match="takes weight, size_average, ignore_index, reduce, reduction, label_smoothing"
        ):
            nn.CrossEntropyLoss(weights=None)
