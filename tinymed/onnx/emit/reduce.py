"""Reductions."""

from ..trace import Call
from ..writer import Writer, emits

SAME = {
    "Sum": "ReduceSum",
    "Mean": "ReduceMean",
    "Prod": "ReduceProd",
    "AMax": "ReduceMax",
    "AMin": "ReduceMin",
    "LogSumExp": "ReduceLogSumExp",
}


@emits(*SAME)
def same(w: Writer, call: Call) -> None:
    """Reductions that ONNX has under another name."""
    if not call.axes:  # of a scalar
        w.result(call, "Identity", call.x)
        return
    inputs, attributes = w.over_axes(SAME[call.op], call.x, call.axes, call.keepdim)
    w.result(call, SAME[call.op], *inputs, **attributes)


@emits("Norm")
def norm(w: Writer, call: Call) -> None:
    """ReduceL1 and ReduceL2; the largest absolute value."""
    operators = {1.0: "ReduceL1", 2.0: "ReduceL2", float("inf"): "ReduceMax", float("-inf"): "ReduceMin"}
    if float(call.p) not in operators:
        raise w.refuse(f"the {call.p}-norm")
    operator = operators[float(call.p)]
    x = call.x if operator in ("ReduceL1", "ReduceL2") else w.add("Abs", call.x)
    inputs, attributes = w.over_axes(operator, x, call.axes, call.keepdim)
    w.result(call, operator, *inputs, **attributes)


@emits("Var", "Std")
def moment(w: Writer, call: Call) -> None:
    """Emit the sum of squared deviations over the degrees of freedom."""
    x, n = call.x, 1
    for axis in call.axes:
        n *= x.shape[axis]
    centred = w.add("Sub", x, w.reduce("ReduceMean", x, call.axes, True))
    total = w.reduce("ReduceSum", w.add("Mul", centred, centred), call.axes, call.keepdim)
    freedom = w.number(max(0.0, n - call.correction), x)
    if call.op == "Var":
        w.result(call, "Div", total, freedom)
    else:
        w.result(call, "Sqrt", w.add("Div", total, freedom))


@emits("ArgExtreme")
def arg_extreme(w: Writer, call: Call) -> None:
    """ArgMax and ArgMin."""
    w.result(call, {"max": "ArgMax", "min": "ArgMin"}[call.which], call.x, axis=call.axis, keepdims=int(call.keepdim))


@emits("MaxAlong")
def max_along(w: Writer, call: Call) -> None:
    """ReduceMax and ArgMax."""
    values, index = (w.own(a, f"{w.local('')}{call.op}_out") for a in call.outputs)
    operator, arg = {"max": ("ReduceMax", "ArgMax"), "min": ("ReduceMin", "ArgMin")}[call.which]
    inputs, attributes = w.over_axes(operator, call.x, (call.axis,), call.keepdim)
    w.add(operator, *inputs, outputs=[values], **attributes)
    w.add(arg, call.x, outputs=[index], axis=call.axis, keepdims=int(call.keepdim))


@emits("Cumsum")
def cumsum(w: Writer, call: Call) -> None:
    """CumSum."""
    w.result(call, "CumSum", call.x, w.ints([call.axis]))
