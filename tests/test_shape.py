"""Shapes, indexing, padding: argument forms and errors against PyTorch; gradients are in test_ops."""

import numpy as np
import pytest

import tinymed as tm
from tinymed.nn import functional as F

torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")

A = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def check(function, *arrays):
    """The same values and gradients as PyTorch's, of a function of tensors that both libraries can run."""
    arrays = arrays or (A,)
    ours = [tm.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    theirs = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    y, ty = function(*ours), function(*theirs)
    ys, tys = ((y,), (ty,)) if not isinstance(y, tuple | list) else (tuple(y), tuple(ty))
    assert len(ys) == len(tys)
    for a, b in zip(ys, tys, strict=True):
        assert a.shape == tuple(b.shape)
        np.testing.assert_array_equal(a.numpy(), b.detach().numpy())
    floats = [(a, b) for a, b in zip(ys, tys, strict=True) if b.requires_grad]
    if floats:
        tm.cat([(a * a.detach()).sum().reshape(1) for a, _ in floats]).sum().backward()
        torch.cat([(b * b.detach()).sum().reshape(1) for _, b in floats]).sum().backward()
        for a, b in zip(ours, theirs, strict=True):
            if b.grad is not None:
                np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-5)


VIEWS = {
    "reshape": lambda x: x.reshape(6, -1),
    "reshape tuple": lambda x: x.reshape((4, 6)),
    "reshape of a transpose": lambda x: x.transpose(0, 2).reshape(-1, 2),
    "view": lambda x: x.view(24),
    "flatten": lambda x: x.flatten(1),
    "flatten all": lambda x: x.flatten(),
    "permute": lambda x: x.permute(2, 0, -2),
    "transpose": lambda x: x.transpose(-1, 0),
    "t": lambda x: x[0].t(),
    "T": lambda x: x[0].T,
    "expand": lambda x: x.unsqueeze(0).expand(5, -1, 3, 4),
    "broadcast_to": lambda x: x[:, :1].broadcast_to((3, 2, 3, 4)),
    "squeeze": lambda x: x[:, :1].squeeze(),
    "squeeze dim": lambda x: x[:1, :1].squeeze(1),
    "squeeze dims": lambda x: x[:1, :1].squeeze((0, 1)),
    "squeeze nothing": lambda x: x.squeeze(0),
    "unsqueeze": lambda x: x.unsqueeze(-1),
    "movedim": lambda x: x.movedim((0, 1), (-1, 0)),
}


@pytest.mark.parametrize("name", VIEWS)
def test_views(name):
    check(VIEWS[name])


JOINS = {
    "split size": lambda x: x.split(3, -1),
    "split list": lambda x: x.split([1, 0, 2], 1),
    "split, one used": lambda x: x.split(2, 2)[1],
    "chunk": lambda x: x.chunk(3, 2),
    "unbind": lambda x: x.unbind(1),
    "iterate": lambda x: tuple(x),
    "flip": lambda x: x.flip(0, 2),
    "flip tuple": lambda x: x.flip((1,)),
    "roll": lambda x: x.roll(5),
    "roll dims": lambda x: x.roll((1, -5), (0, 2)),
    "repeat": lambda x: x.repeat(2, 1, 2, 1),
    "tile": lambda x: x.tile((2,)),
    "clone": lambda x: x.clone(),
}


@pytest.mark.parametrize("name", JOINS)
def test_parts_and_copies(name):
    check(JOINS[name])


def test_cat_and_stack(backend_name):
    b = -np.ones((2, 1, 4), np.float32)
    for module in (tm, torch):
        assert module.cat([module.ones(2), module.ones(1, dtype=module.float64)]).dtype in (np.float64, torch.float64)
    y = tm.cat([tm.tensor(A), tm.tensor(b), tm.tensor(A)], 1)
    assert y.tolist() == torch.cat([torch.tensor(A), torch.tensor(b), torch.tensor(A)], 1).tolist()
    for dim in (0, 1, -1):
        assert (
            tm.stack([tm.tensor(A), tm.tensor(-A)], dim).tolist()
            == torch.stack([torch.tensor(A), torch.tensor(-A)], dim).tolist()
        )
    image = np.moveaxis(np.zeros((2, 5, 6, 3), np.float32) + 1, -1, 1)  # channels last, beside a C-ordered one
    y = tm.cat([tm.from_numpy(image), tm.zeros(2, 2, 5, 6)], 1)
    assert y.numpy().sum((0, 2, 3)).tolist() == [60.0, 60.0, 60.0, 0.0, 0.0]
    with pytest.raises(ValueError, match=r"cat: tensor 1 has shape \[2, 4\]"):
        tm.cat([tm.ones(2, 3), tm.ones(2, 4)])
    with pytest.raises(ValueError, match="one shape"):
        tm.stack([tm.ones(2), tm.ones(3)])


