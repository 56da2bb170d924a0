"""What a recorded program depends on beside its inputs: Python values that decided which calls the step makes.

A replay runs no Python, so every value that Python read while recording is frozen into the program: a factor on the
loss, a switch of the optimizer, a layer's stride, a hook.  `Watch` remembers them, and a replay is valid only while all
are as they were; then the step is recorded again.  Watched are

    modules      called by the step: their attributes, children, parameters, buffers, hooks and mode
    optimizers   stepped by it: parameters and options; of numbers that kernels read from an array, whether they are 0
    leaves       tensors that no op made: their array, requires_grad and hooks
    names        what the code of the step reads from outside: variables of enclosing functions, globals, attributes of
                 objects along chains such as `self.config.factor`, items such as `options["clip"]`, default arguments;
                 of the functions of the user's that it calls too

Watching is by identity first: comparing what nobody touched costs a microsecond a module.
"""

import dis
import types
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

from ..tape import Node

SIMPLE = (bool, int, float, complex, str, bytes, type(None))
CONTAINERS = (list, tuple, dict, set, frozenset)
MANY = 10_000  # entries of one container, from which on comparing it at every call would cost more than it is worth
HOLDERS = ("_parameters", "_buffers", "_modules", "_pre_hooks", "_hooks")
ABSENT = object()


def same(a: Any, b: Any) -> bool:
    """Return whether two values are one object, or equal simple values, or containers of such."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, Attributes):
        return a.owner is b.owner and same(a.items, b.items)
    if isinstance(a, SIMPLE):
        return bool(a == b or (a != a and b != b))
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return False


def frozen(value: Any) -> Any:
    """Return a value as it is compared later: containers as tuples of what they hold now, all else itself."""
    if isinstance(value, dict):
        return tuple((k, frozen(v)) for k, v in value.items())
    if isinstance(value, list | tuple):
        return tuple(map(frozen, value))
    if isinstance(value, set | frozenset):
        return tuple(sorted(value, key=repr))
    if isinstance(value, types.MethodType):  # made anew whenever it is asked for
        return value.__func__, value.__self__
    return value


class Attributes:
    """An object that code hands on, and its attributes, any of which may be read there."""

    def __init__(self, owner: Any):
        self.owner, self.items = owner, frozen(vars(owner))


class Watched:
    """One thing that is watched: what it is called, how it is read now, and what it was."""

    def __init__(self, label: str, read: Callable[[], Any]):
        self.label, self.read = label, read
        self.value = read()

    def changed(self) -> bool:
        """Return whether it is no longer what it was."""
        return not same(self.read(), self.value)

    def describe(self) -> str:
        """Return the change in words: for messages."""
        now = self.read()
        if isinstance(now, Attributes) and isinstance(self.value, Attributes) and now.owner is self.value.owner:
            before, after = dict(self.value.items), dict(now.items)
            names = [n for n in {**before, **after} if not same(before.get(n, ABSENT), after.get(n, ABSENT))]
            return "; ".join(f"{self.label}.{n} was {shown(before.get(n))} and is {shown(after.get(n))}" for n in names)
        return f"{self.label} was {shown(self.value)} and is {shown(now)}"


def shown(value: Any) -> str:
    """Return a simple value as it is, anything else by its type."""
    return repr(value) if isinstance(value, SIMPLE) else f"another {type(value).__name__}"


class WatchedModule:
    """A module's attributes, children, parameters, buffers, hooks and mode."""

    def __init__(self, label: str, module: Any):
        self.label, self.module = label, module
        self.remember()

    def remember(self) -> None:
        """Take the module as it is now for what it was."""
        own = self.module.__dict__
        self.value = self.state()
        self.places = [own, *(v for v in own.values() if isinstance(v, dict))]
        self.held = list(chain.from_iterable(map(dict.values, self.places)))
        # what else can change without becoming another object:
        containers = {n: v for n, v in own.items() if type(v) in (list, set) and n not in SKIPPED}
        self.copies = [(value, value.copy()) for value in containers.values()]
        self.nested = any(isinstance(entry, CONTAINERS) for value in containers.values() for entry in value)

    def untouched(self) -> bool:
        """Return whether the module holds what it held: objects are compared by identity first, half a microsecond."""
        if self.nested:
            return False
        try:
            return (
                all(value == copy for value, copy in self.copies)
                and list(chain.from_iterable(map(dict.values, self.places))) == self.held
            )
        except (ValueError, RuntimeError):  # arrays are compared, which are not the same then
            return False

    def state(self) -> dict[str, Any]:
        """Return what is compared where an object has changed its identity."""
        own = self.module.__dict__
        left_out = {*HOLDERS, "_paths", *self.module._unwatched}
        state = {name: frozen(value) for name, value in own.items() if name not in left_out}
        return state | {name: frozen(own[name]) for name in HOLDERS if name in own}

    def changed(self) -> bool:
        """Return whether the module differs from what it was; an equal value in a new object is no difference."""
        if self.untouched():
            return False
        if not self.differing():
            self.remember()
            return False
        return True

    def differing(self) -> list[str]:
        """Return the names of the attributes that differ."""
        now = self.state()
        names = dict.fromkeys([*self.value, *now])
        return [n for n in names if not same(self.value.get(n, ABSENT), now.get(n, ABSENT))]

    def describe(self) -> str:
        """Return the change in words: for messages."""
        names = {"_hooks": "forward hooks", "_pre_hooks": "forward pre-hooks", "_modules": "children"}
        return f"{self.label}: {', '.join(names.get(n, n.lstrip('_')) for n in self.differing())} changed"


