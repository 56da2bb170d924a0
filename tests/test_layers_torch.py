"""Layers beside PyTorch where its tables have no input: corner cases, functions, NumPy's numbers, nn.utils."""

import inspect

import numpy as np
import pytest
import torch

import tinymed
from tinymed import Tensor, nn
from tinymed.dispatch import use_backend

RNG = np.random.default_rng(5)
IMAGE, LINE, VOLUME = RNG.normal(size=(2, 3, 7, 9)), RNG.normal(size=(2, 4, 11)), RNG.normal(size=(1, 2, 5, 6, 7))
POOLED = torch.nn.functional.max_pool2d(torch.tensor(IMAGE), 2, 2, return_indices=True)

# name: a function of (tinymed or PyTorch's nn.functional, tensors), and the arrays
FUNCTIONS = {
    "pad_negative": (lambda f, x: f.pad(x, (-1, 2, 1, -2), value=3.0), [IMAGE]),
    "pad_all_modes": (
        lambda f, x: f.pad(x, (1, 2, 3, 1), "reflect") + f.pad(x, (1, 2, 3, 1), "replicate") + f.pad(x, (1, 2, 3, 1)),
        [IMAGE],
    ),
    "pad_circular": (lambda f, x: f.pad(x, (1, 2, 3, 1), "circular"), [IMAGE]),
    "pad_circular_3d": (lambda f, x: f.pad(x, (1, 2, 3, 1, 0, 2), "circular"), [VOLUME]),
    "pad_negative_borders": (
        lambda f, x: f.pad(x, (-1, 2, 1, -2), "reflect") + f.pad(x, (-1, 2, 1, -2), "replicate"),
        [IMAGE],
    ),
    "pad_negative_circular": (lambda f, x: f.pad(x, (-1, 2, 1, -2), "circular"), [IMAGE]),
    "unfold_unbatched": (lambda f, x: f.unfold(x, 2), [IMAGE[0]]),
    "bicubic": (lambda f, x: f.interpolate(x, (11, 4), mode="bicubic"), [IMAGE]),
    "bicubic_corners": (lambda f, x: f.interpolate(x, (11, 1), mode="bicubic", align_corners=True), [IMAGE]),
    "bicubic_factor": (lambda f, x: f.interpolate(x, scale_factor=(1.7, 0.6), mode="bicubic"), [IMAGE]),
    "bicubic_recomputed": (
        lambda f, x: f.interpolate(x, scale_factor=1.3, mode="bicubic", recompute_scale_factor=True),
        [IMAGE],
    ),
    "antialias_bilinear": (lambda f, x: f.interpolate(x, (3, 20), mode="bilinear", antialias=True), [IMAGE]),
    "antialias_bicubic": (lambda f, x: f.interpolate(x, (3, 4), mode="bicubic", antialias=True), [IMAGE]),
    "antialias_corners": (
        lambda f, x: f.interpolate(x, (3, 4), mode="bilinear", antialias=True, align_corners=True),
        [IMAGE],
    ),
    "antialias_factor": (lambda f, x: f.interpolate(x, scale_factor=0.4, mode="bicubic", antialias=True), [IMAGE]),
    "divisor": (lambda f, x: f.avg_pool2d(x, 3, 2, 1, True, False, 5), [IMAGE]),
    "divisor_3d": (lambda f, x: f.avg_pool3d(x, 2, divisor_override=-3), [VOLUME]),
    "fold": (lambda f, x: f.fold(f.unfold(x, 3, 2, 1, 2), x.shape[2:], 3, 2, 1, 2), [IMAGE]),
    "fold_unbatched": (lambda f, x: f.fold(x, (4, 5), 2), [RNG.normal(size=(8, 12))]),
    "rms_norm": (lambda f, x: f.rms_norm(x, [7, 9]) + f.rms_norm(x, (9,), eps=0.1).sum(), [IMAGE]),
    "lp_pool": (lambda f, x: f.lp_pool2d(x, 2, 3, 2, True) + f.lp_pool2d(x.abs(), 1.5, (3, 3), 2, True), [IMAGE]),
    "lp_pool_largest": (lambda f, x: f.lp_pool1d(x, float("inf"), 3) - f.lp_pool1d(x, -float("inf"), 3), [LINE]),
    "glu": (lambda f, x: f.glu(x, 1), [LINE]),
    "bilinear": (
        lambda f, a, b, w, c: f.bilinear(a, b, w, c),
        [RNG.normal(size=(2, 5, 3)), RNG.normal(size=(2, 5, 4)), RNG.normal(size=(6, 3, 4)), RNG.normal(size=6)],
    ),
    "shrinkage": (lambda f, x: f.hardshrink(x, 0.3) + f.softshrink(x, 0.2) * f.tanhshrink(x) + f.softmin(x, 1), [LINE]),
}


