"""Optimizers against torch.optim over 50 steps, their memory, their state, and gradient clipping."""

from typing import Any

import numpy as np
import pytest
import torch

from tinymed import Tensor, nn, optim, tensor
from tinymed.optim import clip_grad_norm_, clip_grad_value_

SHAPES = [(8, 3, 3, 3), (8,), (5, 200), (), (1, 1)]  # a filter lies *space, I, O in memory
RULES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.05}),
    ("SGD", {"lr": 0.05, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.02}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    ("Adam", {}),
    ("Adam", {"lr": 0.03, "betas": (0.7, 0.95), "eps": 1e-7, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.03}),
    ("RMSprop", {"weight_decay": 0.05}),
    ("RMSprop", {"momentum": 0.8, "centered": True}),
    ("RMSprop", {"centered": True, "alpha": 0.9}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.02, "initial_accumulator_value": 0.3, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "maximize": True}),
    ("Adam", {"amsgrad": True, "weight_decay": 0.1, "betas": (0.6, 0.7)}),
    ("Adam", {"decoupled_weight_decay": True, "weight_decay": 0.1, "maximize": True}),
    ("AdamW", {"amsgrad": True, "maximize": True, "foreach": False}),
    ("RMSprop", {"maximize": True, "momentum": 0.5}),
    ("Adagrad", {"maximize": True}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.7, "eps": 1e-4, "weight_decay": 0.1, "maximize": True}),
    ("Adamax", {}),
    ("Adamax", {"betas": (0.5, 0.8), "weight_decay": 0.1, "maximize": True}),
    ("NAdam", {}),
    ("NAdam", {"betas": (0.5, 0.8), "weight_decay": 0.1, "momentum_decay": 0.1, "maximize": True}),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {}),
    ("RAdam", {"betas": (0.5, 0.8), "weight_decay": 0.1, "maximize": True}),
    ("RAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("ASGD", {}),
    ("ASGD", {"lr": 0.1, "lambd": 0.1, "alpha": 0.5, "t0": 10.0, "weight_decay": 0.1, "maximize": True}),
    ("Rprop", {}),
    ("Rprop", {"etas": (0.3, 1.5), "step_sizes": (1e-3, 0.1), "maximize": True}),
]
IN_FLOAT32 = ("NAdam", "ASGD")  # PyTorch keeps mu_product, eta and mu in float32
IDS = [f"{n}-{'-'.join(o) or 'default'}" for n, o in RULES]


def parameters(rng: np.random.Generator, dtype: Any) -> tuple[list[Any], list[Any]]:
    """The same parameters for both."""
    ours, theirs = [], []
    for shape in SHAPES:
        values = rng.normal(size=shape).astype(dtype)
        p = nn.module.new_parameter(*shape, kind="filter", dtype=dtype)
        nn.init.write(p, values)
        ours.append(p)
        theirs.append(torch.nn.Parameter(torch.tensor(values)))
    return ours, theirs


def gradient(rng: np.random.Generator, p: Any, step: int) -> np.ndarray:
    """A gradient that depends on the parameter, so that errors would grow."""
    return (p.array * 0.3 + rng.normal(size=p.shape)).astype(p.dtype)


def run(ours: list[Any], theirs: list[Any], a: Any, b: Any, rng: np.random.Generator, steps: int = 50) -> None:
    """The same gradients to both; in some steps some parameters have none."""
    for step in range(steps):
        for i, (p, q) in enumerate(zip(ours, theirs, strict=True)):
            g = None if (step + i) % 7 == 0 and i else gradient(rng, p, step)
            p.grad = None if g is None else Tensor(np.asarray(g) if i % 2 else np.asfortranarray(g))
            q.grad = None if g is None else torch.tensor(g)
        a.step()
        b.step()


