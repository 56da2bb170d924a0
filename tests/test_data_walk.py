"""Folders: what is read, in which order, and that every file is accounted for, taken or left out."""

import os
from pathlib import Path

import numpy as np
import pytest
from datasets import class_folders, picture, write_image
from masks import mask_tree

from tinymed.data import open_boxes, open_dataset, open_segmentation
from tinymed.data.image import is_picture
from tinymed.data.remarks import account_text
from tinymed.data.walk import Account, files_below, hidden
from tinymed.errors import UserAdvice, UserError

CLUTTER = [".DS_Store", "._0.png", "Thumbs.db", "desktop.ini", "~$list.xlsx"]
HIDDEN_FOLDERS = [".ipynb_checkpoints", "__MACOSX", "@eaDir", ".git", "$RECYCLE.BIN"]


def litter(folder: Path) -> int:
    """Put hidden files and folders with images in them into a folder; returns how many entries are left out."""
    for name in CLUTTER:
        (folder / name).write_bytes(b"clutter")
    for number, name in enumerate(HIDDEN_FOLDERS):
        write_image(folder / name / "0.png", picture(900 + number))
    return len(CLUTTER) + len(HIDDEN_FOLDERS)


class TestHidden:
    def test_class_folders(self, tmp_path):
        class_folders(tmp_path, {"a": 3, "b/p1": 2})
        count = sum(litter(folder) for folder in (tmp_path / "a", tmp_path / "b", tmp_path / "b/p1", tmp_path))
        dataset = open_dataset(tmp_path)["all"]
        assert dataset.counts() == {"a": 3, "b": 2}
        assert account_text({"all": dataset}) == f"{5 + count} files: 5 images taken; left out: {count} hidden"

    def test_split_folders(self, tmp_path):
        for i, part in enumerate(("train", "val")):
            class_folders(tmp_path / part, {"a": 2, "b": 2}, 10 * i)
            litter(tmp_path / part)
            litter(tmp_path / part / "a")
        sets = open_dataset(tmp_path)
        assert [part.counts() for part in sets.values()] == [{"a": 2, "b": 2}] * 2
        assert all(part.account.taken == 4 for part in sets.values())

    def test_images_and_masks(self, tmp_path):
        for folder in (mask_tree(tmp_path, 3) / "images", tmp_path / "masks", tmp_path):
            litter(folder)
        dataset = open_segmentation(tmp_path)["all"]
        assert len(dataset) == 3
        assert dataset.account.taken == 6
        assert "images and masks taken; left out: " in dataset.account.line()

    def test_boxes(self, tmp_path):
        class_folders(tmp_path, {"images": 3})
        litter(tmp_path / "images")
        (tmp_path / "boxes.csv").write_text("path,label,xmin,ymin,xmax,ymax\nimages/0.png,x,1,1,3,3\n")
        with pytest.warns(UserAdvice, match="2 images that no row names"):
            dataset = open_boxes(tmp_path)["all"]
        assert dataset.account.taken == 1

    def test_only_names_below_the_given_folder_are_judged(self, tmp_path):
        assert open_dataset(class_folders(tmp_path / ".data", {"a": 1, "b": 1}))["all"].counts() == {"a": 1, "b": 1}
        assert hidden(".a") and hidden("__macosx") and hidden("Thumbs.DB")  # noqa: PT018
        assert not hidden("a.png")


