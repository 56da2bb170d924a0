"""Greedy pre-training: the hidden layers of a dense network, each learnt without labels from the one below it.

    rbm           a restricted Boltzmann machine (Hinton, Osindero & Teh 2006)
    autoencoder   x -> f(W x + b) -> V h + c, back to x; denoising, sparse (Bengio et al. 2006; Vincent et al. 2010)

Either way a layer keeps W and b, and what leads back down, and hands its hidden means to the next one.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import devices, nn, random
from ..data.device_batches import as_array, as_arrays
from ..errors import UserError
from ..nn import functional as F
from ..nn import init
from ..optim import Adam
from ..program import capture
from ..tape import no_grad
from ..tensor import Tensor
from .config import PretrainConfig
from .learning import ContrastiveDivergence, fit
from .rbm import RBM

Watch = Callable[[int, int, float], None]  # (layer, epoch, mean error)
SQUASH = {"sigmoid": F.sigmoid, "tanh": F.tanh, "relu": F.relu}


class StackLayer(NamedTuple):
    """What was learnt of one dense layer: weight [units above, units below] and bias, and those that lead back down."""

    weight: np.ndarray
    bias: np.ndarray
    back_weight: np.ndarray
    back_bias: np.ndarray


def dense_stack(model: Any, name: str = "the network") -> tuple[list[Any], list[Any]]:
    """Return (hidden layers of a network that can be pre-trained, those that lead back down, of an auto-encoder).

    Raises UserError for a network that is no stack of dense layers, or whose last one has no activation.
    """
    if not getattr(model, "stack", None):
        raise UserError(f"{name}: has no stack of dense layers to pre-train; choose mlp, sae or avendi_sae")
    if getattr(model, "code", "same") == "linear":
        raise UserError(
            f"{name}: its code is linear, and layers are learnt with their activation; give --option code=same"
        )
    return model.stack, getattr(model, "mirror", [])


def install_layers(model: Any, layers: Sequence[StackLayer]) -> None:
    """Copy what was learnt into the dense layers of a network, and into its decoder where it has one.

    Raises UserError where a layer has another size.
    """
    stack, mirror = dense_stack(model)
    wanted = [tuple(layer.weight.shape) for layer in stack]
    found = [layer.weight.shape for layer in layers]
    if wanted != found:
        raise UserError(f"pre-training: the network's dense layers are {wanted}, those that were learnt {found}")
    with no_grad():
        for own, learnt in zip(stack, layers, strict=True):
            own.weight.copy_(Tensor(learnt.weight))
            own.bias.copy_(Tensor(learnt.bias))
        for own, learnt in zip(mirror, layers, strict=False):
            own.weight.copy_(Tensor(learnt.back_weight))
            own.bias.copy_(Tensor(learnt.back_bias))


class AutoencoderLearning:
    """One step of learning a one-layer auto-encoder after the other, by back-propagation and Adam.

    loss = mean squared error of each image, summed over its units / 2 (cross-entropy of probabilities)
           + sparsity_weight * SparsityLoss

    Args:
        visible: Units below.
        hidden: Units above.
        config: Rates, corrupted, sparsity.
        activation: Of the hidden units.
        probabilities: Whether inputs lie in 0 to 1, which the reconstruction is then too, by a sigmoid.
        seed: Of initial weights and of what is corrupted.
    """

    def __init__(
        self, visible: int, hidden: int, config: PretrainConfig, activation: str, probabilities: bool, seed: int
    ):
        self.config, self.seed, self.step_number = config, seed, 0
        self.squash, self.probabilities = SQUASH[activation], probabilities
        self.sparse = nn.SparsityLoss(config.sparsity)
        device = devices.default()
        random.init_generator.manual_seed(seed)
        self.encoder, self.decoder = nn.Linear(visible, hidden).to(device), nn.Linear(hidden, visible).to(device)
        for layer in (self.encoder, self.decoder):
            init.xavier_uniform_(layer.weight)
            assert layer.bias is not None
            init.zeros_(layer.bias)
        parameters = [*self.encoder.parameters(), *self.decoder.parameters()]
        self.optimizer = Adam(parameters, lr=config.lr, weight_decay=config.weight_decay)
        self.captured = capture(self.step, fallback=True)

    def step(self, seen: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """Change the weights by one step; returns the loss and the reconstruction."""
        self.optimizer.zero_grad()
        hidden = self.squash(self.encoder(seen))
        outputs = self.decoder(hidden)
        if self.probabilities:
            loss = F.binary_cross_entropy_with_logits(outputs, wanted, reduction="sum") / len(seen)
            back = F.sigmoid(outputs)
        else:
            loss, back = 0.5 * F.mse_loss(outputs, wanted, reduction="sum") / len(seen), outputs
        if self.config.sparsity_weight:
            loss = loss + self.config.sparsity_weight * self.sparse(hidden)
        loss.backward()
        self.optimizer.step()
        return loss, back

    def __call__(self, data: np.ndarray) -> float:
        """Learn from one batch [n, visible]; return the mean squared error of its reconstruction beforehand."""
        seen = data
        if self.config.corrupted:
            drawn = random.uniform(data.size, self.seed, random.NOISE, self.step_number).reshape(data.shape)
            seen = np.where(drawn < self.config.corrupted, 0, data).astype(data.dtype)
        self.step_number += 1
        place = devices.default()
        loss, back = self.captured(Tensor(devices.move(seen, place)), Tensor(devices.move(data, place)))
        if not np.isfinite(loss.item()):
            raise UserError(f"the auto-encoder has diverged; lower the learning rate (it is {self.config.lr:g})")
        return float(((as_array(back) - data) ** 2).mean())

    def layer(self) -> StackLayer:
        """Return what was learnt."""
        return StackLayer(*(as_array(p).copy() for m in (self.encoder, self.decoder) for p in (m.weight, m.bias)))

    def state(self) -> dict[str, Any]:
        """Return everything that the next step depends on."""
        state: dict[str, Any] = as_arrays(
            {
                "encoder": self.encoder.state_dict(),
                "decoder": self.decoder.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "step": self.step_number,
            }
        )
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned."""
        self.encoder.load_state_dict(state["encoder"])
        self.decoder.load_state_dict(state["decoder"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step_number = int(state["step"])


class MachineLearning:
    """Contrastive divergence under the same methods as `AutoencoderLearning`."""

    def __init__(self, visible: int, hidden: int, config: PretrainConfig, kind: str, seed: int):
        self.machine = RBM(visible, hidden, kind, seed)
        self.learning = ContrastiveDivergence(
            self.machine, config.lr, config.momentum, config.weight_decay, config.gibbs, config.chains
        )

    def __call__(self, data: np.ndarray) -> float:
        """Learn from one batch [n, visible]; return the mean squared error of its reconstruction beforehand."""
        return self.learning(data)

    def layer(self) -> StackLayer:
        """Return what was learnt."""
        machine = self.machine
        return StackLayer(
            machine.weight.T.copy(), machine.hidden_bias.copy(), machine.weight.copy(), machine.visible_bias.copy()
        )

    def state(self) -> dict[str, Any]:
        """Return everything that the next step depends on."""
        return self.learning.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned."""
        self.learning.restore(state)


def make_learning(
    sizes: Sequence[int], index: int, config: PretrainConfig, activation: str
) -> "MachineLearning | AutoencoderLearning":
    """Return what learns layer number `index` of a stack of these sizes, the visible units' first."""
    visible, hidden, seed = sizes[index], sizes[index + 1], config.seed + index
    if config.by == "rbm":
        return MachineLearning(visible, hidden, config, config.visible if index == 0 else "bernoulli", seed)
    probabilities = activation == "sigmoid" if index else config.visible == "bernoulli"
    return AutoencoderLearning(visible, hidden, config, activation, probabilities, seed)


def check_stack(config: PretrainConfig, activation: str) -> None:
    """Raise UserError where the layers' activation does not fit the method."""
    if activation != "sigmoid" and config.by == "rbm":
        raise UserError(
            f"--by rbm: learns sigmoid units, and the network's are {activation}; give --option activation=sigmoid, or "
            "--by autoencoder"
        )
    if activation != "sigmoid" and config.sparsity_weight:
        raise UserError(
            f"--sparsity-weight: is of means between 0 and 1, and the network's units are {activation}; give --option "
            "activation=sigmoid"
        )


def pretrain_layers(
    data: np.ndarray,
    hidden: Sequence[int],
    config: PretrainConfig,
    activation: str = "sigmoid",
    watch: Watch | None = None,
    resume: dict[str, Any] | None = None,
    save: Callable[[dict[str, Any]], None] | None = None,
) -> list[StackLayer]:
    """Learn the hidden layers of a dense network one after the other.

    Args:
        data: float32 [n, pixels].
        hidden: Units of each layer.
        config: How.
        activation: sigmoid, tanh or relu.
        watch: Called with (layer, epoch, mean squared error of reconstruction).
        resume: What `save` was given last, to go on from there to the same bits.
        save: Called after each epoch with everything that the rest depends on.

    Returns:
        What was learnt of each layer.

    Raises:
        UserError: The activation does not fit the method, or learning diverged.

    Example:
        >>> rows = np.eye(6, dtype=np.float32)
        >>> layers = pretrain_layers(rows, [4, 2], PretrainConfig(epochs=2, batch=3))
        >>> [layer.weight.shape for layer in layers]
        [(4, 6), (2, 4)]
    """
    check_stack(config, activation)
    state = resume or {"layer": 0, "epoch": 0, "learnt": []}
    learnt = [StackLayer(**layer) for layer in state["learnt"]]
    sizes = [data.shape[1], *hidden]
    for layer in learnt:
        data = encode(layer, data, activation, config.batch)
    for index in range(len(learnt), len(hidden)):
        learning = make_learning(sizes, index, config, activation)
        start = state["epoch"] if index == state["layer"] else 0
        if start:
            learning.restore(state["learning"])

        def finish_epoch(epoch: int, error: float, index: int = index, learning: Any = learning) -> None:
            if watch:
                watch(index, epoch, error)
            if save:
                done = [layer._asdict() for layer in learnt]
                save({"layer": index, "epoch": epoch, "learnt": done, "learning": learning.state()})

        fit(learning, data, config.epochs, config.batch, config.seed, start, finish_epoch)
        learnt.append(learning.layer())
        data = encode(learnt[-1], data, activation, config.batch)
    return learnt


def encode(layer: StackLayer, data: np.ndarray, activation: str, batch: int) -> np.ndarray:
    """Return the hidden values of rows, computed a batch at a time."""
    weight, bias = Tensor(layer.weight), Tensor(layer.bias)
    with no_grad():
        found = [
            SQUASH[activation](F.linear(Tensor(data[first : first + batch]), weight, bias)).numpy()
            for first in range(0, len(data), batch)
        ]
    return np.concatenate(found)
