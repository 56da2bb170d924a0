"""Tensor: casts, sizes, iteration, and writing in place with gradients."""

import numpy as np
import pytest

import tinymed as tm

torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")


# ------------------------------------------------------------------------------------------------- description


def test_sizes_and_casts():
    x = tm.zeros(2, 3)
    assert (x.ndim, x.dim(), x.size(), x.size(-1), x.numel(), x.element_size()) == (2, 2, (2, 3), 3, 6, 4)
    assert [x.double().dtype, x.long().dtype, x.int().dtype, x.bool().dtype] == [
        np.float64,
        np.int64,
        np.int32,
        np.bool_,
    ]
    assert x.float() is x
    assert x.to("cpu") is x
    assert (
        x.to(tm.float64).dtype
        == x.to(dtype="float64").dtype
        == x.to("cpu", np.float64).dtype
        == x.to(x.double()).dtype
        == np.float64
    )
    assert x.to(float).dtype == np.float32
    assert x.contiguous() is x
    for bad in ("float99", np.complex64, "U3"):
        with pytest.raises(TypeError, match="dtype"):
            x.to(bad)
    with pytest.raises(ValueError, match="device 'cuda:1' is unknown"):
        x.to("cuda:1")


def test_casts_carry_gradients():
    x = tm.tensor([1.0, 2.0], requires_grad=True)
    (x.double() * 3).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]
    assert x.grad.dtype == np.float32
    assert not x.long().requires_grad


def test_python_protocols():
    x = tm.tensor([[1.5, 2.0], [3.0, 4.0]])
    assert [row.tolist() for row in x] == [[1.5, 2.0], [3.0, 4.0]]
    assert len(x) == 2
    assert 3 in x
    assert 7 not in x
    assert (float(x[0, 0]), int(x[0, 0]), bool(x[0, 0])) == (1.5, 1, True)
    assert [10, 20, 30][tm.tensor(2)] == 30
    assert np.asarray(x).shape == (2, 2)
    assert len({x, x.detach()}) == 2
    with pytest.raises(TypeError, match="cannot be iterated"):
        iter(tm.tensor(1.0))
    with pytest.raises(TypeError, match="one integer"):
        [1, 2][tm.tensor(0.5)]
    with pytest.raises(ValueError, match="one element"):
        bool(x == x)


def test_a_parameters_results_are_tensors():
    from tinymed.nn.module import Parameter

    p = Parameter(tm.ones(2, 2))
    for y in (p + 1, p[0], p.sum(), p.reshape(-1), p.max(0).values, p == 1, tm.cat([p, p]), p.clone(), p.detach()):
        assert type(y) is tm.Tensor


# ------------------------------------------------------------------------------------------- writing in place


def run(function, module):
    """Gradients of a, b after function(module, a, b)."""
    a = module.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
    b = module.tensor([10.0, 20.0, 30.0], requires_grad=True)
    y = function(module, a, b)
    (y * y).sum().backward()
    return y.tolist(), [None if t.grad is None else t.grad.tolist() for t in (a, b)]


def row(m, a, b):
    x = a * 2
    x[0] = b
    return x


def into_zeros(m, a, b):
    x = m.zeros(2, 3)
    x[1] = a[0] * b
    x[:, 0] = 5.0
    return x


def broadcast(m, a, b):
    x = a * 1
    x[:, 1:] = b[:2]
    return x


def arrays(m, a, b):
    x = a * 1
    x[m.tensor([1, 0]), m.tensor([2, 2])] = b[:2]
    return x


def mask(m, a, b):
    x = a * 3
    x[a > 2] = b[0]
    return x


def overwritten(m, a, b):
    x = a * 1
    x[0] = b
    x[0, 1] = a[1, 1] * 2
    x[...] = x * 2
    return x


def from_itself(m, a, b):
    x = a * b
    x[0] = x[1]
    return x


def copied(m, a, b):
    x = a * 1
    x.copy_(b)
    return x + a


def filled(m, a, b):
    x = a * b
    x.fill_(2)
    y = b * 1
    y.zero_()
    return x + y + b


