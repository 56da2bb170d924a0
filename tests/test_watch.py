"""Whatever is changed between two captured steps acts as it does on the plain step, or is refused by name."""

import functools
from types import SimpleNamespace

import numpy as np
import pytest

import tinymed
from tinymed import nn, optim
from tinymed.nn import functional as F
from tinymed.program import CaptureError, capture, watch

FACTOR = 1.0  # a global that a step reads


class Net(nn.Module):
    """A network whose forward reads attributes, a nested object, a property and an item."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.0)
        self.head = nn.Linear(4, 3)
        self.scale, self.options, self.switches = 1.0, SimpleNamespace(slope=1.0), {"square": False}

    @property
    def gain(self):
        return self.scale * 2

    def forward(self, x):
        y = self.drop(F.relu(self.norm(self.conv(x)))).mean((2, 3))
        y = y * y if self.switches["square"] else y
        return self.head(y) * self.gain * self.options.slope


def weighted(loss, config):
    """A helper of the user's that is given an object and reads its attribute."""
    return loss * config.outer


class World:
    """Everything a step may read, and the step."""

    def __init__(self, optimizer=optim.SGD, **options):
        tinymed.manual_seed(0)
        self.model = Net()
        self.optimizer = optimizer(self.model.parameters(), **({"lr": 0.1} | options))
        self.smoothing, self.clip, self.handles = 0.0, None, []
        self.config = SimpleNamespace(inner=SimpleNamespace(factor=1.0), outer=1.0)
        self.weights = tinymed.tensor([1.0, 1.0, 1.0])
        self.x = tinymed.randn(8, 1, 8, 8, seed=1)
        self.y = tinymed.tensor(np.arange(8) % 3)

    def step(self, x, y):
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.model(x), y, self.weights, label_smoothing=self.smoothing)
        loss = weighted(loss * self.config.inner.factor * FACTOR, self.config)
        loss.backward()
        if self.clip is not None:
            optim.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()
        return loss


def outcome(change, wrap, steps=3, **options):
    """Losses after the change, and all weights."""
    world = World(**options)
    step = wrap(world.step)
    for _ in range(2):
        step(world.x, world.y)
    change(world)
    losses = [step(world.x, world.y).item() for _ in range(steps)]
    return losses, {k: v.numpy().copy() for k, v in world.model.state_dict().items()}


def put(*path, value):
    """A change that sets the attribute at the end of a path."""

    def change(world):
        target = functools.reduce(getattr, path[:-1], world)
        setattr(target, path[-1], value)

    return change


def option(**values):
    """A change of the optimizer's options."""
    return lambda world: world.optimizer.param_groups[0].update(values)


CHANGES = {
    "an attribute of the step's object": put("smoothing", value=0.3),
    "a switch that was off": put("clip", value=0.01),
    "an attribute two objects down": put("config", "inner", "factor", value=5.0),
    "an attribute read by a helper": put("config", "outer", value=5.0),
    "a whole object": put("config", value=SimpleNamespace(inner=SimpleNamespace(factor=3.0), outer=1.0)),
    "a tensor": lambda world: setattr(world, "weights", tinymed.tensor([5.0, 1.0, 0.1])),
    "a tensor's values": lambda world: world.weights.numpy().__setitem__(0, 5.0),
    "a module's attribute": put("model", "scale", value=3.0),
    "an object in a module": put("model", "options", "slope", value=0.5),
    "an item in a module": lambda world: world.model.switches.update(square=True),
    "stride": put("model", "conv", "stride", value=(2, 2)),
    "momentum of batch norm": put("model", "norm", "momentum", value=0.9),
    "epsilon of batch norm": put("model", "norm", "eps", value=0.5),
    "evaluation mode": lambda world: world.model.eval(),
    "one layer's mode": lambda world: world.model.norm.eval(),
    "dropout of everything": put("model", "drop", "p", value=1.0),
    "a layer replaced": put("model", "drop", value=nn.Dropout(1.0)),
    "a layer replaced behind the module's back": lambda w: w.model._modules.__setitem__("drop", nn.Dropout(1.0)),
    "a frozen layer": lambda world: world.model.freeze("conv"),
    "a frozen bias": put("model", "head", "bias", "requires_grad", value=False),
    "a forward hook": lambda world: world.model.head.register_forward_hook(lambda m, i, out: out * 0.5),
    "a pre-hook": lambda world: world.model.head.register_forward_pre_hook(lambda m, i: (i[0] * 0.5,)),
    "a gradient hook": lambda world: world.model.head.weight.register_hook(lambda g: g * 0.5),
    "learning rate": option(lr=0.5),
    "learning rate 0": option(lr=0.0),
    "momentum": option(momentum=0.9),
    "weight decay": option(weight_decay=0.5),
    "another optimizer": lambda w: setattr(w, "optimizer", optim.Adam(w.model.parameters(), lr=0.05)),
    "another of its kind": lambda w: setattr(w, "optimizer", optim.SGD(w.model.parameters(), lr=0.01)),
    "weights loaded": lambda world: world.model.load_state_dict(Net().state_dict()),
}


