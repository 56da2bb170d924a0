"""Captured steps: the same results as uncaptured ones, what follows between steps, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinymed
from tinymed import dispatch, models, nn, optim, program, random
from tinymed.nn import functional as F
from tinymed.program import CaptureError, capture, passes
from tinymed.program.program import lifetimes, place
from tinymed.program.values import Value


def training(optimizer=optim.Adam, dropout=0.25, **options):
    """(model, optimizer, step, images, targets) of a small network with everything the papers' CNN has."""
    tinymed.manual_seed(3)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(8),
        nn.Dropout(dropout),
        nn.Flatten(),
        nn.Linear(8 * 5 * 5, 6),
        nn.ReLU(),
        nn.Linear(6, 2),
    )
    chosen = optimizer(model.parameters(), lr=0.01, **options)

    def step(x, y):
        chosen.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        chosen.step()
        return loss

    return model, chosen, step, tinymed.randn(4, 3, 10, 10, seed=1), tinymed.tensor([0, 1, 1, 0])


def state_after(steps, wrap, **options):
    model, chosen, step, x, y = training(**options)
    step = wrap(step)
    losses = [step(x * (1 + 0.1 * i), y).item() for i in range(steps)]
    return losses, {k: v.numpy().copy() for k, v in model.state_dict().items()} | chosen.state_dict()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight_decay": 0.1},
        {"optimizer": optim.AdamW},
        {"optimizer": optim.SGD},
        {"optimizer": optim.SGD, "momentum": 0.9, "nesterov": True},
        {"optimizer": optim.RMSprop},
    ],
    ids=["Adam", "Adam, decay", "AdamW", "SGD", "SGD, momentum", "RMSprop"],
)
def test_captured_equals_uncaptured(options, backend_name, monkeypatch):
    """As recorded, to 1e-6; rewritten, to what Adam makes of rounding where a gradient is nearly 0."""
    losses, state = state_after(4, lambda f: f, **options)
    for patterns, rtol, atol in (([], 1e-6, 1e-6), (passes.PATTERNS, 1e-3, 5e-3)):
        monkeypatch.setattr(passes, "PATTERNS", patterns)
        captured, after = state_after(4, capture, **options)
        np.testing.assert_allclose(captured, losses, rtol=rtol)
        for name in state:
            np.testing.assert_allclose(after[name], state[name], rtol=1e-5, atol=atol, err_msg=name)


def test_a_step_does_not_depend_on_when_it_was_recorded():
    """A resumed run records later than one that was not interrupted, and goes on to the same bits."""
    model, chosen, step, x, y = training()
    captured = capture(step)
    for _ in range(3):
        captured(x, y)
    state, moments, draws = model.state_dict(), chosen.state_dict(), random.default_generator.state.copy()
    state = {k: v.numpy().copy() for k, v in state.items()}
    expected = [captured(x, y).item() for _ in range(2)]
    other, its, step, x, y = training()
    other.load_state_dict(state)
    its.load_state_dict(moments)
    random.default_generator.state[:] = draws
    resumed = capture(step)
    assert [resumed(x, y).item() for _ in range(2)] == expected


def test_the_papers_cnn_has_one_optimizer_pass_and_shares_padding():
    model = models.create("dcnn", size=48, padding="same")
    chosen = optim.Adam(model.parameters())

    def step(x, y):
        chosen.zero_grad()
        loss = F.binary_cross_entropy_with_logits(model(x), y)
        loss.backward()
        chosen.step()
        return loss

    step = capture(step)
    with tinymed.use_backend("numba"):
        step(tinymed.randn(2, 3, 48, 48, seed=0), tinymed.ones(2, 2))
    names = [c.dispatcher.name for c in step.program.calls]
    assert names.count("adam_flat") == 1
    assert "adam_step" not in names
    text = str(step.program)
    assert "updates in one pass" in text
    assert "features.0.weight" in text
    assert "also" in text  # a padded image serves forward and backward
    assert step.program.arena.nbytes < sum(v.nbytes for v in {v for v, _ in step.program.values()})


# ----------------------------------------------------------------------------------------- what follows


def test_the_learning_rate_is_followed():
    model, chosen, step, x, y = training()
    step = capture(step)
    step(x, y)
    before = model[0].weight.numpy().copy()
    chosen.param_groups[0]["lr"] = 0.0
    step(x, y)
    np.testing.assert_array_equal(model[0].weight.numpy(), before)


def test_inputs_are_read_anew_and_masks_change():
    step = capture(lambda t: F.dropout(t, 0.5).sum())
    x = tinymed.rand(64, 64, seed=0) + 0.5
    sums = [step(x * scale).item() / scale for scale in (1.0, 1.0, 2.0, 2.0)]
    assert len(set(sums)) == 4
    assert all(abs(s / x.sum().item() - 1) < 0.1 for s in sums)