I = np.array([1, 0, 1])
J = np.array([[2], [0]])
MASK = A % 3 == 0
INDICES = {
    "number": lambda x, *_: x[1],
    "negative": lambda x, *_: x[-1, -2, -3],
    "slice": lambda x, *_: x[:, 1:, ::2],
    "ellipsis": lambda x, *_: x[..., 0],
    "none": lambda x, *_: x[:, None, 1],
    "empty slice": lambda x, *_: x[5:],
    "array": lambda x, i, j: x[i],
    "array after a slice": lambda x, i, j: x[:, i],
    "two arrays": lambda x, i, j: x[i, :, i],
    "arrays that broadcast": lambda x, i, j: x[i, j],
    "number beside an array": lambda x, i, j: x[0, :, j],
    "none beside an array": lambda x, i, j: x[None, i, ..., None],
    "list": lambda x, *_: x[:, [0, -1, 0]],
    "mask": lambda x, *_: x[x > 7],
    "mask of leading axes": lambda x, *_: x[x[:, :, 0] > 7],
    "mask beside a slice": lambda x, *_: x[:, x[0, :, 0] < 8, 1:],
    "narrow": lambda x, *_: x.narrow(2, -3, 2),
    "select": lambda x, *_: x.select(1, -1),
    "index_select": lambda x, i, j: x.index_select(2, i),
    "scalar tensor": lambda x, i, j: x[i[0]],
}


@pytest.mark.parametrize("name", INDICES)
def test_indexing(name):
    check(INDICES[name], A, I, J)


def test_a_slice_may_run_backwards():
    """PyTorch has no negative steps; NumPy's meaning is taken."""
    x = tm.tensor(A, requires_grad=True)
    y = x[::-1, :, ::-2]
    assert y.tolist() == A[::-1, :, ::-2].tolist()
    y.sum().backward()
    assert x.grad.numpy()[:, :, 1::2].all()
    assert not x.grad.numpy()[:, :, 0::2].any()


def test_basic_indexing_is_a_view_and_advanced_copies():
    x = tm.tensor(A)
    assert np.shares_memory(x[0, 1:].array, x.array)
    assert x[0].version is x.version
    assert np.shares_memory(x[0, 1, 2].array, x.array)
    assert not np.shares_memory(x[[0]].array, x.array)
    assert x[[0]].version is not x.version
    assert not np.shares_memory(x.transpose(0, 1).reshape(-1).array, x.array)
    assert x.transpose(0, 1).reshape(-1).version is not x.version


BAD = [
    (lambda x: x[0, 0, 0, 0], IndexError, "4 entries for a tensor of 3 axes"),
    (lambda x: x[7], IndexError, "out of bounds"),
    (lambda x: x[tm.tensor([0.0])], TypeError, "integers or bool"),
    (lambda x: x[tm.tensor([True, False, True])], IndexError, "mask has shape"),
    (lambda x: x[..., ...], IndexError, "one ellipsis"),
    (lambda x: x["a"], TypeError, "made of integers"),
    (lambda x: x[True], TypeError, "made of integers"),
    (lambda x: x.reshape(5, -1), ValueError, "does not fit"),
    (lambda x: x.reshape(-1, -1), ValueError, "at most one"),
    (lambda x: x.permute(0, 1), ValueError, "each of the 3 axes once"),
    (lambda x: x.expand(2, 5, 4), ValueError, "only axes of length 1"),
    (lambda x: x.split([1, 1], 1), ValueError, "add up to 3"),
    (lambda x: x.split(0), ValueError, "at least 1"),
    (lambda x: x.narrow(0, 1, 5), IndexError, "do not fit"),
    (lambda x: x.t(), ValueError, "at most 2 axes"),
    (lambda x: x.repeat(2), ValueError, "at least one count"),
    (lambda x: x.gather(0, tm.tensor([[[9]]])), IndexError, "axis 0 has length 2"),
    (lambda x: x.gather(0, tm.tensor([0])), ValueError, "as many axes"),
    (lambda x: F.pad(x, (1,)), ValueError, "pairs"),
    (lambda x: F.pad(x, (4, 0), mode="reflect"), ValueError, "from 0 to 3"),
    (lambda x: F.pad(x, (5, 0), mode="circular"), ValueError, "from 0 to 4"),
    (lambda x: F.pad(x, (1, 1), mode="mirror"), ValueError, "mode is"),
    (lambda x: F.pixel_shuffle(x, 2), ValueError, r"C r\^2"),
    (lambda x: F.one_hot(x), TypeError, "needs integers"),
]


