"""Learning rate schedules against PyTorch's over 50 epochs, alone, one on another and one after another."""

import json
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from tinymed import nn, optim
from tinymed.optim import lr_scheduler

EPOCHS = 50
METRICS = [1 / (1 + 0.3 * min(e, 12)) + 0.01 * (e % 3) for e in range(EPOCHS)]

SINGLE: dict[str, Callable[[Any, Any], Any]] = {
    "LambdaLR": lambda s, o: s.LambdaLR(o, lambda e: 0.95**e),
    "StepLR": lambda s, o: s.StepLR(o, 7, 0.5),
    "MultiStepLR": lambda s, o: s.MultiStepLR(o, [30, 5, 5, 12], 0.3),
    "ConstantLR": lambda s, o: s.ConstantLR(o, 0.25, 9),
    "LinearLR": lambda s, o: s.LinearLR(o, 0.1, 0.9, 11),
    "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.93),
    "PolynomialLR": lambda s, o: s.PolynomialLR(o, 40, 0.9),
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 12, 1e-3),
    "OneCycleLR": lambda s, o: s.OneCycleLR(o, 0.5, total_steps=EPOCHS + 1),
    "OneCycleLR linear": lambda s, o: s.OneCycleLR(
        o, [0.5, 0.2], epochs=17, steps_per_epoch=3, anneal_strategy="linear"
    ),
    "OneCycleLR three phases": lambda s, o: s.OneCycleLR(
        o, 0.5, total_steps=EPOCHS + 1, three_phase=True, pct_start=0.4
    ),
    "MultiplicativeLR": lambda s, o: s.MultiplicativeLR(o, [lambda e: 0.95, lambda e: 1 - 1 / (e + 2)]),
    "warm restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 7, eta_min=1e-3),
    "warm restarts that grow": lambda s, o: s.CosineAnnealingWarmRestarts(o, 3, 2),
    "CyclicLR": lambda s, o: s.CyclicLR(o, 1e-3, [0.1, 0.2], 5, 8),
    "CyclicLR triangular2": lambda s, o: s.CyclicLR(o, [1e-3, 1e-2], 0.1, 6, mode="triangular2"),
    "CyclicLR exp_range": lambda s, o: s.CyclicLR(o, 1e-3, 0.1, 6, mode="exp_range", gamma=0.97, cycle_momentum=False),
    "CyclicLR scaled": lambda s, o: s.CyclicLR(o, 1e-3, 0.1, 6, scale_fn=lambda x: 1 / (5 ** (x * 0.0001))),
    "chained": lambda s, o: s.ChainedScheduler([s.ConstantLR(o, 0.1, 2), s.ExponentialLR(o, 0.9), s.StepLR(o, 9)]),
    "sequence with cycles": lambda s, o: s.SequentialLR(
        o,
        [
            s.MultiplicativeLR(o, lambda e: 0.9),
            s.CosineAnnealingWarmRestarts(o, 4, 2),
            s.MultiplicativeLR(o, lambda e: 0.8),
        ],
        [8, 30],
    ),
    "plateau": lambda s, o: s.ReduceLROnPlateau(o, factor=0.5, patience=2, cooldown=1, min_lr=[1e-3, 1e-2]),
    "plateau max abs": lambda s, o: s.ReduceLROnPlateau(o, "max", 0.5, 3, 0.02, "abs"),
    "sequence": lambda s, o: s.SequentialLR(
        o,
        [s.LinearLR(o, 0.1, 1.0, 5), s.CosineAnnealingLR(o, 20), s.MultiStepLR(o, [0, 3]), s.ExponentialLR(o, 0.9)],
        [5, 25, 40],
    ),
    "sequence from the second": lambda s, o: s.SequentialLR(
        o, [s.ConstantLR(o, 0.5, 3), s.PolynomialLR(o, 30, 0.9), s.LambdaLR(o, lambda e: 1 / (1 + e))], [0, 25]
    ),
    "sequence of sequences": lambda s, o: s.SequentialLR(
        o, [s.SequentialLR(o, [s.LinearLR(o), s.StepLR(o, 4)], [6]), s.ConstantLR(o, 0.1, 100)], [30]
    ),
}


def ours(kind: str = "SGD", **options: Any) -> Any:
    a, b = (nn.Parameter(np.zeros(2, np.float32)) for _ in range(2))
    return getattr(optim, kind)([{"params": [a], "lr": 0.1}, {"params": [b], "lr": 0.02}], **options)


