"""Module and the containers, beside PyTorch's: one script for both libraries, equal answers or equal refusals."""

import copy
from collections import OrderedDict

import numpy as np
import pytest
import torch

import tinymed
from tinymed import nn
from tinymed.dispatch import use_backend

LIBS = {tinymed: nn, torch: torch.nn}


def plain(value):
    """An answer as Python values, so that both libraries' can be compared."""
    if hasattr(value, "detach"):
        return np.asarray(value.detach().numpy(), np.float64).round(3).tolist()
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return type(value).__name__ if hasattr(value, "forward") or isinstance(value, type) else value


def net(lib, n):
    """A little tree with every kind of member, and one layer under two names."""

    class Net(n.Module):
        def __init__(self):
            self.before = 3  # plain attributes may come before super().__init__()
            super().__init__()
            self.add_module("first", n.Linear(3, 2))
            self.second = n.Sequential(OrderedDict([("a", n.Linear(2, 2)), ("act", n.ReLU(True))]))
            self.alias = self.first
            self.none = None
            self.register_parameter("absent", None)
            self.scale = n.Parameter(lib.ones(2))
            self.register_buffer("kept", lib.zeros(2))
            self.register_buffer("scratch", lib.ones(1), persistent=False)
            self.register_buffer("empty", None)

        def forward(self, x, gain=1.0):
            return self.second(self.first(x)) * self.scale * gain

    made = Net()
    for i, p in enumerate(made.parameters()):
        with lib.no_grad():
            p.copy_(lib.tensor(np.linspace(-1, 1, p.numel(), dtype=np.float32).reshape(tuple(p.shape)) + 0.3 * i))
    return made


def x_of(lib, grad=False):
    return lib.tensor(np.arange(12, dtype=np.float32).reshape(4, 3) / 6 - 1, requires_grad=grad)


def names(lib, n):
    m = net(lib, n)
    return [
        [k for k, _ in m.named_modules()],
        [k for k, _ in m.named_modules(remove_duplicate=False)],
        [k for k, _ in m.named_modules(set(), "top")],
        [k for k, _ in m.named_children()],
        [k for k, _ in m.named_parameters()],
        [k for k, _ in m.named_parameters("p", recurse=False)],
        [k for k, _ in m.named_parameters(remove_duplicate=False)],
        [k for k, _ in m.named_buffers(prefix="b")],
        list(m.state_dict()),
        list(m.state_dict(prefix="net.")),
        len(list(m.buffers())),
        m.before,
        m.none,
        m.absent,
        m.empty,
        "absent" in m._parameters,
    ]


def getters(lib, n):
    m = net(lib, n)
    return [
        m.get_submodule("second.a") is m.second.a,
        m.get_submodule("") is m,
        m.get_parameter("second.a.bias") is m.second.a.bias,
        m.get_buffer("kept") is m.kept,
    ]


def state_of(lib, n):
    m = net(lib, n)
    there = {"x": 1}
    m.state_dict(destination=there, prefix="q.")
    kept = m.state_dict(keep_vars=True)
    return [list(there), kept["scale"] is m.scale, kept["kept"] is m.kept, m.state_dict()["scale"].requires_grad]


def loading(lib, n):
    m, state = net(lib, n), net(lib, n).state_dict()
    del state["scale"]
    state["more"] = lib.ones(1)
    result = m.load_state_dict(state, strict=False)
    missing, unexpected = result
    return [missing, unexpected, result.missing_keys, result.unexpected_keys, repr(m.load_state_dict(m.state_dict()))]


def gradients(lib, n):
    m = net(lib, n)
    m(x_of(lib)).sum().backward()
    first = [p.grad is None for p in m.parameters()]
    m.zero_grad(set_to_none=False)
    zeros = [float(p.grad.abs().sum()) for p in m.parameters()]
    m.zero_grad()
    m.requires_grad_(False)
    return [first, zeros, [p.grad is None for p in m.parameters()], m(x_of(lib)).requires_grad]