def view_after_the_write(m, a, b):
    x = a * 1
    x[1] = b
    return x[1] * x[0]


def through_a_view(m, a, b):
    x = (a * b).reshape(3, 2)
    x[0] = b[:2]
    return x


def leading_ones(m, a, b):
    x = a * 1
    x[0] = b.reshape(1, 3)
    return x


def under_no_grad(m, a, b):
    x = a * b
    with m.no_grad():
        a[0, 0] = 1.0
        x[0] = 7.0
    return x + b


WRITES = [
    row,
    into_zeros,
    broadcast,
    arrays,
    mask,
    overwritten,
    from_itself,
    copied,
    filled,
    view_after_the_write,
    through_a_view,
    leading_ones,
]


@pytest.mark.parametrize("function", WRITES, ids=lambda f: f.__name__)
def test_assignment_has_pytorchs_gradients(function, backend_name):
    ours, theirs = run(function, tm), run(function, torch)
    assert ours[0] == theirs[0]
    for g, t in zip(ours[1], theirs[1], strict=True):
        np.testing.assert_allclose(np.zeros(1) if g is None else g, np.zeros(1) if t is None else t)


def test_no_grad_writes_are_not_recorded():
    w = tm.tensor([1.0, 2.0], requires_grad=True)
    x = w * 1
    with tm.no_grad():
        x[0] = 7.0
        w[1] = 5.0
        w.zero_()
    assert w.is_leaf
    (x + x).sum().backward()
    assert w.grad.tolist() == [2.0, 2.0]


@pytest.mark.parametrize(
    "write",
    [lambda t: t.__setitem__(0, 1.0), lambda t: t.copy_(tm.zeros(2)), lambda t: t.zero_(), lambda t: t.fill_(3)],
)
def test_a_leaf_that_requires_a_gradient_is_not_written(write):
    for target, what in (
        (tm.ones(2, requires_grad=True), "a leaf"),
        (tm.ones(2, 2, requires_grad=True)[0], "a view of a leaf"),
    ):
        with pytest.raises(RuntimeError, match=f"{what} that requires a gradient"):
            write(target)
        assert target.tolist() == [1.0, 1.0]
        assert target.version.value == 0


def test_a_saved_array_that_is_written_is_an_error():
    x = tm.ones(3, requires_grad=True)
    y = x * 2
    z = y * y
    y[0] = 5.0
    with pytest.raises(RuntimeError, match="Mul: an array saved for backward was changed in place"):
        z.sum().backward()


def test_a_write_through_one_view_is_seen_by_all():
    x = tm.ones(2, 2, requires_grad=True) * 1
    z = x * x
    x.reshape(4)[3] = 9.0
    assert x.tolist() == [[1.0, 1.0], [1.0, 9.0]]
    with pytest.raises(RuntimeError, match="changed in place"):
        z.sum().backward()


def view_of_a_row(m, a, b):
    x = a * b
    v = x[0]
    v *= 2
    v[1:] = b[:2] * a[1, 1:]
    return x


def view_before_the_write(m, a, b):
    x = a * b
    v = x.reshape(3, 2)[1:].T
    x[0] = b * b
    return v * x.sum()


def views_of_views(m, a, b):
    x = (a * 2).reshape(3, 2)
    v = x.permute(1, 0)
    w = v[:, 1:]
    w.mul_(b[:2])
    v[0] += 3
    x += 1
    return w * v[:, :2]


def into_a_view_of_zeros(m, a, b):
    x = m.zeros(2, 3)
    x[0][1] = b[0]
    v = x.unsqueeze(0)
    v += a
    return x


def augmented(m, a, b):
    x = a * 1
    x[0] += b
    x[:, 1] *= 2
    x[m.tensor([0, 1]), m.tensor([2, 0])] -= b[1:]
    x /= b
    x **= 2
    return x


def methods(m, a, b):
    x, y, z, u, v = a / 10, b / 10, a * 1, a / 10, a / 10
    y.neg_().abs_().sigmoid_()
    x.add_(b, alpha=2).mul_(y).sub_(1).clamp_(0, 60).div_(y)
    z.sub_(3).relu_()
    return x * z * u.exp_() * v.tanh_()


