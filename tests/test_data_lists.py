"""Lists as people have them: encodings, dividers, columns, Windows paths, blanks, several findings, patients."""

from pathlib import Path

import numpy as np
import pytest
from datasets import picture, write_image
from masks import mask_tree

from tinymed.data import open_boxes, open_dataset, open_segmentation
from tinymed.data.lists import canonical_name, read_table
from tinymed.data.remarks import split_text
from tinymed.data.splits import split_dataset
from tinymed.errors import UserAdvice, UserError


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with 0.png ... 7.png."""
    for i in range(8):
        write_image(tmp_path / f"{i}.png", picture(i))
    return tmp_path


def write(folder: Path, text: str, encoding: str = "utf-8", name: str = "list.csv") -> Path:
    """A list of this text."""
    (folder / name).write_bytes(text.encode(encoding))
    return folder / name


def rows(count: int = 8, columns: str = "path,label,patient", row: str = "{i}.png,{c},p{p}") -> str:
    """A list of `count` images of two classes, two images a patient."""
    lines = [row.format(i=i, c="ab"[i % 2], p=i // 2) for i in range(count)]
    return "\n".join([columns, *lines]) + "\n"


class TestText:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-sig", "cp1252"])
    @pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
    def test_encodings_and_line_ends(self, images, encoding, ends):
        text = rows().replace(",a,", ",gesund,").replace(",b,", ",entzündet,").replace("\n", ends)
        if encoding == "utf-16-le-sig":
            text, encoding = "\ufeff" + text, "utf-16-be"
        table = write(images, text, encoding)
        if encoding == "cp1252":
            with pytest.warns(UserWarning, match="is not UTF-8 and was read as Windows-1252"):
                dataset = open_dataset(table)["all"]
        else:
            dataset = open_dataset(table)["all"]
        assert dataset.counts() == {"entzündet": 4, "gesund": 4}

    @pytest.mark.parametrize(
        "content", [b"path,label\n0.png,a\0\n", b"\xff\xfea", b"path\n\x81\x8d\n", b'path,label\n"0.png,a\n']
    )
    def test_what_is_no_text_is_refused_by_name(self, images, content):
        (images / "list.csv").write_bytes(content)
        with pytest.raises(UserError, match=r"list\.csv: not a UTF-8 CSV list"):
            open_dataset(images / "list.csv")

    @pytest.mark.parametrize("divider", [";", "\t", ","])
    def test_dividers(self, images, divider):
        table = write(images, rows().replace(",", divider), name="list.tsv" if divider == "\t" else "list.csv")
        dataset = open_dataset(table)["all"]
        assert dataset.counts() == {"a": 4, "b": 4}
        assert dataset.group_column == "patient"

    def test_blank_lines_a_spreadsheets_first_line_and_blanks(self, images):
        text = rows(4).replace("path,label", " path , label").replace("1.png,b", " 1.png , b ")
        table = write(images, "sep=,\n" + text.replace("2.png", "\n,,\n\n2.png"))
        dataset = open_dataset(table)["all"]
        assert dataset.counts() == {"a": 2, "b": 2}
        assert read_table(table).lines == [3, 4, 8, 9]

    def test_the_line_of_a_mistake_is_that_of_the_file(self, images):
        table = write(images, "path,label,split\n\n0.png,a,train\n\n1.png,b,hold-out\n")
        with pytest.raises(UserError, match="line 5: split 'hold-out'"):
            open_dataset(table)

    def test_a_field_too_many_is_refused(self, images):
        with pytest.raises(
            UserError, match=r"line 3: 3 fields, but the header has 2; put a field that holds the divider"
        ):
            open_dataset(write(images, "path,label\n0.png,a\nscan,1.png,b\n"))
        dataset = open_dataset(write(images, "path,label\n0.png,a,\n1.png,b,,\n"))["all"]  # empty fields do no harm
        assert len(dataset) == 2


class TestColumns:
    @pytest.mark.parametrize(
        ("path", "label", "patient"),
        [
            ("Image Index", "Finding Labels", "Patient ID"),
            ("image_id", "dx", "PatientID"),
            ("Path", "Diagnosis", "patient_id"),
            ("filename", "class", "Subject"),
            ("FILE NAME", "Category", "case-id"),
            ("img", "target", "participant_id"),
            ("filepath", "Label", "MRN"),
        ],
    )
    def test_usual_names_are_found(self, images, path, label, patient):
        dataset = open_dataset(write(images, rows(columns=f"{path},{label},{patient}")))["all"]
        assert dataset.counts() == {"a": 4, "b": 4}
        assert dataset.group_column == patient
        assert len(np.unique(dataset.groups)) == 4

    def test_given_ones_are_taken_whatever_else_there_is(self, images):
        table = write(images, rows(columns="path,label,patient,other").replace(",p0", ",p0,x").replace(",p1", ",p1,y"))
        assert open_dataset(table, group_column="other")["all"].group_column == "other"
        assert open_dataset(table, group_column="OTHER ")["all"].group_column == "other"
        table = write(
            images, "path,label,real path,real label\n" + "".join(f"x,y,{i}.png,{'ab'[i % 2]}\n" for i in range(4))
        )
        dataset = open_dataset(table, path_column="real path", label_column="real label")["all"]
        assert dataset.counts() == {"a": 2, "b": 2}

    def test_a_column_that_is_not_there_is_refused_and_the_argument_named(self, images):
        table = write(images, rows())
        for argument in ("path_column", "label_column", "group_column", "split_column"):
            with pytest.raises(UserError, match=r"no column 'NoSuch'.*it has path, label, patient") as caught:
                open_dataset(table, **{argument: "NoSuch"})
            assert list(caught.value.ways) == [f"{argument}='NAME'"]

    def test_columns_are_refused_where_there_is_no_list(self, tmp_path):
        from datasets import class_folders

        class_folders(tmp_path / "classes", {"a": 1, "b": 1})
        mask_tree(tmp_path / "masks", 2)
        with pytest.raises(UserError, match="'PatientID' was given for the patient, but there is no list"):
            open_dataset(tmp_path / "classes", group_column="PatientID")
        with pytest.raises(UserError, match="'PatientID' was given for the patient, but there is no list"):
            open_segmentation(tmp_path / "masks", group_column="PatientID")

    def test_two_columns_of_one_name_are_refused(self, images):
        with pytest.raises(UserError, match="the columns Path and path have the same name"):
            open_dataset(write(images, "Path,path,label\n0.png,1.png,a\n"))

    def test_a_column_of_parts_under_another_name(self, images):
        table = write(images, "file,label,Set\n0.png,a,training\n1.png,b,Training\n2.png,a,dev\n3.png,b,test\n")
        assert [(name, len(part)) for name, part in open_dataset(table).items()] == [
            ("train", 2),
            ("val", 1),
            ("test", 1),
        ]
        table = write(images, "file,label,set\n0.png,a,left\n1.png,b,right\n")  # no parts
        assert list(open_dataset(table)) == ["all"]

    def test_names_are_compared_without_case_and_spaces(self):
        assert {canonical_name(name) for name in ("Patient ID", "patient_id", "PatientID", "patient-id ")} == {
            "patientid"
        }

    def test_two_classes_in_one_row_are_refused(self, images):
        text = "image,MEL,NV,BCC\n" + "".join(f"{i}.png,{i % 2},1,0.0\n" for i in range(4))
        with pytest.raises(UserError, match=r"line 3: of the columns MEL, NV, BCC, one a class, MEL and NV are 1"):
            open_dataset(write(images, text))


class TestFiles:
    @pytest.mark.parametrize(
        "name", ["scans\\{i}.png", ".\\scans\\{i}.png", "./scans/{i}.png", "scans/{i}.PNG", "scans/{i}"]
    )
    def test_names_as_lists_have_them(self, tmp_path, name):
        for i in range(4):
            write_image(tmp_path / "scans" / f"{i}.png", picture(i))
        dataset = open_dataset(write(tmp_path, rows(4, row=name + ",{c},p{p}")))["all"]
        assert [Path(p).name for p in dataset.samples] == [f"{i}.png" for i in range(4)]

    def test_a_name_without_suffix_that_could_be_two_files_is_refused(self, images):
        write_image(images / "0.bmp", picture(9))
        with pytest.raises(UserError, match=r"could be 0\.bmp or 0\.png; write the whole name"):
            open_dataset(write(images, rows(row="{i},{c},p{p}")))

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("C:\\scans\\0.png", "a path with a drive of Windows"),
            ("gone\\0.png", r"its \\ was read as /"),
            ("ISIC_0", "nor one with a suffix such as"),
            ("gone.png", "gone.png: no such file, named in"),
            ("x" * 5000 + ".png", "no such file"),
        ],
    )
    def test_why_there_is_no_file(self, images, name, words):
        table = write(images, f"path,label\n{name},a\n0.png,a\n1.png,b\n")
        with pytest.raises(UserError, match=words) as caught:
            open_dataset(table)
        assert "skip_bad=True" in str(caught.value)
        assert len(open_dataset(table, skip_bad=True)["all"].skipped) == 1


class TestLabels:
    @pytest.mark.parametrize(
        "labels",
        [
            ["Effusion|Mass", "Effusion", "Mass|Effusion", "None"],
            ["Edema|Mass", "x", "x", "y"],
            ["Effusion;Mass", "Effusion", "Mass", "None"],
            ["Effusion, Mass", "No Finding", "Mass", "Effusion"],
        ],
    )
    def test_several_findings_in_a_field_are_refused(self, images, labels):
        text = "path,label\n" + "".join(f'{i}.png,"{label}"\n' for i, label in enumerate(labels))
        with pytest.raises(
            UserError, match=r"'label' holds several findings in .* of 4 rows, divided by .*--task multilabel"
        ):
            open_dataset(write(images, text))

    def test_a_comma_in_a_name_is_none(self, images):
        text = 'path,label\n0.png,"adenocarcinoma, in situ"\n1.png,normal\n'
        assert open_dataset(write(images, text))["all"].classes == ["adenocarcinoma, in situ", "normal"]

    def test_one_image_in_several_rows(self, images):
        table = write(images, "path,label\n0.png,a\n1.png,b\n0.png,b\n.\\1.png,a\n")
        with pytest.raises(UserError, match=r"line 4: .*0\.png is 'b' here and 'a' in another row \(so are 1 more"):
            open_dataset(table)

    @pytest.mark.parametrize("blank", ["", "nan", "NaN", "N/A", "null", "<NA>", " "])
    def test_blank_labels_are_refused_with_their_line(self, images, blank):
        with pytest.raises(UserError, match="line 3: an empty 'label'"):
            open_dataset(write(images, f"path,label\n0.png,a\n1.png,{blank}\n2.png,b\n"))

    def test_none_is_a_name(self, images):
        assert open_dataset(write(images, "path,label\n0.png,None\n1.png,none found\n"))["all"].classes == [
            "None",
            "none found",
        ]

    @pytest.mark.parametrize(
        ("labels", "classes"),
        [
            (["1.0", "0.0", "1", "0"], ["0", "1"]),
            (["10", "9", "10", "9"], ["9", "10"]),
            (["-1.0", "1.0", "0.0", "0.0"], ["-1", "0", "1"]),
            (["01", "02", "01", "02"], ["01", "02"]),
            (["grade 1.0", "2", "2", "2"], ["2", "grade 1.0"]),
        ],
    )
    def test_numbers_are_named_alike(self, images, labels, classes):
        text = "path,label\n" + "".join(f"{i}.png,{label}\n" for i, label in enumerate(labels))
        assert open_dataset(write(images, text))["all"].classes == classes

    def test_one_class_written_in_two_ways_is_said(self, images):
        table = write(images, "path,label\n0.png,Benign\n1.png,benign\n2.png,malignant\n")
        with pytest.warns(UserAdvice, match="the classes 'Benign' and 'benign' differ in case, spaces or form only"):
            assert len(open_dataset(table)["all"].classes) == 3

    def test_fractions_are_no_classes(self, images):
        with pytest.raises(UserError, match=r"line 3: 'label' is 0.5, and the others are numbers too"):
            open_dataset(write(images, "path,label\n0.png,1\n1.png,0.5\n2.png,0\n"))


class TestPatients:
    def test_the_choice_is_text(self, images):
        whole = open_dataset(write(images, rows(columns="path,label,PatientID")))["all"]
        assert split_text(split_dataset(whole, {"train": 0.5, "val": 0.5})) == (
            "split by patient (2/2), column 'PatientID'"
        )
        assert "split by image, not by patient" in split_text(
            split_dataset(whole, {"train": 0.5, "val": 0.5}, rule="stratified")
        )
        whole = open_dataset(write(images, rows(columns="path,label,ward")))["all"]
        assert split_text(split_dataset(whole, {"train": 0.5, "val": 0.5})) == "no patient column: split by image"
        whole = open_dataset(write(images, rows(columns="path,label,lesion_id")))["all"]
        assert split_text(split_dataset(whole, {"train": 0.5, "val": 0.5})) == "split by 'lesion_id' (2/2)"
        text = rows(4).replace("patient", "patient,split").replace("p0", "p0,train").replace("p1", "p1,val")
        assert split_text(open_dataset(write(images, text))) == (
            "the parts are taken as they are given, by patient 1/1, column 'patient'"
        )

    def test_rows_without_a_patient_are_patients_of_their_own(self, images):
        text = rows(6).replace(",p1", ",").replace(",p2", ",nan")
        groups = open_dataset(write(images, text))["all"].groups
        assert len(np.unique(groups)) == 5
        with pytest.raises(UserError, match="the column 'patient' for groups is empty"):
            open_dataset(write(images, "path,label,patient\n0.png,a,\n1.png,b,NA\n"), group_column="patient")
        assert open_dataset(write(images, "path,label,patient\n0.png,a,\n1.png,b,NA\n"))["all"].groups is None

    def masks(self, root: Path, column: str) -> Path:
        mask_tree(root, 6)
        text = f"path,mask,{column}\n" + "".join(f"images/0{i}.png,masks/0{i}.png,p{i // 2}\n" for i in range(6))
        return write(root, text)

    @pytest.mark.parametrize("column", ["PatientID", "patient", "Subject", "near_duplicate_group"])
    def test_of_images_with_masks(self, tmp_path, column):
        whole = open_segmentation(self.masks(tmp_path, column))["all"]
        assert whole.group_column == column
        parts = split_dataset(whole, {"train": 0.6, "val": 0.4})
        assert not set(parts["train"].groups) & set(parts["val"].groups)
        assert all(part.divided == "grouped" for part in parts.values())

    def test_of_images_with_masks_by_a_given_column(self, tmp_path):
        table = self.masks(tmp_path, "ward")
        assert open_segmentation(table)["all"].groups is None
        assert open_segmentation(table, group_column="ward")["all"].groups.tolist() == [
            "p0",
            "p0",
            "p1",
            "p1",
            "p2",
            "p2",
        ]
        with pytest.raises(UserError, match="no column 'NoSuch'"):
            open_segmentation(table, group_column="NoSuch")

    def boxes(self, images: Path, column: str) -> Path:
        lines = [f"{i}.png,x,1,1,4,5,p{i // 2}" for i in range(8)]
        return write(images, "\n".join([f"image,label,xmin,ymin,xmax,ymax,{column}", *lines]) + "\n", name="boxes.csv")

    def test_of_images_with_boxes(self, images):
        table = self.boxes(images, "Patient ID")
        assert open_boxes(table)["all"].group_column == "Patient ID"
        assert len(np.unique(open_boxes(images)["all"].groups)) == 4
        table = self.boxes(images, "ward")
        assert open_boxes(table)["all"].groups is None
        assert open_boxes(table, group_column="ward")["all"].groups.tolist()[:3] == ["p0", "p0", "p1"]
        with pytest.raises(UserError, match="no column 'NoSuch'"):
            open_boxes(table, group_column="NoSuch")

    def test_a_patient_on_two_sides_is_found_by_any_name(self, images):
        text = "file,class,Patient ID,phase\n0.png,a,p,train\n1.png,b,q,train\n2.png,a,p,val\n3.png,b,r,val\n"
        with pytest.raises(UserError, match="group p is in both train and val"):
            open_dataset(write(images, text))


class TestCopies:
    """One picture under two labels: a warning with the number and a pair of names, noted on the set."""

    def test_in_class_folders(self, tmp_path):
        from datasets import class_folders

        class_folders(tmp_path, {"benign": 4, "malignant": 3})
        for i in range(2):
            write_image(tmp_path / "malignant" / f"copy{i}.bmp", picture(i))
        write_image(tmp_path / "benign" / "copy.png", picture(3))  # under the same label: no contradiction
        with pytest.warns(
            UserAdvice, match=r"2 pictures are there twice .*0\.png \(benign\) and .*copy0\.bmp \(malignant\)"
        ):
            dataset = open_dataset(tmp_path)["all"]
        assert len(dataset.contradictions) == 2
        assert all("benign" in one and "malignant" in two for one, two in dataset.contradictions)
        assert dataset.subset([0, 1]).contradictions == []

    def test_in_a_list(self, images):
        write_image(images / "copy.png", picture(0))
        with pytest.warns(UserAdvice, match="1 picture is there twice under two labels"):
            open_dataset(write(images, rows(4) + "copy.png,b,p9\n"))

    def test_two_masks_or_two_sets_of_boxes(self, tmp_path):
        mask_tree(tmp_path, 3)
        write_image(tmp_path / "images" / "copy.png", np.asarray(open_segmentation(tmp_path)["all"].image(0))[..., 0])
        write_image(tmp_path / "masks" / "copy.png", np.asarray(open_segmentation_mask(tmp_path)))
        with pytest.warns(UserAdvice, match=r"1 picture is there twice .*00\.png \(mask .*copy\.png \(mask"):
            open_segmentation(tmp_path)
        lines = "path,label,xmin,ymin,xmax,ymax\nimages/00.png,x,1,1,5,5\nimages/copy.png,x,1,1,5,6\n"
        write(tmp_path, lines, name="boxes.csv")
        with pytest.warns(UserAdvice, match=r"1 picture is there twice .*00\.png \(1 box\)"):
            open_boxes(tmp_path / "boxes.csv")


def open_segmentation_mask(root: Path) -> np.ndarray:
    """Another mask than that of the first image."""
    from tinymed.data.image import decode_mask

    return decode_mask(root / "masks" / "01.png")


class TestWaysOfWriting:
    """One thing, written in two ways: read as one where that is sure, else said."""

    @pytest.mark.parametrize("labels", [("1_1", "1_2"), ("1e1", "2e1"), ("\uff10", "\uff11"), ("1", "inf")])
    def test_only_numbers_as_lists_have_them_are_renamed(self, images, labels):
        table = write(
            images, rows(row="{i}.png,{c},p{p}").replace(",a,", f",{labels[0]},").replace(",b,", f",{labels[1]},")
        )
        assert open_dataset(table)["all"].classes == sorted(labels)

    @pytest.mark.parametrize(
        ("one", "two"), [("é", "e\u0301"), ("c", "c\u200b"), ("B i", "b_I"), ("01", "1"), ("\ufb01brosis", "fibrosis")]
    )
    def test_classes_and_patients_that_look_alike_are_said(self, images, one, two):
        with pytest.warns(UserAdvice, match=r"the classes .* and .* differ in case, spaces or form only"):
            open_dataset(write(images, rows().replace(",a,", f",{one},").replace(",b,", f",{two},")))
        people = rows().replace("p0", one).replace("p3", two)
        with pytest.warns(UserAdvice, match=r"the patients .* and .* one may be learnt from and one tested"):
            open_dataset(write(images, people))

    def test_what_differs_is_not_said(self, images, recwarn):
        open_dataset(write(images, rows().replace("p1", "1").replace("p2", "-1").replace("p3", "")))
        assert not recwarn.list

    def test_blanks_before_quotes(self, images):
        text = 'path, label\n0.png, "a, with a comma"\n1.png,  "b"\n'
        assert open_dataset(write(images, text))["all"].classes == ["a, with a comma", "b"]

    def test_rows_that_come_again_are_said(self, images):
        with pytest.warns(UserAdvice, match=r"2 images have several rows .*, such as .*0\.png; keep one"):
            data = open_dataset(write(images, rows() + "0.png,a,p0\n./1.png,b,p0\n"))["all"]
        assert len(data) == 10

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("path,label\n,a\n1.png,b\n", r"line 2: an empty path: fill it in"),
            ("path,label\n0.png,a\nx.png,b\n", r"line 3: .*x\.png: no such file"),
            ('path,label\n0.png,a\n"1.png,b\n2.png,a\n', "the row after line 2 may have a .* never closed"),
            ("path,label,split\n0.png,a,fold3\n", r"'fold3' is none of .* into 'split', .*split_column='NAME'"),
        ],
    )
    def test_what_is_wrong_is_said_with_its_line_and_a_way_out(self, images, text, words):
        with pytest.raises(UserError, match=words):
            open_dataset(write(images, text))


def test_parts_that_are_taken_for_classes_are_said(tmp_path):
    for i, folder in enumerate(("training_set/a", "training_set/b", "test_set/a", "test_set/b")):
        write_image(tmp_path / folder / f"{i}.png", picture(i))
    with pytest.warns(UserAdvice, match="test_set, training_set hold the same folders a, b; if those are the classes"):
        assert open_dataset(tmp_path)["all"].classes == ["test_set", "training_set"]
