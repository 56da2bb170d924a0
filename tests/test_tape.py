"""The tape: order of the walk, reuse, freeing, versions, hooks."""

import gc
import weakref

import numpy as np
import pytest
from docstrings import run, shown

import tinymed
from tinymed import optim, tape
from tinymed.ops.activations import ReLU
from tinymed.ops.elementwise import Add
from tinymed.tape import Op

add, relu = Add.apply, ReLU.apply


def leaf(*values):
    return tinymed.tensor(np.array(values), dtype=np.float64, requires_grad=True)


def test_a_chain_of_5000_ops_needs_no_stack():
    x = leaf(1.0)
    y = x
    for _ in range(5000):
        y = add(y, x)
    y.backward()
    assert x.grad.item() == 5001


def test_a_diamond_is_visited_once():
    """y = (x + x) + (x + x) ten times over: 2^10 paths, 10 ops, and each backward runs once."""
    x = leaf(1.0)
    y, calls = x, []

    class Count(tape.Observer):
        def backward(self, op, dys, dxs):
            calls.append(op)

    for _ in range(10):
        y = add(y, y)
    with tape.observers.watching(Count()):
        y.backward()
    assert len(calls) == 10
    assert x.grad.item() == 1024


def test_gradients_add_up_over_uses_and_calls():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    for n in (1, 2):
        add(add(x, y), x).backward(tinymed.tensor([1.0, 10.0]))
        assert x.grad.tolist() == [2.0 * n, 20.0 * n]
        assert y.grad.tolist() == [1.0 * n, 10.0 * n]


def test_two_leaves_never_share_a_gradient():
    x, y, dy = leaf(1.0), leaf(2.0), tinymed.tensor([5.0], dtype=np.float64)
    add(x, y).backward(dy)
    assert not np.shares_memory(x.grad.array, y.grad.array)
    assert not np.shares_memory(x.grad.array, dy.array)


@pytest.mark.parametrize("seed", range(8))
def test_the_backward_pass_that_the_docstring_shows_gives_the_gradients_of_the_walk(seed):
    code = shown(tape, "def backward_pass")
    assert len(code.splitlines()) <= 10
    backward_pass = run(code, Op=Op)["backward_pass"]
    rng = np.random.default_rng(seed)
    leaves = [tinymed.tensor(rng.normal(size=(3, 4)), requires_grad=True) for _ in range(3)]
    known = list(leaves)
    steps = [add, lambda a, b: a * b, lambda a, b: relu(a), lambda a, b: a - tinymed.exp(-b * b)]
    for _ in range(12):  # a random graph: diamonds, inputs used twice, leaves used late
        a, b = (known[i] for i in rng.integers(len(known), size=2))
        known.append(steps[rng.integers(4)](a, b))
    y = sum(known[1:], known[0])
    grads = backward_pass(y, np.ones(y.shape))
    y.backward(tinymed.ones_like(y))
    assert {id(x) for x in grads} == {id(x) for x in leaves}
    for x in leaves:
        assert np.allclose(grads[x], x.grad.array, rtol=1e-12)


def test_a_second_backward_raises_unless_retained():
    x = leaf(1.0)
    y = relu(add(x, x))
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 4
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        y.backward()


def test_second_derivatives_are_refused():
    with pytest.raises(ValueError, match="create_graph"):
        relu(leaf(1.0)).backward(create_graph=True)


def test_backward_frees_what_was_saved():
    x = leaf(1.0)
    y = relu(x)
    saved = weakref.ref(y.op.saved[0].base if y.op.saved[0].base is not None else y.op.saved[0])
    y.backward()
    del y
    gc.collect()
    assert saved() is None


def test_tensors_between_ops_are_not_kept():
    x = leaf(*np.ones(10))
    middle = add(x, x)
    gone = weakref.ref(middle)
    y = add(middle, x)
    del middle
    assert gone() is None
    y.backward(tinymed.tensor(np.ones(10)))
    assert x.grad.tolist() == [3.0] * 10


def test_no_grad_records_nothing():
    x = leaf(1.0)
    with tinymed.no_grad():
        y = relu(x)
        with tinymed.enable_grad():
            z = relu(x)
    assert (y.requires_grad, z.requires_grad, tinymed.is_grad_enabled()) == (False, True, True)
    with pytest.raises(RuntimeError, match="requires a gradient"):
        y.backward()


def test_backward_of_a_vector_needs_a_gradient_of_its_shape():
    y = relu(leaf(1.0, 2.0))
    with pytest.raises(RuntimeError, match="only a scalar"):
        y.backward()
    with pytest.raises(ValueError, match="shape"):
        y.backward(tinymed.ones(3))


def test_hooks_see_and_replace_gradients():
    x, seen = leaf(1.0), []
    y = add(x, x)
    y.register_hook(lambda g: seen.append(g.item()))
    y.register_hook(lambda g: tinymed.tensor(g.array * 3))
    x.register_hook(lambda g: tinymed.tensor(g.array * 10))
    y.retain_grad()
    relu(y).backward()
    assert (seen, y.grad.item(), x.grad.item()) == ([1.0], 3.0, 60.0)


def torch_and_ours():
    """The same product of two leaves on both sides: (library, x, w, h, y)."""
    torch = pytest.importorskip("torch")
    for lib in (torch, tinymed):
        x, w = (lib.tensor(v, requires_grad=True) for v in ([1.0, 2.0], [3.0, 4.0]))
        h = x * w
        yield lib, x, w, h, (h * h).sum()


