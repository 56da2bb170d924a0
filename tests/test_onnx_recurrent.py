"""RNN, GRU and LSTM beside ONNX Runtime and PyTorch: directions, lengths, states, peepholes, activations, gradients."""

import numpy as np
import pytest
from onnx_models import agree, beside, helper, loaded, model_of, ours, runtime

import tinymed
import tinymed.onnx
from tinymed.check import gradcheck

T, N, I, H = 5, 3, 4, 6
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
COUNTS = {"RNN": 1, "GRU": 2, "LSTM": 3}
OUTPUTS = {"RNN": ("y", "h"), "GRU": ("y", "h"), "LSTM": ("y", "h", "c")}


@pytest.fixture(autouse=True)
def reference():
    """The mapping is tested, not the kernels."""
    with tinymed.use_backend("numpy"):
        yield


def arrays(op, directions, seed=0, **which):
    """Inputs by ONNX's names: weights always, what `which` names too."""
    rng, gates = np.random.default_rng(seed), GATES[op]
    shapes = {"X": (T, N, I), "W": (directions, gates * H, I), "R": (directions, gates * H, H)}
    shapes |= {"B": (directions, 2 * gates * H)} if which.get("bias") else {}
    if which.get("states"):
        shapes |= {"h0": (directions, N, H)} | ({"c0": (directions, N, H)} if op == "LSTM" else {})
    if which.get("peepholes"):
        shapes |= {"P": (directions, 3 * H)}
    found = {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}
    return found | ({"lengths": np.array([5, 2, 3], np.int32)} if which.get("lengths") else {})


def model(op, given, **attributes):
    """One node; what is not given is left out."""
    order = ["X", "W", "R", "B", "lengths", "h0", *(["c0", "P"] if op == "LSTM" else [])]
    names = [name if name in given else "" for name in order]
    while not names[-1]:
        names.pop()
    one = helper.make_node(op, names, OUTPUTS[op], hidden_size=H, **attributes)
    return model_of([one], {"X": given["X"]}, OUTPUTS[op], {k: v for k, v in given.items() if k != "X"}, 14)


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("which", ["", "bias", "bias lengths", "bias states", "bias lengths states peepholes"])
def test_as_onnx_runtime(op, direction, which, tmp_path):
    asked = dict.fromkeys(which.split(), True)
    if op != "LSTM":
        asked.pop("peepholes", None)
    given = arrays(op, 1 + (direction == "bidirectional"), **asked)
    beside(tmp_path, model(op, given, direction=direction), given["X"])


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize(
    ("names", "more"),
    [
        (["Relu", "Tanh", "Sigmoid"], {}),
        (["Softsign", "Softplus", "Tanh"], {}),
        (["HardSigmoid", "Tanh", "Relu"], {}),
        (["LeakyRelu", "HardSigmoid", "Elu"], {"activation_alpha": [0.2, 0.3, 1.5], "activation_beta": [0.4]}),
        (["Affine", "ScaledTanh", "Tanh"], {"activation_alpha": [0.3, 0.7], "activation_beta": [0.1, 0.9]}),
        (["ThresholdedRelu", "Tanh", "Tanh"], {"activation_alpha": [0.1]}),
    ],
)
def test_activations(op, names, more, tmp_path):
    """Each direction has its own; alpha and beta go to those that take one."""
    given = arrays(op, 2, bias=True)
    own = names[: COUNTS[op]]
    settings = {k: [*v, *v] for k, v in more.items()}
    if "alpha" in str(more):  # as many as the names of this operator take
        takes_alpha = [
            n for n in own if n in ("LeakyRelu", "HardSigmoid", "Elu", "Affine", "ScaledTanh", "ThresholdedRelu")
        ]
        takes_beta = [n for n in own if n in ("HardSigmoid", "Affine", "ScaledTanh")]
        alpha, beta = more["activation_alpha"][: len(takes_alpha)], more.get("activation_beta", [])[: len(takes_beta)]
        settings = {"activation_alpha": [*alpha, *alpha]} | ({"activation_beta": [*beta, *beta]} if beta else {})
    beside(tmp_path, model(op, given, direction="bidirectional", activations=[*own, *own], **settings), given["X"])


@pytest.mark.parametrize(
    ("op", "settings"),
    [
        ("GRU", {"linear_before_reset": 1}),
        ("GRU", {"linear_before_reset": 1, "clip": 0.3}),
        ("LSTM", {"clip": 0.3}),
        ("LSTM", {"input_forget": 1}),
        ("RNN", {"clip": 0.2}),
    ],
)
def test_settings(op, settings, tmp_path):
    given = arrays(op, 1, bias=True, states=True)
    beside(tmp_path, model(op, given, **settings), given["X"])


@pytest.mark.parametrize("op", GATES)
def test_batch_first(op, tmp_path):
    """layout=1, which ONNX Runtime lacks: the same numbers, the batch in front of inputs, states and outputs."""
    given = arrays(op, 2, bias=True, states=True, lengths=True)
    plain = runtime(model(op, given, direction="bidirectional"), given["X"])
    turned = given | {k: given[k].swapaxes(0, 1) for k in ("X", "h0", "c0") if k in given}
    got = ours(loaded(tmp_path, model(op, turned, direction="bidirectional", layout=1)), turned["X"])
    agree(got, [plain[0].transpose(2, 0, 1, 3), *(s.swapaxes(0, 1) for s in plain[1:])])


