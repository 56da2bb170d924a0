"""Several findings an image: lists in both forms, what is missing, the head, the measures."""

import warnings

import numpy as np
import pytest
from datasets import picture, write_image
from hypothesis import given
from hypothesis import strategies as st

import tinymed
from tinymed.data import open_findings, open_values
from tinymed.data.findings import FindingDataset
from tinymed.data.loader import Loader
from tinymed.errors import UserError
from tinymed.metrics.findings import evaluate_findings, micro_auc
from tinymed.tasks.heads.finding_head import FindingHead, positive_weights
from tinymed.tasks.heads.grade_heads import CornHead
from tinymed.tasks.heads.value_head import ValueHead

torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")
sklearn_metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is the oracle: pip install '.[test]'")


@pytest.fixture
def images(tmp_path):
    for i in range(8):
        write_image(tmp_path / f"{i}.png", picture(i))
    return tmp_path


def write(folder, header, rows, **how):
    path = folder / "list.csv"
    path.write_text(f"path,{header}\n" + "".join(f"{i}.png,{row}\n" for i, row in enumerate(rows)))
    return path


class TestFields:
    @pytest.mark.parametrize("mark", ["|", ";", ","])
    def test_findings_are_divided_by_the_usual_marks(self, images, mark):
        rows = [f'"Mass{mark}Edema"', "Edema", "No Finding", f'"Edema {mark} Mass"']
        data = open_findings(write(images, "Finding Labels", rows))["all"]
        assert data.classes == ["Edema", "Mass"]
        assert data.findings.tolist() == [[1, 1], [1, 0], [0, 0], [1, 1]]
        assert [data.label_text(i) for i in (0, 2)] == ["Edema, Mass", "no finding"]

    def test_rows_of_one_image_are_put_together(self, images):
        path = images / "list.csv"
        path.write_text("path,label\n0.png,Mass\n1.png,Edema\n0.png,Edema\n0.png,Mass\n")
        data = open_findings(path)["all"]
        assert len(data) == 2
        assert data.findings.tolist() == [[1, 1], [1, 0]]

    def test_chosen_findings_are_in_the_order_given(self, images):
        path = write(images, "label", ["A|B", "B|C", "C"])
        assert open_findings(path, findings=["C", "A"])["all"].findings.tolist() == [[0, 1], [1, 0], [1, 0]]
        with pytest.raises(UserError, match="no image has the finding 'D'; 'label' holds A, B, C"):
            open_findings(path, findings=["A", "D"])
        assert open_findings(path, classes=["D", "A"])["all"].counts() == {"D": 0, "A": 1}

    @pytest.mark.parametrize("mark", ["/", "+", "&"])
    def test_an_unusual_mark_is_said_and_taken_when_asked(self, images, mark):
        path = write(images, "label", [f"Mass{mark}Edema", "Edema", "Mass"])
        with pytest.raises(UserError, match="seems to be divided by") as caught:
            open_findings(path)
        assert f"separator='{mark}'" in str(caught.value)
        assert open_findings(path, separator=mark)["all"].classes == ["Edema", "Mass"]

    def test_two_marks_in_one_list_are_said(self, images):
        with pytest.raises(UserError, match=r"divided by ';', not by '\|'"):
            open_findings(write(images, "label", ["A|B", "A;B", "B"]))

    def test_a_name_with_a_mark_is_a_name(self, images):
        data = open_findings(write(images, "label", ["Mass/Nodule|Edema", "Edema", "Mass/Nodule"]))["all"]
        assert data.classes == ["Edema", "Mass/Nodule"]

    @pytest.mark.parametrize(
        ("rows", "words"),
        [
            (["No Finding|Mass", "Mass"], "line 2: .*'No Finding' beside a finding"),
            (["Mass", ""], "line 3: an empty 'label'; write No Finding"),
            (["No Finding", "normal"], "holds no finding at all"),
        ],
    )
    def test_mistakes_are_named(self, images, rows, words):
        with pytest.raises(UserError, match=words):
            open_findings(write(images, "label", rows))


