"""DICOM pictures: every transfer syntax, what headers say of values and colours, and what is refused by name."""

import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from dicom_files import EXPLICIT, SHIPPED, item, make, pydicom, save
from PIL import Image

from tinymed.data import decode, open_dataset
from tinymed.data.dicom.files import is_dicom, read
from tinymed.data.dicom.pixels import windowed
from tinymed.data.dicom.syntaxes import SYNTAXES, stored_values
from tinymed.errors import UserAdvice, UserError

GREY = np.random.default_rng(0).integers(0, 4096, (24, 20)).astype(np.uint16)
SMOOTH = (np.add.outer(np.arange(24), np.arange(20)) * 90).astype(np.uint16)


def stored(name: str) -> tuple[np.ndarray, str]:
    """The stored values of a file that pydicom ships, and their colours."""
    path = SHIPPED / name
    return stored_values(path, read(path), 0, 1 << 26)


# Whatever pydicom can decode with permissively licensed plugins, and how far apart two decoders of a lossy code may be.
ORACLES = {
    "CT_small.dcm": ("", 0),
    "MR_small_implicit.dcm": ("", 0),
    "MR_small_bigendian.dcm": ("", 0),
    "image_dfl.dcm": ("", 0),
    "examples_overlay.dcm": ("", 0),
    "liver_1frame.dcm": ("", 0),
    "MR_small_RLE.dcm": ("pydicom", 0),
    "SC_rgb_rle_16bit.dcm": ("pydicom", 0),
    "SC_rgb_jpeg_dcmtk.dcm": ("pillow", 2),
    "SC_rgb_jpeg.dcm": ("pillow", 2),
    "SC_rgb_jpeg_app14_dcmd.dcm": ("pillow", 2),
    "SC_jpeg_no_color_transform.dcm": ("pillow", 2),
    "SC_rgb_small_odd_jpeg.dcm": ("pillow", 2),
    "examples_ybr_color.dcm": ("pillow", 3),
    "MR_small_jpeg_ls_lossless.dcm": ("pyjpegls", 0),
    "JPEGLSNearLossless_16.dcm": ("pyjpegls", 0),
    "SC_rgb_jls_lossy_line.dcm": ("pyjpegls", 0),
    "MR_small_jp2klossless.dcm": ("pylibjpeg", 0),
    "J2K_pixelrep_mismatch.dcm": ("pylibjpeg", 0),
    "693_J2KI.dcm": ("pylibjpeg", 1),
    "examples_jpeg2k.dcm": ("pylibjpeg", 0),
}


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.filterwarnings("ignore")
def test_shipped_files_are_read_as_pydicom_reads_them(name):
    plugin, apart = ORACLES[name]
    found = pydicom.dcmread(SHIPPED / name)
    if plugin and plugin not in pydicom.pixels.get_decoder(found.file_meta.TransferSyntaxUID).available_plugins:
        pytest.skip(f"pydicom has no {plugin} here")
    wanted = pydicom.pixels.pixel_array(found, index=0, decoding_plugin=plugin)
    got, _ = stored(name)
    assert got.shape == wanted.shape
    assert np.abs(got - wanted.astype(np.int64)).max() <= apart


def test_lossless_jpeg_is_what_was_packed():
    """The same colours were packed without loss by RLE and by JPEG, process 14."""
    assert np.array_equal(stored("SC_rgb_jpeg_gdcm.dcm")[0], stored("SC_rgb_rle.dcm")[0])


def test_twelve_bit_jpeg_is_near_its_jpeg_2000():
    """One bone scan in two lossy codes."""
    one, two = (stored(name)[0].astype(float) for name in ("JPGExtended.dcm", "JPEG2000.dcm"))
    assert np.corrcoef(one.ravel(), two.ravel())[0, 1] > 0.95
    assert one.max() > 255


PACKED = {
    "1.2.840.10008.1.2.4.57": lambda v: imagecodecs.jpeg8_encode(v, lossless=True, predictor=4, bitspersample=12),
    "1.2.840.10008.1.2.4.70": lambda v: imagecodecs.jpeg8_encode(v, lossless=True, predictor=1, bitspersample=12),
    "1.2.840.10008.1.2.4.80": imagecodecs.jpegls_encode,
    "1.2.840.10008.1.2.4.90": lambda v: imagecodecs.jpeg2k_encode(v, codecformat="j2k", reversible=True),
    "1.2.840.10008.1.2.4.201": lambda v: imagecodecs.htj2k_encode(v, reversible=True),
    "1.2.840.10008.1.2.4.202": lambda v: imagecodecs.htj2k_encode(v, reversible=True),
    "1.2.840.10008.1.2.4.203": lambda v: imagecodecs.htj2k_encode(v, reversible=True),
}


