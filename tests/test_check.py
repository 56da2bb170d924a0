"""The checkers are checked: every mutated backward must be rejected, and each error must say what is wrong."""

import numpy as np
import pytest
from derived import DIFFERENTIABLE, has_empty, sample
from slices import one_in

import tinymed
from tinymed import check, dispatch
from tinymed.draw import Constant, Draw
from tinymed.nn.functional import conv2d
from tinymed.ops.activations import ReLU
from tinymed.ops.conv import Conv


def transposed(g):
    """Two equal last axes exchanged, else the last axis of more than one element reversed."""
    if g.ndim >= 2 and g.shape[-1] == g.shape[-2]:
        return g.swapaxes(-1, -2)
    axis = next((i for i in reversed(range(g.ndim)) if g.shape[i] > 1), None)
    return g if axis is None else np.flip(g, axis)


MUTATIONS = {
    "zeroed": lambda g: np.zeros_like(g),
    "negated": lambda g: -g,
    "scaled": lambda g: g * 1.01,
    "shifted": lambda g: np.roll(g.reshape(-1), 1).reshape(g.shape),
    "transposed": transposed,
}

# A mutation that changes nothing on any sample, with the reason.
ZERO_GRADIENT = "the gradient is 0 everywhere"
EQUIVALENT: dict[str, str] = {
    "Rounded": ZERO_GRADIENT,
    "Sign": ZERO_GRADIENT,
}


def differentiated(args, where):
    """Whether an argument has a gradient: a backward may return anything for one that is absent or constant."""
    a = args[where] if where < len(args) else None
    return isinstance(a, np.ndarray) and a.dtype.kind == "f" and not isinstance(a, Constant)


def mutated(op, mutate, where):
    """The op with one of its gradients mutated; records whether the mutation ever changed anything."""
    original, changed = op.backward, []

    def backward(self, *dys):
        grads = original(self, *dys)
        grads = list(grads) if isinstance(grads, tuple) else [grads]
        if where < len(grads) and grads[where] is not None:
            new = mutate(grads[where])
            changed.append(not np.allclose(new, grads[where], rtol=1e-6, atol=1e-12))
            grads[where] = new
        return tuple(grads)

    return backward, changed


PAIRS = [(op, mutation) for op in DIFFERENTIABLE for mutation in MUTATIONS]


@pytest.mark.parametrize(("op", "mutation"), one_in(3, PAIRS, lambda pair: f"{pair[0].__name__}-{pair[1]}"))
def test_a_mutated_backward_is_rejected(op, mutation, monkeypatch):
    some = False
    for where in range(6):
        changing = rejected = 0
        for seed in range(12):
            args = sample(op, seed)
            if has_empty(args) or not differentiated(args, where):
                continue
            backward, changed = mutated(op, MUTATIONS[mutation], where)
            with monkeypatch.context() as m, dispatch.use_backend("numpy"):
                m.setattr(op, "backward", backward)
                try:
                    check.gradcheck(op.apply, args, seed=seed)
                except check.GradientError:
                    rejected += 1
            if any(changed):
                changing += 1
                assert rejected, f"{op.__name__}: gradient {where} {mutation} passes gradcheck (sample {seed})"
                break
        some |= changing > 0
    if op.__name__ in EQUIVALENT:
        assert not some or mutation in ("zeroed",), (
            f"{op.__name__} is listed as equivalent ({EQUIVALENT[op.__name__]}) but is not"
        )
    else:
        assert some, (
            f"{op.__name__}: {mutation} changes no gradient on any sample: declare it in EQUIVALENT with a reason"
        )


def test_a_sum_would_accept_a_zeroed_softmax():
    """Why the cotangent is random: under sum() the gradient of softmax is 0, and a backward of zeros looks right."""
    x = np.random.default_rng(0).normal(size=(3, 5))
    softmax = lambda a: np.exp(a) / np.exp(a).sum(-1, keepdims=True)  # noqa: E731
    step = np.zeros_like(x)
    step[1, 2] = 1e-6
    assert abs(softmax(x + step).sum() - softmax(x - step).sum()) < 1e-12