def run(lib, f, function, arrays):
    """The result and all gradients under a random cotangent."""
    tensors = [lib.tensor(a, requires_grad=True) for a in arrays]
    y = function(f, *tensors)
    (y * lib.tensor(np.random.default_rng(1).normal(size=tuple(y.shape)))).sum().backward()
    return [y.detach().numpy(), *(t.grad.numpy() for t in tensors)]


def close(ours, true, tolerance=1e-9):
    for a, b in zip(ours, true, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    function, arrays = FUNCTIONS[name]
    with use_backend("numpy"):
        ours = run(tinymed, nn.functional, function, arrays)
    close(ours, run(torch, torch.nn.functional, function, arrays))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_max_unpool_of_large_maps(dtype, rng):
    """By loops; windows overlap, so that some places are written twice with one value."""
    x = torch.tensor(rng.normal(size=(2, 5, 100, 101)).astype(dtype))
    values, places = torch.nn.functional.max_pool2d(x, 3, 1, return_indices=True)
    answers = []
    for lib, n in ((tinymed, nn), (torch, torch.nn)):
        a = lib.tensor(values.numpy(), requires_grad=True)
        with use_backend("numba"):
            y = n.functional.max_unpool2d(a, lib.tensor(places.numpy()), 3, 1)
            (y * y * y).sum().backward()
        answers.append([y.detach().numpy(), a.grad.numpy()])
    close(*answers)


def test_max_unpool_to_a_size():
    values, places = (t.numpy() for t in POOLED)

    def unpooled(lib, n, size):
        x = lib.tensor(values, requires_grad=True)
        y = n.MaxUnpool2d(2)(x, lib.tensor(places), size)
        (y * y).sum().backward()
        return [y.detach().numpy(), x.grad.numpy()]

    for size in ((2, 3, 7, 9), (7, 9)):
        with use_backend("numpy"):
            ours = unpooled(tinymed, nn, size)
        close(ours, unpooled(torch, torch.nn, size))
    for size, error in ((None, RuntimeError), ((8, 11), ValueError)):  # 6 x 8, which the indices exceed; too large
        with pytest.raises(error):
            unpooled(torch, torch.nn, size)
        with pytest.raises(ValueError, match="max_unpool2d: "):
            unpooled(tinymed, nn, size)


def test_pooling_and_back():
    for n, shape in ((1, (2, 3, 8)), (2, (2, 3, 6, 8)), (3, (1, 2, 4, 6, 4))):
        x = RNG.normal(size=shape)

        def there_and_back(lib, layers, x=x, n=n):
            t = lib.tensor(x, requires_grad=True)
            y, at = getattr(layers, f"MaxPool{n}d")(2, return_indices=True)(t)
            z = getattr(layers, f"MaxUnpool{n}d")(2)(y, at)
            (z * z).sum().backward()
            adaptive, places = getattr(layers, f"AdaptiveMaxPool{n}d")(3, True)(t)
            return [z.detach().numpy(), t.grad.numpy(), adaptive.detach().numpy(), places.numpy()]

        with use_backend("numpy"):
            ours = there_and_back(tinymed, nn)
        close(ours, there_and_back(torch, torch.nn))


def test_embedding():
    table = RNG.normal(size=(7, 3))

    def looked_up(lib, n):
        layer = n.Embedding(7, 3, padding_idx=-2, _weight=lib.tensor(table))
        y = layer(lib.tensor([[1, 5, 5], [0, 6, 1]]))
        (y * y).sum().backward()
        frozen = n.Embedding.from_pretrained(lib.tensor(table))
        return [y.detach().numpy(), layer.weight.grad.numpy(), frozen(lib.tensor(3)).numpy()], [
            layer.padding_idx,
            frozen.weight.requires_grad,
            list(layer.state_dict()),
            repr(layer),
        ]

    with use_backend("numpy"):
        ours, names = looked_up(tinymed, nn)
    true, true_names = looked_up(torch, torch.nn)
    close(ours, true)
    assert names == true_names
    assert not nn.Embedding(4, 2, 1).weight.array[1].any()
    with pytest.raises(IndexError, match="rows are numbered 0 to 6"):
        nn.Embedding(7, 3)(tinymed.tensor([7]))
    for option in ({"max_norm": 1.0}, {"scale_grad_by_freq": True}, {"sparse": True}):
        with pytest.raises(ValueError, match="not supported"):
            nn.Embedding(7, 3, **option)


def test_norms():
    for name, args, shape in (
        ("BatchNorm2d", (3,), (2, 3, 4, 5)),
        ("GroupNorm", (3, 6), (2, 6, 4)),
        ("InstanceNorm2d", (3, 1e-5, 0.1, True, True), (3, 4, 5)),
        ("InstanceNorm1d", (3,), (3, 5)),
        ("LayerNorm", ((4, 5),), (2, 4, 5)),
    ):
        x = RNG.normal(size=shape)
        for lib, n in ((tinymed, nn), (torch, torch.nn)):
            layer = getattr(n, name)(*args, bias=False, dtype=lib.float64)
            assert layer.bias is None
            y = layer(lib.tensor(x)).detach().numpy()
            state = {k: tuple(v.shape) for k, v in layer.state_dict().items()}
            if lib is tinymed:
                ours, own = y, state
        assert own == state
        close([ours], [y])
    for eps, training in ((0.0, True), (-1e-5, False)):
        for lib, n in ((tinymed, nn), (torch, torch.nn)):
            with pytest.raises(ValueError, match="eps must be"):
                n.BatchNorm2d(3, eps).train(training)(lib.ones(2, 3, 4, 4))


def test_an_empty_batch_counts():
    for lib, n in ((tinymed, nn), (torch, torch.nn)):
        layer = n.BatchNorm2d(3)
        layer(lib.zeros(0, 3, 4, 4))
        assert layer.num_batches_tracked.item() == 1
        assert not layer.running_mean.numpy().any()


# ------------------------------------------------------------------------------------------------- NumPy's numbers


def numpy_numbers(value):
    """Python's numbers as NumPy's."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return np.int64(value)
    if isinstance(value, float):
        return np.float32(value)
    return tuple(map(numpy_numbers, value)) if isinstance(value, tuple) else value


ARGUMENTS = {
    "Linear": (3, 2),
    "Bilinear": (2, 3, 4),
    "Embedding": (5, 3, 1),
    "GroupNorm": (2, 4),
    "LayerNorm": ((4, 5),),
    "RMSNorm": (4,),
    "LocalResponseNorm": (2,),
    "PReLU": (3,),
    "Threshold": (0.1, 20.0),
    "Fold": ((4, 5), 2),
    "Unfold": (2,),
    "Unflatten": (1, (2, 2)),
    "Flatten": (1, -1),
    "Upsample": ((4, 4),),
    "UpsamplingNearest2d": (4,),
    "UpsamplingBilinear2d": (4,),
    "PixelShuffle": (2,),
    "PixelUnshuffle": (2,),
    "ChannelShuffle": (2,),
    "CTCLoss": (0,),
    "Features": (nn.Sequential(nn.Linear(2, 2)), "0"),
    "DeepSupervision": (nn.MSELoss(),),
    "SumLoss": ([nn.MSELoss()],),
    "BasicBlock": (4, 4),
    "Bottleneck": (4, 4),
    "ConvBNReLU": (3, 4, 3),
    "DenseLayer": (4, 2),
    "PadShortcut": (4, 8, 2),
    "PreActBlock": (4, 4),
    "SeparableResidual": (4, (4, 4)),
    "Transition": (4, 2),
    "SeparableConv2d": (3, 4, 3),
    "Highway": (4, "tanh", -1.5),
    "RNN": (3, 4, 2, "relu", True, False, 0.25, True),
    "LSTM": (3, 4, 2, True, False, 0.25, True, 2),
    "GRU": (3, 4, 2, True, False, 0.25, True),
    "RNNCell": (3, 4),
    "LSTMCell": (3, 4),
    "GRUCell": (3, 4),
    "MultiheadAttention": (8, 2, 0.25, True, True, False, 6, 4),
    "TransformerEncoderLayer": (8, 2, 16, 0.25, "gelu", 1e-3),
    "TransformerDecoderLayer": (8, 2, 16, 0.25, "gelu", 1e-3),
    "TransformerEncoder": (nn.TransformerEncoderLayer(8, 2, 16), 2),
    "TransformerDecoder": (nn.TransformerDecoderLayer(8, 2, 16), 2),
}
BY_KIND = [
    ("ConvTranspose", (3, 2, 3, 2, 1, 1)),
    ("Conv", (3, 2, 3, 1, 1)),
    ("BatchNorm", (3, 1e-3, 0.2)),
    ("InstanceNorm", (3, 1e-3, 0.2)),
    ("Constant", (1, 2.5)),
    ("LPPool", (2.0, 2, 2)),
    ("Adaptive", (2,)),
    ("MaxUnpool", (2, 2)),
    ("MaxPool", (2, 2)),
    ("AvgPool", (2, 2)),
    ("ReflectionPad", (1,)),
    ("ReplicationPad", (1,)),
    ("CircularPad", (1,)),
    ("ZeroPad", (1,)),
    ("Dropout", (0.25,)),
]
LAYERS = [
    n
    for n in nn.__all__
    if inspect.isclass(getattr(nn, n))
    and issubclass(getattr(nn, n), nn.Module)
    and n not in ("Module", "DataParallel", "SyncBatchNorm")
    and not n.startswith("Lazy")
]


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_takes_numpys_numbers(name):
    """What a layer holds is Python's number, the same as without NumPy."""
    args = ARGUMENTS.get(name) or next((a for kind, a in BY_KIND if name.startswith(kind)), ())
    cls = getattr(nn, name)
    plain, given = cls(*args), cls(*map(numpy_numbers, args))
    for key, value in vars(given).items():
        if not key.startswith("_"):
            parts = value if isinstance(value, tuple) else (value,)
            assert not any(isinstance(v, np.generic) for v in parts), f"{name}.{key} is {value!r}"
            if isinstance(value, int | str):
                assert value == vars(plain)[key]
    assert [tuple(p.shape) for p in given.parameters()] == [tuple(p.shape) for p in plain.parameters()]


@pytest.mark.parametrize("name", [n for n in LAYERS if hasattr(torch.nn, n)])
def test_layers_take_pytorchs_arguments(name):
    """Names, order and defaults; device and dtype go through the door that all layers share."""
    cls = getattr(nn, name)
    theirs = dict(inspect.signature(getattr(torch.nn, name)).parameters)
    ours = dict(inspect.signature(cls).parameters)
    if any(p.kind is p.VAR_KEYWORD for p in ours.values()):  # activations and losses: their tables
        table = getattr(cls, "defaults", None) or getattr(cls, "options", {})
        ours = {n: inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=d) for n, d in table.items()}
    wanted = {n: p.default for n, p in theirs.items() if n not in ("device", "dtype", "args", "kwargs", "modules")}
    makes = {"device", "dtype"} & set(theirs)
    assert bool(makes) <= cls._makes_tensors
    older = {"min_value", "max_value"}  # Hardtanh's, deprecated
    missing = [n for n in wanted if n not in ours and n not in older]
    assert not missing
    shared = [n for n in ours if n in wanted]
    assert shared == [n for n in wanted if n in ours]
    for n in shared:
        if wanted[n] is not inspect.Parameter.empty:
            same = wanted[n]
            if inspect.isfunction(same):  # an activation: the function of this name
                same = getattr(nn.functional, same.__name__)
            assert ours[n].default == same, n