SKIPPED = {*HOLDERS, "_paths", "_transient"}


class WatchedOptimizer:
    """An optimizer's parameters and options.

    Numbers that it mirrors in an array (`ParamGroup.hyper`) are read by kernels at every step and may change; whether
    they are 0 decides which kernels are called.
    """

    def __init__(self, optimizer: Any):
        self.optimizer = optimizer
        self.value = self.state()

    def state(self) -> list[tuple[str, Any]]:
        """Return (name, value) of every option that decides what a step does."""
        found: list[tuple[str, Any]] = [("the number of groups", len(self.optimizer.param_groups))]
        for group in self.optimizer.param_groups:
            followed = {*group.layout, "betas"} if "beta1" in group.layout else {*group.layout}
            for name, value in group.items():
                found.append((name, bool(value) if name in followed else frozen(value)))
        return found

    def changed(self) -> bool:
        """Return whether a step would make other calls."""
        now = self.state()
        return len(now) != len(self.value) or not all(
            a == b and same(x, y) for (a, x), (b, y) in zip(now, self.value, strict=True)
        )

    def describe(self) -> str:
        """Return the change in words: for messages."""
        before, now = dict(self.value), dict(self.state())
        names = [n for n in dict.fromkeys([*before, *now]) if not same(before.get(n, ABSENT), now.get(n, ABSENT))]
        return f"{type(self.optimizer).__name__}: {', '.join(names)} changed"


class WatchedLeaf:
    """A tensor that no op made: where its array lies, whether it learns, its hooks."""

    def __init__(self, label: str, leaf: Node, array: Any):
        self.label, self.leaf, self.array = label, leaf, array
        self.requires_grad, self.hooks = leaf.requires_grad, frozen(leaf.hooks)

    def same_array(self) -> bool:
        """Return whether the tensor's values still lie where they were recorded."""
        return self.leaf.array is self.array

    def changed(self) -> bool:
        """Return whether a replay would read or leave other memory than the step, or other gradients."""
        leaf = self.leaf
        return (
            leaf.array is not self.array
            or leaf.requires_grad != self.requires_grad
            or (leaf.hooks is not None and not same(frozen(leaf.hooks), self.hooks))
        )

    def describe(self) -> str:
        """Return the change in words: for messages."""
        if self.leaf.array is not self.array:
            return f"{self.label} lies in other memory"
        if self.leaf.requires_grad != self.requires_grad:
            return f"requires_grad of {self.label} is {self.leaf.requires_grad}"
        return f"hooks of {self.label} changed"


# ------------------------------------------------------------------------------- what code reads from outside


