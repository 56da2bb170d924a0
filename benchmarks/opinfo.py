"""Every operator of PyTorch's own test database (OpInfo) whose name tinymed has, on PyTorch's own samples.

    python benchmarks/opinfo.py [--backend numpy] [--dtype float64] [--samples sample,reference] [OP ...]

The database is that of the installed PyTorch (torch.testing._internal, which needs the package expecttest); nothing of
it is copied here.  Each sample's values, and its gradients under a random cotangent, are compared with PyTorch's by the
tolerances of torch.testing.assert_close, at precision `exact`.  A sample is equal, refused (a clear error of tinymed's
own), wrong, an internal error (an error that tinymed did not raise), or nearer: PyTorch's float32 lies farther from
PyTorch's own float64 than the tolerances, and ours does not; only for the operators that NEARER names, with the reason.
Samples that PyTorch itself refuses do not count.  Written to benchmarks/results/opinfo.json, one line a row.
"""

import argparse
import json
import linecache
import random
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import tinymed
from tinymed.nn import functional as F

PACKAGE = str(Path(tinymed.__file__).parent)
RESULTS = Path(__file__).parent / "results" / "opinfo.json"
OUTCOMES = ("equal", "nearer", "refused", "wrong", "internal")
DTYPES = {str(d)[6:]: d for d in (torch.float32, torch.float64, torch.int64, torch.int32, torch.uint8, torch.bool)}

# Operators whose results are drawn, or whatever memory held: shape and dtype are compared.
DRAWN = {
    *("bernoulli", "multinomial", "normal", "rand_like", "randint", "randint_like", "randn", "randn_like", "uniform"),
    *("empty", "empty_like", "new_empty", "nn.functional.dropout", "nn.functional.dropout2d"),
    *("nn.functional.dropout3d", "nn.functional.alpha_dropout", "nn.functional.feature_alpha_dropout"),
    "nn.functional.rrelu",
}
# Operators whose float32 misses PyTorch's own float64 by more than the tolerances in PyTorch itself, and why.
NEARER = {
    "nn.functional.ctc_loss": "sums of probabilities over 50 steps in float32: 8 times the tolerance",
    "nn.functional.interpolate": "places of source pixels in float32: up to 41 times the tolerance at 456 pixels",
    "pow": "a gradient summed over broadcast axes whose float32 terms cancel: 4 times the tolerance, ours 2",
}
CANCELLING = {"pow"}  # ours misses the tolerances too, and by less
# Names that mean something else here, or that PyTorch has for its own machinery.
OUTSIDE = {"to_sparse", "jiterator_unary", "conj", "resolve_conj", "resolve_neg"}
SPECIAL: dict[str, Callable[..., Any]] = {
    "__radd__": lambda input, other: other + input,
    "__rsub__": lambda input, other: other - input,
    "__rmul__": lambda input, other: other * input,
    "__rdiv__": lambda input, other: other / input,
    "__rmod__": lambda input, other: other % input,
    "__rpow__": lambda input, other: other**input,
    "__rand__": lambda input, other: other & input,
    "__ror__": lambda input, other: other | input,
    "__rxor__": lambda input, other: other ^ input,
    "__rmatmul__": lambda input, other: other @ input,
    "where": lambda input, condition, other: tinymed.where(condition, input, other),
    "__getitem__": lambda input, index: input[index],
    "einsum": lambda operands, equation: tinymed.einsum(equation, *operands),
    "nn.functional.embedding": lambda weight, indices, **options: F.embedding(indices, weight, **options),
    "zero_": lambda input: input.clone().zero_(),
}


class Verdict(NamedTuple):
    """What became of one sample, and why where it is not equal."""

    outcome: str
    reason: str = ""


def database() -> list[Any]:
    """PyTorch's OpInfo entries."""
    from torch.testing._internal.common_methods_invocations import op_db

    return list(op_db)