class TestAgainstTorch:
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @pytest.mark.parametrize(("name", "options"), RULES, ids=IDS)
    def test_fifty_steps(
        self, name: str, options: dict[str, Any], dtype: Any, backend_name: str, rng: np.random.Generator
    ) -> None:
        ours, theirs = parameters(rng, dtype)
        run(ours, theirs, getattr(optim, name)(ours, **options), getattr(torch.optim, name)(theirs, **options), rng)
        for p, q in zip(ours, theirs, strict=True):
            true = q.detach().numpy()
            exact = 1e-10 if name not in IN_FLOAT32 else 3e-7
            tolerance = (exact if dtype == np.float64 else 1e-5) * max(np.abs(true).max(), 1.0)
            np.testing.assert_allclose(p.array, true, rtol=0, atol=tolerance)

    def test_groups_have_options_of_their_own(self, rng: np.random.Generator) -> None:
        ours, theirs = parameters(rng, np.float64)

        def groups(p: list[Any]) -> list[dict[str, Any]]:
            return [{"params": p[:2], "lr": 0.3, "weight_decay": 0.1}, {"params": p[2:], "betas": (0.5, 0.9)}]

        a, b = optim.AdamW(groups(ours), lr=0.02), torch.optim.AdamW(groups(theirs), lr=0.02)
        for rate in (0.1, 0.01):  # changed between steps
            a.param_groups[0]["lr"] = b.param_groups[0]["lr"] = rate
            run(ours, theirs, a, b, rng, 5)
        for p, q in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(p.array, q.detach().numpy(), rtol=1e-12)

    def test_closure_sees_the_gradients(self) -> None:
        p = nn.Parameter(np.ones(3))
        o = optim.SGD([p], lr=0.5)

        def closure() -> float:
            p.grad = Tensor(np.full(3, 2.0))
            return 7.0

        assert o.step(closure) == 7.0
        np.testing.assert_array_equal(p.array, np.zeros(3))


class TestMemory:
    def test_parameters_lie_in_one_buffer_in_their_own_order(self, rng: np.random.Generator) -> None:
        model = nn.Sequential(nn.Conv2d(16, 33, 3), nn.Linear(33, 20))
        before = {n: p.array.copy() for n, p in model.named_parameters()}
        o = optim.Adam(model.parameters())
        flat = o.memory[0].slots[0].flat.base
        for slot in o.memory[0].slots:
            assert np.shares_memory(slot.parameter.array, flat)
            assert slot.where.start * 4 % 64 == 0
            assert slot.flat.ctypes.data % 64 == 0
        assert model[0].weight.array.transpose(2, 3, 1, 0).flags.c_contiguous
        for n, p in model.named_parameters():
            np.testing.assert_array_equal(p.array, before[n])

    def test_step_counts_as_a_write(self) -> None:
        x = tensor([1.0, 2.0], requires_grad=True)
        o = optim.SGD([x], lr=0.1)
        y = x * x  # saves x
        x.grad = tensor([1.0, 1.0])
        o.step()
        with pytest.raises(RuntimeError, match="changed in place"):
            y.backward(tensor([1.0, 1.0]))

    def test_parameter_without_gradient_stays(self) -> None:
        p, q = (nn.Parameter(np.ones(4, np.float32)) for _ in range(2))
        o = optim.Adam([p, q], weight_decay=0.5)
        p.grad = Tensor(np.ones(4, np.float32))
        version = q.version.value
        o.step()
        np.testing.assert_array_equal(q.array, 1)
        assert q.version.value == version
        assert o.memory[0].steps.tolist() == [1, 0]

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_replaced_memory_is_taken_in(self, dtype: Any) -> None:
        """A module cast, or an array assigned, after the optimizer was made."""
        p = nn.Parameter(np.ones(20, np.float32))
        o = optim.SGD([p], lr=1.0, momentum=0.5)
        for _ in range(2):
            p.grad = Tensor(np.ones(20, np.float32))
            o.step()  # 1 - 1 - 1.5
        p.array = np.zeros(20, dtype)
        p.grad = Tensor(np.ones(20, dtype))
        o.step()
        assert p.dtype == dtype
        np.testing.assert_array_equal(p.array, -1.75)


