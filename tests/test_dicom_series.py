"""DICOM series as volumes: order, affine, Hounsfield units, what is refused; masks written back."""

import io
from pathlib import Path

import numpy as np
import pytest
from commands import invoke
from dicom_files import CT, item, make, pydicom, save, save_series
from masks import blob, write_nifti

from tinymed.data import open_segmentation, read_volume, volume_bytes
from tinymed.data.dicom.segmentations import segmentation_bytes
from tinymed.data.volumes import open_image
from tinymed.errors import UserError

nib = pytest.importorskip("nibabel", reason='volumes need nibabel: pip install ".[medical]"')
HU = np.random.default_rng(3).integers(-1000, 2000, (5, 7, 6))
AXIAL, CORONAL = (1, 0, 0, 0, 1, 0), (1, 0, 0, 0, 0, -1)
OBLIQUE = (0.8, 0.6, 0, 0, 0, -1)


@pytest.mark.parametrize("turn", [AXIAL, CORONAL, OBLIQUE, (0, 1, 0, 0, 0, -1)])
def test_slices_are_sorted_and_placed(tmp_path, turn):
    """Every voxel lies where its own header says, in whatever order the files are."""
    files = save_series(tmp_path / "s", HU, turn=turn)
    image = open_image(tmp_path / "s")
    assert image.shape == (6, 7, 5)
    values = np.asarray(image.dataobj)
    for file in files:
        header = pydicom.dcmread(file)
        for row, column in ((0, 0), (3, 2), (6, 5)):
            turn_, spacing = np.array(header.ImageOrientationPatient, float), header.PixelSpacing
            place = np.array(header.ImagePositionPatient, float)
            place = place + column * spacing[1] * turn_[:3] + row * spacing[0] * turn_[3:]
            voxel = np.linalg.solve(image.affine, [-place[0], -place[1], place[2], 1])[:3]
            assert np.allclose(voxel[:2], (column, row), atol=1e-4)
            assert values[column, row, round(voxel[2])] == header.pixel_array[row, column] - 1024.0


def test_simpleitk_reads_the_same(tmp_path):
    """The oracle is another library's reader of series."""
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is an oracle here")
    save_series(tmp_path / "s", HU, turn=CORONAL)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "s")))
    found = reader.Execute()
    image = open_image(tmp_path / "s")
    wanted = sitk.GetArrayFromImage(found).transpose(2, 1, 0)
    assert np.array_equal(np.asarray(image.dataobj), wanted)
    assert np.allclose(np.diag([-1, -1, 1]) @ image.affine[:3, 3], found.GetOrigin())
    assert np.allclose(np.linalg.norm(image.affine[:3, :3], axis=0), found.GetSpacing())


def test_a_volume_is_ras_with_its_spacing(tmp_path):
    save_series(tmp_path / "s", HU)
    volume = read_volume(tmp_path / "s")
    assert volume.values.shape == (6, 7, 5, 1)
    assert volume.spacing == pytest.approx((0.75, 0.5, 2.5))
    assert np.array_equal(volume.values[..., 0], HU.transpose(2, 1, 0)[::-1, ::-1])


def enhanced(path: Path, values: np.ndarray, order: list[int]) -> Path:
    """One file of several frames that lie in space, in an order of their own."""
    frames = [
        item(
            PlanePositionSequence=[item(ImagePositionPatient=[0.0, 0.0, 3.0 * k])],
            PixelValueTransformationSequence=[item(RescaleSlope=2, RescaleIntercept=-100 * k, RescaleType="US")],
        )
        for k in order
    ]
    shared = item(
        PlaneOrientationSequence=[item(ImageOrientationPatient=list(AXIAL))],
        PixelMeasuresSequence=[item(PixelSpacing=[1.0, 1.0], SliceThickness=3.0)],
    )
    return save(
        path,
        np.stack([values[k] for k in order]).astype(np.uint16),
        12,
        frames=True,
        SOPClassUID="1.2.840.10008.5.1.4.1.1.2.1",
        Modality="CT",
        SeriesInstanceUID="1.2.3",
        StudyInstanceUID="1.2",
        FrameOfReferenceUID="1.2.4",
        PerFrameFunctionalGroupsSequence=frames,
        SharedFunctionalGroupsSequence=[shared],
    )


def test_frames_of_one_file_are_a_volume(tmp_path):
    """Each frame by its own slope and intercept."""
    values = np.random.default_rng(0).integers(0, 4096, (4, 6, 5))
    path = enhanced(tmp_path / "a.dcm", values, [2, 0, 3, 1])
    wanted = np.stack([2.0 * values[k] - 100 * k for k in range(4)]).transpose(2, 1, 0)
    assert np.array_equal(np.asarray(open_image(path).dataobj), wanted)