class TestAccount:
    def test_every_file_is_taken_or_left_out(self, tmp_path):
        """Whatever lies in a tree, the account's sum is the number of entries that a plain walk sees."""
        class_folders(tmp_path, {"a": 3, "b": 2})
        for name in ("scan.heic", "b.HEIC", "raw", "slide.svs", "v.nii.gz", "notes.txt", "LICENSE", ".hidden"):
            (tmp_path / "a" / name).write_bytes(b"?")
        (tmp_path / "loose.png").write_bytes(b"?")
        (tmp_path / "README.md").write_bytes(b"?")
        with pytest.warns(UserAdvice) as heard:
            dataset = open_dataset(tmp_path)["all"]
        account = dataset.account
        assert account.seen == sum(len(files) for _, _, files in os.walk(tmp_path)) == 15
        assert account.taken == len(dataset) == 5
        line = str(heard[0].message)
        for words in (
            "15 files: 5 images taken; left out: 2 .heic (convert it to PNG)",
            "1 .nii.gz (volumes are read for segmentation, and by classifiers of volumes or with --planes)",
            "1 without a suffix",
            "1 .svs (whole slides",
            "1 hidden",
            "1 images outside the class folders",
        ):
            assert words in line, line
        assert "\n" not in line
        assert len(heard) == 1

    def test_documents_beside_images_are_counted_but_no_warning(self, tmp_path):
        class_folders(tmp_path, {"a": 1, "b": 1})
        for name in ("a/notes.txt", "labels.csv", "b/Data.JSON", "LICENSE", "README"):
            (tmp_path / name).write_text("x")
        assert open_dataset(tmp_path)["all"].account.seen == 7  # warnings are errors here

    def test_what_a_class_without_images_holds_is_said(self, tmp_path):
        class_folders(tmp_path, {"a": 1})
        (tmp_path / "b").mkdir()
        for i in range(3):
            (tmp_path / "b" / f"{i}.heic").write_bytes(b"?")
        with pytest.raises(UserError, match=r"class 'b' has no images .*it holds 3 \.heic \(convert it"):
            open_dataset(tmp_path)

    def test_what_is_skipped_later_is_not_taken(self, tmp_path):
        class_folders(tmp_path, {"a": 3, "b": 2})
        (tmp_path / "a" / "1.png").write_text("no image")
        dataset = open_dataset(tmp_path, skip_bad=True)["all"]
        assert dataset.account.line() == "5 files: 4 images taken; left out: 1 unreadable"
        assert dataset.account.taken == len(dataset)

    def test_folders_beside_the_parts_are_said(self, tmp_path):
        for i, part in enumerate(("train", "test", "extra")):
            class_folders(tmp_path / part, {"a": 1, "b": 1}, 10 * i)
        with pytest.warns(UserAdvice, match="2 images in extra, beside test and train"):
            assert list(open_dataset(tmp_path)) == ["train", "test"]

    def test_images_without_labels_of_nnunet_are_said(self, tmp_path):
        mask_tree(tmp_path, 2)
        (tmp_path / "images").rename(tmp_path / "imagesTr")
        (tmp_path / "masks").rename(tmp_path / "labelsTr")
        write_image(tmp_path / "imagesTs" / "9.png", picture(99))
        with pytest.warns(UserAdvice, match="4 images and masks taken; left out: 1 images in imagesTs"):
            assert len(open_segmentation(tmp_path)["all"]) == 2

    def test_the_order_is_by_path_whatever_the_system_says(self, tmp_path, monkeypatch):
        class_folders(tmp_path, {"a/q": 2, "a/p": 2, "b": 1})
        wanted = open_dataset(tmp_path)["all"].samples
        plain = os.listdir
        monkeypatch.setattr(os, "listdir", lambda path: sorted(plain(path), reverse=True))
        assert open_dataset(tmp_path)["all"].samples == wanted == sorted(wanted)

    def test_a_name_that_is_no_utf8_breaks_nothing(self, tmp_path):
        class_folders(tmp_path, {"a": 1, "b": 1})
        odd = Path(os.fsdecode(os.fsencode(tmp_path / "a") + b"/\xff\xe9.png"))
        try:
            write_image(odd, picture(70))
        except OSError:
            pytest.skip("this file system takes UTF-8 names only")
        dataset = open_dataset(tmp_path)["all"]
        assert len(dataset) == 3
        (dataset.name(1) + repr(dataset)).encode("utf-8")
        odd.write_bytes(b"no image")
        with pytest.raises(UserError, match="not an image") as caught:
            open_dataset(tmp_path)
        str(caught.value).encode("utf-8")


