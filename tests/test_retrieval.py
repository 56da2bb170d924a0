"""Retrieval: measures beside scikit-learn, losses beside PyTorch, batches, the index, and the command line."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch
from commands import invoke, write_images

from tinymed.data import Dataset
from tinymed.data.class_batches import ClassBatches
from tinymed.errors import UserError
from tinymed.metrics.retrieval import (
    KS,
    cosine,
    evaluate_ranking,
    excluded_pairs,
    query_measures,
    random_measures,
)
from tinymed.retrieval.index import NAMES, ROWS, Entry, Index, guarded, names_bytes, names_from_bytes, shown
from tinymed.tasks.heads.embedding_head import LOSSES, EmbeddingHead
from tinymed.tensor import Tensor
from tinymed.train.checkpoint import load_checkpoint, save_checkpoint

# ------------------------------------------------------------------------------------------------------- measures


class TestMeasures:
    @pytest.mark.parametrize("ties", [False, True])
    def test_they_are_scikit_learns(self, ties):
        sklearn = pytest.importorskip("sklearn.metrics")
        rng = np.random.default_rng(0)
        similarity = rng.integers(0, 6, (12, 40)) / 6 if ties else rng.normal(size=(12, 40))
        relevant, excluded = rng.random((12, 40)) < 0.3, rng.random((12, 40)) < 0.1
        relevant[0] = False
        found = query_measures(similarity, relevant, excluded)
        assert np.isnan(found["ap"][0])
        for q in range(1, 12):
            kept = ~excluded[q]
            expected = sklearn.average_precision_score(relevant[q, kept], similarity[q, kept])
            assert found["ap"][q] == pytest.approx(expected, abs=1e-12)
            order = np.argsort(-similarity[q, kept], kind="stable")
            for k in KS:
                hits = relevant[q, kept][order[:k]].sum()
                assert found[f"precision@{k}"][q] == pytest.approx(hits / k)
                assert found[f"recall@{k}"][q] == pytest.approx(hits / relevant[q, kept].sum())

    def test_a_random_order_is_the_mean_of_many(self):
        rng = np.random.default_rng(0)
        relevant, excluded = np.arange(14)[None] < 4, np.zeros((1, 14), bool)
        drawn = [query_measures(rng.normal(size=(1, 14)), relevant, excluded) for _ in range(4000)]
        for name, value in random_measures(relevant, excluded).items():
            values = np.array([d[name][0] for d in drawn])
            assert value[0] == pytest.approx(values.mean(), abs=4 * values.std() / 4000**0.5), name

    def test_itself_and_its_patient_are_left_out(self):
        """Two pictures a patient, alike; the classes of other patients are far away: what is near must not count."""
        rows = np.repeat(np.eye(6), 2, axis=0)
        labels, patients = np.repeat([0, 1, 0, 1, 0, 1], 2), np.repeat(list("abcdef"), 2)
        by_image = evaluate_ranking(cosine(rows), labels, ["x", "y"], resamples=0)
        by_patient = evaluate_ranking(cosine(rows), labels, ["x", "y"], groups=patients, resamples=0)
        assert by_image["precision@1"] == 1
        assert by_patient["precision@1"] < 0.6
        assert excluded_pairs(12, patients).sum() == 24

    def test_the_gain_over_a_floor_is_paired_and_a_miss_is_said(self):
        rng = np.random.default_rng(0)
        labels = np.arange(60) % 3
        good = np.eye(3)[labels] + 0.3 * rng.normal(size=(60, 3))
        floors = {"pixels": cosine(rng.normal(size=(60, 8)))}
        result = evaluate_ranking(cosine(good), labels, list("abc"), floors=floors, resamples=200)
        for floor in result["floors"].values():
            assert 0 < floor["map_gain_interval"][0] < floor["map_gain"] < floor["map_gain_interval"][1]
        assert not result["warnings"]
        miss = evaluate_ranking(floors["pixels"], labels, list("abc"), floors={"good": cosine(good)}, resamples=200)
        assert any("not above the floor 'good'" in note for note in miss["warnings"])

    def test_what_is_refused(self):
        with pytest.raises(ValueError, match="nan"):
            query_measures([[np.nan]], [[True]], [[False]])
        with pytest.raises(ValueError, match="three arrays"):
            query_measures([[0.0]], [[True, False]], [[False]])
        with pytest.raises(ValueError, match="cannot be compared"):
            cosine(np.ones((2, 3)), np.ones((2, 4)))


# --------------------------------------------------------------------------------------------- batches and losses


def labelled(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.repeat(np.arange(len(labels), dtype=np.uint8)[:, None, None], 8, axis=1).repeat(8, axis=2)
    return Dataset(images, labels, [f"c{i}" for i in range(len(counts))])


class TestBatches:
    @pytest.mark.parametrize(("counts", "batch"), [((30, 9), 12), ((4, 4, 4), 8), ((20,) * 9, 16), ((2, 50), 4)])
    def test_each_holds_several_of_several(self, counts, batch):
        loader = ClassBatches(labelled(counts), batch, 8, 1, workers=0)
        seen, batches = set(), 0
        for _, labels, indices in loader.epoch(3):
            found, number = np.unique(labels, return_counts=True)
            assert len(found) == loader.classes_per_batch >= 2
            assert (number == loader.per_class).all()
            assert loader.per_class >= 2
            seen |= set(indices.tolist())
            batches += 1
        assert batches == len(loader)
        assert len(seen) > len(labelled(counts)) // 3

    def test_a_class_is_walked_through_before_it_repeats(self):
        loader = ClassBatches(labelled((30, 10)), 8, 8, 1, workers=0)
        order, keys = loader.order(0)
        first = order[order < 30]
        assert len(set(first.tolist())) == len(first)
        assert len(set(keys.tolist())) == len(keys)
        assert np.array_equal(keys % 40, order)

    def test_what_is_refused(self):
        with pytest.raises(UserError, match="two classes"):
            ClassBatches(labelled((5,)), 8, 8, 1)
        with pytest.raises(UserError, match="4 or more"):
            ClassBatches(labelled((5, 5)), 3, 8, 1)


def torch_loss(kind, z, labels, margin):
    """The losses in plain loops over pairs and triplets."""
    unit = torch.nn.functional.normalize(z, dim=1)
    n = range(len(labels))
    d = [[(unit[i] - unit[j]).norm() if i != j else None for j in n] for i in n]
    same = [(i, j) for i in n for j in n if i != j and labels[i] == labels[j]]
    if kind == "contrastive":
        other = [(i, j) for i in n for j in n if labels[i] != labels[j]]
        pull = sum(d[i][j] ** 2 for i, j in same) / len(same)
        return pull + sum(torch.relu(margin - d[i][j]) ** 2 for i, j in other) / len(other)
    excess = [d[i][j] - d[i][k] + margin for i, j in same for k in n if labels[i] != labels[k]]
    positive = [e for e in excess if e > 0]
    return sum(positive) / len(positive)


class TestLosses:
    @pytest.mark.parametrize("kind", LOSSES)
    def test_value_and_gradient_are_torchs(self, kind):
        rng = np.random.default_rng(1)
        values, labels = rng.normal(size=(9, 4)), np.array([0, 0, 0, 1, 1, 2, 2, 2, 3])
        head = EmbeddingHead(4, kind)
        mine = Tensor(values, requires_grad=True)
        same, different = (Tensor(part.astype(np.float64)) for part in head.targets(labels))
        loss = head(mine, (same, different))
        loss.backward()
        true = torch.tensor(values, requires_grad=True)
        expected = torch_loss(kind, true, labels, head.margin)
        expected.backward()
        assert loss.item() == pytest.approx(expected.item(), abs=1e-8)
        assert np.allclose(mine.grad.array, true.grad.numpy(), atol=1e-8)

    @pytest.mark.parametrize("kind", LOSSES)
    def test_a_batch_of_one_class_and_equal_outputs_are_finite(self, kind):
        head = EmbeddingHead(3, kind)
        outputs = Tensor(np.ones((4, 3), np.float32), requires_grad=True)
        for labels in (np.zeros(4, int), np.arange(4)):
            loss = head(outputs, tuple(Tensor(part) for part in head.targets(labels)))
            loss.backward()
            assert np.isfinite(loss.item())
            assert np.isfinite(outputs.grad.array).all()


# -------------------------------------------------------------------------------------------------------- the index

HOSTILE = [
    "=cmd|' /C calc'!A0",
    'a,b"c.png',
    "new\nline.png",
    "\r.png",
    "'quoted",
    "-1",
    "latin\udcff.png",
    "$x^$",
    "é",
]


class TestIndex:
    def about(self):
        return dict.fromkeys(("run", "weights", "model", "layer", "before", "spatial", "root"), "x")

    def index(self):
        entries = [Entry(name, name, "p" if i < 2 else "", "all", f"{i:02x}") for i, name in enumerate(HOSTILE)]
        rows = np.random.default_rng(0).normal(size=(len(HOSTILE), 4)).astype(np.float32)
        return Index(rows / np.linalg.norm(rows, axis=1, keepdims=True), entries, self.about())

    def test_hostile_names_survive_and_are_no_formulas(self, tmp_path):
        index = self.index()
        index.save(tmp_path / "index")
        again = Index.load(tmp_path / "index")
        assert again.entries == index.entries
        assert np.array_equal(again.rows, index.rows)
        with (tmp_path / "index" / NAMES).open(newline="", errors="surrogateescape") as file:
            fields = [field for row in csv.reader(file) for field in row]
        assert not any(field.startswith(tuple("=+-@\t\r")) for field in fields)
        assert all(len(shown(entry).splitlines()) == 1 for entry in again.entries)
        assert {p.name for p in (tmp_path / "index").iterdir()} == {ROWS, NAMES}

    def test_names_are_the_same_after_a_round(self):
        entries = [Entry(name, "", "", "", "") for name in HOSTILE]
        assert names_from_bytes(names_bytes(entries)) == entries
        assert guarded("'=1") == "''=1"

    def test_search_is_exact_and_leaves_out(self):
        index = self.index()
        found = index.search(index.rows[0], 20)
        assert found[0].place == 0
        assert found[0].cosine == pytest.approx(1, abs=1e-6)
        expected = np.argsort(-(index.rows @ index.rows[0]), kind="stable")
        assert [f.place for f in found] == expected.tolist()
        left_out = index.excluded(pixels="00")
        assert left_out.tolist() == [True, True] + [False] * (len(HOSTILE) - 2)  # itself, and its patient's
        assert index.excluded(pixels="00", keep_patient=True).sum() == 1
        assert index.excluded(patient="p").sum() == 2
        assert index.excluded(pixels="77").sum() == 0
        assert {0, 1}.isdisjoint(f.place for f in index.search(index.rows[0], 20, left_out))

    def test_damage_is_refused(self, tmp_path):
        folder = tmp_path / "index"
        self.index().save(folder)
        with pytest.raises(UserError, match="not an empty folder"):
            self.index().save(folder)
        names, rows = (folder / NAMES).read_bytes(), (folder / ROWS).read_bytes()
        (folder / NAMES).write_bytes(names.replace(b"all", b"val", 1))
        with pytest.raises(UserError, match="not the list"):
            Index.load(folder)
        (folder / NAMES).unlink()
        with pytest.raises(UserError, match=NAMES):
            Index.load(folder)
        (folder / NAMES).write_bytes(names)
        (folder / ROWS).write_bytes(rows[:-3] + b"abc")
        with pytest.raises(UserError, match="cannot be read"):
            Index.load(folder)
        save_checkpoint(folder / ROWS, {"kind": "something else"})
        with pytest.raises(UserError, match="no index of this version"):
            Index.load(folder)
        with pytest.raises(UserError, match="no index"):
            Index.load(tmp_path)


# ------------------------------------------------------------------------------------------------- the command line

QUICK = ["--backend", "numpy", "--workers", "0", "--batch", "8", "--model", "lenet5_modern", "--grey", "--size", "32"]


@pytest.fixture(scope="module")
def smears(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("data"), ["healthy", "sick"], 24)


@pytest.fixture(scope="module")
def runs(smears, tmp_path_factory):
    from tinymed.cli import main

    folder = tmp_path_factory.mktemp("runs")
    common = [*QUICK, "--data", str(smears), "--test-fraction", "0.3", "--epochs", "2"]
    retrieval = ["--task", "retrieval", "--embedding", "8"]
    assert main(["train", *common, *retrieval, "--out", str(folder / "retrieval")]) == 0
    assert main(["train", *common, "--head", "softmax", "--out", str(folder / "classes")]) == 0
    assert main(["index", str(folder / "retrieval")]) == 0
    return folder


class TestCommands:
    def test_what_a_run_leaves(self, runs, capsys):
        found = json.loads((runs / "retrieval" / "metrics.json").read_text())["test"]
        assert set(found["floors"]) == {"random order", "cosine of pixels"}
        assert found["queries"] == found["n"]
        assert {"neighbours.png", "neighbours.csv", "predictions.csv", "curves.png"} <= {
            p.name for p in (runs / "retrieval").iterdir()
        }
        code, out, _ = invoke(capsys, "evaluate", runs / "retrieval", "--json")
        assert code == 0
        assert {key: json.loads(out)[key] for key in found} == found

    def test_a_picture_of_the_index_is_not_its_own_neighbour(self, runs, smears, tmp_path, capsys):
        image = sorted((smears / "sick").iterdir())[0]
        copy = shutil.copy(image, tmp_path / "copy.png")
        code, out, _ = invoke(
            capsys, "search", runs / "retrieval", copy, "--out", tmp_path / "n.png", "--json", "-k", 3
        )
        found = json.loads(out)[0]
        assert code == 0
        assert (tmp_path / "n.png").stat().st_size > 1000
        assert found["left_out"] == 1
        assert len(found["neighbours"]) == 3
        assert f"sick/{image.name}" not in [n["path"] for n in found["neighbours"]]
        cosines = [n["cosine"] for n in found["neighbours"]]
        assert cosines == sorted(cosines, reverse=True)

    def test_an_index_of_a_classifier_at_a_layer(self, runs, smears, tmp_path, capsys):
        made = ["index", runs / "classes", smears, "--layer", "features", "--spatial", "max", "--out", tmp_path / "i"]
        code, out, _ = invoke(capsys, *made, "--json")
        assert code == 0
        assert json.loads(out)["images"] == 48
        assert json.loads(out)["layer"] == "features"
        image = sorted((smears / "sick").iterdir())[0]
        code, out, _ = invoke(capsys, "search", tmp_path / "i", image, "--out", tmp_path / "n.png")
        assert code == 0
        assert "1 left out" in out
        rows = load_checkpoint(tmp_path / "i" / ROWS)["rows"]
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)

    def test_pictures_without_labels(self, runs, smears, tmp_path, capsys):
        (tmp_path / "flat").mkdir()
        for image in sorted((smears / "sick").iterdir())[:4]:
            shutil.copy(image, tmp_path / "flat")
        made = ["index", runs / "retrieval", tmp_path / "flat", "--unlabelled", "--out", tmp_path / "i", "--json"]
        code, out, _ = invoke(capsys, *made)
        assert code == 0
        assert json.loads(out)["images"] == 4

    def test_an_index_of_another_model_is_refused(self, runs, smears, tmp_path, capsys):
        image = sorted((smears / "sick").iterdir())[0]
        arguments = ["--index", runs / "retrieval" / "index", "--out", tmp_path / "n.png"]
        code, _, err = invoke(capsys, "search", runs / "classes", image, *arguments)
        assert code == 2
        assert "another network" in err
        code, _, err = invoke(capsys, "search", runs / "retrieval" / "index", image, "--run", runs / "classes")
        assert code == 2
        assert "another network" in err

    def test_an_unreadable_query_is_named_and_the_others_searched(self, runs, smears, tmp_path, capsys):
        (tmp_path / "bad.png").write_bytes(b"no picture")
        good = sorted((smears / "sick").iterdir())[0]
        arguments = ("search", runs / "retrieval", tmp_path / "bad.png", good, "--out", tmp_path / "n.png")
        code, out, err = invoke(capsys, *arguments)
        assert code == 2
        assert "bad.png" in err
        assert good.name in out

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["index", "classes", "--layer", "nothing", "--out", "i"], "its layers are"),
            (["index", "classes", "--spatial", "sum", "--out", "i"], "--spatial"),
            (["index", "classes", "--split", "fold", "--out", "i"], "the data have"),
            (["index", "classes", "--unlabelled", "--out", "i"], "it is of DATA"),
            (["index", "retrieval"], "not an empty folder"),
            (["index", "nowhere"], "no run"),
            (["search", "classes", "a.png"], "no index"),
            (["search", "nowhere", "a.png"], "neither a run nor an index"),
            (["search", "retrieval", "a.png", "--out", "a.jpg"], "PNG"),
            (["search", "retrieval/index", "a.png", "--index", "x"], "is of a run"),
            (["search", "retrieval", "a.png", "--run", "x"], "is a run itself"),
        ],
    )
    def test_mistakes(self, runs, tmp_path, capsys, arguments, says):
        given = [arguments[0], runs / arguments[1], *(tmp_path / a if a == "i" else a for a in arguments[2:])]
        code, _, err = invoke(capsys, *given)
        assert code == 2
        assert says in err
        assert "Traceback" not in err

    @pytest.mark.parametrize(
        ("options", "says"), [(["--batch", "3"], "4 or more"), (["--class-weights", "balanced"], "equally often")]
    )
    def test_train(self, smears, tmp_path, capsys, options, says):
        code, _, err = invoke(
            capsys, "train", "--task", "retrieval", "--data", smears, "--out", tmp_path / "r", *QUICK, *options
        )
        assert code == 2
        assert says in err
