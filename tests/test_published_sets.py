"""Sets and lists in the forms in which others publish them, each as it is and in variants that must be refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from commands import invoke
from datasets import picture, write_image
from masks import blob

from tinymed.data import open_boxes, open_dataset, open_findings, open_segmentation
from tinymed.errors import UserError
from tinymed.metrics.medmnist import evaluator_figures


def images(root: Path, *names: str) -> Path:
    """Different pictures under these names."""
    for i, name in enumerate(names):
        write_image(root / name, picture(i))
    return root


class TestLists:
    def test_nih_chest_xray14(self, tmp_path):
        """Data_Entry_2017.csv: findings divided by |, patients by number."""
        images(tmp_path, "00000001_000.png", "00000001_001.png", "00000002_000.png")
        (tmp_path / "Data_Entry_2017.csv").write_text(
            "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position\n"
            "00000001_000.png,Cardiomegaly|Emphysema,0,1,58,M,PA\n00000001_001.png,No Finding,1,1,58,M,PA\n"
            "00000002_000.png,Cardiomegaly,0,2,81,M,AP\n"
        )
        data = open_findings(tmp_path / "Data_Entry_2017.csv")["all"]
        assert (data.classes, data.group_column) == (["Cardiomegaly", "Emphysema"], "Patient ID")
        assert data.findings.tolist() == [[1, 1], [0, 0], [1, 0]]
        assert data.groups.tolist() == ["1", "1", "2"]

    def test_chexpert(self, tmp_path):
        """train.csv: 1, 0, -1 (uncertain) and blank (not said), by a stated rule."""
        names = [f"CheXpert-v1.0-small/train/patient0000{i}/study1/view1_frontal.jpg" for i in range(3)]
        images(tmp_path, *names)
        rows = ["1.0,,-1.0", "0.0,1.0,", ",0.0,1.0"]
        (tmp_path / "train.csv").write_text(
            "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Edema,Pleural Effusion\n"
            + "".join(f"{name},Female,68,Frontal,AP,{row}\n" for name, row in zip(names, rows, strict=True))
        )
        nan = np.nan
        columns = ["Edema", "Pleural Effusion"]
        rules = {
            ("ignore", "ignore"): [[nan, nan], [1, nan], [0, 1]],
            ("positive", "negative"): [[0, 1], [1, 0], [0, 1]],
        }
        for (uncertain, blank), wanted in rules.items():
            data = open_findings(tmp_path / "train.csv", findings=columns, uncertain=uncertain, blank=blank)["all"]
            assert np.array_equal(data.findings, np.array(wanted, np.float32), equal_nan=True)
        (tmp_path / "train.csv").write_text((tmp_path / "train.csv").read_text().replace("-1.0", "2"))
        with pytest.raises(UserError, match=r"train\.csv, line 2: 'Pleural Effusion' is '2'"):
            open_findings(tmp_path / "train.csv", findings=columns)

    def test_isic_2019(self, tmp_path):
        """One column of 0.0 and 1.0 a class; names without a suffix."""
        images(tmp_path, "ISIC_0000000.jpg", "ISIC_0000001.jpg", "ISIC_0000002.jpg")
        table = tmp_path / "ISIC_2019_Training_GroundTruth.csv"
        labels = ["0.0,1.0,0.0,0.0", "1.0,0.0,0.0,0.0", "0.0,0.0,1.0,0.0"]
        rows = "image,MEL,NV,BCC,UNK\n" + "".join(f"ISIC_000000{i},{label}\n" for i, label in enumerate(labels))
        table.write_text(rows)
        data = open_dataset(table)["all"]
        assert [data.label_text(i) for i in range(3)] == ["NV", "MEL", "BCC"]
        for row, words in (("1.0,1.0,0.0,0.0", "MEL and NV are 1"), ("0.0,0.0,0.0,0.0", "none is 1")):
            table.write_text(
                rows.replace("1.0,0.0,0.0,0.0", row, 1) if row[0] == "1" else rows.replace("0.0,0.0,1.0,0.0", row)
            )
            with pytest.raises(UserError, match=rf"GroundTruth\.csv, line \d: .*{words}"):
                open_dataset(table)

    def test_ham10000(self, tmp_path):
        """HAM10000_metadata.csv: the class is dx, and pictures of one lesion stay together."""
        images(tmp_path, *(f"ISIC_002{i}.jpg" for i in range(4)))
        (tmp_path / "HAM10000_metadata.csv").write_text(
            "lesion_id,image_id,dx,dx_type,age,sex,localization\nHAM_1,ISIC_0020,bkl,histo,80.0,male,scalp\n"
            "HAM_1,ISIC_0021,bkl,histo,80.0,male,scalp\nHAM_2,ISIC_0022,nv,histo,,male,ear\nHAM_3,ISIC_0023,nv,histo,,male,ear\n"
        )
        data = open_dataset(tmp_path / "HAM10000_metadata.csv")["all"]
        assert (data.classes, data.group_column) == (["bkl", "nv"], "lesion_id")
        assert data.groups.tolist() == ["HAM_1", "HAM_1", "HAM_2", "HAM_3"]

    def test_a_column_of_paths_of_another_name(self, tmp_path):
        images(tmp_path, "a.png", "b.png")
        (tmp_path / "l.csv").write_text("where,label\na.png,x\nb.png,y\n")
        assert len(open_dataset(tmp_path / "l.csv", path_column="where")["all"]) == 2


class TestMedMNIST:
    def archive(self, path: Path, shape: tuple[int, ...], labels: Callable[[int], object]) -> Path:
        """The members of a MedMNIST file; n images of each part."""
        random, arrays = np.random.default_rng(0), {}
        for split, n in (("train", 12), ("val", 4), ("test", 6)):
            arrays[f"{split}_images"] = random.integers(0, 256, (n, *shape), np.uint8)
            arrays[f"{split}_labels"] = np.array([labels(i) for i in range(n)], np.uint8)
        np.savez_compressed(path, **arrays)
        return path

    @pytest.mark.parametrize("shape", [(28, 28), (28, 28, 3), (64, 64, 3)])
    def test_pictures(self, tmp_path, shape):
        sets = open_dataset(self.archive(tmp_path / "pathmnist.npz", shape, lambda i: [i % 3]))
        assert {name: len(part) for name, part in sets.items()} == {"train": 12, "val": 4, "test": 6}
        assert sets["train"].image(0).shape == (*shape[:2], shape[2] if len(shape) == 3 else 1)

    def test_volumes_are_refused_by_their_shape(self, tmp_path):
        path = self.archive(tmp_path / "organmnist3d.npz", (28, 28, 28), lambda i: [i % 2])
        with pytest.raises(UserError, match="28, 28, 28"):
            open_dataset(path)

    def test_several_findings(self, tmp_path):
        path = self.archive(tmp_path / "chestmnist.npz", (28, 28), lambda i: [i % 2, i % 3 == 0, 1])
        data = open_findings(path, findings=["a", "b", "c"])["test"]
        assert data.findings[:3].tolist() == [[0, 1, 1], [1, 0, 1], [0, 0, 1]]
        with pytest.raises(UserError, match=r"chestmnist\.npz \[train\]: 3 findings, but 2 names"):
            open_findings(path, findings=["a", "b"])
        with pytest.raises(UserError, match="learnt with --task multilabel"):
            open_dataset(path)
        one = self.archive(tmp_path / "one.npz", (28, 28), lambda i: [i % 2])
        with pytest.raises(UserError, match="one class an image is learnt with --task classification"):
            open_findings(one)

    @pytest.mark.parametrize("classes", [2, 5])
    def test_figures_are_the_evaluators(self, classes):
        """As medmnist/evaluator.py computes them with scikit-learn."""
        from sklearn.metrics import accuracy_score, roc_auc_score

        random = np.random.default_rng(classes)
        truth = np.arange(60) % classes
        scores = random.dirichlet(np.ones(classes), 60)
        found = evaluator_figures(scores, truth)
        if classes == 2:
            area, share = roc_auc_score(truth, scores[:, 1]), accuracy_score(truth, scores[:, 1] > 0.5)
        else:
            area = np.mean([roc_auc_score(truth == k, scores[:, k]) for k in range(classes)])
            share = accuracy_score(truth, scores.argmax(axis=1))
        assert found == pytest.approx({"AUC": area, "ACC": share})
        several = random.integers(0, 2, (60, classes))
        found = evaluator_figures(scores, several)
        area = np.mean([roc_auc_score(several[:, k], scores[:, k]) for k in range(classes)])
        share = np.mean([accuracy_score(several[:, k], scores[:, k] > 0.5) for k in range(classes)])
        assert found == pytest.approx({"AUC": area, "ACC": share})

    @pytest.mark.filterwarnings("ignore")
    def test_a_run_reports_them(self, tmp_path, capsys):
        path = self.archive(tmp_path / "breastmnist.npz", (28, 28), lambda i: [i % 2])
        network = ["lenet5_modern", "--grey", "--size", "28", "--steps", "1", "--batch", "4", "--backend", "numpy"]
        code, told, err = invoke(
            capsys, "train", *network, "--data", path, "--positive", "1", "--workers", 0, "--out", tmp_path / "r"
        )
        assert code == 0, err
        assert "as MedMNIST's evaluator defines them: AUC " in told
        assert set(json.loads((tmp_path / "r" / "metrics.json").read_text())["test"]["medmnist"]) == {"AUC", "ACC"}


COCO = {
    "images": [{"id": 7, "file_name": "a.png"}, {"id": 9, "file_name": "b.png"}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 3, "bbox": [1, 2, 4, 5.5], "iscrowd": 0},
        {"id": 2, "image_id": 7, "category_id": 1, "bbox": [0, 0, 3, 3]},
    ],
    "categories": [{"id": 1, "name": "cell"}, {"id": 3, "name": "clump"}],
}


class TestBoxes:
    def coco(self, root: Path, **changes: object) -> Path:
        images(root, "a.png", "b.png")
        (root / "instances.json").write_text(json.dumps(COCO | changes))
        return root

    def test_coco(self, tmp_path):
        for path in (self.coco(tmp_path), tmp_path / "instances.json"):
            data = open_boxes(path)["all"]
            assert data.box_counts() == {"cell": 1, "clump": 1}
            assert data.boxes[0].tolist() == [[1, 2, 5, 7.5], [0, 0, 3, 3]]
            assert len(data.boxes[1]) == 0  # an image without a box

    def test_coco_in_parts(self, tmp_path):
        for part, shift in (("train", 0), ("val", 10)):
            for i, name in enumerate("ab"):
                write_image(tmp_path / f"{part}2017" / f"{name}.png", picture(i + shift))
            (tmp_path / "annotations").mkdir(exist_ok=True)
            (tmp_path / "annotations" / f"instances_{part}2017.json").write_text(json.dumps(COCO))
        assert {name: len(part) for name, part in open_boxes(tmp_path).items()} == {"train": 2, "val": 2}

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"images": {}}, "images is no list of objects"),
            ({"images": [{"id": 7, "file_name": "../../etc/passwd"}]}, "there is no image '../../etc/passwd'"),
            ({"images": [{"id": 7, "file_name": "a.png"}] * 2}, r"images\[1\]\.id 7 is there twice"),
            ({"images": [{"id": [], "file_name": "a.png"}]}, r"images\[0\]\.id is \[\]"),
            (
                {"annotations": [{"image_id": 8, "category_id": 1, "bbox": [0, 0, 1, 1]}]},
                r"annotations\[0\]\.image_id 8",
            ),
            (
                {"annotations": [{"image_id": 7, "category_id": 2, "bbox": [0, 0, 1, 1]}]},
                "category_id 2 is the id of no",
            ),
            ({"annotations": [{"image_id": 7, "category_id": 1, "bbox": [0, 0, 0, 1]}]}, r"annotations\[0\]\.bbox is"),
            ({"annotations": [{"image_id": 7, "category_id": 1, "bbox": "0,0"}]}, r"annotations\[0\]\.bbox is"),
            ({"annotations": [{"image_id": 7, "category_id": 1, "bbox": [50, 50, 9, 9]}]}, "lies outside the image"),
            ({"categories": [{"id": 1}]}, r"categories\[0\]\.name is None"),
        ],
    )
    def test_hostile_coco(self, tmp_path, changes, words):
        with pytest.raises(UserError, match=words):
            open_boxes(self.coco(tmp_path, **changes))

    def yolo(self, root: Path, names: str = "names: [cell, clump]\n", line: str = "1 0.5 0.5 0.4 0.25\n") -> Path:
        for part, shift in (("train", 0), ("val", 10)):
            for i, name in enumerate("ab"):
                write_image(root / "images" / part / f"{name}.png", picture(i + shift, 20, 10))
            (root / "labels" / part).mkdir(parents=True, exist_ok=True)
            (root / "labels" / part / "a.txt").write_text(line)
        (root / "data.yaml").write_text(f"path: .\ntrain: images/train\n{names}nc: 2\n")
        return root

    @pytest.mark.parametrize(
        "names", ["names: [cell, clump]\n", "names:\n  0: cell\n  1: clump\n", "names:\n- cell\n- 'clump' # both\n"]
    )
    def test_yolo(self, tmp_path, names):
        sets = open_boxes(self.yolo(tmp_path, names))
        assert {name: len(part) for name, part in sets.items()} == {"train": 2, "val": 2}
        assert sets["val"].boxes[0] == pytest.approx(np.array([[3, 7.5, 7, 12.5]]))
        assert sets["val"].box_counts() == {"clump": 1}

    @pytest.mark.parametrize(
        ("names", "line", "words"),
        [
            ("", "0 0.5 0.5 0.4 0.2\n", r"data\.yaml: names no classes"),
            ("names: [a, a]\n", "0 0.5 0.5 0.4 0.2\n", "or one twice"),
            ("names: [a]\n", "\n1 0.5 0.5 0.4 0.2\n", r"a\.txt, line 2: class 1, but there are 1 names"),
            ("names: [a]\n", "0 50 50 40 20\n", r"a\.txt, line 1: .*as shares of the image"),
            ("names: [a]\n", "0 nan 0.5 0.4 0.2\n", "as shares of the image"),
            ("names: [a]\n", "0 0.5 0.5\n", "write class x y width height"),
            ("names: [a]\n", "cell 0.5 0.5 0.1 0.1\n", "write class x y width height"),
        ],
    )
    def test_hostile_yolo(self, tmp_path, names, line, words):
        with pytest.raises(UserError, match=words):
            open_boxes(self.yolo(tmp_path, names, line))


class TestSegmentation:
    def tree(self, root: Path, **description: object) -> Path:
        """nnU-Net's and the Decathlon's folders, of pictures."""
        for i in range(3):
            image, mask = blob(i, (16, 18), 4)
            write_image(root / "imagesTr" / f"c{i}_0000.png", image)
            write_image(root / "labelsTr" / f"c{i}.png", mask)
        (root / "dataset.json").write_text(json.dumps(description))
        return root

    REGIONS = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3}

    def test_nnunets_regions_become_classes_that_exclude_each_other(self, tmp_path):
        data = open_segmentation(self.tree(tmp_path, labels=self.REGIONS, regions_class_order=[1, 2, 3]))["all"]
        assert dict(data.meaning.values) == {0: "background", 1: "whole", 2: "core", 3: "enhancing"}
        labels = {"background": 0, "whole": [1, 2], "core": 2, "ignore": 3}
        data = open_segmentation(self.tree(tmp_path, labels=labels, regions_class_order=[1, 2]))["all"]
        assert (dict(data.meaning.values), data.meaning.ignore) == ({0: "background", 1: "whole", 2: "core"}, 3)

    @pytest.mark.parametrize(
        ("description", "words"),
        [
            ({"labels": REGIONS}, "regions need regions_class_order, one number for each of whole, core, enhancing"),
            ({"labels": REGIONS, "regions_class_order": [1]}, "regions need regions_class_order"),
            (
                {"labels": {"background": 0, "a": [1, 2], "b": [2, 3]}, "regions_class_order": [1, 2]},
                "the region 'b' crosses a",
            ),
            ({"labels": {"background": 0, "a": [1, "x"]}, "regions_class_order": [1]}, "a region is a list of whole"),
            ({"labels": {"background": 0, "a": 1}, "training": {}}, "training is no list"),
            ({"labels": {"background": 0, "a": 1}, "training": [{"image": "/etc/passwd"}]}, r"training\[0\]\.image is"),
            ({"labels": {"background": 0, "a": 1}, "training": [{"image": "../x.png"}]}, "lies below the folder"),
            ({"labels": {"background": 0, "a": 1}, "training": [{"image": "./no.png"}]}, "there is no file"),
            ({"labels": {"background": 0, "a": 1}, "training": [3]}, r"training\[0\] is 3"),
        ],
    )
    def test_hostile_descriptions(self, tmp_path, description, words):
        with pytest.raises(UserError, match=words) as error:
            open_segmentation(self.tree(tmp_path, **description))
        assert "dataset.json" in str(error.value)

    @pytest.mark.filterwarnings("ignore")
    def test_the_decathlons_list_says_which_pairs_are_taken(self, tmp_path):
        pairs = [{"image": f"./imagesTr/c{i}_0000.png", "label": f"./labelsTr/c{i}.png"} for i in (2, 0)]
        labels = {"0": "background", "1": "a", "2": "b", "3": "c"}
        root = self.tree(tmp_path, labels=labels, training=pairs, modality={"0": "MRI"}, numTraining=2)
        data = open_segmentation(root)["all"]
        assert [Path(p).name for p in data.samples] == ["c2_0000.png", "c0_0000.png"]
        assert data.account.taken == 4
        assert sum(map(len, data.account.left_out.values())) == 3