class TestLinks:
    def walk(self, root: Path) -> tuple[list[str], Account]:
        account = Account()
        return [str(path.relative_to(root)) for path in files_below(root, is_picture, account)], account

    def test_links_to_files_and_folders_are_followed(self, tmp_path):
        class_folders(tmp_path / "store", {"p1": 2, "p2": 1})
        root = tmp_path / "root"
        root.mkdir()
        (root / "p1").symlink_to(tmp_path / "store" / "p1")
        (root / "one.png").symlink_to(tmp_path / "store" / "p2" / "0.png")
        assert self.walk(root)[0] == ["one.png", "p1/0.png", "p1/1.png"]

    def test_circles_end(self, tmp_path):
        class_folders(tmp_path, {"a/b": 2})
        for name, to in (
            ("up", tmp_path / "a"),
            ("top", tmp_path),
            ("root", Path("/")),
            ("self", tmp_path / "a/b/self"),
        ):
            (tmp_path / "a" / "b" / name).symlink_to(to)
        found, account = self.walk(tmp_path / "a")
        assert found == ["b/0.png", "b/1.png"]
        assert {reason: len(names) for reason, names in account.left_out.items()} == {
            "links that lead back to a folder already seen": 3,
            "broken links or no files": 1,
        }
        assert account.remarkable

    def test_a_folder_is_entered_once(self, tmp_path):
        class_folders(tmp_path, {"a/p": 2})
        (tmp_path / "a" / "q").symlink_to(tmp_path / "a" / "p")
        (tmp_path / "a" / "r").symlink_to(tmp_path / "a" / "q")
        assert len(self.walk(tmp_path / "a")[0]) == 2

    def test_broken_links_and_pipes_are_named(self, tmp_path):
        class_folders(tmp_path, {"a": 1})
        (tmp_path / "a" / "gone.png").symlink_to(tmp_path / "nowhere.png")
        os.mkfifo(tmp_path / "a" / "pipe.png")
        found, account = self.walk(tmp_path / "a")
        assert found == ["0.png"]
        assert account.line() == "3 files: 1 images taken; left out: 2 broken links or no files"

    def test_a_folder_that_cannot_be_opened_is_named(self, tmp_path, monkeypatch):
        class_folders(tmp_path, {"a": 1, "b": 1})
        plain = os.listdir

        def closed(path):
            if Path(path).name == "b":
                raise PermissionError(13, "Permission denied")
            return plain(path)

        monkeypatch.setattr(os, "listdir", closed)
        with pytest.raises(UserError, match=r"b: the folder cannot be opened \(Permission denied\)"):
            open_dataset(tmp_path)


class TestSuffixes:
    def test_they_are_read_in_every_case(self, tmp_path):
        class_folders(tmp_path, {"b": 1})
        for i, suffix in enumerate((".PNG", ".Jpg", ".jfif", ".JPE", ".pgm", ".ppm", ".webp", ".gif", ".TIF", ".bmp")):
            kind = {".jfif": "JPEG", ".JPE": "JPEG"}.get(suffix)
            from PIL import Image

            path = tmp_path / "a" / f"{i}{suffix}"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(picture(50 + i)).save(path, kind)
        assert open_dataset(tmp_path)["all"].counts() == {"a": 10, "b": 1}

    def test_masks_too(self, tmp_path):
        mask_tree(tmp_path, 3)
        for i in range(3):
            mask = tmp_path / "masks" / f"0{i}.png"
            from PIL import Image

            with Image.open(mask) as image:
                image.save(mask.with_suffix(".gif"))
            mask.unlink()
        dataset = open_segmentation(tmp_path)["all"]
        assert dataset.classes == ["background", "foreground"]
        assert np.unique(dataset.mask(0)).tolist() == [0, 1]
