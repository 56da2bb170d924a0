"""Captured steps as CUDA graphs, on the stand-in for CuPy: captured once, launched, and what a graph cannot hold.

A capture writes work down and does none of it, so whatever a replay froze instead of binding shows in its results.
"""

import weakref

import fake_streams
import numpy as np
import pytest
from fake_cupy import Memory, reading_allowed
from fake_streams import CaptureBroken, Stream, graphs

import tinymed
from tinymed import nn, optim
from tinymed.dispatch import implementations, kernel
from tinymed.dispatch.declare import rules
from tinymed.nn import functional as F
from tinymed.program import CaptureError, capture


def training(device, optimizer=optim.Adam, dropout=0.25, **options):
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
    ).to(device)
    chosen = optimizer(model.parameters(), lr=0.01, **options)

    def step(x, y):
        chosen.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        chosen.step()
        return loss

    x = tinymed.randn(4, 3, 10, 10, seed=1, device=device)
    return model, chosen, step, x, tinymed.tensor([0, 1, 1, 0], device=device)


def first(step, *inputs):
    """The call that records: it reads values, to compare; later ones must not."""
    with reading_allowed():
        return step(*inputs)


def host(t):
    with reading_allowed():
        return t.cpu().numpy()


def losses_and_state(wrap, name, steps=4, **options):
    """Of training with a rate that falls, on other images at every step."""
    with tinymed.use_backend(name):
        model, chosen, step, x, y = training("cuda", **options)
        step, losses = wrap(step), []
        for i in range(steps):
            chosen.param_groups[0]["lr"] = 0.01 / (1 + i)
            images = x * (1 + 0.1 * i)
            losses.append(first(step, images, y) if i == 0 else step(images, y))
        with reading_allowed():
            state = {k: v.cpu().numpy() for k, v in model.state_dict().items()} | chosen.state_dict()
        return [host(loss) for loss in losses], state


@pytest.mark.parametrize(
    "options",
    [{}, {"optimizer": optim.SGD, "momentum": 0.9}, {"optimizer": optim.RMSprop}],
    ids=["Adam", "SGD", "RMSprop"],
)
def test_a_graph_is_captured_once_and_launched_for_every_step(cuda, options):
    expected, state = losses_and_state(lambda step: step, "cuda", **options)
    found, after = losses_and_state(capture, "cuda", **options)
    (graph,) = graphs
    assert graph.launches == 4
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert len({float(v) for v in found}) == 4
    for key in state:
        np.testing.assert_allclose(after[key], state[key], rtol=1e-4, atol=1e-4, err_msg=key)