class TestColumns:
    ROWS = ("1,0,1", "0,1,-1", ",0,0.0", "1.0,nan,1")

    @pytest.mark.parametrize(
        ("how", "expected"),
        [
            ({}, [[1, 0, 1], [0, 1, None], [None, 0, 0], [1, None, 1]]),
            ({"uncertain": "positive"}, [[1, 0, 1], [0, 1, 1], [None, 0, 0], [1, None, 1]]),
            ({"uncertain": "negative", "blank": "negative"}, [[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 0, 1]]),
        ],
    )
    def test_what_is_missing_follows_the_rule(self, images, how, expected):
        data = open_findings(write(images, "Edema,Mass,Scar", self.ROWS), **how)["all"]
        assert data.classes == ["Edema", "Mass", "Scar"]
        np.testing.assert_array_equal(data.findings, np.array(expected, np.float32))
        if not how:
            assert data.known() == {"Edema": 3, "Mass": 3, "Scar": 3}
            assert data.label_text(1) == "Mass, Scar unknown"

    def test_other_columns_are_none(self, images):
        path = write(images, "age,Edema,sex,Mass", ["30,1,f,0", "41,0,m,1"])
        assert open_findings(path)["all"].classes == ["Edema", "Mass"]
        assert open_findings(path, findings=["Mass"])["all"].findings.tolist() == [[0], [1]]

    @pytest.mark.parametrize(
        ("header", "rows", "how", "words"),
        [
            ("Edema,Mass", ["1,2", "0,1"], {"findings": ["Edema", "Mass"]}, "line 2: 'Mass' is '2'; a column of a"),
            ("Edema,Mass", ["1,0", "0,1"], {"findings": ["Edema", "Scar"]}, "no column 'Scar'"),
            ("age", ["30", "41"], {}, "no column of findings .it has path, age.; name that of fields"),
        ],
    )
    def test_mistakes_are_named(self, images, header, rows, how, words):
        with pytest.raises(UserError, match=words):
            open_findings(write(images, header, rows), **how)

    def test_a_rule_of_the_other_form_is_refused(self, images):
        with pytest.raises(UserError, match="separator '/' has no effect here: it is of a column of fields"):
            open_findings(write(images, "Edema,Mass", ["1,0", "0,1"]), separator="/")
        path = write(images, "label", ["A|B", "A"])
        for name in ("uncertain", "blank"):
            with pytest.raises(UserError, match=f"{name} 'negative' has no effect here"):
                open_findings(path, **{name: "negative"})
        assert len(open_findings(path, classes=["B"], blank="negative")["all"]) == 2

    def test_one_image_with_two_answers(self, images):
        path = images / "list.csv"
        path.write_text("path,Edema,Mass\n0.png,1,0\n0.png,0,0\n")
        with pytest.raises(UserError, match=r"line 3: .*keep one row an image"):
            open_findings(path)

    def test_what_is_no_list(self, images):
        with pytest.raises(UserError, match=r"no such file or directory; give a \.csv list"):
            open_findings(images / "none.csv")
        with pytest.raises(UserError, match=r"no list of images with findings; give a \.csv list"):
            open_findings(images)
        with pytest.raises(UserError, match=r"no such file or directory; give a \.csv list"):
            open_values(images / "none.csv")
        with pytest.raises(UserError, match="not a set of images with numbers"):
            open_values(images / "0.png")

    def test_parts_and_loader(self, images):
        path = write(
            images, "Edema,Mass,split", [f"{i % 2},{(i + 1) % 2},{'train' if i < 5 else 'val'}" for i in range(8)]
        )
        sets = open_findings(path)
        assert {name: len(part) for name, part in sets.items()} == {"train": 5, "val": 3}
        _, labels, indices = next(iter(Loader(sets["train"], 3, 8, shuffle=True, workers=0)))
        np.testing.assert_array_equal(labels, sets["train"].findings[indices])
        assert sets["train"].subset([4, 0]).findings.tolist() == [[0, 1], [0, 1]]

    def test_copies_that_contradict_are_said(self, tmp_path):
        for name in ("0", "1"):
            write_image(tmp_path / f"{name}.png", picture(7))
        with pytest.warns(UserWarning, match="identical pictures that contradict"):
            open_findings(write(tmp_path, "label", ["A", "A|B"]))

    def test_shapes_that_do_not_fit(self):
        with pytest.raises(UserError, match="with 2 findings, but an array of shape"):
            FindingDataset(np.zeros((1, 8, 8), np.uint8), [0], ["a", "b"], findings=np.zeros((1, 3)))


