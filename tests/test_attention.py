"""Attention beside PyTorch: sizes of several blocks, its corners and refusals, memory, and the layers made of it."""

import itertools

import numpy as np
import pytest

import tinymed
from tinymed import Tensor, nn
from tinymed.dispatch import use_backend
from tinymed.nn import functional as F

torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")
RNG = np.random.default_rng(29)


def numbers(*shape, dtype=np.float32):
    return RNG.normal(size=shape).astype(dtype)


def both(arrays, dtype=None):
    """The arrays as leaves of tinymed and of PyTorch, here in float64."""
    ours = [Tensor(a, requires_grad=True) for a in arrays]
    return ours, [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in arrays]


def close(ours, theirs, tolerance, what=""):
    true = theirs.detach().numpy()
    assert ours.shape == true.shape
    assert np.abs(np.asarray(ours) - true).max(initial=0) <= tolerance * max(1, np.abs(true).max(initial=0)), what


def compare(arrays, tolerance, mask=None, **options):
    """Output and gradients of scaled_dot_product_attention under a random cotangent."""
    ours, theirs = both(arrays)
    y = F.scaled_dot_product_attention(*ours, None if mask is None else Tensor(mask), **options)
    given = None if mask is None else torch.tensor(mask).to(torch.bool if mask.dtype == bool else torch.float64)
    true = torch.nn.functional.scaled_dot_product_attention(*theirs, given, **options)
    close(y.numpy(), true, tolerance, "output")
    dy = RNG.normal(size=y.shape)
    y.backward(Tensor(dy.astype(arrays[0].dtype)))
    true.backward(torch.tensor(dy))
    for name, a, b in zip("qkv", ours, theirs, strict=True):
        close(a.grad.numpy(), b.grad, tolerance, f"gradient of {name}")


@pytest.mark.parametrize("kind", ["plain", "causal", "bool", "float"])
def test_several_blocks_of_queries_and_keys(kind, backend_name):
    """More tokens than one block has, so that sums are scaled down between blocks."""
    heads, queries, keys = (1, 70, 131) if backend_name == "emulated" else (3, 300, 540)
    arrays = [numbers(1, heads, queries, 9), numbers(1, heads, keys, 9) * 2, numbers(1, heads, keys, 40)]
    mask = {"bool": RNG.random((heads, queries, keys)) < 0.3, "float": numbers(1, queries, keys)}.get(kind)
    if kind == "bool":
        mask[:, 3] = False  # a query that may attend to nothing
        mask[:, 5, : keys - 3] = False  # another, to nothing in the first blocks
    compare(arrays, 2e-5, mask, is_causal=kind == "causal")


def test_dropout_draws_the_same_weights_on_every_backend(backend_name):
    """In a block as in the reference, forward and backward, and other weights at the next call."""
    arrays = [numbers(2, 3, 20, 4), numbers(2, 3, 70, 4), numbers(2, 3, 70, 5)]

    def run():
        tinymed.manual_seed(5)
        ours, _ = both(arrays)
        y = F.scaled_dot_product_attention(*ours, dropout_p=0.3)
        again = F.scaled_dot_product_attention(*ours, dropout_p=0.3)
        y.backward(Tensor(np.ones(y.shape, np.float32)))
        return [y.numpy(), again.numpy(), *(a.grad.numpy() for a in ours)]

    ours = run()
    with use_backend("numpy"):
        true = run()
    for a, b in zip(ours, true, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5 * np.abs(b).max())
    assert np.abs(ours[0] - ours[1]).max() > 0.01


@pytest.mark.parametrize("top", [200, 5000])
def test_large_scores_keep_their_digits(top, backend_name):
    """The sums of a query are kept apart from its largest score, beside which they would lose their last digits."""
    rng = np.random.default_rng(top)
    q, k, v = (rng.normal(size=(2, 21, 8)).astype(np.float32) for _ in range(3))
    q[..., 0], k[..., 0] = top, 1  # each score is top + q . k; in float32, as in float64, exactly top apart
    q[..., 1:], k[..., 1:] = np.round(q[..., 1:] * 4) / 4, np.round(k[..., 1:] * 4) / 4  # and the rest is exact too
    dy = rng.normal(size=v.shape).astype(np.float32)
    ours, theirs = both([q, k, v])
    F.scaled_dot_product_attention(*ours, scale=1.0).backward(Tensor(dy))
    torch.nn.functional.scaled_dot_product_attention(*theirs, scale=1.0).backward(torch.tensor(dy, dtype=torch.float64))
    for name, a, b in zip("qkv", ours, theirs, strict=True):
        true, got = b.grad.numpy()[..., 1:], a.grad.numpy()[..., 1:]
        close(got, torch.tensor(true), 3e-6, f"gradient of {name}")


