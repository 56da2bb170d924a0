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
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

from ..dispatch import BackendError, Table
from .call_list import CallList, values
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
    """Calls of some kernels by the kernel's name, and by the windows they touch."""

    def __init__(self, calls: Sequence[Call], kernels: Collection[str]):
        self.by_name: dict[str, list[Call]] = {}
        self.by_ref: dict[tuple[str, Ref], list[Call]] = {}
        for c in calls:
            if c.dispatcher.name not in kernels:
                continue
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


def rewrite(calls: CallList, p: Pattern, table: Table) -> None:
    """Apply a pattern wherever it occurs and may be applied."""
    kernels = {line.kernel for line in p.left}
    index = Index(calls.calls, kernels)
    if index.by_name.keys() < kernels:
        return
    gone: set[Call] = set()
    for env, found in matches(p.left, index, {}):
        if gone.isdisjoint(found) and (p.when is None or p.when(env)) and replace(calls, p, env, found, table):
            gone |= {c for c, line in zip(found, p.left, strict=True) if line in p.removed}


def replace(calls: CallList, p: Pattern, env: Env, found: Sequence[Call], table: Table) -> bool:
    """Rewrite one occurrence; return whether that was done: not where it would change what the program computes."""
    removed = {c for c, line in zip(found, p.left, strict=True) if line in p.removed}
    made = {o for line in p.added for o in line.outs}
    hidden = {env[o].value for line in p.removed for o in line.outs if o not in made}
    if any(value.pinned or not removed.issuperset(calls.readers.get(value, ())) for value in hidden):
        return False  # an array that would no longer exist is needed
    old = sorted(removed, key=calls.places.__getitem__)
    new = build(p, env, calls.index(old[0]), table)
    if new is None:
        return False
    for done, c in enumerate(new):
        at = position(c, calls, old)
        if at is None:
            for inserted in new[:done]:
                calls.remove(inserted)
            return False
        c.note = join(p.note, *(o.note for o in old))
        c.line = old[0].line
        calls.insert(at, c)
    for c in old:
        calls.remove(c)
    return True


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


def position(new: Call, calls: CallList, old: Sequence[Call]) -> int | None:
    """Return where a new call can stand for old ones: after what it reads, before what reads it.

    It stands as early as it can, not before the first of the calls that it replaces.
    """
    at = calls.index(old[0])
    for value in values(new.reads()):
        at = max([at, *(calls.index(c) + 1 for c in calls.makers.get(value, ()) if c not in old)])
    for value in values(new.outs):
        if any(calls.index(c) < at for c in calls.readers.get(value, ()) if c not in old):
            return None  # a result is read before its inputs exist
    return None if disturbed(new, calls.gap(at), calls, old) else at


def disturbed(new: Call, place: float, calls: CallList, old: Sequence[Call]) -> bool:
    """Return whether a call between the new place and the old ones writes what the new call touches, or the reverse."""
    written = values(new.written())
    for value in values(new.reads()):
        stood = [calls.places[o] for o in old if value in values(o.reads())]
        if stood:
            low, high = min(*stood, place), max(*stood, place)
            near = [*calls.changers.get(value, ()), *(calls.readers.get(value, ()) if value in written else ())]
            if any(c not in old and low < calls.places[c] < high for c in near):
                return True
    return False