def counterpart(name: str) -> Callable[..., Any] | None:
    """Return the function of tinymed that has this name, as PyTorch's entry calls it; None if there is none."""
    if name in OUTSIDE:
        return None
    if name in SPECIAL:
        return SPECIAL[name]
    if name.startswith("nn.functional."):
        return vars(F).get(name[14:])
    if "." in name:
        return None
    if name != "unfold" and callable(vars(tinymed).get(name)) and not isinstance(vars(tinymed)[name], type):
        return vars(tinymed)[name]
    if callable(getattr(tinymed.Tensor, name, None)):
        return lambda input, *args, **kwargs: getattr(input, name)(*args, **kwargs)
    return None


# ------------------------------------------------------------------------------------------------ the two sides


def translated(value: Any, leaves: dict[int, Any]) -> Any:
    """Return an argument of PyTorch's as tinymed takes it.

    The tensors are also put into `leaves`, by the id of PyTorch's.
    """
    if isinstance(value, torch.Tensor):
        if id(value) not in leaves:
            leaves[id(value)] = tinymed.from_numpy(value.detach().clone().numpy()).requires_grad_(value.requires_grad)
        return leaves[id(value)]
    if isinstance(value, torch.dtype):
        return np.dtype(str(value)[6:])
    if isinstance(value, torch.device):
        return value.type
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, list | tuple):
        return type(value)(translated(v, leaves) for v in value)
    if isinstance(value, torch.nn.PairwiseDistance):  # of a triplet loss
        return tinymed.nn.PairwiseDistance(value.norm, value.eps, value.keepdim)
    if callable(value) and getattr(value, "__name__", "") in vars(F):
        return vars(F)[value.__name__]
    return value


def tensors(value: Any) -> list[Any]:
    """Return the tensors of a result, in order; other numbers as arrays."""
    if isinstance(value, list | tuple):
        return [t for v in value for t in tensors(v)]
    return [value]


def as_array(value: Any) -> np.ndarray:
    """Return a result of either side as an array."""
    if isinstance(value, torch.Tensor):
        return value.detach().numpy()
    return np.asarray(value.array if isinstance(value, tinymed.Tensor) else value)


def gradients(
    outputs: list[Any], leaves: list[Any], make: Callable[[np.ndarray], Any], wide: bool = False
) -> list[Any]:
    """Return the leaves' gradients under a seeded random cotangent of every output that requires one.

    wide: the cotangent is that of float32 outputs, exactly.
    """
    rng = np.random.default_rng(0)
    roots = [o for o in outputs if getattr(o, "requires_grad", False)]
    for root in roots:
        shape = tuple(root.shape)
        dtype = as_array(root).dtype
        cotangent = rng.normal(size=shape).astype(np.float32 if wide else dtype).astype(dtype)
        root.backward(make(cotangent), retain_graph=True)
    return [None if leaf.grad is None else as_array(leaf.grad) for leaf in leaves]


def own(value: Any, known: dict[int, Any], wide: bool = False) -> Any:
    """Return an argument of PyTorch's with leaves of this sample's own in place of its tensors, on the same memory.

    wide: float32 becomes float64.
    """
    if wide and value is torch.float32:
        return torch.float64
    if isinstance(value, torch.Tensor):
        if id(value) not in known:
            copy = value.detach().double() if wide and value.dtype == torch.float32 else value.detach()
            known[id(value)] = copy.requires_grad_(value.requires_grad)
        return known[id(value)]
    return type(value)(own(v, known, wide) for v in value) if type(value) in (list, tuple) else value


def torch_leaves(value: Any) -> list[Any]:
    """Return the tensors among PyTorch's arguments that require a gradient, each once."""
    if isinstance(value, torch.Tensor):
        return [value] if value.requires_grad else []
    found = [t for v in value for t in torch_leaves(v)] if isinstance(value, list | tuple) else []
    return list({id(t): t for t in found}.values())


