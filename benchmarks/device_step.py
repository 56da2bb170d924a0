"""A whole training step of the papers' CNN on a GPU, eager and captured, against PyTorch.

    python benchmarks/device_step.py --out FILE [--backend emulated --quick]

3x64x64, batch 128, Adam: ours eager and as a CUDA graph, in tf32 and in bf16; PyTorch channels_last with tf32 and
cudnn.benchmark: eager, as a CUDA graph, both under autocast to bfloat16 too, and through torch.compile, which comes
last because it compiles for long ("max-autotune" longest, on a GPU alone).  Images lie on the GPU and no step reads its
loss, so that eager steps queue up.
"""

from collections.abc import Callable
from typing import Any

from device_clock import Clock, arguments, graphed, replayed, saved, spread, torch_on
from models import images
from peers import Absent, ratios, rounded

GOALS = {"torch eager": 2.0, "torch graph": 1.0}  # their time over our captured step's
Call = Callable[[], Any]


def ours(task: dict[str, Any]) -> tuple[Call, Call, dict[str, Any]]:
    """(eager step, captured step, what is known of the program)."""
    import tinymed
    from tinymed import models, optim
    from tinymed.nn import functional

    def build() -> tuple[Any, Any, Any]:
        tinymed.manual_seed(0)
        model = models.create("dcnn", num_classes=2, in_channels=task["channels"], size=task["size"], padding="same")
        model.to(tinymed.devices.default()).train()
        optimizer = optim.Adam(model.parameters(), lr=1e-3)

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            loss = functional.binary_cross_entropy_with_logits(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        return step, *(tinymed.tensor(a) for a in images(task))

    step, x, y = build()
    captured = replayed(*build())
    calls, flops, moved, _ = captured.program.cost()
    told = {"kernel calls": calls, "gflop": 1e-9 * flops, "gb": 1e-9 * moved, "graph": captured.graph}
    return lambda: step(x, y), captured.call, rounded(told)


def theirs(torch: Any, cuda: bool, task: dict[str, Any], compiled: str = "", mixed: bool = False) -> Call:
    """PyTorch's step, with Adam fused and fit for a graph; compiled: a mode of torch.compile.  mixed: autocast."""
    import twins

    place = "cuda" if cuda else "cpu"
    torch.manual_seed(0)
    model = twins.dcnn(torch, channels=task["channels"], size=task["size"], padding=1)
    model = model.to(place, memory_format=torch.channels_last).train()
    x, y = (torch.from_numpy(a).to(place) for a in images(task))
    x = x.contiguous(memory_format=torch.channels_last)
    run = torch.compile(model, mode=compiled) if compiled else model
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True, capturable=cuda)

    def step() -> Any:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(place, torch.bfloat16, enabled=mixed, cache_enabled=False):
            scores = run(x)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(scores.float(), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def rivals(cuda: bool) -> list[tuple[str, str, bool, bool]]:
    """[(name, mode of torch.compile, whether a graph, whether mixed)] of PyTorch's steps."""
    modes = [("torch.compile", "default", False, False)]
    if cuda:  # it tries its kernels for minutes, on a processor too
        modes.append(("torch.compile max-autotune", "max-autotune", False, False))
        modes.append(("torch.compile max-autotune bf16", "max-autotune", False, True))
    plain = [("torch eager", "", False, False), ("torch graph", "", True, False)]
    return [*plain, *((f"{name} bf16", mode, graph, True) for name, mode, graph, _ in plain), *modes]


def main() -> None:
    o = arguments(__doc__)
    import tinymed

    clock = Clock(o.backend, o.quick)
    size, batch = (16, 2) if o.quick else (64, 128)
    task = {"mode": "train", "channels": 3, "size": size, "batch": batch}
    result: dict[str, Any] = {"task": f"dcnn 3x{size}x{size} b{batch}, Adam", "steps": {}}
    with tinymed.use_backend(o.backend):
        eager, captured, result["program"] = ours(task)
        players = {"tinymed captured": captured, "tinymed eager": eager}
        measure(clock, players, result)
        saved(o, result)
        with tinymed.use_precision("bf16"):
            _, mixed, result["program bf16"] = ours(task)
        measure(clock, players | {"tinymed captured bf16": mixed}, result)
        saved(o, result)
        try:
            torch = torch_on(clock.cuda)
        except Absent as reason:
            result["torch"] = str(reason)
            saved(o, result)
            return
        result["torch"] = torch.__version__
        for name, compiled, graph, mixes in rivals(clock.cuda):
            try:
                step = theirs(torch, clock.cuda, task, compiled, mixes)
                step = graphed(torch, clock.cuda, step) if graph else step
                measure(clock, {"tinymed captured": captured, "tinymed eager": eager, name: step}, result)
            except Exception as error:  # one rival that cannot run must not end the others
                result["steps"][name] = {"failed": f"{type(error).__name__}: {error}"[:500]}
            saved(o, result)
    print(result)
    if failed := [name for name, step in result["steps"].items() if "failed" in step]:
        raise SystemExit(f"failed: {', '.join(failed)}")


def measure(clock: Clock, players: dict[str, Call], result: dict[str, Any]) -> None:
    """Return times of all, and the last one's time over ours, formed within each round."""
    turns = clock.in_turns(players, 0.0 if clock.quick else 0.05)
    name = list(players)[-1]
    for player in players:
        if player not in result["steps"]:
            result["steps"][player] = spread(turns[player])
    low, over, high = ratios(turns[name], turns["tinymed captured"], "device")
    result["steps"][name] |= rounded({"over_captured": over, "over_low": low, "over_high": high})
    if len(players) > 2:
        result["steps"][name] |= rounded({"over_eager": ratios(turns[name], turns["tinymed eager"], "device")[1]})
    if name in GOALS and not clock.quick:
        result["steps"][name] |= {"goal": f"over_captured >= {GOALS[name]:g}", "met": over >= GOALS[name]}


if __name__ == "__main__":
    main()