def test_products_of_cupy_are_replayed_call_by_call(cuda):
    """No capture takes cuBLAS: the backend `cupy` says so, and which backend has products of its own."""
    with tinymed.use_backend("cupy"):
        _, _, step, x, y = training("cuda")
        with pytest.raises(CaptureError, match=r"conv2d_forward .*cuBLAS.* backend `cuda` has products of its own"):
            first(capture(step), x, y)
    expected, _ = losses_and_state(lambda step: step, "cupy")
    found, _ = losses_and_state(lambda step: capture(step, fallback=True), "cupy")
    assert not any(g.launches for g in graphs)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_recording_holds_no_arrays(cuda):
    """Of forty arrays made one after the other, recorded twice, a few are there at a time."""
    nbytes = 1 << 20

    def step(x):
        for _ in range(40):
            x = F.relu(x) + 1
        return x.sum()

    with tinymed.use_backend("cuda"):
        x = tinymed.ones(nbytes // 4)
        before = Memory.most = Memory.held
        assert host(first(capture(step), x)) == nbytes // 4 * 41
    assert Memory.most - before < 8 * nbytes


@pytest.mark.parametrize("keep", ["an array", "a view"])
def test_what_a_step_keeps_of_itself_is_found_on_a_gpu(cuda, keep):
    kept = []

    def step(x):
        y = F.relu(x)
        kept.append(y if keep == "an array" else y.reshape(3, 2))
        return y.sum()

    with tinymed.use_backend("cuda"), pytest.raises(CaptureError, match="relu_forward is held"):
        first(capture(step), tinymed.ones(2, 3))


def test_later_steps_never_wait_and_run_where_the_caller_works(cuda):
    with tinymed.use_backend("cuda"):
        _, _, step, x, y = training("cuda")
        step = capture(step)
        first(step, x, y)
        captured = {stream for _, stream in cuda.launched} - {Stream.null.ptr}
        assert len(captured) == 1  # warming up, on the graph's own stream
        cuda.launched.clear()
        with Stream(non_blocking=True) as side:
            side.wait_event(Stream.null.record())
            loss = step(x, y)
        Stream.null.wait_event(side.record())
        assert {stream for _, stream in cuda.launched} <= captured | {side.ptr}
        assert host(loss) > 0


def test_masks_and_inputs_change_between_launches(cuda):
    with tinymed.use_backend("cuda"):
        step = capture(lambda t: F.dropout(t, 0.5).sum())
        x = tinymed.rand(64, 64, seed=0) + 0.5
        sums = [float(host(first(step, x * scale))) / scale for scale in (1.0, 1.0, 2.0, 2.0)]
        total = float(host(x.sum()))
    assert len(set(sums)) == 4
    assert all(abs(s / total - 1) < 0.1 for s in sums)


def test_another_shape_is_another_graph(cuda):
    with tinymed.use_backend("cuda"):
        step = capture(lambda t: F.relu(t).sum())
        for n in (4, 5, 4, 5, 4):
            assert host(first(step, tinymed.ones(n, n))) == n * n
    assert [g.launches for g in graphs] == [3, 2]


def test_another_device_is_another_program(cuda):
    step = capture(lambda t: F.relu(t) * 2)
    x = tinymed.randn(3, 4, seed=0)
    expected = np.maximum(x.numpy(), 0) * 2
    np.testing.assert_array_equal(step(x).numpy(), expected)
    np.testing.assert_array_equal(host(first(step, x.cuda())), expected)
    np.testing.assert_array_equal(step(x).numpy(), expected)
    assert len(graphs) == 1


def test_gradients_are_seen_after_a_launch(cuda):
    with tinymed.use_backend("cuda"):
        weight = tinymed.ones(3, requires_grad=True)

        def step(x):
            weight.grad = None
            (x * weight).sum().backward()

        step = capture(step)
        first(step, tinymed.ones(3))
        step(tinymed.ones(3) * 7)
        assert host(weight.grad).tolist() == [7, 7, 7]


def test_what_a_reference_brings_from_the_host_is_brought_once(cuda):
    """Bilinear weights and indices are the host's: inside a graph they would be read from memory used again."""
    with tinymed.use_backend("cupy"):
        step = capture(lambda t: F.interpolate(t, scale_factor=2, mode="bilinear").mean())
        found = [host(first(step, tinymed.ones(1, 1, 3, 3) * s)) for s in (1.0, 2.0)]
    np.testing.assert_allclose(found, [1, 2], rtol=1e-6)


# ------------------------------------------------------------------------------------------- what a graph cannot hold


@pytest.fixture
def neg_that(monkeypatch):
    """Give the op -x a reference of another kind."""

    def replace(reference):
        declared = implementations["reference", "neg"]
        monkeypatch.setitem(implementations, ("reference", "neg"), declared)  # put back afterwards
        monkeypatch.setitem(rules, "neg", rules["neg"])
        kernel(name="neg", out=declared.rule.out, flops=declared.rule.flops)(reference)

    return replace


def looks(xp, x):
    """A reference whose result depends on a value that the host reads."""
    return -x if float(x.sum()) > 0 else x


@pytest.mark.parametrize("fallback", [False, True])
def test_a_call_that_needs_the_host_is_refused_with_its_line_or_replayed_call_by_call(cuda, neg_that, fallback):
    neg_that(looks)
    with tinymed.use_backend("cupy"):
        step = capture(lambda t: -(t * 2), fallback=fallback)
        x = tinymed.ones(3)
        if not fallback:
            with pytest.raises(CaptureError, match=r"test_program_graph.py:\d+: neg cannot be part of a CUDA graph"):
                first(step, x)
            assert not Stream.null.is_capturing()
            return
        results = [host(first(step, x * s)).tolist() for s in (1.0, -1.0)]
    assert results == [[-2.0] * 3, [-2.0] * 3]  # replayed call by call, so the host decides at every step
    assert "neg cannot be part of a CUDA graph" in step.ungraphed
    assert not step.refused
    assert not graphs


def test_a_refused_graph_leaves_everything_as_it_was(cuda, neg_that):
    neg_that(looks)
    with tinymed.use_backend("cupy"):
        weight = tinymed.ones(3, requires_grad=True)
        rule = optim.SGD([weight], lr=0.1, momentum=0.9)

        def step(x):
            rule.zero_grad()
            (-(x * weight)).sum().backward()
            rule.step()

        with pytest.raises(CaptureError, match="cannot be part of a CUDA graph"):
            first(capture(step), tinymed.ones(3))
        assert host(weight).tolist() == [1, 1, 1]
        assert weight.grad is None


def test_a_step_on_two_devices_is_refused(cuda):
    x = tinymed.ones(3, device="cuda")
    y = tinymed.ones(3)
    with (
        tinymed.use_backend("cuda"),
        pytest.raises(CaptureError, match=r"graph.py:\d+: add runs on 'numba'"),
    ):
        first(capture(lambda a, b: (a * 2, b + 1)), x, y)


# ----------------------------------------------------------------------------------------- the stand-in is strict


@pytest.mark.parametrize(
    ("work", "what"),
    [
        (lambda xp, x: x.get(), "get"),
        (lambda xp, x: float(x.sum()), "float"),
        (lambda xp, x: xp.asarray([1.0, 2.0]), "copy from the host"),
        (lambda xp, x: xp.nonzero(x), "nonzero"),
        (lambda xp, x: x[x > 0], "truth values"),
        (lambda xp, x: xp.cuda.get_current_stream().synchronize(), "synchronize"),
    ],
    ids=["get", "float", "upload", "nonzero", "mask", "synchronize"],
)
def test_a_capture_forbids_what_cuda_forbids(cuda, work, what):
    import cupy

    x, stream, pool = cupy.ones(3), cupy.cuda.Stream(non_blocking=True), cupy.cuda.MemoryPool()
    with reading_allowed(), cupy.cuda.using_allocator(pool.malloc), stream:
        stream.begin_capture()
        with pytest.raises(CaptureBroken, match=what):
            work(cupy, x)
        with pytest.raises(CaptureBroken, match="invalidated"):
            stream.end_capture()


@pytest.mark.parametrize("product", [lambda xp, x: x @ x, lambda xp, x: xp.tensordot(x, x, 1), lambda xp, x: x.dot(x)])
def test_a_capture_takes_no_cublas(cuda, product):
    import cupy

    x, stream, pool = cupy.ones((3, 3)), cupy.cuda.Stream(non_blocking=True), cupy.cuda.MemoryPool()
    with cupy.cuda.using_allocator(pool.malloc), stream:
        stream.wait_event(Stream.null.record())
        stream.begin_capture()
        with pytest.raises(NotImplementedError, match="cuBLAS API during stream capture"):
            product(cupy, x)
        stream.end_capture()


def test_memory_is_as_a_pools(cuda):
    """Allocations take no weak references, a view knows what it is a view of, and what nobody holds is overwritten."""
    import cupy

    x = cupy.ones((2, 3))
    view = x.T[1:]
    assert view.base is x
    assert x.base is None
    assert view.data.mem is x.data.mem
    with pytest.raises(TypeError, match="weak reference"):
        weakref.ref(x.data.mem)
    below = x._a
    del x
    with reading_allowed():
        assert view.get().tolist() == [[1, 1], [1, 1]]
        del view
        cupy.cuda.Device().synchronize()
    assert np.isnan(below).all()


def test_the_device_is_late(cuda):
    import cupy

    x = cupy.zeros(3)
    event = cupy.cuda.get_current_stream().record()
    assert not event.done
    with reading_allowed():
        x.get()
    assert event.done


def test_memory_of_another_pool_breaks_a_capture(cuda):
    import cupy

    x, stream = cupy.ones(3), cupy.cuda.Stream(non_blocking=True)
    stream.begin_capture()
    with stream, pytest.raises(CaptureBroken, match="another pool"):
        x + 1
    with pytest.raises(RuntimeError, match="legacy"):
        cupy.cuda.Stream.null.begin_capture()


def test_streams_that_do_not_wait_are_found(cuda):
    import cupy

    x = cupy.ones(3)
    with cupy.cuda.Stream(non_blocking=True), pytest.raises(fake_streams.Unordered, match="without waiting"):
        x += 1
