"""Averages of weights beside PyTorch's: models, statistics, rates."""

import numpy as np
import pytest

import tinymed
from tinymed import nn, optim
from tinymed.optim import swa_utils

torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")

RULES = {
    "equal": lambda lib: {},
    "ema": lambda lib: {"avg_fn": lib.get_ema_avg_fn(0.9)},
    "ema of lists": lambda lib: {"multi_avg_fn": lib.get_ema_multi_avg_fn(0.9)},
    "own": lambda lib: {"avg_fn": lambda a, b, n: (a * n + 2 * b) / (n + 2)},
}


def small(lib):
    return lib.nn.Sequential(lib.nn.Conv2d(2, 3, 3), lib.nn.BatchNorm2d(3), lib.nn.Flatten(), lib.nn.Linear(12, 2))


def trained(lib, averages, options, weights, images):
    """{name: array} of the average of a model that took four steps."""
    model = small(lib).double()
    model.load_state_dict({n: lib.tensor(v) for n, v in weights.items()})
    averaged = averages.AveragedModel(model, **options)
    optimizer = lib.optim.SGD(model.parameters(), lr=0.1)
    for x in images:
        optimizer.zero_grad()
        (model(lib.tensor(x)) ** 2).mean().backward()
        optimizer.step()
        averaged.update_parameters(model)
    averages.update_bn([(lib.tensor(x), None) for x in images], averaged)
    assert averaged.training
    assert averaged.module[1].momentum == 0.1
    before = {n: v.detach().numpy().copy() for n, v in averaged.state_dict().items()}
    averages.update_bn([lib.tensor(x) for x in images[:2]], averaged.eval())
    assert not averaged.training
    return before, {n: v.detach().numpy() for n, v in averaged.state_dict().items()}


@pytest.mark.parametrize("use_buffers", [False, True])
@pytest.mark.parametrize("rule", RULES)
def test_an_averaged_model_is_pytorchs(rule, use_buffers, rng):
    weights = {n: v.numpy() for n, v in small(torch).double().state_dict().items()}
    images = [rng.normal(size=(4, 2, 4, 4)) for _ in range(4)]
    theirs_lib, options = torch.optim.swa_utils, {"use_buffers": use_buffers}
    with tinymed.use_backend("numpy"):
        ours = trained(tinymed, swa_utils, options | RULES[rule](swa_utils), weights, images)
    theirs = trained(torch, theirs_lib, options | RULES[rule](theirs_lib), weights, images)
    for mine, true in zip(ours, theirs, strict=True):
        assert list(mine) == list(true)
        for name, value in true.items():
            assert mine[name].dtype == value.dtype
            np.testing.assert_allclose(mine[name], value, rtol=1e-9, atol=1e-12, err_msg=name)


def test_the_equal_average_of_lists_is_that_of_tensors():
    """PyTorch's divides by a float32 and takes no integers: no oracle for it."""
    averages, values = (
        [tinymed.tensor([1.0, 2.0]), tinymed.tensor([7])],
        [tinymed.tensor([4.0, 8.0]), tinymed.tensor([1])],
    )
    swa_utils.get_swa_multi_avg_fn()(averages, values, 2)
    assert [a.tolist() for a in averages] == [[2.0, 4.0], [5]]


@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("epochs", [0, 1, 4])
def test_the_rates_are_pytorchs(strategy, epochs):
    def rates(lib, averages):
        a, b = (lib.nn.Parameter(lib.ones(1)) for _ in range(2))
        optimizer = lib.optim.SGD([{"params": [a], "lr": 1.0}, {"params": [b], "lr": 0.3}], lr=0.5)
        decay = lib.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        schedule = averages.SWALR(optimizer, [0.05, 0.6], epochs, strategy)
        found = []
        for epoch in range(12):
            found.append([group["lr"] for group in optimizer.param_groups])
            optimizer.step()
            (decay if epoch < 3 else schedule).step()
            if epoch == 6:
                state, schedule = schedule.state_dict(), averages.SWALR(optimizer, [0.05, 0.6])
                schedule.load_state_dict(state)
        return found

    np.testing.assert_allclose(rates(tinymed, swa_utils), rates(torch, torch.optim.swa_utils), rtol=1e-12)


def test_what_does_not_fit_is_refused():
    model = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="not both"):
        swa_utils.AveragedModel(model, avg_fn=lambda *_: None, multi_avg_fn=lambda *_: None)
    with pytest.raises(ValueError, match="not those of the model"):
        swa_utils.AveragedModel(model).update_parameters(nn.Linear(2, 3))
    with pytest.raises(ValueError, match=r"decay lies in 0 to 1, got 1\.5"):
        swa_utils.get_ema_avg_fn(1.5)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="2 rates for 1 groups"):
        swa_utils.SWALR(optimizer, [0.1, 0.2])
    with pytest.raises(ValueError, match="'cos' or 'linear', got 'step'"):
        swa_utils.SWALR(optimizer, 0.1, anneal_strategy="step")
    with pytest.raises(ValueError, match="count of epochs, got -1"):
        swa_utils.SWALR(optimizer, 0.1, anneal_epochs=-1)
