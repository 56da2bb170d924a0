"""Stain normalisation of histology: slides of two laboratories brought to one look, after Macenko or Reinhard.

By Beer and Lambert's law the optical density -ln(colour / light) is the sum of the stains' concentrations times their
colours.  `stain_vectors` and `concentration_map` are the parts that other uses of stains need, such as augmentation:
whatever is done to concentrations is one matrix between densities.
"""

from typing import Any, NamedTuple

import numpy as np

from ..dispatch import kernel, table
from ..errors import UserError
from .arrays import Array, Pixels, by_pixel, check_number, float_type, is_whole, pixels, to_numpy, white
from .filters import whole_numbers
from .registry import operation

LIGHT = 240 / 255  # of an empty place of a slide, as a share of white
SEEN = 0.15  # densities below are background
FEWEST = 16  # stained pixels that tell a look


class Stains(NamedTuple):
    """Haematoxylin and eosin as they look in a slide.

    Attributes:
        vectors: [2, 3], the unit optical densities of haematoxylin and eosin in red, green and blue.
        strongest: [2], their concentrations' 99th percentiles.

    Example:
        >>> Stains(np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]]), np.ones(2)).strongest.tolist()
        [1.0, 1.0]
    """

    vectors: np.ndarray
    strongest: np.ndarray


# The look that Macenko's implementation brings slides to.
TARGET = Stains(np.array([[0.5626, 0.7201, 0.4062], [0.2159, 0.8012, 0.5581]]), np.array([1.9705, 1.0308]))
# The mean and the deviation of L*, a*, b* that slides are brought to: a slide of middling brightness, by our choice.
TARGET_LAB = np.array([[66.0, 24.0, -17.0], [14.0, 11.0, 7.0]])
FROM_RGB = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
WHITE_POINT = np.array([0.95047, 1.0, 1.08883])  # D65, two degrees
EPSILON, KAPPA = 0.008856, 7.787


@kernel(out=lambda x, *args: [(x.shape, x.dtype if args[-1] else float_type(x.dtype))], flops=lambda x, *_: 40 * x.size)
def map_densities(xp: Any, x: Array, matrix: Array, light: float, top: float, whole: bool) -> Array:
    """Return light e^-(D matrix) in units of top, clipped, of the densities D = -ln(x / top / light) of x [pixels, 3].

    Densities below 0 and above -ln(1 / 256 / light) are cut.  whole: round the result to x's dtype.
    """
    kind = float_type(x.dtype)
    shares = xp.clip(x.astype(kind) / kind.type(top * light), 1 / 256, 1)
    density = -xp.log(shares)
    mapped = [sum(density[..., c] * matrix[c, d] for c in range(3)) for d in range(3)]
    result = xp.clip(kind.type(light) * xp.exp(-xp.stack(mapped, axis=-1)), 0, 1) * kind.type(top)
    return whole_numbers(xp, result, x) if whole else result.astype(kind)


def densities(image: Array) -> Array:
    """Return float64 [pixels, 3]: natural optical densities of a colour image."""
    found, xp = pixels(image, "stains", channels=(3,)), table().xp
    shares = found.values.reshape(-1, 3).astype(np.float64) / (white(image.dtype) * LIGHT)
    return -xp.log(xp.clip(shares, 1 / 256, 1))


