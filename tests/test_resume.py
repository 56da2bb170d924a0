"""A run that is killed at any point and resumed ends with the same bits as one that was left alone.

The training runs in children that this file, started as a script, forks and kills; pytest reads what it reports.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the kill test forks: this system cannot")
KILLS_PER_CALL = ("fsync", "link", "replace")  # the system calls of a save, in which a child kills itself


# ----------------------------------------------------------------------------------------------- the training


def build(folder: Path, workers: int = 1):
    """A small run with all that has state: dropout, batch norm, Adam, augmentation, plateau, early stopping."""
    import tinymed
    from tinymed import nn, optim
    from tinymed.data import Augment, Loader, split_dataset, synthetic_smear
    from tinymed.tasks.heads.class_heads import SigmoidHead
    from tinymed.train.callbacks import Checkpoints, EarlyStopping, JsonLog, Schedule
    from tinymed.train.trainer import Trainer

    tinymed.use_backend("numpy")
    tinymed.manual_seed(3)
    parts = split_dataset(synthetic_smear(56, 16, seed=1), {"train": 0.75, "val": 0.25})
    augment = Augment(horizontal_flip=True, rotate=20, noise=0.05)
    train = Loader(parts["train"], 8, 16, shuffle=True, augment=augment, seed=5, workers=workers)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(4),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(4 * 7 * 7, 2),
    )
    optimizer = optim.Adam(model.parameters(), lr=2e-2)
    plateau = optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    callbacks = [
        Schedule(plateau, monitor="val_loss"),
        EarlyStopping(50),
        JsonLog(folder / "log.jsonl", every=1),
        Checkpoints(folder, {"name": "kill test"}, every=2),
    ]
    val = Loader(parts["val"], 8, 16, workers=workers)
    return Trainer(model, optimizer, SigmoidHead(2), train, val, callbacks=callbacks, clip_norm=5.0)


EPOCHS = 6


def train(folder: Path, workers: int = 1) -> None:
    """Begin or resume, to the end."""
    from tinymed.files import remove_temporaries
    from tinymed.train.checkpoint import load_newest

    trainer = build(folder, workers)
    remove_temporaries(folder)
    if any(folder.glob("*.safetensors")):
        trainer.restore(load_newest(folder)[0])
    trainer.fit(epochs=EPOCHS)
    (folder / "done").touch()


def outcome(folder: Path) -> dict:
    """What must not depend on kills: hashes of weights, optimiser and best weights; generators, history, log."""
    from tinymed.train.checkpoint import BEST, NEWEST, digest, load_checkpoint

    last, best = load_checkpoint(folder / NEWEST), load_checkpoint(folder / BEST)
    history = [{k: v for k, v in row.items() if k != "seconds"} for row in last["progress"]["history"]]
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return {
        "weights": digest(last["model"]),
        "optimizer": digest(last["optimizer"]),
        "best": digest(best["model"]),
        "dropout": last["generators"]["dropout"].tolist(),
        "history": history,
        "log": [(row["event"], row["step"], row["loss"]) for row in log],
        "files": sorted(os.listdir(folder)),
    }


# ------------------------------------------------------------------------------------------------- the killing


def child(folder: Path, call: str = "", number: int = 0, after: bool = False) -> int:
    """Fork a process that trains, and kills itself before or after the number-th call of a system function, if said."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        if call:
            arm(call, number, after)
        train(folder)
        status = 0
    finally:
        os._exit(status)


def arm(call: str, number: int, after: bool) -> None:
    """Let the number-th os.<call> be this process's last, or the last thing it completes."""
    original, count = getattr(os, call), 0

    def deadly(*args, **kwargs):
        nonlocal count
        count += 1
        if count == number and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args, **kwargs)
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(os, call, deadly)


def killed(pid: int) -> bool:
    """Wait for a child: whether it was killed.  One that failed by itself is an error."""
    status = os.waitpid(pid, 0)[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit("a child failed instead of training")
    return os.WIFSIGNALED(status)


def slaughter(kills: int, seed: int) -> dict:
    """Train to the end again and again under fire, until `kills` processes died; compare every end with the first."""
    dice = random.Random(seed)  # noqa: S311
    with tempfile.TemporaryDirectory() as place:
        calm = Path(place) / "calm"
        calm.mkdir()
        began = time.perf_counter()
        killed(child(calm))
        whole, expected = time.perf_counter() - began, outcome(calm)
        deaths, runs, inside = 0, 0, 0
        while deaths < kills:
            folder = Path(place) / f"run-{runs}"
            folder.mkdir()
            runs += 1
            while not (folder / "done").exists():
                if deaths < kills and dice.random() < 0.5:
                    pid = child(folder, dice.choice(KILLS_PER_CALL), dice.randint(1, 12), dice.random() < 0.5)
                    died = killed(pid)
                    inside += died
                else:
                    pid = child(folder)
                    if deaths < kills:
                        time.sleep(dice.random() * whole * 0.8)
                        os.kill(pid, signal.SIGKILL)
                    died = killed(pid)
                deaths += died
            result = outcome(folder)
            differ = [k for k in expected if k != "files" and result[k] != expected[k]]
            left = [name for name in result["files"] if name.endswith(".tmp")]
            if differ or left:
                return {"deaths": deaths, "runs": runs, "differ": differ, "left": left}
        return {"deaths": deaths, "runs": runs, "inside": inside, "differ": [], "left": [], "seconds": whole}


def report(kills: int, seed: int) -> dict:
    """Run `slaughter` in a process of its own, which has one thread and may fork."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, __file__, str(kills), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def check_kills(kills, seed, inside):
    """Die so many times, at least `inside` of them while saving: the run ends as one that never died."""
    result = report(kills, seed)
    assert result["deaths"] == kills
    assert result["differ"] == [], result
    assert result["left"] == [], result
    assert result["inside"] >= inside, "hardly any process died while saving"


def test_kills_change_nothing():
    check_kills(8, seed=1, inside=2)


@pytest.mark.full
def test_twenty_kills_change_nothing():
    check_kills(20, seed=1, inside=5)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(5))
def test_a_hundred_kills_change_nothing(seed):
    result = report(100, seed=100 + seed)
    assert result["differ"] == [], result
    assert result["left"] == [], result


def test_workers_change_nothing(tmp_path):
    ends = []
    for workers in (0, 3):
        folder = tmp_path / str(workers)
        folder.mkdir()
        train(folder, workers)
        ends.append(outcome(folder))
    assert ends[0] == ends[1]


if __name__ == "__main__":
    print(json.dumps(slaughter(int(sys.argv[1]), int(sys.argv[2]))))
