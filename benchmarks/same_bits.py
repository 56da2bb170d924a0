"""Whether two revisions train to the same bits: a refactoring must not change one.

    python benchmarks/same_bits.py                      prints a line per network: hashes of its weights
    python benchmarks/same_bits.py --against REVISION   and compares them with those of another revision; exit 1 if they
                                                        differ

Trains DCNN, ResNet-20, U-Net and 3D U-Net on seeded noise, dropout included: 20 captured steps and 3 eager ones each.
The other revision runs in a git worktree in a temporary folder, with a kernel cache of its own, on the same machine.
The program of a captured step is compared too: call by call, with the same shapes, where a kernel may have another name
but always the same one.
"""

import argparse
import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CAPTURED, EAGER = 20, 3
NETWORKS = ("DCNN", "ResNet-20", "U-Net", "3D U-Net")
TOKEN = re.compile(r"[A-Za-z_][\w.]*")


# ---------------------------------------------------------------------------------------------------- one revision


def build(name: str) -> tuple[Any, Any, tuple[int, ...], tuple[int, ...]]:
    """Return a network with its optimiser, the shape of its images and that of its targets."""
    from tinymed import models, optim

    if name == "DCNN":
        model = models.create("dcnn")
        return model, optim.Adam(model.parameters()), (8, 3, 50, 50), (8,)
    if name == "ResNet-20":
        model = models.create("resnet20")
        return model, optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4), (8, 3, 32, 32), (8,)
    if name == "U-Net":
        model = models.create("unet_bn", base=8, depth=3, dropout=0.2)
        return model, optim.AdamW(model.parameters()), (4, 3, 48, 48), (4, 48, 48)
    model = models.create("unet3d", base=4, depth=2, padding="same")
    return model, optim.SGD(model.parameters(), lr=0.05), (1, 3, 16, 16, 16), (1, 16, 16, 16)


def train(name: str, steps: int, wrap: Callable[[Any], Any]) -> tuple[str, Any]:
    """Train for some steps; return the hash of all weights, buffers and losses, and the step."""
    import numpy as np

    import tinymed
    from tinymed import nn

    tinymed.manual_seed(7)
    rng = np.random.default_rng(7)
    model, optimizer, shape, places = build(name)
    model.train()

    def step(images: Any, targets: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), targets)
        loss.backward()
        optimizer.step()
        return loss

    run, digest = wrap(step), hashlib.sha256()
    for _ in range(steps):
        images = tinymed.tensor(rng.standard_normal(shape).astype(np.float32))
        digest.update(run(images, tinymed.tensor(rng.integers(0, 2, places))).numpy().tobytes())
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode() + np.ascontiguousarray(getattr(value, "array", value)).tobytes())
    return digest.hexdigest()[:16], run


def report(names: list[str]) -> None:
    """Print a line of JSON per network: the hashes of both trainings and the calls of the captured step."""
    import tinymed

    for name in names:
        captured, run = train(name, CAPTURED, tinymed.capture)
        if run.program is None:
            raise SystemExit(f"{name}: the step was not captured: {run.refused}")
        eager, _ = train(name, EAGER, lambda step: step)
        calls = [(str(c), [[list(o.shape), str(o.dtype)] for o in c.outs]) for c in run.program.calls]
        print(json.dumps({"network": name, "captured": captured, "eager": eager, "calls": calls}), flush=True)


# -------------------------------------------------------------------------------------------------- two revisions


def measure(tree: Path, cache: Path | None, names: list[str]) -> dict[str, Any]:
    """Run `report` on the package in a tree; return its lines by network."""
    environment = os.environ | {"PYTHONPATH": str(tree), "TINYMED_BACKEND": "numba"}
    if cache is not None:
        environment["TINYMED_CACHE"] = str(cache)
    command = [sys.executable, "-P", str(Path(__file__).resolve()), "--report", *names]
    done = subprocess.run(command, env=environment, cwd=tree, stdout=subprocess.PIPE, text=True, check=True)
    return {line["network"]: line for line in map(json.loads, done.stdout.splitlines())}


def renamed(old: list[Any], new: list[Any]) -> dict[str, str]:
    """Return {old: new kernel name} of two programs that are the same but for names, or raise ValueError."""
    if len(old) != len(new):
        raise ValueError(f"{len(old)} calls became {len(new)}")
    names: dict[str, str] = {}
    values: dict[str, str] = {}
    for (before, outs), (after, shapes) in zip(old, new, strict=True):
        words = TOKEN.findall(before), TOKEN.findall(after)
        kernels = [re.search(r"([A-Za-z_]\w*)\(", line).group(1) for line in (before, after)]  # type: ignore[union-attr]
        if names.setdefault(*kernels) != kernels[1]:
            raise ValueError(f"{kernels[0]} became {names[kernels[0]]} and {kernels[1]}")
        if outs != shapes or len(words[0]) != len(words[1]) or TOKEN.sub("", before) != TOKEN.sub("", after):
            raise ValueError(f"{before}  {outs}  became  {after}  {shapes}")
        for one, other in zip(*words, strict=True):
            if one != kernels[0] and values.setdefault(one, other) != other:
                raise ValueError(f"{one} became {values[one]} and {other} in {after}")
    if len(set(names.values())) != len(names):
        raise ValueError("two kernels became one")
    return {a: b for a, b in names.items() if a != b}


@contextlib.contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """Give a revision's files in a temporary git worktree, and remove it at the end."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), revision], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def compare(revision: str, names: list[str]) -> bool:
    """Train with this tree and with a revision of it; print both and return whether all bits are the same."""
    with checked_out(revision) as tree:
        theirs = measure(tree, tree.parent / "cache", names)
    ours, same = measure(ROOT, None, names), True
    for name in names:
        for kind in ("captured", "eager"):
            one, other = ours[name][kind], theirs[name][kind]
            same &= one == other
            print(f"{name:10} {kind:9} {one} {'the same' if one == other else f'differs: {other}'}")
        try:
            changed = renamed(theirs[name]["calls"], ours[name]["calls"])
            said = ", ".join(f"{a} -> {b}" for a, b in changed.items()) or "no kernel renamed"
            print(f"{name:10} program   {len(ours[name]['calls'])} calls, the same; {said}")
        except ValueError as error:
            same = False
            print(f"{name:10} program   differs: {error}")
    return same


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", help=f"which of {', '.join(NETWORKS)}; all by default")
    parser.add_argument("--against", metavar="REVISION", help="a revision to compare with")
    parser.add_argument("--report", action="store_true", help="print JSON, as the comparison reads it")
    options = parser.parse_args()
    names = options.networks or list(NETWORKS)
    if unknown := [n for n in names if n not in NETWORKS]:
        parser.error(f"unknown network {unknown[0]!r}; choose from {', '.join(NETWORKS)}")
    if options.report:
        report(names)
    elif options.against:
        raise SystemExit(0 if compare(options.against, names) else 1)
    else:
        for name, line in measure(ROOT, None, names).items():
            print(f"{name:10} captured {line['captured']}  eager {line['eager']}  {len(line['calls'])} calls")


if __name__ == "__main__":
    main()