def stain_vectors(image: Array, percentile: float = 1.0) -> Stains:
    """Return the two stains of a slide, by the plane in which its densities lie.

    Args:
        image: [height, width, 3], haematoxylin and eosin.
        percentile: The stains are the directions of the plane that so many percent of pixels lie beyond.

    Returns:
        Haematoxylin (the one with more red density) and eosin, and their concentrations' 99th percentiles.

    Raises:
        UserError: The image is no colour image, or holds too little that is stained.

    Example:
        >>> amounts = np.random.default_rng(0).uniform(0, 1, (40, 40, 2))
        >>> slide = LIGHT * np.exp(-amounts @ TARGET.vectors)
        >>> bool(np.abs(stain_vectors(slide).vectors - TARGET.vectors).max() < 0.03)
        True

    Reference:
        Macenko et al., ISBI 2009.
    """
    xp, found = table().xp, densities(image)
    seen = found[(found > SEEN).all(axis=1)]
    if len(seen) < FEWEST:
        raise UserError(
            f"stains: {len(seen)} of {len(found)} pixels are stained (density above {SEEN}), {FEWEST} are needed; "
            "give an image with tissue in it"
        )
    plane = xp.linalg.eigh(xp.cov(seen.T))[1][:, 1:]
    plane = plane * xp.where(plane.sum(axis=0) < 0, -1.0, 1.0)  # densities are positive
    along = seen @ plane
    angles = xp.arctan2(along[:, 0], along[:, 1])
    low, high = (float(a) for a in xp.percentile(angles, np.array([percentile, 100 - percentile])))
    vectors = np.stack([np.asarray(to_numpy(plane @ xp.asarray([np.sin(a), np.cos(a)]))) for a in (low, high)])
    vectors = np.abs(vectors) / np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = vectors[np.argsort(-vectors[:, 0])]
    if np.linalg.svd(vectors)[1][-1] < 1e-3:
        raise UserError("stains: all pixels have one colour, so there are no two stains to tell; give another image")
    amounts = found @ xp.asarray(np.linalg.pinv(vectors))
    strongest = to_numpy(xp.percentile(amounts, 99, axis=0))
    return Stains(vectors, np.maximum(strongest, 1e-3))


def concentration_map(source: Stains, target: Stains, factor: tuple[float, float] = (1.0, 1.0)) -> np.ndarray:
    """Return float64 [3, 3]: what brings densities of one look to densities of another, D_target = D_source @ map.

    Args:
        source: The stains of the slide.
        target: The stains that it should have; with the source itself, only `factor` changes.
        factor: Of haematoxylin's and eosin's concentrations: stain jitter.

    Returns:
        The map, of natural optical densities of red, green and blue.

    Example:
        >>> np.allclose(TARGET.vectors @ concentration_map(TARGET, TARGET), TARGET.vectors)
        True
    """
    scale = target.strongest / source.strongest * np.array(factor)
    result: np.ndarray = np.linalg.pinv(source.vectors) * scale @ target.vectors
    return result


def map_stains(found: Pixels, matrix: np.ndarray) -> Array:
    """Return an image with its densities mapped, as kernels take it."""
    x, xp = found.values, table().xp
    weights = xp.asarray(matrix.astype(float_type(x.dtype)))
    return by_pixel(table().map_densities, x, weights, LIGHT, white(x.dtype), is_whole(x))


@operation()
def macenko(image: Array, haematoxylin: float = 1.0, eosin: float = 1.0) -> Array:
    """Return a slide of haematoxylin and eosin with the stains of a fixed look, after Macenko.

    Args:
        image: [height, width, 3] of red, green and blue.
        haematoxylin: Factor of its concentration in the result.
        eosin: Factor of its concentration in the result.

    Returns:
        The like of the image, in its dtype.

    Raises:
        UserError: The image is no colour image, or holds too little that is stained.

    Example:
        >>> amounts = np.random.default_rng(0).uniform(0, 1, (40, 40, 2))
        >>> pale = np.rint(240 * np.exp(-0.5 * amounts @ TARGET.vectors)).astype(np.uint8)
        >>> bool(macenko(pale).mean() < pale.mean())
        True

    Reference:
        Macenko et al., ISBI 2009.
    """
    found = pixels(image, "macenko", volumes=False, channels=(3,))
    factor = check_number("haematoxylin", haematoxylin, 0, 10), check_number("eosin", eosin, 0, 10)
    return found.back(map_stains(found, concentration_map(stain_vectors(image), TARGET, factor)))


