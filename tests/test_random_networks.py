"""Random networks beside PyTorch, eager and captured: what no list of blocks would have combined.

pytest -m full tests/test_random_networks.py        500 networks a backend, and 1,000 captured programs
"""

import itertools

import numpy as np
import pytest
import random_networks
from conftest import absence

import tinymed
import tinymed.nn
import tinymed.optim
from tinymed import dispatch
from tinymed.program import verify

torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")

FEW, MANY = 12, 500
CAPTURED_FEW, CAPTURED_MANY = 16, 1000
BACKENDS = [name for name in ("numba", "loops", "emulated") if name in dispatch.BACKENDS and not absence(name)]
STEPS = 4


def slices(few, many):
    """A slice in CI, the rest in the full tests."""
    return [*range(few), *(pytest.param(seed, marks=pytest.mark.full) for seed in range(few, many))]


def theirs(spec, dtype, noise=0.0):
    """PyTorch's network with weights of its own, and {name: value} of its outputs and all gradients."""
    torch.manual_seed(spec["seed"])
    network = random_networks.build(torch, spec).double().to(dtype)
    x, labels = random_networks.inputs(spec)
    x = x * (1 + noise * np.random.default_rng(1).standard_normal(x.shape))
    image = torch.tensor(x, dtype=dtype, requires_grad=True)
    loss = network.loss(image, torch.tensor(labels))
    loss.backward()
    found = {"loss": loss, "x": image.grad} | {n: p.grad for n, p in network.named_parameters() if p.grad is not None}
    return network, {n: v.detach().double().numpy() for n, v in found.items()}


def ours(spec, network, dtype):
    """The same of tinymed's, with PyTorch's weights."""
    own = random_networks.build(tinymed, spec).to(dtype)
    own.load_state_dict({n: v.detach().numpy() for n, v in network.state_dict().items()})
    x, labels = random_networks.inputs(spec)
    image = tinymed.tensor(x.astype(dtype), requires_grad=True)
    loss = own.loss(image, tinymed.tensor(labels))
    loss.backward()
    found = {"loss": loss, "x": image.grad} | {n: p.grad for n, p in own.named_parameters() if p.grad is not None}
    return {n: v.numpy().astype(np.float64) for n, v in found.items()}


def errors(found, true):
    """{name: largest error, relative to the largest value of all gradients}."""
    assert found.keys() == true.keys()
    scale = max(np.abs(v).max(initial=0) for v in true.values())
    return {n: np.abs(found[n] - true[n]).max(initial=0) / scale for n in true}


@pytest.mark.parametrize("seed", slices(FEW, MANY))
def test_float64_equals_pytorch(seed):
    spec = random_networks.draw(seed)
    network, true = theirs(spec, torch.float64)
    with tinymed.use_backend("numpy"):
        found = errors(ours(spec, network, np.float64), true)
    assert max(found.values()) < 1e-9, (spec["kinds"], found)


@pytest.mark.parametrize("used", BACKENDS)
@pytest.mark.parametrize("seed", slices(FEW, MANY))
def test_float32_is_as_near_as_pytorchs(seed, used):
    """Within 50 times PyTorch's own rounding; more only where a kink turns rounding into a decision."""
    spec = random_networks.draw(seed)
    network, true = theirs(spec, torch.float64)
    theirs32 = errors(theirs(spec, torch.float32)[1], true)
    with tinymed.use_backend(used):
        found = errors(ours(spec, network, np.float32), true)
    bound = 50 * max(max(theirs32.values()), 1e-7)
    if max(found.values()) > bound and spec["kinks"]:
        moved = max(max(errors(theirs(spec, torch.float64, noise)[1], true).values()) for noise in (1e-6, -1e-6))
        bound = max(bound, 2 * moved)
    assert max(found.values()) <= bound, (spec["kinds"], used, found)


def trained(spec, wrap, dtype):
    """Losses and weights of some steps."""
    network = random_networks.build(tinymed, spec).to(dtype)
    torch.manual_seed(spec["seed"])
    twin = random_networks.build(torch, spec)
    network.load_state_dict({n: v.detach().numpy() for n, v in twin.state_dict().items()})
    optimizer = random_networks.make_optimizer(tinymed, spec, network)
    x, labels = random_networks.inputs(spec)

    def step(x, labels):
        optimizer.zero_grad()
        loss = network.loss(x, labels)
        loss.backward()
        optimizer.step()
        return loss

    step = wrap(step)
    losses = [step(tinymed.tensor((x * (1 + i)).astype(dtype)), tinymed.tensor(labels)).item() for i in range(STEPS)]
    return losses, {n: v.numpy().astype(np.float64) for n, v in network.state_dict().items()}


PROGRAMS = [("numpy", np.float64, 1e-9), *((used, np.float32, 2e-4) for used in BACKENDS)]


@pytest.mark.parametrize("seed", slices(CAPTURED_FEW, CAPTURED_MANY))
def test_captured_equals_eager(seed):
    """Training by a recorded program, checked to read only what it wrote, on each backend in turn."""
    assert verify.enabled
    used, dtype, bound = PROGRAMS[seed % len(PROGRAMS)]
    spec = random_networks.draw(10_000 + seed)
    if dtype == np.float32 and spec["optimizer"] != "momentum":
        spec["optimizer"] = "SGD"  # others divide by gradients that may be rounding alone
    with tinymed.use_backend(used):
        losses, weights = trained(spec, lambda step: step, dtype)
        captured, after = trained(spec, tinymed.capture, dtype)
    scale = max(np.abs(v).max(initial=0) for v in weights.values())
    found = {n: np.abs(after[n] - weights[n]).max(initial=0) / scale for n in weights}
    assert np.allclose(captured, losses, rtol=bound, atol=bound), (spec, captured, losses)
    assert max(found.values()) < bound, (spec["kinds"], used, found)


@pytest.mark.parametrize("optimizer", random_networks.OPTIMIZERS)
@pytest.mark.parametrize("layer", ["bias", "weight", "linear"])
def test_two_parameters_with_one_gradient(optimizer, layer, backend_name):
    """What makes their gradients equal is nothing special: two layers whose outputs are added."""
    spec = {"optimizer": optimizer, "seed": 0}

    def run(wrap):
        tinymed.manual_seed(0)
        make = {
            "bias": lambda: tinymed.nn.Conv2d(2, 3, 1),
            "weight": lambda: tinymed.nn.Conv2d(2, 3, 3, padding=1, bias=False),
            "linear": lambda: tinymed.nn.Sequential(tinymed.nn.Flatten(), tinymed.nn.Linear(32, 48)),
        }[layer]
        both = tinymed.nn.ModuleList([make(), make()])
        chosen = random_networks.make_optimizer(tinymed, spec, both)
        x, t = tinymed.randn(2, 2, 4, 4, seed=1), tinymed.randn(2, 48, seed=2)

        def step(x, t):
            chosen.zero_grad()
            loss = ((both[0](x) + both[1](x)).flatten(1) * t).sum()
            loss.backward()
            chosen.step()
            return loss

        step = wrap(step)
        return [step(x, t).item() for _ in range(4)]

    np.testing.assert_allclose(run(tinymed.capture), run(lambda step: step), rtol=1e-5)


def test_the_slices_have_each_habit_and_each_pair_of_habits():
    seen = {
        pair for seed in range(FEW) for pair in itertools.combinations(sorted(random_networks.draw(seed)["kinds"]), 2)
    }
    for pair in itertools.combinations(sorted(random_networks.HABITS), 2):
        assert pair in seen
