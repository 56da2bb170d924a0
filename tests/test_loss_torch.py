"""Losses beside PyTorch: values and gradients of modules, their states, and the older arguments."""

import numpy as np
import pytest
import torch

import tinymed
from tinymed import nn
from tinymed.dispatch import use_backend

F = nn.functional
RNG = np.random.default_rng(3)


def normal(*shape):
    return RNG.normal(size=shape)


def signs(*shape):
    return np.where(RNG.random(shape) < 0.5, -1.0, 1.0)


X, Y, Z = normal(4, 5), normal(4, 5), normal(4, 5)
CLASSES, LABELS = RNG.integers(0, 5, 4), np.array([[1, 0, -1, 3, 2], [2, -1, 0, 1, 4], [-1] * 5, [0, 1, 2, 3, 4]])
WEIGHT = np.array([0.5, 1.0, 2.0, 0.1, 1.5])

# name: (options, inputs, how many of them require a gradient)
CASES = {
    "MarginRankingLoss": [({}, (X, Y, signs(4, 5)), 2), ({"margin": 0.5}, (X, Y, signs(4, 5)), 2)],
    "CosineEmbeddingLoss": [
        ({}, (X, Y, signs(4)), 2),
        ({"margin": 0.3}, (X, Y, np.array([1.0, -1.0, 0.0, -1.0])), 2),
        ({}, (X[0], Y[0], np.array(-1.0)), 2),
    ],
    "SoftMarginLoss": [({}, (X, signs(4, 5)), 1)],
    "MultiLabelSoftMarginLoss": [
        ({}, (X, RNG.random((4, 5))), 1),
        ({"weight": WEIGHT}, (X, RNG.random((4, 5))), 1),
        ({}, (X[0], RNG.random(5)), 1),
    ],
    "MultiMarginLoss": [
        ({}, (X, CLASSES), 1),
        ({"p": 2, "margin": 0.7, "weight": WEIGHT}, (X, CLASSES), 1),
        ({}, (X[0], CLASSES[0]), 1),
    ],
    "MultiLabelMarginLoss": [({}, (X, LABELS), 1), ({}, (X[0], LABELS[0]), 1)],
    "HingeEmbeddingLoss": [
        ({}, (X, signs(4, 5)), 1),
        ({"margin": 0.2}, (X, np.zeros((4, 5))), 1),
        ({}, (np.array([np.inf, -np.inf, 1.0]), np.array([-1.0, 1.0, -1.0])), 1),
    ],
    "TripletMarginLoss": [
        ({}, (X, Y, Z), 3),
        ({"p": 1, "margin": 2.0, "swap": True}, (X, Y, Z), 3),
        ({"p": 3, "eps": 1e-3}, (X[0], Y[0], Z[0]), 3),
    ],
    "TripletMarginWithDistanceLoss": [({}, (X, Y, Z), 3), ({"margin": 0.5, "swap": True}, (X, Y, Z), 3)],
    "PoissonNLLLoss": [
        ({}, (X, RNG.integers(0, 9, (4, 5)).astype(float)), 1),
        ({"full": True}, (X, RNG.integers(0, 9, (4, 5)).astype(float)), 1),
        ({"log_input": False, "full": True, "eps": 1e-3}, (np.abs(X), RNG.integers(0, 9, (4, 5)).astype(float)), 1),
    ],
    "GaussianNLLLoss": [
        ({}, (X, Y, np.abs(Z)), 3),
        ({"full": True}, (X, Y, np.abs(Z[:, :1])), 3),
        ({"eps": 0.5}, (X, Y, np.abs(Z[:, 0])), 3),
    ],
    "KLDivLoss": [({"log_target": True}, (X, Y), 2), ({}, (X, np.abs(Y)), 1)],
    "CrossEntropyLoss": [({"weight": WEIGHT, "label_smoothing": 0.1, "ignore_index": 2}, (X, CLASSES), 1)],
    "NLLLoss": [({"weight": WEIGHT, "ignore_index": 2}, (X, CLASSES), 1)],
    "BCELoss": [({"weight": WEIGHT}, (RNG.random((4, 5)), RNG.random((4, 5))), 2)],
    "BCEWithLogitsLoss": [({"weight": WEIGHT, "pos_weight": WEIGHT}, (X, RNG.random((4, 5))), 2)],
    "SmoothL1Loss": [({"beta": 0.5}, (X, Y), 2)],
    "HuberLoss": [({"delta": 0.5}, (X, Y), 2)],
    "MSELoss": [({}, (X, Y), 2)],
    "L1Loss": [({}, (X, Y), 2)],
}
REDUCED = [
    pytest.param(name, i, reduction, id=f"{name}-{i}-{reduction}")
    for name, cases in CASES.items()
    for i in range(len(cases))
    for reduction in ("mean", "sum", "none", *(["batchmean"] if name == "KLDivLoss" else []))
]


