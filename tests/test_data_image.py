"""Decoding, resizing and the arithmetic between a file and a network."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import picture, write_image
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tinymed.data import decode, normalise, one_hot, prepare, resize, to_float, to_nchw
from tinymed.data.image import decode_mask, is_picture, with_channels
from tinymed.errors import UserError


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims width x height RGB pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 100)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


def deep_png(pixels: np.ndarray, kind: int, exif: bytes) -> bytes:
    """A PNG of 16 bits a channel, RGB (kind 2), grey with alpha (4) or RGBA (6), which Pillow does not write."""
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, kind, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels))
    chunks = ((b"IHDR", header), (b"eXIf", exif), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def deep_tiff(pixels: np.ndarray, order: str) -> bytes:
    """A TIFF of 16 bits a channel, RGB in one strip, of a byte order."""
    height, width, channels = pixels.shape
    data, count = pixels.astype(f"{order}u2").tobytes(), 9
    bits = 8 + 2 + 12 * count + 4
    longs = {
        257: height,
        256: width,
        258: bits,
        259: 1,
        262: 2,
        273: bits + 6,
        277: channels,
        278: height,
        279: len(data),
    }
    out = (b"MM" if order == ">" else b"II") + struct.pack(f"{order}HIH", 42, 8, count)
    for tag, value in sorted(longs.items()):
        out += struct.pack(f"{order}HHII", tag, 3 if tag == 258 else 4, 3 if tag == 258 else 1, value)
    return out + struct.pack(f"{order}I3H", 0, 16, 16, 16) + data


class TestDecode:
    @pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
    @pytest.mark.parametrize("channels", [1, 3])
    def test_lossless_formats_give_the_pixels_back(self, tmp_path: Path, suffix: str, channels: int) -> None:
        pixels = picture(1, channels=channels)
        got = decode(write_image(tmp_path / f"a{suffix}", pixels))
        assert got.dtype == np.uint8
        assert np.array_equal(got, pixels.reshape(12, 10, channels))

    def test_jpeg_and_webp(self, tmp_path: Path) -> None:
        flat = np.full((16, 16, 3), (200, 100, 50), np.uint8)
        for suffix in (".jpg", ".webp"):
            assert np.abs(decode(write_image(tmp_path / f"a{suffix}", flat)).astype(int) - flat).max() <= 6

    @pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
    def test_16_bit_grey_keeps_its_depth_on_the_scale_of_8_bits(self, tmp_path: Path, suffix: str) -> None:
        wide = np.array([[0, 128, 129, 257], [65535, 65407, 32768, 4095]], np.uint16)
        got = decode(write_image(tmp_path / f"wide{suffix}", wide))
        assert got.dtype == np.float32
        assert np.array_equal(got[:, :, 0], (wide / 257).astype(np.float32))

    @pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
    @pytest.mark.parametrize("channels", [1, 3])
    def test_8_bits_in_16_are_8_bits(self, tmp_path: Path, suffix: str, channels: int) -> None:
        """Every byte value, repeated; one pixel that is no repeated byte, and the picture keeps its depth."""
        bytes_ = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(channels, axis=2)
        wide = bytes_.astype(np.uint16) * 257
        path = tmp_path / f"wide{suffix}"

        def write() -> None:
            if channels == 1:
                write_image(path, wide[:, :, 0])
            else:
                path.write_bytes(deep_png(wide, 2, b"") if suffix == ".png" else deep_tiff(wide, "<"))

        write()
        got = decode(path)
        assert got.dtype == np.uint8
        assert np.array_equal(got, bytes_)
        wide[3, 4] += 1
        write()
        deep = decode(path)
        assert deep.dtype == np.float32
        assert np.abs(deep - bytes_).max() == pytest.approx(1 / 257, rel=1e-3)

    def test_what_is_white_may_be_said(self, tmp_path: Path) -> None:
        """12 bits in a 16-bit file: all their levels, over the whole range; the same for other deep pictures."""
        levels = np.arange(4096).reshape(64, 64)
        for name, kind in (("a.png", np.uint16), ("a.tif", np.uint16), ("b.tif", np.int32), ("c.tif", np.float32)):
            got = decode(write_image(tmp_path / name, levels.astype(kind)), white=4095)
            assert np.unique(got).size == 4096, name
            assert (got.min(), got.max()) == (0, 255)
        with pytest.raises(UserError, match=r"c\.tif: pixels from 0 to 4095, expected 0 to 1000.*white=MAXIMUM"):
            decode(tmp_path / "c.tif", white=1000)
        eight = write_image(tmp_path / "e.png", picture(0, channels=1))
        assert np.array_equal(decode(eight, white=4095), decode(eight))

    @pytest.mark.parametrize("kind", [2, 6])
    @pytest.mark.parametrize("orientation", [1, 6])
    def test_colours_of_16_bits_keep_their_depth(self, tmp_path: Path, kind: int, orientation: int) -> None:
        """Pillow keeps the high bytes only: 12 bits would be 16 levels."""
        wide = np.random.default_rng(0).integers(0, 4096, (9, 7, 3 if kind == 2 else 4)).astype(np.uint16)
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / "a.png"
        path.write_bytes(deep_png(wide, kind, exif.tobytes().removeprefix(b"Exif\0\0")))
        seen = np.rot90(wide, -1) if orientation == 6 else wide
        got = decode(path, white=4095)
        assert got.dtype == np.float32
        assert np.array_equal(got, (seen[:, :, :3].astype(np.float64) * 255 / 4095).astype(np.float32))
        luma = got @ np.array([0.299, 0.587, 0.114])
        assert np.allclose(with_channels(got, 1)[:, :, 0], luma, atol=1e-4)
        assert resize(got, (5, 4)).shape == (5, 4, 3)
        with pytest.raises(UserError, match="colours of 16 bits"):
            decode_mask(path)

    @pytest.mark.parametrize("orientation", [1, 6])
    def test_grey_of_16_bits_with_transparency_keeps_its_depth(self, tmp_path: Path, orientation: int) -> None:
        wide = np.random.default_rng(2).integers(0, 65536, (9, 7, 2)).astype(np.uint16)
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / "a.png"
        path.write_bytes(deep_png(wide, 4, exif.tobytes().removeprefix(b"Exif\0\0")))
        seen = np.rot90(wide, -1) if orientation == 6 else wide
        assert np.array_equal(decode(path), (seen[:, :, :1].astype(np.float64) * 255 / 65535).astype(np.float32))
        with pytest.raises(UserError, match="of 16 bits, or transparency; save it as grey"):
            decode_mask(path)
        path.write_bytes(deep_png(wide // 256 * 257, 4, exif.tobytes().removeprefix(b"Exif\0\0")))  # 8 bits in 16
        assert np.array_equal(decode(path), (seen[:, :, :1] // 256).astype(np.uint8))

    @pytest.mark.parametrize("order", ["<", ">"])
    def test_colours_of_16_bits_in_tiff(self, tmp_path: Path, order: str) -> None:
        wide = np.random.default_rng(1).integers(0, 65536, (5, 6, 3)).astype(np.uint16)
        (tmp_path / "a.tif").write_bytes(deep_tiff(wide, order))
        assert np.array_equal(decode(tmp_path / "a.tif"), (wide / 257).astype(np.float32))

    @pytest.mark.parametrize("values", [[-1.0, 2.0], [0.0, np.nan], [0.0, np.inf]])
    def test_what_is_no_grey_value_is_refused(self, tmp_path: Path, values: list[float]) -> None:
        path = write_image(tmp_path / "a.tif", np.array([values], np.float32))
        with pytest.raises(UserError, match=r"a\.tif: pixels from"):
            decode(path, white=4)

    @pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".JPG"])
    def test_other_names_of_jpeg(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"a{suffix}"
        Image.fromarray(picture(0)).save(path, "JPEG")
        assert is_picture(path)
        assert decode(path).shape == (12, 10, 3)

    @pytest.mark.parametrize("suffix", [".pgm", ".ppm", ".pnm", ".gif"])
    def test_other_formats_without_loss(self, tmp_path: Path, suffix: str) -> None:
        pixels = picture(1, channels=3 if suffix in (".ppm", ".pnm") else 1)
        got = decode(write_image(tmp_path / f"a{suffix}", pixels))
        assert np.array_equal(got[:, :, 0], pixels.reshape(12, 10, -1)[:, :, 0])

    def test_palette_with_and_without_transparency(self, tmp_path: Path) -> None:
        pixels = np.repeat(np.arange(4, dtype=np.uint8)[:, None], 4, axis=1)
        image = Image.fromarray(pixels, mode=None).convert("P")
        image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
        image.putdata(pixels.reshape(-1).tolist())
        expected = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]], np.uint8)
        image.save(tmp_path / "p.png")
        image.save(tmp_path / "t.png", transparency=bytes((0, 255, 128, 255)))
        for name in ("p.png", "t.png"):
            assert np.array_equal(decode(tmp_path / name)[:, 0], expected), name

    def test_alpha_is_dropped(self, tmp_path: Path) -> None:
        pixels = picture(2, channels=4)
        assert np.array_equal(decode(write_image(tmp_path / "a.png", pixels)), pixels[:, :, :3])

    def test_black_and_white_bits_become_grey(self, tmp_path: Path) -> None:
        bits = picture(3, channels=1) > 127
        assert np.array_equal(decode(write_image(tmp_path / "a.png", bits))[:, :, 0], np.where(bits, 255, 0))

    def test_exif_orientation_is_applied(self, tmp_path: Path) -> None:
        pixels = np.zeros((8, 16, 3), np.uint8)
        pixels[:, :8] = 250
        image = Image.fromarray(pixels)
        exif = image.getexif()
        exif[0x0112] = 6  # turn a quarter clockwise to view
        image.save(tmp_path / "a.png", exif=exif)
        assert np.array_equal(decode(tmp_path / "a.png"), np.rot90(pixels, -1))

    def test_same_name_other_format_is_told_by_content(self, tmp_path: Path) -> None:
        pixels = picture(4)
        Image.fromarray(pixels).save(tmp_path / "a.jpg", format="PNG")
        assert np.array_equal(decode(tmp_path / "a.jpg"), pixels)


class TestHostileFiles:
    def refuse(self, path: Path, *words: str, **options: int) -> None:
        with pytest.raises(UserError) as caught:
            decode(path, **options)
        message = str(caught.value)
        assert str(path) in message
        assert "\n" not in message
        for word in words:
            assert word in message, message

    def test_missing(self, tmp_path: Path) -> None:
        self.refuse(tmp_path / "none.png", "no such file")

    def test_text_named_png(self, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        path.write_text("not an image")
        self.refuse(path, "not an image", "skip")

    def test_empty_file(self, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        path.write_bytes(b"")
        self.refuse(path, "is empty, 0 bytes")

    @pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".webp"])
    def test_truncated(self, tmp_path: Path, suffix: str) -> None:
        path = write_image(tmp_path / f"a{suffix}", picture(5, 64, 64))
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        self.refuse(path, "skip")

    def test_damaged_checksum(self, tmp_path: Path) -> None:
        path = write_image(tmp_path / "a.png", picture(6, 64, 64))
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 255
        path.write_bytes(bytes(data))
        self.refuse(path, "cannot be decoded")

    @pytest.mark.parametrize("side", [9_000, 11_000, 60_000, 2**31 - 1])  # ours, Pillow's warning, Pillow's error
    def test_header_bomb_is_refused_before_decoding(self, tmp_path: Path, side: int) -> None:
        path = tmp_path / "bomb.png"
        path.write_bytes(png_header(side, side))
        self.refuse(path, "64,000,000", "skip")

    def test_pixel_limit_is_an_argument(self, tmp_path: Path) -> None:
        path = write_image(tmp_path / "a.png", picture(7))
        assert decode(path, max_pixels=120).shape == (12, 10, 3)
        self.refuse(path, "12", "119", max_pixels=119)

    def test_formats_outside_the_list(self, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        Image.fromarray(picture(8)).save(path, format="TGA")
        self.refuse(path, "not an image in one of PNG, JPEG")

    def test_several_pages(self, tmp_path: Path) -> None:
        path = tmp_path / "a.tif"
        pages = [Image.fromarray(picture(i)) for i in range(3)]
        pages[0].save(path, save_all=True, append_images=pages[1:])
        self.refuse(path, "3 pages")

    def test_float_pixels(self, tmp_path: Path) -> None:
        path = write_image(tmp_path / "a.tif", np.ones((4, 4), np.float32))
        self.refuse(path, "floating-point")

    @given(st.data())
    def test_any_damage_is_a_user_error_or_an_image(self, tmp_path_factory: pytest.TempPathFactory, data) -> None:
        path = tmp_path_factory.mktemp("fuzz") / data.draw(
            st.sampled_from(["a.png", "a.jpg", "a.tif", "a.bmp", "a.webp"])
        )
        raw = bytearray(write_image(path, picture(9)).read_bytes())
        for _ in range(data.draw(st.integers(1, 6))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
        try:
            pixels = decode(path)
        except UserError:
            return
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
        assert pixels.shape[2] in (1, 3)


class TestPrepare:
    def test_grey_is_luma(self) -> None:
        pixels = picture(10, 9, 7)
        luma = pixels @ np.array([0.299, 0.587, 0.114])
        assert np.abs(with_channels(pixels, 1)[:, :, 0] - luma).max() <= 0.51

    def test_grey_to_rgb_repeats(self) -> None:
        grey = picture(11, channels=1)[:, :, None]
        assert np.array_equal(with_channels(grey, 3), np.concatenate([grey] * 3, axis=2))

    def test_channels_are_one_or_three(self) -> None:
        with pytest.raises(ValueError, match=r"1 .*3"):
            with_channels(picture(0), 2)

    @given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3]))
    def test_resize_is_torchs_antialiased_bilinear(self, height, width, new_height, new_width, channels) -> None:
        pixels = picture(height * width, height, width, channels).reshape(height, width, channels)
        got = resize(pixels, (new_height, new_width))
        assert got.shape == (new_height, new_width, channels)
        x = torch.from_numpy(pixels.astype(np.float64)).permute(2, 0, 1)[None]
        want = torch.nn.functional.interpolate(x, (new_height, new_width), mode="bilinear", antialias=True)
        assert np.abs(got - want[0].permute(1, 2, 0).numpy()).max() <= 1.5  # two passes, each rounded to bytes

    def test_resize_to_own_size_is_the_image(self) -> None:
        pixels = picture(12)
        assert resize(pixels, (12, 10)) is pixels

    def test_resize_refuses_zero(self) -> None:
        with pytest.raises(ValueError, match="0 x 5"):
            resize(picture(0), (0, 5))

    def test_file_and_array_agree(self, tmp_path: Path) -> None:
        pixels = picture(13, 33, 21)
        path = write_image(tmp_path / "a.png", pixels)
        for channels in (1, 3):
            assert np.array_equal(prepare(path, 16, channels), prepare(pixels, 16, channels))


class TestTransform:
    def test_to_float_is_torchs(self) -> None:
        every = np.arange(256, dtype=np.uint8)
        assert np.array_equal(to_float(every), torch.arange(256, dtype=torch.uint8).float().div(255).numpy())

    def test_normalise_per_channel(self) -> None:
        images = to_float(picture(14))[None]
        got = normalise(images, [0.1, 0.2, 0.3], [0.5, 1, 2])
        want = (images - np.float32([0.1, 0.2, 0.3])) / np.float32([0.5, 1, 2])
        assert got.dtype == np.float32
        assert np.array_equal(got, want)
        assert np.array_equal(normalise(images, 0.1, 0.5), normalise(images, [0.1] * 3, [0.5] * 3))

    @pytest.mark.parametrize(("mean", "std"), [([0.1, 0.2], 1), (0, 0), (0, -1), (float("nan"), 1)])
    def test_normalise_refuses(self, mean, std) -> None:
        with pytest.raises(UserError, match=r"mean|std"):
            normalise(np.zeros((1, 2, 2, 3), np.float32), mean, std)

    def test_one_hot(self) -> None:
        labels = np.array([2, 0, 1, 2])
        want = torch.nn.functional.one_hot(torch.from_numpy(labels), 3).float().numpy()
        assert np.array_equal(one_hot(labels, 3), want)
        for wrong in ([3], [-1]):
            with pytest.raises(UserError, match="0 to 2"):
                one_hot(np.array(wrong), 3)

    def test_to_nchw_is_channels_last_memory(self) -> None:
        images = np.zeros((2, 5, 4, 3), np.float32)
        batch = to_nchw(images)
        assert batch.shape == (2, 3, 5, 4)
        assert np.shares_memory(batch, images)
        assert torch.from_numpy(batch).is_contiguous(memory_format=torch.channels_last)