def tolerances(op: Any, dtype: Any) -> dict[str, float]:
    """Return what PyTorch's entry allows for a dtype where it allows more than assert_close does by itself."""
    found = [
        d.d[dtype]
        for entry in op.decorators
        for d in (getattr(entry, "decorators", None) or [entry])
        if hasattr(d, "d") and dtype in d.d
    ]
    if not found:
        return {}
    usual = {torch.float32: 1.3e-6, torch.float64: 1e-7}.get(dtype, 0.0)
    pairs = [(t, usual) if isinstance(t, float) else (t.atol, t.rtol) for t in found]  # a number is an atol alone
    return {"atol": max(p[0] for p in pairs), "rtol": max(p[1] for p in pairs)}


def drawn(op: Any, sample: Any) -> bool:
    """Whether a sample's result is drawn: by its operator, or by a dropout of it that this sample asks for."""
    return op.name in DRAWN or sample.kwargs.get("dropout_p", 0.0) > 0


def reasons(ours: np.ndarray, theirs: np.ndarray, what: str, allowed: dict[str, float] | None = None) -> str:
    """Return how two arrays differ by PyTorch's tolerances, or nothing."""
    if tuple(ours.shape) != tuple(theirs.shape):
        return f"{what}: shape {list(ours.shape)}, PyTorch's {list(theirs.shape)}"
    if ours.dtype != theirs.dtype:
        return f"{what}: {ours.dtype}, PyTorch's {theirs.dtype}"
    try:
        pair = (torch.from_numpy(np.array(a)) for a in (ours, theirs))
        torch.testing.assert_close(*pair, equal_nan=True, **allowed or {})
    except AssertionError as error:
        return f"{what}: {' '.join(str(error).split())[:160]}"
    return ""


def theirs(op: Any, sample: Any, wide: bool = False) -> tuple[list[Any], list[Any], list[Any], list[Any]] | None:
    """Return PyTorch's side of a sample: its arguments, their leaves, results and gradients; None where it refuses.

    wide: float32 arguments become float64.
    """
    copies: dict[int, Any] = {}
    arguments = [own(a, copies, wide) for a in (sample.input, *sample.args, *sample.kwargs.values())]
    leaves, count = torch_leaves(arguments), 1 + len(sample.args)
    try:
        named = dict(zip(sample.kwargs, arguments[count:], strict=True))
        wanted = tensors(op.op(*arguments[:count], **named))
        slopes = gradients(wanted, leaves, torch.from_numpy, wide) if op.supports_autograd else []
    except Exception:  # PyTorch's samples may hold what it refuses
        return None
    if any(w is NotImplemented for w in wanted):
        return None
    if any(isinstance(w, torch.Tensor) and (w.is_complex() or w.layout != torch.strided) for w in wanted):
        return None
    return arguments, leaves, wanted, slopes


def judge(op: Any, function: Callable[..., Any], sample: Any) -> Verdict | None:
    """Return one sample on both sides; None where PyTorch refuses it."""
    side = theirs(op, sample)
    if side is None:
        return None
    arguments, theirs_leaves, wanted, slopes = side
    known: dict[int, Any] = {}
    try:
        input, *rest = (translated(a, known) for a in arguments)
    except TypeError:  # complex or bfloat16
        return None
    ours_leaves = [known[id(leaf)] for leaf in theirs_leaves]
    count = len(sample.args)
    args, named = rest[:count], dict(zip(sample.kwargs, rest[count:], strict=True))
    try:
        found = tensors(function(input, *args, **named))
        ours = gradients(found, ours_leaves, tinymed.tensor) if slopes else []
    except Exception as error:
        return refusal(error)
    first = wanted[0] if wanted else None  # a list of no tensors is a result too
    allowed = tolerances(op, first.dtype) if isinstance(first, torch.Tensor) else {}
    if len(found) != len(wanted):
        return Verdict("wrong", f"{len(found)} results, PyTorch's {len(wanted)}")
    pairs, by_chance = [], drawn(op, sample)
    for i, (a, b) in enumerate(zip(found, wanted, strict=True)):
        a, b = as_array(a), as_array(b)
        if by_chance:
            b = np.array(np.broadcast_to(a, b.shape)).astype(b.dtype) if a.shape == b.shape else b
        if isinstance(wanted[i], bool | int | float):
            a = a.astype(b.dtype)
        pairs.append((a, b, f"result {i}"))
    for i, (a, b) in enumerate(zip(ours, slopes, strict=True)):
        if by_chance or (a is None and b is None):
            pairs.append((np.zeros(0), np.zeros(0), ""))
            continue
        zero = np.zeros_like(b if a is None else a)
        pairs.append((zero if a is None else a, zero if b is None else b, f"gradient {i}"))
    return verdict(op, sample, theirs_leaves, pairs, len(found), allowed)


