"""Every layout `open_dataset` takes, and one clear sentence for every way to get it wrong."""

import gzip
import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from datasets import class_folders, picture, write_image

from tinymed.data import Dataset, merge_classes, open_dataset, parse_merge
from tinymed.errors import UserError


def refused(path: Path, *words: str, **options: object) -> None:
    """Opening raises one line that holds all the words."""
    with pytest.raises(UserError) as caught:
        open_dataset(path, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value), str(caught.value)


class TestClassFolders:
    def test_one_folder_a_class(self, tmp_path: Path) -> None:
        class_folders(tmp_path, {"well": 3, "ill": 2})
        (tmp_path / "well" / "notes.txt").write_text("not an image")
        (tmp_path / "well" / "._0.png").write_text("a hidden file of another system")
        (tmp_path / ".git").mkdir()
        (tmp_path / "README.md").write_text("not a class")
        sets = open_dataset(tmp_path)
        assert list(sets) == ["all"]
        assert sets["all"].classes == ["ill", "well"]
        assert sets["all"].labels.tolist() == [0, 0, 1, 1, 1]
        assert sets["all"].labels.dtype == np.int64
        assert sets["all"].counts() == {"ill": 2, "well": 3}
        assert np.array_equal(sets["all"].image(0), picture(3))

    def test_split_folders_under_their_usual_names(self, tmp_path: Path) -> None:
        for i, split in enumerate(("Training", "valid", "test")):
            class_folders(tmp_path / split, {"a": 2 + i, "b": 1}, 10 * i)
        sets = open_dataset(tmp_path)
        assert [(k, d.split, len(d)) for k, d in sets.items()] == [
            ("train", "train", 3),
            ("val", "val", 4),
            ("test", "test", 5),
        ]

    def test_images_in_folders_below_a_class(self, tmp_path: Path) -> None:
        class_folders(tmp_path, {"a/p1": 2, "a/p2": 1, "b": 1})
        assert open_dataset(tmp_path)["all"].counts() == {"a": 3, "b": 1}

    def test_classes_that_are_numbers_are_in_their_order(self, tmp_path: Path) -> None:
        class_folders(tmp_path, {str(i): 1 for i in range(11)})
        assert open_dataset(tmp_path)["all"].classes == [str(i) for i in range(11)]

    def test_a_class_may_be_called_test(self, tmp_path: Path) -> None:
        class_folders(tmp_path, {"test": 1, "control": 1})
        assert open_dataset(tmp_path)["all"].classes == ["control", "test"]

    def test_refusals(self, tmp_path: Path) -> None:
        refused(tmp_path / "nowhere", "nowhere", "no such file or directory", "class folders")
        refused(tmp_path, "no class folders", "one folder a class")
        write_image(tmp_path / "x.png", picture(0))
        refused(tmp_path, "images lie here without class folders")
        class_folders(tmp_path, {"only": 2})
        refused(tmp_path, "only one class (only)")
        (tmp_path / "empty").mkdir()
        refused(tmp_path, str(tmp_path / "empty"), "'empty' has no images")

    def test_a_class_that_train_lacks(self, tmp_path: Path) -> None:
        class_folders(tmp_path / "train", {"a": 2, "b": 2})
        class_folders(tmp_path / "val", {"a": 1, "c": 1}, 10)
        refused(tmp_path, "val/c", "'c' is not among those of train (a, b)")

    def test_two_folders_for_one_split(self, tmp_path: Path) -> None:
        for i, name in enumerate(("train", "val", "valid")):
            class_folders(tmp_path / name, {"a": 1, "b": 1}, 10 * i)
        refused(tmp_path, "val and valid both mean val")

    def test_bad_image_named_or_skipped(self, tmp_path: Path) -> None:
        class_folders(tmp_path, {"a": 3, "b": 3})
        bad = tmp_path / "a" / "1.png"
        bad.write_text("text")
        refused(tmp_path, str(bad), "leave it out with skip_bad=True")
        dataset = open_dataset(tmp_path, skip_bad=True)["all"]
        assert dataset.counts() == {"a": 2, "b": 3}
        assert [name for name, _ in dataset.skipped] == [str(bad)]
        assert "not an image" in dataset.skipped[0][1]
        assert np.array_equal(dataset.image(1), picture(2))

    def test_class_left_empty_by_skipping(self, tmp_path: Path) -> None:
        class_folders(tmp_path, {"a": 1, "b": 3})
        (tmp_path / "a" / "0.png").write_text("text")
        refused(tmp_path, "no image of class a", skip_bad=True)

    def test_leak_between_splits(self, tmp_path: Path) -> None:
        class_folders(tmp_path / "train", {"a": 2, "b": 2})
        class_folders(tmp_path / "test", {"a": 2, "b": 2}, 3)
        refused(tmp_path, "train/b/1.png", "test/a/0.png", "the same image")
        with pytest.warns(UserWarning, match="splits leak"):
            assert len(open_dataset(tmp_path, leaks="warn")) == 2
        assert len(open_dataset(tmp_path, leaks="ignore")) == 2
        assert len(open_dataset(tmp_path, verify=False)) == 2


