"""Recurrent layers beside PyTorch's, with its weights: forms of input, packed sequences, gradients, ONNX, capture."""

import numpy as np
import pytest

import tinymed
from tinymed import nn
from tinymed.nn.utils import rnn
from tinymed.ops.recurrent import LSTMSequence

torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")

T, N, I, H = 5, 4, 3, 6
LENGTHS = [2, 5, 1, 4]


@pytest.fixture
def reference():
    """The layer is tested, not the kernels: in float64."""
    with tinymed.use_backend("numpy"):
        yield


def pair(kind, *args, **options):
    """(ours, theirs), with the same weights in float64."""
    torch.manual_seed(0)
    theirs = getattr(torch.nn, kind)(*args, **options).double()
    ours = getattr(nn, kind)(*args, **options).double()
    ours.load_state_dict({k: tinymed.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    assert [*ours.state_dict()] == [*theirs.state_dict()]
    return ours, theirs


def both(*shape, seed=0):
    """One array as a tensor of ours and one of theirs, which want gradients."""
    a = np.random.default_rng(seed).normal(size=shape)
    return tinymed.tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)


def flat(result):
    """The tensors of nested tuples; of a packed sequence its data."""
    if isinstance(result, rnn.PackedSequence | torch.nn.utils.rnn.PackedSequence):
        return [result.data]
    return [t for part in result for t in flat(part)] if isinstance(result, tuple) else [result]


def equal(ours, theirs, inputs, modules):
    """Outputs, and the gradients of inputs and parameters under a cotangent."""
    ours, theirs = flat(ours), flat(theirs)
    total, wanted = 0.0, 0.0
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=0, atol=1e-12)
        g = np.random.default_rng(i).normal(size=a.shape)
        total, wanted = total + (a * tinymed.tensor(g)).sum(), wanted + (b * torch.tensor(g)).sum()
    total.backward()
    wanted.backward()
    for a, b in inputs:
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=0, atol=1e-11)
    for (name, a), (_, b) in zip(modules[0].named_parameters(), modules[1].named_parameters(), strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=0, atol=1e-11, err_msg=name)


FORMS = [
    {},
    {"bias": False, "num_layers": 2},
    {"bidirectional": True, "num_layers": 2, "batch_first": True},
]


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("options", FORMS, ids=str)
def test_layers_with_initial_states(kind, options, reference):
    """Gradients of input, parameters and both initial states."""
    modules = pair(kind, I, H, **options)
    many = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    x = both(*((N, T) if options.get("batch_first") else (T, N)), I)
    states = [both(many, N, H, seed=k) for k in range(2 if kind == "LSTM" else 1)]
    hx = [tuple(s[k] for s in states) if kind == "LSTM" else states[0][k] for k in (0, 1)]
    equal(modules[0](x[0], hx[0]), modules[1](x[1], hx[1]), [x, *states], modules)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_unbatched(kind, reference):
    modules = pair(kind, I, H, bidirectional=True)
    x = both(T, I)
    equal(modules[0](x[0]), modules[1](x[1]), [x], modules)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("sort", [False, True])
def test_packed_sequences(kind, sort, reference):
    """Lengths mask steps in both directions and in the states, whatever order the sequences come in."""
    modules = pair(kind, I, H, num_layers=2, bidirectional=True)
    lengths = sorted(LENGTHS, reverse=True) if sort else LENGTHS
    x, state = both(T, N, I), both(4, N, H, seed=1)
    results = []
    for side, pack, module in ((0, rnn, modules[0]), (1, torch.nn.utils.rnn, modules[1])):
        packed = pack.pack_padded_sequence(x[side], lengths, enforce_sorted=sort)
        y, last = module(packed, (state[side], state[side]) if kind == "LSTM" else state[side])
        padded, counts = pack.pad_packed_sequence(y, padding_value=0.5, total_length=T + 1)
        assert counts.tolist() == lengths
        results.append((padded, last))
    equal(*results, [x, state], modules)


def test_what_is_padded_does_not_count(reference):
    """Steps beyond a sequence's end change nothing, NaN included."""
    layer = nn.LSTM(I, H, bidirectional=True).double()
    x = np.random.default_rng(0).normal(size=(T, N, I))
    wrong = x.copy()
    for n, length in enumerate(LENGTHS):
        wrong[length:, n] = np.nan
    y, z = (
        rnn.pad_packed_sequence(layer(rnn.pack_padded_sequence(tinymed.tensor(a), LENGTHS, enforce_sorted=False))[0])[0]
        for a in (x, wrong)
    )
    np.testing.assert_array_equal(y.numpy(), z.numpy())


