"""Every rewrite of the package: its left side, recorded, becomes its right side and computes the same."""

import itertools

import numpy as np
import pytest
from conftest import absence

from tinymed import dispatch, precision, use_precision
from tinymed.draw import Draw
from tinymed.memory import canonical_order
from tinymed.program import PATTERNS, capture, passes
from tinymed.program.call_list import CallList
from tinymed.program.patterns import Name, parse
from tinymed.program.values import fresh
from tinymed.tensor import Tensor

dispatch.table("numba")  # declares its patterns, as the emulated backend does
if not absence("emulated"):
    dispatch.table("emulated")
SEEDS = range(12)


# What each rewrite of the CPU is on CUDA: the note of csrc's, or the reason why there is none; docs/cuda-review.md, 23.
ON_CUDA = {
    "batch norm folded into the filters": "batch norm folded into the filters",  # images' and depthwise ones
    "conv, rounded, + relu + pool": "convolution in bfloat16 + relu + pool",
    "conv, rounded, + relu": "convolution in bfloat16 + relu",
    "batch norm, rounded, + relu": "batch norm, rounded, + relu",
    "batch norm, rounded, + add, rounded, + relu": "batch norm, rounded, + add, rounded, + relu",
    "batch norm, rounded": "batch norm, rounded",
    "batch norm, rounded, + dropout, rounded": "batch norm, rounded, + dropout, rounded",
    "add, rounded": "add, rounded",
    "rounded by the product that takes it": "rounded by the product that takes it",
    "bias before unpooling": "bias before unpooling",
    "batch norm's gradient, rounded, + relu's, with the sum of both": "batch norm's gradient, rounded, + relu + bias",
    "unpooled where it is rounded": "unpooled where it is packed",
    "conv + relu + pool": "convolution + relu + pool",
    "conv + relu": "convolution + relu",
    "batch norm + relu": "relu of batch norm",
    "batch norm + add + relu": "relu of batch norm and a sum",
    "add + relu": "add + relu",
    "conv + add + relu": "convolution + add + relu",
    "conv + add": "convolution + add",
    "batch norm + dropout": "batch norm + dropout",
    "dropout of what is rounded, rounded, + batch norm's sums": "dropout, rounded, + batch norm's sums",
    "dropout + batch norm's sums": "dropout + batch norm's sums",
    "relu + batch norm's sums": "batch norm's sums of relu's gradient",
    "add + relu + batch norm's sums": "add + relu + batch norm's sums",
    "batch norm's gradient + relu + bias": "batch norm's gradient + relu + bias",
    "rounded relu's mask found again": "relu's mask found again",
    "relu's mask found again": "relu's mask found again",
}
NOT_ON_CUDA = {
    "rounded by the conv": "products of csrc round what they write",
    "rounded after relu and pooling": "products of csrc round what they write",
    "rounded after relu": "products of csrc round what they write",
    "rounded where it is padded": "products of csrc take windows with borders: nothing is padded",
    "padded where it is turned": "products of csrc take windows with borders: nothing is padded",
    "channels of a concatenation + add": "less than 1 % of a U-Net's step",
    "add to a concatenation's gradient": "less than 1 % of a U-Net's step",
    "unpooled by the argmax": "cp.async copies what lies there: it cannot compare an argmax on the way",
    "unpooled where it is read": "cp.async copies what lies there: it cannot compare an argmax on the way",
    "add, rounded, + relu": "open: no network of the registry has it without batch norm",
    "two bytes a number between them": "open: maps between layers take four bytes",
    "norm and relu, written for the product": "open: what a product reads is packed in a pass of its own",
    "the gradient of norm and relu, written for the product": "open: packed in a pass of its own",
    "the norm's gradient, written for the product": "open: packed in a pass of its own",
}


def test_every_rewrite_of_the_cpu_has_one_on_cuda_or_a_reason():
    cpu, csrc = ({p.note for p in PATTERNS if p.backend == backend} for backend in ("numba", "csrc"))
    assert cpu == ON_CUDA.keys() | NOT_ON_CUDA.keys()
    assert not ON_CUDA.keys() & NOT_ON_CUDA.keys()
    if not absence("emulated"):
        assert set(ON_CUDA.values()) <= csrc


def left_side(p, env):
    """A step that runs the left side, and the values of its inputs that are tensors."""
    varied = [n for n in p.inputs if isinstance(env[n], np.ndarray) and env[n].dtype.kind == "f"]
    fixed = {n: env[n] for n in p.inputs if n not in varied}
    visible = {o for line in p.right for o in line.outs} & {o for line in p.left for o in line.outs}

    def step(*tensors):
        values = fixed | {n: t.array for n, t in zip(varied, tensors, strict=True)}
        table = dispatch.table()
        for line in p.left:
            results = getattr(table, line.kernel)(*[values[a] if isinstance(a, Name) else a for a in line.args])
            values |= zip(line.outs, results if isinstance(results, tuple) else (results,), strict=True)
        return {n: Tensor(values[n]) for n in sorted(visible)}

    return step, [channels_last(env[n].astype(np.float32)) for n in varied]


def channels_last(a):
    """As activations lie in a network."""
    return Tensor(dispatch.table().canonical(a, canonical_order("image", a.ndim)))


def unified(p):
    return f"{p.note}: {p.left[0].kernel}"