def results(lib, layers, name, options, inputs, grads):
    """The loss, weighted at random, and the gradients."""
    given = {n: lib.tensor(v) if isinstance(v, np.ndarray) else v for n, v in options.items()}
    tensors = [lib.tensor(np.array(a), requires_grad=i < grads) for i, a in enumerate(inputs)]
    loss = getattr(layers, name)(**given)(*tensors)
    weights = np.random.default_rng(1).normal(size=tuple(loss.shape))
    (loss * lib.tensor(weights)).sum().backward()
    return [loss.detach().numpy(), *(t.grad.numpy() for t in tensors[:grads])]


@pytest.mark.filterwarnings("ignore:reduction. .mean")
@pytest.mark.parametrize(("name", "case", "reduction"), REDUCED)
def test_equal_to_torch(name, case, reduction):
    options, inputs, grads = CASES[name][case]
    with use_backend("numpy"):
        ours = results(tinymed, nn, name, options | {"reduction": reduction}, inputs, grads)
    true = results(torch, torch.nn, name, options | {"reduction": reduction}, inputs, grads)
    for a, b in zip(ours, true, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


CTC_CASES = {
    "padded": ((6, 3, 5), [[1, 2, 2], [3, 1, 0], [4, 0, 0]], [6, 5, 3], [3, 2, 1]),
    "one_after_the_other": ((6, 3, 5), [1, 2, 2, 3, 1, 4], [6, 5, 3], [3, 2, 1]),
    "no_labels": ((4, 2, 3), [[1, 2], [1, 1]], [4, 4], [0, 2]),
    "impossible": ((3, 2, 3), [[1, 1], [1, 2]], [2, 3], [2, 2]),
    "unbatched": ((5, 4), [1, 3], 5, 2),
}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("zero_infinity", [False, True])
@pytest.mark.parametrize("case", CTC_CASES)
def test_ctc_equal_to_torch(case, reduction, zero_infinity):
    shape, targets, inputs, lengths = CTC_CASES[case]
    scores = np.random.default_rng(0).normal(size=shape)

    def run(lib, layers):
        x = lib.tensor(scores, requires_grad=True)
        log_p = lib.log_softmax(x, -1)
        log_p.retain_grad()
        loss = layers.CTCLoss(0, reduction, zero_infinity)(
            log_p, lib.tensor(targets), lib.tensor(inputs), lib.tensor(lengths)
        )
        loss.sum().backward()
        return loss.detach().numpy(), log_p.grad.numpy(), x.grad.numpy()

    with use_backend("numpy"):
        ours = run(tinymed, nn)
    for a, b in zip(ours, run(torch, torch.nn), strict=True):
        assert a.shape == b.shape
        finite = np.isfinite(b)  # of an impossible sequence the gradient is not a number
        np.testing.assert_array_equal(np.isfinite(a), finite)
        np.testing.assert_allclose(a[finite], b[finite], rtol=1e-9, atol=1e-11)


def test_ctc_keeps_the_digits_of_long_sequences():
    """A posterior is the exponential of a difference of large logarithms: in float32 its error would be 1e-4."""
    rng = np.random.default_rng(0)
    log_p = torch.log_softmax(torch.from_numpy(rng.normal(size=(100, 2, 20))), -1).numpy()
    targets, lengths = rng.integers(1, 20, (2, 30)), ((100, 90), (30, 20))

    def gradient(dtype):
        x = tinymed.tensor(log_p.astype(dtype), requires_grad=True)
        F.ctc_loss(x, tinymed.tensor(targets), *lengths, reduction="sum").backward()
        return x.grad.numpy()

    with use_backend("numpy"):
        found, true = gradient(np.float32), gradient(np.float64)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, true, rtol=2e-5, atol=2e-6)


def test_ctc_refuses():
    log_p = tinymed.log_softmax(tinymed.randn(4, 2, 3, seed=0), -1)
    good = (tinymed.tensor([[1, 2], [2, 1]]), (4, 4), (2, 2))
    F.ctc_loss(log_p, *good)
    with pytest.raises(ValueError, match="apply log_softmax"):
        F.ctc_loss(log_p * 2.0, *good)
    with pytest.raises(ValueError, match="targets lie in 0 to 2"):
        F.ctc_loss(log_p, tinymed.tensor([[1, 3], [2, 1]]), (4, 4), (2, 2))
    with pytest.raises(ValueError, match="input_lengths lie in 0 to 4"):
        F.ctc_loss(log_p, good[0], (5, 4), (2, 2))
    with pytest.raises(ValueError, match="do not hold 2 sequences"):
        F.ctc_loss(log_p, tinymed.tensor([1, 2, 1]), (4, 4), (2, 2))


