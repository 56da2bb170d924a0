"""Losses that are read when the next step is on its way: on the stand-in for CuPy, whose device is late."""

import json
from contextlib import contextmanager

import fake_streams
import numpy as np
import pytest
from fake_cupy import reading_allowed
from fake_streams import Stream, device, graphs, stack

import tinymed
from tinymed import nn, optim
from tinymed.cli.lr_range import RisingRate
from tinymed.data import Loader, device_reading, split_dataset, synthetic_smear
from tinymed.data.device_reading import SideReader, read_late
from tinymed.optim.lr_scheduler import CosineAnnealingLR
from tinymed.program import capture
from tinymed.runs.dashboard import Dashboard
from tinymed.runs.events import TensorBoard
from tinymed.runs.waiting import LongRun, SlowStart
from tinymed.tasks.base.config import DataConfig
from tinymed.tasks.heads.class_heads import SoftmaxHead
from tinymed.tasks.heads.embedding_head import EmbeddingHead
from tinymed.tasks.heads.mask_head import MaskHead
from tinymed.tasks.inference.case_scores import scored_cases
from tinymed.tasks.inference.class_scores import forward_pass, predict_scores
from tinymed.tasks.inference.mask_predictor import MaskPredictor
from tinymed.train import trainer as loop
from tinymed.train.averaging import WeightAverage
from tinymed.train.callbacks import Checkpoints, EarlyStopping, Interrupt, JsonLog, Schedule
from tinymed.train.checkpoint import BEST, NEWEST, digest, load_checkpoint
from tinymed.train.display import Lines
from tinymed.train.trainer import Callback, Diverged, Trainer

STEPS = 4  # of an epoch


def made(callbacks=(), place="cuda", poisoned=0, head=None):
    """A small network on cells of 16 px; the images of one step, counted from 1, may be no numbers."""
    tinymed.random.default_generator.manual_seed(5)
    tinymed.manual_seed(0)
    parts = split_dataset(synthetic_smear(20, 16, seed=1), {"train": 0.8, "val": 0.2})
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(3 * 8 * 8, 2)).to(place)
    train = Loader(parts["train"], 4, 8, shuffle=True, seed=1, workers=0)
    val = Loader(parts["val"], 5, 8, workers=0)
    made = Trainer(model, optim.SGD(model.parameters(), lr=0.05, momentum=0.9), head or SoftmaxHead(2), train, val)
    made.callbacks = list(callbacks)
    if poisoned:
        epoch = train.epoch

        def spoilt(number, first=0):
            for i, (images, *rest) in enumerate(epoch(number, first), start=first):
                yield (np.full_like(images, np.nan) if number * STEPS + i + 1 == poisoned else images, *rest)

        train.epoch = spoilt
    assert len(train) == STEPS
    return made


class Seen(Callback):
    """What on_step was told, and how far the network was ahead; at once unless it says that it can be late."""

    def __init__(self, patient):
        self.patient, self.losses, self.ahead = patient, [], []

    def late(self, step):
        return self.patient

    def on_step(self, trainer, loss):
        self.losses.append((trainer.progress.step, loss, trainer.learning_rate, trainer.progress.loss_sum))
        self.ahead.append(len(trainer.unread))


@pytest.fixture
def reads(monkeypatch):
    """Values may be read where a loss is read, and nowhere else.

    Gives a list: for each of these reads the graphs launched by then, and whether the last one was not done even so.
    """
    found, launched = [], []

    class Watched(SideReader):
        @contextmanager
        def after(self, event):
            with reading_allowed(), super().after(event):
                yield
            found.append((len(launched), device.waits({Stream.null.ptr: launched[-1]})))

    def launch(graph, stream=None):
        launch_it(graph, stream)
        launched.append(Stream.null.count)

    launch_it = fake_streams.Graph.launch
    monkeypatch.setattr(fake_streams.Graph, "launch", launch)
    monkeypatch.setattr(loop, "SideReader", Watched)
    return found