CORNERS = {
    "matrices": ([(3, 4), (5, 4), (5, 6)], None, {}),
    "broadcast": ([(2, 1, 3, 4), (1, 7, 5, 4), (7, 5, 6)], None, {}),
    "no_keys": ([(2, 3, 4), (2, 0, 4), (2, 0, 6)], None, {}),
    "no_features": ([(2, 3, 0), (2, 5, 0), (2, 5, 2)], None, {}),
    "no_batch": ([(0, 3, 4), (0, 5, 4), (0, 5, 4)], None, {}),
    "groups": ([(2, 6, 3, 4), (2, 2, 5, 4), (2, 3, 5, 4)], None, {"enable_gqa": True}),
    "scale": ([(2, 3, 4), (2, 5, 4), (2, 5, 4)], None, {"scale": -2.5}),
    "no_scale": ([(2, 3, 4), (2, 5, 4), (2, 5, 4)], None, {"scale": 0.0}),
    "wide_causal": ([(2, 3, 4), (2, 7, 4), (2, 7, 4)], None, {"is_causal": True}),
    "tall_causal": ([(2, 7, 4), (2, 3, 4), (2, 3, 4)], None, {"is_causal": True}),
    "row_mask": ([(2, 3, 4), (2, 5, 4), (2, 5, 4)], (5,), {}),
    "column_mask": ([(2, 3, 4), (2, 5, 4), (2, 5, 4)], (3, 1), {}),
    "outer_mask": ([(2, 3, 2, 3, 4), (2, 3, 2, 5, 4), (2, 3, 2, 5, 4)], (1, 3, 1, 3, 5), {}),
}


@pytest.mark.parametrize("case", CORNERS)
def test_corners_are_pytorchs(case):
    shapes, mask, options = CORNERS[case]
    arrays = [numbers(*shape, dtype=np.float64) for shape in shapes]
    for name in ("numpy", "numba"):
        for kind in ("bool", "float") if mask else ("none",):
            given = None if mask is None else numbers(*mask, dtype=np.float64)
            with use_backend(name):
                compare(arrays, 1e-12, given > 0 if kind == "bool" else given, **options)


def test_the_mask_has_a_gradient():
    arrays = [numbers(2, 3, 4, 5, dtype=np.float64), numbers(2, 3, 6, 5, dtype=np.float64)]
    for shape in ((2, 3, 4, 6), (4, 6), (3, 1, 6), (2, 1, 1, 1)):
        bias = numbers(*shape, dtype=np.float64)
        (q, k, m), (tq, tk, tm) = both([*arrays, bias])
        F.scaled_dot_product_attention(q, k, k, m).pow(2).sum().backward()
        torch.nn.functional.scaled_dot_product_attention(tq, tk, tk, tm).pow(2).sum().backward()
        close(m.grad.numpy(), tm.grad, 1e-12, f"mask {shape}")


