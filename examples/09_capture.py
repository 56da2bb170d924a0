"""A train step as a program: recorded once, rewritten, planned, and replayed without tape or Python.

    python examples/09_capture.py

Teaches: what a step does, kernel by kernel, and what can be saved once the whole of it is known: work that two ops
repeat, passes over memory that can be one, and memory that several arrays can share.
"""

import time

import tinymed
from tinymed import nn, optim
from tinymed.nn import functional as F

tinymed.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(3, 16, 3, padding=1),
    nn.BatchNorm2d(16),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Dropout(0.1),
    nn.Conv2d(16, 32, 3, padding=1),
    nn.BatchNorm2d(32),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Linear(32 * 8 * 8, 2),
)
optimizer = optim.Adam(model.parameters(), lr=1e-3)


def step(images: tinymed.Tensor, labels: tinymed.Tensor) -> tinymed.Tensor:
    """Plain code: nothing in it knows that it may be captured.  It reads no tensor's value; that is all it takes."""
    optimizer.zero_grad()
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    optimizer.step()
    return loss


def milliseconds(function: object, *arguments: object) -> float:
    """Return the quickest of ten calls."""
    times = []
    for _ in range(10):
        start = time.perf_counter()
        function(*arguments)  # type: ignore[operator]
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


images, labels = tinymed.randn(32, 3, 32, 32, seed=1), tinymed.tensor([0, 1] * 16)
captured = tinymed.capture(step)
losses = [captured(images, labels).item() for _ in range(30)]
assert losses[-1] < min(losses[:3])  # it learns

print("As recorded, call by call:\n")
print(captured.recorded)
print("\nAs replayed:\n")
print(captured.program)

before, after = captured.recorded.count("\n"), len(captured.program.calls)
print(
    f"\n{before - 1} calls became {after}. 'also': the result serves several users. Other notes: calls that became one."
)
print("'at MiB': values that lie at one place live at different times.")
print(
    f"uncaptured {milliseconds(step, images, labels):.1f} ms, captured {milliseconds(captured, images, labels):.1f} ms"
)

# What a replay cannot know is refused, with the line that asks for it.
try:
    tinymed.capture(lambda x: x * float(x.sum()))(images)
except tinymed.program.CaptureError as refusal:
    print(f"\nrefused: {refusal}")

print("Lesson: once the whole step is known, repeated work, passes over memory and memory itself can be saved.")
