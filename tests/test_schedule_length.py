"""A run that is resumed for longer: what is left of its schedule is planned anew, and no rate rises again."""

import itertools

import pytest

from tinymed import nn, optim
from tinymed.data.device_batches import as_arrays
from tinymed.errors import UserError
from tinymed.optim import lr_scheduler
from tinymed.optim.warmup import WarmupCosineLR
from tinymed.train.callbacks import Schedule

PLANNED = {
    "CosineAnnealingLR": lambda o, n: lr_scheduler.CosineAnnealingLR(o, n),
    "WarmupCosineLR": lambda o, n: WarmupCosineLR(o, n, 2),
    "OneCycleLR": lambda o, n: lr_scheduler.OneCycleLR(o, 1.0, n),
    "PolynomialLR": lambda o, n: lr_scheduler.PolynomialLR(o, n),
    "LinearLR": lambda o, n: lr_scheduler.LinearLR(o, 1.0, 0.1, n),
    "ConstantLR": lambda o, n: lr_scheduler.ConstantLR(o, 0.5, n),
}


def begun(name: str, steps: int) -> tuple[optim.SGD, Schedule]:
    optimizer = optim.SGD([nn.Parameter([1.0])], lr=1.0, momentum=0.9)
    return optimizer, Schedule(PLANNED[name](optimizer, steps), every="step")


def rates(optimizer: optim.SGD, schedule: Schedule, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        schedule.on_step(None, 0.0)  # type: ignore[arg-type]
        found.append(optimizer.param_groups[0]["lr"])
    return found


def resumed(name: str, taken: int, before: int, after: int, old_file: bool = False) -> tuple[optim.SGD, Schedule]:
    """A run planned for `before` steps, stopped after some of them and resumed with a plan for `after`."""
    first, schedule = begun(name, before)
    rates(first, schedule, taken)
    state = as_arrays(schedule.state())
    if old_file:
        del state["planned"], state["taken"]
    second, again = begun(name, after)
    second.load_state_dict(first.state_dict())
    again.restore(state)
    return second, again


def test_every_schedule_of_a_length_is_known() -> None:
    lengths = {"T_max", "total_iters", "total_steps"}
    for name in lr_scheduler.__all__:
        cls = getattr(lr_scheduler, name)
        takes = lengths & set(cls.__init__.__code__.co_varnames)
        assert cls.horizon == (takes.pop() if takes else ""), f"{name} is planned for a number of steps: name it"


@pytest.mark.parametrize("old_file", [False, True])
def test_an_interrupted_cosine_goes_down_over_what_is_left(old_file: bool) -> None:
    optimizer, schedule = resumed("CosineAnnealingLR", 4, 10, 20, old_file)
    left = [optimizer.param_groups[0]["lr"], *rates(optimizer, schedule, 16)]
    assert all(a >= b for a, b in itertools.pairwise(left))
    assert left[-1] == pytest.approx(0, abs=1e-12)
    assert left[8] == pytest.approx(left[0] / 2)


def test_lengthened_twice_and_resumed_with_the_same_plan() -> None:
    optimizer, schedule = resumed("CosineAnnealingLR", 4, 10, 20)
    rates(optimizer, schedule, 6)
    state = as_arrays(schedule.state())
    expected = rates(optimizer, schedule, 10)
    for length, same in ((20, True), (40, False)):
        third, again = begun("CosineAnnealingLR", length)
        third.param_groups[0]["lr"] = 0.0
        again.restore(state)
        third.param_groups[0]["lr"] = float(optimizer.param_groups[0]["lr"]) if not same else float(state["last_lr"][0])
        if same:
            assert rates(third, again, 10) == pytest.approx(expected)
        else:
            assert again.scheduler.T_max == 30


def test_an_ended_cosine_is_not_lengthened() -> None:
    with pytest.raises(UserError, match=r"CosineAnnealingLR, has ended after 10 steps.*train a new run"):
        resumed("CosineAnnealingLR", 10, 10, 20)
    resumed("CosineAnnealingLR", 10, 10, 10)


@pytest.mark.parametrize("name", [n for n in PLANNED if n != "CosineAnnealingLR"])
def test_other_schedules_of_a_length_refuse(name: str) -> None:
    with pytest.raises(UserError, match=r"is planned for 10 steps.*resume the run with the epochs it was begun with"):
        resumed(name, 4, 10, 20)
