"""Every kernel of csrc/, entered once or more: small, for compute-sanitizer, and to say which kernels nothing entered.

    python benchmarks/device_kernels.py [--backend emulated --quick] [--no-pool] [--only ladders]

Forward and backward of every op on three samples of its own, every optimiser and both kinds of clipping on a small
network, every rung of every ladder, filters and colours of pictures.  --no-pool: memory straight from the driver, or
an overrun would lie within CuPy's pool and be seen by no tool.  On `emulated` the checker of csrc/emulator looks.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from device_clock import arguments, saved

SAMPLES = 3


def tasks(quick: bool) -> Iterator[tuple[str, Callable[[], Any]]]:
    """(name, what to run)."""
    import numpy as np

    from tinymed import check
    from tinymed.draw import Draw
    from tinymed.tape import Op

    for name, op in sorted(Op.registry.items()):
        for seed in range(1 if quick else SAMPLES):
            if op.__module__.startswith("tinymed."):
                yield f"op {name}", lambda op=op, seed=seed: check.results(op.apply, op.samples(Draw(seed)), np.float32)
    yield "op MaxPool, wide", wide_pool
    yield "op MaxUnpool, places of maxima", unpooled
    yield "op InstanceNorm, running statistics", followed
    yield "op Cast, every dtype", dtypes
    yield "op Conv, of volumes", volumes
    yield "op GridSample, in both dimensions", sampling
    for dtype in ("uint8", "float32"):
        yield f"imaging of {dtype}", lambda dtype=dtype: pictures(dtype)
    for rule, options in RULES:
        yield f"optimiser {rule}", lambda rule=rule, options=options: train(rule, options)
    yield from rungs()


def rungs() -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield every rung of every ladder, on its small problem."""
    import numpy as np

    from tinymed import devices, dispatch
    from tinymed.cuda.ladders import LADDERS

    def climb(chosen: Any, rung: Any) -> Any:
        table = dispatch.table()
        problem = chosen.problem(np.random.default_rng(0), *chosen.small)
        moved = [devices.move(a, table.device) if isinstance(a, np.ndarray) else a for a in problem]
        return getattr(table, rung.kernel)(*rung.arguments(*moved))

    for name, chosen in LADDERS.items():
        for rung in chosen.rungs:
            yield f"ladder {name}: {rung.label}", lambda chosen=chosen, rung=rung: climb(chosen, rung)


def wide_pool() -> None:
    """Windows of more taps than a byte counts, forward and backward, of images and volumes; and smaller ones."""
    import tinymed
    from tinymed.nn import functional

    x = tinymed.randn(1, 2, 20, 19, seed=0, requires_grad=True)
    functional.max_pool2d(x, 17, stride=1).sum().backward()
    for window in (2, 7):
        x = tinymed.randn(1, 2, 8, 9, 8, seed=0, requires_grad=True)
        functional.max_pool3d(x, window, stride=1).sum().backward()


def unpooled() -> None:
    """Put maxima back to where they were, of windows whose taps a byte counts and of larger ones."""
    import tinymed
    from tinymed.nn import functional

    x = tinymed.randn(1, 2, 36, 18, seed=0)
    for window in (2, 18):
        y, index = functional.max_pool2d(x, window, return_indices=True)
        functional.max_unpool2d(y, index, window)


def followed() -> None:
    """Bring the running statistics of an instance norm up to date."""
    import tinymed
    from tinymed import nn

    norm = nn.InstanceNorm2d(3, track_running_stats=True)
    norm.to(tinymed.devices.default())
    norm(tinymed.randn(2, 3, 5, 4, seed=0))


def volumes() -> None:
    """Convolve volumes, forward and backward; and compare with a number."""
    import tinymed
    from tinymed.nn import functional

    x, weight = (tinymed.randn(2, 3, 4, 5, 3, seed=s, requires_grad=True) for s in (0, 1))
    y = functional.conv3d(x, weight[:, :, :2, :2, :2])
    tinymed.maximum(tinymed.minimum(y, 0.5), -0.5).sum().backward()


def dtypes() -> None:
    """Change the dtype of numbers, there and back."""
    import numpy as np

    import tinymed

    x = tinymed.randn(5, 7, seed=0)
    for dtype in (np.bool_, np.int32, np.int64):
        x.to(dtype).to(np.float32)
    tinymed.tensor(np.arange(9, dtype=np.uint8)).to(np.float32)


def sampling() -> None:
    """Sample images and volumes, with the gradients of what is sampled and of where."""
    import tinymed
    from tinymed.nn import functional

    for space in ((6, 5), (4, 6, 5)):
        x = tinymed.randn(2, 3, *space, seed=0, requires_grad=True)
        grid = tinymed.randn(2, *space, len(space), seed=1, requires_grad=True)
        functional.grid_sample(x, grid, align_corners=False).sum().backward()