def test_gradcheck_names_the_argument_and_element():
    def wrong(x):
        return tinymed.Tensor(x.array * 2, x.requires_grad, None)

    with pytest.raises(check.GradientError, match="backward gives 0"):
        check.gradcheck(wrong, [np.ones(3)])


def test_gradcheck_refuses_a_function_without_floats():
    with pytest.raises(check.GradientError, match="no floating-point output"):
        check.gradcheck(lambda x: x, [np.arange(3)])


def test_compare_backends_reports_every_backend():
    errors = check.compare_backends(ReLU.apply, [np.linspace(-1, 1, 7)])
    assert set(errors) == {name for name in dispatch.BACKENDS if not dispatch.absence(name)} >= {"numpy", "numba"}
    assert max(errors.values()) < 1e-6


def test_compare_backends_rejects_a_wrong_kernel(monkeypatch):
    table = dispatch.table("numba")
    assert table.relu_forward  # the table has it as an attribute from its first use on
    with monkeypatch.context() as m:
        m.setattr(table, "relu_forward", lambda x: x * 2)
        with pytest.raises(check.BackendMismatch, match="numba: output 0"):
            check.compare_backends(ReLU.apply, [np.linspace(-1, 1, 7)])


def test_draws_repeat_and_keep_off_kinks():
    a, b = (Draw(5).array((50,), avoid=(0.0, 1.0), margin=0.1) for _ in range(2))
    assert np.array_equal(a, b)
    assert (np.abs(a) >= 0.0999).all()
    assert (np.abs(a - 1) >= 0.0999).all()
    assert len(set(Draw(1).array((40,), distinct=True))) == 40


class TestPrecisions:
    """`exact` is held to float32's rounding, `tf32` to that of its operands; a fault is seen under `exact`."""

    def arguments(self, seed=0):
        random = np.random.default_rng(seed)
        return [random.standard_normal((2, 3, 6, 6)), random.standard_normal((4, 3, 3, 3)), random.standard_normal(4)]

    def rounded(self, a):
        """Values with the 10 bits behind the first that tf32 keeps."""
        bits = np.asarray(a, np.float32).view(np.uint32)
        return ((bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(np.float32).astype(np.float64)

    @pytest.mark.parametrize("seed", range(5))
    def test_rounded_operands_lie_within_the_bound_and_near_it(self, seed):
        args = self.arguments(seed)
        with dispatch.use_backend("numpy"):
            true = check.results(conv2d, args, np.float64)
            ours = check.results(conv2d, [self.rounded(a) for a in args[:2]] + args[2:], np.float64)
        error = check.relative_error(ours[0][0], true[0][0])
        bound = check.tf32_bound(conv2d, args)
        assert check.TOLERANCE < error <= bound < 40 * error

    def test_a_planted_error_of_1e_4_fails_under_exact(self, monkeypatch):
        args = self.arguments()

        def wrong(x, w, b):
            return conv2d(x, w, b) * (1.0001 if x.dtype == np.float32 else 1.0)

        with tinymed.use_precision("exact"):
            check.compare_backends(conv2d, args, ["numpy"])
            with pytest.raises(check.BackendMismatch):
                check.compare_backends(wrong, args, ["numpy"])

    def test_a_wrong_gradient_is_said_with_its_argument(self, monkeypatch):
        """dx is right, dw is off by one per cent."""
        backward, _ = mutated(Conv, lambda g: g * 1.01, 1)
        monkeypatch.setattr(Conv, "backward", backward)
        with pytest.raises(check.GradientError, match=r"argument 1: the difference") as error:
            check.gradcheck(conv2d, self.arguments()[:2], max_coordinates=0)
        assert "argument 0" not in str(error.value)