class TestState:
    @pytest.mark.parametrize(("name", "options"), RULES, ids=IDS)
    def test_resumed_optimizer_takes_the_same_bits(
        self, name: str, options: dict[str, Any], rng: np.random.Generator
    ) -> None:
        ours, theirs = parameters(rng, np.float32)
        a = getattr(optim, name)(ours, **options)
        run(ours, theirs, a, torch.optim.SGD(theirs), rng, 5)
        state = {k: np.array(v) for k, v in a.state_dict().items()}
        copies = [nn.Parameter(np.array(p.array)) for p in ours]  # C order: the state does not depend on it
        b = getattr(optim, name)(copies, lr=123.0)
        b.load_state_dict(state)
        for _ in range(3):
            for p, q in zip(ours, copies, strict=True):
                p.grad = q.grad = Tensor(gradient(rng, p, 0))
            a.step()
            b.step()
        for p, q in zip(ours, copies, strict=True):
            np.testing.assert_array_equal(p.array, q.array)

    def test_state_is_plain_arrays(self) -> None:
        from safetensors.numpy import load, save

        p = nn.Parameter(np.ones((4, 3), np.float32))
        o = optim.Adam([p])
        p.grad = Tensor(np.ones((4, 3), np.float32))
        o.step()
        state = load(save(o.state_dict()))
        assert state["state.0.exp_avg"].shape == (4, 3)
        assert state["state.0.step"] == 1
        assert state["group.0.betas"].tolist() == [0.9, 0.999]

    def test_state_of_another_model_is_refused(self) -> None:
        state = optim.SGD([nn.Parameter(np.ones(3))]).state_dict()
        with pytest.raises(ValueError, match="1 groups and 1 parameters"):
            optim.SGD([nn.Parameter(np.ones(3)), nn.Parameter(np.ones(3))]).load_state_dict(state)
        a, b = nn.Parameter(np.ones(3)), nn.Parameter(np.ones(4))
        o = optim.Adam([a])
        a.grad = Tensor(np.ones(3))
        o.step()
        with pytest.raises(ValueError, match=r"exp_avg has shape \[3\], the parameter \[4\]"):
            optim.Adam([b]).load_state_dict(o.state_dict())