def change(files: list[Path], number: int, **fields) -> None:
    """Set fields of one file."""
    found = pydicom.dcmread(files[number])
    for name, value in fields.items():
        if value is None:
            delattr(found, name)
        else:
            setattr(found, name, value)
    found.save_as(files[number])


def by_place(files: list[Path]) -> list[Path]:
    """The files of an axial series from foot to head."""
    return sorted(files, key=lambda file: float(pydicom.dcmread(file).ImagePositionPatient[2]))


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (
            lambda files: by_place(files)[2].unlink(),
            r"lies 5 mm above dicom-\d+, where the others lie 2\.5 mm apart: slices",
        ),
        (lambda files: change(files, 2, ImageOrientationPatient=list(CORONAL)), "mixed orientations"),
        (lambda files: change(files, 2, SeriesInstanceUID="1.2.9"), "holds 2 series, of 4 and 1 files"),
        (lambda files: change(files, 2, PixelSpacing=[0.5, 0.9]), "another spacing of pixels"),
        (lambda files: change(files, 2, ImagePositionPatient=None), "does not say where it lies in space"),
        (
            lambda files: change(files, 2, ImagePositionPatient=pydicom.dcmread(files[1]).ImagePositionPatient),
            "lies at the place of dicom-",
        ),
        (lambda files: change(files, 2, ImageOrientationPatient=[1, 0, 0, 1, 0, 0]), "mixed orientations|right angles"),
        (lambda files: save(files[2], np.zeros((9, 9), np.uint16), 12, SOPClassUID=CT), "space|one size"),
    ],
)
def test_what_is_no_volume_is_refused(tmp_path, what, words):
    files = save_series(tmp_path / "DOE_JOHN", HU)
    what(files)
    with pytest.raises(UserError, match=words) as error:
        read_volume(tmp_path / "DOE_JOHN")
    assert "DOE" not in str(error.value)


def test_a_tilted_gantry_is_refused(tmp_path):
    files = save_series(tmp_path / "s", HU)
    for file in files:
        found = pydicom.dcmread(file)
        x, y, z = map(float, found.ImagePositionPatient)
        change([file], 0, ImagePositionPatient=[x, y + 0.4 * z, z])
    with pytest.raises(UserError, match="tilted gantry"):
        read_volume(tmp_path / "s")


def test_masks_of_a_series_are_checked_against_its_place(tmp_path):
    save_series(tmp_path / "images" / "case", HU)
    image = open_image(tmp_path / "images" / "case")
    mask = (np.asarray(image.dataobj) > 500).astype(np.uint8)
    write_nifti(tmp_path / "labels" / "case.nii.gz", mask, image.affine)
    data = open_segmentation(tmp_path)["all"]
    pixels, numbers = data.pair(0)
    assert np.array_equal(pixels[..., 0] > 500, numbers == 1)
    write_nifti(tmp_path / "labels" / "case.nii.gz", mask, image.affine @ np.diag([1, 1, 2, 1]))
    with pytest.raises(UserError, match="lies elsewhere in space"):
        open_segmentation(tmp_path)


def test_a_window_cuts_volumes_off(tmp_path):
    save_series(tmp_path / "images" / "case", HU)
    image = open_image(tmp_path / "images" / "case")
    write_nifti(tmp_path / "labels" / "case.nii.gz", (np.asarray(image.dataobj) > 500).astype(np.uint8), image.affine)
    plain, shown = (open_segmentation(tmp_path, window=w)["all"].image(0) for w in (None, (40, 400)))
    assert np.allclose(shown, np.clip((plain + 160) / 400, 0, 1) * 255, atol=1e-3)


