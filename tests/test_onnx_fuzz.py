"""Mutated models: whatever a file holds, the answer is a module that runs or an error of the package, soon."""

import contextlib
import signal
from functools import cache

import numpy as np
import pytest
from test_onnx_nodes import array, cases, listed

import tinymed
import tinymed.onnx
from tinymed.errors import UserError
from tinymed.onnx import table

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install '.[test]'")

SECONDS = 15  # for one mutant; most take milliseconds
EXTREMES = (0, 1, -1, 2, -2, 7, 255, 1 << 20, 1 << 31, 1 << 40, 1 << 62, -(1 << 31), -(1 << 62), (1 << 63) - 1)
FLOATS = (0.0, -1.0, 1e-30, 1e30, float("inf"), float("nan"), 1e9)


class HangError(BaseException):
    """A mutant that took longer than it may; no error that a node could take for one of its own."""


@cache
def originals():
    """(name, model, inputs) of one listed case an operator, and of all that hold bodies or several nodes."""
    found, seen = [], set()
    for group, names in listed().items():
        for name, reason in names.items():
            case = cases()[name]
            operators = tuple(sorted({n.op_type for n in case.model.graph.node}))
            small = sum(np.asarray(array(i)).size for i in case.data_sets[0][0] if not isinstance(i, list)) < 5000
            if not reason and small and (operators not in seen or group in ("control flow", "recurrent")):
                seen.add(operators)
                found.append((name, case.model, [array(i) for i in case.data_sets[0][0]]))
    return found


def mutant(seed):
    """(name, bytes, inputs) of one mutated model: its fields changed, or its bytes."""
    rng = np.random.default_rng(seed)
    name, original, inputs = originals()[rng.integers(len(originals()))]
    model, inputs = onnx.ModelProto(), list(inputs)
    model.CopyFrom(original)
    if rng.random() < 0.85:
        fold(rng, model, inputs)
        for _ in range(rng.integers(1, 3)):
            change(rng, model)
        return name, model.SerializeToString(), inputs
    content = bytearray(model.SerializeToString())
    for _ in range(rng.integers(1, 6)):
        at = int(rng.integers(len(content)))
        kind = rng.integers(4)
        if kind == 0:
            content[at] = int(rng.integers(256))
        elif kind == 1:
            content[at] ^= 1 << int(rng.integers(8))
        elif kind == 2:
            del content[at : at + int(rng.integers(1, 9))]
        else:
            content[at:at] = content[max(0, at - int(rng.integers(1, 30))) : at]
    return name, bytes(content), inputs


def fold(rng, model, inputs):
    """Sometimes turn an input into an initialiser, so that its values are the file's to change."""
    for declared, value in zip(list(model.graph.input), list(inputs), strict=False):
        if isinstance(value, np.ndarray) and rng.random() < 0.6 and value.dtype.kind in "fiub":
            model.graph.initializer.append(onnx.numpy_helper.from_array(value, declared.name))
            model.graph.input.remove(declared)
            inputs[:] = [v for v in inputs if v is not value]


def graphs(graph):
    """A graph and all bodies in it."""
    yield graph
    for n in graph.node:
        for a in n.attribute:
            if a.HasField("g"):
                yield from graphs(a.g)


WEIGHTED = (0, 0, 0, 0, 3, 3, 4, 5, 6, 7, *[8] * 9)  # the kinds of change: most are of attributes and of values


def change(rng, model):
    """Change one thing in a model."""
    every = list(graphs(model.graph))
    graph = every[rng.integers(len(every))]
    nodes = list(graph.node)
    node = nodes[rng.integers(len(nodes))] if nodes else None
    values = [*graph.input, *graph.output]
    tensors = [*graph.initializer, *(a.t for n in nodes for a in n.attribute if a.HasField("t"))]
    kind = WEIGHTED[rng.integers(len(WEIGHTED))]
    if kind == 0 and node is not None and node.attribute:
        change_attribute(rng, node.attribute[rng.integers(len(node.attribute))])
    elif kind == 3 and node is not None and node.input:
        names = ["", "nothing", *(v.name for v in graph.input), *(o for n in nodes for o in n.output)]
        node.input[rng.integers(len(node.input))] = names[rng.integers(len(names))]
    elif kind == 4 and node is not None:
        node.op_type = sorted(table.TABLE)[rng.integers(len(table.TABLE))]
    elif kind == 5 and values:
        change_type(rng, values[rng.integers(len(values))])
    elif kind == 6:
        model.opset_import[0].version = int(rng.integers(0, 30))
    elif kind == 7 and node is not None:
        made = onnx.helper.make_attribute(
            ("axis", "k", "dtype", "pads", "mode", "to")[rng.integers(6)], int(rng.integers(-3, 30))
        )
        node.attribute.append(made)
    elif tensors:
        change_tensor(rng, tensors[rng.integers(len(tensors))])