class TestClassesOfARun:
    def test_order_is_the_runs_and_classes_may_be_absent(self, tmp_path: Path) -> None:
        class_folders(tmp_path, {"a": 2, "c": 1})
        dataset = open_dataset(tmp_path, classes=["c", "b", "a"])["all"]
        assert dataset.classes == ["c", "b", "a"]
        assert dataset.labels.tolist() == [2, 2, 0]

    def test_one_class_is_enough(self, tmp_path: Path) -> None:
        class_folders(tmp_path, {"b": 2})
        assert open_dataset(tmp_path, classes=["a", "b"])["all"].labels.tolist() == [1, 1]

    def test_unknown_class(self, tmp_path: Path) -> None:
        class_folders(tmp_path, {"a": 2, "x": 1})
        refused(tmp_path, "class x is unknown, expected a, b", classes=["a", "b"])


class TestMerge:
    def test_command_line_form(self) -> None:
        assert parse_merge(["yes=g2, g3", "no=g0,g1"]) == {"yes": ["g2", "g3"], "no": ["g0", "g1"]}
        for wrong in ("yes", "=g1", "yes=", "yes=,"):
            with pytest.raises(UserError, match="NEW=OLD"):
                parse_merge([wrong])
        with pytest.raises(UserError, match="given twice"):
            parse_merge(["a=x", "a=y"])

    def test_labels_follow(self) -> None:
        images = np.stack([picture(i) for i in range(5)])
        dataset = Dataset(images, np.arange(5), [f"g{i}" for i in range(5)])
        merged = merge_classes(dataset, {"yes": ["g2", "g3", "g4"], "no": ["g0", "g1"]})
        assert merged.classes == ["yes", "no"]
        assert merged.labels.tolist() == [1, 1, 0, 0, 0]
        for merge, words in (
            ({"a": ["g0", "gx"]}, "no class 'gx'"),
            ({"a": ["g0"], "b": ["g0"]}, "already in 'a'"),
            ({"a": ["g0", "g1", "g2"]}, "class g3, g4 is in no new class"),
        ):
            with pytest.raises(UserError, match=words):
                merge_classes(dataset, merge)


def csv_list(root: Path, text: str, name: str = "splits.csv") -> Path:
    (root / name).write_text(text)
    return root / name


