"""PyTorch's own tables of modules and optimizers, run beside tinymed: values, gradients, buffers, parameters.

    python benchmarks/moduleinfo.py [--backend numba] [--out results.json]

The tables come from the installed PyTorch (`module_db`, `optim_db`); they need its test dependency `expecttest`.
Every input of every module that tinymed has is run in training and in evaluation, with the same parameters; an input is
equal if its outputs, all gradients and all buffers are.  A refusal counts as not equal.  tests/test_moduleinfo.py runs
a slice of it.
"""

import argparse
import inspect
import json
import sys
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

import tinymed
from tinymed import Tensor, nn, optim
from tinymed.dispatch import use_backend

TOLERANCE = {torch.float64: (1e-7, 1e-7), torch.float32: (1.3e-4, 1e-4)}  # PyTorch's for modules: (relative, absolute)
EXPLAINED = {"Lazy", "LazyLinear", "LazyConv1d", "LazyConv2d", "LazyConv3d", "DataParallel", "SyncBatchNorm"}


class Case(NamedTuple):
    """One input of one module, or of one optimizer."""

    name: str
    number: int
    training: bool
    dtype: Any

    def __str__(self) -> str:
        mode = "train" if self.training else "eval"
        return f"{self.name} {self.number} {mode} {str(self.dtype).removeprefix('torch.')}"


def database() -> list[Any]:
    """Return the table's entries for modules that tinymed has."""
    from torch.testing._internal.common_modules import module_db

    return [m for m in module_db if m.module_cls.__name__ in nn.__all__ and m.module_cls.__name__ not in EXPLAINED]


def inputs_of(info: Any, case: Case) -> list[Any]:
    """Return the entry's inputs, drawn anew from one seed."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  PyTorch's tables draw from it
    found = info.module_inputs_func(info, device="cpu", dtype=case.dtype, requires_grad=True, training=case.training)
    return list(found)


def cases(dtypes: tuple[Any, ...] = (torch.float64,)) -> Iterator[tuple[Any, Case]]:
    """Yield every input of every module, in both modes."""
    for info in database():
        for dtype in dtypes:
            for training in (True, False):
                first = Case(info.module_cls.__name__, 0, training, dtype)
                for i in range(len(inputs_of(info, first))):
                    yield info, first._replace(number=i)


def ours(value: Any) -> Any:
    """PyTorch's tensors, dtypes and functions in an argument, as tinymed's."""
    if isinstance(value, torch.Tensor):
        return Tensor(value.detach().numpy().copy(), value.requires_grad)
    if isinstance(value, torch.nn.TransformerEncoderLayer):  # an encoder is made of one
        return tinymed.nn.TransformerEncoderLayer(
            value.linear1.in_features,
            value.self_attn.num_heads,
            value.linear1.out_features,
            value.dropout.p,
            "relu" if value.activation is torch.nn.functional.relu else "gelu",
            value.norm1.eps,
            value.self_attn.batch_first,
            value.norm_first,
            value.linear1.bias is not None,
        )
    if isinstance(value, torch.dtype):
        return np.dtype(str(value).removeprefix("torch."))
    name = getattr(value, "__name__", "")
    if name and value is vars(torch.nn.functional).get(name):  # an activation
        return getattr(nn.functional, name)
    if isinstance(value, dict):
        return {k: ours(v) for k, v in value.items()}
    return type(value)(map(ours, value)) if type(value) in (tuple, list) else value


def leaves(value: Any) -> Any:
    """PyTorch's tensors in an argument as leaves, so that each keeps its gradient."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    if isinstance(value, dict):
        return {k: leaves(v) for k, v in value.items()}
    return type(value)(map(leaves, value)) if type(value) in (tuple, list) else value


def flat(value: Any) -> list[Any]:
    """Return the tensors in a result."""
    if isinstance(value, tuple | list):
        return [t for v in value for t in flat(v)]
    return [value] if isinstance(value, torch.Tensor | Tensor) else []


def backward(outputs: list[Any], tensor: Any) -> None:
    """Gradients under random cotangents."""
    rng, total = np.random.default_rng(1), None
    for y in outputs:
        weight = rng.normal(size=tuple(y.shape))
        if y.requires_grad:
            part = (y * tensor(weight, y)).sum()
            total = part if total is None else total + part
    if total is not None:
        total.backward()


