"""NumPy's integers are taken wherever PyTorch takes integers: each call once with int, once with np.int64."""

import inspect
import warnings

import numpy as np
import pytest
from conftest import USABLE
from derived import OPS, WRITERS

import tinymed as tm
from tinymed import dispatch
from tinymed.dispatch import BackendError
from tinymed.draw import Draw
from tinymed.nn import functional as F
from tinymed.ops import axes

X = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4)


def x():
    return tm.tensor(X)


def images():
    return tm.tensor(np.arange(64.0, dtype=np.float32).reshape(1, 4, 4, 4))


def counts():
    return tm.tensor([0, 1, 1, 3])


# By name, how each function or method that takes an integer is called; n makes the integer.
CALLS = {
    "reshape": lambda n: x().reshape(n(6), n(4)),
    "reshape tuple": lambda n: x().reshape((n(6), n(-1))),
    "view": lambda n: x().view(n(24)),
    "flatten": lambda n: x().flatten(n(1), n(-1)),
    "permute": lambda n: x().permute(n(2), n(0), n(1)),
    "transpose": lambda n: x().transpose(n(0), n(1)),
    "movedim": lambda n: x().movedim(n(0), n(2)),
    "movedim tuple": lambda n: x().movedim((n(0),), (n(2),)),
    "unsqueeze": lambda n: x().unsqueeze(n(0)),
    "squeeze": lambda n: x()[:1].squeeze(n(0)),
    "squeeze tuple": lambda n: x()[:1].squeeze((n(0), n(1))),
    "expand": lambda n: x()[:1].expand(n(5), n(-1), n(4)),
    "broadcast_to": lambda n: tm.broadcast_to(x(), (n(5), n(2), n(3), n(4))),
    "repeat": lambda n: x().repeat(n(2), n(1), n(1)),
    "tile": lambda n: x().tile(n(2)),
    "narrow": lambda n: x().narrow(n(1), n(1), n(2)),
    "select": lambda n: x().select(n(1), n(2)),
    "split": lambda n: x().split(n(2), n(1))[0],
    "split list": lambda n: x().split([n(1), n(2)], n(1))[0],
    "chunk": lambda n: x().chunk(n(2), n(2))[0],
    "unbind": lambda n: x().unbind(n(1))[0],
    "tensor_split": lambda n: x().tensor_split(n(2), n(1))[0],
    "tensor_split list": lambda n: x().tensor_split((n(1), n(2)), n(1))[0],
    "unflatten": lambda n: x().unflatten(n(2), (n(2), n(2))),
    "unfold": lambda n: x().unfold(n(2), n(2), n(1)),
    "index": lambda n: x()[n(1)],
    "slice": lambda n: x()[n(0) : n(1), :: n(2)],
    "assignment": lambda n: x().index_fill_(n(0), tm.tensor([0]), 3.0),
    "flip": lambda n: x().flip(n(0), n(1)),
    "flip dims": lambda n: x().flip(dims=(n(0),)),
    "roll": lambda n: x().roll(n(1)),
    "roll dims": lambda n: x().roll((n(1), n(2)), (n(0), n(1))),
    "rot90": lambda n: x().rot90(n(1), (n(0), n(1))),
    "diff": lambda n: x().diff(n(1), n(1)),
    "repeat_interleave": lambda n: x().repeat_interleave(n(2), n(1)),
    "cat": lambda n: tm.cat([x(), x()], n(1)),
    "stack": lambda n: tm.stack([x(), x()], n(1)),
    **{
        name: lambda n, name=name: getattr(x(), name)(n(1))
        for name in ("sum", "mean", "var", "std", "prod", "norm", "cumsum", "cumprod", "logsumexp", "amax", "amin")
    },
    **{
        name: lambda n, name=name: getattr(x(), name)(dim=n(1))
        for name in ("any", "all", "argmax", "argmin", "count_nonzero", "nansum", "nanmean", "argsort", "sum", "std")
    },
    **{
        name + " axis": lambda n, name=name: getattr(x(), name)(axis=n(1), keepdims=True)
        for name in ("sum", "mean", "var", "std", "any", "all", "argmax", "amax")
    },
    **{name: lambda n, name=name: getattr(x(), name)(n(1))[0] for name in ("max", "min", "sort", "median")},
    "topk": lambda n: x().topk(n(2), n(1))[0],
    "kthvalue": lambda n: x().kthvalue(n(2), n(1))[0],
    "gather": lambda n: x().gather(n(2), tm.zeros(2, 3, 1, dtype=np.int64)),
    "scatter": lambda n: x().scatter(n(2), tm.zeros(2, 3, 1, dtype=np.int64), value=n(2)),
    "index_select": lambda n: x().index_select(n(1), tm.tensor([0])),
    "index_add": lambda n: x().index_add(n(1), tm.tensor([0]), tm.ones(2, 1, 4)),
    "take_along_dim": lambda n: x().take_along_dim(tm.zeros(2, 3, 1, dtype=np.int64), n(2)),
    "tril": lambda n: x().tril(n(1)),
    "diagonal": lambda n: x().diagonal(n(0), n(1), n(2)),
    "diag": lambda n: x()[0].diag(n(1)),
    "round": lambda n: (x() / 7).round(decimals=n(1)),
    "bincount": lambda n: counts().bincount(minlength=n(6)),
    "histc": lambda n: x().histc(n(4)),
    "tensordot": lambda n: tm.tensordot(x(), x().permute(1, 2, 0), n(2)),
    "pow": lambda n: x() ** n(2),
    "add": lambda n: x() + n(2),
    "remainder": lambda n: x() % n(3),
    "floor_divide": lambda n: x() // n(2),
    "shift": lambda n: counts() << n(2),
    "clamp": lambda n: x().clamp(n(2), n(5)),
    "size": lambda n: tm.tensor(x().size(n(1))),
    "stride": lambda n: tm.tensor(x().stride(n(1))),
    "new_zeros": lambda n: x().new_zeros(n(2), n(3)),
    "new_full": lambda n: x().new_full((n(2),), n(3)),
    "zeros": lambda n: tm.zeros(n(2), n(3)),
    "ones tuple": lambda n: tm.ones((n(2),)),
    "empty size": lambda n: tm.empty(size=(n(2), n(3))),
    "full": lambda n: tm.full((n(2),), n(3)),
    "eye": lambda n: tm.eye(n(2), n(3)),
    "arange": lambda n: tm.arange(n(1), n(9), n(2)),
    "linspace": lambda n: tm.linspace(n(0), n(1), n(4)),
    "logspace": lambda n: tm.logspace(n(0), n(1), n(4)),
    "randn": lambda n: tm.randn(n(2), n(3), seed=n(1)),
    "randint": lambda n: tm.randint(n(0), n(9), (n(4),), seed=1),
    "randperm": lambda n: tm.randperm(n(5), seed=1),
    "softmax": lambda n: F.softmax(x(), n(1)),
    "log_softmax": lambda n: F.log_softmax(x(), dim=n(-1)),
    "pad": lambda n: F.pad(x(), (n(1), n(2))),
    "one_hot": lambda n: F.one_hot(counts(), n(5)),
    "pixel_shuffle": lambda n: F.pixel_shuffle(images(), n(2)),
    "pixel_unshuffle": lambda n: F.pixel_unshuffle(images(), n(2)),
    "max_pool2d": lambda n: F.max_pool2d(images(), n(2), n(2)),
    "avg_pool2d": lambda n: F.avg_pool2d(images(), n(2), divisor_override=n(3)),
    "adaptive_avg_pool2d": lambda n: F.adaptive_avg_pool2d(images(), n(2)),
    "adaptive_max_pool2d": lambda n: F.adaptive_max_pool2d(images(), (n(2), n(3))),
    "conv2d": lambda n: F.conv2d(images(), tm.ones(4, 1, 2, 2), None, n(1), n(1), n(1), n(4)),
    "conv_transpose2d": lambda n: F.conv_transpose2d(images(), tm.ones(4, 1, 2, 2), None, n(1), n(0), n(0), n(4)),
    "interpolate": lambda n: F.interpolate(images(), (n(2), n(3))),
    "unfold images": lambda n: F.unfold(images(), n(2)),
    "group_norm": lambda n: F.group_norm(images(), n(2)),
    "layer_norm": lambda n: F.layer_norm(x(), (n(4),)),
    "local_response_norm": lambda n: F.local_response_norm(x(), n(2)),
}
INTEGERS = {
    "dim",
    "dim0",
    "dim1",
    "dim2",
    "size",
    "k",
    "start",
    "length",
    "chunks",
    "decimals",
    "offset",
    "diagonal",
    "step",
}


