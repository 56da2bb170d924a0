"""From a recording to the program that is replayed: share, fuse, gather updates, prune."""

from collections.abc import Collection, Sequence

import numpy as np

from ..dispatch import BACKENDS, Table
from .call_list import CallList
from .patterns import PATTERNS, rewrite
from .program import Call, Program, named
from .rounded import round_once
from .values import Ref, Value, root, size

Alias = dict[Value, Value]


def optimise(program: Program, table: Table) -> Program:
    """Return a program that computes the same with fewer calls; what was done stands in their notes."""
    calls, alias = share(program.calls, kept_apart(program))
    result = Program(
        calls, [moved(r, alias) for r in program.outputs], [(leaf, moved(r, alias)) for leaf, r in program.gradients]
    )
    result.pin()
    result.calls = prune(result.calls, result)
    predicts = not result.learns() and table.device == "cpu"
    rewritten = CallList(result.calls)
    for p in PATTERNS:
        if p.backend in ("", *BACKENDS[table.name].chain) and (predicts or not p.predicting):
            rewrite(rewritten, p, table)
    result.calls = gather_updates(prune(round_once(rewritten.calls, pinned(result)), result), table)
    return result


def pinned(program: Program) -> set[Value]:
    """Return the values that are read from outside, or written in place."""
    outside = {r.value for r in [*program.outputs, *(r for _, r in program.gradients)]}
    return kept_apart(program) | outside


def moved(r: Ref, alias: Alias) -> Ref:
    """Return the window on the value that stands for its own."""
    return r.of(alias[r.value]) if r.value in alias else r


def kept_apart(program: Program) -> set[Value]:
    """Return the values that must have memory of their own, though others may hold the same numbers.

    They are those written in place, by a call of the program or, as `.grad` of a leaf, by whoever holds it later.
    """
    return {r.value for c in program.calls for r in c.written()} | {r.value for _, r in program.gradients}


def share(calls: Sequence[Call], unshared: Collection[Value] = ()) -> tuple[list[Call], Alias]:
    """Run the same pure kernel on the same arrays once; return the calls left, and what stands for what.

    unshared: values that stand for no other, and no other for them.
    """
    seen: dict[tuple[object, ...], Call] = {}
    versions: dict[Value, int] = {}
    alias: Alias = {}
    result = []
    for c in calls:
        c.args = [moved(a, alias) if isinstance(a, Ref) else a for a in c.args]
        key = (c.kernel, *((a, versions.get(a.value, 0)) if isinstance(a, Ref) else (type(a), a) for a in c.args))
        pure = bool(c.outs) and not c.kernel.rule.writes and not any(o.value in unshared for o in c.outs)
        if pure and key in seen:
            twin = seen[key]
            for old, new in zip(c.outs, twin.outs, strict=True):
                alias[old.value] = new.value
            twin.note += f"{', also' if twin.note else 'also'} {c.outs[0]}"
            continue
        if pure:
            seen[key] = c
        for w in c.written():
            versions[w.value] = versions.get(w.value, 0) + 1
        result.append(c)
    return result, alias


def prune(calls: Sequence[Call], program: Program) -> list[Call]:
    """Without the calls whose results nobody reads."""
    used = {r.value for r in [*program.outputs, *(r for _, r in program.gradients)]}
    result = []
    for c in reversed(calls):
        if c.kernel.rule.writes or any(o.value in used for o in c.outs):
            used |= {r.value for r in c.reads()}
            result.append(c)
    return result[::-1]


def gather_updates(calls: list[Call], table: Table) -> list[Call]:
    """Return an optimiser's updates of neighbouring parameters become one pass: `adam_step`, ... -> `adam_flat`.

    The gradients are then written where that pass reads them, side by side in one value.
    """
    groups: dict[tuple[object, ...], list[Call]] = {}
    moved_once: set[Value] = set()  # a gradient can lie in one place only: who else reads it updates by itself
    for c in calls:
        if c.dispatcher.name.endswith("_step") and has_flat(c, table):
            key, gradient = group_key(c), parts(c)[1].value
            if key is not None and gradient not in moved_once:
                groups.setdefault(key, []).append(c)
                moved_once.add(gradient)
    for group in groups.values():
        if len(group) > 1:
            last = max(i for i, c in enumerate(calls) if c in group)
            calls = [*calls[:last], flat_call(group, table, last), *calls[last + 1 :]]
            calls = [c for c in calls if c not in group]
    return calls


def has_flat(c: Call, table: Table) -> bool:
    """Whether the optimiser has a kernel over one flat buffer; the reference reads the spans, for which a GPU waits."""
    try:
        flat = getattr(table, flat_name(c))
    except AttributeError:
        return False
    return table.device == "cpu" or not (flat.kernels[0].reference or c.plan.fallback)


def flat_name(c: Call) -> str:
    """Return the kernel that makes the same update over one flat buffer."""
    return c.dispatcher.name.removesuffix("_step") + "_flat"


def parts(c: Call) -> tuple[list[Ref], Ref, Ref, list[object]]:
    """Return (what is updated, gradient, its row of rates, options) of an update."""
    args = dict(named(c.kernel, c.args))
    updated, options = c.written(), [a for n, a in args.items() if not isinstance(a, Ref)]
    return updated, args["g"], args["rates"], options


def group_key(c: Call) -> tuple[object, ...] | None:
    """Return what updates must share to be done in one pass; None for one that must stand alone."""
    updated, g, rates, options = parts(c)
    own = g.value.external is None and g.value.home is g.value and g.whole and g.ndim == 1
    same_place = len({u.offset for u in updated}) == 1 and all(u.value.external is not None for u in updated)
    if not (own and same_place and rates.ndim == 1 and g.size == updated[0].size):
        return None
    return c.kernel, *(u.value for u in updated), rates.value, rates.shape, *options


def flat_call(group: list[Call], table: Table, index: int) -> Call:
    """One call for a group: whole buffers, whole rates, and where each parameter lies: rows of (rate, first, last)."""
    updated, first, rates, options = parts(group[0])
    item = first.dtype.itemsize
    gradient = Value(max(u.offset + u.nbytes for c in group for u in parts(c)[0]), "gradients")
    spans, read = [], []
    for c in group:
        at, g, row, _ = parts(c)
        read.append(Ref(gradient, at[0].offset, g.shape, g.strides, g.dtype))
        g.value.home, g.value.start = gradient, at[0].offset
        gradient.pinned |= g.value.pinned
        spans.append((row.offset // row.nbytes, at[0].offset // item, (at[0].offset + g.nbytes) // item))
    size, width = gradient.nbytes // item, rates.shape[0]
    rows = max(row for row, *_ in spans) + 1
    ends = table.xp.asarray(np.array(sorted(spans, key=lambda s: s[1]), np.int64))
    args = [Ref(u.value, 0, (size,), (item,), u.dtype) for u in updated]
    args += [
        Ref(gradient, 0, (size,), (item,), first.dtype),
        Ref(rates.value, 0, (rows, width), (width * item, item), rates.dtype),
        Ref(external(ends), 0, ends.shape, ends.strides, ends.dtype),
    ]
    dispatcher = getattr(table, flat_name(group[0]))
    plan = dispatcher.plan_for([a.phantom() for a in args] + options)
    call = Call(dispatcher, plan, [*args, *options], [], index, f"{len(group)} updates in one pass", group[0].line)
    call.windows[args[len(updated)]] = read
    return call


def external(a: np.ndarray) -> Value:
    """Return a constant of the program."""
    return Value(size(root(a)), "spans", root(a))
