"""One op at one shape, as a call in tinymed and in PyTorch: the peers of `ops.py`.

Both libraries give their functions the same names and arguments, so a case is called alike in either.
"""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from peers import Absent
from shapes import Case


def arrays(case: Case) -> list[np.ndarray | None]:
    """Seeded float32 inputs: probabilities, labels and positive numbers where the function wants them."""
    rng = np.random.default_rng(0)
    made: list[np.ndarray | None] = []
    for i, shape in enumerate(case.tensors):
        if shape is None:
            made.append(None)
        elif case.op == "cross_entropy" and i == 1:
            made.append(rng.integers(0, (case.tensors[0] or (0, 1))[1], shape))
        elif case.op in ("binary_cross_entropy", "log", "batch_norm") and (case.op != "batch_norm" or i == 2):
            made.append(rng.uniform(0.1, 0.9, shape).astype(np.float32))
        else:
            scale = 0.05 if i == 1 and len(shape) > 1 else 1.0
            made.append((scale * rng.standard_normal(shape)).astype(np.float32))
    return made


def wanted(case: Case, way: str) -> list[bool]:
    """Return which tensors' gradients a way asks for: targets and running statistics have none."""
    floating = [t is not None for t in case.tensors]
    if case.kind == "loss":
        return [i == 0 for i in range(len(floating))]
    if case.op == "batch_norm":
        return [floating[0], False, False, *floating[3:]]
    if way == "backward input":
        return [i == 0 for i in range(len(floating))]
    if way == "backward weight":
        return [i > 0 and f for i, f in enumerate(floating)]
    return floating


def call(functional: Any, module: Any, case: Case, tensors: list[Any]) -> Any:
    """Return the function under its one name in both libraries."""
    function = getattr(functional, case.op, None) or getattr(module, case.op, None)
    if function is None:
        raise Absent(f"no function {case.op}")
    options = dict(case.options)
    return function(tensors, **options) if case.op == "cat" else function(*tensors, **options)


def make_tinymed(task: dict[str, Any]) -> Any:
    """{way: call}, and of each way the FLOP, bytes and kernels; {"roof": ...} measures the ceilings instead."""
    if "roof" in task:
        return {}, roof(task["threads"])
    import tinymed
    from tinymed import dispatch
    from tinymed.cli.bench import Work
    from tinymed.nn import functional

    case = as_case(task["case"])
    ways = optimiser(case, tinymed) if case.kind == "optim" else {}
    for way in case.ways if not ways else ():
        leaves: list[Any] = []
        for i, (a, g) in enumerate(zip(arrays(case), wanted(case, way), strict=True)):
            t = None if a is None else tinymed.from_numpy(arranged(case, i, a))
            leaves.append(t if t is None else t.requires_grad_(g and t.array.dtype.kind == "f"))
        ones = lambda y: tinymed.from_numpy(arranged(case, 0, np.ones(y.shape, np.float32)))  # noqa: E731
        ways[way] = one_way(way, leaves, lambda t: call(functional, tinymed, case, t), tinymed, ones)
    info: dict[str, Any] = {}
    for way, run in ways.items():
        run()
        work = Work()
        with dispatch.observing(work):
            run()
        info[way] = {"flops": work.flops, "nbytes": work.nbytes, "kernels": work.kernels, "fallbacks": work.fallbacks}
    return ways, info


def make_torch(task: dict[str, Any]) -> Any:
    """Return the same in PyTorch, in the memory formats of task["formats"]: ways are "format: way"."""
    import torch

    torch.set_num_threads(task["threads"])
    case, result = as_case(task["case"]), {}
    for name in task["formats"]:
        layout = torch.channels_last if name == "channels_last" else torch.contiguous_format
        if case.kind == "optim":
            result |= {f"{name}: {w}": f for w, f in optimiser(case, torch, fused=name == "channels_last").items()}
            continue
        for way in case.ways:
            leaves: list[Any] = []
            for a, g in zip(arrays(case), wanted(case, way), strict=True):
                t = None if a is None else torch.from_numpy(a)
                t = t.contiguous(memory_format=layout) if t is not None and t.ndim == 4 else t
                leaves.append(t if t is None or a.dtype.kind != "f" else t.requires_grad_(g))
            function = lambda t: call(torch.nn.functional, torch, case, t)  # noqa: E731
            result[f"{name}: {way}"] = one_way(way, leaves, function, torch, torch.ones_like)
    return result, {"cpu": torch.backends.cpu.get_cpu_capability()}


def one_way(
    way: str, leaves: list[Any], function: Callable[[list[Any]], Any], module: Any, ones: Callable[[Any], Any]
) -> Callable[[], Any]:
    """Forward without a tape, or backward of a forward that ran once; both libraries spell it alike."""
    if way == "forward":

        def forward() -> Any:
            with module.no_grad():
                return function(leaves)

        return forward
    y = function(leaves)
    dy = ones(y)

    def backward() -> None:
        for leaf in leaves:
            if leaf is not None:
                leaf.grad = None
        y.backward(dy, retain_graph=True)

    return backward


def optimiser(case: Case, module: Any, **options: Any) -> dict[str, Callable[[], Any]]:
    """Return one step on one parameter that has a gradient."""
    (a,) = arrays(case)
    if module.__name__ == "tinymed":
        from tinymed import nn

        parameter = nn.Parameter(module.tensor(a))
        parameter.grad = module.tensor(a)
    else:
        parameter = module.nn.Parameter(module.from_numpy(a))
        parameter.grad = module.from_numpy(a.copy())
    optim = importlib.import_module(f"{module.__name__}.optim")
    made = (
        optim.Adam([parameter], lr=1e-3, **options)
        if case.op == "adam"
        else (optim.SGD([parameter], lr=1e-3, momentum=0.9, **options))
    )
    return {"step": made.step}


def arranged(case: Case, i: int, a: np.ndarray) -> np.ndarray:
    """Images lie channels-last, filters as a layer's, and all are aligned as what kernels return."""
    from tinymed.memory import canonical_order, empty

    kind = "filter" if case.kind == "conv" and i == 1 else "image"
    lying = empty(a.shape, a.dtype, canonical_order(kind, a.ndim) if a.ndim == 4 else None)
    lying[...] = a
    return lying


def roof(threads: int) -> dict[str, Any]:
    """Return the two ceilings, and what NumPy's BLAS would be: its kernels tell whether a trap was sprung."""
    from threadpoolctl import threadpool_info

    from tinymed.cpu.simd.roofline import bandwidth_gbs, peak_gflops

    blas = ", ".join(
        f"{p['internal_api']} {p.get('architecture', '')}" for p in threadpool_info() if p["user_api"] == "blas"
    )
    return {"gflops": peak_gflops(threads), "gbs": bandwidth_gbs(), "blas": blas}


def as_case(fields: list[Any]) -> Case:
    """From JSON."""
    op, tensors, options, first = fields
    shapes = tuple(None if t is None else tuple(t) for t in tensors)
    return Case(op, shapes, tuple((k, tuple(v) if isinstance(v, list) else v) for k, v in options), first)