@pytest.mark.parametrize("syntax", PACKED)
def test_what_is_packed_without_loss_comes_back(syntax, tmp_path):
    path = save(tmp_path / "a.dcm", GREY, 12, syntax=syntax, packed=[PACKED[syntax](GREY)])
    assert np.array_equal(stored_values(path, read(path), 0, 1 << 20).values, GREY)


@pytest.mark.parametrize(("syntax", "bits", "apart"), [("50", 8, 3), ("51", 12, 12), ("81", 12, 2), ("91", 12, 40)])
def test_what_is_packed_with_loss_comes_back_nearly(syntax, bits, apart, tmp_path):
    values = (SMOOTH >> 4).astype(np.uint8) if bits == 8 else SMOOTH
    pack = {
        "50": lambda v: imagecodecs.jpeg8_encode(v, level=98),
        "51": lambda v: imagecodecs.jpeg8_encode(v, level=98, bitspersample=12),
        "81": lambda v: imagecodecs.jpegls_encode(v, level=2),
        "91": lambda v: imagecodecs.jpeg2k_encode(v, codecformat="j2k", level=80),
    }[syntax]
    path = save(tmp_path / "a.dcm", values, bits, syntax=f"1.2.840.10008.1.2.4.{syntax}", packed=[pack(values)])
    got = stored_values(path, read(path), 0, 1 << 20).values
    assert np.abs(got - values.astype(np.int64)).max() <= apart


@pytest.mark.filterwarnings("ignore")
def test_every_syntax_of_the_table_is_tested():
    """By a file that pydicom ships, or one that is written above."""
    shipped = {
        str(pydicom.dcmread(SHIPPED / name, stop_before_pixels=True).file_meta.TransferSyntaxUID) for name in ORACLES
    }
    lossy = {f"1.2.840.10008.1.2.4.{end}" for end in ("50", "51", "81", "91")}
    assert set(SYNTAXES) == shipped | set(PACKED) | lossy


def test_every_syntax_of_the_table_is_in_the_docs():
    page = (Path(__file__).parents[1] / "docs" / "dicom.md").read_text("utf-8")
    assert all(f"| {uid} | {syntax.name} |" in page for uid, syntax in SYNTAXES.items())


@pytest.mark.parametrize(
    ("syntax", "name"),
    [
        ("1.2.840.10008.1.2.4.100", "MPEG2 Main Profile / Main Level"),
        ("1.2.840.10008.1.2.4.107", "HEVC/H.265 Main Profile / Level 5.1"),
        ("1.2.840.10008.1.2.4.94", "JPIP Referenced"),
        ("1.2.3.4.5", "unknown"),
    ],
)
def test_other_syntaxes_are_refused_by_name(syntax, name, tmp_path):
    path = save(tmp_path / "a.dcm", GREY, 12)
    content = path.read_bytes().replace(
        (b"\x02\0\x10\0UI\x14\0" + EXPLICIT.encode() + b"\0"),
        b"\x02\0\x10\0UI\x14\0" + syntax.encode().ljust(20, b"\0"),
    )
    if len(syntax) > 20:
        found = make(GREY, 12, syntax=syntax, packed=[b"\xff\xd8\xff\xd9"])
        found.save_as(path)
    else:
        path.write_bytes(content)
    with pytest.raises(UserError, match=f"transfer syntax '{name}', which is not read"):
        decode(path)