def test_lists_of_sequences(reference):
    """pad, unpad, pack and unpack of lists, with PyTorch's numbers in every field."""
    arrays = [np.random.default_rng(n).normal(size=(n, 2)) for n in LENGTHS]
    ours, theirs = [tinymed.tensor(a) for a in arrays], [torch.tensor(a) for a in arrays]
    for options in ({}, {"batch_first": True, "padding_value": 2.0}, {"padding_side": "left"}):
        a, b = rnn.pad_sequence(ours, **options), torch.nn.utils.rnn.pad_sequence(theirs, **options)
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    packed, wanted = (m.pack_sequence(s, False) for m, s in ((rnn, ours), (torch.nn.utils.rnn, theirs)))
    for a, b in zip(packed, wanted, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    for a, b in zip(rnn.unpack_sequence(packed), arrays, strict=True):
        np.testing.assert_array_equal(a.numpy(), b)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: rnn.pack_padded_sequence(tinymed.ones(3, 2, 1), [1, 3]), "do not fall"),
        (lambda: rnn.pack_padded_sequence(tinymed.ones(3, 2, 1), [4, 3]), "2 from 1 to 3"),
        (lambda: rnn.pack_padded_sequence(tinymed.ones(3, 2, 1), [3, 0]), "2 from 1 to 3"),
        (lambda: rnn.pad_sequence([tinymed.ones(2, 3), tinymed.ones(2, 4)]), "differ in L alone"),
        (lambda: nn.LSTM(3, 4)(tinymed.ones(2, 2, 5)), "I = 3"),
        (lambda: nn.LSTM(3, 4)(tinymed.ones(2, 2, 3), tinymed.ones(1, 2, 4)), r"tuple \(h, c\)"),
        (lambda: nn.GRU(3, 4)(tinymed.ones(2, 2, 3), tinymed.ones(1, 3, 4)), r"\(1, 2, 4\)"),
        (lambda: nn.GRU(3, 4)(tinymed.ones(0, 2, 3)), "no step"),
        (lambda: nn.RNN(3, 4, nonlinearity="elu"), "'tanh' or 'relu'"),
        (lambda: nn.LSTM(3, 4, proj_size=4), "from 0 to hidden_size - 1"),
        (lambda: nn.LSTM(3, 0), "at least 1"),
        (lambda: nn.GRUCell(3, 4)(tinymed.ones(2, 4)), "I = 3"),
        (lambda: nn.ConvLSTM2d(3, 4, 2), "odd sides"),
        (lambda: nn.ConvLSTM2d(3, 4)(tinymed.ones(2, 3, 8, 8)), "T, N, C, H, W"),
    ],
)
def test_refusals(call, words, reference):
    with pytest.raises(ValueError, match=words):
        call()


def conv_lstm_of_torch(layer, weights, x, state):
    """The layer as a composition of PyTorch's functions."""
    conv, outputs, last = torch.nn.functional.conv2d, [], []
    for d, end in enumerate(layer.directions()):
        w, u, b = (weights[f"{n}{end}"] for n in ("weight_ih", "weight_hh", "bias"))
        h, c, made = state[0][d], state[1][d], [None] * len(x)
        for t in reversed(range(len(x))) if d else range(len(x)):
            i, f, g, o = (conv(x[t], w, b, padding=1) + conv(h, u, padding=1)).chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = made[t] = o.sigmoid() * c.tanh()
        outputs.append(torch.stack(made))
        last.append((h, c))
    return torch.cat(outputs, 2), tuple(torch.stack(s) for s in zip(*last, strict=True))


def test_conv_lstm(reference):
    """Outputs and all gradients of both directions; the forget gate begins at 1."""
    layer = nn.ConvLSTM2d(2, 3, bidirectional=True).double()
    assert layer.bias.tolist() == [0.0] * 3 + [1.0] * 3 + [0.0] * 6
    twins = {n: torch.tensor(p.detach().numpy(), requires_grad=True) for n, p in layer.named_parameters()}
    x, states = both(4, 2, 2, 5, 6), [both(2, 2, 3, 5, 6, seed=k) for k in (1, 2)]
    ours = layer(x[0], tuple(s[0] for s in states))
    theirs = conv_lstm_of_torch(layer, twins, x[1], tuple(s[1] for s in states))
    wanted = [(p, twins[n]) for n, p in layer.named_parameters()]
    equal(ours, theirs, [x, *states, *wanted], (torch.nn.Identity(), torch.nn.Identity()))


def test_truncated_back_propagation(reference):
    """Two halves give the outputs of the whole; a detached state stops the gradient, one that is not lets it pass."""
    layer = nn.GRU(I, H).double()
    x = tinymed.tensor(np.random.default_rng(0).normal(size=(6, N, I)), requires_grad=True)
    whole, _ = layer(x)
    _, state = layer(x[:3])
    second, _ = layer(x[3:], state.detach())
    np.testing.assert_allclose(second.detach().numpy(), whole.detach().numpy()[3:], rtol=0, atol=1e-14)
    second.sum().backward()
    assert not x.grad.numpy()[:3].any()
    assert x.grad.numpy()[3:].any()


