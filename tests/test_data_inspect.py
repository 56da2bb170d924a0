"""`tinymed data inspect` and `list`: every kind of input, every file accounted for, exit codes."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from commands import invoke
from datasets import class_folders, picture, write_image
from masks import mask_tree, volume_tree
from test_detection import box_tree

from tinymed.data.inspection import KINDS, guess_kind, inspect
from tinymed.errors import UserError


def found_in(capsys, *arguments: object, code: int = 0) -> dict:
    """What `data inspect --json` prints."""
    got, out, err = invoke(capsys, "data", "inspect", *arguments, "--json")
    assert got == code, err
    return json.loads(out)


class TestKinds:
    def test_class_folders(self, tmp_path, capsys):
        class_folders(tmp_path, {"a": 3, "b": 2})
        (tmp_path / "a" / "notes.txt").write_text("x")
        (tmp_path / "b" / "bad.png").write_bytes(b"no picture")
        (tmp_path / "b" / "slide.svs").write_bytes(b"?")
        write_image(tmp_path / "a" / "again.png", picture(0))
        write_image(tmp_path / "b" / "again.png", picture(1))
        write_image(tmp_path / "a" / "deep.png", np.arange(120, dtype=np.uint16).reshape(12, 10) * 300)
        found = found_in(capsys, tmp_path, code=1)
        assert found["kind"] == "classes"
        assert (found["files"]["seen"], found["files"]["taken"]) == (11, 8)
        assert found["files"]["left_out"][".svs"]["such_as"] == [str(tmp_path / "b" / "slide.svs")]
        assert found["sizes"] == {"12 x 10, colour": 7, "12 x 10, grey": 1}
        assert found["depths"] == {"8 bits": 7, "more than 8 bits": 1}
        assert [Path(row["file"]).name for row in found["unreadable"]] == ["bad.png"]
        assert found["duplicates"]["images"] == 2
        assert len(found["contradictions"]) == 1
        assert found["patients"]["counts"] == {}

    def test_parts_that_leak(self, tmp_path, capsys):
        class_folders(tmp_path / "train", {"a": 2, "b": 2})
        class_folders(tmp_path / "test", {"a": 1, "b": 1})
        found = found_in(capsys, tmp_path, code=1)
        assert found["parts"] == {"train": 4, "test": 2}
        assert len(found["leaks"]) == 2
        assert "are the same image" in found["leaks"][0]

    def test_lists(self, tmp_path, capsys):
        class_folders(tmp_path, {"a": 2, "b": 3})
        rows = ["path,label,patient,split", "a/0.png,a,p,train", "a/1.png,a,q,test", "b/0.png,b,p,test"]
        (tmp_path / "list.csv").write_text("\n".join([*rows, "b/no.png,b,r,train", "b/1.png,b,s,train\n"]))
        found = found_in(capsys, tmp_path / "list.csv", code=1)
        assert found["patients"]["counts"] == {"train": 2, "test": 2}
        assert found["leaks"] == ["group p is in both train and test"]
        assert found["unreadable"][0]["file"].endswith("no.png")
        assert found["files"]["taken"] == 4
        assert found["files"]["left_out"]["images that no row names"]["files"] == 1

    def test_findings(self, tmp_path, capsys):
        class_folders(tmp_path, {"a": 2})
        (tmp_path / "list.csv").write_text("path,findings\na/0.png,Edema|Mass\na/1.png,Mass\n")
        found = found_in(capsys, tmp_path / "list.csv")
        assert (found["kind"], found["classes"]) == ("findings", {"all": {"Edema": 1, "Mass": 2}})

    def test_masks(self, tmp_path, capsys):
        mask_tree(tmp_path, 3, (20, 30))
        found = found_in(capsys, tmp_path)
        assert (found["kind"], found["sizes"]) == ("masks", {"20 x 30, grey": 3})
        assert found["classes"] == {"all": {"background": 3, "foreground": 3}}

    def test_volumes(self, tmp_path, capsys):
        pytest.importorskip("nibabel", reason='NIfTI needs nibabel: pip install ".[medical]"')
        volume_tree(tmp_path, 2)
        found = found_in(capsys, tmp_path)
        assert found["kind"] == "masks"
        assert set(found["orientations"]) == {"RAS", "LAS"}
        assert sum(found["spacings"].values()) == 2

    def test_boxes(self, tmp_path, capsys):
        found = found_in(capsys, box_tree(tmp_path, 4, split=False))
        assert found["kind"] == "boxes"
        assert sum(found["classes"]["all"].values()) > 3

    def test_archives(self, tmp_path, capsys):
        images = np.random.default_rng(0).integers(0, 256, (4, 8, 8), np.uint8)
        np.savez(tmp_path / "a.npz", train_images=images, train_labels=np.arange(4) % 2)
        found = found_in(capsys, tmp_path / "a.npz")
        assert (found["files"]["taken"], found["sizes"]) == (4, {"8 x 8, grey": 4})

    def test_plain_folders(self, tmp_path, capsys):
        for i in range(3):
            write_image(tmp_path / f"{i}.png", picture(i))
        assert found_in(capsys, tmp_path)["kind"] == "images"

    def test_the_kind_may_be_said(self, tmp_path, capsys):
        class_folders(tmp_path, {"1": 2, "2": 2})
        assert found_in(capsys, tmp_path, "--kind", "numbers")["kind"] == "numbers"
        with pytest.raises(UserError, match=f"choose one of {', '.join(KINDS)}"):
            inspect(tmp_path, "pictures")

    def test_dicom(self, tmp_path, capsys):
        from dicom_files import save

        for i in range(4):
            values = np.random.default_rng(i).integers(0, 4096, (9, 8)).astype(np.uint16)
            fields = {"PatientID": f"P{i // 2}", "Laterality": "LR"[i % 2], "Modality": "MG"}
            save(tmp_path / "ab"[i % 2] / f"{i}.dcm", values, 12, **fields)
        found = found_in(capsys, tmp_path)
        assert found["depths"] == {"12 bits in DICOM, Explicit VR Little Endian": 4}
        assert found["patients"] == {"column": "PatientID", "counts": {"all": 2}, "text": ""}
        assert found["dicom"]["laterality"] == {"left": 2, "right": 2}
        assert found["dicom"]["modality"] == {"MG": 4}


class TestCommand:
    def test_text(self, tmp_path, capsys):
        code, out, _ = invoke(capsys, "data", "inspect", class_folders(tmp_path, {"a": 2, "b": 2}))
        assert code == 0
        for words in ("files        4 files: 4 images taken", "classes      all: a 2; b 2", "a split is by image"):
            assert words in out

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("inspect", "nowhere"), "nowhere: no such file or directory"),
            (("look", "."), "choose inspect, list or restore"),
            (("inspect", ".", "--out", "x.csv"), "--out: has no effect here"),
            (("list", "."), "say where the list goes with --out FILE.csv"),
        ],
    )
    def test_mistakes(self, arguments, words, capsys):
        code, out, err = invoke(capsys, "data", *arguments)
        assert (code, out) == (2, "")
        assert words in err
        assert len(err.splitlines()) == 1

    def test_a_list_is_read_again(self, tmp_path, capsys):
        class_folders(tmp_path / "data", {"a": 2, "b": 2})
        code, out, err = invoke(capsys, "data", "list", tmp_path / "data", "--out", tmp_path / "list.csv", "--json")
        assert code == 0, err
        assert json.loads(out)["columns"] == ["path", "label"]
        with (tmp_path / "list.csv").open(newline="") as file:
            assert next(row["path"] for row in csv.DictReader(file)) == "data/a/0.png"
        assert found_in(capsys, tmp_path / "list.csv")["classes"] == {"all": {"a": 2, "b": 2}}

    def test_masks_are_no_list(self, tmp_path, capsys):
        code, _, err = invoke(capsys, "data", "list", mask_tree(tmp_path, 2), "--out", tmp_path / "l.csv")
        assert (code, "masks, boxes and arrays have none" in err) == (2, True)


def test_kinds_are_guessed_by_what_lies_there(tmp_path):
    """A folder with pictures only is not one with classes."""
    write_image(tmp_path / "a.png", picture(0))
    assert guess_kind(tmp_path) == "images"
    assert guess_kind(class_folders(tmp_path / "c", {"x": 1})) == "classes"