REFUSED = {
    "mask and causal": ([(2, 3, 4)] * 3, {"attn_mask": np.ones((3, 3), bool), "is_causal": True}, "not both"),
    "integer mask": ([(2, 3, 4)] * 3, {"attn_mask": np.ones((3, 3), np.int32)}, "attn_mask is int32"),
    "double mask": ([(2, 3, 4)] * 3, {"attn_mask": np.ones((3, 3))}, "attn_mask is float64"),
    "wide mask": ([(2, 3, 4)] * 3, {"attn_mask": np.ones((4, 3, 3), bool)}, "does not broadcast"),
    "vector": ([(4,), (3, 4), (3, 4)], {}, "at least"),
    "features": ([(3, 4), (3, 5), (3, 5)], {}, "it takes"),
    "probability": ([(2, 3, 4)] * 3, {"dropout_p": 1.5}, "from 0 to 1"),
    "groups": ([(2, 8, 3, 4), (2, 3, 3, 4), (2, 3, 3, 4)], {"enable_gqa": True}, "divisor"),
    "leading": ([(2, 3, 4), (3, 3, 4), (3, 3, 4)], {}, "do not broadcast"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_say_what_is_taken(case):
    shapes, options, words = REFUSED[case]
    options = {k: Tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    with pytest.raises((ValueError, TypeError), match=words):
        F.scaled_dot_product_attention(*(Tensor(numbers(*shape)) for shape in shapes), **options)


def test_memory_is_linear_in_the_tokens(monkeypatch):
    """All that forward and backward ever take, results and scratch: four times the tokens, about four times as much."""
    taken = []
    take = tinymed.memory.Heap.take

    def counted(self, nbytes):
        taken.append(nbytes)
        return take(self, nbytes)

    monkeypatch.setattr(tinymed.memory.Heap, "take", counted)

    def total(tokens):
        with use_backend("numba"):
            q, k, v = (Tensor(numbers(1, 1, tokens, 8), requires_grad=True) for _ in range(3))
            taken.clear()
            F.scaled_dot_product_attention(q, k, v).sum().backward()
            return sum(taken)

    small, large = total(4096), total(16384)
    assert 0 < small < large < 4.5 * small
    assert large < 16384 * 16384 * 4 / 8, "an eighth of one square of scores"


# ------------------------------------------------------------------------------------------------ layers


def twins(make, **options):
    """A layer of tinymed and of PyTorch with the same weights, in float64."""
    ours, theirs = make(nn, **options), make(torch.nn, **options).double()
    ours.load_state_dict({k: v.detach().numpy() for k, v in theirs.state_dict().items()})
    assert list(ours.state_dict()) == list(theirs.state_dict())
    return ours.double(), theirs


def layers_agree(ours, theirs, arrays, call, tolerance=1e-10):
    """Outputs, and gradients of inputs and parameters."""
    a, b = both(arrays)
    x, y = call(ours, Tensor, *a), call(theirs, torch.tensor, *b)
    x, y = (list(r) if isinstance(r, tuple) else [r] for r in (x, y))
    for i, (p, q) in enumerate(zip(x, y, strict=True)):
        assert (p is None) == (q is None)
        if p is not None:
            close(p.numpy(), q, tolerance, f"output {i}")
    sum((p * p).sum() for p in x if p is not None).backward()
    sum((q * q).sum() for q in y if q is not None).backward()
    for p, q in zip(a, b, strict=True):
        close(p.grad.numpy(), q.grad, tolerance, "gradient of an input")
    for (name, p), (_, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        close(p.grad.numpy(), q.grad, tolerance, f"gradient of {name}")


@pytest.mark.parametrize("seed", range(12))
def test_multihead_attention_is_pytorchs(seed):
    """Options and masks drawn together; need_weights decides between two paths."""
    draw = np.random.default_rng(seed)

    def flag():
        return bool(draw.integers(2))

    sizes = {"kdim": 6, "vdim": 5} if seed % 3 == 1 else {}
    options = {"batch_first": flag(), "bias": flag(), "add_bias_kv": flag(), "add_zero_attn": flag(), **sizes}
    ours, theirs = twins(lambda m, **o: m.MultiheadAttention(8, 2, **o), **options)
    n, queries, keys = 3, 4, 5
    lay = (lambda a: a) if options["batch_first"] else (lambda a: a.swapaxes(0, 1).copy())
    arrays = [lay(numbers(n, s, e, dtype=np.float64)) for s, e in ((queries, 8), (keys, sizes.get("kdim", 8)))]
    arrays.append(lay(numbers(n, keys, sizes.get("vdim", 8), dtype=np.float64)))
    padding = np.zeros((n, keys), bool)
    padding[1, 3:] = True
    mask = draw.choice(["none", "bool", "float", "each"])
    given = {
        "bool": np.triu(np.ones((queries, keys), bool), 2),
        "float": numbers(queries, keys, dtype=np.float64),
        "each": numbers(n * 2, queries, keys, dtype=np.float64),
    }.get(mask)
    padded, average = flag() and mask in ("none", "bool"), flag()
    for need in (True, False):
        layers_agree(
            ours,
            theirs,
            arrays,
            lambda layer, make, q, k, v, need=need: layer(
                q,
                k,
                v,
                key_padding_mask=make(padding) if padded else None,
                attn_mask=None if given is None else make(given),
                need_weights=need,
                average_attn_weights=average,
            ),
        )
        ours.zero_grad()
        theirs.zero_grad()


def test_multihead_attention_without_a_batch_and_of_one_tensor():
    ours, theirs = twins(lambda m: m.MultiheadAttention(6, 3))
    layers_agree(ours, theirs, [numbers(5, 6, dtype=np.float64)], lambda layer, _, x: layer(x, x, x))


def test_multihead_attention_refuses():
    with pytest.raises(ValueError, match="divisor"):
        nn.MultiheadAttention(7, 2)
    layer, x = nn.MultiheadAttention(8, 2), tinymed.ones(3, 2, 8)
    for call, words in (
        (lambda: layer(x, x, tinymed.ones(4, 2, 8)), "as many"),
        (lambda: layer(x, x, tinymed.ones(3, 2, 7)), "features"),
        (lambda: layer(x, x, x, is_causal=True), "hint"),
        (lambda: layer(x, x, x, attn_mask=tinymed.ones(2, 3)), "attn_mask has shape"),
        (lambda: layer(x, x, x, key_padding_mask=tinymed.ones(3, 3)), "key_padding_mask has shape"),
    ):
        with pytest.raises(ValueError, match=words):
            call()


@pytest.mark.parametrize(
    ("norm_first", "activation", "bias"), list(itertools.product((0, 1), ("relu", "gelu"), (0, 1)))
)
def test_encoder_is_pytorchs(norm_first, activation, bias):
    options = {"norm_first": bool(norm_first), "activation": activation, "bias": bool(bias), "dropout": 0.0}

    def make(m):
        layer = m.TransformerEncoderLayer(8, 2, 12, batch_first=True, **options)
        return m.TransformerEncoder(layer, 2, m.LayerNorm(8), enable_nested_tensor=False)

    ours, theirs = twins(make)
    causal, padding = np.triu(np.ones((5, 5), bool), 1), np.zeros((3, 5), bool)
    padding[2, 4] = True
    for masks in ((None, None), (causal, None), (causal, padding)):
        layers_agree(
            ours,
            theirs,
            [numbers(3, 5, 8, dtype=np.float64)],
            lambda layer, t, x, masks=masks: layer(x, *(None if m is None else t(m) for m in masks)),
        )
        ours.zero_grad()
        theirs.zero_grad()


@pytest.mark.parametrize("norm_first", [False, True])
def test_decoder_is_pytorchs(norm_first):
    def make(m):
        return m.TransformerDecoder(m.TransformerDecoderLayer(8, 2, 12, dropout=0.0, norm_first=norm_first), 2)

    ours, theirs = twins(make)
    arrays = [numbers(4, 3, 8, dtype=np.float64), numbers(6, 3, 8, dtype=np.float64)]
    mask = np.triu(np.ones((4, 4), bool), 1)
    layers_agree(ours, theirs, arrays, lambda layer, t, x, memory: layer(x, memory, t(mask)))


# --------------------------------------------------------------------------------------------------- ONNX


class Attend(nn.Module):
    """Attention of a tensor to itself, with options, or with a mask that is made of it."""

    def __init__(self, masked=False, **options):
        super().__init__()
        self.masked, self.options = masked, options

    def forward(self, x):
        mask = x[..., :1].sum(-1).unsqueeze(-2) > 0.3 if self.masked else None
        return F.scaled_dot_product_attention(x, x * 2, x + 1, mask, **self.options)


EXPORTED = {
    "plain": lambda: Attend(),
    "causal": lambda: Attend(is_causal=True, scale=0.3),
    "masked": lambda: Attend(masked=True),
    "encoder": lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, 8, batch_first=True), 2).eval(),
    "transunet": lambda: tinymed.models.create("transunet_tiny", size=32).eval(),
}


@pytest.mark.parametrize("case", EXPORTED)
def test_exported_attention_is_onnx_runtimes(case, tmp_path):
    pytest.importorskip("onnx", reason="the export writes by it: pip install '.[onnx]'")
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is the oracle: pip install '.[test]'")
    tinymed.manual_seed(3)
    model, path = EXPORTED[case](), tmp_path / "model.onnx"
    x = numbers(2, 3, 32, 32) if case == "transunet" else numbers(2, 5, 6)
    x.reshape(2, -1)[1] = -abs(x.reshape(2, -1)[1])  # of the masked one: a sample whose queries attend to nothing
    tinymed.onnx.export(model, Tensor(x[:1]), path)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    theirs = session.run(None, {session.get_inputs()[0].name: x})[0]
    with tinymed.no_grad(), use_backend("numpy"):  # what is held to ONNX Runtime is the graph, not a kernel
        ours = model(Tensor(x)).numpy()
    assert np.isfinite(ours).all()
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).max())


def test_dropout_of_weights_is_not_exported(tmp_path):
    pytest.importorskip("onnx", reason="the export writes by it: pip install '.[onnx]'")
    with pytest.raises(tinymed.errors.UserError, match="dropout of the weights"):
        tinymed.onnx.export(Attend(dropout_p=0.5), Tensor(numbers(1, 5, 6)), tmp_path / "m.onnx")