@pytest.mark.parametrize("p", PATTERNS, ids=unified)
def test_the_right_side_computes_the_left(p, monkeypatch):
    monkeypatch.setattr(passes, "PATTERNS", [p])
    assert p.samples is not None, "a pattern without samples is not tested"
    used = {"csrc": "emulated", "": "numba"}.get(p.backend, p.backend)
    if why := absence(used):
        pytest.skip(f"backend {used}: {why}")
    rewritten, bound = 0, 1e-5 if p.predicting else 2e-6
    with dispatch.use_backend(used), use_precision("tf32" if p.predicting else precision.in_use()):
        for seed in SEEDS:
            env = p.samples(Draw(seed))
            states = {n: v.copy() for n, v in env.items() if isinstance(v, np.ndarray) and v.dtype == np.uint32}
            step, tensors = left_side(p, env)
            expected = step(*tensors)
            for name, before in states.items():
                env[name][...] = before
            captured = capture(step)
            for name, result in captured(*tensors).items():
                want = expected[name].array.astype(np.float64)
                scale = np.abs(want).max(initial=1e-30)
                np.testing.assert_allclose(
                    result.array / scale, want / scale, atol=bound, err_msg=f"{name}, seed {seed}"
                )
            for name, before in states.items():
                env[name][...] = before
            rewritten += any(p.note in c.note for c in captured.program.calls)
    assert rewritten >= len(SEEDS) // 2, f"the pattern was applied in {rewritten} of {len(SEEDS)} programs"


def test_an_array_needed_elsewhere_forbids_the_rewrite(monkeypatch):
    """A hidden intermediate that the step returns, or another call reads, must stay."""
    p = next(p for p in PATTERNS if p.note == "batch norm + relu")
    monkeypatch.setattr(passes, "PATTERNS", [p])
    x, map = Tensor(np.ones((2, 3, 4, 5), np.float32)), Tensor(np.ones((3, 3), np.float32))

    def returned(x, map):
        n = dispatch.table().batch_norm_apply(x.array, map.array)
        return Tensor(n), Tensor(dispatch.table().relu_forward(n))

    def read(x, map):
        n = dispatch.table().batch_norm_apply(x.array, map.array)
        return Tensor(dispatch.table().add(n, dispatch.table().relu_forward(n)))

    with dispatch.use_backend("numba"):
        for step in (returned, read):
            captured = capture(step)
            captured(x, map)
            assert "batch_norm_apply" in [c.dispatcher.name for c in captured.program.calls]


def test_a_write_between_forbids_the_rewrite(monkeypatch):
    """dropout(1) reads and moves the generator's state: a rewrite may not move it across dropout(2)."""
    p = next(p for p in PATTERNS if p.note == "batch norm + dropout")
    monkeypatch.setattr(passes, "PATTERNS", [p])
    state, map = np.arange(5, dtype=np.uint32), Tensor(np.ones((3, 3), np.float32))

    def step(x, map):
        k = dispatch.table()
        n = k.batch_norm_apply(x.array, map.array)
        first, _ = k.dropout_forward(x.array, state, 1 << 31, 2.0)
        second, _ = k.dropout_forward(n, state, 1 << 31, 2.0)
        return Tensor(first), Tensor(second)

    x = Tensor(np.arange(1, 361, dtype=np.float32).reshape(2, 3, 6, 10))
    with dispatch.use_backend("numba"):
        expected = [t.array for t in step(x, map)]
        state[:] = np.arange(5)
        got = capture(step)(x, map)
    for a, b in zip(expected, got, strict=True):
        np.testing.assert_array_equal(a, b.array)


def test_literals_must_be_equal():
    assert parse("y = pad(x, 1)")[0].args[1] == 1


class Stub:
    """A call as far as a CallList looks at it."""

    def __init__(self, reads=(), outs=(), written=()):
        self.outs, self.lists = list(outs), (list(reads), list(written))

    def reads(self):
        return self.lists[0]

    def written(self):
        return self.lists[1]


class TestCallList:
    def test_a_gap_that_was_halved_too_often_is_widened(self):
        first, last, between = Stub(), Stub(), [Stub() for _ in range(200)]
        calls = CallList([first, last])
        for c in between:
            calls.insert(1, c)
        assert calls.calls == [first, *between[::-1], last]
        assert [calls.index(c) for c in calls.calls] == list(range(202))
        places = [calls.places[c] for c in calls.calls]
        assert all(a < b for a, b in itertools.pairwise(places))

    def test_calls_are_found_by_the_values_that_they_touch(self):
        a, b = (fresh((2,), np.float32, None, name) for name in "ab")
        maker, reader, changer = Stub(outs=[a]), Stub(reads=[a, a], outs=[b]), Stub(reads=[b], written=[b])
        calls = CallList([maker, reader])
        calls.insert(2, changer)
        assert calls.makers == {a.value: [maker], b.value: [reader]}
        assert calls.readers == {a.value: [reader], b.value: [changer]}
        assert calls.changers == {b.value: [changer]}
        calls.remove(reader)
        assert calls.calls == [maker, changer]
        assert calls.readers[a.value] == calls.makers[b.value] == []

    def test_a_call_may_be_put_before_the_first(self):
        calls = CallList([one := Stub()])
        calls.insert(0, two := Stub())
        calls.insert(2, three := Stub())
        assert calls.calls == [two, one, three]