def outside(step: Callable[..., Any], ours: Callable[[types.CodeType], bool]) -> list[Watched]:
    """Return what the code of a step, and of the user's functions that it calls, reads from outside itself.

    Args:
        step: a function, bound method, partial or callable object.
        ours: whether code belongs to the package, whose state is watched otherwise.
    """
    found: dict[tuple[Any, ...], Watched] = {}
    seen: set[int] = set()
    waiting: list[tuple[Any, str]] = [(step, "the step")]
    while waiting:
        thing, label = waiting.pop()
        for name, default in defaults_of(thing) if is_watched(thing, ours) else ():
            found.setdefault((id(thing), name), Watched(f"{name} of {label}", default))
        for code, root in functions_of(thing):
            if id(code) in seen or ours(code):
                continue
            seen.add(id(code))
            for read in reads_of(code, root):
                if is_watched(read.value, ours):
                    found.setdefault((id(code), read.label, read.last), Watched(read.label, read.now))
                if callable(read.value) and not isinstance(read.value, Node):
                    waiting.append((read.value, read.label))
    return list(found.values())


def is_watched(value: Any, ours: Callable[[types.CodeType], bool]) -> bool:
    """Return whether a value read from outside may change: not a module of Python's or a function of the package."""
    if value is ABSENT or isinstance(value, types.ModuleType | types.BuiltinFunctionType):
        return False
    code = getattr(getattr(value, "__func__", value), "__code__", None)
    return not (isinstance(code, types.CodeType) and ours(code))


Root = Callable[[str, str], Any]  # (instruction, name) -> the object that the instruction loads, or ABSENT


def functions_of(thing: Any) -> Iterator[tuple[types.CodeType, Root]]:
    """Yield (code, how its names are resolved) of what a call of a thing would run."""
    if isinstance(thing, types.MethodType):
        yield from functions_with(thing.__func__, thing.__self__)
    elif isinstance(thing, types.FunctionType):
        yield from functions_with(thing, ABSENT)
    elif hasattr(thing, "func") and hasattr(thing, "keywords"):  # functools.partial
        yield from functions_of(thing.func)
    elif isinstance(thing, type):
        if isinstance(made := thing.__dict__.get("__init__"), types.FunctionType):
            yield from functions_with(made, ABSENT)
    else:
        for name in ("__call__", "forward"):
            method = getattr(type(thing), name, None)
            if isinstance(method, types.FunctionType):
                yield from functions_with(method, thing)


def functions_with(fn: Any, owner: Any) -> Iterator[tuple[types.CodeType, Root]]:
    """Yield the code of a function and of those nested in it; owner: its first argument, where that is known."""
    if not isinstance(fn, types.FunctionType):
        return
    top = fn.__code__
    cells = dict(zip(top.co_freevars, fn.__closure__ or (), strict=True))
    first = top.co_varnames[0] if top.co_argcount and owner is not ABSENT else ""

    def root_in(code: types.CodeType) -> Root:
        def root(instruction: str, name: str) -> Any:
            if "GLOBAL" in instruction or "NAME" in instruction:
                return fn.__globals__.get(name, ABSENT)
            if name in cells:
                return contents(cells[name])
            own = code is top or name not in code.co_varnames  # a nested function sees the first argument as a cell
            return owner if name == first and own else ABSENT

        return root

    waiting = [top]
    while waiting:
        code = waiting.pop()
        yield code, root_in(code)
        waiting += [c for c in code.co_consts if isinstance(c, types.CodeType)]


def contents(cell: Any) -> Any:
    """Return what a cell of a closure holds; ABSENT while it is empty."""
    try:
        return cell.cell_contents
    except ValueError:
        return ABSENT