def saved_and_written(m, a, b):
    x = a * 2
    x.mul_(b)
    x.div_(a)
    x.pow_(2)
    return x


def alias(m, a, b):
    x = a * 1
    y = x
    y += b
    return x * 3


WRITES_THROUGH_VIEWS = [
    view_of_a_row,
    view_before_the_write,
    views_of_views,
    into_a_view_of_zeros,
    augmented,
    methods,
    saved_and_written,
    alias,
]


@pytest.mark.parametrize("function", WRITES_THROUGH_VIEWS, ids=lambda f: f.__name__)
def test_views_and_what_they_view_see_each_others_writes(function, backend_name):
    ours, theirs = run(function, tm), run(function, torch)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-5)
    for g, t in zip(ours[1], theirs[1], strict=True):
        np.testing.assert_allclose(np.zeros(1) if g is None else g, np.zeros(1) if t is None else t, rtol=1e-4)


def test_a_view_is_taken_again_after_a_write():
    x = tm.ones(2, 2, requires_grad=True) * 1
    view = x[0]
    x[0, 0] = 5.0
    assert (view * 2).tolist() == [10.0, 2.0]
    view.backward(tm.ones(2))


def test_a_write_through_a_detached_tensor_cannot_carry_a_gradient():
    x, v = tm.ones(2, requires_grad=True) * 1, tm.ones(2, requires_grad=True)
    d = x.detach()
    d[:] = v
    with pytest.raises(RuntimeError, match="through a detached tensor"):
        x * 2


def test_a_leaf_on_written_memory_is_an_error():
    x = tm.zeros(2, 2)
    leaf = x[0].requires_grad_()
    x[1] = tm.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="is a leaf on memory"):
        leaf * 2


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (
            lambda: tm.tensor([1, 2]).__iadd__(1.5),
            "the result is float32, which cannot be written into a tensor of int",
        ),
        (lambda: tm.tensor([1, 2]).__itruediv__(2), "the result is float32"),
        (lambda: tm.tensor([True]).add_(1), "the result is int64, which cannot be written into a tensor of bool"),
        (lambda: tm.ones(2).add_(tm.ones(3, 2)), r"the result has shape \[3, 2\], the tensor \[2\]"),
        (lambda: tm.ones(1, 2).expand(3, 2).add_(1), "several elements"),
        (lambda: tm.from_numpy(np.broadcast_to(np.ones(1), (1,))).add_(1), "read-only"),
        (lambda: tm.ones(2, requires_grad=True).mul_(2), "a leaf that requires a gradient"),
        (lambda: tm.ones(2, 2, requires_grad=True)[0].zero_(), "a view of a leaf"),
        (lambda: tm.ones(2).fill_(tm.ones(2)), "takes one number"),
        (lambda: tm.ones(2, dtype=np.int64).normal_(), "floating-point"),
        (lambda: tm.ones(2).uniform_(2, 1), "from <= to"),
        (lambda: tm.ones(2).bernoulli_(1.5), "from 0 to 1"),
        (lambda: (tm.ones(2, requires_grad=True) * 1)[:1].detach_(), "use detach"),
    ],
)
def test_what_cannot_be_written_is_said(write, message):
    with pytest.raises(RuntimeError, match=message):
        write()


def test_the_array_stays_the_same_object(backend_name):
    """Optimisers' flat buffers and captured programs refer to it."""
    p = tm.ones(3, requires_grad=True)
    array = p.array
    with tm.no_grad():
        p -= 0.5 * tm.ones(3)
        p *= 2
        p.copy_(p + 1).normal_().uniform_(1, 2).clamp_(1, 1)
    assert p.array is array
    assert p.tolist() == [1.0, 1.0, 1.0]
    assert p.requires_grad