def differs(a: Any, b: Any, dtype: Any) -> str:
    """Return how an array of ours differs from PyTorch's, or nothing; integers must be equal."""
    relative, absolute = TOLERANCE[dtype]
    if a is None or b is None:
        return "" if not np.any(a) and not np.any(b) else f"{'absent' if a is None else 'there'}"
    if a.shape != b.shape:
        return f"shape {a.shape} for {b.shape}"
    if b.dtype.kind != "f":
        return "" if np.array_equal(a, b) else "integers differ"
    if not np.allclose(a, b, rtol=relative, atol=absolute, equal_nan=True):
        with np.errstate(invalid="ignore"):
            return f"off by {np.nanmax(np.abs(a.astype(np.float64) - b)):.2g}"
    return ""


def gradient(t: Any) -> Any:
    """Return a tensor's gradient as an array, or None."""
    return None if t.grad is None else np.asarray(t.grad.detach().numpy())


def make(info: Any, given: Any, case: Case) -> tuple[Any, Any]:
    """Return the two modules with equal parameters."""
    args, kwargs = given.constructor_input.args, dict(given.constructor_input.kwargs)
    theirs = info.module_cls(*args, **kwargs)
    twin = getattr(nn, case.name)(*map(ours, args), **ours(kwargs))
    theirs, twin = theirs.to(case.dtype).train(case.training), twin.to(ours(case.dtype)).train(case.training)
    if hasattr(twin, "statistics"):
        twin.statistics = "torch"
    twin.load_state_dict({n: t.detach().numpy() for n, t in theirs.state_dict().items()})
    return theirs, twin


def compare(info: Any, case: Case) -> str:
    """Return what differs for one input: "" (equal), or "refused: ..." or "wrong: ..."."""
    given = inputs_of(info, case)[case.number]
    args, kwargs = leaves(list(given.forward_input.args)), leaves(dict(given.forward_input.kwargs))
    mine, keywords = ours(args), ours(kwargs)
    try:
        theirs, twin = make(info, given, case)
        y = flat(twin(*mine, **keywords))
        backward(y, lambda w, like: Tensor(w.astype(like.dtype)))
    except Exception as error:
        return f"refused: {type(error).__name__}: {str(error)[:160]}"
    z = flat(theirs(*args, **kwargs))
    backward(z, lambda w, like: torch.tensor(w, dtype=like.dtype))
    if len(y) != len(z):
        return f"wrong: {len(y)} outputs for {len(z)}"
    pairs = [("output", a.detach().numpy(), b.detach().numpy()) for a, b in zip(y, z, strict=True)]
    inputs = zip(
        flat(mine) + flat(list(keywords.values())), flat(list(args)) + flat(list(kwargs.values())), strict=True
    )
    pairs += [("gradient of an input", gradient(a), gradient(b)) for a, b in inputs]
    own = dict(twin.named_parameters())
    pairs += [(f"gradient of {n}", gradient(own[n]), gradient(p)) for n, p in theirs.named_parameters()]
    state = dict(twin.named_buffers())
    pairs += [(n, state[n].numpy(), b.numpy()) for n, b in theirs.named_buffers()]
    found = [f"{what} {difference}" for what, a, b in pairs if (difference := differs(a, b, case.dtype))]
    return f"wrong: {'; '.join(found)}" if found else ""


# ----------------------------------------------------------------------------------------------------- optimizers


def optimizers() -> Iterator[tuple[Any, Any]]:
    """(entry, input) of every optimizer that tinymed has."""
    from torch.testing._internal.common_optimizers import optim_db

    for info in optim_db:
        if info.optim_cls.__name__ in optim.__all__:
            for given in info.optim_inputs_func(device="cpu"):
                yield info, given


def quadratic(parameters: list[Any], slopes: list[Any], tensor: Any) -> Any:
    """Return a closure: the loss is 0.15 p^2 + slope p, and a parameter whose slope is None has no gradient."""

    def closure() -> float:
        loss = 0.0
        for p, slope in zip(parameters, slopes, strict=True):
            values = p.detach().numpy()
            p.grad = None if slope is None else tensor(0.3 * values + slope)
            loss += 0.0 if slope is None else float((0.15 * values * values + slope * values).sum())
        return loss

    return closure


