"""Convolution and its transpose."""

from typing import Any

from ..trace import Call
from ..writer import Writer, emits


@emits("Conv")
def conv(w: Writer, call: Call) -> None:
    """Conv; an input without a batch axis gets one for it."""
    sliding(w, call, "Conv", pads=[a for a, _ in call.padding] + [b for _, b in call.padding])


@emits("ConvTranspose")
def conv_transpose(w: Writer, call: Call) -> None:
    """ConvTranspose; a border that reaches beyond the last tap is output_padding."""
    pads = [a for a, _ in call.padding] + [max(0, b) for _, b in call.padding]
    sliding(w, call, "ConvTranspose", pads=pads, output_padding=[max(0, -b) for _, b in call.padding])


def sliding(w: Writer, call: Call, operator: str, **attributes: Any) -> None:
    """Emit a node over images, or over one image without a batch axis."""
    attributes |= {
        "strides": list(call.stride),
        "dilations": list(call.dilation),
        "group": call.groups,
        "kernel_shape": list(call.weight.shape[2:]),
    }
    if call.x.ndim == call.weight.ndim:
        w.result(call, operator, call.x, call.weight, call.bias, **attributes)
    else:
        one = w.add(operator, w.add("Unsqueeze", call.x, w.ints([0])), call.weight, call.bias, **attributes)
        w.result(call, "Squeeze", one, w.ints([0]))
