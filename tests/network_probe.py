"""Build networks of installed packages and write what they compute, with PyTorch or with tinymed answering for it.

    python tests/network_probe.py torch|tinymed|nudged|nudged_back|formulas FOLDER [NAME ...]

The same lines run in both, in float64: weights, inputs and cotangents are drawn by name, so nothing is exchanged but
the results. Each network leaves FOLDER/<package>/<name>.npz: per mode its outputs and the gradients of its inputs and
of every parameter; or FOLDER/<package>/<name>.txt: why there are none.  "nudged" is PyTorch with inputs and parameters
moved by 1e-15 of themselves, a few roundings of float64: what it changes by then, no two ways of computing can agree
about; "nudged_back" moves them the other way.  "formulas" is PyTorch with hardsigmoid by its definition: its own
gradient in float64 has a 1/6 of float32.
"""

import importlib
import os
import sys
import traceback
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from package_networks import Network, listed

PERIOD = 99_991  # a prime
STATISTICS = {"running_mean": (0.0, 0.1), "running_var": (1.0, 0.1)}  # mean and spread of what is drawn
NUDGES = {"nudged": 1e-15, "nudged_back": -1e-15}  # parts of themselves that inputs and parameters are moved by


def drawn(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers that depend on a name and a shape alone; of a large array repeated, with a period that fits no axis."""
    rng, size = np.random.default_rng(zlib.crc32(name.encode())), int(np.prod(shape))
    return np.resize(rng.normal(size=min(size, PERIOD)), size).reshape(shape)


def digest(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    """An array as it is compared: whole, or, of a large one, every so-manieth element and the sums along each axis."""
    if values.size <= PERIOD:
        return {name: values.copy()}
    parts = {f"{name} sampled": values.reshape(-1)[:: values.size // 10_000 + 1].copy()}
    for axis in range(values.ndim):
        others = tuple(a for a in range(values.ndim) if a != axis)
        parts[f"{name} summed to axis {axis}"] = values.sum(others)
    return parts


def weights(name: str, shape: tuple[int, ...]) -> np.ndarray | None:
    """A parameter's or a running statistic's values: variance 2 / fan-in, scales about 1, offsets about 0."""
    last = name.rpartition(".")[2]
    if last in STATISTICS:
        mean, spread = STATISTICS[last]
        return mean + spread * np.clip(drawn(name, shape), -3, 3)
    if len(shape) < 2:
        return (1.0 if last == "weight" else 0.0) + 0.1 * drawn(name, shape)
    return drawn(name, shape) * np.sqrt(2 / max(np.prod(shape[1:]), 1))


def moved(name: str, values: np.ndarray, nudge: float) -> np.ndarray:
    """Values moved by a part of themselves, up or down."""
    return values * (1 + nudge * np.sign(drawn(f"nudge {name}", values.shape))) if nudge else values


def made(network: Network, nudge: float = 0.0) -> Any:
    """The network in float64 with its drawn weights, moved by a part of themselves, and nothing dropped."""
    module, _, name = network.maker.partition(":")
    net = getattr(importlib.import_module(module), name)(**network.given).double()
    names = {n for n, _ in net.named_parameters()}
    for key, tensor in net.state_dict().items():
        if key in names or key.rpartition(".")[2] in STATISTICS:
            values = weights(key, tuple(tensor.shape))
            fill(tensor, moved(key, values, nudge))
    for module in net.modules():
        for switch in ("p", "drop_prob", "drop_path_rate", "drop_connect_rate", "_drop_connect_rate"):
            if isinstance(vars(module).get(switch), float) and "Pool" not in type(module).__name__:
                setattr(module, switch, 0.0)
    return net


def fill(tensor: Any, values: np.ndarray) -> None:
    """Write values where a tensor's memory is."""
    import torch

    with torch.no_grad():
        tensor.copy_(torch.tensor(values))


def outputs(result: Any) -> Iterator[Any]:
    """The floating-point tensors of a result: a tensor, or sequences and dictionaries of them."""
    import torch

    if isinstance(result, torch.Tensor):
        if result.dtype == torch.float64:
            yield result
    elif isinstance(result, dict):
        for key in sorted(result):
            yield from outputs(result[key])
    elif isinstance(result, list | tuple):
        for part in result:
            yield from outputs(part)


def computed(net: Any, network: Network, mode: str, nudge: float = 0.0) -> dict[str, np.ndarray]:
    """Outputs and gradients in a mode.  nudge: the inputs are moved by this part of themselves, up or down."""
    import torch

    torch.randn_like = lambda x: torch.tensor(drawn("noise", tuple(x.shape)))  # of variational networks
    net.train(mode == "train")
    net.zero_grad()
    arrays = [moved(str(i), drawn(f"input {i}", s), nudge) for i, s in enumerate(network.inputs)]
    given = [torch.tensor(a).requires_grad_(True) for a in arrays]
    found, loss = {}, 0.0
    for i, y in enumerate(outputs(net(*given))):
        found |= digest(f"{mode} output {i}", y.detach().numpy())
        loss = loss + (y * torch.tensor(drawn(f"cotangent {i}", tuple(y.shape)))).sum()
    loss.backward()
    gradients = {**{f"input {i}": x for i, x in enumerate(given)}, **dict(net.named_parameters())}
    for name, tensor in gradients.items():
        if tensor.grad is not None:
            found |= digest(f"{mode} gradient {name}", tensor.grad.numpy())
    return found


def define_hardsigmoid() -> None:
    """Let PyTorch compute hardsigmoid, and its gradient, as relu6(x + 3) / 6."""
    import torch

    torch.nn.functional.hardsigmoid = lambda input, inplace=False: torch.nn.functional.relu6(input + 3) / 6


def reason(error: BaseException) -> str:
    """An error in one line, and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{Path(f.filename).parent.name}/{Path(f.filename).name}:{f.lineno}" for f in frames[-3:]]
    return f"{type(error).__name__}: {' '.join(str(error).split())[:400]} [{' < '.join(reversed(places))}]"


def probe(network: Network, folder: Path, nudge: float = 0.0) -> None:
    """Write a network's results, or why it has none."""
    place = folder / network.package / network.name.replace("/", "_")
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        net = made(network, nudge)
        found = {}
        for mode in network.modes:
            found |= computed(net, network, mode, nudge)
        np.savez(place.with_name(place.name + ".npz"), **{k.replace("/", "|"): v for k, v in found.items()})
    except Exception as error:
        place.with_name(place.name + ".txt").write_text(reason(error) + "\n")
        if os.environ.get("NETWORK_TRACE"):
            traceback.print_exc()


def main(engine: str, folder: str, *names: str) -> None:
    """Probe the listed networks, or those whose package or name is given."""
    warnings.simplefilter("ignore")
    if engine == "tinymed":
        import torch_answered

        torch_answered.install()
        from tinymed.dispatch import use_backend

        backend = use_backend("numpy")
        backend.__enter__()
    if engine == "formulas":
        define_hardsigmoid()
    for network in listed():
        if not names or network.name in names or network.package in names:
            probe(network, Path(folder), NUDGES.get(engine, 0.0))


if __name__ == "__main__":
    main(*sys.argv[1:])
