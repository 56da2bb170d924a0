"""Training, checkpoints, metrics, run folders.  Names are looked up at first use, so importing this is free."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .callbacks import Checkpoints as Checkpoints
    from .callbacks import EarlyStopping as EarlyStopping
    from .callbacks import JsonLog as JsonLog
    from .callbacks import Schedule as Schedule
    from .checkpoint import load_checkpoint as load_checkpoint
    from .checkpoint import save_checkpoint as save_checkpoint
    from .config import RunConfig as RunConfig
    from .display import Lines as Lines
    from .heads import SigmoidHead as SigmoidHead
    from .heads import SoftmaxHead as SoftmaxHead
    from .metrics import evaluate_scores as evaluate_scores
    from .run import Run as Run
    from .trainer import Callback as Callback
    from .trainer import Progress as Progress
    from .trainer import Trainer as Trainer
    from .trainer import predict_scores as predict_scores

HOMES = {
    "callbacks": ("Checkpoints", "EarlyStopping", "JsonLog", "Schedule"),
    "checkpoint": ("load_checkpoint", "save_checkpoint"),
    "config": ("RunConfig",),
    "display": ("Lines",),
    "heads": ("SigmoidHead", "SoftmaxHead"),
    "metrics": ("evaluate_scores",),
    "run": ("Run",),
    "trainer": ("Callback", "Progress", "Trainer", "predict_scores"),
}
HOME = {name: module for module, names in HOMES.items() for name in names}
__all__ = sorted(HOME)


def __getattr__(name: str) -> Any:
    """Import a public name's module when it is first asked for."""
    if name not in HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOME[name]}"), name)
