"""Rewriting by patterns written in the notation in which programs are printed.

    pattern("relu + pool", '''
        y = relu_forward(x)
        p, i = max_pool_2x2(y, size)
    ''', "p, i = relu_max_pool_2x2(x, size)", backend="numba")

The left side is what the right side computes: its definition and its test.  Names stand for arrays or numbers, the
same name for the same; literals must be equal.  Lines may lie anywhere in the program, in any order that data flow
allows.  An array of the left side that the right side does not make must not be used anywhere else.
"""

import ast
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from ..dispatch import BackendError, Table
from .program import Call
from .values import Ref, fresh

Env = dict[str, Any]


class Line(NamedTuple):
    """y, i = kernel(a, 2) as (("y", "i"), "kernel", (Name("a"), 2))."""

    outs: tuple[str, ...]
    kernel: str
    args: tuple[Any, ...]


class Name(str):
    """A variable of a pattern, not the text itself."""

    __slots__ = ()


class Pattern(NamedTuple):
    """note: what the printed program says.  samples: draws the variables that the left side does not make.

    predicting: whether it is for programs that learn nothing only.
    """

    note: str
    left: tuple[Line, ...]
    right: tuple[Line, ...]
    backend: str
    when: Callable[[Env], bool] | None
    samples: Callable[[Any], Env] | None
    predicting: bool = False

    @property
    def removed(self) -> list[Line]:
        return [line for line in self.left if line not in self.right]

    @property
    def added(self) -> list[Line]:
        return [line for line in self.right if line not in self.left]

    @property
    def inputs(self) -> list[str]:
        """Variables that the left side takes."""
        made = {o for line in self.left for o in line.outs}
        return list(dict.fromkeys(a for line in self.left for a in line.args if isinstance(a, Name) and a not in made))


PATTERNS: list[Pattern] = []  # in the order in which they are tried


def define(
    note: str,
    left: str,
    right: str,
    *,
    backend: str = "",
    when: Callable[[Env], bool] | None = None,
    samples: Callable[[Any], Env] | None = None,
    predicting: bool = False,
) -> Pattern:
    """Return a rewrite, which takes effect once it is declared; see the module's docstring.

    backend: whose kernels the right side names; "" where it is true on every backend.  when: variables -> whether to
    rewrite.  samples: draw -> the left side's inputs, for the tests.  predicting: rewrite only programs that learn
    nothing, where what depends on weights alone is computed once.
    """
    return Pattern(note, parse(left), parse(right), backend, when, samples, predicting)


def declare(*patterns: Pattern) -> None:
    """Try these patterns from now on, in this order and after those declared before."""
    PATTERNS.extend(patterns)


def pattern(note: str, left: str, right: str, **how: Any) -> Pattern:
    """Define a rewrite and declare it."""
    defined = define(note, left, right, **how)
    declare(defined)
    return defined


def parse(text: str) -> tuple[Line, ...]:
    """Return the lines of one side of a pattern."""
    lines = []
    for s in ast.parse("\n".join(line.strip() for line in text.strip().splitlines())).body:
        if isinstance(s, ast.Assign):
            target = s.targets[0]
            elements = target.elts if isinstance(target, ast.Tuple) else [target]
            outs, call = tuple(e.id for e in elements if isinstance(e, ast.Name)), s.value
        elif isinstance(s, ast.Expr):  # a kernel that only updates in place
            outs, call = (), s.value
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError(f"a line of a pattern is 'outputs = kernel(arguments)', got {ast.unparse(s)!r}")
        args = tuple(Name(a.id) if isinstance(a, ast.Name) else ast.literal_eval(a) for a in call.args)
        lines.append(Line(outs, call.func.id, args))
    return tuple(lines)


class Index:
    """Calls by kernel name, and by the windows they touch."""

    def __init__(self, calls: Sequence[Call]):
        self.by_name: dict[str, list[Call]] = {}
        self.by_ref: dict[tuple[str, Ref], list[Call]] = {}
        for c in calls:
            self.by_name.setdefault(c.dispatcher.name, []).append(c)
            for r in {*c.reads(), *c.outs}:
                self.by_ref.setdefault((c.dispatcher.name, r), []).append(c)

    def candidates(self, line: Line, env: Env) -> list[Call]:
        """Return calls that may match a line: those that touch an array already known, else all of that name."""
        for name in (*line.outs, *line.args):
            known = env.get(name) if isinstance(name, str) else None
            if isinstance(known, Ref):
                return self.by_ref.get((line.kernel, known), [])
        return self.by_name.get(line.kernel, [])


def matches(lines: Sequence[Line], index: Index, env: Env, found: tuple[Call, ...] = ()) -> Iterator[tuple[Env, Any]]:
    """(variables, calls) of every way in which the lines occur in a program."""
    if not lines:
        yield env, found
        return
    for c in index.candidates(lines[0], env):
        if c not in found:
            extended = unify(env, lines[0], c)
            if extended is not None:
                yield from matches(lines[1:], index, extended, (*found, c))


