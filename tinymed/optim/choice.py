"""The optimiser that a run's configuration names."""

from typing import Any

from .adam import Adam, AdamW
from .optimizer import Optimizer
from .rmsprop import Adagrad, RMSprop
from .sgd import SGD


def choose_optimizer(config: Any, parameters: Any) -> Optimizer:
    """Return the optimiser of a configuration, with its L1 penalty.

    Adam has Keras's epsilon of 1e-7, as in the papers' recipe; rmsprop_nesterov has DeepMedic's numbers.

    Args:
        config: A run's configuration: optimizer, lr, weight_decay, l1.
        parameters: Tensors, or groups of them with rates of their own.
    """
    common: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay}
    optimizer: Optimizer
    if config.optimizer in ("adam", "adamw"):
        optimizer = (Adam if config.optimizer == "adam" else AdamW)(parameters, eps=1e-7, **common)
    elif config.optimizer in ("sgd", "momentum", "nesterov"):
        momentum = 0.0 if config.optimizer == "sgd" else 0.9
        optimizer = SGD(parameters, momentum=momentum, nesterov=config.optimizer == "nesterov", **common)
    elif config.optimizer == "rmsprop":
        optimizer = RMSprop(parameters, **common)
    elif config.optimizer == "rmsprop_nesterov":
        optimizer = RMSprop(parameters, alpha=0.9, eps=1e-4, momentum=0.6, nesterov=True, **common)
    else:
        optimizer = Adagrad(parameters, **common)
    if config.l1:
        optimizer.penalise(config.l1)
    return optimizer
