"""No identifying value of a DICOM file is written or printed, by any command, into any file."""

import io
import json
import re
import stat
from pathlib import Path

import numpy as np
import pytest
from commands import invoke
from dicom_files import item, pydicom, save, save_series
from masks import blob, write_nifti

from tinymed.data import open_dataset
from tinymed.data.dicom import privacy
from tinymed.data.volumes import open_image
from tinymed.errors import UserError

# Twenty values that tell who somebody is, each planted in a header, in private tags, or in a name of a file or folder.
PLANTED = {
    "PatientName": "QUIXOTE^ALONSO",
    "PatientID": "MRN77123904",
    "OtherPatientIDs": "SSN880112233",
    "IssuerOfPatientID": "LAMANCHAREG",
    "PatientBirthDate": "15470929",
    "PatientAddress": "WINDMILLROAD7",
    "PatientTelephoneNumbers": "555019283",
    "PatientMotherBirthName": "CORTINAS",
    "EthnicGroup": "PLANTEDGROUP",
    "InstitutionName": "TOBOSOCLINIC",
    "ReferringPhysicianName": "PANZA^SANCHO",
    "StudyDate": "16050116",
    "AccessionNumber": "ACC5518273",
    "StudyID": "STUDY90817",
    "StudyDescription": "KNEEOFDULCINEA",
    "ImageComments": "ROCINANTEWASHERE",
}
UIDS = {"StudyInstanceUID": "1.2.840.99.4711.8015.1", "FrameOfReferenceUID": "1.2.840.99.4711.8015.9"}
PRIVATE, FOLDER = "PRIVATEQUIJANA", "FOLDERSAAVEDRA_77"
SECRETS = [*PLANTED.values(), *UIDS.values(), PRIVATE, FOLDER, "4711.8015", "QUIXOTE", "FILEBARATARIA"]


def planted(number: int) -> dict[str, object]:
    """The fields of one file."""
    own = PLANTED | UIDS
    own["PatientID"] = f"{PLANTED['PatientID']}{number // 2}"
    own["SOPInstanceUID"] = f"1.2.840.99.4711.8015.3.{number}"
    return own | {
        "SeriesInstanceUID": f"1.2.840.99.4711.8015.2.{number}",
        "OtherPatientIDsSequence": [item(PatientID=PLANTED["OtherPatientIDs"])],
        "Laterality": PLANTED["EthnicGroup"][:2],
        "ViewPosition": "QUIXOTE",
        "BodyPartExamined": "QUIXOTE",
    }


def hide_in(path: Path) -> Path:
    """Add private tags to a file."""
    found = pydicom.dcmread(path)
    block = found.private_block(0x0099, "TINYMED TEST", create=True)
    block.add_new(1, "LO", PRIVATE)
    block.add_new(2, "PN", PLANTED["PatientName"])
    found.save_as(path)
    return path


def searched(*places: Path) -> list[Path]:
    """All files at these places; asserts that none holds a secret, in its bytes or in its name."""
    files = [file for place in places for file in ([place] if place.is_file() else sorted(place.rglob("*")))]
    files = [file for file in files if file.is_file()]
    for file in files:
        content = file.read_bytes()
        for secret in SECRETS:
            forms = (
                secret.encode(),
                secret.encode("utf-16-le"),
                secret.encode().hex().encode(),
                secret.lower().encode(),
            )
            assert not any(form in content for form in forms), f"{secret} in {file.name}"
            assert secret not in file.name
    return files


