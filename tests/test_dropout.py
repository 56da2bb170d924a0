"""Dropout: what is drawn, by whom, and how often."""

import numpy as np
import pytest

import tinymed
from tinymed import random
from tinymed.memory import canonical_order, inverse_order
from tinymed.nn import functional as F


def mask(fn, x, seed=11, **options):
    """Which elements of ones survive, and the output."""
    random.manual_seed(seed)
    y = fn(tinymed.from_numpy(x), training=True, **options).numpy()
    return y != 0, y


@pytest.mark.parametrize("fn", [F.dropout, F.dropout2d, F.alpha_dropout, F.rrelu])
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 17, 33, 31), (2, 1, 64, 64)])
def test_all_backends_and_memory_orders_draw_the_same(fn, shape):
    x = -np.ones(shape, np.float32)
    nhwc = canonical_order("image", 4)
    last = np.ascontiguousarray(x.transpose(nhwc)).transpose(inverse_order(nhwc))
    outputs = []
    for name in ("numpy", "numba"):
        for laid in (x, last):
            random.manual_seed(5)
            with tinymed.use_backend(name):
                outputs.append(fn(tinymed.from_numpy(laid), training=True).numpy())
    for y in outputs[1:]:
        np.testing.assert_allclose(y, outputs[0], rtol=1e-6)
        np.testing.assert_array_equal(y == 0, outputs[0] == 0)


def test_the_mask_is_philox_in_memory_order(backend_name):
    """Element i in channels-last order is kept where the i-th 16 bits of (seed, stream, step) are >= p 2^16."""
    shape, p = (2, 3, 4, 5), 0.3
    random.manual_seed(7)
    random.default_generator.ticket()  # the second draw
    kept = random.bits(60, 7, random.DROPOUT, 1).view("<u2") >= round(p * 2**16)
    y = F.dropout(tinymed.ones(*shape), p).numpy()
    np.testing.assert_array_equal(y != 0, kept.reshape(2, 4, 5, 3).transpose(0, 3, 1, 2))
    np.testing.assert_allclose(y[y != 0], 2**16 / (2**16 - round(p * 2**16)), rtol=1e-6)
    np.testing.assert_allclose(y[y != 0], 1 / 0.7, rtol=1e-5)
    assert random.split_state(random.default_generator.state) == (7, random.DROPOUT, 2)


def test_the_step_carries_into_its_high_word(backend_name):
    random.manual_seed(1)
    random.default_generator.state[3] = 2**32 - 1
    F.dropout(tinymed.ones(5))
    assert random.split_state(random.default_generator.state)[2] == 2**32
    random.manual_seed(1)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_rate_and_the_mean(p, backend_name):
    kept, y = mask(F.dropout, np.ones((50, 2000), np.float32), p=p)
    assert abs(kept.mean() - (1 - p)) < 4 * np.sqrt(p * (1 - p) / 1e5)
    assert abs(y.mean() - 1) < 4 * np.sqrt(p / (1 - p) / 1e5)


def test_each_call_draws_anew_and_a_seed_repeats(backend_name):
    x = np.ones(1000, np.float32)
    first, _ = mask(F.dropout, x)
    second = F.dropout(tinymed.from_numpy(x)).numpy() != 0
    again, _ = mask(F.dropout, x)
    np.testing.assert_array_equal(first, again)
    assert 0.4 < (first != second).mean() < 0.6


def test_backward_uses_the_mask_of_its_forward(backend_name):
    """Also after other draws in between."""
    x = tinymed.ones(2, 3, 8, 9, requires_grad=True)
    y = F.dropout(x, 0.4)
    F.dropout(x, 0.4)
    y.backward(tinymed.ones(2, 3, 8, 9))
    np.testing.assert_array_equal(x.grad.numpy(), y.numpy())


@pytest.mark.parametrize(
    ("fn", "shape"),
    [
        (F.dropout1d, (30, 20, 6)),
        (F.dropout2d, (30, 20, 3, 2)),
        (F.dropout3d, (30, 20, 2, 3, 1)),
        (F.dropout1d, (600, 6)),
        (F.dropout3d, (600, 2, 3, 1)),
    ],
)
def test_channels_are_dropped_whole(fn, shape, backend_name):
    kept, y = mask(fn, np.ones(shape, np.float32), p=0.25)
    flat = kept.reshape(600, -1)
    np.testing.assert_array_equal(flat.all(1), flat.any(1))
    assert abs(flat.mean() - 0.75) < 0.08
    np.testing.assert_allclose(y[kept], 4 / 3, rtol=1e-6)


def test_alpha_dropout_keeps_mean_and_variance(rng, backend_name):
    x = rng.normal(size=200_000).astype(np.float32)
    random.manual_seed(0)
    y = F.alpha_dropout(tinymed.tensor(x), 0.3, training=True).numpy()
    assert abs(y.mean()) < 0.02
    assert abs(y.std() - 1) < 0.02
    _values, counts = np.unique(y, return_counts=True)
    assert abs(counts.max() / y.size - 0.3) < 0.01  # the one value that dropped elements share


@pytest.mark.parametrize("fn", [F.dropout, F.dropout2d, F.alpha_dropout, F.feature_alpha_dropout])
def test_evaluation_and_p_zero_are_the_identity(fn):
    x = tinymed.randn(2, 3, 4, 4, seed=0)
    before = random.default_generator.state.copy()
    assert fn(x, 0.5, False) is x
    assert fn(x, 0.0, True) is x
    np.testing.assert_array_equal(random.default_generator.state, before)


def test_p_one_drops_everything(backend_name):
    assert not F.dropout(tinymed.ones(3, 50), 1.0).numpy().any()
    assert not F.dropout2d(tinymed.ones(3, 5, 2, 2), 1.0).numpy().any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: F.dropout(x, 1.5), "dropout: p is a probability from 0 to 1, got 1.5"),
        (lambda x: F.dropout2d(x[0]), r"dropout2d: input must have 4 axes \(N, C, ...\), got \[3, 4\]"),
        (lambda x: F.feature_alpha_dropout(tinymed.ones(3), training=True), "at least 2 axes"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(tinymed.ones(2, 3, 4))


def test_dropout2d_of_three_axes_warns_and_drops_rows_as_pytorch(backend_name):
    with pytest.warns(UserWarning, match=r"\[40, 30, 5\] is taken as \(N, C, L\)"):
        y = F.dropout2d(tinymed.ones(40, 30, 5), 0.25).numpy()
    assert (y == y[:, :, :1]).all()
    assert 0.2 < (y[:, :, 0] == 0).mean() < 0.3
    assert np.isclose(y.max(), 1 / 0.75)