Pairs = list[tuple[np.ndarray, np.ndarray, str]]


def verdict(op: Any, sample: Any, leaves: list[Any], pairs: Pairs, results: int, allowed: dict[str, float]) -> Verdict:
    """Return what the pairs of a sample say: `results` of values, then one gradient for each leaf."""
    true: list[Any] | None = None
    nearest = ""
    for i, (a, b, what) in enumerate(pairs):
        why = reasons(a, b, what, allowed)
        if not why or (i >= results and undecided(op, sample, leaves[i - results], a, b)):
            continue
        if true is None:
            true = in_float64(op, sample)
        if i >= len(true) or op.name not in NEARER or not nearer(a, b, true[i], allowed, op.name in CANCELLING):
            return Verdict("wrong", why)
        nearest = nearest or why
    return Verdict("nearer", nearest) if nearest else Verdict("equal")


def in_float64(op: Any, sample: Any) -> list[Any]:
    """Return PyTorch's results and gradients of a sample's numbers in float64; nothing where it refuses."""
    side = theirs(op, sample, wide=True)
    return [] if side is None else [None if a is None else as_array(a) for a in (*side[2], *side[3])]


def nearer(
    ours: np.ndarray, theirs: np.ndarray, true: Any, allowed: dict[str, float], cancelling: bool = False
) -> bool:
    """Whether ours is the float64 result by the tolerances and PyTorch's float32 is not; cancelling: is just nearer."""
    if true is None or ours.dtype != np.float32 or theirs.dtype != ours.dtype or ours.shape != true.shape:
        return False
    if theirs.shape != ours.shape or not (np.isfinite(true).all() and np.isfinite(ours).all()):
        return False
    limit = allowed.get("atol", 1e-5) + allowed.get("rtol", 1.3e-6) * np.abs(true)
    error, their_error = ((np.abs(a - true) / limit).max(initial=0) for a in (ours, theirs))
    return bool(error <= (their_error if cancelling else 1) and their_error > 1)


