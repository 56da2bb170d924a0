"""Training, checkpoints, metrics, run folders.  Names are looked up at first use, so importing this is free."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..metrics.classification import evaluate_scores as evaluate_scores
    from ..tasks.base.config import RunConfig as RunConfig
    from ..tasks.heads.class_heads import SigmoidHead as SigmoidHead
    from ..tasks.heads.class_heads import SoftmaxHead as SoftmaxHead
    from ..tasks.inference.class_scores import predict_scores as predict_scores
    from .callbacks import Checkpoints as Checkpoints
    from .callbacks import EarlyStopping as EarlyStopping
    from .callbacks import JsonLog as JsonLog
    from .callbacks import Schedule as Schedule
    from .checkpoint import load_checkpoint as load_checkpoint
    from .checkpoint import save_checkpoint as save_checkpoint
    from .display import Lines as Lines
    from .run import Run as Run
    from .trainer import Callback as Callback
    from .trainer import Progress as Progress
    from .trainer import Trainer as Trainer

HOMES = {
    "train.callbacks": ("Checkpoints", "EarlyStopping", "JsonLog", "Schedule"),
    "train.checkpoint": ("load_checkpoint", "save_checkpoint"),
    "tasks.base.config": ("RunConfig",),
    "train.display": ("Lines",),
    "tasks.heads.class_heads": ("SigmoidHead", "SoftmaxHead"),
    "metrics.classification": ("evaluate_scores",),
    "train.run": ("Run",),
    "train.trainer": ("Callback", "Progress", "Trainer"),
    "tasks.inference.class_scores": ("predict_scores",),
}
HOME = {name: module for module, names in HOMES.items() for name in names}
__all__ = sorted(HOME)


def __getattr__(name: str) -> Any:
    """Import a public name's module when it is first asked for."""
    if name not in HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"tinymed.{HOME[name]}"), name)