class TestErrors:
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda p: optim.SGD([]), "empty"),
            (lambda p: optim.SGD([p, p]), "given twice"),
            (lambda p: optim.SGD([p], lr=-1), "lr must not be negative"),
            (lambda p: optim.SGD([p], nesterov=True), "nesterov needs momentum"),
            (lambda p: optim.Adam([p], betas=(0.9, 1.0)), "betas"),
            (lambda p: optim.Adam([{"params": [p], "momentum": 0.9}]), "options among"),
            (lambda p: optim.Adam([nn.functional.relu(p)]), "leaf"),
            (lambda p: optim.Adam([tensor([1])]), "floating-point"),
        ],
    )
    def test_wrong_arguments(self, make: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            make(nn.Parameter(np.ones(3, np.float32)))

    def test_one_tensor_is_no_list(self) -> None:
        with pytest.raises(TypeError, match="iterable"):
            optim.SGD(nn.Parameter(np.ones(3)))


class TestClipping:
    @pytest.mark.parametrize("norm", [2.0, 1.0, 3.0, float("inf")])
    @pytest.mark.parametrize("limit", [0.5, 1e4])
    def test_norm(self, norm: float, limit: float, rng: np.random.Generator) -> None:
        ours, theirs = parameters(rng, np.float64)
        before = []
        for p, q in zip(ours, theirs, strict=True):
            g = gradient(rng, p, 0)
            p.grad, q.grad = Tensor(g), torch.tensor(g)
            before.append((p.grad.array, g.copy()))
        ours[1].grad = theirs[1].grad = None
        total = clip_grad_norm_(ours, limit, norm)
        np.testing.assert_allclose(total.item(), torch.nn.utils.clip_grad_norm_(theirs, limit, norm).item(), rtol=1e-13)
        for p, q in zip(ours, theirs, strict=True):
            assert (p.grad is None) == (q.grad is None)
            if p.grad is not None:
                np.testing.assert_allclose(p.grad.array, q.grad.numpy(), rtol=1e-12)
        for now, then in before:  # the old gradient arrays were not written
            np.testing.assert_array_equal(now, then)

    def test_norm_that_is_not_finite(self) -> None:
        p = nn.Parameter(np.ones(3, np.float32))
        p.grad = Tensor(np.array([1, np.nan, 2], np.float32))
        with pytest.raises(RuntimeError, match="nan"):
            clip_grad_norm_(p, 1.0, error_if_nonfinite=True)
        assert np.isnan(clip_grad_norm_(p, 1.0).item())

    def test_value(self) -> None:
        p = nn.Parameter(np.ones(4, np.float32))
        p.grad = Tensor(np.array([-3, -0.5, 0.5, np.nan], np.float32))
        clip_grad_value_([p], 1.0)
        np.testing.assert_array_equal(p.grad.array, [-1, -0.5, 0.5, np.nan])

    def test_no_gradients(self) -> None:
        assert clip_grad_norm_([nn.Parameter(np.ones(2))], 1.0).item() == 0


class TestRMSpropNesterov:
    """PyTorch has no such rule; that of Sutskever et al. 2013 on RMSprop's steps, written out."""

    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_it_is_the_rule_written_out(self, dtype: Any) -> None:
        rng = np.random.default_rng(1)
        ours, _ = parameters(rng, dtype)
        wanted = [p.array.astype(np.float64) for p in ours]
        square, velocity = ([np.zeros(p.shape) for p in ours] for _ in range(2))
        optimizer = optim.RMSprop(ours, lr=0.01, alpha=0.9, eps=1e-4, weight_decay=0.05, momentum=0.6, nesterov=True)
        for step in range(30):
            if step == 20:
                optimizer.param_groups[0]["lr"] = 0.002
            lr = optimizer.param_groups[0]["lr"]
            for i, p in enumerate(ours):
                g = gradient(rng, p, step)
                p.grad = Tensor(g)
                d = g.astype(np.float64) + 0.05 * wanted[i]
                square[i] = 0.9 * square[i] + 0.1 * d * d
                u = d / (np.sqrt(square[i]) + 1e-4)
                velocity[i] = 0.6 * velocity[i] + u
                wanted[i] = wanted[i] - lr * (0.6 * velocity[i] + u)
            optimizer.step()
        for p, w in zip(ours, wanted, strict=True):
            np.testing.assert_allclose(p.array, w, rtol=0, atol=1e-12 if dtype == np.float64 else 2e-5)

    def test_a_captured_step_follows_the_rate(self) -> None:
        from tinymed import capture, full

        def trained(wrap: Any) -> np.ndarray:
            p = nn.Parameter(np.linspace(-1, 1, 6).reshape(2, 3).astype(np.float32))
            optimizer = optim.RMSprop([p], lr=0.1, momentum=0.6, nesterov=True)
            optimizer.penalise(0.01)

            def step(x: Any) -> Any:
                optimizer.zero_grad()
                loss = (p * p * x).sum()
                loss.backward()
                optimizer.step()
                return loss

            run = wrap(step)
            for rate in (0.1, 0.1, 0.1, 0.01, 0.01):
                optimizer.param_groups[0]["lr"] = rate
                run(full((2, 3), 2.0))
            return np.array(p.array)

        np.testing.assert_array_equal(trained(capture), trained(lambda step: step))

    def test_it_needs_a_momentum_and_its_state_can_be_saved(self) -> None:
        with pytest.raises(ValueError, match="give a momentum above 0"):
            optim.RMSprop([nn.Parameter(np.ones(2))], nesterov=True)
        made = [optim.RMSprop([nn.Parameter(np.ones(2))], momentum=0.5, nesterov=True) for _ in range(2)]
        for o in made:
            o.param_groups[0]["params"][0].grad = Tensor(np.array([1.0, -2.0]))
        made[0].step()
        made[1].load_state_dict(made[0].state_dict())
        made[1].param_groups[0]["params"][0].array[...] = made[0].param_groups[0]["params"][0].array
        for o in made:
            o.step()
        first, second = (o.param_groups[0]["params"][0].array for o in made)
        np.testing.assert_array_equal(first, second)


class TestL1:
    @pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adamax"])
    def test_the_penalty_is_that_of_a_loss_with_the_sum_of_sizes(self, name: str) -> None:
        """Biases are not penalised, and a group that maximises still shrinks its weights' sizes."""
        rng = np.random.default_rng(2)
        ours, theirs = parameters(rng, np.float64)
        a, b = getattr(optim, name)(ours), getattr(torch.optim, name)(theirs)
        a.penalise(0.03)
        for step in range(20):
            for p, q in zip(ours, theirs, strict=True):
                g = gradient(rng, p, step)
                p.grad = Tensor(g)
                q.grad = torch.tensor(g) + (0.03 * torch.sign(q.detach()) if q.ndim > 1 else 0)
            a.step()
            b.step()
        for p, q in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(p.array, q.detach().numpy(), rtol=0, atol=1e-10)

    def test_what_is_no_weight_of_a_penalty_is_refused(self) -> None:
        o = optim.SGD([nn.Parameter(np.ones(2))])
        for l1 in (-0.1, np.nan, np.inf):
            with pytest.raises(ValueError, match="finite number from 0 on"):
                o.penalise(l1)


class TestArguments:
    def test_what_picks_an_implementation_is_accepted(self) -> None:
        for options in ({"foreach": True}, {"fused": True}, {"capturable": True}):
            optim.Adam([nn.Parameter(np.ones(2))], **options)

    def test_what_asks_for_second_derivatives_is_refused(self) -> None:
        for name in ("SGD", "Adam", "RMSprop", "Adadelta", "Rprop"):
            with pytest.raises(ValueError, match=r"differentiable=True.*first derivatives only"):
                getattr(optim, name)([nn.Parameter(np.ones(2))], differentiable=True)

    def test_zero_grad_keeps_or_drops(self) -> None:
        p = nn.Parameter(np.ones(3))
        o = optim.SGD([("name", p)])
        o.zero_grad(set_to_none=False)
        assert p.grad is None
        p.grad = Tensor(np.full(3, 2.0))
        o.zero_grad(set_to_none=False)
        np.testing.assert_array_equal(p.grad.array, np.zeros(3))
        o.zero_grad(set_to_none=True)
        assert p.grad is None

    def test_a_tensor_as_learning_rate_is_followed(self) -> None:
        rate = tensor(0.5)
        p = nn.Parameter(np.ones(1))
        o = optim.SGD([p], lr=rate)
        for value in (0.5, 0.25):
            rate.fill_(value)
            before = p.array.copy()
            p.grad = Tensor(np.ones(1))
            o.step()
            np.testing.assert_allclose(before - p.array, value)

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda p: optim.Adadelta(p, rho=2.0), "rho"),
            (lambda p: optim.Rprop(p, etas=(1.5, 2.0)), "etas"),
            (lambda p: optim.NAdam(p, momentum_decay=-1.0), "momentum_decay"),
            (lambda p: optim.Adam(p, betas=(1.0, 0.9)), "betas"),
        ],
    )
    def test_out_of_range(self, make: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            make([nn.Parameter(np.ones(2))])