def change_attribute(rng, a):
    """An extreme number, a word, another type, or nothing."""
    kind = rng.integers(12)
    if a.ints and kind:
        a.ints[rng.integers(len(a.ints))] = EXTREMES[rng.integers(len(EXTREMES))]
    elif a.floats and kind:
        a.floats[rng.integers(len(a.floats))] = FLOATS[rng.integers(len(FLOATS))]
    elif a.HasField("f") and kind:
        a.f = FLOATS[rng.integers(len(FLOATS))]
    elif a.HasField("s") and kind:
        a.s = (b"", b"\xff\xfe", b"linear", b"add", b"bij,bjk->" * 9)[rng.integers(5)]
    elif a.HasField("i") and kind:
        a.i = EXTREMES[rng.integers(len(EXTREMES))]
    elif kind == 0:
        a.type = int(rng.integers(0, 15))


def change_type(rng, v):
    """Another element type, length or rank of a declared value."""
    shape = v.type.tensor_type.shape.dim
    kind = rng.integers(3)
    if kind == 0:
        v.type.tensor_type.elem_type = int(rng.integers(0, 27))
    elif kind == 1 and shape:
        shape[rng.integers(len(shape))].dim_value = EXTREMES[rng.integers(len(EXTREMES))]
    elif shape:
        del shape[-1]


def change_tensor(rng, t):
    """Extreme values, another shape, another type, or a file beside."""
    kind = rng.integers(12)
    if kind <= 8:
        width = {1: "<f4", 6: "<i4", 7: "<i8"}.get(t.data_type)
        if width and t.raw_data and len(t.raw_data) % int(width[-1]) == 0:
            held = np.frombuffer(t.raw_data, width).copy()
            pool = [e for e in (FLOATS if t.data_type == 1 else EXTREMES) if t.data_type != 6 or abs(e) < 1 << 31]
            held[rng.integers(held.size)] = pool[rng.integers(len(pool))]
            t.raw_data = held.tobytes()
    elif kind == 9 and t.dims:
        t.dims[rng.integers(len(t.dims))] = EXTREMES[rng.integers(len(EXTREMES))]
    elif kind == 10:
        t.data_type = int(rng.integers(0, 27))
    else:
        t.data_location = 1
        t.external_data.add(key="location", value=("x", "../x", "/dev/zero")[rng.integers(3)])


@contextlib.contextmanager
def soon():
    """Raise HangError after some seconds, where the platform has alarms."""

    def stop(*_):
        raise HangError

    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def outcome(seed, path):
    """ "ran", "refused" (by an error of the package) or what went wrong."""
    name, content, inputs = mutant(seed)
    try:
        with soon(), np.errstate(all="ignore"), tinymed.no_grad():
            try:
                path.write_bytes(content)
                tinymed.onnx.load(path)(*inputs)
            except UserError as error:
                text = str(error)
                clear = text and "\n" not in text and "cannot take them" not in text  # what a node says of a surprise
                return "refused" if clear else f"{name} (seed {seed}): says {text!r}"
            return "ran"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"{name} (seed {seed}): {type(error).__name__}: {error}"


def tried(seeds, monkeypatch, tmp_path):
    """How many mutants ran and were refused; every other outcome fails."""
    monkeypatch.setattr(table, "MOST_ELEMENTS", 1 << 20)  # the limit itself is tested elsewhere: no need for gigabytes
    monkeypatch.setattr("tinymed.onnx.block.MOST_TRIPS", 300)
    monkeypatch.setattr("tinymed.onnx.control.MOST_TRIPS", 300)
    with tinymed.use_backend("numpy"):
        found = [outcome(seed, tmp_path / "model.onnx") for seed in seeds]
    wrong = [f for f in found if f not in ("ran", "refused")]
    assert wrong == []
    return found.count("ran"), found.count("refused")


def test_some_mutants(monkeypatch, tmp_path):
    ran, refused = tried(range(300), monkeypatch, tmp_path)
    assert min(ran, refused) > 40, "mutations are too mild or too strong to tell anything"


@pytest.mark.full
def test_many_mutants(monkeypatch, tmp_path):
    tried(range(300, 2300), monkeypatch, tmp_path)