# --------------------------------------------------------------------------------------------------------- nn.utils


@pytest.mark.filterwarnings("ignore:.*weight_norm")
def test_weight_norm():
    x = RNG.normal(size=(4, 3))
    for dim in (0, 1, None):

        def learned(lib, n, dim=dim):
            torch.manual_seed(0)
            layer = torch.nn.Linear(3, 2).double()
            if lib is tinymed:
                mine = nn.Linear(3, 2).double()
                mine.load_state_dict({k: v.detach().numpy() for k, v in layer.state_dict().items()})
                layer = mine
            layer = n.utils.weight_norm(layer, dim=dim)
            names = sorted(layer.state_dict())
            (layer(lib.tensor(x)) ** 2).sum().backward()
            grads = [p.grad.numpy().reshape(-1) for _, p in sorted(layer.named_parameters())]
            n.utils.remove_weight_norm(layer)
            return names, [*grads, layer.weight.detach().numpy(), layer(lib.tensor(x)).detach().numpy()]

        with use_backend("numpy"):
            names, ours = learned(tinymed, nn)
        true_names, true = learned(torch, torch.nn)
        assert names == true_names
        close(ours, true)


def test_parameters_as_a_vector():
    net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    vector = nn.utils.parameters_to_vector(net.parameters())
    assert vector.shape == (11,)
    nn.utils.vector_to_parameters(vector * 2.0, net.parameters())
    np.testing.assert_allclose(
        nn.utils.parameters_to_vector(net.parameters()).detach().numpy(), 2 * vector.detach().numpy()
    )
    assert tinymed.optim.clip_grad_norm_ is nn.utils.clip_grad_norm_


def test_names_that_explain():
    for make in (lambda: nn.DataParallel(nn.ReLU()), lambda: nn.SyncBatchNorm(3), lambda: nn.LazyLinear(3)):
        with pytest.raises(NotImplementedError, match=r"^nn\.\w+: .{20}"):
            make()
    assert not isinstance(nn.BatchNorm2d(3), nn.SyncBatchNorm)


def test_initialisers():
    for name, shape in (("eye_", (3, 5)), ("dirac_", (6, 2, 3, 3))):
        ours, true = Tensor(np.ones(shape)), torch.ones(shape)
        options = {"groups": 3} if name == "dirac_" else {}
        getattr(nn.init, name)(ours, **options)
        np.testing.assert_array_equal(ours.array, getattr(torch.nn.init, name)(true, **options).numpy())
    with pytest.warns(FutureWarning, match="kaiming_normal_"):
        assert nn.init.kaiming_normal(Tensor(np.zeros((3, 3)))).array.any()
