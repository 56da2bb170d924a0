"""Running the command line in tests: in this process or in one of its own, on small trainings."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from tinymed.cli import main
from tinymed.data import synthetic_smear

# A quick training, without a compiler.
NETWORK = ["lenet5_modern", "--grey", "--size", "32", "--backend", "numpy", "--workers", "0", "--batch", "8"]
QUICK = [*NETWORK, "--epochs", "2"]


def invoke(capsys, *arguments):
    """(exit code, stdout, stderr) of a command, run in this process."""
    code = main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def command(*arguments, **more):
    """A command in a process of its own."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1", "TERM": "dumb"}
    code = "import sys; from tinymed.cli import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=environment,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **more,
    )


@contextmanager
def until_left(process: subprocess.Popen) -> Iterator[subprocess.Popen]:
    """A process that ends with the block, also where a check in it fails: `with Popen(...)` would wait for its end."""
    with process:
        try:
            yield process
        finally:
            process.kill()


def write_images(folder: Path, classes: list[str], count: int, seed: int = 0) -> Path:
    """`count` synthetic cells a class, as PNG files in class folders."""
    smear = synthetic_smear(2 * count, 36, seed=seed, difficulty=0)
    for i, (pixels, label) in enumerate(zip(smear.samples, smear.labels, strict=True)):
        (folder / classes[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / classes[label] / f"{i:03}.png")
    return folder
