"""Memory that CUDA graphs work in by turns, on the stand-in for CuPy: less of it, and no number is another."""

import gc
import threading
from contextlib import contextmanager

import numpy as np
import pytest
from fake_cupy import reading_allowed
from fake_streams import Stream, graphs

import tinymed
from tinymed import nn, optim
from tinymed.nn import functional as F
from tinymed.program import capture
from tinymed.program.program import Program
from tinymed.program.shared import SharedBlock, there

SIDE = 12


@pytest.fixture(autouse=True)
def spoilt(monkeypatch):
    """What lies in a shared block is overwritten after each launch, as another program might do."""
    turn = SharedBlock.turn

    @contextmanager
    def spoiling(self):
        with turn(self):
            yield
            self.memory.fill(255)

    monkeypatch.setattr(SharedBlock, "turn", spoiling)


def programs(captured):
    return [replay.program for known in captured.replays.values() for replay in known]


def host(t):
    with reading_allowed():
        return t.cpu().numpy()


def trained():
    """Two whole batches, a smaller one, and a validation after each: every number seen, and the programs."""
    with tinymed.use_backend("cuda"), reading_allowed():
        tinymed.manual_seed(3)
        model = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(8 * SIDE * SIDE // 4, 2),
        ).to("cuda")
        rule = optim.Adam(model.parameters(), lr=0.01)

        def train(x, y):
            rule.zero_grad()
            outputs = model(x)
            loss = F.cross_entropy(outputs, y)
            loss.backward()
            rule.step()
            return loss, outputs

        train, forward, seen = capture(train), capture(lambda x: model(x)), []
        x, y = tinymed.randn(6, 3, SIDE, SIDE, seed=1), tinymed.tensor([0, 1, 1, 0, 1, 0])
        for size in (6, 4, 6, 4):
            model.train()
            loss, outputs = train(x[:size], y[:size])
            gradients = [host(p.grad) for p in model.parameters()]
            model.eval()
            with tinymed.no_grad():
                scores = forward(x[1:4])
            assert all(np.array_equal(host(p.grad), g) for p, g in zip(model.parameters(), gradients, strict=True))
            seen += [host(loss), host(outputs), host(scores), *gradients]
        seen += [host(v) for v in model.state_dict().values()]
        return seen, [*programs(train), *programs(forward)]


def test_three_programs_of_a_network_share_a_block_and_no_number_is_another(cuda, monkeypatch):
    found, made = trained()
    assert len(graphs) == len(made) == 3
    (block,) = {p.shared for p in made}
    needed = [p.arena.used for p in made]
    assert block.nbytes == max(needed) > 0
    own = [p.arena.nbytes - p.arena.used for p in made]
    monkeypatch.setattr(Program, "plan", lambda self, sharing=False, plan=Program.plan: plan(self))
    expected, alone = trained()
    assert [p.shared for p in alone] == [None] * 3
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    assert block.nbytes + sum(own) < 0.75 * sum(p.arena.nbytes for p in alone)


def doubled(n):
    """A captured function of n numbers with something to lay down on its way."""
    return capture(lambda t: F.relu(F.relu(t) * 2).sum()), tinymed.ones(n, device="cuda")


def test_a_block_never_grows_and_goes_with_its_last_program(cuda):
    gc.collect()
    before = set(there)
    with tinymed.use_backend("cuda"), reading_allowed():
        for n in (2000, 9000, 1000, 5000):
            step, x = doubled(n)
            assert host(step(x)) == 2 * n
            (program,) = programs(step)
            if n == 2000:
                first = step, x, program
            elif n == 9000:
                second = step, x, program
            else:
                assert program.shared is (first if n == 1000 else second)[2].shared
        assert first[2].shared is not second[2].shared
        assert host(first[0](first[1])) == 4000
        assert len(set(there) - before) == 2
        del step, program, first, second
        gc.collect()
        assert set(there) == before


def test_launches_on_two_streams_follow_each_other(cuda):
    """Unordered if the second did not wait: the caller has said nothing."""
    with tinymed.use_backend("cuda"):
        with reading_allowed():
            one, x = doubled(3000)
            two, y = doubled(2000)
            one(x), two(y)
        sides = Stream(non_blocking=True), Stream(non_blocking=True)
        for side in sides:
            side.wait_event(Stream.null.record())
        found = []
        for step, given, side in ((one, x, sides[0]), (two, y, sides[1]), (one, x, sides[0])):
            with side:
                found.append(step(given))
        for side in sides:
            Stream.null.wait_event(side.record())
        assert [float(host(t)) for t in found] == [6000, 4000, 6000]


def test_launches_of_two_threads_follow_each_other(cuda):
    with tinymed.use_backend("cuda"):
        with reading_allowed():
            (one, x), (two, y) = doubled(3000), doubled(2000)
            one(x), two(y)
        block = programs(one)[0].shared
        with block.turn():
            thread = threading.Thread(target=two.replays.copy().popitem()[1][0].graph.launch)
            thread.start()
            thread.join(0.2)
            assert thread.is_alive()
            launches = sum(g.launches for g in graphs)
        thread.join()
        assert sum(g.launches for g in graphs) == launches + 1


def test_a_program_that_is_replayed_call_by_call_shares_nothing(cuda):
    """cuBLAS cannot be captured: on `cupy` the step runs outside a graph."""
    with tinymed.use_backend("cupy"), reading_allowed():
        x = tinymed.randn(40, 40, seed=0)
        step = capture(lambda t: F.relu(t @ t).sum() + F.relu(t).sum(), fallback=True)
        expected = host(F.relu(x @ x).sum() + F.relu(x).sum())
        assert [float(host(step(x))) for _ in range(2)] == pytest.approx([float(expected)] * 2, rel=1e-6)
    assert "cuBLAS" in step.ungraphed
    assert programs(step)[0].shared is None
