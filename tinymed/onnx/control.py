"""Control flow: If, Loop, Scan and SequenceMap run their bodies, which also see the values around them.

Conditions and trip counts are read in Python.  A step that is being captured refuses that, unless they follow from
shapes and the file alone.
"""

from typing import Any

import numpy as np

from ..nn import functional as F
from ..tensor import Tensor
from .table import MOST_TRIPS, Known, Node, axis_of, number, operator, sized, unsupported


@operator("If")
def if_(node: Node, condition: Any) -> Any:
    """Return the outputs of then_branch where the condition holds, else those of else_branch."""
    branch = node.get("then_branch" if number(node, condition, "the condition") else "else_branch")
    return branch()


@operator("Loop")
def loop(node: Node, most: Any = None, condition: Any = None, *carried: Any) -> Any:
    """Return the body again and again, at most `most` times and while the condition holds.

    It takes the trip's number, the condition and what is carried; it returns the condition, what is carried on, and
    values of which those of all trips are stacked.
    """
    body = node.get("body")
    trips = None if most is None else number(node, most, "M")
    going = condition is None or bool(number(node, condition, "the condition"))
    if condition is None and trips is not None and trips > MOST_TRIPS:
        raise ValueError(f"{node}: M is {trips:,}; a graph takes at most {MOST_TRIPS:,} trips")
    i = 0
    collected: list[list[Any]] = [[] for _ in body.outputs[1 + len(carried) :]]
    while going and (trips is None or i < trips):
        given = Known(np.asarray(True)) if condition is None else condition
        condition, *results = body(Known(np.asarray(i, np.int64)), given, *carried)
        carried = tuple(results[: len(carried)])
        for found, value in zip(collected, results[len(carried) :], strict=True):
            found.append(value)
        i, going = i + 1, bool(number(node, condition, "the condition that the body returns"))
    kinds = body.outputs[1 + len(carried) :]
    return (*carried, *(stacked(node, found, kind, 0) for found, kind in zip(collected, kinds, strict=True)))


def stacked(node: Node, values: list[Any], declared: Any, axis: int) -> Any:
    """Return the values of all trips along a new axis; without trips nothing, in the shape that the body declares."""
    if not values:
        shape = [n or 0 for n in declared.shape or ()]
        return Tensor(np.zeros((*shape[:axis], 0, *shape[axis:]), declared.dtype))
    if any(not isinstance(v, Tensor) or v.shape != values[0].shape for v in values):
        raise ValueError(f"{node}: the trips return values of several shapes; it takes equal ones to stack")
    axis = axis_of(node, axis, values[0].ndim + 1)
    sized(node, (len(values), *values[0].shape))
    return F.stack(values, axis)


@operator("Scan")
def scan(node: Node, *inputs: Any) -> Any:
    """Return the body over the slices of some inputs, carrying a state; further outputs are stacked."""
    if node.opset < 9:
        raise unsupported(node, "Scan of opset 8, which has a batch axis,", "opset 9 and later")
    body, count = node.get("body"), node.get("num_scan_inputs", 1)
    if not 1 <= count <= len(inputs):
        raise ValueError(f"{node}: num_scan_inputs is {count} of {len(inputs)} inputs; it takes 1 to {len(inputs)}")
    state, sequences = inputs[: len(inputs) - count], inputs[len(inputs) - count :]
    axes = [
        axis_of(node, a, x.ndim) for a, x in zip(node.get("scan_input_axes") or [0] * count, sequences, strict=True)
    ]
    backwards = node.get("scan_input_directions") or [0] * count
    steps = {x.shape[a] for a, x in zip(axes, sequences, strict=True)}
    if len(steps) != 1:
        raise ValueError(f"{node}: the inputs to scan have lengths {sorted(steps)}; it takes equal ones")
    kinds = body.outputs[len(state) :]
    collected: list[list[Any]] = [[] for _ in kinds]
    for i in range(n := steps.pop()):
        slices = [
            F.select(x, a, n - 1 - i if back else i) for x, a, back in zip(sequences, axes, backwards, strict=True)
        ]
        results = body(*state, *slices)
        state = results[: len(state)]
        for found, value in zip(collected, results[len(state) :], strict=True):
            found.append(value)
    back_out = node.get("scan_output_directions") or [0] * len(kinds)
    out_axes = node.get("scan_output_axes") or [0] * len(kinds)
    return (
        *state,
        *(
            stacked(node, found[::-1] if back else found, kind, axis)
            for found, kind, back, axis in zip(collected, kinds, back_out, out_axes, strict=True)
        ),
    )


@operator("SequenceMap")
def sequence_map(node: Node, *inputs: Any) -> Any:
    """Run the body for each element of the first sequence, with those of further ones and with tensors as they are."""
    body = node.get("body")
    if not isinstance(inputs[0], list) or any(isinstance(s, list) and len(s) != len(inputs[0]) for s in inputs):
        raise ValueError(f"{node}: it takes sequences of one length, the first input among them")
    rows = [body(*(s[i] if isinstance(s, list) else s for s in inputs)) for i in range(len(inputs[0]))]
    return tuple([row[i] for row in rows] for i in range(len(body.outputs)))
