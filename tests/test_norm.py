"""Normalisation: running statistics under each rule, numerical care, determinism, errors.  Gradients: test_ops.py."""

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import tinymed
from tinymed import dispatch
from tinymed.nn import functional as F


def running(channels=3, dtype=np.float32):
    return tinymed.tensor(np.zeros(channels, dtype)), tinymed.tensor(np.ones(channels, dtype))


class TestRunningStatistics:
    def test_torch_rule(self, rng, backend_name):
        mean, var = running()
        layer = torch.nn.BatchNorm2d(3, momentum=0.2)
        for _ in range(4):
            x = rng.normal(3, 2, (4, 3, 5, 2)).astype(np.float32)
            layer(torch.tensor(x))
            F.batch_norm(tinymed.tensor(x), mean, var, training=True, momentum=0.2)
        np.testing.assert_allclose(mean.numpy(), layer.running_mean, rtol=1e-5)
        np.testing.assert_allclose(var.numpy(), layer.running_var, rtol=1e-5)

    def test_keras_rule(self, rng, backend_name):
        """new = 0.9 old + 0.1 batch, the variance biased: Keras 3's BatchNormalization written out."""
        mean, var = running()
        m, v = np.zeros(3), np.ones(3)
        for _ in range(4):
            x = rng.normal(3, 2, (4, 3, 5, 2)).astype(np.float32)
            F.batch_norm(tinymed.tensor(x), mean, var, training=True, momentum=0.9, statistics="keras")
            m, v = 0.9 * m + 0.1 * x.mean((0, 2, 3)), 0.9 * v + 0.1 * x.var((0, 2, 3))
        np.testing.assert_allclose(mean.numpy(), m, rtol=1e-5)
        np.testing.assert_allclose(var.numpy(), v, rtol=1e-5)

    @pytest.mark.parametrize("shape", [(), (1,)])
    def test_corrected_rule_is_the_mean_until_momentum_takes_over(self, rng, shape, backend_name):
        mean, var = running()
        count = tinymed.tensor(np.zeros(shape, np.int64))
        batches = [rng.normal(3, 2, (6, 3)).astype(np.float32) for _ in range(6)]
        m, v = 0.0, 0.0
        for t, x in enumerate(batches, 1):
            F.batch_norm(
                tinymed.tensor(x), mean, var, training=True, momentum=0.25, statistics="corrected", count=count
            )
            m, v = m + max(0.25, 1 / t) * (x.mean(0) - m), v + max(0.25, 1 / t) * (x.var(0, ddof=1) - v)
            np.testing.assert_allclose(mean.numpy(), m, rtol=1e-5)
            np.testing.assert_allclose(var.numpy(), v, rtol=1e-5)
            if t == 3:
                np.testing.assert_allclose(mean.numpy(), np.mean([b.mean(0) for b in batches[:3]], 0), rtol=1e-5)
        assert count.array.reshape(()) == 6

    def test_evaluation_and_empty_batches_change_nothing(self, backend_name):
        mean, var = running()
        F.batch_norm(tinymed.randn(4, 3, seed=0), mean, var)
        F.batch_norm(tinymed.zeros(0, 3, 4, 4), mean, var, training=True)
        assert mean.tolist() == [0, 0, 0]
        assert var.tolist() == [1, 1, 1]

    def test_the_update_invalidates_a_saved_buffer(self):
        mean, var = running(2)
        x = tinymed.randn(4, 2, seed=0, requires_grad=True)
        y = x * mean
        F.batch_norm(x, mean, var, training=True)
        with pytest.raises(RuntimeError, match="changed in place"):
            y.backward(tinymed.ones(4, 2))

    def test_evaluation_before_a_later_update_has_its_own_gradient(self):
        """What evaluation normalised with is kept, not the buffer."""
        mean, var = running(2)
        x = tinymed.randn(4, 2, seed=0, requires_grad=True)
        y = F.batch_norm(x, mean, var, eps=0.0)
        F.batch_norm(x, mean, var, training=True)
        y.backward(tinymed.ones(4, 2))
        np.testing.assert_allclose(x.grad.numpy(), 1.0)


@pytest.mark.parametrize("norm", ["batch", "layer", "group"])
def test_a_small_variance_beside_a_large_mean_survives_float32(norm, rng, backend_name):
    """Mean 1e4, standard deviation 1: E[x^2] - E[x]^2 would lose every digit."""
    x = (1e4 + rng.normal(size=(16, 4, 33, 17))).astype(np.float32)
    call = {
        "batch": lambda t: F.batch_norm(t, None, None, training=True),
        "layer": lambda t: F.layer_norm(t, (4, 33, 17)),
        "group": lambda t: F.group_norm(t, 2),
    }[norm]
    with tinymed.use_backend("numpy"):
        expected = call(tinymed.tensor(x.astype(np.float64))).numpy()
    np.testing.assert_allclose(call(tinymed.tensor(x)).numpy(), expected, atol=2e-5)