def test_an_output_that_is_overwritten_leaves_the_gradient_alone(reference):
    """What backward needs is memory of the op's own."""
    layer, x = nn.LSTM(I, H).double(), tinymed.ones(T, N, I, dtype="float64")
    grads = []
    for spoil in (False, True):
        layer.zero_grad()
        y, (h, c) = layer(x)
        total = y.sum() + h.sum() + c.sum()
        if spoil:
            for t in (y, h, c):
                t.detach().fill_(9.0)
        total.backward()
        grads.append(layer.weight_hh_l0.grad.numpy().copy())
    np.testing.assert_array_equal(*grads)


def test_the_same_bits_for_a_sequence_alone_and_in_a_batch():
    """On the vector kernel a row of a batch is a row by itself."""
    rng = np.random.default_rng(0)
    sums, weight = (rng.normal(size=s).astype(np.float32) for s in ((7, 19, 4 * 33), (4 * 33, 33)))

    def run(a):
        with tinymed.use_backend("numba"):
            return LSTMSequence.apply(tinymed.tensor(a), tinymed.tensor(weight), None, None, None, True)[0].numpy()

    whole = run(sums)
    np.testing.assert_array_equal(run(sums[:, 5:6].copy()), whole[:, 5:6])


def trained(captured):
    """The losses of four steps of a recurrent network."""
    tinymed.manual_seed(0)
    layer, head = nn.LSTM(I, H, bidirectional=True), nn.Linear(2 * H, 1)
    optimizer = tinymed.optim.SGD([*layer.parameters(), *head.parameters()], lr=0.1)

    def step(x):
        optimizer.zero_grad()
        loss = (head(layer(x)[0]) - 1).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    run = tinymed.capture(step) if captured else step
    x = tinymed.tensor(np.random.default_rng(0).normal(size=(T, N, I)).astype(np.float32))
    return [run(x).item() for _ in range(4)]


def test_captured_step():
    """A captured step of a recurrent network trains as the eager one."""
    eager = trained(False)
    assert eager[-1] < eager[0]
    np.testing.assert_allclose(trained(True), eager, rtol=1e-5)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}, {"bias": False}], ids=str)
def test_onnx(kind, options, tmp_path, reference):
    """Exported, ONNX Runtime gives the same for any batch; imported again, so does tinymed."""
    ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install '.[test]'")
    import tinymed.onnx

    layer, path = getattr(nn, kind)(I, H, batch_first=True, **options).eval(), tmp_path / "layer.onnx"
    x = tinymed.tensor(np.random.default_rng(0).normal(size=(N, T, I)).astype(np.float32))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            y, last = self.layer(x)
            return (y, *last) if kind == "LSTM" else (y, last)

    tinymed.onnx.export(Net(), x, path)
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    module = tinymed.onnx.load(path)
    for given in (x, x[:1]):
        wanted = [t.detach().numpy() for t in Net()(given)]
        for a, b, c in zip(wanted, session.run(None, {"x": given.numpy()}), module(given), strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(c.detach().numpy(), a, rtol=1e-5, atol=1e-6)
    operators = [n.op_type for n in __import__("onnx").load(path).graph.node]
    assert operators.count(kind) == options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    assert "MatMul" not in operators, "the input's product belongs to the node"


@pytest.mark.parametrize("options", FORMS, ids=str)
def test_answers_without_gradients_are_those_with_them(options):
    """Without gradients a kernel of its own keeps no gates; a batch that no tile divides, and packed lengths."""
    layer = nn.LSTM(I, H, **options)
    x = tinymed.tensor(np.random.default_rng(0).normal(size=(N, T, I) if options.get("batch_first") else (T, N, I)))
    for given in (x.float(), rnn.pack_padded_sequence(x.float(), LENGTHS, options.get("batch_first", False), False)):
        kept = layer(given)
        with tinymed.no_grad():
            answered = layer(given)
        for a, b in zip((kept[0], *kept[1]), (answered[0], *answered[1]), strict=True):
            a, b = (v.data if isinstance(v, rnn.PackedSequence) else v for v in (a, b))
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_a_layer_gives_a_sequence_the_same_bits_alone_and_in_a_batch():
    """Two tiles of sequences, or one, or a part of one: whatever a task holds."""
    layer = nn.LSTM(17, 33)
    x = np.random.default_rng(0).normal(size=(5, 67, 17)).astype(np.float32)
    with tinymed.use_backend("numba"):
        whole = layer(tinymed.tensor(x))[0].numpy()
        with tinymed.no_grad():
            for first, last in ((0, 1), (5, 14), (3, 40), (0, 67)):
                part = layer(tinymed.tensor(x[:, first:last].copy()))[0].numpy()
                np.testing.assert_array_equal(part, whole[:, first:last])