class TestValues:
    def test_twelve_bits_keep_every_level(self, tmp_path):
        """Without a window the range is that of the stored bits."""
        pixels = decode(save(tmp_path / "a", GREY, 12))
        assert (pixels.dtype, pixels.shape) == (np.float32, (24, 20, 1))
        assert np.allclose(pixels[:, :, 0], GREY * (255 / 4095), atol=1e-4)

    def test_eight_bits_are_what_a_png_would_hold(self, tmp_path):
        values = (GREY >> 4).astype(np.uint8)
        Image.fromarray(values).save(tmp_path / "a.png")
        got = decode(save(tmp_path / "a.dcm", values))
        assert got.dtype == np.uint8
        assert np.array_equal(got, decode(tmp_path / "a.png"))

    def test_signed_and_rescaled(self, tmp_path):
        """-2048 ... 2047 with slope 2, intercept 100."""
        values = GREY.astype(np.int16) - 2048
        path = save(tmp_path / "a.dcm", values, 12, RescaleSlope=2, RescaleIntercept=100)
        wanted = (values * 2.0 + 100 - (-3996)) / (4194 - (-3996)) * 255
        assert np.allclose(decode(path)[:, :, 0], wanted, atol=1e-3)

    def test_dark_is_bright_in_monochrome1(self, tmp_path):
        one = decode(save(tmp_path / "a.dcm", GREY, 12))
        two = decode(save(tmp_path / "b.dcm", GREY, 12, PhotometricInterpretation="MONOCHROME1"))
        assert np.allclose(one + two, 255, atol=1e-3)

    @pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
    def test_windows_are_those_of_the_standard(self, tmp_path, function):
        """The oracle is pydicom's, whose output covers the range of the stored bits."""
        path = save(
            tmp_path / "a.dcm",
            GREY,
            12,
            WindowCenter=[2000, 7],
            WindowWidth=[900, 9],
            VOILUTFunction=function,
            RescaleSlope=1,
            RescaleIntercept=0,
        )
        wanted = pydicom.pixels.apply_windowing(GREY.astype(np.int32), pydicom.dcmread(path)) * (255 / 4095)
        assert np.allclose(decode(path)[:, :, 0], wanted, atol=0.02)

    def test_a_window_of_ones_own_comes_before_the_files(self, tmp_path):
        path = save(tmp_path / "a.dcm", GREY, 12, WindowCenter=9, WindowWidth=9)
        got = decode(path, window=(1000, 400))[:, :, 0]
        assert np.allclose(got, np.clip((GREY - 800.0) / 400, 0, 1) * 255, atol=1e-3)
        assert np.allclose(decode(path, white=2000)[:, :, 0], np.clip(GREY / 2000, 0, 1) * 255, atol=1e-3)

    def test_a_width_of_one_is_a_threshold(self):
        assert windowed(np.array([4.0, 5.0]), 5, 1, "LINEAR").tolist() == [0, 255]

    def test_the_table_of_the_voi_comes_before_the_window(self, tmp_path):
        table = item(LUTDescriptor=[4096, 0, 12], LUTData=np.arange(4095, -1, -1, np.uint16).tobytes())
        path = save(tmp_path / "a.dcm", GREY, 12, VOILUTSequence=[table], WindowCenter=9, WindowWidth=9)
        assert np.allclose(decode(path)[:, :, 0], (4095.0 - GREY) * (255 / 4095), atol=1e-3)

    def test_the_table_of_the_modality(self, tmp_path):
        table = item(
            LUTDescriptor=[4096, 0, 16], ModalityLUTType="US", LUTData=(4 * np.arange(4096)).astype(np.uint16).tobytes()
        )
        path = save(tmp_path / "a.dcm", GREY, 12, ModalityLUTSequence=[table])
        assert np.allclose(decode(path, window=(10000, 20000))[:, :, 0], GREY * (4 * 255 / 20000), atol=1e-2)

    def test_spare_bits_are_not_values(self, tmp_path):
        """An overlay in the four bits above the twelve that are stored."""
        path = save(tmp_path / "a.dcm", GREY | np.uint16(0xA000), 12)
        assert np.array_equal(stored_values(path, read(path), 0, 1 << 20).values, GREY)

    def test_frames_are_chosen(self, tmp_path):
        stack = np.stack([GREY, GREY[::-1], GREY[:, ::-1]])
        path = save(tmp_path / "a.dcm", stack, 12, frames=True)
        with pytest.raises(UserError, match=r"holds 3 pages.*read one page of every file with page=NUMBER"):
            decode(path)
        with pytest.raises(UserError, match="has no page 4, it has 3"):
            decode(path, page=4)
        assert np.allclose(decode(path, page=2)[:, :, 0], GREY[::-1] * (255 / 4095), atol=1e-3)