def test_filled_with_random_numbers():
    tm.manual_seed(3)
    x = tm.empty_like(tm.zeros(4000)) if hasattr(tm, "empty_like") else tm.zeros(4000)
    n = x.normal_(2, 3).numpy().copy()
    u = x.uniform_(-1, 3).numpy().copy()
    b = x.bernoulli_(0.25).numpy().copy()
    assert abs(n.mean() - 2) < 0.2
    assert abs(n.std() - 3) < 0.2
    assert -1 <= u.min() < -0.99
    assert 2.99 < u.max() < 3
    assert set(b) == {0, 1}
    assert abs(b.mean() - 0.25) < 0.03
    tm.manual_seed(3)
    assert np.array_equal(x.normal_(2, 3).numpy(), n)
    with pytest.raises(TypeError, match="manual_seed"):
        x.normal_(generator=1)


def test_a_tensor_taken_off_the_tape():
    x = tm.ones(2, requires_grad=True) * 2
    assert x.detach_() is x
    assert x.is_leaf
    assert not x.requires_grad


def test_in_place_under_capture(backend_name):
    """Eager, captured and replayed steps that write in place agree, and the memory written is the tensor's own."""

    def train(captured):
        w, count = tm.tensor([[1.0, -2.0], [0.5, 1.5]], requires_grad=True), tm.zeros(1)

        def step(x):
            w.grad = None
            y = x @ w
            y *= 2
            y[0] += 1
            y[:, 1:].relu_()
            loss = (y * y).mean()
            loss.backward()
            with tm.no_grad():
                w.sub_(0.01 * w.grad)
                count.add_(1)
            return loss

        run = tm.capture(step) if captured else step
        losses = [run(tm.tensor([[1.0, 2.0], [3.0, float(i)]])).item() for i in range(4)]
        return losses, w.tolist(), count.tolist()

    ours, theirs = train(True), train(False)
    assert theirs[2] == [4.0]
    assert ours[2] == [4.0]
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-6)
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-6)


def test_a_write_that_fails_changes_nothing():
    x = tm.ones(2, 3, requires_grad=True) * 1
    before = x.op
    for index, value, error in (
        (0, tm.ones(4), ValueError),
        (5, 1.0, IndexError),
        ("a", 1.0, TypeError),
        (0, "a", TypeError),
    ):
        with pytest.raises(error):
            x[index] = value
    assert (x.version.value, x.op is before) == (0, True)
    x.sum().backward()


def test_values_are_cast():
    x = tm.zeros(3, dtype=np.int64)
    x[0], x[1:] = 2.7, tm.tensor([True, True])
    assert x.tolist() == [2, 1, 1]
    y = tm.zeros(2)
    v = tm.ones(2, dtype=np.float64, requires_grad=True)
    y[:] = v
    y.sum().backward()
    assert (y.dtype, v.grad.dtype, v.grad.tolist()) == (np.float32, np.float64, [1.0, 1.0])


def test_an_expanded_tensor_is_not_written():
    with pytest.raises(RuntimeError, match="several elements"):
        tm.ones(1, 3).expand(2, 3)[0] = 2.0


@pytest.mark.parametrize(
    "given", [(), (2, 3), (2, 3, 0), (2, 3, 4, 0), (1, 2, 1, 2, 1), ([1, 2.5],), ((1, 2),), ([[1], [2]],)], ids=str
)
def test_pytorchs_oldest_constructor(given):
    """Sizes or numbers; sizes with nothing but 0 after them too."""
    torch = pytest.importorskip("torch")
    ours, true = tm.Tensor(*given), torch.Tensor(*given)
    assert (ours.shape, ours.requires_grad) == (tuple(true.shape), False)
    assert ours.dtype == np.float32
    assert isinstance(given and given[0], int) or ours.tolist() == true.tolist()


@pytest.mark.parametrize("given", [(2, -1), (2, True), ([1, 2], 3), (2, 2.5)], ids=str)
def test_what_is_neither_sizes_nor_numbers_is_refused(given):
    with pytest.raises(TypeError, match="takes sizes"):
        tm.Tensor(*given)


def test_a_large_tensor_prints_its_shape():
    """Four digits, as PyTorch prints; the shape where numbers are left out."""
    assert repr(tm.tensor([1 / 3, 2.0])) == "tensor([0.3333, 2.    ])"
    assert repr(tm.zeros(40, 50)).endswith("]], shape=(40, 50))")