@kernel(flops=lambda x, *_: 40 * x.size)
def rgb_to_lab(xp: Any, x: Array, matrix: Array) -> Array:
    """Return CIE L*, a*, b* of x [pixels, 3] sRGB shares; matrix: from linear light to XYZ over the white point."""
    linear = xp.where(x > 0.04045, (xp.maximum(x, 0.04045) * (1 / 1.055) + 0.055 / 1.055) ** 2.4, x / 12.92)
    xyz = [sum(linear[..., c] * matrix[d, c] for c in range(3)) for d in range(3)]
    a, b, c = (xp.where(v > EPSILON, xp.cbrt(v), KAPPA * v + 16 / 116) for v in xyz)
    return xp.stack([116 * b - 16, 500 * (a - b), 200 * (b - c)], axis=-1).astype(x.dtype)


@kernel(flops=lambda x, *_: 40 * x.size)
def lab_to_rgb(xp: Any, x: Array, matrix: Array) -> Array:
    """Return sRGB shares, clipped, of CIE L*, a*, b* x [pixels, 3]; matrix: from XYZ over the white point to light."""
    middle = (x[..., 0] + 16) / 116
    corners = middle + x[..., 1] / 500, middle, xp.maximum(middle - x[..., 2] / 200, 0)
    cut = EPSILON ** (1 / 3)
    xyz = [xp.where(v > cut, v**3, (v - 16 / 116) / KAPPA) for v in corners]
    linear = xp.stack([sum(xyz[c] * matrix[d, c] for c in range(3)) for d in range(3)], axis=-1)
    bright = 1.055 * xp.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055
    return xp.clip(xp.where(linear > 0.0031308, bright, linear * 12.92), 0, 1).astype(x.dtype)


def stained(xp: Any, x: Array) -> Array:
    """Return the mask [depth, height, width] of pixels whose densities are above background, all if there are few."""
    mask = (x < white(x.dtype) * LIGHT * float(xp.exp(-SEEN))).all(axis=3)
    return mask if int(mask.sum()) >= FEWEST else xp.ones_like(mask)


@operation()
def reinhard(image: Array) -> Array:
    """Return a colour image with the mean and the deviation of a fixed look in L*, a*, b*, after Reinhard.

    Mean and deviation are those of stained pixels (of all, if there are fewer than 16), so that the empty background of
    a slide decides nothing; all pixels are changed.

    Args:
        image: [height, width, 3] of red, green and blue (sRGB).

    Returns:
        The like of the image, in its dtype.  An axis without deviation is only shifted.

    Raises:
        UserError: The image is no colour image.

    Example:
        >>> slide = np.random.default_rng(0).uniform(0.4, 0.8, (20, 20, 3)).astype(np.float32)
        >>> reinhard(slide).shape
        (20, 20, 3)

    Reference:
        Reinhard et al., IEEE CG&A 21, 2001, who use another space of opponent colours.
    """
    found, k = pixels(image, "reinhard", volumes=False, channels=(3,)), table()
    x, xp = found.values, k.xp
    kind = float_type(x.dtype)
    to_xyz = FROM_RGB / WHITE_POINT[:, None]
    tissue = stained(xp, x)
    shares = x.astype(kind, order="C") / kind.type(white(x.dtype))  # one order: a sum has one result
    lab = by_pixel(k.rgb_to_lab, shares, xp.asarray(to_xyz.astype(kind)))
    mean, deviation = lab[tissue].mean(axis=0), lab[tissue].std(axis=0)
    wanted = xp.asarray(TARGET_LAB.astype(kind))
    scale = xp.where(deviation > 1e-3, wanted[1] / xp.maximum(deviation, 1e-3), 1)
    moved = ((lab - mean) * scale + wanted[0]).astype(kind)
    back = by_pixel(k.lab_to_rgb, moved, xp.asarray(np.linalg.inv(to_xyz).astype(kind)))
    return found.back(whole_numbers(xp, back * kind.type(white(x.dtype)), x) if is_whole(x) else back)