class TestWrittenBack:
    def test_nifti_lies_where_the_series_lies(self, tmp_path):
        save_series(tmp_path / "s", HU, turn=OBLIQUE)
        volume = read_volume(tmp_path / "s")
        labels = (volume.values[..., 0] > 300).astype(np.uint8)
        back = nib.Nifti1Image.from_bytes(volume_bytes(labels, volume, compressed=False))
        image = open_image(tmp_path / "s")
        assert np.allclose(back.affine, image.affine, atol=1e-5)
        assert np.array_equal(np.asarray(back.dataobj), np.asarray(image.dataobj) > 300)

    @pytest.mark.parametrize("turn", [AXIAL, CORONAL])
    @pytest.mark.filterwarnings("ignore")
    def test_a_dicom_segmentation_holds_the_mask(self, tmp_path, turn):
        """Read again by pydicom alone: each frame lies on the slice of the source whose voxels it marks."""
        pytest.importorskip("highdicom", reason='DICOM SEG needs highdicom: pip install ".[medical]"')
        save_series(tmp_path / "s", HU, turn=turn)
        values = np.asarray(open_image(tmp_path / "s").dataobj)
        labels = np.digitize(values, [0, 1000])
        content = segmentation_bytes(tmp_path / "s", labels, ["background", "tissue", "bone"])
        found = pydicom.dcmread(io.BytesIO(content))
        assert [s.SegmentLabel for s in found.SegmentSequence] == ["tissue", "bone"]
        frames, affine = found.pixel_array, open_image(tmp_path / "s").affine
        again = np.zeros_like(labels)
        for frame, groups in zip(frames, found.PerFrameFunctionalGroupsSequence, strict=True):
            place = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float) * (-1, -1, 1)
            k = round(np.linalg.solve(affine, [*place, 1])[2])
            number = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
            again[:, :, k][frame.T == 1] = number
        assert np.array_equal(again, labels)

    @pytest.mark.filterwarnings("ignore")
    def test_frames_of_one_file_are_marked_in_their_order(self, tmp_path):
        pytest.importorskip("highdicom", reason='DICOM SEG needs highdicom: pip install ".[medical]"')
        values = np.random.default_rng(0).integers(0, 4096, (4, 6, 5))
        path = enhanced(tmp_path / "a.dcm", values, [2, 0, 3, 1])
        labels = (values.transpose(2, 1, 0) > 2000).astype(np.uint8)
        found = pydicom.dcmread(io.BytesIO(segmentation_bytes(path, labels, ["background", "bright"])))
        marked = {}
        for frame, groups in zip(found.pixel_array, found.PerFrameFunctionalGroupsSequence, strict=True):
            marked[float(groups.PlanePositionSequence[0].ImagePositionPatient[2])] = frame
        for k in range(4):
            assert np.array_equal(marked[3.0 * k], values[k] > 2000)

    def test_an_empty_mask_is_refused(self, tmp_path):
        save_series(tmp_path / "s", HU)
        with pytest.raises(UserError, match="no pixel has a class"):
            segmentation_bytes(tmp_path / "s", np.zeros((6, 7, 5), int), ["background", "bone"])

    def test_a_segmentation_needs_dicom(self, tmp_path):
        with pytest.raises(UserError, match="is not DICOM"):
            segmentation_bytes(write_nifti(tmp_path / "a.nii", HU.astype(np.int16)), np.ones((5, 7, 6)), ["a", "b"])


def test_make_keeps_what_it_is_given():
    """The writer of these tests: 12 bits stay 12 bits."""
    assert make(np.full((2, 3), 4095, np.uint16), 12).BitsStored == 12


def series_tree(root: Path, count: int = 6, shape=(8, 16, 16)) -> Path:
    """images/<patient>/*.dcm and labels/<patient>.nii.gz of blobs."""
    for i in range(count):
        image, mask = blob(i, shape)
        folder = root / "images" / f"case{i}"
        save_series(folder, image.astype(int) - 100, PatientID=f"P{i}")
        write_nifti(root / "labels" / f"case{i}.nii.gz", mask.transpose(2, 1, 0), open_image(folder).affine)
    return root


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")
def test_a_series_is_segmented_by_the_commands(tmp_path, capsys):
    """train, predict as DICOM SEG and as NIfTI, each named by a number."""
    data = series_tree(tmp_path / "data")
    run = tmp_path / "run"
    options = [
        "--task",
        "segmentation",
        "--steps",
        2,
        "--batch",
        1,
        "--patch",
        "16,16,8",
        "--overlap",
        0,
        "--backend",
        "numpy",
    ]
    network = ["unet3d", "--option", "padding=same", "--option", "base=2", "--option", "depth=2"]
    code, _, err = invoke(capsys, "train", *network, "--data", data, "--out", run, "--backend", "numpy", *options)
    assert code == 0, err
    for form, suffix in (("dicom-seg", ".dcm"), ("nifti", ".nii.gz")):
        out = tmp_path / form
        case = data / "images" / "case3"
        code, told, err = invoke(capsys, "predict", run, case, "--out", out, "--masks", form)
        if code and "no pixel has a class" in err:
            continue
        assert code == 0, err
        assert "case3" not in told
        assert all(file.name.startswith("dicom-") and file.name.endswith(suffix) for file in out.iterdir())
    code, _, err = invoke(capsys, "predict", run, data / "images" / "case3", "--out", tmp_path / "x", "--masks", "gif")
    assert (code, "--masks 'gif'" in err) == (2, True)
