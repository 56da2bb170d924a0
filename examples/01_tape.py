"""The tape by hand: what backward() does, step by step, with numbers.

    python examples/01_tape.py

Teaches: what the tape records while an expression is computed; how the backward walk carries gradients from the
result to the leaves; why it must visit the ops in reverse order of creation; what a recursive walk and a breadth-first
walk do wrong instead; that gradients of one leaf add up.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

import tinymed
from tinymed import Tensor, debug, tape
from tinymed.tape import Op


def expression(w: Tensor, x: Tensor) -> Tensor:
    """y = h^2 + h with h = w x: h is used three times, so the graph is no tree."""
    h = w * x
    return h * h + h


# ------------------------------------------------------------------------------------------- three ways to walk back


def name(op: Op, ops: list[Op]) -> str:
    """Return the op as tape_text numbers it."""
    return f"%{ops.index(op)} {type(op).__name__}"


def walk_by_hand(y: Tensor) -> dict[int, float]:
    """Do what Tensor.backward does; return {id of a leaf: its gradient}.

    Each op runs once, when its gradient is whole.
    """
    ops = debug.graph(y)
    waiting: dict[int, Any] = {id(y.op): np.float32(1)}  # what each op has received so far; dy/dy = 1
    leaves: dict[int, float] = {}
    for op in reversed(ops):
        dy = waiting.pop(id(op))
        dxs = op.backward(dy)
        print(f"   {name(op, ops):8s} has received dy = {dy:g}")
        for edge, dx in zip(op.edges, dxs, strict=True):
            source = edge[0]
            if isinstance(source, Op):
                waiting[id(source)] = waiting.get(id(source), 0) + dx
                held = waiting[id(source)]
                print(f"            hands dx = {dx:g} to {name(source, ops)}, which then holds {held:g}")
            else:
                leaves[id(source)] = leaves.get(id(source), 0) + float(dx)
                print(f"            hands dx = {dx:g} to the leaf of value {source.array:g}")
    return leaves


def recursive_walk(op: Op, dy: Any, visits: list[Op], leaf: Callable[[Any], None]) -> None:
    """Hand every gradient on the moment it arrives: right, but an op runs once for each PATH that leads to it."""
    visits.append(op)
    for (source, _), dx in zip(op.edges, op.backward(dy), strict=True):
        if isinstance(source, Op):
            recursive_walk(source, dx, visits, leaf)
        else:
            leaf(dx)


def breadth_first_walk(y: Tensor) -> float:
    """Visit each op once, nearest to the result first: the gradient of the only leaf.  Wrong, see main."""
    waiting, seen, total = {id(y.op): np.float32(1)}, {id(y.op)}, 0.0
    queue = deque([y.op])
    while queue:
        op = queue.popleft()
        for (source, _), dx in zip(op.edges, op.backward(waiting[id(op)]), strict=True):
            if not isinstance(source, Op):
                total += float(dx)
                continue
            waiting[id(source)] = waiting.get(id(source), 0) + dx
            if id(source) not in seen:
                seen.add(id(source))
                queue.append(source)
    return total


class CountOps(tape.Observer):
    """Counts the ops that the real walk runs backward."""

    count = 0

    def backward(self, op: Op, dys: Any, dxs: Any) -> None:
        self.count += 1


def diamonds(x: Tensor, n: int) -> Tensor:
    """n additions of a value to itself: y = 2^n x along 2^n paths."""
    for _ in range(n):
        x = x + x
    return x


# ----------------------------------------------------------------------------------------------------- the lessons


def lesson_record() -> None:
    w, x = tinymed.tensor(2.0, requires_grad=True), tinymed.tensor(3.0, requires_grad=True)
    y = expression(w, x)
    print(f"1. The tape of y = h^2 + h, h = w x, at w = 2, x = 3 (y = {y.item():g}), in the order the ops ran:\n")
    print("   " + debug.tape_text(y).replace("\n", "\n   "))
    print("\n2. The walk, from the last op to the first (by hand: dy/dh = 2 h + 1, dy/dw = (2 h + 1) x):\n")
    gradients = walk_by_hand(y)
    y.backward()  # the engine's own walk, on the same tape
    print(
        f"\n   by hand  dy/dw = {gradients[id(w)]:g}, dy/dx = {gradients[id(x)]:g};"
        f"  backward()  w.grad = {w.grad.item():g}, x.grad = {x.grad.item():g}"
    )
    h = 2.0 * 3.0
    assert gradients[id(w)] == w.grad.item() == (2 * h + 1) * 3.0
    assert gradients[id(x)] == x.grad.item() == (2 * h + 1) * 2.0


def lesson_order() -> None:
    print("\n3. Why reverse order of creation.  n times x = x + x: each op doubles the number of paths.\n")
    print("      n    ops   run by backward()   run by a recursive walk   gradient")
    for n in (1, 4, 8, 12):
        x = tinymed.tensor(1.0, requires_grad=True)
        y, counter = diamonds(x, n), CountOps()
        visits: list[Op] = []
        pieces: list[float] = []
        recursive_walk(y.op, np.float32(1), visits, lambda dx, kept=pieces: kept.append(float(dx)))
        with tape.observers.watching(counter):
            y.backward()
        print(f"     {n:2d}   {n:4d}   {counter.count:17d}   {len(visits):23d}   {x.grad.item():8g}")
        assert counter.count == n
        assert len(visits) == 2**n - 1
        assert sum(pieces) == x.grad.item() == 2**n
    print("\n   The recursive walk is right and costs 2^n - 1 visits; it also overflows the stack of a deep network.")
    x = tinymed.tensor(3.0, requires_grad=True)
    h = x * x
    y = h + (h * h) * h  # one arm of the diamond is two ops long, the other none
    wrong = breadth_first_walk(y)
    y.backward()
    true = 2 * 3 + 6 * 3**5
    print(f"   y = h + h^3, h = x^2, at x = 3: dy/dx = 2 x + 6 x^5 = {true}; backward() {x.grad.item():g};")
    print(f"   breadth-first, each op once: {wrong:g}.  It ran h's op before the longer arm had delivered.")
    assert x.grad.item() == true != wrong


def lesson_accumulate() -> None:
    w = tinymed.tensor(2.0, requires_grad=True)
    seen = []
    for _ in range(3):
        (w * w).backward()
        seen.append(w.grad.item())
    print(f"\n4. Gradients accumulate in .grad: d(w^2)/dw = 4 at w = 2; after three backward() calls {seen}.")
    print("   Several losses simply add up, and a training loop must call zero_grad() before each step.")
    assert seen == [4.0, 8.0, 12.0]
    y = w * w
    y.backward()
    try:
        y.backward()
    except RuntimeError as refusal:
        print(f"5. The walk frees what it has used.  A second one over the same ops: RuntimeError: {refusal}")
    else:
        raise AssertionError("a second walk over a freed graph must be refused")


def main() -> None:
    tinymed.use_backend("numpy")  # scalars: nothing worth compiling
    lesson_record()
    lesson_order()
    lesson_accumulate()
    print("\nLesson: hand a gradient on only when it is whole; reverse order of creation does it, at one visit an op.")


if __name__ == "__main__":
    main()
