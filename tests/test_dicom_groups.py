"""Any field of DICOM headers as the group of a split, and pseudonyms back to names for whoever has the key."""

import json
import re
import stat
from pathlib import Path

import numpy as np
import pytest
from commands import invoke
from datasets import class_folders
from dicom_files import pydicom, save, save_series
from masks import mask_tree

from tinymed.data import open_dataset, open_segmentation, split_dataset
from tinymed.data.dicom import privacy
from tinymed.data.dicom.restore import NAME
from tinymed.data.pictures import open_pictures
from tinymed.data.unlabelled import open_unlabelled
from tinymed.errors import UserError

SCANNERS = ["ALPHA 1", "BETA 2", "GAMMA 3", "DELTA 4"]


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    """A key and a list of numbers of this test's own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(privacy, "keys", {})
    monkeypatch.setattr(privacy, "numbered", {})
    monkeypatch.setattr(privacy, "known", {})


def headers(number: int) -> dict[str, object]:
    """The fields of one file: two of each patient, three of each scanner."""
    return {
        "PatientID": f"ID{number // 2}",
        "PatientName": f"Doe^Number{number // 2}",
        "StudyInstanceUID": f"1.2.840.77.{number // 2}",
        "StationName": SCANNERS[number // 3],
        "ImageType": ["ORIGINAL", "PRIMARY", f"KIND{number % 2}"],
        "SeriesNumber": number // 6,
    }


@pytest.fixture
def folder(tmp_path):
    """Class folders of twelve DICOM files."""
    for number in range(12):
        values = np.random.default_rng(number).integers(0, 1000, (40, 40)).astype(np.uint16)
        save(tmp_path / "data" / ("sick", "well")[number % 2] / f"{number:02}.dcm", values, 12, **headers(number))
    return tmp_path / "data"


@pytest.mark.parametrize("opened", [open_dataset, open_unlabelled, open_pictures])
def test_a_field_of_the_headers_groups_and_is_a_pseudonym(folder, opened):
    data = opened(folder, group_column="StationName")["all"]
    numbers = [int(Path(p).stem) for p in data.samples]
    assert data.group_column == "StationName"
    assert [len({data.groups[i] for i, n in enumerate(numbers) if n // 3 == k}) for k in range(4)] == [1] * 4
    assert len(set(data.groups)) == 4
    assert all(re.fullmatch(r"group-[0-9a-f]{16}", name) for name in data.groups)
    parts = split_dataset(data, {"train": 0.5, "test": 0.5}, 0, "grouped")
    assert not set(parts["train"].groups) & set(parts["test"].groups)


@pytest.mark.parametrize(("field", "number"), [("ImageType", 2), ("SeriesNumber", 2), ("StudyInstanceUID", 6)])
def test_lists_numbers_and_uids_are_fields_too(folder, field, number):
    assert len(set(open_dataset(folder, group_column=field)["all"].groups)) == number


def test_the_patients_and_studies_are_those_of_lists(folder):
    assert np.array_equal(
        open_dataset(folder, group_column="PatientID")["all"].groups, open_dataset(folder)["all"].groups
    )
    groups = open_dataset(folder, group_column="StudyInstanceUID")["all"].groups
    assert set(groups) == {privacy.pseudonym("study", f"1.2.840.77.{n}") for n in range(6)}


@pytest.mark.parametrize(
    ("field", "why"),
    [
        ("StationNames", "no field of that keyword; give StationName"),
        ("Xyzzy", "no field of that keyword; give one such as StudyInstanceUID"),
        ("PixelData", "no text or number"),
        ("ReferencedImageSequence", "no text or number"),
        ("AccessionNumber", r"12 of 12 files have no AccessionNumber in their headers, such as dicom-\d{6}"),
    ],
)
def test_a_field_that_cannot_group_is_refused(folder, field, why):
    with pytest.raises(UserError, match=why):
        open_dataset(folder, group_column=field)


def test_one_file_without_the_field_is_counted(folder):
    path = next((folder / "sick").iterdir())
    header = pydicom.dcmread(path)
    del header.StationName
    header.save_as(path)
    with pytest.raises(UserError, match=r"1 of 12 files have no StationName .* give another --group-column"):
        open_dataset(folder, group_column="StationName")


@pytest.mark.parametrize("field", ["StationName", "PatientID"])
def test_a_folder_of_other_pictures_has_no_fields(tmp_path, field):
    root = class_folders(tmp_path / "pictures", {"a": 2, "b": 2})
    for opened in (open_dataset, open_unlabelled, open_pictures):
        with pytest.raises(UserError, match=f"column '{field}' was given .* not all files are DICOM"):
            opened(root, group_column=field)
    with pytest.raises(UserError, match="not all files are DICOM"):
        open_segmentation(mask_tree(tmp_path / "masked", 2), group_column=field)


@pytest.mark.filterwarnings("ignore")
def test_training_by_a_field_says_so_and_names_nobody(folder, tmp_path, capsys):
    network = ["lenet5_modern", "--grey", "--size", 32, "--epochs", 1, "--batch", 4, "--backend", "numpy"]
    more = ["--positive", "sick", "--workers", 0, "--out", tmp_path / "run", "--group-column"]
    code, told, err = invoke(capsys, "train", *network, "--data", folder, *more, "StationName")
    assert code == 0, err
    assert "split by 'StationName' (2/1/1)" in told + err
    assert not any(name in told + err for name in SCANNERS)
    code, told, err = invoke(capsys, "train", *network, "--data", folder, *more[:-3], "--group-column", "Station")
    assert (code, "no field of that keyword" in err) == (2, True)


# ------------------------------------------------------------------------------------------------ back to names


@pytest.fixture
def listed(folder, tmp_path, capsys):
    """The list of the files, by numbers and pseudonyms."""
    code, _, err = invoke(capsys, "data", "list", folder, "--out", tmp_path / "list.csv")
    assert code == 0, err
    return tmp_path / "list.csv"


def test_a_list_gets_its_names_back(listed, folder, tmp_path, capsys):
    out = tmp_path / "named.csv"
    code, told, err = invoke(capsys, "data", "restore", listed, "--out", out)
    assert code == 0, err
    text = out.read_text()
    assert not NAME.search(text)
    assert all(f"ID{n},1.2.840.77.{n}" in text for n in range(6))
    assert all(str(file) in text for file in folder.rglob("*.dcm"))
    assert "24 names put back" in told
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    code, _, err = invoke(capsys, "data", "restore", listed, "--out", out)
    assert (code, "is there already" in err) == (2, True)


def test_one_name_is_printed(listed, folder, capsys):
    data = open_dataset(folder, group_column="StationName")["all"]
    for name, original in (
        (data.groups[0], SCANNERS[int(Path(data.samples[0]).stem) // 3]),
        (privacy.pseudonym("patient", "\0ID3"), "ID3"),
        (privacy.unique_id("1.2.840.77.4"), "1.2.840.77.4"),
        (privacy.shown(data.samples[0]), str(data.samples[0])),
    ):
        code, told, err = invoke(capsys, "data", "restore", name, "--json")
        assert code == 0, err
        assert json.loads(told) == {"name": name, "original": original}


def test_without_the_key_nothing_leads_back(listed, tmp_path, monkeypatch, capsys):
    name = privacy.pseudonym("patient", "\0ID3")
    held = tmp_path / "config" / "tinymed"
    for missing in (privacy.KEY, privacy.NUMBERS):
        kept = (held / missing).read_bytes()
        (held / missing).unlink()
        for arguments in ((name,), (listed, "--out", tmp_path / "named.csv")):
            code, told, err = invoke(capsys, "data", "restore", *arguments)
            assert (code, told) == (2, "")
            assert "without it nothing leads back" in err
        assert not (held / missing).exists()
        (held / missing).write_bytes(kept)
    (held / privacy.KEY).write_text("0" * 64)  # another's
    monkeypatch.setattr(privacy, "keys", {})
    for arguments in ((name,), (listed, "--out", tmp_path / "named.csv")):
        code, told, err = invoke(capsys, "data", "restore", *arguments)
        assert (code, told) == (2, "")
        assert "made with another key" in err
    assert not (tmp_path / "named.csv").exists()


def test_names_of_files_elsewhere_need_their_place(folder, tmp_path, capsys):
    name = privacy.pseudonym("patient", "\0ID3")
    privacy.shown("elsewhere.dcm")
    code, _, err = invoke(capsys, "data", "restore", name)
    assert (code, "--among" in err) == (2, True)
    code, told, err = invoke(capsys, "data", "restore", name, "--among", folder)
    assert (code, told.strip()) == (0, "ID3")
    (tmp_path / "list.csv").write_text("path,who\na.dcm,Miller\n")
    code, told, err = invoke(
        capsys, "data", "restore", privacy.pseudonym("patient", "Miller"), "--among", tmp_path / "list.csv"
    )
    assert (code, told.strip()) == (0, "Miller")


def test_names_never_go_into_a_run(listed, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    code, _, err = invoke(capsys, "data", "restore", listed, "--out", tmp_path / "run" / "named.csv")
    assert (code, "folder of a run" in err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("restore", "nothing.csv"), "no such file, and no name such as"),
        (("restore", "dicom-000001", "--out", "x.csv"), "--out: has no effect"),
        (("restore", "dicom-000099"), "no DICOM file has that number"),
        (("restore", "dicom-000001", "--kind", "images"), "--kind: has no effect"),
        (("restore", "dicom-000001", "--among", "nowhere"), "--among nowhere: no such"),
        (("inspect", ".", "--among", "."), "--among: has no effect"),
        (("return", "."), "choose inspect, list or restore"),
    ],
)
def test_mistakes_are_named(listed, arguments, why, capsys):
    code, _, err = invoke(capsys, "data", *arguments)
    assert (code, why in err) == (2, True), err


def test_a_segmentation_refers_to_the_images_again(tmp_path, capsys):
    """UIDs and the patient as the archive knows them; pixels as they were."""
    pytest.importorskip("highdicom", reason='DICOM SEG needs highdicom: pip install ".[medical]"')
    from tinymed.data.dicom.segmentations import segmentation_bytes

    own = {"PatientID": "ID7", "PatientName": "Doe^Jane", "StudyInstanceUID": "1.2.840.77.9"}
    files = save_series(tmp_path / "series", np.full((3, 4, 4), 100), **own)
    seg = tmp_path / "mask.dcm"
    seg.write_bytes(segmentation_bytes(tmp_path / "series", np.ones((4, 4, 3), int), ["background", "knee"]))
    for file in files:
        privacy.shown(file)
    code, told, err = invoke(capsys, "data", "restore", seg, "--out", tmp_path / "back.dcm")
    assert code == 0, err
    assert "Jane" not in told + err
    before, found = pydicom.dcmread(seg), pydicom.dcmread(tmp_path / "back.dcm")
    assert (found.PatientID, str(found.PatientName), found.StudyInstanceUID) == ("ID7", "Doe^Jane", "1.2.840.77.9")
    referred = {
        item.ReferencedSOPInstanceUID
        for frame in found.PerFrameFunctionalGroupsSequence
        for image in frame.DerivationImageSequence
        for item in image.SourceImageSequence
    }
    assert referred == {pydicom.dcmread(file).SOPInstanceUID for file in files}
    assert found.SeriesInstanceUID == before.SeriesInstanceUID
    assert np.array_equal(found.pixel_array, before.pixel_array)


def test_subgroups_of_a_cross_validation_through_the_commands(tmp_path, capsys):
    """A folder of DICOM files, its list, a cross-validation of it, and the report by sex: all images, no name."""
    rng = np.random.default_rng(0)
    for number in range(24):
        values = rng.integers(0, 1500, (48, 48)).astype(np.uint16) + 1500 * (number % 2)
        fields = {
            "PatientID": f"HN-{number // 2}",
            "PatientName": f"Doe^{number // 2}",
            "PatientSex": "FM"[number % 4 // 2],
        }
        save(tmp_path / "set" / ("clear", "ill")[number % 2] / f"{number:02}.dcm", values, 12, **fields)
    listed, out = tmp_path / "list.csv", tmp_path / "cv"
    assert invoke(capsys, "data", "list", tmp_path / "set", "--out", listed)[0] == 0
    options = [
        "--folds",
        2,
        "--epochs",
        1,
        "--model",
        "lenet5_modern",
        "--size",
        32,
        "--workers",
        0,
        "--positive",
        "ill",
        "--backend",
        "numpy",
    ]
    code, _, err = invoke(capsys, "cv", listed, *options, "--out", out)
    assert code == 0, err
    assert "by patient" in json.loads((out / "cv.json").read_text())["division"]
    page = out / "report.html"
    code, _, err = invoke(capsys, "report", out, "--subgroup", "sex", "--explain", "none", "--out", page)
    assert code == 0, err
    text = re.sub(r"<[^>]+>", " ", page.read_text("utf-8"))
    assert re.search(r"female\s*\*?\s+12\s", text)
    assert re.search(r"\smale\s*\*?\s+12\s", text)
    assert not re.search(r"Doe\^|HN-\d", text)
    folder = tmp_path / "of-folder"
    assert invoke(capsys, "cv", tmp_path / "set", *options, "--out", folder)[0] == 0
    code, _, err = invoke(capsys, "report", folder, "--subgroup", "sex", "--out", tmp_path / "no.html")
    assert code == 2
    assert "tinymed data list" in err
    assert "--subgroup sex" in err
