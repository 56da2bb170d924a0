"""The loop of the watershed, compiled: a binary heap of pixels, ordered by their height and then by their age.

Imported at first use.
"""

from typing import Any

from ..cpu.compiler.exact_loops import compiled
from ..cpu.compiler.jit import inline


@inline
def before(values: Any, age: Any, one: int, other: int) -> Any:
    """Return whether a pixel is flooded before another: it lies lower, or as low and entered earlier."""
    return values[one] < values[other] or (values[one] == values[other] and age[one] < age[other])


@inline
def push(values: Any, age: Any, queue: Any, size: int, pixel: int) -> None:
    """Put a pixel into a heap of `size` pixels, which has room for it."""
    place = size
    while place > 0:
        parent = (place - 1) // 2
        if before(values, age, queue[parent], pixel):
            break
        queue[place] = queue[parent]
        place = parent
    queue[place] = pixel


@inline
def pop(values: Any, age: Any, queue: Any, size: int) -> Any:
    """Return the first pixel of a heap of `size` pixels, and leave the others a heap."""
    first, last = queue[0], queue[size - 1]
    place = 0
    while 2 * place + 1 < size - 1:
        child = 2 * place + 1
        if child + 1 < size - 1 and before(values, age, queue[child + 1], queue[child]):
            child += 1
        if before(values, age, last, queue[child]):
            break
        queue[place] = queue[child]
        place = child
    queue[place] = last
    return first


@compiled
def flood(values: Any, labels: Any, steps: Any, queue: Any, age: Any) -> None:
    """Give every pixel with label 0 the label of the basin that reaches it first; -1 is never entered.

    values, labels: of the pixels, one after the other, with a border of -1.  steps: to the neighbours of a pixel.
    queue, age: memory for the heap, and for the order in which pixels entered it.
    """
    size = entered = 0
    for pixel in range(labels.size):
        if labels[pixel] > 0:
            age[pixel] = entered
            entered += 1
            push(values, age, queue, size, pixel)
            size += 1
    while size > 0:
        lowest = pop(values, age, queue, size)
        size -= 1
        for number in range(steps.size):
            near = lowest + steps[number]
            if labels[near] == 0:
                labels[near] = labels[lowest]
                age[near] = entered
                entered += 1
                push(values, age, queue, size, near)
                size += 1