@pytest.mark.parametrize(
    "older", [(True, True), (False, True), (None, False), (False, None), (True, None), (None, True)]
)
@pytest.mark.filterwarnings("ignore:size_average", "ignore:reduction. .mean")
def test_size_average_and_reduce(older):
    """By position, where PyTorch has them, and by name; in functions and in modules."""
    for lib, layers in ((tinymed, nn), (torch, torch.nn)):
        x, y, classes = lib.tensor(X), lib.tensor(Y), lib.tensor(CLASSES)
        f, named = layers.functional, dict(zip(("size_average", "reduce"), older, strict=True))
        found = [
            f.mse_loss(x, y, *older),
            f.mse_loss(x, y, **named),
            layers.MSELoss(*older)(x, y),
            f.cross_entropy(x, classes, None, older[0], -100, older[1]),
            layers.CrossEntropyLoss(None, older[0], -100, older[1])(x, classes),
            layers.KLDivLoss(**named)(x, y.abs()),
            layers.HingeEmbeddingLoss(1.0, *older)(x, y.sign()),
        ]
        if lib is tinymed:
            ours = [v.numpy() for v in found]
    for a, b in zip(ours, found, strict=True):
        np.testing.assert_allclose(a, b.numpy(), rtol=1e-10)


def test_a_reduction_where_size_average_stands_is_refused():
    x = tinymed.tensor(X)
    with pytest.raises(TypeError, match="reduction='sum'"):
        F.mse_loss(x, x, "sum")
    with pytest.raises(TypeError, match="target given twice"):
        F.mse_loss(x, x, target=x)
    with pytest.raises(ValueError, match="reduction is one of 'mean', 'sum', 'none'"):
        nn.MSELoss(reduction="batchmean")


def test_a_weight_per_element():
    w = np.abs(Z)
    for reduction in ("mean", "sum", "none"):
        for name in ("mse_loss", "l1_loss", "huber_loss"):
            ours = getattr(F, name)(*map(tinymed.tensor, (X, Y)), reduction=reduction, weight=tinymed.tensor(w))
            true = getattr(torch.nn.functional, name)(
                *map(torch.tensor, (X, Y)), reduction=reduction, weight=torch.tensor(w)
            )
            np.testing.assert_allclose(ours.numpy(), true.numpy(), rtol=1e-10)


def test_weights_are_part_of_the_state():
    for name in ("CrossEntropyLoss", "NLLLoss", "BCELoss", "MultiMarginLoss", "MultiLabelSoftMarginLoss"):
        ours, true = (getattr(n, name)(weight=lib.tensor(WEIGHT)) for lib, n in ((tinymed, nn), (torch, torch.nn)))
        assert list(ours.state_dict()) == list(true.state_dict()) == ["weight"]
        missing, unexpected = ours.load_state_dict({})  # written before the weights were part of it
        assert (missing, unexpected) == ([], [])
        ours.load_state_dict({"weight": WEIGHT * 2})
        np.testing.assert_array_equal(ours.weight.array, WEIGHT * 2)
        assert list(getattr(nn, name)().state_dict()) == []
    both = nn.Sequential(nn.BCEWithLogitsLoss(tinymed.tensor(WEIGHT), pos_weight=tinymed.tensor(WEIGHT)))
    assert list(both.state_dict()) == ["0.weight", "0.pos_weight"]


def test_what_is_no_probability_is_refused():
    good, bad = tinymed.tensor([0.2, 0.7]), tinymed.tensor([0.2, 1.7])
    for input, target in ((bad, good), (good, bad), (tinymed.tensor([0.2, float("nan")]), good)):
        with pytest.raises(ValueError, match="binary_cross_entropy: "):
            nn.BCELoss()(input, target)


@pytest.mark.parametrize(("dim", "p"), [(1, 2.0), (0, 1.0), (-1, 3.0)])
def test_distances(dim, p):
    x, y = X.copy(), Y.copy()
    x[0], y[1] = 0, 0
    for lib, f in ((tinymed, F), (torch, torch.nn.functional)):
        a, b = lib.tensor(x, requires_grad=True), lib.tensor(y, requires_grad=True)
        values = [
            f.cosine_similarity(a, b, dim),
            f.cosine_similarity(a, b[:1], dim),
            f.normalize(a, p, dim),
            f.pairwise_distance(a, b, p, keepdim=True),
        ]
        sum((v * v).sum() for v in values).backward()
        if lib is tinymed:
            ours = [*(v.detach().numpy() for v in values), a.grad.numpy(), b.grad.numpy()]
    for u, v in zip(ours, [*(v.detach().numpy() for v in values), a.grad.numpy(), b.grad.numpy()], strict=True):
        assert u.shape == v.shape
        np.testing.assert_allclose(u, v, rtol=1e-9, atol=1e-11)