@pytest.mark.parametrize(
    ("average", "head"),
    [(None, None), ("ema", None), (None, EmbeddingHead(2)), (None, EmbeddingHead(2, "contrastive"))],
)
def test_the_host_waits_for_no_step_but_the_one_before(cuda, reads, average, head):
    """When a loss is read the next step has been launched, and it is not done when the loss is known."""
    with tinymed.use_backend("cuda"), reading_allowed():
        trainer = made([Seen(True)], head=head)
        trainer.validate = dict  # which would read the scores of each batch
        if average:
            trainer.callbacks.insert(0, WeightAverage(trainer.model, average))
        trainer.fit(steps=1)
    reads.clear()
    with tinymed.use_backend("cuda"):
        trainer.fit(steps=7)  # HostSync if anything else waited
    assert reads == [(3, True), (4, True), (4, False), (6, True), (7, True), (7, False)]
    assert trainer.callbacks[-1].ahead == [0, 1, 1, 0, 1, 1, 0]
    assert not trainer.unread


def test_a_callback_that_wants_to_see_the_network_is_told_at_once(cuda, reads):
    trainer = made([Seen(True), Seen(False)])
    trainer.validate = dict  # which would read the scores of each batch
    with reading_allowed():
        trainer.fit(steps=1)
    reads.clear()
    trainer.fit(steps=3)
    assert reads == [(2, False), (3, False)]
    assert trainer.callbacks[0].ahead == [0, 0, 0]


