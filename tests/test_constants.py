"""What a captured forward pass computes from weights alone is computed once for each version of the weights.

Every public way of writing a tensor is walked: after each the replay must give what the network gives.
"""

import numpy as np
import pytest

import tinymed
from tinymed import nn, optim
from tinymed.nn import functional as F


def network():
    """A small network with all that is computed from weights: packed filters, transformed ones, maps of batch norm."""
    tinymed.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 5), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16)]
    model = nn.Sequential(*layers, nn.ReLU(), nn.Flatten(), nn.Linear(16 * 64, 2)).eval()
    for name, buffer in model.named_buffers():
        if "running" in name:
            buffer.copy_(tinymed.tensor((0.1 if "mean" in name else 1) * new(buffer, 9)))
    return model


def images(n=2):
    return tinymed.tensor(np.random.default_rng(1).standard_normal((n, 3, 12, 12)).astype(np.float32))


def new(tensor, seed=3):
    """Other values for a tensor, positive: it may be a variance."""
    return np.random.default_rng(seed).uniform(0.5, 1.5, tensor.shape).astype(np.float32)


def by_copy(t):
    t.detach().copy_(tinymed.tensor(new(t)))


def by_item(t):
    t.detach()[0] = 0.75


def by_masked_item(t):
    t.detach()[t.detach() > -9.0] = 0.6


def by_data(t):
    t.data.copy_(tinymed.tensor(new(t)))


def by_data_held_since(t):
    held = t.data
    yield
    held.mul_(1.5)
    yield
    held.add_(0.5)


def by_assigned_data(t):
    t.data = tinymed.tensor(new(t))


def by_assigned_data_written_later(t):
    other = tinymed.tensor(new(t))
    t.data = other
    yield
    other.add_(1.0)


def by_numpy(t):
    view = t.detach().numpy()
    yield
    view[...] = new(t)
    yield
    view += 0.5


def by_dlpack(t):
    torch = pytest.importorskip("torch")
    view = torch.from_dlpack(t.detach())
    yield
    view.mul_(1.5)
    yield
    view.add_(0.25)


def by_arithmetic(t):
    with tinymed.no_grad():
        t += 0.25


def by_fill(t):
    t.detach().fill_(0.7)


def by_method(t):
    t.detach().mul_(1.25)


def by_a_view(t):
    t.detach()[:1].fill_(0.9)


def by_an_activation_in_place(t):
    F.relu(t.detach().sub_(0.1), inplace=True)


def by_init(t):
    nn.init.uniform_(t, 0.5, 1.5)


WAYS = [f for name, f in sorted(globals().items()) if name.startswith("by_")]


@pytest.mark.parametrize("used", ["numpy", "numba"])
@pytest.mark.parametrize("way", WAYS, ids=lambda f: f.__name__)
def test_a_write_of_any_kind_to_any_weight_is_seen(way, used):
    """Each parameter and buffer of the first layers is written in this way, before and after what is kept was made."""
    names = ["0.weight", "0.bias", "1.weight", "1.running_mean", "1.running_var", "3.weight"]
    for name in names if used == "numpy" else ("0.weight", "1.running_var"):
        with tinymed.use_backend(used), tinymed.no_grad():
            model, x = network(), images()
            captured = tinymed.capture(lambda x, model=model: model(x))
            before = captured(x).numpy().copy()
            written = dict(tensors_of(model))[name]
            steps = way(written)
            for _ in steps if steps is not None else [None]:
                agree(captured, model, x)
            agree(captured, model, x)
            assert np.abs(captured(x).numpy() - before).max() > 0, f"{name} was not written"


def tensors_of(model):
    """Return parameters and buffers by name."""
    return [*model.named_parameters(), *model.named_buffers()]


def agree(captured, model, x):
    """Assert that a replay gives what the network gives, twice: the second replay may keep what the first made."""
    for _ in range(2):
        expected = model(x).numpy()
        np.testing.assert_allclose(captured(x).numpy(), expected, atol=1e-5 * np.abs(expected).max(), rtol=0)


def trained(model, x, capture):
    """Return a function that makes a training step, captured or not."""
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    labels = tinymed.tensor([0, 1])

    def step(x, labels):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    run = tinymed.capture(step) if capture else step
    return lambda: run(x, labels)


