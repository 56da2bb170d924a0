"""A stream without an end, learned in pieces: the state goes on, its gradient does not.

    python examples/11_truncated_backpropagation.py

Teaches: truncated back-propagation through time.  A stream of bits comes in pieces of 8 steps; the network must say, at
each step, the bit of 3 steps before.  Back-propagation through the whole stream would keep every step in memory.  So
each piece begins with the state that the piece before left, detached: the values go on, and the gradient ends at the
border of the piece.  Three bits at the beginning of each piece are known through that state alone.  Without it they
cannot be told better than by a coin.
"""

import numpy as np

import tinymed
from tinymed import nn, optim
from tinymed.nn import functional as F

STEPS, BATCH, DELAY, PIECES = 8, 32, 3, 250


def pieces(count, seed):
    """Yield pieces (STEPS, BATCH) of a stream of bits, and the bits DELAY steps before each."""
    rng = np.random.default_rng(seed)
    before = rng.integers(0, 2, (DELAY, BATCH))
    for _ in range(count):
        bits = rng.integers(0, 2, (STEPS, BATCH))
        stream = np.concatenate([before, bits])
        yield bits, stream[:STEPS]
        before = stream[STEPS:]


def run(carry, seed=0):
    """Train on a stream; return how many of the first bits of a piece are right in the last fifty pieces."""
    tinymed.manual_seed(seed)
    layer, head = nn.GRU(1, 24), nn.Linear(24, 2)
    optimizer = optim.Adam([*layer.parameters(), *head.parameters()], lr=0.01)
    state, right = None, []
    for bits, wanted in pieces(PIECES, seed):
        x = tinymed.tensor(bits[:, :, None].astype(np.float32) * 2 - 1)
        outputs, state = layer(x, state)
        state = state.detach() if carry else None  # values go on, gradients end here
        scores = head(outputs)
        optimizer.zero_grad()
        F.cross_entropy(F.permute(scores, (1, 2, 0)), tinymed.tensor(wanted.T)).backward()
        nn.utils.clip_grad_norm_([*layer.parameters(), *head.parameters()], 1.0)
        optimizer.step()
        right.append((scores.numpy().argmax(2) == wanted)[:DELAY].mean())
    return float(np.mean(right[-50:]))


def main():
    carried, cut = run(carry=True), run(carry=False)
    print(f"The first {DELAY} bits of a piece, which only the state of the piece before can tell:")
    print(f"    with that state, detached  {carried:.1%} right")
    print(f"    without it                 {cut:.1%} right")
    assert carried > 0.95
    assert cut < 0.6
    print("Lesson: detach() the state between two pieces of a sequence: values go on, gradients and memory end there.")


if __name__ == "__main__":
    main()
