"""What decides a greedy pre-training: the schema from which `tinymed pretrain` takes its options."""

from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from ..errors import UserError
from ..schema import PositiveRate, Strict, setting


class PretrainConfig(Strict):
    """How the hidden layers of a network are learnt one after the other, without labels.

    Example:
        >>> PretrainConfig(by="autoencoder", corrupted=0.3).epochs
        10
    """

    panel: ClassVar[str] = "Pre-training"
    by: Literal["rbm", "autoencoder"] = setting("rbm", "What learns each layer.")
    visible: Literal["bernoulli", "gaussian"] = setting(
        "bernoulli", "What pixels are: probabilities, or, with --normalise, numbers about 0.", shown="as the pixels are"
    )
    epochs: int = setting(10, "Passes over the training images for each layer.", ge=1)
    batch: int = setting(100, "Images in a step.", ge=1)
    lr: PositiveRate = setting(
        0.05, "Learning rate.", shown="0.05 of an rbm, 0.001 of Gaussian pixels and auto-encoders"
    )
    momentum: float = setting(0.5, "Share of the last step that is kept, of an rbm.", ge=0, lt=1)
    weight_decay: float = setting(0.0, "L2 penalty of the weights.", ge=0, allow_inf_nan=False)
    gibbs: int = setting(1, "Rounds k of Gibbs sampling of an rbm.", ge=1, le=1000)
    chains: int = setting(0, "Persistent chains of an rbm; 0: contrastive divergence.", ge=0, le=100_000)
    corrupted: float = setting(0.0, "Share of an auto-encoder's inputs that are set to 0.", ge=0, lt=1)
    sparsity: float = setting(0.05, "Mean that each hidden unit of an auto-encoder is to have.", gt=0, lt=1)
    sparsity_weight: float = setting(
        0.0, "Weight of the Kullback-Leibler divergence from it.", ge=0, allow_inf_nan=False
    )
    seed: int = setting(0, "Of weights, order and samples.", ge=0, lt=2**63)
    backend: str | None = setting(None, "Of auto-encoders: numba, loops, numpy, cuda, cupy or emulated (numba).")

    @model_validator(mode="before")
    @classmethod
    def default_rate(cls, values: Any) -> Any:
        """Choose the learning rate where it is not given: what suits probabilities diverges on Gaussian units."""
        if isinstance(values, dict) and "lr" not in values:
            probabilities = values.get("by", "rbm") == "rbm" and values.get("visible", "bernoulli") == "bernoulli"
            return values | {"lr": 0.05 if probabilities else 0.001}
        return values

    @model_validator(mode="after")
    def check_method(self) -> Self:
        """Raise UserError for a value that the method leaves without effect."""
        of = {"corrupted": "autoencoder", "sparsity_weight": "autoencoder", "chains": "rbm"}
        for name, method in of.items():
            if getattr(self, name) and method != self.by:
                raise UserError(f"--{name.replace('_', '-')}: has no effect here: it is of --by {method}")
        return self