class TestValues:
    def test_a_list_and_its_usual_columns(self, images):
        data = open_values(write(images, "label,boneage", ["a,30", "b,41.5"]))["all"]
        assert (data.classes, data.values.tolist(), data.label_text(1)) == (["boneage"], [30, 41.5], "41.5")
        assert data.subset([1]).values.tolist() == [41.5]

    def test_folders_named_by_numbers(self, tmp_path):
        for name, first in (("0.5", 0), ("10", 2)):
            for i in range(2):
                write_image(tmp_path / name / f"{i}.png", picture(first + i))
        assert open_values(tmp_path)["all"].values.tolist() == [0.5, 0.5, 10, 10]
        write_image(tmp_path / "old" / "0.png", picture(9))
        with pytest.raises(UserError, match="the folder 'old' is no number"):
            open_values(tmp_path)

    @pytest.mark.parametrize(
        ("header", "rows", "words"),
        [
            ("age", ["30", "old"], "line 3: 'age' is 'old', no finite number; name the column"),
            ("age", ["30", "inf"], "line 3: 'age' is 'inf', no finite number"),
            ("age", ["30", ""], "line 3: an empty 'age'; fill it in or remove the row"),
            ("age", ["30", '"1,5"'], "write its decimal comma as a point"),
            ("label,dr", ["grade0,0", "grade1,1"], "dr holds numbers; name the column"),
            ("weight_kg", ["30", "31"], "no column 'target' .* or of another usual name for the number"),
        ],
    )
    def test_mistakes_are_named(self, images, header, rows, words):
        with pytest.raises(UserError, match=words):
            open_values(write(images, header, rows))


def tensors(value):
    return tuple(map(tinymed.Tensor, value)) if isinstance(value, tuple) else tinymed.Tensor(value)


