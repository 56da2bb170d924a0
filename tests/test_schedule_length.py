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
        schedule.on_taken(None)  # type: ignore[arg-type]
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


def test_a_warmed_cosine_goes_down_over_what_is_left() -> None:
    optimizer, schedule = resumed("WarmupCosineLR", 4, 10, 20)
    left = [optimizer.param_groups[0]["lr"], *rates(optimizer, schedule, 16)]
    assert all(a >= b for a, b in itertools.pairwise(left))
    assert left[-1] == pytest.approx(0, abs=1e-12)
    assert left[8] == pytest.approx(left[0] / 2)


def test_lengthened_while_it_rises_a_warmed_cosine_still_reaches_the_top_once() -> None:
    optimizer, schedule = resumed("WarmupCosineLR", 1, 10, 20)
    left = [optimizer.param_groups[0]["lr"], *rates(optimizer, schedule, 19)]
    assert max(left) == pytest.approx(1.0)
    top = left.index(max(left))
    assert all(a <= b for a, b in itertools.pairwise(left[: top + 1]))
    assert all(a >= b for a, b in itertools.pairwise(left[top:]))
    assert left[-1] == pytest.approx(0, abs=1e-12)


def test_an_ended_warmed_cosine_stays_at_its_lowest_rate() -> None:
    optimizer = optim.SGD([nn.Parameter([1.0])], lr=1.0)
    schedule = WarmupCosineLR(optimizer, 10, 2, lowest=0.001)
    assert rates(optimizer, Schedule(schedule, every="step"), 15)[9:] == pytest.approx([0.001] * 6)
    older = {name: value for name, value in schedule.state_dict().items() if name != "lowest"}
    schedule.load_state_dict(older)
    assert schedule.factor(10) == 0  # as it was when that state was saved


@pytest.mark.parametrize(("steps", "rising"), [(10, 3), (7, 1), (40, 13)])
def test_a_warmed_cosine_is_pytorchs_sequence_of_two(steps: int, rising: int) -> None:
    torch = pytest.importorskip("torch")
    optimizer = optim.SGD([nn.Parameter([1.0])], lr=0.3)
    ours = WarmupCosineLR(optimizer, steps, rising)
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.3)
    line = torch.optim.lr_scheduler.LinearLR(theirs, 1 / (rising + 1), 1.0, rising)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(theirs, steps - rising)
    both = torch.optim.lr_scheduler.SequentialLR(theirs, [line, cosine], [rising])
    for _ in range(steps):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-6, abs=1e-12)
        ours.step()
        theirs.step()
        both.step()


@pytest.mark.parametrize("rising", [-1, 10, 11])
def test_a_rise_that_leaves_no_cosine_is_refused(rising: int) -> None:
    with pytest.raises(ValueError, match="warmup_steps"):
        WarmupCosineLR(optim.SGD([nn.Parameter([1.0])], lr=1.0), 10, rising)


@pytest.mark.parametrize("name", [n for n in PLANNED if n not in ("CosineAnnealingLR", "WarmupCosineLR")])
def test_other_schedules_of_a_length_refuse(name: str) -> None:
    with pytest.raises(UserError, match=r"is planned for 10 steps.*resume the run with the epochs it was begun with"):
        resumed(name, 4, 10, 20)
