"""Batch norm remembers: why a short run can evaluate badly with good weights.

    python examples/06_batch_norm_statistics.py

Teaches: that training normalises by the batch and evaluation by running statistics; that Keras's rule with momentum
.99 has hardly left its starting values (mean 0, variance 1) after a short run; that the bias-corrected rule, with the
same weights to the bit, evaluates well; what tinymed's StatisticsWarning says.
"""

import warnings

import numpy as np

import tinymed
from tinymed import models, nn, optim
from tinymed.data import Loader, synthetic_smear
from tinymed.nn import StatisticsWarning
from tinymed.train import SigmoidHead, Trainer, predict_scores

SIZE, BATCH, STEPS = 32, 32, 80
RULES = ("keras", "corrected")


def train(rule: str, loader: Loader, head: SigmoidHead) -> nn.Module:
    """The papers' CNN after STEPS steps of Adam, its batch norms keeping statistics by a rule."""
    tinymed.manual_seed(0)
    model = models.create("dcnn", in_channels=3, num_classes=2, size=SIZE, padding="same", statistics=rule)
    Trainer(model, optim.Adam(model.parameters(), lr=1e-3, eps=1e-7), head, loader).fit(steps=STEPS)
    return model


def evaluate(model: nn.Module, loader: Loader, head: SigmoidHead) -> tuple[float, float, list[str]]:
    """(accuracy, mean loss, what StatisticsWarning said) in evaluation mode."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scores, labels, loss = predict_scores(model, loader, head)
    said = [str(w.message) for w in caught if issubclass(w.category, StatisticsWarning)]
    return float((scores.argmax(1) == labels).mean()), loss, said


def main() -> None:
    head = SigmoidHead(2)
    training = Loader(synthetic_smear(640, SIZE, seed=1, difficulty=0.0), BATCH, SIZE, shuffle=True, workers=0)
    validation = Loader(synthetic_smear(256, SIZE, seed=2, difficulty=0.0), 128, SIZE, workers=0)
    networks = {rule: train(rule, training, head) for rule in RULES}

    weights = [[p.numpy() for p in networks[rule].parameters()] for rule in RULES]
    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True)), "the rule must not touch the weights"
    print(
        f"The papers' CNN after {STEPS} steps on synthetic smears, twice: same seed, same weights to the bit.  Only the"
    )
    print("rule for batch norm's running statistics differs; those shown are the first layer's, on average.\n")
    print(f"   {'rule':10s} {'weight of a batch':28s} {'mean':>6s} {'variance':>9s} {'accuracy':>9s} {'loss':>7s}")
    words = {"keras": "0.01 always", "corrected": "max(0.01, 1/t) at update t"}
    accuracy, said = {}, {}
    for rule, network in networks.items():
        accuracy[rule], loss, said[rule] = evaluate(network, validation, head)
        norm = next(m for m in network.modules() if isinstance(m, nn.BatchNorm2d))
        mean, variance = (float(np.mean(v.numpy())) for v in (norm.running_mean, norm.running_var))
        print(f"   {rule:10s} {words[rule]:28s} {mean:6.3f} {variance:9.3f} {accuracy[rule]:9.3f} {loss:7.3f}")

    kept = 0.99**STEPS
    print(f"\nAfter {STEPS} updates Keras's rule holds .99^{STEPS} = {kept:.2f} of what it started with, 0 and 1.")
    print("The corrected rule weighs the first batch by 1, the next by 1/2, ...: the plain mean of the first hundred.")
    print("\nWhat evaluation says of it, as a StatisticsWarning (once a layer):\n")
    for line in said["keras"]:
        print(f"   {line}")
    assert said["keras"], "the check must notice"
    assert not said["corrected"], said["corrected"]
    assert accuracy["corrected"] > accuracy["keras"] + 0.1
    print(f"\nLesson: the same weights score {accuracy['corrected']:.2f} or {accuracy['keras']:.2f}; "
          "before blaming training, look at the statistics.")  # fmt: skip


if __name__ == "__main__":
    main()
