"""What the discriminator of an adversarial pair says, and the step in which the two are trained against each other."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...data.device_batches import as_array
from ...nn import functional as F
from ...tensor import Tensor


class AdversarialHead:
    """The meaning of (discriminator of real, discriminator of drawn pictures): above 0 is "real".

    Each is a tensor [n, 1, 1, 1].  The training has no loss of one network: see `adversarial_step`.
    """

    classes = 1
    measure = "told_apart"

    def targets(self, labels: np.ndarray) -> np.ndarray:
        """Return the real pictures, which are what a batch of latent numbers is trained beside."""
        return labels

    def __call__(self, outputs: Any, targets: Any) -> Tensor:
        """Return the discriminator's loss, a scalar tensor."""
        return discriminator_loss(*outputs)

    def scores(self, outputs: np.ndarray) -> np.ndarray:
        """Return pictures from -1 to 1 as pictures from 0 to 1."""
        pictures: np.ndarray = np.clip((outputs + 1) / 2, 0, 1)
        return pictures

    def correct(self, outputs: Any, labels: Any) -> float:
        """Return how many pictures of a batch are told apart, a real one and a drawn one counting half each."""
        real, drawn = (as_array(o) for o in outputs)
        return float((real > 0).sum() + (drawn < 0).sum()) / 2

    def unweighted(self) -> "AdversarialHead":
        """Return itself: there are no class weights."""
        return self


def discriminator_loss(real: Tensor, drawn: Tensor) -> Tensor:
    """Return the mean of -log D(real) and -log(1 - D(drawn)), of outputs before the sigmoid."""
    halves = (
        F.binary_cross_entropy_with_logits(real, real.new_ones(real.shape)),
        F.binary_cross_entropy_with_logits(drawn, drawn.new_zeros(drawn.shape)),
    )
    total: Tensor = (halves[0] + halves[1]) / 2
    return total


def generator_loss(drawn: Tensor) -> Tensor:
    """Return -log D(drawn), which rises where the discriminator is sure: the non-saturating loss."""
    loss: Tensor = F.binary_cross_entropy_with_logits(drawn, drawn.new_ones(drawn.shape))
    return loss


class Opponents:
    """The optimisers of a generator and of a discriminator, kept and scheduled as one.

    Args:
        generator: Steps the generator.
        discriminator: Steps the discriminator.
    """

    def __init__(self, generator: Any, discriminator: Any):
        self.generator, self.discriminator = generator, discriminator

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Return the groups of both, the generator's first."""
        return [*self.generator.param_groups, *self.discriminator.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Return the states of both."""
        return {"generator": self.generator.state_dict(), "discriminator": self.discriminator.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the states of both."""
        self.generator.load_state_dict(state["generator"])
        self.discriminator.load_state_dict(state["discriminator"])


@contextmanager
def constant(module: Any) -> Iterator[None]:
    """Take the weights of a module for constants: what passes through it has a gradient, they have none."""
    learning = [p for p in module.parameters() if p.requires_grad]
    for p in learning:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in learning:
            p.requires_grad_(True)


def adversarial_step(model: Any, optimizers: Opponents) -> Callable[[Any, Any], tuple[Tensor, tuple[Tensor, Tensor]]]:
    """Return the step (latent numbers, real pictures) -> (the generator's loss, what the discriminator said).

    The discriminator steps first, on real and drawn pictures in batches of their own, as batch norm wants them; then
    the generator, by what the discriminator says now.
    """
    discriminator = model.discriminator

    def step(latent: Tensor, real: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        drawn = model(latent)
        optimizers.discriminator.zero_grad()
        said = discriminator(real), discriminator(drawn.detach())
        discriminator_loss(*said).backward()
        optimizers.discriminator.step()
        optimizers.generator.zero_grad()
        with constant(discriminator):
            loss = generator_loss(discriminator(drawn))
            loss.backward()
        optimizers.generator.step()
        return loss, said

    return step
