"""`tinymed image`: every operation on files of 8 and 16 bits, what is written, and every mistake in one line."""

import numpy as np
import pytest
from commands import invoke
from PIL import Image

from tinymed.cli.image import deep_png, read
from tinymed.imaging import OPERATIONS

COLOUR = {"hsv", "cmyk", "macenko", "reinhard"}
GREY = {"otsu", "pseudo-colour"}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setenv("TINYMED_BACKEND", "numpy")


@pytest.fixture
def pictures(tmp_path):
    """A tissue-like colour picture of 8 bits, the same of 16, and greys of both depths."""
    rng = np.random.default_rng(0)
    amounts = rng.gamma(2.0, 0.3, (24, 20, 2))
    stained = np.exp(-amounts @ np.array([[0.65, 0.70, 0.29], [0.2, 0.95, 0.3]]))
    paths = {(bits, kind): tmp_path / f"{kind}{bits}.png" for bits in (8, 16) for kind in ("rgb", "grey")}
    eight, sixteen = np.rint(stained * 255).astype(np.uint8), np.rint(stained * 65535).astype(np.uint16)
    Image.fromarray(eight).save(paths[8, "rgb"])
    Image.fromarray(eight[..., 0].copy()).save(paths[8, "grey"])
    Image.fromarray(sixteen[..., 0].copy()).save(paths[16, "grey"])
    paths[16, "rgb"].write_bytes(deep_png(sixteen))
    return paths


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_writes_what_the_library_makes(name, bits, pictures, tmp_path, capsys):
    """At the picture's own depth where the operation keeps it."""
    chosen = OPERATIONS[name]
    source = pictures[bits, "grey" if name in GREY or (name, bits) == ("clahe", 16) else "rgb"]
    out = tmp_path / ("out.csv" if chosen.chart else "out.tif" if name == "cmyk" else "out.png")
    code, said, err = invoke(capsys, "image", name, source, out)
    assert (code, err) == (0, "")
    assert str(out) in said
    pixels = read(source, None, False)
    assert pixels.dtype == (np.uint8 if bits == 8 else np.uint16)
    result = chosen.function(pixels)
    if chosen.chart:
        counts = np.loadtxt(out, delimiter=",", skiprows=1)[:, 2:].T
        assert np.allclose(counts, result[0], rtol=1e-5)
        return
    wanted = chosen.show(result, pixels) if chosen.show else result
    if name == "cmyk":
        with Image.open(out) as inks:
            assert inks.mode == "CMYK"
            assert np.array_equal(np.asarray(inks), wanted if bits == 8 else np.rint(wanted / 257))
        return
    written = read(out, None, False)
    assert written.dtype == (pixels.dtype if chosen.keeps else np.uint8)
    assert np.array_equal(written, wanted)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".webp", ".jpg", ".ppm"])
def test_formats(suffix, pictures, tmp_path, capsys):
    out = tmp_path / f"out{suffix}"
    assert invoke(capsys, "image", "median", pictures[8, "rgb"], out)[0] == 0
    assert read(out, None, False).shape == (24, 20, 3)


def test_a_histogram_is_drawn(pictures, tmp_path, capsys):
    for kind in ("grey", "rgb"):
        out = tmp_path / f"{kind}_chart.png"
        assert invoke(capsys, "image", "histogram", pictures[8, kind], out)[0] == 0
        assert np.asarray(Image.open(out)).std() > 10


def test_options_reach_the_operation(pictures, tmp_path, capsys):
    from tinymed import imaging

    out = tmp_path / "out.png"
    invoke(capsys, "image", "non_local_means", pictures[16, "rgb"], out, "--grey", "--h", "0.3", "--search", 5)
    wanted = imaging.non_local_means(read(pictures[16, "rgb"], None, True), h=0.3, search=5)
    assert np.array_equal(read(out, None, False), wanted)
    invoke(capsys, "image", "window-level", pictures[16, "grey"], out, "--white", 65535, "--window", 0.3)
    assert read(out, None, False).dtype == np.uint16


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["blur", "rgb8.png", "out.png"], "there are bilateral, black-hat"),
        (["median", "no.png", "out.png"], "no such file"),
        (["median", "rgb8.png", "out.xyz"], "suffixes"),
        (["median", "rgb8.png", "out"], "suffixes"),
        (["median", "rgb8.png", "no/out.png"], "make it first"),
        (["median", "rgb8.png", "rgb8.png"], "is the picture itself"),
        (["median", "rgb8.png", "out.png", "--size", "4"], "odd"),
        (["median", "rgb8.png", "out.png", "--size", "x"], "--size"),
        (["median", "rgb8.png", "out.png", "--clip", "2"], "--clip: not an option of median; it is of clahe"),
        (["median", "rgb16.png", "out.jpg"], "16 bits"),
        (["median", "rgb16.png", "out.tif"], "16 bits"),
        (["otsu", "rgb8.png", "out.png"], "1 channels, got 3"),
        (["cmyk", "rgb8.png", "out.png"], ".tif or .jpg"),
        (["macenko", "grey8.png", "out.png"], "3 channels, got 1"),
        (["histogram", "rgb8.png", "out.jpg"], ".csv, .png"),
        (["gamma", "rgb8.png", "out.png", "--backend", "abacus"], "abacus"),
        (["gaussian", "rgb8.png", "out.png", "--sigma", "nan"], "sigma"),
        (["gaussian", "rgb8.png", "out.png", "--border", "wrap"], "reflect or edge"),
        (["gaussian", "rgb8.png"], "OUT"),
    ],
)
def test_mistakes_are_one_line(arguments, says, pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    code, out, err = invoke(capsys, "image", *arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert says in err
    assert sorted(tmp_path.iterdir()) == before


def test_help_names_every_operation_and_option(capsys):
    code, out, _ = invoke(capsys, "image", "--help")
    assert code == 0
    words = " ".join(out.replace("│", " ").split())
    for chosen in OPERATIONS.values():
        assert f"{chosen.name}: " in words
        for option in chosen.options:
            assert f"--{option.replace('_', '-')}" in words
            assert chosen.help_of(option), f"{chosen.name} says nothing of {option}"