def theirs(kind: str = "SGD", **options: Any) -> Any:
    a, b = (torch.nn.Parameter(torch.zeros(2)) for _ in range(2))
    return getattr(torch.optim, kind)([{"params": [a], "lr": 0.1}, {"params": [b], "lr": 0.02}], **options)


def follow(optimizer: Any, schedules: list[Any], first: int = 0) -> list[list[float]]:
    """The rates, and momentum or betas, of both groups over the epochs."""
    rows = []
    for epoch in range(first, EPOCHS):
        rows.append(
            [
                float(v)
                for g in optimizer.param_groups
                for v in (g["lr"], *(g["betas"] if "betas" in g else [g["momentum"]]))
            ]
        )
        for s in schedules:
            s.step(METRICS[epoch]) if type(s).__name__ == "ReduceLROnPlateau" else s.step()
    return rows


@pytest.fixture(autouse=True)
def quiet_torch() -> Any:
    """PyTorch warns that no optimizer step was made."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class TestAgainstTorch:
    @pytest.mark.parametrize("kind", ["SGD", "Adam"])
    @pytest.mark.parametrize("name", SINGLE)
    def test_one_schedule(self, name: str, kind: str) -> None:
        options = {"momentum": 0.9} if kind == "SGD" else {}
        a, b = ours(kind, **options), theirs(kind, **options)
        rates = follow(a, [SINGLE[name](lr_scheduler, a)])
        np.testing.assert_allclose(
            rates, follow(b, [SINGLE[name](torch.optim.lr_scheduler, b)]), rtol=1e-12, atol=1e-18
        )
        assert len({tuple(r) for r in rates}) > 1

    @pytest.mark.parametrize(
        "pair",
        [
            ("ExponentialLR", "StepLR"),
            ("LinearLR", "CosineAnnealingLR"),
            ("ConstantLR", "MultiStepLR"),
            ("PolynomialLR", "plateau"),
        ],
    )
    def test_two_schedules_compound(self, pair: tuple[str, str]) -> None:
        a, b = ours(), theirs()
        rates = follow(a, [SINGLE[n](lr_scheduler, a) for n in pair])
        np.testing.assert_allclose(rates, follow(b, [SINGLE[n](torch.optim.lr_scheduler, b) for n in pair]), rtol=1e-12)


class TestState:
    @pytest.mark.parametrize("name", SINGLE)
    def test_resumed_schedule_goes_on(self, name: str) -> None:
        whole = ours("Adam")
        expected = follow(whole, [SINGLE[name](lr_scheduler, whole)])
        first = ours("Adam")
        schedule = SINGLE[name](lr_scheduler, first)
        for epoch in range(20):
            schedule.step(METRICS[epoch]) if "plateau" in name else schedule.step()
        saved = json.loads(json.dumps(schedule.state_dict()))
        second = ours("Adam")
        resumed = SINGLE[name](lr_scheduler, second)
        second.load_state_dict(first.state_dict())
        resumed.load_state_dict(saved)
        assert follow(second, [resumed], 20) == expected[20:]

    def test_state_of_another_schedule_is_refused(self) -> None:
        o = ours()
        with pytest.raises(ValueError, match="step_size"):
            lr_scheduler.ExponentialLR(o, 0.9).load_state_dict(lr_scheduler.StepLR(o, 3).state_dict())

    def test_rates_reach_the_kernels_array(self) -> None:
        o = ours()
        hyper = o.param_groups[0].hyper
        s = lr_scheduler.StepLR(o, 1, 0.5)
        s.step()
        assert o.param_groups[0].hyper is hyper
        assert hyper[0] == s.get_last_lr()[0] == 0.05


class TestErrors:
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.StepLR(o, 3)], [2]), "need 0 milestones"),
            (lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.StepLR(ours(), 3)], []), "of this optimizer"),
            (lambda o: lr_scheduler.OneCycleLR(o, 0.1), "total_steps"),
            (lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=1.5), "below 1"),
            (lambda o: lr_scheduler.ReduceLROnPlateau(o).step(), "metric"),
            (lambda o: lr_scheduler.LambdaLR(o, [abs]), "1 functions for 2 groups"),
            (lambda o: lr_scheduler.StepLR(o, 3, last_epoch=4), "initial_lr"),
        ],
    )
    def test_wrong_arguments(self, make: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            make(ours())

    def test_no_optimizer(self) -> None:
        with pytest.raises(TypeError, match="takes an optimizer"):
            lr_scheduler.StepLR(3, 1)  # type: ignore[arg-type]
