"""Image processing against OpenCV, scikit-image, SciPy and Pillow; borders, dtypes, mistakes, real pictures."""

import numpy as np
import pytest
from datasets import shared_data

import tinymed
from tinymed import imaging
from tinymed.data import image as files
from tinymed.errors import UserError

BORDERS = {"reflect": "mirror", "edge": "nearest"}  # SciPy's names


@pytest.fixture(autouse=True)
def on_the_reference():
    with tinymed.use_backend("numpy"):
        yield


@pytest.fixture(scope="module")
def cv2():
    return pytest.importorskip("cv2", reason="OpenCV is the oracle: pip install '.[test]'")


@pytest.fixture(scope="module")
def skimage():
    pytest.importorskip("skimage", reason="scikit-image is the oracle: pip install '.[test]'")
    import skimage

    return skimage


@pytest.fixture(scope="module")
def ndimage():
    return pytest.importorskip("scipy.ndimage", reason="SciPy is the oracle: pip install '.[test]'")


def image(dtype="uint8", shape=(37, 29, 3), seed=0):
    """Noise on a slope, so that neighbours are alike and the histogram is not flat."""
    rng = np.random.default_rng(seed)
    slope = np.linspace(0.1, 0.7, shape[0]).reshape(-1, *[1] * (len(shape) - 1))
    values = np.clip(slope + 0.15 * rng.standard_normal(shape), 0, 1)
    if dtype.startswith("float"):
        return values.astype(dtype)
    return np.rint(values * np.iinfo(dtype).max).astype(dtype)


def close(ours, theirs, levels=0, tolerance=1e-5):
    """Floating-point numbers within a tolerance, whole ones within so many levels."""
    assert ours.shape == theirs.shape
    limit = tolerance if ours.dtype.kind == "f" else levels
    assert np.abs(ours.astype(float) - theirs.astype(float)).max() <= limit