def modes(lib, n):
    m = net(lib, n)
    seen = []
    m.apply(lambda c: seen.append(type(c).__name__))
    return [seen, m.train(False) is m, m.second.a.training, m.eval().train().training, m.second.act.training]


def dtypes(lib, n):
    m = net(lib, n)
    one = [str(p.dtype).split(".")[-1] for p in m.double().parameters()]
    two = [str(p.dtype).split(".")[-1] for p in m.to(x_of(lib)).parameters()]
    three = [str(b.dtype).split(".")[-1] for b in m.to("cpu", lib.float64, non_blocking=True).buffers()]
    four = [str(b.dtype).split(".")[-1] for b in m.to(device="cpu", dtype=lib.float32).type(lib.float64).buffers()]
    return [one, two, three, four]


def hooks(lib, n):
    m, log = net(lib, n), []
    h1 = m.register_forward_pre_hook(lambda mod, args: log.append("pre1") or (args[0] * 2,))
    m.register_forward_pre_hook(lambda mod, args: log.append("pre0"), prepend=True)
    m.register_forward_pre_hook(lambda mod, args, kw: log.append(sorted(kw)) or (args, {"gain": 3.0}), with_kwargs=True)
    h2 = m.register_forward_hook(lambda mod, args, out: log.append("post1") or out + 1)
    m.register_forward_hook(lambda mod, args, kw, out: log.append(kw["gain"]), with_kwargs=True)
    y = m(x_of(lib), gain=2.0)
    h1.remove()
    h2.remove()
    h1.remove()
    m.register_forward_pre_hook(lambda mod, args: log.append("pre2"))
    h1.remove()  # the handle belongs to one hook: the later one stays
    return [y, m(x_of(lib), gain=1.0), log]


def backward_hooks(lib, n):
    m, log = net(lib, n), []
    h = m.second.register_full_backward_hook(
        lambda mod, gin, gout: log.append([type(mod).__name__, plain(gin), plain(gout)])
    )
    m.first.register_full_backward_hook(lambda mod, gin, gout: log.append([g is None for g in gin]))
    m.second.register_full_backward_pre_hook(lambda mod, gout: log.append(plain(gout)) or (gout[0] * 2,))
    m(x_of(lib)).sum().backward()
    grads = [plain(p.grad) for p in m.parameters()]
    h.remove()
    m.zero_grad()
    m.second.register_full_backward_hook(lambda mod, gin, gout: (gin[0] * 0,))
    x = x_of(lib, True)
    m(x).sum().backward()
    with lib.no_grad():
        m(x_of(lib))
    return [grads, log, plain(x.grad), [plain(p.grad) for p in m.parameters()]]


def backward_hook_beside_a_shortcut(lib, n):
    """grad_input is what comes back through the module, without what the shortcut brings."""
    layer, log = n.Linear(2, 2), []
    with lib.no_grad():
        layer.weight.copy_(lib.tensor([[1.0, 2.0], [3.0, 4.0]]))
        layer.bias.fill_(0.5)
    layer.register_full_backward_hook(lambda mod, gin, gout: log.append([plain(gin), plain(gout)]))
    x = lib.tensor([[1.0, -1.0]], requires_grad=True)
    y = x * 2.0
    (layer(y) + y).sum().backward()
    return [log, x.grad]


def several_values(lib, n):
    class Two(n.Module):
        def forward(self, a, b):
            return a * b, a + b

    m, log = Two(), []
    m.register_full_backward_hook(lambda mod, gin, gout: log.append([plain(gin), plain(gout)]))
    a, b = lib.tensor([1.0, 2.0], requires_grad=True), lib.tensor([3.0, 4.0], requires_grad=True)
    y, z = m(a, b)
    (y * z).sum().backward()
    return [log, a.grad, b.grad]


