"""Module: names, state, modes, hooks, paths, freezing; containers; loading."""

import copy
from typing import Any

import numpy as np
import pytest
import torch

from tinymed import Tensor, nn, tape


class Net(nn.Module):
    """A child, a parameter, a buffer, a list, and one layer under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(np.ones(3, np.float32))
        self.register_buffer("offset", Tensor(np.zeros(3, np.float32)))
        self.register_buffer("scratch", Tensor(np.zeros(1, np.float32)), persistent=False)
        self.body = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 3)])
        self.alias = self.body[0]

    def forward(self, x: Any) -> Any:
        for layer in self.body:
            x = layer(x)
        return x * self.scale + self.offset


class TestModule:
    def test_names(self) -> None:
        net = Net()
        assert [n for n, _ in net.named_parameters()] == [
            "scale",
            "body.0.weight",
            "body.0.bias",
            "body.1.weight",
            "body.1.bias",
        ]
        assert [n for n, _ in net.named_buffers()] == ["offset", "scratch"]
        learned = ["body.0.weight", "body.0.bias", "body.1.weight", "body.1.bias"]
        assert list(net.state_dict()) == ["scale", "offset", *learned, "alias.weight", "alias.bias"]
        assert [n for n, _ in net.named_modules()] == ["", "body", "body.0", "body.1"]
        assert net.get_submodule("body.1") is net.body[1]
        with pytest.raises(ValueError, match=r"no module 'body.7'.*holds 0, 1"):
            net.get_submodule("body.7")

    def test_names_equal_torchs(self) -> None:
        def make(n: Any) -> Any:
            return n.Sequential(
                n.Conv2d(3, 4, 3), n.BatchNorm2d(4), n.PReLU(), n.ModuleDict({"a": n.Linear(2, 2, bias=False)})
            )

        ours, theirs = make(nn).state_dict(), make(torch.nn).state_dict()
        assert [(n, t.shape) for n, t in ours.items()] == [(n, tuple(t.shape)) for n, t in theirs.items()]

    def test_replacing_and_deleting(self) -> None:
        net = Net()
        net.scale = nn.Parameter(np.zeros(3, np.float32))
        net.body[1] = nn.Linear(4, 3, bias=False)
        net.alias = None
        assert list(net.state_dict()) == ["scale", "offset", "body.0.weight", "body.0.bias", "body.1.weight"]
        with pytest.raises(TypeError, match="scale is a registered parameter"):
            net.scale = 3
        with pytest.raises(TypeError, match="offset is a buffer"):
            net.offset = 3
        del net.scale
        with pytest.raises(AttributeError, match="'Net' has no attribute 'scale'"):
            _ = net.scale

    def test_registration_before_init_is_refused(self) -> None:
        class Bad(nn.Module):
            def __init__(self) -> None:
                self.layer = nn.Linear(1, 1)

        with pytest.raises(AttributeError, match=r"call super\(\).__init__"):
            Bad()

    def test_results_of_a_parameter_are_tensors(self) -> None:
        p = nn.Parameter(np.ones(2, np.float32))
        y = nn.functional.relu(p)
        y.backward(Tensor(np.ones(2, np.float32)))
        assert type(y) is Tensor
        assert type(p.grad) is Tensor

    def test_hooks(self) -> None:
        layer, seen = nn.Linear(2, 2), []
        with layer.register_forward_hook(lambda m, args, y: seen.append(y.shape)):
            layer.register_forward_pre_hook(lambda m, args: (args[0] * 0.0,))
            y = layer(Tensor(np.ones((3, 2), np.float32)))
        np.testing.assert_array_equal(y.array, np.broadcast_to(layer.bias.array, (3, 2)))
        layer(Tensor(np.ones((4, 2), np.float32)))
        assert seen == [(3, 2)]
        handle = layer.register_forward_hook(lambda m, args, y: y * 0.0)
        assert not layer(Tensor(np.ones((3, 2), np.float32))).array.any()
        handle.remove()
        handle.remove()
        assert layer(Tensor(np.ones((3, 2), np.float32))).array.any()

    def test_error_names_the_layer(self) -> None:
        net = Net()
        with pytest.raises(ValueError) as caught:
            net(Tensor(np.ones((2, 5), np.float32)))
        assert caught.value.__notes__ == ["in layer body.0 (Linear)"]
        assert tape.thread.scope == []

    def test_tape_knows_the_layer(self) -> None:
        net = Net()
        layers: list[str] = []

        class Watch(tape.Observer):
            def forward(self, op: Any, inputs: Any, outputs: Any) -> None:
                layers.append(op.scope)

        with tape.observers.watching(Watch()):
            net(Tensor(np.ones((2, 4), np.float32)))
            net.body.append(nn.Linear(3, 3))  # the cached paths are renewed
            net(Tensor(np.ones((2, 4), np.float32)))
        assert list(dict.fromkeys(layers)) == ["body.0", "body.1", "Net", "body.2"]

    def test_modes_apply_and_copy(self) -> None:
        net = nn.Sequential(nn.Dropout(), nn.Sequential(nn.BatchNorm1d(2)))
        assert not any(m.training for m in net.eval().modules())
        assert all(m.training for m in net.train().modules())
        order: list[str] = []
        net.apply(lambda m: order.append(type(m).__name__))
        assert order == ["Dropout", "BatchNorm1d", "Sequential", "Sequential"]
        twin = copy.deepcopy(net)
        twin[1][0].weight.array[...] = 7
        assert net[1][0].weight.array[0] == 1
        assert [n for n, _ in twin.named_parameters()] == ["1.0.weight", "1.0.bias"]

    def test_freezing_by_pattern(self) -> None:
        net = Net().freeze("body.*")
        assert [n for n, p in net.named_parameters() if p.requires_grad] == ["scale"]
        net.unfreeze("body.1")
        assert [n for n, p in net.named_parameters() if p.requires_grad] == ["scale", "body.1.weight", "body.1.bias"]
        net(Tensor(np.ones((2, 4), np.float32))).backward(Tensor(np.ones((2, 3), np.float32)))
        assert net.body[0].weight.grad is None
        assert net.body[1].weight.grad is not None
        net.zero_grad()
        assert all(p.grad is None for p in net.parameters())
        with pytest.raises(ValueError, match=r"no parameter matches 'boddy.*'; names begin with body, scale"):
            net.freeze("boddy.*")

    def test_dtype(self) -> None:
        net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)).to(np.float64)
        assert {t.dtype.name for t in net.state_dict().values()} == {"float64", "int64"}
        assert net[0].weight.array.transpose(2, 3, 1, 0).flags.c_contiguous
        assert net.float()[0].weight.dtype == np.float32
        with pytest.raises(ValueError, match="device 'cuda:1' is unknown"):
            net.to("cuda:1")

    def test_repr(self) -> None:
        net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.Sequential(nn.ReLU()))
        theirs = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, padding=1, bias=False), torch.nn.Sequential(torch.nn.ReLU())
        )
        assert repr(net) == repr(theirs)


class TestContainers:
    def test_sequential(self) -> None:
        net = nn.Sequential({"a": nn.Linear(1, 2), "b": nn.ReLU()})
        assert list(net.state_dict()) == ["a.weight", "a.bias"]
        assert len(net) == 2
        assert [type(m).__name__ for m in net[1:].append(nn.Tanh())] == ["ReLU", "Tanh"]
        assert type(net[-1]) is nn.ReLU

    def test_list_and_dict(self) -> None:
        many = nn.ModuleList([nn.ReLU(), nn.Tanh()])
        many.insert(1, nn.ELU())
        assert [type(m).__name__ for m in many] == ["ReLU", "ELU", "Tanh"]
        assert [n for n, _ in many.named_children()] == ["0", "1", "2"]
        named = nn.ModuleDict({"x": nn.ReLU(), "y": nn.Linear(2, 2)})
        assert "x" in named
        assert list(named.keys()) == ["x", "y"]
        assert type(named.pop("x")) is nn.ReLU
        assert len(named) == 1
        with pytest.raises(TypeError, match="takes modules, got function"):
            nn.Sequential(nn.ReLU(), lambda x: x)


class TestState:
    def test_load_keeps_memory_order_and_dtype(self, rng: np.random.Generator) -> None:
        layer = nn.Conv2d(3, 4, 2)
        memory, version = layer.weight.array, layer.weight.version.value
        new = rng.normal(size=(4, 3, 2, 2))
        layer.load_state_dict({"weight": new, "bias": np.zeros(4)})
        assert layer.weight.array is memory
        assert memory.dtype == np.float32
        assert layer.weight.version.value == version + 1
        assert memory.transpose(2, 3, 1, 0).flags.c_contiguous
        np.testing.assert_array_equal(memory, new.astype(np.float32))

    def test_strict_names_what_does_not_fit_and_changes_nothing(self) -> None:
        layer = nn.Linear(3, 2)
        before = layer.weight.array.copy()
        message = (
            r"missing: bias; unexpected: biass; of another shape: weight: the module has \[2, 3\], the state \[2, 4\]"
        )
        with pytest.raises(RuntimeError, match=message):
            layer.load_state_dict({"weight": np.zeros((2, 4)), "biass": np.zeros(2)})
        with pytest.raises(ValueError, match="missing: bias"):
            layer.load_state_dict({"weight": np.zeros((2, 3))})
        np.testing.assert_array_equal(layer.weight.array, before)

    def test_partial_load_reports(self) -> None:
        net = Net()
        state = {"scale": np.full(3, 2.0), "body.0.weight": np.zeros((9, 9)), "other": np.zeros(1)}
        with pytest.raises(RuntimeError, match=r"another shape: body.0.weight.*nn.load_matching"):
            net.load_state_dict(state, strict=False)
        assert net.scale.array[0] == 1
        del state["body.0.weight"]
        missing, unexpected = result = net.load_state_dict(state, strict=False)
        assert result.loaded == ["scale"]
        assert unexpected == result.unexpected_keys == ["other"]
        assert "body.1.bias" in missing
        assert net.scale.array[0] == 2