@pytest.mark.parametrize("call", CALLS)
def test_numpy_integers_are_integers(call):
    with tm.use_backend("numpy"):
        wanted, found = CALLS[call](int), CALLS[call](np.int64)
        assert found.dtype == wanted.dtype
        assert np.array_equal(found.numpy(), wanted.numpy())
        assert all(type(n) is int for n in found.shape)


def test_every_function_that_takes_an_integer_is_called_above():
    """What is new in the vocabulary is added to CALLS: no door is forgotten."""
    called = {name.split(" ")[0] for name in CALLS}
    same = {
        "swapaxes": "transpose",
        "swapdims": "transpose",
        "moveaxis": "movedim",
        "concatenate": "cat",
        "concat": "cat",
    }
    other = {
        "aminmax",
        "msort",
        "unique",
        "unique_consecutive",
        "index_copy",
        "index_fill",
        "triu",
        "diag_embed",
        "take",
    }
    found = set()
    for name, function in vars(tm).items():
        if inspect.isfunction(function) and not name.startswith("_"):
            parameters = inspect.signature(function).parameters
            if INTEGERS & set(parameters) and function.__module__.startswith(("tinymed.ops", "tinymed.factories")):
                found.add(name)
    like = {"normal", "rand", "scatter_add", "sum_to_size", "tril_indices", "triu_indices"}  # others that are called
    missed = {n for n in found if same.get(n, n) not in called} - other - like
    assert not missed