def sequential(lib, n):
    s = n.Sequential(n.Linear(2, 3), n.ReLU(), n.Linear(3, 1))
    out = [list(s._modules), len(s), s[-1].out_features, list(s[1:]._modules), type(s[0:1])]
    s.insert(1, n.Tanh())
    out.append([type(m) for m in s])
    s[0] = n.Linear(2, 3, bias=False)
    del s[1]
    out += [[type(m) for m in s], list(s._modules), s[0].bias]
    s.append(n.Sigmoid()).extend([n.ELU(), n.ReLU()])
    popped = s.pop(-1)
    out += [type(popped), [type(m) for m in s], [type(m) for m in s + n.Sequential(n.Tanh())]]
    del s[1:3]
    named = n.Sequential(OrderedDict(a=n.ReLU(), b=n.Tanh()))
    return [*out, list(s._modules), [type(m) for m in s * 2], list(named._modules), list(named[:1]._modules)]


def module_list(lib, n):
    m = n.ModuleList(n.Linear(1, i + 1) for i in range(4))
    out = [[c.out_features for c in m], m[-1].out_features, type(m[1:3]), len(m[1:3])]
    m.insert(0, n.Linear(1, 9))
    m += [n.Linear(1, 8)]
    del m[1]
    m[0] = n.Linear(1, 7)
    popped = m.pop(-1)
    del m[0:1]
    more = m + n.ModuleList([n.Linear(1, 6)])
    return [*out, [c.out_features for c in m], popped.out_features, [c.out_features for c in more], list(m._modules)]


def module_dict(lib, n):
    m = n.ModuleDict({"b": n.ReLU(), "a": n.Tanh()})
    m["c"] = n.ELU()
    m.update([("a", n.Sigmoid()), ("d", n.Tanh())])
    out = [list(m), [type(v) for v in m.values()], "d" in m, len(m), type(m.pop("b")), list(m.keys())]
    del m["c"]
    out.append([(k, type(v)) for k, v in m.items()])
    m.clear()
    return [*out, len(m), len(n.ModuleDict()), len(n.ModuleList())]


def parameter_containers(lib, n):
    p = n.ParameterList([n.Parameter(lib.ones(2)), lib.zeros(3)])
    p.append(n.Parameter(lib.ones(1)))
    p.extend([lib.ones(4)])
    p += [lib.ones(5)]
    p[0] = n.Parameter(lib.zeros(6))
    d = n.ParameterDict({"w": lib.ones(2)})
    d["v"] = n.Parameter(lib.zeros(1))
    d.update({"u": lib.ones(3)})
    out = [[tuple(q.shape) for q in p], len(p), list(p.state_dict()), type(p[1]).__name__, len(p[1:3])]
    out += [sorted(d.keys()), "v" in d, tuple(d.pop("w").shape), list(d.state_dict()), len(d), d.get("no")]
    return out


def attributes(lib, n):
    """Assignments that move a name from one kind to another."""
    m = n.Module()
    m.x = 3
    m.x = n.Linear(1, 1)
    out = [list(m._modules), "x" in m.__dict__]
    m.x = None
    out += [m.x, list(m._modules)]
    m.x = n.Parameter(lib.ones(1))
    out += [list(m._parameters), list(m._modules)]
    del m.x
    m.register_buffer("y", lib.ones(1))
    m.y = lib.zeros(2)
    out += [plain(m.y), hasattr(m, "x"), "y" in dir(m)]
    m.y = None
    out += [list(m.state_dict())]
    twin = copy.deepcopy(n.Sequential(n.Linear(1, 1), n.BatchNorm1d(1)))
    return [*out, list(twin.state_dict()), n.Identity(3, unused=True)(5)]


SCRIPTS = [
    names,
    getters,
    state_of,
    loading,
    gradients,
    modes,
    dtypes,
    hooks,
    backward_hooks,
    backward_hook_beside_a_shortcut,
    several_values,
    sequential,
    module_list,
    module_dict,
    parameter_containers,
    attributes,
]


@pytest.mark.filterwarnings("ignore:Full backward hook")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda s: s.__name__)
def test_equal_to_torch(script):
    with use_backend("numpy"):
        ours = plain(script(tinymed, nn))
    assert ours == plain(script(torch, torch.nn))


