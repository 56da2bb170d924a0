"""What is said to somebody who waits for a training: that kernels are compiled, that it takes long."""

import threading
from collections.abc import Callable

from ..debug import to_stderr
from ..train.display import Pace, clock
from ..train.trainer import Callback, Trainer


class SlowStart(Callback):
    """Says that kernels are being compiled, if the first step of this process takes longer than `seconds`."""

    def __init__(self, write: Callable[[str], None] | None = None, seconds: float = 3.0):
        text = "compiling kernels, once for this machine (`tinymed warmup` does it ahead); the first step takes longest"
        self.timer = threading.Timer(seconds, write or to_stderr, [text])
        self.timer.daemon = True

    def on_start(self, trainer: Trainer) -> None:
        if not trainer.finished:
            self.timer.start()

    def late(self, step: int) -> bool:
        return True

    def on_step(self, trainer: Trainer, loss: float) -> None:
        self.timer.cancel()

    def close(self) -> None:
        self.timer.cancel()


class LongRun(Callback):
    """Says once, when the pace is known, how long a training takes that lasts longer than `minutes`.

    The pace is that of the first `seconds` of training after the first step.
    """

    def __init__(self, write: Callable[[str], None] | None = None, minutes: float = 30.0, seconds: float = 5.0):
        self.write, self.minutes, self.seconds = write or to_stderr, minutes, seconds
        self.pace, self.told = Pace(), False

    def late(self, step: int) -> bool:
        return True

    def on_step(self, trainer: Trainer, loss: float) -> None:
        self.pace.step(trainer)
        known = self.pace.passed(trainer)[2]
        if self.told or not known or known < self.seconds:
            return
        self.told, left = True, self.pace.left(trainer)
        if left > 60 * self.minutes:
            self.write(
                f"at this pace the training takes {clock(left)}, validation apart; a smaller --size, fewer --epochs or "
                "a narrower network (`tinymed models`) is quicker. Ctrl-C loses nothing"
            )