class TestColours:
    def test_palettes(self):
        found = pydicom.dcmread(SHIPPED / "examples_palette.dcm")
        wanted = pydicom.pixels.apply_color_lut(found.pixel_array, found)
        scale = 255 if wanted.dtype == np.uint8 else 65535
        assert np.allclose(decode(SHIPPED / "examples_palette.dcm"), wanted * (255 / scale), atol=0.5)

    def test_ybr_full(self):
        """The oracle is pydicom's matrix."""
        found = pydicom.dcmread(SHIPPED / "SC_ybr_full_422_uncompressed.dcm")
        wanted = pydicom.pixels.convert_color_space(
            pydicom.pixels.pixel_array(found, raw=True), "YBR_FULL", "RGB"
        ).astype(int)
        assert np.abs(decode(SHIPPED / "SC_ybr_full_422_uncompressed.dcm").astype(int) - wanted).max() <= 1

    @pytest.mark.parametrize("planes", [0, 1])
    def test_planes_one_after_the_other(self, tmp_path, planes):
        colour = np.random.default_rng(1).integers(0, 256, (9, 7, 3), np.uint8)
        found = make(colour, PlanarConfiguration=planes)
        found.PixelData = (colour.transpose(2, 0, 1) if planes else colour).tobytes() + b"\0"
        found.save_as(tmp_path / "a.dcm", enforce_file_format=True)
        assert np.array_equal(decode(tmp_path / "a.dcm"), colour)

    def test_sixteen_bits(self, tmp_path):
        colour = np.random.default_rng(1).integers(0, 65536, (8, 6, 3)).astype(np.uint16)
        assert np.allclose(decode(save(tmp_path / "a.dcm", colour)), colour / 257, atol=1e-3)

    def test_unknown_ones_are_refused_by_name(self, tmp_path):
        colour = np.zeros((8, 6, 3), np.uint8)
        with pytest.raises(UserError, match="its colours are 'YBR_PARTIAL_420', which are not read"):
            decode(save(tmp_path / "a.dcm", colour, PhotometricInterpretation="YBR_PARTIAL_420"))


class TestFiles:
    def test_files_are_known_without_a_suffix(self, tmp_path):
        for name in ("IM0001", "1.2.840.113.77", "scan.dcm", "SCAN.IMA"):
            assert is_dicom(save(tmp_path / name, GREY, 12))
        (tmp_path / "DICOMDIR").write_bytes((tmp_path / "IM0001").read_bytes())
        (tmp_path / "notes").write_bytes(b"x" * 500)
        assert not is_dicom(tmp_path / "DICOMDIR")
        assert not is_dicom(tmp_path / "notes")

    @pytest.mark.parametrize(
        ("name", "what"),
        [
            ("rtplan.dcm", "it is 'RT Plan Storage'"),
            ("test-SR.dcm", "it is 'Comprehensive SR Storage'"),
            ("waveform_ecg.dcm", "it is '12-lead ECG Waveform Storage'"),
        ],
    )
    def test_objects_without_pictures_are_named(self, name, what):
        with pytest.raises(UserError, match=f"holds no picture: {what}"):
            decode(SHIPPED / name)

    @pytest.mark.parametrize("cut", [10, 140, 400, -100])
    def test_cut_off_files_are_refused(self, tmp_path, cut):
        path = save(tmp_path / "a.dcm", GREY, 12)
        path.write_bytes(path.read_bytes()[:cut])
        with pytest.raises(UserError, match=r"^dicom-\d{6}: "):
            decode(path)

    def test_a_deflated_bomb_is_refused_before_it_is_inflated(self, tmp_path, monkeypatch):
        from tinymed.data.dicom import files

        path = save(tmp_path / "a.dcm", GREY, 12)
        content = path.read_bytes()
        at = content.index(b"\x08\0\x16\0")
        head = bytearray(content[:at].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99"))
        head[head.index(b"UI\x14\0" + b"1.2.840.10008.1.2.1.99") + 2] = 22
        length = int.from_bytes(head[140:144], "little") + 2
        head[140:144] = length.to_bytes(4, "little")
        pack = zlib.compressobj(wbits=-15)
        path.write_bytes(bytes(head) + pack.compress(content[at:] + bytes(5 << 20)) + pack.flush())
        monkeypatch.setattr(files, "MAX_INFLATED", 1 << 20)
        with pytest.raises(UserError, match="would inflate to more than 1,048,576 bytes"):
            decode(path)

    def test_a_claim_of_many_pixels_is_refused_by_the_header(self, tmp_path):
        with pytest.raises(UserError, match=r"60000 x 60000 pixels are more than the limit"):
            decode(save(tmp_path / "a.dcm", GREY, 12, Rows=60000, Columns=60000))

    def test_text_burned_into_pixels_is_warned_of(self, tmp_path):
        for name in "ab":
            for i in range(2):
                values = np.roll(GREY, i + 2 * (name == "b"))
                save(
                    tmp_path / name / f"{i}.dcm",
                    values,
                    12,
                    BurnedInAnnotation="YES" if i else "NO",
                    PatientID=f"{name}{i}",
                )
        with pytest.warns(UserAdvice, match="2 DICOM files say that text is burned into the pixels"):
            open_dataset(tmp_path)