MISTAKES = {
    "add_module_of_no_module": lambda lib, n, m: m.add_module("x", 3),
    "add_module_name_taken": lambda lib, n, m: m.add_module("forward", n.ReLU()),
    "add_module_dot": lambda lib, n, m: m.add_module("a.b", n.ReLU()),
    "add_module_empty": lambda lib, n, m: m.add_module("", n.ReLU()),
    "buffer_of_no_tensor": lambda lib, n, m: m.register_buffer("x", 3),
    "buffer_name_taken": lambda lib, n, m: m.register_buffer("weight", lib.ones(1)),
    "parameter_of_a_tensor": lambda lib, n, m: m.register_parameter("x", lib.ones(1)),
    "parameter_of_integers": lambda lib, n, m: n.Parameter(lib.tensor([1, 2])),
    "tensor_for_a_parameter": lambda lib, n, m: setattr(m, "weight", lib.ones(1)),
    "number_for_a_module": lambda lib, n, m: setattr(n.Sequential(n.ReLU()), "0", 3),
    "module_before_init": lambda lib, n, m: type("Bad", (n.Module,), {"__init__": early(n)})(),
    "get_submodule": lambda lib, n, m: m.get_submodule("no"),
    "get_parameter": lambda lib, n, m: m.get_parameter("no"),
    "get_buffer": lambda lib, n, m: m.get_buffer("weight"),
    "train_of_a_number": lambda lib, n, m: m.train(3),
    "load_missing": lambda lib, n, m: m.load_state_dict({}),
    "load_shape": lambda lib, n, m: m.load_state_dict({"weight": lib.ones(3, 3)}, strict=False),
    "to_integers": lambda lib, n, m: m.to(lib.int64),
    "sequential_index": lambda lib, n, m: n.Sequential(n.ReLU())[1],
    "sequential_of_a_function": lambda lib, n, m: n.Sequential(lambda x: x),
    "list_index": lambda lib, n, m: n.ModuleList([n.ReLU()])[3],
    "dict_key": lambda lib, n, m: n.ModuleDict({})["no"],
    "no_such_attribute": lambda lib, n, m: m.nothing,
    "delete_no_such_attribute": lambda lib, n, m: delattr(m, "nothing"),
    "relu_arguments": lambda lib, n, m: n.ReLU(True, True),
}


def early(n):
    def __init__(self):
        self.layer = n.ReLU()

    return __init__


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_raise_what_torch_raises(mistake):
    with pytest.raises(Exception) as theirs:
        MISTAKES[mistake](torch, torch.nn, torch.nn.Linear(2, 2))
    with pytest.raises(theirs.type) as ours:
        MISTAKES[mistake](tinymed, nn, nn.Linear(2, 2))
    assert str(ours.value)


def test_half_precision_is_refused_with_advice():
    for name in ("half", "bfloat16"):
        with pytest.raises(TypeError, match=r"float32 or float64.*use_precision"):
            getattr(nn.Linear(2, 2), name)()


OURS = {"freeze", "freeze_statistics", "unfreeze"}  # what Module has besides PyTorch's names, on purpose


def test_a_module_takes_no_name_of_a_network_but_pytorchs():
    """A child, or a flag, called like a method would hide it, or be hidden by it."""
    extra = {n for n in dir(nn.Module) if not n.startswith("_")} - set(dir(torch.nn.Module))
    assert extra == OURS


@pytest.mark.parametrize("name", ["paths", "structure", "unused", "loaded", "cast", "claim", "optional_state"])
def test_any_other_name_may_be_a_childs_or_a_flags(name):
    net = nn.Module()
    setattr(net, name, nn.Linear(2, 2))
    assert isinstance(getattr(net, name), nn.Linear)
    flagged = nn.Linear(2, 2)
    setattr(flagged, name, True)
    flagged.load_state_dict(flagged.double().state_dict())
    assert getattr(flagged, name) is True