def test_another_shape_dtype_or_mode_is_another_program():
    layer = nn.Dropout(0.5)
    step = capture(lambda t: layer(t).sum())
    for n in (4, 5, 4):
        step(tinymed.ones(n, n))
    assert sum(map(len, step.replays.values())) == 2
    layer.eval()
    assert [step(tinymed.ones(n, n)).item() for n in (4, 5)] == [16, 25]
    assert step(tinymed.ones(4, 4, dtype=tinymed.float64)).dtype == np.float64
    assert sum(map(len, step.replays.values())) == 5
    layer.train()
    step(tinymed.ones(4, 4))
    assert sum(map(len, step.replays.values())) == 5  # the first program is used again


def test_loaded_weights_are_followed():
    model, _, _, x, _ = training()
    model.eval()
    step = capture(lambda t: model(t))
    before = step(x).numpy()
    model.load_state_dict({k: v.numpy() * 2 for k, v in model.state_dict().items()})
    np.testing.assert_allclose(step(x).numpy(), model(x).numpy(), rtol=1e-5)
    model[0].weight.array = np.zeros_like(model[0].weight.array)  # a new array
    np.testing.assert_allclose(step(x).numpy(), model(x).numpy(), rtol=1e-5)
    assert not np.allclose(step(x).numpy(), before)


def test_returned_tensors_are_copies_and_keep_their_structure():
    step = capture(lambda t: {"twice": t * 2, "both": (t + 1, [t.sum()]), "nothing": None})
    first, second = step(tinymed.ones(3)), step(tinymed.ones(3) * 5)
    assert first["twice"].tolist() == [2, 2, 2]
    assert second["both"][0].tolist() == [6, 6, 6]
    assert second["both"][1][0].item() == 15
    assert second["nothing"] is None


def test_inputs_may_be_tuples():
    step = capture(lambda pair, z: pair[0] * pair[1] + z)
    ones = tinymed.ones(2)
    assert [step((ones * i, ones * 3), ones).tolist() for i in (1, 2)] == [[4, 4], [7, 7]]


def test_gradients_are_seen_after_the_step():
    weight = tinymed.ones(3, requires_grad=True)

    def step(x):
        weight.grad = None
        (x * weight).sum().backward()

    step = capture(step)
    step(tinymed.ones(3))
    step(tinymed.ones(3) * 7)
    assert weight.grad.tolist() == [7, 7, 7]


# ----------------------------------------------------------------------------------------- what is refused


def test_a_value_read_inside_is_refused_with_its_line():
    for read in (float, bool, lambda t: t.numpy(), lambda t: t.tolist(), lambda t: np.asarray(t)):
        step = capture(lambda t, read=read: [t * 2, read(t.sum())][0])
        with pytest.raises(CaptureError, match=r"test_program.py:\d+: the captured step calls"):
            step(tinymed.ones(1))
    assert not tinymed.tape.host_read_listeners
    assert not tinymed.dispatch.observers


def test_an_array_made_by_python_is_refused():
    numbers = iter(range(10))
    step = capture(lambda t: t + tinymed.tensor([float(next(numbers))] * 3))
    with pytest.raises(CaptureError, match=r"test_program.py:\d+: an argument of add was"):
        step(tinymed.ones(3))


def test_a_number_that_changes_is_refused():
    rates = iter((0.1, 0.2, 0.3))
    step = capture(lambda t: F.dropout(t, next(rates)))
    with pytest.raises(CaptureError, match="argument of dropout_forward was"):
        step(tinymed.ones(8))


def test_a_branch_is_refused():
    turns = iter((True, False))
    step = capture(lambda t: t * 2 if next(turns) else t + 2)
    with pytest.raises(CaptureError, match="called mul_flat, and when run again add"):
        step(tinymed.ones(8))


def test_forgotten_zero_grad_is_refused():
    weight = tinymed.ones(4, requires_grad=True)

    def step(x):
        (x * weight).sum().backward()

    with pytest.raises(CaptureError, match="gradients left from the step before"):
        capture(step)(tinymed.ones(4))
    assert weight.grad is None  # as before the call


def test_a_setting_changed_by_python_inside_is_refused():
    _, chosen, step, x, y = training()

    def decaying(x, y):
        loss = step(x, y)
        chosen.param_groups[0]["lr"] *= 0.9
        return loss

    with pytest.raises(CaptureError, match="changed during the step, but no kernel wrote to it"):
        capture(decaying)(x, y)


def test_what_is_no_tensor_is_refused():
    with pytest.raises(CaptureError, match=r"takes and returns tensors.*got int 3"):
        capture(lambda t, n: t)(tinymed.ones(1), 3)
    with pytest.raises(ValueError, match="requires a gradient"):
        capture(lambda t: t * 2)(tinymed.ones(1, requires_grad=True))
    with pytest.raises(CaptureError, match=r"returns tensors.*got float 3.0"):
        capture(lambda t: 3.0)(tinymed.ones(1))


