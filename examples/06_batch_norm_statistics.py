"""Batch norm remembers: why a short run can evaluate badly with good weights.

    python examples/06_batch_norm_statistics.py

Teaches: that training normalises by the batch and evaluation by running statistics; that Keras's rule with momentum
.99 has hardly left its starting values (mean 0, variance 1) after a short run; that the bias-corrected rule has, but
with a long memory still averages over weights long gone; that the same weights, to the bit, evaluate well once the
memory fits the length of the run; what tinymed's StatisticsWarning says.
"""

import warnings

import numpy as np

import tinymed
from tinymed import models, nn, optim
from tinymed.data import Loader, synthetic_smear
from tinymed.nn import StatisticsWarning
from tinymed.train import SigmoidHead, Trainer, predict_scores

SIZE, BATCH, STEPS = 48, 32, 60
# Title, rule, weight of the new batch ("momentum" in PyTorch's sense; Keras calls 1 - 0.01 = 0.99 its momentum).
RULES = [("Keras, .99", "keras", 0.01), ("corrected, .01", "corrected", 0.01), ("corrected, .1", "corrected", 0.1)]

HEAD = SigmoidHead(2)


def norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    """Return the batch norms, in the order they run."""
    return [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]


def train(rule: str, momentum: float, loader: Loader) -> nn.Module:
    """Return the papers' CNN after STEPS steps of Adam, its batch norms keeping statistics by a rule."""
    tinymed.manual_seed(0)
    network = models.create("dcnn", size=SIZE, statistics=rule, bn_momentum=momentum)
    Trainer(network, optim.Adam(network.parameters(), lr=1e-3, eps=1e-7), HEAD, loader).fit(steps=STEPS)
    return network


def recompute(network: nn.Module, loader: Loader) -> None:
    """Statistics of the final weights: forget the old ones, then the plain mean over the training images."""
    network.eval()  # dropout off, as in evaluation
    for norm in norms(network):
        norm.reset_running_stats()
        norm.momentum = None  # every batch weighs the same
        norm.train()
    with tinymed.no_grad():
        for images, _, _ in loader:
            network(tinymed.from_numpy(images))


def evaluate(network: nn.Module, loader: Loader) -> tuple[float, float, list[str]]:
    """(accuracy, mean loss, what StatisticsWarning said) in evaluation mode."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scores, labels, loss = predict_scores(network, loader, HEAD)
    said = [str(w.message) for w in caught if issubclass(w.category, StatisticsWarning)]
    return float((scores.argmax(1) == labels).mean()), loss, said


def show(title: str, network: nn.Module, loader: Loader) -> tuple[float, list[str]]:
    """Print a row of the table; return accuracy and warnings."""
    accuracy, loss, said = evaluate(network, loader)
    mean, variance = (
        float(np.mean(v.numpy())) for v in (norms(network)[0].running_mean, norms(network)[0].running_var)
    )
    print(f"   {title:22s} {mean:8.3f} {variance:9.4f} {accuracy:9.3f} {loss:7.3f} {len(said):9d}")
    return accuracy, said


def main() -> None:
    training = Loader(synthetic_smear(960, SIZE, seed=1, difficulty=0.0), BATCH, SIZE, shuffle=True, workers=0)
    validation = Loader(synthetic_smear(256, SIZE, seed=2, difficulty=0.0), 128, SIZE, workers=0)
    networks = {title: train(rule, momentum, training) for title, rule, momentum in RULES}
    weights = [[p.numpy() for p in network.parameters()] for network in networks.values()]
    for others in weights[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(weights[0], others, strict=True)), (
            "the rule touched the weights"
        )

    print(f"The papers' CNN after {STEPS} steps on synthetic smears, {len(RULES)} times: the same weights to the bit.")
    print("Only the running statistics differ; shown are the first batch norm's, averaged over its channels.\n")
    print(f"   {'statistics':22s} {'mean':>8s} {'variance':>9s} {'accuracy':>9s} {'loss':>7s} {'warnings':>9s}")
    rows = {title: show(title, network, validation) for title, network in networks.items()}
    final = networks["corrected, .1"]
    recompute(final, training)
    rows["recomputed"] = show("recomputed at the end", final, validation)

    print(
        f"\nAfter {STEPS} updates Keras's rule holds .99^{STEPS} = {0.99**STEPS:.2f} of what it started with, 0 and 1."
    )
    print(
        "The corrected rule weighs update t by max(momentum, 1/t): nothing is left of the start.  But .01 remembers a"
    )
    print("hundred batches, here all of them, and the first were seen by other weights; .1 remembers the last ten.")
    print("\nWhat evaluation says of the first row, as a StatisticsWarning (once a layer):\n")
    print(f"   {rows['Keras, .99'][1][0]}")
    bad, good, best = (rows[name][0] for name in ("Keras, .99", "corrected, .1", "recomputed"))
    assert len(rows["Keras, .99"][1]) == len(norms(final)), "the check must notice in every layer"
    assert not rows["recomputed"][1], rows["recomputed"][1]
    assert min(good, best) > bad + 0.2
    print(f"\nLesson: the same weights score {bad:.2f} or {good:.2f}; before blaming training, look at the statistics.")


if __name__ == "__main__":
    main()
