"""Every array of a step is an input, lives on from step to step, or was made by a kernel: a recording can miss none."""

import numpy as np
import pytest
from derived import LAYOUTS, OPS, sample

import tinymed
from tinymed import check, dispatch, nn, optim, random, tape
from tinymed.cpu import conv, norm  # noqa: F401  so that their constants exist before the first recording
from tinymed.tasks.heads.class_heads import SigmoidHead, SoftmaxHead
from tinymed.tensor import Tensor

F = nn.functional


def memory(a):
    """The object that owns an array's memory, whichever view of it is given."""
    while isinstance(a, np.ndarray) and a.base is not None:
        a = a.base
    return a


class Strangers(dispatch.Observer):
    """Collects what kernels are given that no kernel made and that was not known before."""

    def __init__(self, known=()):
        self.known = {id(m): m for m in map(memory, known)}
        self.found = []

    def before(self, dispatcher, kernel, args):
        self.look(dispatcher.name, args)

    def after(self, dispatcher, kernel, args, outs):
        self.known |= {id(m): m for m in map(memory, outs)}

    def look(self, where, arrays):
        self.found += [(where, a) for a in arrays if isinstance(a, np.ndarray) and id(memory(a)) not in self.known]


def strangers(step, held):
    """What appears in a second step from nowhere.  held(): the arrays that live between steps; step(): its results."""
    with dispatch.observing(Strangers()) as first:
        step()
    lasting = [a for _, a in first.found]
    with dispatch.observing(Strangers([*lasting, *held()])) as second:
        second.look("result", step())
    return [f"{where}: {a.dtype}{list(a.shape)}" for where, a in second.found]


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.__name__)
def test_every_array_of_an_op_comes_from_a_kernel(op, backend_name):
    for seed in range(8):
        arrange = LAYOUTS["channels_last"] if seed % 2 else np.asarray
        inputs = check.leaves(sample(op, seed), np.float32, arrange)
        nodes = [i for i in inputs if isinstance(i, tape.Node)]
        given = [*(i.array for i in nodes), *(i for i in inputs if isinstance(i, np.ndarray))]
        weights = {}

        def step(inputs=inputs, nodes=nodes, weights=weights):
            for n in nodes:
                n.grad = None
            ys = [y for y in check.tensors(op.apply(*inputs)) if y.requires_grad][:1]  # the others' gradients are 0
            for i, y in enumerate(ys):
                weights.setdefault(i, np.ones(y.shape, y.dtype))
            tape.walk(ys, [weights[i] for i in range(len(ys))], retain_graph=False)
            return [*(y.array for y in ys), *(n.grad.array for n in nodes if n.grad is not None)]

        assert not strangers(step, lambda given=given, weights=weights: [*given, *weights.values()]), f"sample {seed}"


def test_an_array_that_no_kernel_made_is_found():
    x = tinymed.tensor([1.0, 2.0])
    assert strangers(lambda: [tinymed.relu(Tensor(x.array * 2)).array], lambda: [x.array]) == [
        "relu_forward: float32[2]"
    ]
    assert strangers(lambda: [x.array + 1], lambda: [x.array]) == ["result: float32[2]"]
    assert strangers(lambda: [tinymed.relu(x).array.reshape(2, 1)], lambda: [x.array]) == []


class Net(nn.Module):
    """A little of everything, with the views between."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Dropout(0.2),
            nn.Conv2d(16, 16, 3, groups=2),
            nn.GroupNorm(2, 16),
            nn.LeakyReLU(),
            nn.AvgPool2d(2),
        )
        self.head = nn.Linear(16 * 3 * 3, 2)

    def forward(self, x):
        return self.head(self.body(x).flatten(1))


OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, 0.1, momentum=0.9, nesterov=True),
    "adam": lambda p: optim.Adam(p, weight_decay=1e-3),
    "rmsprop": lambda p: optim.RMSprop(p, momentum=0.5, centered=True),
    "adagrad": optim.Adagrad,
    "sgd maximised": lambda p: optim.SGD(p, 0.1, momentum=0.9, maximize=True),
    "amsgrad": lambda p: optim.Adam(p, amsgrad=True),
    "adadelta": optim.Adadelta,
    "adamax": optim.Adamax,
    "nadam": optim.NAdam,
    "radam": lambda p: optim.RAdam(p, betas=(0.5, 0.8)),
    "asgd": lambda p: optim.ASGD(p, t0=1),
    "rprop": optim.Rprop,
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("head", [SigmoidHead(2, [1.0, 3.0]), SoftmaxHead(2, [1.0, 3.0])], ids=lambda h: h.name)
def test_every_array_of_a_train_step_comes_from_a_kernel(head, optimizer, backend_name, rng):
    tinymed.manual_seed(0)
    model = Net()
    opt = OPTIMIZERS[optimizer](model.parameters())
    x = Tensor(rng.normal(size=(4, 3, 16, 16)).astype(np.float32))
    t = Tensor(head.targets(np.array([0, 1, 1, 0])))

    def step():
        opt.zero_grad()
        loss = head(model(x), t)
        loss.backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        return [loss.array, *(p.grad.array for p in model.parameters())]

    def held():
        state = [p.array for p in (*model.parameters(), *model.buffers())]
        return [*state, x.array, t.array, random.default_generator.state]

    assert not strangers(step, held)


def test_tensors_of_one_value_come_from_a_kernel(backend_name):
    x = tinymed.tensor([[1.0, 2.0]])

    def step():
        made = [
            tinymed.zeros(2, 2),
            tinymed.ones(2),
            tinymed.full((2,), 3.0),
            tinymed.zeros_like(x),
            tinymed.ones_like(x),
            tinymed.full_like(x, 2),
        ]
        made[0][0] = 5
        return [t.array for t in made]

    assert not strangers(step, lambda: [x.array])
    with pytest.raises(OverflowError):
        tinymed.full((2,), 300, dtype=np.uint8)


READS = {
    "item": lambda x: x.sum().item(),
    "float": lambda x: float(x.sum()),
    "int": lambda x: int(x.sum()),
    "bool": lambda x: bool(x.sum()),
    "numpy": lambda x: x.numpy(),
    "tolist": lambda x: x.tolist(),
    "array": lambda x: np.asarray(x),
    "repr": repr,
    "in": lambda x: 1.0 in x,
    "index": lambda x: range(10)[x.sum().long()],
    "mask": lambda x: x[x > 0],
    "one_hot": lambda x: F.one_hot(x.long()),
    "norm": lambda x: optim.clip_grad_norm_([grown(x)], 1.0, error_if_nonfinite=True),
}


def grown(x):
    """x with a gradient."""
    x.grad = x
    return x


@pytest.mark.parametrize("read", READS)
def test_reading_a_value_is_announced(read):
    x, heard = tinymed.tensor([1.0, 2.0]), []
    READS[read](x)
    with tape.host_read_listeners.watching(heard.append):
        READS[read](x)
    assert heard