@pytest.mark.parametrize("wrong", [True, 1.0, "1", None])
def test_what_is_no_integer_is_refused_by_name(wrong):
    with pytest.raises(TypeError, match="transpose: dim is an integer"):
        x().transpose(0, wrong)


def test_both_names_of_an_argument_are_refused():
    with pytest.raises(TypeError, match="axis= and dim= mean the same"):
        x().sum(dim=1, axis=1)
    assert axes.NUMPY_NAMES == {"axis": "dim", "keepdims": "keepdim"}


# --------------------------------------------------------------- integers where samples have floating-point numbers


def of_integers(op, backend_name, dtype):
    """What an op gives for a sample whose floating-point arrays were rounded to a dtype; None where it refuses them."""
    rounded = [
        tm.Tensor((np.abs(v) * 3).astype(dtype) if v.dtype.kind == "f" else v) if isinstance(v, np.ndarray) else v
        for v in op.samples(Draw(1))
    ]
    with dispatch.use_backend(backend_name), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = op.apply(*rounded)
        except (TypeError, ValueError, OverflowError, BackendError):  # refused, if not by its function
            return None
    return [t.numpy() for t in (found if isinstance(found, tuple | list) else (found,)) if isinstance(t, tm.Tensor)]


@pytest.mark.parametrize("op", [op for op in OPS if op.__name__ not in WRITERS], ids=lambda op: op.__name__)
def test_a_compiled_kernel_gives_of_integers_what_the_reference_gives(op):
    """Written for float32 and given integers alone, it would write float32 into an output of integers."""
    for dtype in ("int64", "uint8"):
        expected = of_integers(op, "numpy", dtype)
        for backend_name in (name for name in ("numba", "emulated") if name in USABLE):
            found = of_integers(op, backend_name, dtype)
            if expected is None or found is None:
                continue
            assert [a.dtype for a in found] == [a.dtype for a in expected], (backend_name, dtype)
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5, err_msg=backend_name)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: F.cross_entropy(x, tm.tensor([0, 2])),
        lambda x: F.binary_cross_entropy_with_logits(x, x.float()),
        lambda x: F.layer_norm(x, (3,)),
        lambda x: F.group_norm(x, 1),
        lambda x: F.softmax(x, 1),
    ],
)
@pytest.mark.parametrize("backend_name", ["numpy", "numba"])
def test_what_pytorch_has_for_floating_point_alone_refuses_integers(call, backend_name):
    with dispatch.use_backend(backend_name), pytest.raises(TypeError, match="floating-point"):
        call(tm.tensor([[1, 2, 3], [4, 0, 1]]))