def undecided(op: Any, sample: Any, leaf: Any, ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Whether gradients differ only where the input is NaN and PyTorch's vectorised code differs from its scalar one.

    PyTorch computes whole vectors and what is left over by two formulas, which disagree on NaN for some activations:
    the gradient at NaN then depends on how long the tensor is.
    """
    nan = np.isnan(as_array(leaf))
    if ours.shape != nan.shape or not nan.any() or reasons(np.where(nan, 0, ours), np.where(nan, 0, theirs), ""):
        return False
    slopes = []
    for length in (1, 64):
        x = torch.full((length,), float("nan"), dtype=leaf.dtype, requires_grad=True)
        try:
            op.op(x, *sample.args, **sample.kwargs).sum().backward()
        except Exception:
            return False
        slopes.append(x.grad[0].item())
    return str(slopes[0]) != str(slopes[1])


def refusal(error: Exception) -> Verdict:
    """Refused where tinymed raised the error by a statement of its own, internal where it arose elsewhere."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    own = frame.filename.startswith(PACKAGE) and "raise" in linecache.getline(frame.filename, frame.lineno or 0)
    text = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
    if own or "unexpected keyword argument" in text:
        return Verdict("refused", text)
    return Verdict("internal", f"{text} ({Path(frame.filename).name}:{frame.lineno})")


# --------------------------------------------------------------------------------------------------------- rows


def samples(op: Any, kind: str, dtype: Any) -> Iterator[Any]:
    """Yield an entry's sample or reference inputs, seeded."""
    draw = op.sample_inputs if kind == "sample" else op.reference_inputs
    for wants in (True, False) if op.supports_autograd and dtype.is_floating_point else (False,):
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002  the database draws from it
        try:
            yield from list(draw("cpu", dtype, requires_grad=wants))
        except ValueError:  # some entries also draw integers, which cannot require a gradient
            continue
        return


class Row(NamedTuple):
    """The samples of one entry: how many came out how, and the first reasons."""

    op: str
    variant: str
    counts: Counter[str]
    why: list[str]


def run(op: Any, kind: str, dtype: Any, every: int = 1, start: int = 0) -> Row | None:
    """Return one entry on the backend in use; None where tinymed has no such name, or the entry no such dtype.

    every, start: take each `every`-th sample, from sample `start` on.
    """
    function = counterpart(op.name)
    if function is None or dtype not in op.supported_dtypes("cpu"):
        return None
    counts: Counter[str] = Counter()
    why: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i, sample in enumerate(samples(op, kind, dtype)):
            if i % every != start % every:
                continue
            verdict = judge(op, function, sample)
            if verdict is None:
                continue
            counts[verdict.outcome] += 1
            if verdict.outcome != "equal" and len(why) < 3:
                why.append(f"{verdict.outcome}: {verdict.reason}")
    return Row(op.name, op.variant_test_name, counts, why) if counts else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("ops", nargs="*", metavar="OP", help="names of the database; all by default")
    parser.add_argument("--backend", default="numpy")
    parser.add_argument("--dtype", default="float64", choices=DTYPES)
    parser.add_argument("--samples", default="sample,reference")
    parser.add_argument("--every", type=int, default=1, help="take each n-th sample")
    parser.add_argument("--quiet", action="store_true", help="do not print each entry that is not equal throughout")
    options = parser.parse_args()
    total: Counter[str] = Counter()
    rows = []
    with tinymed.use_backend(options.backend), tinymed.use_precision("exact"):
        for op in database():
            if options.ops and op.name not in options.ops:
                continue
            for kind in options.samples.split(","):
                row = run(op, kind, DTYPES[options.dtype], options.every)
                if row is None:
                    continue
                total += row.counts
                where = {"op": row.op, "variant": row.variant, "samples": kind}
                rows.append(
                    where
                    | {"backend": options.backend, "dtype": options.dtype}
                    | {o: row.counts[o] for o in OUTCOMES if row.counts[o]}
                    | ({"why": row.why} if row.why else {})
                )
                if row.why and not options.quiet:
                    print(row.op, row.variant, kind, dict(row.counts), *row.why, sep="\n    ", flush=True)
    everything = sum(total.values())
    print({o: total[o] for o in OUTCOMES}, f"of {everything}: {100 * total['equal'] / max(everything, 1):.2f} % equal")
    if not options.ops and options.every == 1:
        merge(rows, options.backend, options.dtype)


def merge(rows: list[dict[str, Any]], backend: str, dtype: str) -> None:
    """Write rows in place of earlier ones of the same backend and dtype, one line each, and the sums of all."""
    kept = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    kept = [r for r in kept if (r["backend"], r["dtype"]) != (backend, dtype)] + rows
    totals: dict[str, Counter[str]] = {}
    for row in kept:
        totals.setdefault(f"{row['backend']} {row['dtype']}", Counter()).update({o: row.get(o, 0) for o in OUTCOMES})
    from peers import machine

    head = json.dumps({"machine": machine(), "nearer": NEARER, "totals": totals})
    lines = ",\n".join(json.dumps(r, separators=(",", ":")) for r in kept)
    RESULTS.write_text(f'{head[:-1]}, "rows": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