@pytest.mark.parametrize("op", ["RNN", "GRU", "LSTM"])
def test_gradients_of_pytorch(op, tmp_path):
    """All parameters and the input of PyTorch's own layer in float64; its gates are in another order."""
    torch = pytest.importorskip("torch")
    layer = getattr(torch.nn, op)(I, H, bidirectional=True).double()
    order = {"RNN": [0], "GRU": [1, 0, 2], "LSTM": [0, 3, 1, 2]}[op]

    def gathered(kind):
        """The gates of both directions in ONNX's order."""
        parts = [np.split(getattr(layer, kind + end).detach().numpy(), GATES[op]) for end in ("_l0", "_l0_reverse")]
        return np.stack([np.concatenate([p[i] for i in order]) for p in parts])

    x = np.random.default_rng(0).normal(size=(T, N, I))
    given = {"X": x, "W": gathered("weight_ih"), "R": gathered("weight_hh")}
    given["B"] = np.concatenate([gathered("bias_ih"), gathered("bias_hh")], 1)
    more = {"linear_before_reset": 1} if op == "GRU" else {}
    module = loaded(tmp_path, model(op, given, direction="bidirectional", **more))
    ours_in, theirs_in = tinymed.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y = module(ours_in)[0]
    theirs = layer(theirs_in)[0]
    np.testing.assert_allclose(
        y.numpy().transpose(0, 2, 1, 3).reshape(T, N, -1), theirs.detach().numpy(), rtol=0, atol=1e-12
    )
    (y * y).sum().backward()
    (theirs * theirs).sum().backward()
    np.testing.assert_allclose(ours_in.grad.numpy(), theirs_in.grad.numpy(), rtol=0, atol=1e-12)
    expected = np.stack([getattr(layer, "weight_hh" + end).grad.numpy() for end in ("_l0", "_l0_reverse")])
    blocks = np.stack(np.split(module.R.grad.numpy(), GATES[op], 1))[np.argsort(order)]
    np.testing.assert_allclose(np.concatenate(blocks, 1), expected, rtol=0, atol=1e-12)


def test_gradients_with_everything(tmp_path):
    """Finite differences through lengths, states and peepholes."""
    given = {
        k: v.astype(np.float64) if v.dtype.kind == "f" else v
        for k, v in arrays("LSTM", 2, bias=True, lengths=True, states=True, peepholes=True).items()
    }
    module = loaded(tmp_path, model("LSTM", given, direction="bidirectional"))
    gradcheck(lambda x: module(x)[0], [tinymed.tensor(given["X"], requires_grad=True)])


def test_it_learns(tmp_path):
    """The last state tells whether the sum of a sequence is above 0."""
    from tinymed import optim
    from tinymed.nn import functional as F

    given = arrays("LSTM", 1, bias=True)
    module = loaded(tmp_path, model("LSTM", given)).train()
    rng = np.random.default_rng(1)
    x = tinymed.tensor(rng.normal(size=(T, N, I)).astype(np.float32))
    target = tinymed.tensor(np.array([0, 1, 1]))
    optimizer, losses = optim.Adam(module.parameters(), lr=0.05), []
    for _ in range(30):
        optimizer.zero_grad()
        loss = F.cross_entropy(module(x)[1][0], target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize(
    ("change", "settings", "words"),
    [
        ({}, {"direction": "sideways"}, "direction 'sideways'"),
        ({}, {"direction": "bidirectional"}, "takes 2 as its first length"),
        ({"R": (1, 4 * H, H + 1)}, {}, "it takes X"),
        ({"B": (1, 4 * H)}, {}, "it takes X"),
        ({}, {"activations": ["Tanh", "Sine", "Tanh"]}, "activation 'Sine'"),
        ({}, {"activations": ["Tanh"]}, "it takes 3 for each direction"),
    ],
)
def test_refusals(change, settings, words, tmp_path):
    given = arrays("LSTM", 1, bias=True) | {k: np.zeros(s, np.float32) for k, s in change.items()}
    module = loaded(tmp_path, model("LSTM", given, **settings))
    with pytest.raises(ValueError, match=words) as caught:
        module(given["X"])
    assert "(LSTM)" in str(caught.value)


def test_lengths_beyond_the_sequence(tmp_path):
    given = arrays("GRU", 1) | {"lengths": np.array([5, 6, 1], np.int32)}
    with pytest.raises(ValueError, match="3 lengths from 0 to 5"):
        loaded(tmp_path, model("GRU", given))(given["X"])


def test_no_steps(tmp_path):
    given = arrays("LSTM", 1, states=True)
    empty = given["X"][:0]
    y, h, c = ours(loaded(tmp_path, model("LSTM", given | {"X": empty})), empty)
    assert y.shape == (0, 1, N, H)
    np.testing.assert_array_equal(h, given["h0"])
    np.testing.assert_array_equal(c, given["c0"])