class TestCsv:
    @pytest.fixture
    def images(self, tmp_path: Path) -> Path:
        for i in range(6):
            write_image(tmp_path / f"{i}.png", picture(i))
        return tmp_path

    TEXT = "path,label,split,patient\n0.png,a,train,p\n1.png,b,train,p\n2.png,a,val,q\n3.png,b,test,r\n"

    def test_splits_csv_decides_over_folders(self, images: Path) -> None:
        class_folders(images, {"other": 2, "another": 2}, 20)
        csv_list(images, self.TEXT)
        sets = open_dataset(images)
        assert [(k, len(d)) for k, d in sets.items()] == [("train", 2), ("val", 1), ("test", 1)]
        assert sets["train"].groups is not None
        assert sets["train"].groups.tolist() == ["p", "p"]
        assert sets["test"].labels.tolist() == [1]
        assert np.array_equal(sets["test"].image(0), picture(3))

    def test_list_by_name_with_other_columns(self, images: Path) -> None:
        table = csv_list(images, "\ufefffile,grade,eye\n0.png,3,left\n1.png,10,left\n2.png,3,right\n", "mine.csv")
        dataset = open_dataset(table, path_column="file", label_column="grade", group_column="eye")["all"]
        assert dataset.classes == ["3", "10"]
        assert dataset.groups is not None
        assert dataset.groups.tolist() == ["left", "left", "right"]

    def test_patient_on_both_sides(self, images: Path) -> None:
        refused(csv_list(images, self.TEXT.replace(",q", ",p")), "group p is in both train and val")

    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            ("path,", "where,", "no column 'path' (it has where, label, split, patient)"),
            ("label,", "kind,", "no column 'label' (it has path, kind, split, patient)"),
            ("val", "hold-out", "line 4: split 'hold-out' is none of train, val, test"),
            ("2.png,a", "2.png,", "empty 'label'"),
            ("3.png,b", "3.png,c", "class 'c' in test is not among those of train (a, b)"),
            ("1.png,b", "1.png,a", "class 'b' in test is not among"),
            ("2.png", "9.png", "9.png: no such file, named in"),
            ("2.png", "", "line 4: an empty path: fill it in"),
            (TEXT.partition("\n")[2], "", "no rows below the header"),
        ],
    )
    def test_refusals(self, images: Path, old: str, new: str, words: str) -> None:
        assert old in self.TEXT
        refused(csv_list(images, self.TEXT.replace(old, new)), "splits.csv", words)

    def test_no_such_group_column(self, images: Path) -> None:
        refused(csv_list(images, self.TEXT), "no column 'ward'", group_column="ward")

    def test_missing_file_skipped(self, images: Path) -> None:
        table = csv_list(images, self.TEXT.replace("2.png", "9.png") + "4.png,a,val,s\n")
        sets = open_dataset(table, skip_bad=True)
        assert len(sets["val"]) == 1
        assert sets["val"].skipped[0][0].endswith("9.png")

    def test_not_text(self, images: Path) -> None:
        (images / "splits.csv").write_bytes(b"path,label\n\xff\xfe\x00,\x80\n")
        refused(images, "not a UTF-8 CSV list")


def npz(path: Path, **changes: np.ndarray | None) -> Path:
    """A MedMNIST-like archive of 6 + 3 + 3 images and two classes, with members replaced or (None) left out."""
    arrays: dict[str, np.ndarray] = {}
    for i, (split, count) in enumerate((("train", 6), ("val", 3), ("test", 3))):
        arrays[f"{split}_images"] = np.stack([picture(10 * i + j, 8, 8, 1) for j in range(count)])
        arrays[f"{split}_labels"] = (np.arange(count) % 2).astype(np.uint8)[:, None]
    arrays |= {k: v for k, v in changes.items() if v is not None}
    np.savez_compressed(path, **{k: v for k, v in arrays.items() if not (k in changes and changes[k] is None)})
    return path