@pytest.mark.parametrize("optimised", [False, True], ids=["eager step", "replay of a step"])
def test_a_training_step_is_seen(optimised):
    """The optimiser's write to the weights, and batch norm's to its running statistics, by a replay as well."""
    with tinymed.use_backend("numpy"):
        model, x = network(), images()
        predict = tinymed.capture(lambda x: model(x))
        train = trained(model, x, optimised)
        for _ in range(4):
            with tinymed.no_grad():
                before = predict(x).numpy().copy()
                agree(predict, model, x)
            model.train()
            train()
            model.eval()
            with tinymed.no_grad():
                agree(predict, model, x)
                assert np.abs(predict(x).numpy() - before).max() > 0


def test_a_loaded_state_and_other_statistics_are_seen(tmp_path):
    with tinymed.use_backend("numpy"), tinymed.no_grad():
        model, x = network(), images()
        predict = tinymed.capture(lambda x: model(x))
        predict(x)
        model.load_state_dict({name: new(t, 5) for name, t in tensors_of(model)})
        agree(predict, model, x)
        model.train()
        model(x)  # batch norm's statistics move on
        model.eval()
        agree(predict, model, x)
        averaged = optim.swa_utils.AveragedModel(model)
        model.load_state_dict({name: new(t, 6) for name, t in tensors_of(model)})
        averaged.update_parameters(model)
        agree(predict, model, x)
        averaged_predict = tinymed.capture(lambda x: averaged(x))
        averaged_predict(x)
        model.load_state_dict({name: new(t, 7) for name, t in tensors_of(model)})
        averaged.update_parameters(model)
        agree(averaged_predict, averaged, x)


def constants_of(captured):
    """Return the programs of constants, and how often each has run since."""
    return [r.constants for known in captured.replays.values() for r in known]


@pytest.mark.parametrize("used", ["numpy", "numba"])
def test_they_are_computed_once_and_kept_once_for_inputs_of_several_kinds(used, monkeypatch):
    with tinymed.use_backend(used), tinymed.no_grad():
        model = network()
        predict = tinymed.capture(lambda x: model(x))
        for n in (2, 3, 2, 3):
            predict(images(n))
        if used == "numpy":
            return  # the reference reads weights as they are
        programs = constants_of(predict)
        assert all(c is not None for c in programs)
        ran = []
        for c in programs:
            monkeypatch.setattr(c.program, "run", lambda: ran.append(1))
        for n in (2, 3):
            predict(images(n))
        assert not ran, "computed again though nothing was written"
        model[0].weight.detach().mul_(2.0)
        for n in (2, 3, 3):
            predict(images(n))
        assert len(ran) == 2
        assert {c.dispatcher.name for c in programs[0].program.calls} >= {"pack_filter", "batch_norm_map"}
        assert not any("filter" in c.dispatcher.name for c in predict.program.calls)
        one, other = ({id(o.value.external) for c in p.program.calls for o in c.outs} for p in programs)
        assert one & other, "two programs of one step keep the same twice"


def test_no_more_is_kept_than_the_weights_take():
    with tinymed.use_backend("numba"), tinymed.no_grad():
        tinymed.manual_seed(0)
        model = nn.Sequential(*(nn.Conv2d(64, 64, 3, padding=1) for _ in range(3))).eval()
        predict = tinymed.capture(lambda x: model(x))
        x = tinymed.tensor(np.random.default_rng(1).standard_normal((4, 64, 16, 16)).astype(np.float32))
        agree(predict, model, x)
        (constants,) = constants_of(predict)
        kept = sum(o.nbytes for c in constants.program.calls for o in c.outs) if constants else 0
        assert kept <= sum(p.array.nbytes for p in model.parameters()) + (1 << 16)


@pytest.mark.parametrize("learns", ["gradient", "statistics"])
def test_a_step_that_learns_keeps_nothing(learns):
    with tinymed.use_backend("numba"):
        model = network().train(learns == "statistics")

        def step(x):
            model.zero_grad()
            loss = model(x).sum()
            if learns == "gradient":
                loss.backward()
            return loss

        captured = tinymed.capture(step)
        captured(images())
        assert constants_of(captured) == [None]