# ---------------------------------------------------------------------------------------------------------- colour


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_grey_is_that_of_training(dtype):
    """Pillow's to the bit for 8 bits, as images of colour are read for a grey network."""
    x = image(dtype)
    wanted = files.with_channels(x, 1)
    close(imaging.grey(x), wanted, tolerance=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_grey_opencv(cv2, dtype):
    x = image(dtype)
    close(imaging.grey(x)[..., 0], cv2.cvtColor(x, cv2.COLOR_RGB2GRAY), levels=2 if dtype == "uint16" else 1)


def test_hsv_there_and_back(skimage):
    x = image("float64")
    x[:2] = x[:2, :, :1]  # greys, whose hue is 0
    x[2] = 0
    close(imaging.hsv(x), skimage.color.rgb2hsv(x), tolerance=1e-12)
    close(imaging.from_hsv(imaging.hsv(x)), x, tolerance=1e-12)
    close(imaging.from_hsv(imaging.hsv(x)), skimage.color.hsv2rgb(skimage.color.rgb2hsv(x)), tolerance=1e-12)
    whole = image("uint16")
    close(imaging.hsv(whole), skimage.color.rgb2hsv(whole), tolerance=1e-5)


def test_cmyk_there_and_back():
    x = image("float64")
    x[0] = 0
    inks = imaging.cmyk(x)
    assert inks.shape == (37, 29, 4)
    assert inks[0, 0].tolist() == [0, 0, 0, 1]
    assert inks[1:].min() >= 0
    assert np.allclose(inks[1:, :, :3].min(axis=2), 0)  # a brightest channel needs no ink
    close(imaging.from_cmyk(inks), x, tolerance=1e-12)


# ------------------------------------------------------------------------------------------------------- intensity


def test_window_level_and_gamma(skimage):
    x = image("float64", (20, 30))
    wanted = skimage.exposure.rescale_intensity(x, (0.3, 0.5), (0, 1))
    close(imaging.window_level(x, window=0.2, level=0.4), wanted, tolerance=1e-12)
    close(imaging.gamma(x, 2.2), skimage.exposure.adjust_gamma(x, 2.2), tolerance=1e-12)
    for dtype in ("uint8", "uint16"):
        whole, top = image(dtype), np.iinfo(dtype).max
        wanted = np.rint(np.clip((whole / top - 0.3) / 0.2, 0, 1) * top)
        close(imaging.window_level(whole, window=0.2, level=0.4), wanted, levels=1)  # a half is rounded either way
        close(imaging.gamma(whole, 0.5), np.rint(np.sqrt(whole / top) * top))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float64"])
def test_stretch(skimage, dtype):
    x = image(dtype, (20, 30))
    low, high = np.percentile(x, (2, 98))
    wanted = skimage.exposure.rescale_intensity(x, (low, high), (0, 1 if dtype == "float64" else np.iinfo(dtype).max))
    close(imaging.stretch(x, 2, 98), wanted, levels=1, tolerance=1e-12)  # scikit-image cuts decimals off
    flat = np.full((3, 4), 7, np.uint8)
    assert np.array_equal(imaging.stretch(flat), flat)


def test_pseudo_colour(cv2):
    """A look-up of a table is OpenCV's; a scale ends in its colours and is monotone in luma where it should be."""
    x = image("uint8", (20, 30))
    table = np.rint(imaging.colour_scale("bone") * 255).astype(np.uint8)
    wanted = np.stack([cv2.LUT(x, table[:, c].copy()) for c in range(3)], axis=-1)
    close(imaging.pseudo_colour(x, "bone"), wanted)
    close(imaging.pseudo_colour(x.astype(np.uint16) * 257, "bone"), wanted)
    close(imaging.pseudo_colour(x.astype(np.float32) / 255, "bone"), wanted)
    for scale in ("hot", "bone", "viridis"):
        assert (np.diff(imaging.colour_scale(scale) @ (0.299, 0.587, 0.114)) > 0).all()


# ------------------------------------------------------------------------------------------------------- histogram


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
@pytest.mark.parametrize("bins", [0, 10])
def test_histogram(dtype, bins):
    x = image(dtype)
    if dtype == "float32":
        x[0, 0], x[1, 1], x[2, 2] = np.nan, 1.5, 1.0
    counts, edges = imaging.histogram(x, bins)
    for c in range(3):
        with np.errstate(invalid="ignore"):
            wanted, at = np.histogram(x[..., c].astype(float), edges)
        assert np.array_equal(counts[c], wanted)
        assert np.array_equal(edges, at)
    shares, _ = imaging.cumulative_histogram(x, bins)
    assert np.array_equal(shares, np.cumsum(counts, 1) / counts.sum(1, keepdims=True))


def test_equalise(cv2, skimage):
    x = image("uint8", (40, 30))
    close(imaging.equalise(x), cv2.equalizeHist(x), levels=1)  # a half is rounded after float32 there
    smooth = image("float64", (40, 30))
    close(imaging.equalise(smooth), equalised_in_unit_range(smooth), tolerance=1e-12)
    deep = imaging.equalise(image("uint16", (40, 30)))
    assert (deep.min(), deep.max()) == (0, 65535)


def equalised_in_unit_range(x):
    """What `skimage.exposure.equalize_hist` does, whose bins span the values and not 0 ... 1."""
    counts, edges = np.histogram(x, 256, (0, 1))
    return np.interp(x, (edges[1:] + edges[:-1]) / 2, counts.cumsum() / counts.sum())


def test_equalised_colours_keep_hue_and_saturation():
    x = image("float64")
    before, after = imaging.hsv(x), imaging.hsv(imaging.equalise(x))
    bright = (before[..., 2] > 0) & (after[..., 2] > 0)
    close(after[bright][:, :2], before[bright][:, :2], tolerance=1e-9)
    assert not np.allclose(after[..., 2], before[..., 2], atol=0.01)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("shape", [(64, 64), (61, 53), (64, 53), (9, 8)])
@pytest.mark.parametrize("clip", [0.0, 2.0, 40.0])
def test_clahe(cv2, dtype, shape, clip):
    x = image(dtype, shape)
    wanted = cv2.createCLAHE(clipLimit=clip, tileGridSize=(4, 4)).apply(x)
    close(imaging.clahe(x, clip, 4), wanted, levels=1)  # it fuses a multiplication with an addition
    assert (imaging.clahe(x, clip, 4) != wanted).mean() < 0.05


def test_otsu(cv2, skimage):
    two = np.concatenate([image("uint8", (30, 20)) // 3, 255 - image("uint8", (30, 20), 1) // 3])
    threshold, mask = cv2.threshold(two, 0, 255, cv2.THRESH_OTSU)
    assert imaging.otsu_threshold(two) == threshold
    close(imaging.otsu(two), mask)
    assert imaging.otsu_threshold(two.astype(np.uint16) * 257) == skimage.filters.threshold_otsu(two) * 257
    smooth = two / 255
    assert abs(imaging.otsu_threshold(smooth) - skimage.filters.threshold_otsu(smooth)) < 1 / 128
    assert imaging.otsu_threshold(np.full((4, 4), 9, np.uint8)) == 9


# --------------------------------------------------------------------------------------------------------- filters


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("shape", [(37, 29), (37, 29, 3), (6, 9, 7, 2), (2, 3), (1, 5)])
def test_filters_of_scipy(ndimage, border, shape):
    """Pictures, colours and volumes, windows larger than the image included."""
    x, how = image("float64", shape), {"mode": BORDERS[border]}
    axes = tuple(range(x.ndim - (x.ndim > 2)))
    close(imaging.mean(x, 5, border), ndimage.uniform_filter(x, 5, axes=axes, **how), tolerance=1e-12)
    close(imaging.gaussian(x, 1.3, border), ndimage.gaussian_filter(x, 1.3, axes=axes, **how), tolerance=1e-12)
    close(imaging.median(x, 3, border), ndimage.median_filter(x, 3, axes=axes, **how), tolerance=0)
    whole = image("uint16", shape)
    wanted = np.rint(ndimage.uniform_filter(whole.astype(float), 3, axes=axes, **how))
    close(imaging.mean(whole, 3, border), wanted, levels=1)
    close(imaging.median(whole, 5, border), ndimage.median_filter(whole, 5, axes=axes, **how))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_filters_of_opencv(cv2, dtype):
    x = image(dtype)
    border = cv2.BORDER_REFLECT_101
    close(imaging.mean(x, 5), cv2.blur(x, (5, 5), borderType=border), levels=0, tolerance=1e-6)
    taps = {"uint8": 2, "uint16": 1, "float32": 1}[dtype]  # OpenCV's weights of 8 bits are whole 256ths
    close(imaging.gaussian(x, 1.0), cv2.GaussianBlur(x, (9, 9), 1.0, borderType=border), levels=taps, tolerance=1e-6)
    for size in (3, 5):
        close(imaging.median(x, size), cv2.medianBlur(x, size))


def test_sharpen(skimage):
    x = image("float64")
    wanted = skimage.filters.unsharp_mask(x, 1.5, 0.7, channel_axis=2)
    ours = imaging.sharpen(x, 1.5, 0.7)
    inside = slice(7, -7)  # its border is another
    close(np.clip(ours, 0, 1)[inside, inside], wanted[inside, inside], tolerance=1e-12)
    whole = image("uint8")
    detail = whole - imaging.gaussian(whole.astype(np.float64), 1.5)
    close(imaging.sharpen(whole, 1.5, 0.7), np.rint(np.clip(whole + 0.7 * detail, 0, 255)), levels=1)


@pytest.mark.parametrize("border", BORDERS)
def test_sobel(cv2, skimage, border):
    x = image("float32", (37, 29))
    how = {"borderType": cv2.BORDER_REFLECT_101 if border == "reflect" else cv2.BORDER_REPLICATE}
    close(imaging.sobel(x, "rows", border), cv2.Sobel(x, cv2.CV_32F, 0, 1, **how), tolerance=1e-5)
    close(imaging.sobel(x, "columns", border), cv2.Sobel(x, cv2.CV_32F, 1, 0, **how), tolerance=1e-5)
    if border == "edge":
        wanted = skimage.filters.sobel(x.astype(float), mode="nearest") * 4 * np.sqrt(2)
        close(imaging.sobel(x.astype(float), border=border), wanted, tolerance=1e-12)


@pytest.mark.parametrize("channels", [1, 3])
def test_bilateral(cv2, channels):
    x = image("float32", (30, 25, channels))
    wanted = cv2.bilateralFilter(x, 9, 0.2, 2.0, borderType=cv2.BORDER_REFLECT_101).reshape(x.shape)
    close(imaging.bilateral(x, 4, 0.2, 2.0), wanted, tolerance=2e-3)  # its exponential is a table of 2^12 steps
    whole = image("uint8", (30, 25, channels))
    wanted = cv2.bilateralFilter(whole, 9, 0.2 * 255, 2.0, borderType=cv2.BORDER_REFLECT_101).reshape(x.shape)
    close(imaging.bilateral(whole, 4, 0.2, 2.0), wanted, levels=1)


@pytest.mark.parametrize("shape", [(24, 21), (24, 21, 3)])
def test_non_local_means(skimage, shape):
    """Wide enough that scikit-image leaves no weight out, as it does below e^-5; its exponential is a polynomial."""
    x = image("float64", shape)
    how = {"patch_size": 5, "patch_distance": 4, "fast_mode": True, "channel_axis": 2 if len(shape) == 3 else None}
    wanted = skimage.restoration.denoise_nl_means(x, h=0.6, sigma=0.05, **how)
    ours = imaging.non_local_means(x, h=0.6, patch=5, search=9, noise=0.05)
    inside = slice(7, -7)
    close(ours[inside, inside], wanted[inside, inside], tolerance=2e-3)


def test_non_local_means_by_its_formula():
    x, y, (h, patch, search) = image("float64", (9, 8, 3)), np.zeros((9, 8, 3)), (0.2, 3, 5)
    margin = patch // 2 + search // 2
    padded = np.pad(x, [(margin, margin), (margin, margin), (0, 0)], mode="reflect")
    for i, j in np.ndindex(9, 8):
        total = 0.0
        mine = padded[i + search // 2 :, j + search // 2 :][:patch, :patch]
        for a, b in np.ndindex(search, search):
            other = padded[i + a :, j + b :][:patch, :patch]
            weight = np.exp(-((mine - other) ** 2).mean() / h**2)
            total += weight
            y[i, j] += weight * other[patch // 2, patch // 2]
        y[i, j] /= total
    close(imaging.non_local_means(x, h, patch, search), y, tolerance=1e-12)


def test_non_local_means_opencv(cv2):
    x = image("uint8", (30, 25))
    wanted = cv2.fastNlMeansDenoising(x, None, 20, 5, 11)
    close(imaging.non_local_means(x, h=20 / 255, patch=5, search=11), wanted, levels=2)  # it approximates


# ------------------------------------------------------------------------------------------------------ morphology


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("shape", ["square", "disk", "cross"])
def test_morphology_of_opencv(cv2, dtype, shape):
    x = image(dtype, (31, 22))
    footprint = imaging.morphology.footprint_of(imaging.arrays.pixels(x, "x"), 7, shape)[0]
    for ours, theirs in (
        (imaging.erode, cv2.MORPH_ERODE),
        (imaging.dilate, cv2.MORPH_DILATE),
        (imaging.opening, cv2.MORPH_OPEN),
        (imaging.closing, cv2.MORPH_CLOSE),
        (imaging.top_hat, cv2.MORPH_TOPHAT),
        (imaging.black_hat, cv2.MORPH_BLACKHAT),
    ):
        close(ours(x, 7, shape), cv2.morphologyEx(x, theirs, footprint), tolerance=0)


@pytest.mark.parametrize("shape", ["square", "disk", "cross"])
def test_morphology_of_volumes(ndimage, shape):
    x = image("float64", (6, 9, 7, 2))
    footprint = imaging.morphology.footprint_of(imaging.arrays.pixels(x, "x"), 5, shape)
    wanted = ndimage.grey_erosion(x, footprint=footprint[..., None], mode="constant", cval=np.inf)
    close(imaging.erode(x, 5, shape), wanted, tolerance=0)


# ------------------------------------------------------------------------------------------------ stains, contrast


def slide(strength=1.0, seed=0):
    """A slide of known stains: half of it background, the rest haematoxylin and eosin in drawn amounts."""
    rng = np.random.default_rng(seed)
    amounts = rng.gamma(2.0, 0.35, (60, 60, 2)) * rng.integers(0, 2, (60, 60, 1))
    vectors = np.array([[0.60, 0.72, 0.34], [0.25, 0.88, 0.40]])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.rint(240 * np.exp(-strength * amounts @ vectors)).astype(np.uint8), vectors


def test_macenko_finds_the_stains():
    x, vectors = slide()
    found = imaging.stain_vectors(x)
    assert np.degrees(np.arccos((found.vectors * vectors).sum(1))).max() < 3


def test_macenko_brings_two_laboratories_together():
    """Two slides of one tissue, one stained half as much, become alike; jitter changes one stain alone."""
    (strong, _), (pale, _) = slide(), slide(0.5)
    apart = np.abs(strong.astype(float) - pale).mean()
    alike = np.abs(imaging.macenko(strong).astype(float) - imaging.macenko(pale)).mean()
    assert alike < 0.15 * apart
    redder = imaging.stain_vectors(imaging.macenko(pale, eosin=1.5))
    same = imaging.stain_vectors(imaging.macenko(pale))
    assert abs(redder.strongest[1] / same.strongest[1] - 1.5) < 0.1
    assert abs(redder.strongest[0] / same.strongest[0] - 1) < 0.1


def test_reinhard(skimage):
    x = image("float64", (40, 40, 3))
    close(lab_of(x), skimage.color.rgb2lab(x), tolerance=1e-9)
    soft = 0.5 + 0.1 * (x - 0.5)
    lab = skimage.color.rgb2lab(imaging.reinhard(soft.astype(np.float64)))
    target = imaging.stain.TARGET_LAB
    assert np.abs(lab.mean(axis=(0, 1)) - target[0]).max() < 2.5  # what leaves the range of sRGB is clipped
    wanted = (skimage.color.rgb2lab(soft) - skimage.color.rgb2lab(soft).mean((0, 1))) / skimage.color.rgb2lab(soft).std(
        (0, 1)
    ) * target[1] + target[0]
    near = skimage.color.lab2rgb(wanted)
    inside = ((near > 0.001) & (near < 0.999)).all(axis=2)
    assert inside.mean() > 0.3
    close(imaging.reinhard(soft)[inside], near[inside], tolerance=1e-6)


def lab_of(x):
    from tinymed.imaging.stain import FROM_RGB, WHITE_POINT

    return tinymed.table().rgb_to_lab(x, FROM_RGB / WHITE_POINT[:, None])


def test_global_and_local_contrast(ndimage):
    x = image("float64", (40, 30))
    ours = imaging.global_contrast(x)
    assert abs(ours.mean()) < 1e-12
    assert abs(ours.std() - 1) < 1e-12
    centred = x - ndimage.gaussian_filter(x, 3, mode="mirror")
    deviation = np.sqrt(ndimage.gaussian_filter(centred**2, 3, mode="mirror"))
    close(imaging.local_contrast(x, 3), centred / np.maximum(deviation, deviation.mean()), tolerance=1e-9)
    dim = imaging.local_contrast(image("uint16") // 2)
    close(dim, imaging.local_contrast(image("uint16") // 2 / np.float32(65535)), tolerance=1e-3)


# --------------------------------------------------------------------------------------------- all of them, mistakes

GREY_ONLY = {"pseudo-colour", "otsu"}
CHARTS = {"histogram", "cumulative-histogram"}
COLOUR_ONLY = {"hsv", "cmyk", "macenko", "reinhard"}


@pytest.mark.parametrize("name", sorted(imaging.OPERATIONS.keys() - CHARTS))
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
def test_every_operation_keeps_shape_and_input(name, dtype):
    """What was given is not written to; views of other memory orders give the same."""
    operation = imaging.OPERATIONS[name]
    x = slide()[0][:24, :20] if name in COLOUR_ONLY else image(dtype, (24, 20) if name in GREY_ONLY else (24, 20, 3))
    if name in COLOUR_ONLY:
        x = x.astype(dtype) / 255 if dtype.startswith("float") else x.astype(dtype) * (np.iinfo(dtype).max // 255)
        x = x.astype(dtype)
    if name == "clahe" and dtype.startswith("float"):
        with pytest.raises(UserError, match="uint8 or uint16"):
            operation.function(x)
        return
    before = x.copy()
    result = operation.function(x)
    assert np.array_equal(x, before)
    assert result.shape[:2] == x.shape[:2]
    wide = np.full((50, 42, *x.shape[2:]), 3, x.dtype)
    wide[1:49:2, 1:41:2] = x
    for view in (np.asfortranarray(x), x[::-1, ::-1].copy()[::-1, ::-1], wide[1:49:2, 1:41:2]):
        assert np.array_equal(operation.function(view), result)
    if operation.show:
        shown = operation.show(result, x)
        assert shown.dtype == x.dtype
    elif operation.keeps:
        assert result.dtype == x.dtype
    else:
        assert result.dtype == np.uint8
    frozen = x.copy()
    frozen.setflags(write=False)
    assert np.array_equal(operation.function(frozen), result)


@pytest.mark.parametrize("name", imaging.OPERATIONS)
@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (np.zeros((4, 4), np.int32), "int32"),
        (np.zeros((4, 4), bool), "bool"),
        (np.zeros(4, np.uint8), "height"),
        (np.zeros((0, 4, 3), np.uint8), "pixel"),
        (np.zeros((2, 2, 2, 2, 2), np.uint8), "height"),
        ([[1, 2]], "array"),
    ],
)
def test_what_is_no_image_is_refused(name, wrong, says):
    with pytest.raises((UserError, TypeError), match=says):
        imaging.OPERATIONS[name].function(wrong)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda x: imaging.median(x, 4), "odd"),
        (lambda x: imaging.mean(x, 0), "odd"),
        (lambda x: imaging.mean(x, 3, "wrap"), "reflect or edge"),
        (lambda x: imaging.gaussian(x, -1), "sigma is at least 0"),
        (lambda x: imaging.gaussian(x, float("nan")), "sigma"),
        (lambda x: imaging.gamma(x, 0), "above 0"),
        (lambda x: imaging.stretch(x, 60, 40), "percentiles"),
        (lambda x: imaging.erode(x, 3, "star"), "square, disk, cross"),
        (lambda x: imaging.sobel(x, "z"), "both, rows or columns"),
        (lambda x: imaging.pseudo_colour(x[..., 0], "mud"), "hot, cool"),
        (lambda x: imaging.pseudo_colour(x), "1 channels, got 3"),
        (lambda x: imaging.hsv(x[..., :1]), "3 channels, got 1"),
        (lambda x: imaging.non_local_means(x, patch=101, search=101), "at most 2048"),
        (lambda x: imaging.macenko(np.full((9, 9, 3), 250, np.uint8)), "tissue"),
        (lambda x: imaging.macenko(np.full((9, 9, 3), 90, np.uint8)), "no two stains"),
        (lambda x: imaging.histogram(x, -3), "bins"),
    ],
)
def test_wrong_options_are_named(call, says):
    with pytest.raises(UserError, match=says):
        call(image())


def test_real_pictures_are_changed_as_they_should_be():
    """A chest film: CLAHE spreads its histogram, a median takes salt and pepper away, Otsu parts body from air."""
    found = sorted(p for p in shared_data("chest_xray").rglob("*") if files.is_picture(p))
    if not found:
        pytest.skip("the real data set 'chest_xray' holds no pictures")
    film = files.with_channels(files.decode(found[0]), 1)[::2, ::2, 0]
    film = film.astype(np.uint8)
    assert imaging.clahe(film).std() > film.std() * 0.8
    noisy, rng = film.copy(), np.random.default_rng(0)
    where = rng.random(film.shape) < 0.05
    noisy[where] = rng.choice(np.array([0, 255], np.uint8), where.sum())
    error = [np.abs(a.astype(float) - film).mean() for a in (noisy, imaging.median(noisy))]
    assert error[1] < 0.6 * error[0]
    assert 0.1 < (imaging.otsu(film) > 0).mean() < 0.95
