"""How deep a dense network could be: sigmoids, ReLU, highway layers, and sigmoids that were pre-trained without labels.

    python examples/12_sigmoid_and_relu_by_depth.py

Teaches: why networks had one or two hidden layers until 2006.  A deep stack of sigmoids from random weights learns
nothing; a deep belief network (Hinton, Osindero & Teh 2006) gives each layer weights that pass the images on, and the
same stack learns; ReLU (2011) and gates (highway layers, 2015) made the detour unnecessary.
"""

import numpy as np

import tinymed
from tinymed import Tensor, models, nn, optim
from tinymed.models.bitmaps import DIGITS
from tinymed.unsupervised import DBN

DEPTHS, WIDTH, SIDE, STEPS = (1, 3, 8), 48, 16, 200
KINDS = {
    "sigmoid, random": {"activation": "sigmoid"},
    "sigmoid, pre-trained": {"activation": "sigmoid"},
    "sigmoid, highway": {"activation": "sigmoid", "highway": True},
    "ReLU, random": {"activation": "relu"},
}


def digits(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return noisy digits float32 [n, 1, side, side] of 0 and 1, somewhere about the middle, and which they are."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 10
    images = np.zeros((count, 1, SIDE, SIDE), np.float32)
    for i, digit in enumerate(labels):
        top, left = rng.integers(1, 4), rng.integers(3, 7)
        images[i, 0, top : top + 12, left : left + 7] = np.reshape(DIGITS[digit], (12, 7)) > 0
    return np.abs(images - (rng.random(images.shape) < 0.05)), labels


def make(kind: str, depth: int, images: np.ndarray) -> nn.Module:
    """Return a stack of `depth` hidden layers; pre-trained: with the weights of a deep belief network."""
    tinymed.manual_seed(0)
    model = models.create("mlp", num_classes=10, size=SIDE, hidden=[WIDTH] * depth, **KINDS[kind])
    if kind == "sigmoid, pre-trained":
        net = DBN([SIDE * SIDE, *[WIDTH] * depth], std=0.1)
        net.pretrain(images.reshape(len(images), -1), epochs=40, batch=50, lr=0.05)
        net.unroll(model)
    return model


def bottom_gradient(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Return |dloss / dweight| of the lowest layer."""
    nn.CrossEntropyLoss()(model(x), y).backward()
    return float(np.linalg.norm(model.stack[0].weight.grad.numpy()))


def accuracy_after_training(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Return the share of the training images that are right after STEPS steps of Adam."""
    optimizer, loss = optim.Adam(model.parameters(), lr=3e-3), nn.CrossEntropyLoss()
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()
    with tinymed.no_grad():
        return float((model(x).numpy().argmax(axis=1) == y.numpy()).mean())


def main() -> None:
    images, labels = digits(300)
    x, y = Tensor(images), Tensor(labels)
    print(f"{'hidden layers':22s}" + "".join(f"{depth:>20d}" for depth in DEPTHS))
    found = {}
    for kind in KINDS:
        cells = []
        for depth in DEPTHS:
            model = make(kind, depth, images)
            gradient, right = bottom_gradient(model, x, y), accuracy_after_training(model, x, y)
            found[kind, depth] = gradient, right
            cells.append(f"{100 * right:6.1f} % ({gradient:.0e})")
        print(f"{kind:22s}" + "".join(f"{cell:>20s}" for cell in cells))
    print("share of training images that are right (norm of the lowest layer's gradient before training)")
    deep = DEPTHS[-1]
    print("always one digit: 10 %")
    assert found["sigmoid, random", deep][1] < 0.4
    for kind in ("sigmoid, pre-trained", "sigmoid, highway", "ReLU, random"):
        assert found[kind, deep][1] > 0.7, kind
    for kind in ("sigmoid, highway", "ReLU, random"):
        assert found[kind, deep][0] > 100 * found["sigmoid, random", deep][0]
    print("Lesson: it was slopes that kept networks shallow; weights learnt without labels were the first way round.")


if __name__ == "__main__":
    with tinymed.use_backend("numpy"):
        main()