class Kept(Checkpoints):
    """Notes what each checkpoint holds."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.saved = []

    def save(self, trainer, name):
        tree = trainer.state()
        average = tree["callbacks"]["WeightAverage"]["weights"]
        self.saved.append((name, trainer.progress.step, digest(tree["model"]), digest(average)))
        super().save(trainer, name)


def run(folder, patient, epochs=2, place="cuda"):
    """Everything a run shows: log, what was told, checkpoints."""
    trainer = made(place=place)
    seen, kept = Seen(patient), Kept(folder, {}, every=3)
    rate = Schedule(CosineAnnealingLR(trainer.optimizer, epochs * STEPS), every="step")
    with reading_allowed():
        average = WeightAverage(trainer.model, "ema")
        trainer.callbacks = [rate, average, JsonLog(folder / "log.jsonl", every=1), seen, kept]
        trainer.fit(epochs=epochs)
        state = trainer.state()
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    log = [{k: v for k, v in row.items() if k != "seconds"} for row in rows]
    return log, seen, kept.saved, digest(state["model"]), state["progress"]["loss_sum"]


def test_no_number_is_another(cuda, tmp_path):
    """Losses, rates, sums, the log, the checkpoints within an epoch: those of a run that waits at each step."""
    folders = tmp_path / "late", tmp_path / "prompt"
    for folder in folders:
        folder.mkdir()
    late, prompt = (run(folder, patient) for folder, patient in zip(folders, (True, False), strict=True))
    assert late[1].losses == prompt[1].losses
    assert [late[i] for i in (0, 2, 3, 4)] == [prompt[i] for i in (0, 2, 3, 4)]
    assert late[1].ahead == [1, 1, 0, 0, 1, 0, 1, 0]  # a checkpoint after 3 and 6, the end of an epoch after 4 and 8
    assert prompt[1].ahead == [0] * 8
    assert [(name, step) for name, step, *_ in late[2]] == [
        (NEWEST, 3),
        (BEST, 4),
        (NEWEST, 4),
        (NEWEST, 6),
        *[(name, 8) for name, step, *_ in prompt[2] if step == 8],
    ]


@pytest.mark.parametrize("patient", [True, False])
def test_a_loss_that_is_no_number_ends_the_run_at_its_step(cuda, tmp_path, patient):
    """The step after it has been taken: nothing of it is kept, and what was saved before stays."""
    seen = Seen(patient)
    trainer = made([JsonLog(tmp_path / "log.jsonl", every=1), seen, Checkpoints(tmp_path, {})], poisoned=6)
    with reading_allowed():
        trainer.fit(epochs=1)
        before = {name: (tmp_path / name).read_bytes() for name in (NEWEST, BEST)}
        with pytest.raises(Diverged, match=r"the loss is nan at step 6: .*\(it is 0.05\)"):
            trainer.fit(epochs=3)
    assert [step for step, *_ in seen.losses] == [1, 2, 3, 4, 5]
    assert trainer.progress.step == 5
    assert all(np.isfinite(loss) for _, loss, *_ in seen.losses)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    steps = [row["step"] for row in map(json.loads, (tmp_path / "log.jsonl").read_text().splitlines())]
    assert steps == [1, 2, 3, 4, 4, 5]
    assert graphs[0].launches == 6 + patient


class StopWhileAStepRuns(Callback):
    """As a signal does that comes when a step has been given to the device."""

    def __init__(self, step):
        self.step = step

    def on_taken(self, trainer):
        if trainer.taken == self.step:
            trainer.stop = True


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 6])
def test_a_stopped_run_goes_on_to_the_same_bits(cuda, tmp_path, stop):
    with reading_allowed():
        whole = made([Seen(True)])
        whole.fit(epochs=2)
        first = made([StopWhileAStepRuns(stop), Seen(True), Checkpoints(tmp_path, {})])
        first.fit(epochs=2)
        assert first.progress.step == stop
        assert first.interrupted
        second = made([Seen(True)])
        second.restore(load_checkpoint(tmp_path / NEWEST))
        second.fit(epochs=2)
        assert digest(second.state()["model"]) == digest(whole.state()["model"])
    told = [seen.losses for trainer in (first, second, whole) for seen in trainer.callbacks if isinstance(seen, Seen)]
    assert told[0] + told[1] == told[2]


def test_the_order_of_the_callbacks_is_kept(cuda, tmp_path):
    """A log that stands before the schedule has the rate of its step, and the schedule is not kept waiting."""
    log = JsonLog(tmp_path / "log.jsonl", every=1)
    trainer = made([log])
    scheduler = CosineAnnealingLR(trainer.optimizer, STEPS)
    trainer.callbacks.append(Schedule(scheduler, every="step"))
    assert not trainer.patient
    with reading_allowed():
        trainer.fit(epochs=1)
    rows = [json.loads(line) for line in log.path.read_text().splitlines()]
    expected = [0.05 * (1 + np.cos(np.pi * step / STEPS)) / 2 for step in range(STEPS)]
    assert [row["lr"] for row in rows if row["event"] == "step"] == pytest.approx(expected)
    trainer.callbacks.reverse()
    assert trainer.patient


class Failing(Callback):
    """Fails when a step has been given to the device."""

    def on_taken(self, trainer):
        if trainer.progress.step == 2:
            raise KeyboardInterrupt


def test_what_was_taken_is_counted_when_the_epoch_fails(cuda):
    """A loader that fails, a second signal: the progress is that of the network, so training may go on."""
    seen, failing = Seen(True), Failing()
    trainer = made([failing, seen])
    with reading_allowed():
        with pytest.raises(KeyboardInterrupt):
            trainer.fit(epochs=2)
        assert [step for step, *_ in seen.losses] == [1, 2, 3]
        trainer.callbacks.remove(failing)
        trainer.fit(epochs=2)
        whole = made([Seen(True)])
        whole.fit(epochs=2)
        assert digest(trainer.state()["model"]) == digest(whole.state()["model"])
    assert seen.losses == whole.callbacks[0].losses


class Saving(Callback):
    """Says that it can be late, and asks for the state all the same."""

    def late(self, step):
        return True

    def on_step(self, trainer, loss):
        trainer.state()


def test_a_state_of_another_step_than_the_progress_is_refused(cuda):
    trainer = made([Saving()])
    with reading_allowed(), pytest.raises(RuntimeError, match=r"after step 2, the progress after 1; .* late\(step\)"):
        trainer.fit(epochs=1)


def test_a_step_of_the_users_own_is_read_at_once(cuda):
    """Its results may be arrays that it writes again."""
    trainer = made([Seen(True)])
    total, own = tinymed.zeros(()).to("cuda"), trainer.step.step

    def step(images, targets):
        loss, outputs = own(images, targets)
        total.copy_(loss.detach())
        return total, outputs

    trainer.step = step
    with reading_allowed():
        trainer.fit(epochs=1)
        other = made([Seen(True)])
        other.fit(epochs=1)
    assert trainer.callbacks[0].ahead == [0] * STEPS
    found, expected = ([loss for _, loss, *_ in t.callbacks[0].losses] for t in (trainer, other))
    assert found == pytest.approx(expected, rel=1e-6)


def test_on_the_cpu_a_loss_is_read_at_once():
    with tinymed.use_backend("numpy"):
        trainer = made([Seen(True)], place="cpu")
        trainer.fit(epochs=1)
    assert trainer.callbacks[0].ahead == [0] * STEPS


def test_who_can_be_told_late(tmp_path):
    """Displays and logs; not who saves at this step, who ends the training by the loss, or who does not say."""
    display = [Dashboard.late, TensorBoard.late, Lines.late, SlowStart.late, LongRun.late, JsonLog.late]
    assert all(late(None, 1) for late in display)
    without = Interrupt, EarlyStopping, Schedule, WeightAverage
    assert all(cls.on_step is Callback.on_step for cls in without)
    save = Checkpoints(tmp_path, {}, every=3)
    assert [save.late(step) for step in (1, 2, 3, 6, 7)] == [True, True, False, False, True]
    assert Checkpoints(tmp_path, {}).late(3)
    assert Callback().late(1)
    assert not RisingRate(1e-5, 1, 10).late(1)


def test_a_validation_reads_a_batch_when_the_next_one_is_on_its_way(cuda, monkeypatch):
    """The scores of all batches, in order; the device never waits for the host to read them."""
    with reading_allowed():
        trainer = made()
        expected = predict_scores(trainer.model, trainer.train_loader, trainer.loss, forward=trainer.forward)
    pending = []

    class Watched(SideReader):
        @contextmanager
        def after(self, event):
            with reading_allowed(), super().after(event):
                yield
            pending.append(device.waits({Stream.null.ptr: Stream.null.count}))

    monkeypatch.setattr(device_reading, "SideReader", Watched)
    found = predict_scores(trainer.model, trainer.train_loader, trainer.loss, forward=trainer.forward)
    assert pending == [*[True] * (STEPS - 1), False]
    assert np.array_equal(found[0], expected[0])
    assert found[2] == expected[2]


class Pictures:
    """A set of pictures with their masks."""

    organs = None

    def __len__(self):
        return STEPS

    def pair(self, index):
        rng = np.random.default_rng(index)
        return rng.integers(0, 256, (8, 10, 3)).astype(np.uint8), rng.integers(0, 2, (8, 10))

    def name(self, index):
        return f"{index}.png"

    def spacing(self, index):
        return 1.0, 1.0


@pytest.mark.parametrize("recorded", [False, True])
def test_a_segmented_picture_is_read_when_the_next_one_is_on_its_way(cuda, monkeypatch, recorded):
    """The scores of all pictures, each with its own mask; what is measured runs on the stream that computes."""
    tinymed.manual_seed(0)
    with reading_allowed():
        model = nn.Conv2d(3, 2, 3, padding=1).to("cuda").eval()
        forward = capture(forward_pass(model), fallback=True) if recorded else None
        predict = MaskPredictor(
            model, MaskHead(2), DataConfig(size=8, val_fraction=0.2, test_fraction=0.2), forward=forward
        )
        expected = [predict(*Pictures().pair(i)[:1], f"{i}.png") for i in range(STEPS)]
    pending = []

    class Watched(SideReader):
        @contextmanager
        def after(self, event):
            with reading_allowed(), super().after(event):
                yield
            pending.append(device.waits({Stream.null.ptr: Stream.null.count}))

    monkeypatch.setattr(device_reading, "SideReader", Watched)
    found = []
    for case in scored_cases(predict, Pictures()):
        assert stack == [Stream.null]
        found.append(case)
    assert pending == [*[True] * (STEPS - 1), False]
    for i, case in enumerate(found):
        assert case.name == f"{i}.png"
        np.testing.assert_array_equal(case.mask, Pictures().pair(i)[1])
        np.testing.assert_array_equal(case.scores, expected[i])


def test_reading_late_ends_where_the_loop_does(cuda):
    """What was computed ahead is given up, and the stream that computes is the current one again."""
    asked = []

    def results():
        for i in range(5):
            asked.append(i)
            yield tinymed.ones(3).to("cuda") * i

    with reading_allowed():
        for i, result in enumerate(read_late(results(), "cuda")):
            assert result.sum().item() == 3 * i
            if i == 1:
                break
    assert asked == [0, 1, 2]
    assert stack == [Stream.null]