def test_running_variance_beside_a_large_mean(rng, backend_name):
    mean, var = running(2)
    x = (1e4 + rng.normal(size=(64, 2, 31, 29))).astype(np.float32)
    F.batch_norm(tinymed.tensor(x), mean, var, training=True, momentum=1.0)
    np.testing.assert_allclose(var.numpy(), x.astype(np.float64).var((0, 2, 3), ddof=1), rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 3, 64, 300])
def test_many_chunks_agree_with_pytorch(channels, rng, backend_name):
    """Large enough that the compiled loops cut it; forward and all gradients."""
    shape = (5, channels, 2 + 60000 // channels // 30, 6)
    x, dy = (rng.normal(size=shape).astype(np.float32) for _ in range(2))
    w, b = (rng.normal(size=channels).astype(np.float32) for _ in range(2))
    ours = [tinymed.tensor(v, requires_grad=True) for v in (x, w, b)]
    theirs = [torch.tensor(v.astype(np.float64), requires_grad=True) for v in (x, w, b)]
    y = F.batch_norm(ours[0], None, None, ours[1], ours[2], training=True)
    z = torch.nn.functional.batch_norm(theirs[0], None, None, theirs[1], theirs[2], True)
    y.backward(tinymed.tensor(dy))
    z.backward(torch.tensor(dy.astype(np.float64)))
    np.testing.assert_allclose(y.numpy(), z.detach(), atol=1e-5)
    for o, t in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(o.grad.numpy(), t.grad, atol=2e-6 * float(t.grad.abs().max()))


@pytest.mark.parametrize(("groups", "last"), [(1, True), (24, True), (8, False)])
def test_group_norm_of_more_than_the_caches_hold(groups, last, rng):
    """Written past them, channels-last or in C order: every number is there, and right."""
    x, dy = (rng.normal(size=(6, 24, 90, 91)).astype(np.float32) for _ in range(2))
    x = x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2) if last else x
    a, b = tinymed.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True, dtype=torch.float64)
    y, z = F.group_norm(a, groups), torch.nn.functional.group_norm(b, groups)
    y.backward(tinymed.tensor(dy))
    z.backward(torch.tensor(dy, dtype=torch.float64))
    np.testing.assert_allclose(y.numpy(), z.detach().numpy(), atol=2e-5)
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), atol=2e-5)


@given(
    groups=st.integers(1, 4),
    size=st.integers(1, 3),
    space=st.lists(st.integers(2, 7), min_size=1, max_size=3),
    last=st.booleans(),
    wide=st.booleans(),
    affine=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=20, deadline=None, phases=(Phase.generate,))
def test_group_norm_in_any_memory_order_beside_float64(groups, size, space, last, wide, affine, seed):
    """Also instance norm's running statistics; the numbers lie about a mean far from 0."""
    rng, shape = np.random.default_rng(seed), (2, groups * size, *space)
    x, dy = (rng.normal(50 * i, 1, shape) for i in (1, 0))
    if last:
        x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    dtype, near = (np.float64, 1e-9) if wide else (np.float32, 3e-4)
    vectors = [rng.normal(size=shape[1]) if affine else None for _ in range(2)]
    exact = [None if v is None else v.astype(dtype).astype(np.float64) for v in (x, *vectors)]
    b = [None if v is None else torch.tensor(v, requires_grad=True) for v in exact]
    z = torch.nn.functional.group_norm(b[0], groups, *b[1:], eps=0.1)  # of two equal numbers rstd has no bound
    z.backward(torch.tensor(dy.astype(dtype).astype(np.float64)))
    running = torch.full((shape[1],), 0.5, dtype=torch.float64), torch.full((shape[1],), 2.0, dtype=torch.float64)
    torch.nn.functional.instance_norm(b[0], *running, momentum=0.3)
    with tinymed.use_backend("numba"):
        a = [None if v is None else tinymed.tensor(v.astype(dtype), requires_grad=True) for v in (x, *vectors)]
        y = F.group_norm(a[0], groups, *a[1:], eps=0.1)
        y.backward(tinymed.tensor(dy.astype(dtype)))
        moved = [tinymed.tensor(np.full(shape[1], v, dtype)) for v in (0.5, 2)]
        F.instance_norm(a[0], *moved, momentum=0.3)
    np.testing.assert_allclose(y.numpy(), z.detach().numpy(), atol=near, rtol=near)
    for ours, theirs in zip(a, b, strict=True):
        if ours is not None:
            grad = theirs.grad.numpy()
            np.testing.assert_allclose(ours.grad.numpy(), grad, atol=near * max(1, np.abs(grad).max()))
    for ours, theirs in zip(moved, running, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=near)