def unify(env: Env, line: Line, call: Call) -> Env | None:
    """Return the variables after a line was laid on a call, or None if it does not fit."""
    if len(line.outs) != len(call.outs) or len(line.args) != len(call.args):
        return None
    env = dict(env)
    for name, actual in zip((*map(Name, line.outs), *line.args), (*call.outs, *call.args), strict=True):
        if not isinstance(name, Name):
            if isinstance(actual, Ref) or type(name) is not type(actual) or name != actual:
                return None
        elif env.setdefault(name, actual) != actual:
            return None
    return env


def rewrite(calls: list[Call], p: Pattern, table: Table) -> list[Call]:
    """Apply a pattern wherever it occurs and may be applied."""
    names = {c.dispatcher.name for c in calls}
    if any(line.kernel not in names for line in p.left):
        return calls
    gone: set[int] = set()
    for env, found in matches(p.left, Index(calls), {}):
        if not any(id(c) in gone for c in found) and (p.when is None or p.when(env)):
            new = replace(calls, p, env, found, table)
            if new is not None:
                gone |= {id(c) for c, line in zip(found, p.left, strict=True) if line in p.removed}
                calls = new
    return calls


def replace(calls: list[Call], p: Pattern, env: Env, found: Sequence[Call], table: Table) -> list[Call] | None:
    """Return the program with one occurrence rewritten, or None where that would change what it computes."""
    removed = {id(c) for c, line in zip(found, p.left, strict=True) if line in p.removed}
    made = {o for line in p.added for o in line.outs}
    hidden = {id(env[o].value) for line in p.removed for o in line.outs if o not in made}
    rest = [c for c in calls if id(c) not in removed]
    if any(env[o].value.pinned for line in p.removed for o in line.outs if o not in made) or any(
        id(r.value) in hidden for c in rest for r in c.reads()
    ):
        return None  # an array that would no longer exist is needed
    old = [c for c in calls if id(c) in removed]
    new = build(p, env, min(i for i, c in enumerate(calls) if id(c) in removed), table)
    if new is None:
        return None
    places = {id(c): float(i) for i, c in enumerate(calls)}
    for c in new:
        at = position(c, rest, old, places)
        if at is None:
            return None
        c.note = join(p.note, *(o.note for o in old))
        c.line = old[0].line
        rest = [*rest[:at], c, *rest[at:]]
    return rest


def join(*notes: str) -> str:
    """Return notes of calls that became one."""
    return "; ".join(dict.fromkeys(n for n in notes if n))


def build(p: Pattern, env: Env, index: int, table: Table) -> list[Call] | None:
    """Return the calls of the right side; None if the backend's fused kernel cannot take these arrays."""
    env, calls = dict(env), []
    for line in p.added:
        dispatcher = getattr(table, line.kernel)
        args = [env[a] if isinstance(a, Name) else a for a in line.args]
        try:
            plan = dispatcher.plan_for([a.phantom() if isinstance(a, Ref) else a for a in args])
        except BackendError:
            return None  # of another dtype than the fused kernel's
        if plan.relayouts or (p.backend and plan.kernel.backend != p.backend):
            return None
        if plan.kernel.compiled_kind:
            specs = plan.outs
        else:
            specs = [(shape, dtype, None) for shape, dtype in plan.kernel.specs(args)]
        for name, (shape, dtype, order) in zip(line.outs, specs, strict=True):
            if name not in env:
                env[name] = fresh(shape, dtype, order, f"{name}_{index}")
            elif env[name].shape != tuple(shape) or env[name].dtype != dtype:
                return None
        calls.append(Call(dispatcher, plan, args, [env[o] for o in line.outs], index))
    return calls


def position(new: Call, rest: list[Call], old: list[Call], places: dict[int, float]) -> int | None:
    """Return where among the other calls a new one can stand: after what it reads, before what reads it.

    It stands as early as it can, not before the first of the calls that it replaces.  places: where calls stood, by
    their id; that of the new one is added.
    """
    first = min(places[id(c)] for c in old)
    needs, makes = {id(r.value) for r in new.reads()}, {id(r.value) for r in new.outs}
    at = sum(places[id(c)] < first for c in rest)
    for i, c in enumerate(rest):
        if any(id(o.value) in needs for o in c.outs):
            at = max(at, i + 1)
    if any(id(r.value) in makes for c in rest[:at] for r in c.reads()):
        return None  # a result is read before its inputs exist
    before = places[id(rest[at - 1])] if at else -1.0
    places[id(new)] = (before + (places[id(rest[at])] if at < len(rest) else before + 1)) / 2
    return None if any(disturbs(c, new, old, places) for c in rest) else at


def disturbs(c: Call, new: Call, old: list[Call], places: dict[int, float]) -> bool:
    """Return whether a call between the new place and the old ones writes what the new call touches, or the reverse."""
    written, reads, changes = ({id(r.value) for r in refs} for refs in (new.written(), c.reads(), c.written()))
    for value in {id(r.value) for r in new.reads()}:
        if value in changes or (value in written and value in reads):
            stood = [places[id(o)] for o in old if any(id(r.value) == value for r in o.reads())]
            if stood and min(*stood, places[id(new)]) < places[id(c)] < max(*stood, places[id(new)]):
                return True
    return False