@pytest.mark.parametrize(("function", "error", "message"), BAD)
def test_errors(function, error, message):
    with pytest.raises(error, match=message):
        function(tm.tensor(A))


def test_gather_scatter_and_take_along():
    index = np.array([[[0, 2, 1]], [[1, 1, 0]]])
    check(lambda x, i: x.gather(1, i), A, index)
    check(lambda x, i, s: x.scatter_add(1, i, s), A, index, -A[:, :1, :3])
    order = np.argsort(-A, 1)
    check(lambda x, i: x.take_along_dim(i, 1), A, order) if hasattr(torch.Tensor, "take_along_dim") else None
    check(lambda x, i: x.take_along_dim(i, 2), A, np.array([[[3]]]))
    check(lambda x, i: x.take_along_dim(i), A, np.array([3, 3, 0]))


def test_one_hot():
    index = np.array([[0, 2], [1, 1]])
    for classes in (-1, 5):
        ours = F.one_hot(tm.tensor(index), classes)
        assert ours.dtype == np.int64
        assert ours.tolist() == torch.nn.functional.one_hot(torch.tensor(index), classes).tolist()
    with pytest.raises(ValueError, match="does not fit 2 classes"):
        F.one_hot(tm.tensor(index), 2)


PADS = [
    ((1, 2), "constant", 3.0),
    ((1, 0, 0, 2), "constant", None),
    ((-1, 2, 1, -1), "constant", 0.5),
    ((0, 0, 1, 1, 2, 0), "constant", 1.0),
    ((1, 2), "reflect", None),
    ((2, 3, 1, 2), "reflect", None),
    ((5, 2, 1, 3), "replicate", None),
    ((4, 2, 3, 1), "circular", None),
]


@pytest.mark.parametrize(("widths", "mode", "value"), PADS)
def test_pad(widths, mode, value, backend_name):
    x = np.random.default_rng(1).normal(size=(2, 3, 4)).astype(np.float32)
    module = {tm.Tensor: F, torch.Tensor: torch.nn.functional}
    check(
        lambda t: module[type(t)].pad(t, widths, mode, value), x[None] if len(widths) == 4 and mode != "constant" else x
    )


def test_pad_of_an_image_keeps_its_memory_order():
    x = tm.from_numpy(np.moveaxis(np.ones((2, 5, 6, 3), np.float32), -1, 1))
    with tm.use_backend("numba"):
        y = F.pad(x, (1, 1, 2, 2))
    assert y.shape == (2, 3, 9, 8)
    assert y.array.transpose(0, 2, 3, 1).flags.c_contiguous
    assert y.numpy().sum() == 180


def test_unfold_and_pixel_shuffle():
    x = np.random.default_rng(0).normal(size=(2, 4, 6, 5)).astype(np.float32)
    module = {tm.Tensor: F, torch.Tensor: torch.nn.functional}
    check(lambda t: module[type(t)].unfold(t, 3), x)
    check(lambda t: module[type(t)].unfold(t, (2, 3), dilation=2, padding=(1, 2), stride=(2, 1)), x)
    check(lambda t: module[type(t)].pixel_shuffle(t, 2), x)
    check(lambda t: module[type(t)].pixel_unshuffle(t[..., :4], 2), x)
    with pytest.raises(ValueError, match="does not fit"):
        F.unfold(tm.tensor(x), 9)