def compare_optimizer(info: Any, given: Any, steps: int = 25) -> str:
    """Return what differs after some steps, with a group of its own rate, missing gradients and a resumed state."""
    rng, name = np.random.default_rng(0), info.optim_cls.__name__
    start = [rng.normal(size=s) for s in ((3, 4), (5,), ())]
    theirs = [torch.nn.Parameter(torch.tensor(a)) for a in start]
    mine = [nn.Parameter(a.copy()) for a in start]
    accepted = inspect.signature(info.optim_cls).parameters
    options = {n: v for n, v in given.kwargs.items() if n in accepted}
    if isinstance(options.get("lr"), torch.Tensor) and "foreach" in accepted:
        options["foreach"] = options.get("capturable", False)  # PyTorch takes the pair only so

    def groups(parameters: list[Any]) -> list[dict[str, Any]]:
        return [{"params": parameters[:2]}, {"params": parameters[2:], "weight_decay": 0.01}]

    grouped = groups if "weight_decay" in accepted else lambda p: [{"params": p}]
    try:
        a = getattr(optim, name)(grouped(mine), **ours(options))
    except Exception as error:
        return f"refused: {type(error).__name__}: {str(error)[:160]}"
    try:
        b = info.optim_cls(grouped(theirs), **options)
    except (RuntimeError, ValueError, AssertionError):  # what PyTorch takes only on a GPU
        b = info.optim_cls(grouped(theirs), **{n: v for n, v in options.items() if n not in ("capturable", "fused")})
    for step in range(steps):
        if step == 0 or name != "LBFGS":  # curvature between two losses says nothing of either: rounding alone decides
            slopes = [None if (step + i) % 6 == 5 else rng.normal(size=a.shape) for i, a in enumerate(start)]
        if step == 10:
            resumed = getattr(optim, name)(grouped(mine), **ours(options))
            resumed.load_state_dict(a.state_dict())
            a = resumed
        a.step(quadratic(mine, slopes, lambda g: Tensor(np.array(g))))
        try:
            b.step(quadratic(theirs, slopes, lambda g: torch.tensor(np.array(g))))
        except (RuntimeError, AssertionError) as error:
            return f"not comparable: {str(error)[:80]}"
    found = [np.abs(p.array - q.detach().numpy()).max(initial=0) for p, q in zip(mine, theirs, strict=True)]
    return "" if max(found) < 1e-6 else f"wrong: off by {max(found):.2g}"


# -------------------------------------------------------------------------------------------------------- the run


def measure(backend: str, dtype: Any) -> dict[str, Any]:
    """Return the counts and what is not equal, for all modules on a backend."""
    equal, failures = 0, {}
    with use_backend(backend), tinymed.use_precision("exact"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for info, case in cases((dtype,)):
            said = compare(info, case)
            equal += not said
            if said:
                failures[str(case)] = said
    return {"backend": backend, "inputs": equal + len(failures), "equal": equal, "not_equal": failures}


def measure_optimizers() -> dict[str, Any]:
    """Return the counts and what is not equal, for all optimizers."""
    equal, failures = 0, {}
    with use_backend("numpy"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i, (info, given) in enumerate(optimizers()):
            said = compare_optimizer(info, given)
            equal += not said
            if said:
                failures[f"{i} {info.optim_cls.__name__} {given.desc}"] = said
    return {"inputs": equal + len(failures), "equal": equal, "not_equal": failures}


def main() -> None:
    """Run the tables and print one line a backend."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--backend", action="append", choices=("numpy", "numba", "emulated"), help="by default all three"
    )
    parser.add_argument("--out", help="a JSON file for the results")
    options = parser.parse_args()
    results: dict[str, Any] = {
        "torch": torch.__version__,
        "modules": sorted({m.module_cls.__name__ for m in database()}),
    }
    for name in options.backend or ("numpy", "numba", "emulated"):
        found = measure(name, torch.float64 if name == "numpy" else torch.float32)
        results[name] = found
        sys.stdout.write(f"modules on {name}: {found['equal']} of {found['inputs']} equal\n")
        for case, said in found["not_equal"].items():
            sys.stdout.write(f"  {case}: {said}\n")
    results["optimizers"] = found = measure_optimizers()
    sys.stdout.write(f"optimizers: {found['equal']} of {found['inputs']} equal\n")
    for case, said in found["not_equal"].items():
        sys.stdout.write(f"  {case}: {said}\n")
    if options.out:
        with open(options.out, "w") as file:
            json.dump(results, file, separators=(",", ":"))


if __name__ == "__main__":
    main()