def test_backward_gives_a_gradient_to_the_inputs_named_and_to_no_other():
    """As PyTorch: what does not lead to an input is not visited, one that is no leaf retains its gradient."""
    outcomes = []
    for _, x, w, h, y in torch_and_ours():
        seen = []
        x.register_hook(lambda g, seen=seen: seen.append("x"))
        w.register_hook(lambda g, seen=seen: seen.append("w"))
        grads = []
        for inputs in ([h], [h], [w, h], x, [x, x], None):
            y.backward(inputs=inputs, retain_graph=True)
            grads.append([None if t.grad is None else t.grad.tolist() for t in (x, w, h)])
        outcomes.append((grads, seen, h.retains_grad))
    assert outcomes[0] == outcomes[1]


def test_what_backward_did_not_visit_is_kept():
    for lib, x, w, _, _ in torch_and_ours():
        y = (x * x).sum()
        y.backward(inputs=[w])
        assert w.grad is None
        y.backward()
        assert x.grad.tolist() == [2.0, 4.0]
        for wrong, message in (([], "empty"), ([lib.ones(2)], "grad")):
            with pytest.raises(RuntimeError, match=message):
                (x * x).sum().backward(inputs=wrong)


def test_grad_returns_gradients_and_leaves_no_trace():
    x, y, z = leaf(2.0), leaf(3.0), leaf(1.0)
    s = add(x, y)
    dx, ds, dz = tinymed.grad(relu(add(s, s)), [x, s, z])
    assert (dx.item(), ds.item(), dz, x.grad, s.grad) == (2.0, 2.0, None, None, None)


def test_a_write_to_a_saved_array_is_an_error():
    x = leaf(1.0)
    y = relu(x)
    y.version.value = 1  # what every in-place write to y does
    with pytest.raises(RuntimeError, match="ReLU: an array saved for backward was changed in place"):
        y.backward()


def test_numpy_is_read_only_while_the_tape_needs_it():
    x = tinymed.tensor([1.0, 2.0])
    x.numpy()[0] = 5
    assert x.tolist() == [5.0, 2.0]
    y = relu(x.requires_grad_())
    for t in (x, y):
        with pytest.raises(ValueError, match="read-only"):
            t.numpy()[0] = 1


@pytest.mark.parametrize("gone", ["forward", "backward", "samples", "oracle"])
def test_an_op_cannot_be_declared_incomplete(gone):
    body = {
        "forward": lambda self, x: x,
        "backward": None,
        "samples": staticmethod(lambda draw: ()),
        "oracle": "torch.abs",
    }
    del body[gone]
    with pytest.raises(TypeError, match=f"lacks {gone}"):
        type("Half", (Op,), body)
    assert "Half" not in Op.registry


def test_an_op_without_an_oracle_needs_a_reason():
    with pytest.raises(TypeError, match="oracle_reason"):
        type("Half", (Op,), {"forward": None, "backward": None, "samples": None, "oracle": None})


def test_an_op_needs_a_tensor():
    with pytest.raises(TypeError, match="at least one tensor"):
        relu(3.0)


PROMOTION = [
    ((np.float32, 1), (np.float64, 0)),
    ((np.int64, 1), (np.float64, 0)),
    ((np.int64, 1), (np.float32, 1)),
    ((np.uint8, 1), (np.int8, 1)),
    ((np.int32, 1), (np.int64, 0)),
    ((np.bool_, 1), (np.int64, 0)),
    ((np.float64, 1), (np.float32, 1)),
    ((np.int16, 1), 2.5),
    ((np.int16, 1), 2),
    ((np.bool_, 1), 1.5),
    ((np.bool_, 1), True),
    ((np.float64, 0), 1),
    (1, 2.0),
]


@pytest.mark.parametrize(("a", "b"), PROMOTION)
def test_promotion_is_pytorchs(a, b):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")

    def make(module, spec):
        if not isinstance(spec, tuple):
            return spec
        array = np.ones((2,) * spec[1], spec[0])
        return tinymed.tensor(array) if module is tinymed else torch.from_numpy(np.array(array))

    for x, y in ((a, b), (b, a)):
        ours = tinymed.result_type(make(tinymed, x), make(tinymed, y))
        assert ours.name == str(torch.result_type(make(torch, x), make(torch, y))).removeprefix("torch.")


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (tinymed.ones(1), RuntimeError, r"float32 \[1\], the tensor float32 \[2\]"),
        (tinymed.ones(3), RuntimeError, r"float32 \[3\], the tensor float32 \[2\]"),
        (tinymed.ones(2, 1), RuntimeError, r"float32 \[2, 1\]"),
        (tinymed.ones(2, dtype="float64"), RuntimeError, r"float64 \[2\], the tensor float32"),
        (np.ones(2, np.float32), TypeError, "a tensor or None, got ndarray"),
        (1.0, TypeError, "a tensor or None, got float"),
    ],
)
def test_a_gradient_that_is_none_is_refused_where_it_is_written(given, error, words):
    """An optimiser's kernel would read it as if it had the parameter's shape: foreign memory."""
    x = tinymed.ones(2, requires_grad=True)
    with pytest.raises(error, match=words):
        x.grad = given
    assert x.grad is None
    x.grad = tinymed.full((2,), 3.0)
    assert x.grad.tolist() == [3.0, 3.0]
    x.grad = None
    assert x.grad is None


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop"])
@pytest.mark.parametrize("made", ["before", "after"])
def test_a_parameter_whose_data_has_another_shape_is_not_stepped_by_its_old_gradient(name, made):
    x = tinymed.ones(2, requires_grad=True)
    first = getattr(optim, name)([x], lr=0.1)
    (x * x).sum().backward()
    x.data = tinymed.ones(500)
    optimizer = first if made == "before" else getattr(optim, name)([x], lr=0.1)
    with pytest.raises((RuntimeError, ValueError), match=r"\[500\]"):
        optimizer.step()
    assert x.tolist() == [1.0] * 500