class TestHeads:
    @pytest.mark.parametrize("weights", [None, [0.5, 3.0, 2.0]])
    def test_the_loss_of_findings_is_pytorchs_over_the_known(self, weights):
        rng = np.random.default_rng(0)
        z = rng.normal(size=(5, 3))
        labels = rng.integers(0, 2, (5, 3)).astype(np.float32)
        labels[[0, 2, 3], [1, 1, 2]] = np.nan
        known = np.isfinite(labels)
        scale = None if weights is None else torch.tensor(weights).expand(5, 3)[torch.tensor(known)]
        theirs = torch.tensor(z[known], requires_grad=True)
        true = torch.nn.functional.binary_cross_entropy_with_logits(
            theirs, torch.tensor(labels[known]).double(), pos_weight=scale
        )
        true.backward()
        head = FindingHead(3, weights)
        mine = tinymed.Tensor(z, requires_grad=True)
        with tinymed.use_backend("numpy"):
            loss = head(mine, tensors(head.targets(labels)))
            loss.backward()
        assert loss.item() == pytest.approx(true.item(), rel=1e-6)
        np.testing.assert_allclose(mine.grad.numpy()[known], theirs.grad.numpy(), rtol=1e-5)
        assert not mine.grad.numpy()[~known].any()
        right = [((z[i][known[i]] >= 0) == labels[i][known[i]]).mean() for i in range(5)]
        assert head.correct(tinymed.Tensor(z), labels) == pytest.approx(sum(right))
        assert head.unweighted().weights is None

    def test_a_batch_of_which_nothing_is_known_teaches_nothing(self):
        head, z = FindingHead(2), tinymed.Tensor(np.ones((2, 2), np.float32), requires_grad=True)
        loss = head(z, tensors(head.targets(np.full((2, 2), np.nan, np.float32))))
        loss.backward()
        assert loss.item() == 0
        assert not z.grad.numpy().any()

    def test_weights_of_positives(self):
        assert positive_weights("none", "ab", [1, 4], [5, 8]) is None
        assert positive_weights("balanced", "ab", [1, 4], [5, 8]) == [4, 1]
        assert positive_weights("tempered", "ab", [1, 4], [5, 8]) == [2, 1]
        assert positive_weights("2,0.5", "ab", [1, 4], [5, 8]) == [2, 0.5]
        for text in ("2", "many", "1,-1"):
            with pytest.raises(UserError, match=r"class.weights"):
                positive_weights(text, "ab", [1, 4], [5, 8])

    @given(st.integers(0, 1000), st.integers(2, 6))
    def test_probabilities_of_grades_agree_with_the_order(self, seed, grades):
        z = np.random.default_rng(seed).normal(0, 30, (7, grades - 1)).astype(np.float32)
        p = CornHead(grades).scores(z)
        assert (p >= 0).all()
        np.testing.assert_allclose(p.sum(axis=1), 1)
        above = 1 - np.cumsum(p, axis=1)
        assert (np.diff(above, axis=1) <= 1e-12).all()

    def test_the_loss_of_grades_is_its_formula(self):
        """The thresholds below a grade, and the one at it, are asked for; those above it are not."""
        rng = np.random.default_rng(1)
        z, labels, weights = rng.normal(size=(6, 3)).astype(np.float32), np.array([0, 1, 2, 3, 3, 1]), [1.0, 2, 0.5, 3]
        total = norm = 0.0
        for row, label in zip(z.astype(np.float64), labels, strict=True):
            for k in range(min(label + 1, 3)):
                p = 1 / (1 + np.exp(-row[k]))
                total -= weights[label] * np.log(p if label > k else 1 - p)
                norm += weights[label]
        head = CornHead(4, weights)
        with tinymed.use_backend("numpy"):
            loss = head(tinymed.Tensor(z), tensors(head.targets(labels)))
        assert loss.item() == pytest.approx(total / norm, rel=1e-5)

    @pytest.mark.parametrize("loss", ["huber", "l1", "mse"])
    def test_numbers_come_back_in_their_unit(self, loss):
        head = ValueHead(120.0, 40.0, loss)
        labels = np.array([80.0, 160.0])
        targets = head.targets(labels)
        assert targets.tolist() == [[-1.0], [1.0]]
        np.testing.assert_allclose(head.scores(targets)[:, 0], labels)
        outputs = tinymed.Tensor(np.array([[-1.0], [3.0]], np.float32))
        assert head.correct(outputs, labels) == pytest.approx(80)
        theirs = {"huber": "huber_loss", "l1": "l1_loss", "mse": "mse_loss"}[loss]
        true = getattr(torch.nn.functional, theirs)(torch.tensor(outputs.numpy()), torch.tensor(targets))
        assert head(outputs, tinymed.Tensor(targets)).item() == pytest.approx(true.item())


def scored(seed: int, n: int = 40, k: int = 3, missing: float = 0.2):
    rng = np.random.default_rng(seed)
    truth = (rng.random((n, k)) < 0.4).astype(np.float64)
    scores = 1 / (1 + np.exp(-(2 * truth - 1 + rng.normal(0, 1.5, (n, k))))).round(2)
    truth[rng.random((n, k)) < missing] = np.nan
    return scores, truth