def clean(*texts: str) -> None:
    """Assert that no secret is in what a command printed."""
    for text in texts:
        found = [secret for secret in SECRETS if secret in text or secret.lower() in text]
        assert not found, f"{found} in: {text[:400]}"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Class folders of DICOM files, two of each patient, in folders that are called by the patient."""
    root = tmp_path_factory.mktemp("pictures")
    for number in range(24):
        label, random = ("sick", "well")[number // 2 % 2], np.random.default_rng(number)
        values = random.integers(0, 1000, (40, 40)).astype(np.uint16) + 2000 * (label == "sick")
        name = f"FILEBARATARIA_{number}" + ("" if number % 3 else ".dcm")
        hide_in(save(root / label / f"{FOLDER}_{number // 2}" / name, values, 12, **planted(number)))
    return root


def test_the_values_are_planted(pictures):
    """Else the searches below would find nothing whatever the code did."""
    content = b"".join(file.read_bytes() for file in pictures.rglob("*") if file.is_file())
    names = " ".join(str(file) for file in pictures.rglob("*"))
    assert len(SECRETS) >= 20
    assert all(secret.encode() in content or secret in names for secret in SECRETS)
    with pytest.raises(AssertionError, match="QUIXOTE"):
        searched(pictures)


@pytest.mark.filterwarnings("ignore")
def test_no_command_on_pictures_tells_who_it_is(pictures, tmp_path, capsys):
    """train, evaluate, predict, export, features, data inspect, data list: all files and all that is printed."""
    run, out = tmp_path / "run", tmp_path / "out"
    out.mkdir()
    network = ["lenet5_modern", "--grey", "--size", "32", "--epochs", "1", "--batch", "4", "--backend", "numpy"]
    code, told, err = invoke(
        capsys, "train", *network, "--data", pictures, "--positive", "sick", "--workers", 0, "--out", run
    )
    assert code == 0, err
    clean(told, err)
    files = sorted(file for file in pictures.rglob("*") if file.is_file())[:3]
    commands = [
        ("evaluate", run, "--predictions", out / "all.csv", "--data", pictures, "--pictures", out / "figures"),
        ("evaluate", run, "--threshold", "youden", "--json"),
        ("predict", run, *files, "--json"),
        ("predict", run, *files),
        ("explain", run, *files, "--out", out / "maps"),
        ("explain", run, files[0], "--features", "features.0", "--out", out / "maps", "--json"),
        ("export", run, "--out", out / "run.onnx"),
        ("features", run, "--out", out / "rows.npz"),
        ("data", "inspect", pictures),
        ("data", "inspect", pictures, "--json"),
        ("data", "list", pictures, "--out", out / "list.csv"),
        ("data", "inspect", out / "list.csv"),
        (
            "train",
            *network,
            "--data",
            out / "list.csv",
            "--positive",
            "sick",
            "--workers",
            0,
            "--out",
            tmp_path / "two",
        ),
    ]
    for command in commands:
        code, told, err = invoke(capsys, *command)
        if command[0] == "export" and "onnx" in err and code:
            continue  # without the library
        assert code == 0, err
        clean(told, err)
    assert len(searched(run, out, tmp_path / "two")) > 15
    assert re.search(r"^dicom-\d{6},", (run / "predictions.csv").read_text(), re.MULTILINE)


@pytest.mark.filterwarnings("ignore")
def test_no_cross_validation_index_or_registration_tells_who_it_is(pictures, tmp_path, capsys):
    """cv by a field of the headers and its report, index, search and register: all files and all that is printed."""
    network = ["lenet5_modern", "--grey", "--size", "32", "--epochs", "1", "--batch", "8", "--backend", "numpy"]
    more = ["--positive", "sick", "--workers", 0, "--folds", 2, "--val-fraction", 0.4, "--out", tmp_path / "cv"]
    first, second = sorted(file for file in pictures.rglob("*") if file.is_file())[:2]
    archive = tmp_path / "archive"
    scans = [tmp_path / f"{FOLDER}_{i}" for i in range(2)]
    for i, scan in enumerate(scans):
        own = {k: v for k, v in planted(2 * i).items() if k not in ("SOPInstanceUID", "SeriesInstanceUID")}
        for file in save_series(scan, blob(i, (6, 10, 10))[0].astype(int), **own):
            hide_in(file)
    commands = [
        ("cv", pictures, "--model", *network, *more, "--group-column", "AccessionNumber"),
        ("cv", pictures, "--model", *network, *more[:-2], "--out", tmp_path / "by-patient"),
        ("report", tmp_path / "by-patient", "--out", tmp_path / "report.html"),
        ("index", tmp_path / "by-patient" / "fold-1", pictures, "--out", archive),
        ("search", archive, first, "--out", tmp_path / "found.png", "--json"),
        ("search", archive, first, second, "--out", tmp_path / "both.png"),
        ("register", first, second, "--transform", "rigid", "--out", tmp_path / "pair", "--steps", 2),
        ("register", *scans, "--transform", "rigid", "--out", tmp_path / "scans", "--json", "--steps", 2),
    ]
    for command in commands:
        code, told, err = invoke(capsys, *command)
        clean(told, err)
        if command[0] == "cv" and "--group-column" in command:  # one value, so that no fold can be left out
            assert code == 2
            continue
        assert code == 0, err
    written = "by-patient", "report.html", "archive", "found.png", "both.png", "pair", "scans"
    places = [tmp_path / name for name in written]
    assert len(searched(*places)) > 15
    assert len(re.findall(r"dicom-\d{6}, true (?:sick|well): map for", (tmp_path / "report.html").read_text())) >= 4
    assert "dicom-" in (archive / "names.csv").read_text()


@pytest.mark.filterwarnings("ignore")
def test_no_error_tells_who_it_is(pictures, tmp_path, capsys):
    """Damaged, cut off, missing and contradictory files, and what the libraries say of them."""
    root = tmp_path / "data"
    for number, file in enumerate(sorted(f for f in pictures.rglob("*") if f.is_file())[:6]):
        content = bytearray(file.read_bytes())
        at = content.index(b"QUIXOTE")
        if number % 3 == 0:
            content = content[: at + 9]
        elif number % 3 == 1:
            content[at - 2 : at] = b"\xff\x7f"
        else:
            content[132:400] = bytes(268)
        place = root / ("a", "b")[number % 2] / FOLDER / f"FILEBARATARIA_{number}.dcm"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        clean(*invoke(capsys, "data", "inspect", place)[1:])
    listed = tmp_path / "list.csv"
    listed.write_text(f"path,label,PatientID\n{root}/a/{FOLDER}/FILEBARATARIA_0.dcm,x,{PLANTED['PatientID']}\n")
    arguments = [
        "train",
        "lenet5_modern",
        "--size",
        32,
        "--positive",
        "a",
        "--backend",
        "numpy",
        "--out",
        tmp_path / "r",
    ]
    for data in (root, listed):
        code, told, err = invoke(capsys, *arguments, "--data", data)
        assert code == 2
        clean(told, err)
        code, told, err = invoke(capsys, *arguments, "--data", data, "--skip-bad")
        clean(told, err)
    code, told, err = invoke(capsys, "data", "inspect", root)
    assert code == 1
    clean(told, err)


def test_a_patient_on_both_sides_is_named_by_a_pseudonym(pictures, tmp_path):
    for part in ("train", "test"):
        for label in ("sick", "well"):
            source = next(f for f in sorted((pictures / label).rglob("*")) if f.is_file())
            found = pydicom.dcmread(source)
            found.PixelData = np.random.default_rng(len(part)).bytes(len(found.PixelData))
            (tmp_path / part / label).mkdir(parents=True)
            found.save_as(tmp_path / part / label / "FILEBARATARIA.dcm")
    with pytest.raises(UserError, match=r"group patient-[0-9a-f]{16} is in both train and test") as error:
        open_dataset(tmp_path)
    clean(str(error.value))


@pytest.mark.filterwarnings("ignore")
def test_no_command_on_volumes_tells_who_it_is(tmp_path, capsys):
    """Series in folders that are called by the patient; masks as SEG, NIfTI and pictures."""
    pytest.importorskip("highdicom", reason='DICOM SEG needs highdicom: pip install ".[medical]"')
    data, run = tmp_path / "data", tmp_path / "run"
    for i in range(5):
        image, mask = blob(i, (8, 16, 16))
        folder = data / "images" / f"{FOLDER}_{i}"
        own = {k: v for k, v in planted(2 * i).items() if k not in ("SOPInstanceUID", "SeriesInstanceUID")}
        for file in save_series(folder, image.astype(int) - 100, **own):
            hide_in(file).rename(file.with_name(f"FILEBARATARIA_{file.name}"))
        write_nifti(data / "labels" / f"{FOLDER}_{i}.nii.gz", mask.transpose(2, 1, 0), open_image(folder).affine)
    network = ["unet3d", "--option", "padding=same", "--option", "base=2", "--option", "depth=2", "--steps", 2]
    more = ["--task", "segmentation", "--data", data, "--out", run, "--batch", 1, "--patch", "16,16,8", "--overlap", 0]
    outputs = [invoke(capsys, "train", *network, *more, "--backend", "numpy", "--workers", 0, "--lr", 0.05)]
    assert outputs[0][0] == 0, outputs[0][2]
    made = []
    for form in ("dicom-seg", "nifti"):
        cases = sorted((data / "images").iterdir())[:2]
        arguments = ["predict", run, *cases, "--out", tmp_path / form, "--masks", form, "--overlays", "--json"]
        code, told, err = invoke(capsys, *arguments)
        outputs.append((code, told, err))
        made += [row["mask"] for row in json.loads(told)]
    assert made
    outputs.append(invoke(capsys, "data", "inspect", data))
    for _, told, err in outputs:
        clean(told, err)
    files = searched(run, tmp_path / "dicom-seg", tmp_path / "nifti")
    assert any(file.name == "cases.csv" for file in files)


def test_a_segmentation_names_nobody(tmp_path):
    pytest.importorskip("highdicom", reason='DICOM SEG needs highdicom: pip install ".[medical]"')
    from tinymed.data.dicom.segmentations import segmentation_bytes

    own = {k: v for k, v in planted(0).items() if k not in ("SOPInstanceUID", "SeriesInstanceUID")}
    for file in save_series(tmp_path / FOLDER, np.full((3, 4, 4), 100), **own):
        hide_in(file)
    labels = np.ones((4, 4, 3), int)
    content = segmentation_bytes(tmp_path / FOLDER, labels, ["background", "knee"])
    assert not [secret for secret in SECRETS if secret.encode() in content]
    found = pydicom.dcmread(io.BytesIO(content))
    assert str(found.PatientID).startswith("patient-")
    assert found.StudyInstanceUID == privacy.unique_id(UIDS["StudyInstanceUID"])
    assert len(found.StudyInstanceUID) <= 64
    assert content == segmentation_bytes(tmp_path / FOLDER, labels, ["background", "knee"])  # no time in it


class TestKey:
    @pytest.fixture(autouse=True)
    def fresh(self, tmp_path, monkeypatch):
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
        monkeypatch.setattr(privacy, "keys", {})
        monkeypatch.setattr(privacy, "numbered", {})

    def test_key_and_numbers_are_for_the_user_alone(self, tmp_path):
        privacy.pseudonym("patient", "a")
        privacy.shown("x.dcm")
        folder = tmp_path / "config" / "tinymed"
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
        assert modes == {privacy.KEY: 0o600, privacy.NUMBERS: 0o600}
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    def test_another_key_gives_other_pseudonyms(self, tmp_path, monkeypatch):
        one = privacy.pseudonym("patient", "a")
        assert one == privacy.pseudonym("patient", "a") != privacy.pseudonym("study", "a")
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "other"))
        assert privacy.pseudonym("patient", "a") != one

    def test_numbers_last_and_lead_back(self, monkeypatch):
        names = ["a.dcm", "b\tc\nd.dcm", "\N{GREEK SMALL LETTER ALPHA}\\n.dcm", "e\udce9.dcm"]
        shown = [privacy.shown(name) for name in names]
        assert shown == [f"dicom-{i:06}" for i in range(1, 5)]
        monkeypatch.setattr(privacy, "numbered", {})  # as another process
        assert [privacy.find_number(name) for name in shown] == [Path.cwd() / name for name in names]
        assert [privacy.shown(name) for name in reversed(names)] == shown[::-1]
        assert privacy.find_number("dicom-000099") is None
        assert privacy.find_number("a.png") is None

    def test_a_key_that_is_none_is_refused(self, tmp_path):
        (tmp_path / "config" / "tinymed").mkdir(parents=True)
        (tmp_path / "config" / "tinymed" / privacy.KEY).write_text("short")
        with pytest.raises(UserError, match="not a key of pseudonyms"):
            privacy.key()

    def test_without_a_place_for_the_key(self, tmp_path, monkeypatch):
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
        with pytest.raises(UserError, match="set XDG_CONFIG_HOME to a folder of your own"):
            privacy.pseudonym("patient", "a")


def test_only_whole_paths_are_hidden_in_texts():
    """A file that is called "a" does not change every word with an a."""
    privacy.hide([Path("a"), Path("in/a b.dcm")])
    try:
        assert privacy.hidden_names("a cat sat on in/a b.dcm: gone") == (
            f"{privacy.shown('a')} cat sat on {privacy.shown('in/a b.dcm')}: gone"
        )
    finally:
        privacy.known.clear()


def test_where_the_image_of_a_row_lies(tmp_path, monkeypatch):
    from tinymed.cli.reports import source

    listed = tmp_path / "list.csv"
    listed.write_text("path,label\n")
    assert source.image_file(tmp_path, "a/b.png") == source.image_file(listed, "a/b.png") == tmp_path / "a" / "b.png"
    monkeypatch.setattr(source, "find_number", {"dicom-000007": tmp_path / "scan.dcm"}.get)
    assert source.image_file(listed, "dicom-000007") == tmp_path / "scan.dcm"