def test_the_same_bits_for_any_number_of_threads(rng):
    """Batch norm, PReLU and a loss, forward and backward, on 1 and on 2 threads."""
    import numba

    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("Numba was started with one thread")
    x = rng.normal(size=(8, 24, 30, 31)).astype(np.float32)

    def everything():
        leaf, w = (
            tinymed.tensor(x, requires_grad=True),
            tinymed.tensor(np.full(24, 0.3, np.float32), requires_grad=True),
        )
        y = F.prelu(F.batch_norm(leaf, None, None, w, None, training=True), w)
        loss = F.binary_cross_entropy_with_logits(y, tinymed.tensor((x > 0).astype(np.float32)))
        loss.backward()
        return loss.numpy().copy(), leaf.grad.numpy().copy(), w.grad.numpy().copy()

    before = numba.get_num_threads()
    try:
        with tinymed.use_backend("numba"):
            results = []
            for threads in (1, 2):
                numba.set_num_threads(threads)
                results.append(everything())
    finally:
        numba.set_num_threads(before)
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


class TestInstanceNorm:
    @pytest.mark.parametrize("own", [True, False])
    def test_as_pytorch(self, own, rng, backend_name):
        x = rng.normal(2, 3, (3, 4, 5, 6)).astype(np.float32)
        mean, var = tinymed.tensor(np.full(4, 0.5, np.float32)), tinymed.tensor(np.full(4, 2, np.float32))
        m, v = torch.full((4,), 0.5), torch.full((4,), 2.0)
        ours = F.instance_norm(tinymed.tensor(x), mean, var, use_input_stats=own, momentum=0.3)
        theirs = torch.nn.functional.instance_norm(torch.tensor(x), m, v, use_input_stats=own, momentum=0.3)
        np.testing.assert_allclose(ours.numpy(), theirs, atol=2e-6)
        np.testing.assert_allclose(mean.numpy(), m, rtol=1e-5)
        np.testing.assert_allclose(var.numpy(), v, rtol=1e-5)

    def test_without_running_statistics(self, rng):
        x = rng.normal(size=(2, 3, 7))
        expected = torch.nn.functional.instance_norm(torch.tensor(x)).numpy()
        np.testing.assert_allclose(F.instance_norm(tinymed.tensor(x)).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda x: F.batch_norm(x, *running(3), training=True),
            r"more than 1 value per channel, input is \[1, 3, 1, 1\]",
        ),
        (lambda x: F.batch_norm(x, *running(4)), r"running_mean has shape \[4\], input has 3 channels"),
        (lambda x: F.batch_norm(x, None, running(3)[1]), "together or not at all"),
        (
            lambda x: F.batch_norm(x, *running(3), statistics="tf"),
            "statistics is one of torch, keras, corrected, got 'tf'",
        ),
        (lambda x: F.batch_norm(x, *running(3), training=True, statistics="corrected"), "needs count"),
        (lambda x: F.batch_norm(tinymed.zeros(3), None, None), r"at least 2 axes \(N, C, ...\), got \[3\]"),
        (lambda x: F.layer_norm(x, (2,)), r"does not end in normalized_shape \[2\]"),
        (lambda x: F.layer_norm(x, (1, 1), weight=tinymed.zeros(1)), r"weight has shape \[1\]"),
        (lambda x: F.group_norm(x, 2), "3 channels cannot be cut into 2 equal groups"),
        (lambda x: F.group_norm(x, 3), "more than 1 value per group"),
        (lambda x: F.instance_norm(x), "more than 1 spatial element"),
        (lambda x: F.instance_norm(x, use_input_stats=False), "needs running_mean and running_var"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(tinymed.zeros(1, 3, 1, 1))


def test_batch_norm_of_a_network_never_falls_back(rng, monkeypatch):
    """Every combination of affine map and running statistics is native for float32."""
    monkeypatch.setattr(dispatch.call, "strict", True)
    x = rng.normal(size=(4, 3, 5, 5)).astype(np.float32)
    with tinymed.use_backend("numba"):
        for weight in (None, tinymed.ones(3, requires_grad=True)):
            for stats in (running(), (None, None)):
                for training in (True, False):
                    leaf = tinymed.tensor(x, requires_grad=True)
                    F.batch_norm(leaf, *stats, weight, training=training).backward(tinymed.ones(*x.shape))
                    assert np.isfinite(leaf.grad.numpy()).all()


def test_group_and_instance_norm_of_images_never_fall_back(rng, monkeypatch):
    monkeypatch.setattr(dispatch.call, "strict", True)
    x = rng.normal(size=(4, 6, 5, 5)).astype(np.float32)
    with tinymed.use_backend("numba"):
        for call in (lambda a: F.group_norm(a, 3, tinymed.ones(6, requires_grad=True)), F.instance_norm):
            leaf = tinymed.tensor(x, requires_grad=True)
            call(leaf).backward(tinymed.tensor(x))
            assert np.isfinite(leaf.grad.numpy()).all()