def pictures(dtype: str) -> None:
    """Filter small grey and colour pictures, one of them by windows that are no box."""
    import numpy as np

    from tinymed import devices, dispatch, imaging

    for shape in ((9, 11), (12, 10, 3)):
        share = np.random.default_rng(0).random(shape)
        picture = np.rint(255 * share).astype(np.uint8) if dtype == "uint8" else share.astype(np.float32)
        x = devices.move(picture, dispatch.table().device)
        for filtered in (imaging.gaussian, imaging.sharpen, imaging.median, imaging.bilateral, imaging.erode):
            filtered(x)
        for other in (imaging.mean, imaging.sobel, imaging.equalise, imaging.stretch):
            other(x)
        imaging.gamma(x, 0.7)
        imaging.window_level(x, 0.5 * float(picture.max()), 0.5 * float(picture.max()))
        if dtype == "uint8":
            imaging.clahe(x)
        imaging.dilate(x, 5, "disk")
        imaging.non_local_means(x, patch=3, search=5)
        imaging.histogram(x, 16)
        imaging.grey(x)
        if x.ndim == 3:
            colours(x)


def colours(x: Any) -> None:
    """Change the colours of a picture, there and back."""
    from tinymed import imaging

    imaging.from_hsv(imaging.hsv(x))
    imaging.from_cmyk(imaging.cmyk(x))
    imaging.reinhard(x)
    imaging.macenko(x)


RULES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("Adam", {}),
    ("AdamW", {"weight_decay": 0.1}),
    ("RMSprop", {"momentum": 0.5, "centered": True}),
    ("Adagrad", {}),
    ("Adam", {"amsgrad": True}),
    ("Adamax", {}),
    ("NAdam", {}),
    ("RAdam", {}),
    ("Adadelta", {}),
    ("ASGD", {}),
    ("Rprop", {}),
]


def train(rule: str, options: dict[str, Any]) -> None:
    """Return a step of a small network and three captured.

    What programs fuse, a residual block's batch norms among it.
    """
    import tinymed
    from tinymed import nn, optim
    from tinymed.nn import functional

    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25))
            self.conv1, self.norm1 = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
            self.conv2, self.norm2 = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
            self.up, self.head = nn.ConvTranspose2d(8, 8, 2, 2), nn.Linear(8 * 16, 2)

        def forward(self, x: Any) -> Any:
            x = functional.max_pool2d(self.up(self.stem(x)), 2)
            y = functional.relu(self.norm1(self.conv1(x)))
            return self.head(functional.relu(self.norm2(self.conv2(y)) + x).flatten(1))

    model = Small()
    model.to(tinymed.devices.default())
    chosen = getattr(optim, rule)(model.parameters(), lr=0.001, **options)

    def step(x: Any, y: Any) -> Any:
        chosen.zero_grad()
        loss = functional.cross_entropy(model(x), y)
        loss.backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        optim.clip_grad_value_(model.parameters(), 0.5)
        chosen.step()
        return loss

    captured = tinymed.capture(step)
    x, y = tinymed.randn(4, 3, 8, 8, seed=0), tinymed.tensor([0, 1, 1, 0])
    losses = [float(run(x, y).item()) for run in (step, captured, captured, captured)]
    if not max(losses) < 2 * losses[0]:  # false for NaN too
        raise ArithmeticError(f"{rule} {options}: losses {losses}")


@contextlib.contextmanager
def entered(backend: str) -> Iterator[set[str]]:
    """Return the names of the launchers of csrc/ that are called inside."""
    from tinymed.cuda import emulated, gpu

    home: Any = emulated if backend == "emulated" else gpu
    names: set[str] = set()
    launch = home.launch

    def noted(name: str, args: Any) -> None:
        names.add(name)
        launch(name, args)

    home.launch = noted
    try:
        yield names
    finally:
        home.launch = launch


def missing(seen: set[str]) -> list[str]:
    """Kernels of csrc/ that nothing entered."""
    from tinymed import dispatch

    own = {k.fn.__name__ for (where, _), k in dispatch.implementations.items() if where == "csrc" and k.compiled_kind}
    return sorted(own - seen)


def main() -> None:
    o = arguments(__doc__, ("--no-pool", {"action": "store_true"}), ("--only", {"default": ""}))
    import tinymed
    from tinymed.cuda import emulated, synchronize

    if o.no_pool and o.backend != "emulated":
        import cupy

        cupy.cuda.set_allocator(None)
    failed: dict[str, str] = {}
    checked = emulated.checking() if o.backend == "emulated" and o.no_pool else contextlib.nullcontext()
    with tinymed.use_backend(o.backend), checked, entered(o.backend) as seen:
        chosen = [(name, run) for name, run in tasks(o.quick) if name.startswith(o.only)]
        for number, (name, run) in enumerate(chosen):
            try:
                run()
                if o.backend != "emulated":
                    synchronize()  # a kernel's failure is met where the host next waits
            except Exception as error:  # one kernel that fails must not hide the others
                failed[name] = f"{type(error).__name__}: {error}"[:500]
            if number % 20 == 0 or number == len(chosen) - 1:
                saved(
                    o,
                    {
                        "tasks": number + 1,
                        "of": len(chosen),
                        "entered": len(seen),
                        "failed": failed,
                        "never entered": missing(seen),
                    },
                )
    print(f"{len(seen)} kernels of csrc/ entered, {len(failed)} failures, never entered: {missing(seen)}")
    for name, why in failed.items():
        print(f"{name}: {why}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
