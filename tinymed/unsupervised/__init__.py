"""Learning without labels: Boltzmann machines, greedy pre-training, level sets, models of shape.

    machine = RBM(784, 500)
    fit(ContrastiveDivergence(machine, lr=0.05, steps=1), images, epochs=5)
    machine.free_energy(images), machine.hidden_mean(images)

What is named here is imported when it is first used, so that the command line can read the schema alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config import PretrainConfig
    from .dbm import DBM, DBMLearning
    from .dbn import DBN
    from .greedy import pretrain_layers
    from .learning import ContrastiveDivergence, fit
    from .level_set import chan_vese, evolve
    from .rbm import RBM
    from .shape_model import ShapeModel, align_shapes

FILES = ("config", "rbm", "learning", "greedy", "dbn", "dbm", "level_set", "shape_model")
__all__ = [
    "DBM",
    "DBN",
    "RBM",
    "ContrastiveDivergence",
    "DBMLearning",
    "PretrainConfig",
    "ShapeModel",
    "align_shapes",
    "chan_vese",
    "evolve",
    "fit",
    "pretrain_layers",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        for file in FILES:
            module = import_module(f"{__name__}.{file}")
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