def test_a_refused_step_leaves_everything_as_it_was():
    model, chosen, step, x, y = training()
    before = {k: v.numpy().copy() for k, v in model.state_dict().items()} | chosen.state_dict()
    draws = random.default_generator.state.copy()
    with pytest.raises(CaptureError):
        capture(lambda x, y: float(step(x, y)))(x, y)
    after = {k: v.numpy() for k, v in model.state_dict().items()} | chosen.state_dict()
    for name in before:
        np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    np.testing.assert_array_equal(random.default_generator.state, draws)


def test_with_fallback_a_refused_step_runs_as_it_is():
    step = capture(lambda t: t * float(t.sum()), fallback=True)
    assert [step(tinymed.ones(2) * s).tolist() for s in (1, 2)] == [[2, 2], [8, 8]]
    assert "calls item" in step.refused


def test_inside_another_capture_a_step_is_part_of_it():
    inner = capture(lambda t: t * 2)
    outer = capture(lambda t: inner(t) + 1)
    assert outer(tinymed.ones(2)).tolist() == [3, 3]
    assert [c.dispatcher.name for c in outer.program.calls] == ["mul_flat", "add"]


# ------------------------------------------------------------------------------------------- the parts


@given(
    st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 12), st.integers(0, 5)), min_size=1, max_size=40),
    st.sampled_from((0, 640)),
)
def test_values_that_live_at_one_time_never_overlap(spans, bottom):
    values = [Value(nbytes, f"v{i}") for i, (nbytes, *_) in enumerate(spans)]
    touched = [(v, at) for v, (_, first, length) in zip(values, spans, strict=True) for at in (first, first + length)]
    total = place(lifetimes(iter(touched), 20), bottom)
    for i, (v, (_, first, length)) in enumerate(zip(values, spans, strict=True)):
        assert bottom <= v.start
        assert v.start + v.nbytes <= total
        assert v.start % 64 == 0
        for w, (_, other, width) in zip(values[:i], spans[:i], strict=True):
            if first <= other + width and other <= first + length and v.nbytes and w.nbytes:
                assert v.start + v.nbytes <= w.start or w.start + w.nbytes <= v.start


def test_a_pattern_says_what_a_line_must_be():
    with pytest.raises(ValueError, match="outputs = kernel"):
        program.patterns.parse("y = 3")
    line = program.patterns.parse("y, i = max_pool_2x2(x, (2, 3))")[0]
    assert (line.outs, line.kernel, line.args) == (("y", "i"), "max_pool_2x2", ("x", (2, 3)))


def test_a_run_that_makes_no_sense_without_computing_is_computed():
    """A reference may fail on arrays that hold anything."""
    x, dry = tinymed.tensor(np.ones((4, 5), np.float32)), []

    def step(x):
        y = tinymed.relu(x) * 3
        dry.append(dispatch.table().skipped is not None)
        if dry[-1]:
            raise IndexError("an index that was never computed")
        return y

    captured = tinymed.capture(step)
    assert np.array_equal(captured(x).numpy(), np.full((4, 5), 3))
    assert dry == [True, False, True, False]
    assert all(call.dispatcher.table is dispatch.table() for call in captured.program.calls)


def test_recording_computes_nothing(backend_name):
    x, runs = tinymed.tensor(np.ones((4, 5), np.float32)), []

    def step(x):
        y = tinymed.relu(x) + 1
        runs.append(y.array)
        return y

    captured = tinymed.capture(step)
    assert np.array_equal(captured(x).numpy(), np.full((4, 5), 2))
    assert np.array_equal(captured(tinymed.tensor(np.full((4, 5), -1, np.float32))).numpy(), np.ones((4, 5)))
    assert len(runs) == 2
    assert all(call.dispatcher.table is dispatch.table() for call in captured.program.calls)


def test_every_product_counts_its_operations():
    """What is printed of a program: convolutions and matrix products, fused or not, say how many FLOP they are."""
    model = models.create("dcnn", num_classes=2, in_channels=3, size=32, padding="same")
    optimizer = optim.Adam(model.parameters())
    x = tinymed.tensor(np.ones((2, 3, 32, 32), np.float32))

    def step(x):
        optimizer.zero_grad()
        loss = F.sum(model(x) * model(x))
        loss.backward()
        optimizer.step()
        return loss

    captured = tinymed.capture(step)
    with dispatch.use_backend("numba"):
        captured(x)
    products = [
        c for c in captured.program.calls if c.dispatcher.name.startswith(("conv_", "gemm", "row_sums", "dots"))
    ]
    assert len(products) > 10
    assert [str(c) for c in products if not c.flops()] == []
    assert "0.00 GFLOP" not in str(captured.program)