class TestMeasures:
    NAMES = ("edema", "mass", "scar")

    @pytest.mark.parametrize("seed", range(4))
    def test_aucs_are_scikit_learns_on_what_is_known(self, seed):
        scores, truth = scored(seed)
        result = evaluate_findings(scores, truth, self.NAMES, resamples=0)
        each = []
        for k, name in enumerate(self.NAMES):
            known, row = np.isfinite(truth[:, k]), result["per_finding"][name]
            each.append(sklearn_metrics.roc_auc_score(truth[known, k], scores[known, k]))
            assert row["auc"] == pytest.approx(each[-1], rel=1e-12)
            assert row["pr_auc"] == pytest.approx(
                sklearn_metrics.average_precision_score(truth[known, k], scores[known, k])
            )
            assert row["f1"] == pytest.approx(sklearn_metrics.f1_score(truth[known, k], scores[known, k] >= 0.5))
        assert result["macro_auc"] == pytest.approx(np.mean(each))
        known = np.isfinite(truth)
        assert result["micro_auc"] == pytest.approx(sklearn_metrics.roc_auc_score(truth[known], scores[known]))
        whole, all_known = scored(seed, missing=0)
        theirs = sklearn_metrics.roc_auc_score(all_known, whole, average="micro")
        assert micro_auc(all_known, whole) == pytest.approx(theirs)
        subset = evaluate_findings(whole, all_known, self.NAMES, resamples=0)["subset_accuracy"]
        assert subset == pytest.approx(sklearn_metrics.accuracy_score(all_known, whole >= 0.5))

    def test_what_is_not_defined_is_named_and_not_averaged(self):
        scores, truth = scored(0)
        truth[:, 1], truth[:, 2] = 0, np.nan
        result = evaluate_findings(scores, truth, self.NAMES, resamples=50)
        assert result["undefined"] == ["mass", "scar"]
        assert result["macro_auc"] == result["per_finding"]["edema"]["auc"]
        assert result["per_finding"]["mass"]["auc"] is None
        assert any(note.startswith("mass: there is no positive image") for note in result["warnings"])
        assert any(note.startswith("scar: there is no image of which it is known") for note in result["warnings"])
        none = evaluate_findings(scores, np.zeros_like(truth), self.NAMES, resamples=50)
        assert none["macro_auc"] is None is none["micro_auc"]

    def test_intervals(self):
        scores, truth = scored(2, 80)
        result = evaluate_findings(scores, truth, self.NAMES)
        for row in [result, *result["per_finding"].values()]:
            for name in [key.removesuffix("_interval") for key in row if key.endswith("_interval")]:
                low, high = row[f"{name}_interval"]
                assert low <= row[name] <= high, name
        assert result == evaluate_findings(scores, truth, self.NAMES)

    def test_resampled_averages_are_those_of_the_resample(self):
        from tinymed.metrics.findings import pair_auc

        scores, truth = scored(3, 30)
        rows = np.random.default_rng(0).integers(0, 30, (5, 30))
        found = pair_auc(scores, truth)(rows)
        np.testing.assert_allclose(found, [micro_auc(truth[r], scores[r]) for r in rows], rtol=1e-12)

    def test_the_floor_is_scores_without_an_image(self):
        scores, truth = scored(1, 200, missing=0.3)
        prevalence = [0.1, 0.5, 0.3]
        floor = evaluate_findings(scores, truth, self.NAMES, prevalence=prevalence, resamples=0)["floors"]["prevalence"]
        assert floor["macro_auc"] == 0.5
        known = np.isfinite(truth)
        same = np.broadcast_to(prevalence, truth.shape)
        assert floor["micro_auc"] == pytest.approx(sklearn_metrics.roc_auc_score(truth[known], same[known]))

    def test_what_is_no_better_than_its_floor_is_said(self):
        scores, truth = scored(5, 60)
        for shown, words in ((scores[::-1], ["macro auc", "micro auc"]), (scores, [])):
            result = evaluate_findings(shown, truth, self.NAMES, prevalence=[0.4, 0.4, 0.4])
            assert [note.partition(" is not above")[0] for note in result["warnings"] if "floor" in note] == words

    def test_what_does_not_fit(self):
        with pytest.raises(ValueError, match="truth is 1, 0 or nan"):
            evaluate_findings([[0.5]], [[2]], ["a"])
        with pytest.raises(ValueError, match="needs scores and truth"):
            evaluate_findings([[0.5, 0.5]], [[1]], ["a"])
        with pytest.raises(UserError, match="1 of 1 images have scores that are nan"):
            evaluate_findings([[np.nan]], [[1]], ["a"])


def test_no_warning_reaches_the_user_from_a_whole_evaluation():
    scores, truth = scored(0, 12)
    truth[:, 0] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate_findings(scores, truth, ["a", "b", "c"], resamples=200)
