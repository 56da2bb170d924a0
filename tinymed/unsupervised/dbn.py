"""Deep belief networks: restricted Boltzmann machines learnt one above the other, then unrolled into a network.

Each machine learns the means of the hidden units below it.  The stack is a generative model (its two top layers are
undirected, the others point down), and its weights are initial ones of a network that back-propagation tunes: a
classifier, or an auto-encoder whose decoder has the transposed weights.  Hinton, Osindero & Teh, Neural Computation 18,
2006; Hinton & Salakhutdinov, Science 313, 2006.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from .. import devices
from ..errors import UserError
from .greedy import StackLayer, install_layers
from .learning import ContrastiveDivergence, fit
from .rbm import RBM
from .units import Array


class DBN:
    """A deep belief network.

    Args:
        sizes: Units of the layers, the visible first: two or more numbers.
        kind: Of the visible units, "bernoulli" or "gaussian"; all others are binary.
        seed: Of initial weights and samples; layer i has seed + i.
        std: Standard deviation of the initial weights.

    Attributes:
        machines: The restricted Boltzmann machines, the lowest first.

    Raises:
        UserError: There is no hidden layer, or a machine cannot be made.

    Example:
        >>> net = DBN([16, 8, 4])
        >>> net.hidden_mean(np.zeros((3, 16), np.float32)).shape
        (3, 4)

    Reference:
        Hinton, Osindero & Teh, Neural Computation 18, 2006.
    """

    def __init__(self, sizes: Sequence[int], kind: str = "bernoulli", seed: int = 0, std: float = 0.01):
        if len(sizes) < 2:
            raise UserError(f"DBN: needs the visible and at least one hidden layer, got sizes {list(sizes)}")
        self.machines = [
            RBM(below, above, kind if i == 0 else "bernoulli", seed + i, std)
            for i, (below, above) in enumerate(pairwise(sizes))
        ]

    def __repr__(self) -> str:
        return f"DBN({[self.machines[0].visible, *(m.hidden for m in self.machines)]}, {self.machines[0].kind!r})"

    def hidden_mean(self, v: Array, layers: int | None = None) -> Array:
        """Return the means of hidden layer number `layers`, by default the last; 0 gives v itself."""
        for machine in self.machines[:layers]:
            v = machine.hidden_mean(v)
        return v

    def visible_mean(self, h: Array) -> Array:
        """Return the means of the visible units given states of the top layer, layer by layer downwards."""
        for machine in reversed(self.machines):
            h = machine.visible_mean(h)
        return h

    def sample(self, start: Array, steps: int) -> Array:
        """Return means of the visible units after `steps` rounds of Gibbs sampling in the two top layers.

        start: states of the layer below the top, [n, units]; of a single machine, visible states.
        """
        *lower, top = self.machines
        v = top.gibbs(start, steps)
        for machine in reversed(lower):
            v = machine.visible_mean(v)
        return v

    def pretrain(
        self,
        data: Array,
        epochs: int,
        batch: int = 100,
        seed: int = 0,
        watch: Callable[[int, int, float], None] | None = None,
        **learning: Any,
    ) -> list[list[float]]:
        """Learn the machines one after the other, each from the means of the one below.

        Args:
            data: [n, visible].
            epochs: Passes over the data for each layer.
            batch: Rows of a batch.
            seed: Of the order of rows.
            watch: Called with (layer, epoch, mean error).
            learning: Arguments of `ContrastiveDivergence`, such as lr, momentum, steps, chains.

        Returns:
            The mean error of each epoch, layer by layer.

        Example:
            >>> net = DBN([4, 3, 2])
            >>> [len(e) for e in net.pretrain(np.eye(4, dtype=np.float32), epochs=3, batch=2, lr=0.1)]
            [3, 3]
        """
        errors = []
        for i, machine in enumerate(self.machines):

            def tell(epoch: int, error: float, layer: int = i) -> None:
                if watch:
                    watch(layer, epoch, error)

            step = ContrastiveDivergence(machine, **learning)
            errors.append(fit(step, data, epochs, batch, seed, watch=tell))
            data = machine.hidden_mean(data)
        return errors

    def layers(self) -> list[StackLayer]:
        """Return the weights as those of dense layers, upwards and back down."""
        return [
            StackLayer(w.T.copy(), b.copy(), w.copy(), a.copy())
            for w, a, b in ((devices.move(p, "cpu") for p in machine.parameters.values()) for machine in self.machines)
        ]

    def unroll(self, model: Any) -> Any:
        """Copy the weights into the dense layers of a network, and return it: `mlp`, or `sae` with its decoder.

        Raises UserError where the layers have other sizes.

        Example:
            >>> from tinymed import models
            >>> net = DBN([16, 8, 4])
            >>> model = net.unroll(models.create("mlp", size=4, hidden="8,4"))
            >>> bool((model.stack[0].weight.numpy() == net.machines[0].weight.T).all())
            True
        """
        install_layers(model, self.layers())
        return model