def equal(ours, theirs):
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-4, atol=1e-5)
    for name, value in theirs[1].items():
        np.testing.assert_allclose(ours[1][name], value, rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_followed(change):
    theirs = outcome(CHANGES[change], lambda step: step)
    if change != "a tensor's values":
        untouched = outcome(lambda world: None, lambda step: step)
        moved = [not np.allclose(theirs[1][n], v, rtol=1e-3) for n, v in untouched[1].items()]
        assert any(moved) or not np.allclose(theirs[0], untouched[0], rtol=1e-3), "the change changes nothing"
    equal(outcome(CHANGES[change], capture), theirs)


@pytest.mark.parametrize(
    ("optimizer", "before", "after"),
    [
        (optim.SGD, {"momentum": 0.9}, {"nesterov": True}),
        (optim.SGD, {"momentum": 0.9}, {"momentum": 0.1}),
        (optim.Adam, {}, {"betas": (0.5, 0.5)}),
        (optim.Adam, {}, {"eps": 1.0}),
        (optim.Adam, {}, {"weight_decay": 0.3}),
        (optim.RMSprop, {}, {"momentum": 0.5}),
        (optim.RMSprop, {}, {"alpha": 0.5}),
    ],
)
def test_an_optimizers_switch_is_followed(optimizer, before, after):
    options = {"optimizer": optimizer, **before}
    equal(outcome(option(**after), capture, **options), outcome(option(**after), lambda step: step, **options))


def test_a_hook_taken_off_is_followed():
    def change(world):
        handle = world.model.head.register_forward_hook(lambda m, i, out: out * 0.5)
        world.handles.append(handle)

    def back(world):
        change(world)
        world.handles.pop().remove()

    equal(outcome(back, capture), outcome(back, lambda step: step))


def test_a_global_is_followed(monkeypatch):
    def change(world):
        monkeypatch.setitem(globals(), "FACTOR", 3.0)

    captured = outcome(change, capture)
    monkeypatch.setitem(globals(), "FACTOR", 1.0)
    equal(captured, outcome(change, lambda step: step))


def test_default_and_bound_arguments_are_followed():
    x = tinymed.tensor([1.0, 2.0])

    def scaled(x, factor=2.0):
        return x * factor

    step = capture(scaled)
    assert step(x).tolist() == [2.0, 4.0]
    scaled.__defaults__ = (3.0,)
    assert step(x).tolist() == [3.0, 6.0]
    keywords = {"factor": 4.0}
    bound = functools.partial(scaled, **keywords)
    step = capture(bound)
    assert step(x).tolist() == [4.0, 8.0]
    bound.keywords["factor"] = 5.0
    assert step(x).tolist() == [5.0, 10.0]


def test_a_property_and_a_nested_function_are_followed():
    class Box:
        rate = 2.0

        @property
        def double(self):
            return self.rate * 2

    box, x = Box(), tinymed.tensor([1.0])

    def step(x):
        return sum((lambda: x * box.double)() for _ in range(2))

    step = capture(step)
    assert step(x).item() == 8.0
    box.rate = 3.0
    assert step(x).item() == 12.0


def test_what_is_not_read_records_nothing_anew():
    world = World()
    step = capture(world.step)
    step(world.x, world.y)
    first = step.program
    world.unread, world.model.head.unread = 1, 1  # the second is an attribute of a module that was called
    assert "unread" in step.replays[next(iter(step.replays))][0].changes()
    del world.model.head.unread
    for i in range(5):
        world.unread = i
        step(world.x, world.y)
    assert step.program is first


def test_an_old_program_serves_again():
    world = World()
    step = capture(world.step)
    for smoothing in (0.0, 0.1, 0.0, 0.1, 0.0, 0.1):
        world.smoothing = smoothing
        step(world.x, world.y)
    assert sum(map(len, step.replays.values())) == 2


def test_what_changes_at_every_call_is_refused_by_name():
    world = World()
    step = capture(world.step)

    def run(step):
        for i in range(50):
            world.config.outer = 1.0 + i
            step(world.x, world.y)

    with pytest.raises(CaptureError, match=r"config.outer was .* as an input of the step"):
        run(step)
    fallback = capture(world.step, fallback=True)
    run(fallback)
    assert "config.outer" in fallback.refused


def test_an_array_that_is_kept_is_refused():
    """A replay renews what the step returns; what a hook or an attribute has taken would stay as it was."""
    kept = []
    layer = nn.Linear(2, 2)
    layer.register_forward_hook(lambda module, args, result: kept.append(result))
    with pytest.raises(CaptureError, match="is held when the captured step is over"):
        capture(layer)(tinymed.ones(1, 2))

    class Remembers(nn.Module):
        def forward(self, x):
            self.last = x * 2
            return x + 1

    with pytest.raises(CaptureError, match="the result of mul_flat is held"):
        capture(Remembers())(tinymed.ones(2))


def test_a_hook_whose_array_dies_with_the_step_is_recorded():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
    features = nn.Features(model, "1")
    x = tinymed.randn(4, 2, seed=0)
    np.testing.assert_allclose(capture(features)(x).numpy(), features(x).numpy())


def test_comparing_is_cheap_and_by_value():
    module = nn.Linear(2, 2)
    watched = watch.WatchedModule("layer", module)
    module.eps = 1e-5
    assert watched.changed()
    watched.remember()
    module.eps = float("1e-5")  # an equal value in another object
    assert not watched.changed()
    module.eps = 2e-5
    assert watched.describe() == "layer: eps changed"
    assert watch.same(float("nan"), float("nan"))
    assert not watch.same(float("nan"), 1.0)
    assert not watch.same(1, True)
