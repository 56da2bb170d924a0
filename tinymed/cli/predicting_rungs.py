"""Predicted times of a ladder's rungs, for `tinymed ladder OP --predict GPU`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import dispatch
from ..errors import UserError

if TYPE_CHECKING:
    from ..cuda.gpus import GPU
    from ..cuda.machine_code import Kernel

PREDICTED = ("predicted us", "bound by", "waves")


def known_gpu(name: str) -> "GPU":
    """Return a GPU of the timing model by name; UserError with those that there are."""
    from ..cuda.gpus import GPUS

    if name.lower() not in GPUS:
        raise UserError(f"--predict {name}: the timing model knows {', '.join(GPUS)}")
    return GPUS[name.lower()]


def predicted_cells(step: Any) -> tuple[str, ...]:
    """Return the predicted part of a row."""
    if step.predicted_us is None:
        return ("-", "-", "-")
    return (f"{step.predicted_us:.1f}", step.bound, f"{step.waves:.1f}")


def predict_rungs(chosen: Any, steps: Sequence[Any], gpu: "GPU") -> list[str]:
    """Fill in what the timing model says of each rung on the ladder's large problem; return what to say of it."""
    from ..cuda import emulated
    from ..cuda.build import Absent, Failed
    from ..cuda.ladders import ready
    from ..cuda.prediction import Unknown, predictions
    from ..cuda.timing import MISPLACED, doubt_text, error_text

    why = dispatch.absence("emulated")
    if why:
        return [f"predictions need the emulator: {why}"]
    problem = [emulated.placed(a) for a in chosen.problem(np.random.default_rng(0), *chosen.large)]
    notes: list[str] = []
    for rung, step in zip(chosen.rungs, steps, strict=True):
        dispatcher = getattr(dispatch.table("emulated"), rung.kernel)
        args = ready(dispatcher, rung.arguments(*problem))
        with emulated.sampling() as sampled:
            dispatcher(*args)
        try:
            times = predictions(machine_code(rung, gpu), sampled(), gpu)
        except (Absent, Failed, Unknown, ValueError) as reason:
            notes.append(f"{rung.label} is not predicted: {str(reason).splitlines()[0]}")
            continue
        longest = max(times, key=lambda t: t.seconds)
        step.predicted_us, step.bound = 1e6 * sum(t.seconds for t in times), longest.bound
        step.waves = longest.waves
        if (share := max(t.misplaced for t in times)) > MISPLACED:
            notes.append(f"{rung.label}: {doubt_text(share)}")
    sizes = " ".join(map(str, chosen.large))
    return [f"predicted: {error_text()}, on {gpu.name}, a problem of {sizes}; no GPU was asked", *notes]


def machine_code(rung: Any, gpu: "GPU") -> "list[Kernel]":
    """Return the machine code of a rung's file: what ships, else what nvcc makes of it."""
    from ..cuda.build import CSRC
    from ..cuda.machine_code import compiled
    from ..cuda.prediction import shipped

    return shipped(rung.source, gpu) or compiled(CSRC / rung.source, gpu.arch, [f"-I{CSRC}"])