class TestNpz:
    def test_medmnist(self, tmp_path: Path) -> None:
        sets = open_dataset(npz(tmp_path / "a.npz"))
        assert [(k, len(d), d.classes) for k, d in sets.items()] == [
            ("train", 6, ["0", "1"]),
            ("val", 3, ["0", "1"]),
            ("test", 3, ["0", "1"]),
        ]
        assert sets["val"].image(1).shape == (8, 8, 1)
        assert np.array_equal(sets["val"].image(1)[:, :, 0], picture(11, 8, 8, 1))

    def test_rgb_and_plain_labels(self, tmp_path: Path) -> None:
        images = np.stack([picture(90 + j, 8, 8) for j in range(4)])
        path = npz(tmp_path / "a.npz", train_images=images, train_labels=np.array([0, 1, 1, 0]))
        assert open_dataset(path)["train"].image(2).shape == (8, 8, 3)

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"train_labels": None, "val_labels": None, "test_labels": None}, "needs train_images and train_labels"),
            ({"test_labels": np.array([0, 1, 2])}, "label 2 is out of range"),
            ({"test_labels": np.array([0, 1, -1])}, "label -1 is out of range"),
            ({"train_labels": np.array([0, 0, 0, 2, 2, 2])}, "no image of class 1"),
            ({"train_labels": np.zeros(6, int), "val_labels": None, "test_labels": np.zeros(3, int)}, "only one class"),
            ({"train_labels": np.zeros((6, 14), np.uint8)}, "several labels"),
            ({"train_labels": np.array([0, 1, 0, 1, 0, 0.5])}, "one integer an image"),
            ({"train_labels": np.array([0, 1])}, "6 images but labels of shape (2,)"),
            ({"train_images": np.zeros((6, 8, 8), np.float32)}, "float32; expected uint8"),
            ({"train_images": np.zeros((6, 8, 8, 5), np.uint8)}, "expected uint8 [n, height, width]"),
        ],
    )
    def test_refusals(self, tmp_path: Path, changes: dict, words: str) -> None:
        refused(npz(tmp_path / "a.npz", **changes), "a.npz", words)

    def test_pickled_objects(self, tmp_path: Path) -> None:
        refused(npz(tmp_path / "a.npz", train_labels=np.array([0, 1, 0, 1, 0, {}], object)), "pickled Python objects")

    def test_over_budget_by_header_alone(self, tmp_path: Path) -> None:
        """A gigabyte of zeros in a megabyte: refused from the header, so the limit can be tiny and the test fast."""
        path = npz(tmp_path / "a.npz", train_images=np.zeros((1000, 100, 100), np.uint8))
        assert path.stat().st_size < 100_000
        refused(path, "train_images would take 10,000,000 bytes", max_bytes=9_999_999)

    @pytest.mark.parametrize("shape", [(10**9, 10**4, 10**4), (5, 8, 8), (7, 8, 8)])
    def test_header_that_lies(self, tmp_path: Path, shape: tuple[int, ...]) -> None:
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": shape})
        plain = npz(tmp_path / "plain.npz")
        with zipfile.ZipFile(plain) as old, zipfile.ZipFile(tmp_path / "a.npz", "w") as new:
            for name in old.namelist():
                body = head.getvalue() + bytes(6 * 64) if name == "train_images.npy" else old.read(name)
                new.writestr(name, body)
        refused(tmp_path / "a.npz", "train_images", "would take" if shape[0] > 7 else "says")

    @pytest.mark.parametrize("cut", [0, 10, 300, -30])
    def test_truncated(self, tmp_path: Path, cut: int) -> None:
        path = npz(tmp_path / "a.npz")
        path.write_bytes(path.read_bytes()[:cut])
        refused(path, "not a readable NPZ archive")


def idx(path: Path, array: np.ndarray, claim: tuple[int, ...] | None = None, kind: int = 8) -> None:
    shape = claim or array.shape
    data = bytes((0, 0, kind, len(shape))) + struct.pack(f">{len(shape)}I", *shape) + array.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