def defaults_of(thing: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield (name, how it is read) of a function's default arguments and of a partial's arguments."""
    fn = getattr(thing, "__func__", thing)
    if isinstance(fn, types.FunctionType):
        if fn.__defaults__:
            yield "default arguments", lambda: frozen(fn.__defaults__)
        if fn.__kwdefaults__:
            yield "default keyword arguments", lambda: frozen(fn.__kwdefaults__)
    elif hasattr(fn, "func") and hasattr(fn, "keywords"):
        yield "bound arguments", lambda: (frozen(fn.args), frozen(fn.keywords))


Link = tuple[str, Any]  # (".", attribute) or ("[", item)


class Read:
    """A chain name.attribute["item"] that code reads: its label, and the value at its end, now and whenever asked."""

    def __init__(self, root: Root, instruction: str, name: str, links: tuple[Link, ...], last: bool):
        self.root, self.instruction, self.name, self.links = root, instruction, name, links
        self.last = last  # nothing is taken of it: whoever gets the object may read any of its attributes
        self.label = name + "".join(f".{key}" if kind == "." else f"[{key!r}]" for kind, key in links)
        self.value = self.end()

    def end(self) -> Any:
        """Return the object at the end of the chain."""
        return follow(self.root(self.instruction, self.name), self.links)

    def now(self) -> Any:
        """Return what is compared: the object, and of one that is handed on, its attributes."""
        value = self.end()
        if isinstance(value, CONTAINERS):
            return frozen(value) if len(value) < MANY else value
        if self.last and is_plain(value):
            return Attributes(value)
        return frozen(value)


def is_plain(value: Any) -> bool:
    """Return whether an object is a bag of attributes, such as a configuration or a loss of the user's."""
    code = types.FunctionType | types.MethodType | types.ModuleType
    if not hasattr(value, "__dict__") or isinstance(value, Node | type | code):
        return False
    return not any(holder in vars(value) for holder in (*HOLDERS, "param_groups"))


def reads_of(code: types.CodeType, root: Root) -> Iterator[Read]:
    """Yield every chain, and every part of one from its beginning, that code reads from outside."""
    done: set[tuple[Any, ...]] = set()
    for instruction, name, links in chains(code):
        for length in range(len(links) + 1):
            key = instruction, name, links[:length], length == len(links)
            if key not in done:
                done.add(key)
                yield Read(root, *key)


LOADS = (
    "LOAD_CLASSDEREF",
    "LOAD_DEREF",
    "LOAD_FAST",
    "LOAD_FAST_BORROW",
    "LOAD_FAST_CHECK",
    "LOAD_FROM_DICT_OR_DEREF",
    "LOAD_GLOBAL",
    "LOAD_NAME",
)


def chains(code: types.CodeType) -> Iterator[tuple[str, str, tuple[Link, ...]]]:
    """Yield (instruction, name, links) of what code loads by name: attributes and constant items are its links."""
    instructions = list(dis.get_instructions(code))
    for at, i in enumerate(instructions):
        if i.opname not in LOADS or not isinstance(i.argval, str):
            continue
        links: list[Link] = []
        following = at + 1
        while following < len(instructions):
            j = instructions[following]
            if j.opname in ("LOAD_ATTR", "LOAD_METHOD"):
                links.append((".", j.argval))
                following += 1
            elif j.opname == "LOAD_CONST" and is_item(instructions, following + 1):
                links.append(("[", j.argval))
                following += 2
            else:
                break
        yield i.opname, i.argval, tuple(links)


def is_item(instructions: Sequence[dis.Instruction], at: int) -> bool:
    """Return whether an instruction takes the item that the constant before it names."""
    if at >= len(instructions):
        return False
    i = instructions[at]
    return i.opname == "BINARY_SUBSCR" or (i.opname == "BINARY_OP" and i.argrepr == "[]")


def follow(value: Any, links: Sequence[Link]) -> Any:
    """Return what lies at the end of a chain; ABSENT where the chain leaves what can be read without running code."""
    for kind, key in links:
        if value is ABSENT or isinstance(value, (Node, *SIMPLE)):
            return ABSENT
        value = attribute(value, key) if kind == "." else item(value, key)
    return value


def attribute(value: Any, name: str) -> Any:
    """Return an attribute of the instance, a module's registers, a slot or the class; of a property its function."""
    own = getattr(value, "__dict__", {})
    if name in own:
        return own[name]
    for holder in HOLDERS[:3]:
        if name in own.get(holder, ()):
            return own[holder][name]
    is_class = isinstance(value, type)
    for base in value.__mro__ if is_class else type(value).__mro__:
        if name not in base.__dict__:
            continue
        found = base.__dict__[name]
        if isinstance(found, types.MemberDescriptorType):
            return getattr(value, name, ABSENT)
        if isinstance(found, property) and found.fget is not None:
            found = found.fget
        if isinstance(found, types.FunctionType):
            return found if is_class else types.MethodType(found, value)
        return ABSENT if hasattr(found, "__get__") else found
    return ABSENT


def item(value: Any, key: Any) -> Any:
    """Return an item of a plain dictionary, list or tuple."""
    if type(value) not in (dict, list, tuple):
        return ABSENT
    try:
        return value[key]
    except (KeyError, IndexError, TypeError):
        return ABSENT