class TestIdx:
    IMAGES = np.stack([picture(i, 6, 5, 1) for i in range(10)])
    LABELS = (np.arange(10) % 3).astype(np.uint8)

    def write(self, root: Path, ending: str = "") -> Path:
        for prefix, rows in (("train", slice(0, 7)), ("t10k", slice(7, 10))):
            idx(root / f"{prefix}-images-idx3-ubyte{ending}", self.IMAGES[rows])
            idx(root / f"{prefix}-labels-idx1-ubyte{ending}", self.LABELS[rows])
        return root

    @pytest.mark.parametrize("ending", ["", ".gz"])
    def test_four_files(self, tmp_path: Path, ending: str) -> None:
        sets = open_dataset(self.write(tmp_path, ending))
        assert [(k, len(d)) for k, d in sets.items()] == [("train", 7), ("test", 3)]
        assert np.array_equal(sets["test"].image(0)[:, :, 0], self.IMAGES[7])
        assert sets["test"].labels.tolist() == [1, 2, 0]

    ROWS = "images,labels,start,stop,split\nIMG,LAB,0,5,train\nIMG,LAB,5,7,val\n"

    def list(self, root: Path, text: str) -> Path:
        names = {"IMG": "train-images-idx3-ubyte.gz", "LAB": "train-labels-idx1-ubyte.gz"}
        for short, name in names.items():
            text = text.replace(short, name)
        return csv_list(self.write(root, ".gz"), text).parent

    def test_rows_of_a_list(self, tmp_path: Path) -> None:
        sets = open_dataset(self.list(tmp_path, self.ROWS))
        assert [(k, len(d)) for k, d in sets.items()] == [("train", 5), ("val", 2)]
        assert np.array_equal(sets["val"].samples, self.IMAGES[5:7])

    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            ("5,7", "5,8", "line 3: rows 5 to 8 do not lie in a file of 7 images"),
            ("5,7", "7,5", "do not lie"),
            ("5,7", "five,7", "whole numbers"),
            ("val", "spare", "line 3: split 'spare'"),
            ("IMG,LAB,5", "gone,LAB,5", "gone: no such file"),
        ],
    )
    def test_wrong_lists(self, tmp_path: Path, old: str, new: str, words: str) -> None:
        refused(self.list(tmp_path, self.ROWS.replace(old, new)), words)

    @pytest.mark.parametrize("ending", ["", ".gz"])
    @pytest.mark.parametrize(
        ("claim", "kind", "words"),
        [
            ((8, 6, 5), 8, "promises (8, 6, 5), 240 bytes, but it holds 210"),
            ((6, 6, 5), 8, "but it holds more"),
            ((2**32 - 1, 2**32 - 1, 2**32 - 1), 8, "the limit is"),
            ((7, 30), 8, "starts with 00000802, expected 00000803"),
            ((7, 6, 5), 13, "starts with 00000d03"),
        ],
    )
    def test_wrong_headers(self, tmp_path: Path, ending: str, claim, kind: int, words: str) -> None:
        self.write(tmp_path, ending)
        idx(tmp_path / f"train-images-idx3-ubyte{ending}", self.IMAGES[:7], claim, kind)
        refused(tmp_path, "train-images-idx3-ubyte", words)

    def test_damaged_gzip(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, ".gz") / "train-images-idx3-ubyte.gz"
        path.write_bytes(path.read_bytes()[:-20])
        refused(tmp_path, str(path), "not a readable idx file")

    def test_labels_missing_or_too_few(self, tmp_path: Path) -> None:
        idx(self.write(tmp_path) / "train-labels-idx1-ubyte", self.LABELS[:6])
        refused(tmp_path, "7 images but", "6 labels")
        (tmp_path / "train-labels-idx1-ubyte").unlink()
        refused(tmp_path, "train-labels-idx1-ubyte.gz: no such file")


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    refused(tmp_path / "a.txt", "a.txt: not a data set", ".npz")


def test_wrong_leak_rule(tmp_path: Path) -> None:
    refused(class_folders(tmp_path, {"a": 1, "b": 1}), "error, warn or ignore", leaks="maybe")
