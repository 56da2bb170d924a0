"""Colours of images: saturation, hue, principal axes and stains.  The definitions, in NumPy.

All take float32 [height, width, 3] in 0...1 and return the like; loops_colour.py computes the same, compiled.
"""

import numpy as np

from .drawing import Triple

LUMA = (0.299, 0.587, 0.114)  # grey of red, green and blue: ITU-R BT.601
DARKEST = 1 / 255  # below, an optical density would be without bound
# Optical densities of haematoxylin, eosin and DAB in red, green and blue: Ruifrok & Johnston 2001.
STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
SEPARATION = np.linalg.inv(STAINS)


def change_saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """Return grey + factor (image - grey), clipped: 0 is grey, 1 the image.

    As `torchvision.transforms.functional.adjust_saturation`.
    """
    weights = np.array(LUMA, np.float32)
    grey = image[..., 0] * weights[0] + image[..., 1] * weights[1] + image[..., 2] * weights[2]
    rest = grey * np.float32(1 - factor)
    changed: np.ndarray = np.clip(image * np.float32(factor) + rest[..., None], 0, 1)
    return changed


def change_hue(image: np.ndarray, turns: float) -> np.ndarray:
    """Return the image with each hue turned on the colour circle; value and saturation stay.

    As `torchvision.transforms.functional.adjust_hue`.  With the largest channel V, the range C and the hue H in sixths
    of a turn, a channel is V - C max(0, min(k, 4 - k, 1)), k = (n + H) mod 6, n = 5, 3, 1 for red, green, blue.
    """
    f4 = np.float32
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    value = image.max(axis=-1)
    span = value - image.min(axis=-1)
    safe = np.where(span > 0, span, f4(1))
    hue = np.where(
        value == red,
        (green - blue) / safe,
        np.where(value == green, (blue - red) / safe + f4(2), (red - green) / safe + f4(4)),
    )
    hue = hue + f4(6 * turns)
    channels = []
    for n in (5, 3, 1):
        k = hue + f4(n)
        k = k - f4(6) * np.floor(k / f4(6))
        channels.append(value - span * np.maximum(0, np.minimum(np.minimum(k, f4(4) - k), f4(1))))
    return np.stack(channels, axis=-1)


def principal_shift(image: np.ndarray, shares: Triple) -> np.ndarray:
    """Return float32 [channels]: shares of the deviations along the principal axes of an image's own colours.

    The axes are eigenvectors of the covariance of the channels, largest first, each with its largest part positive.

    Reference:
        Krizhevsky, Sutskever & Hinton, NIPS 2012, section 4.1, who take the axes of the whole training set.
    """
    pixels = image.reshape(-1, image.shape[-1]).astype(np.float64)
    return shift_along_axes(pixels.sum(axis=0), pixels.T @ pixels, len(pixels), shares)


def shift_along_axes(sums: np.ndarray, products: np.ndarray, count: int, shares: Triple) -> np.ndarray:
    """Return what `principal_shift` does, of the sums of the channels and of their products over all pixels."""
    mean = sums / count
    values, axes = np.linalg.eigh(products / count - np.outer(mean, mean))
    values, axes = values[::-1], axes[:, ::-1]
    largest = np.abs(axes).argmax(axis=0)
    axes = axes * np.sign(axes[largest, np.arange(len(largest))])
    used = min(3, len(values))
    shift: np.ndarray = axes[:, :used] @ (np.sqrt(np.maximum(values[:used], 0)) * np.array(shares[:used]))
    return shift.astype(np.float32)


def stain_map(factor: Triple, offset: Triple) -> tuple[np.ndarray, np.ndarray]:
    """Return (matrix [3, 3], offset [3]) of what happens to natural optical densities -ln(red, green, blue).

    Concentrations are densities times SEPARATION; each becomes factor times itself plus offset, of decadic density.
    """
    return (SEPARATION * np.array(factor)) @ STAINS, np.array(offset) @ STAINS * np.log(10)


def change_stains(image: np.ndarray, factor: Triple, offset: Triple) -> np.ndarray:
    """Return an image whose stains are stronger or weaker, clipped.

    By Beer and Lambert's law the optical density -log10 of a colour is the sum of its stains' concentrations times
    their colours, so the concentrations are densities @ inverse(STAINS).

    Reference:
        Ruifrok & Johnston, Anal. Quant. Cytol. Histol. 23, 2001; Tellez et al., IEEE TMI 37, 2018, section III.C.
    """
    density = -np.log10(np.maximum(image.astype(np.float64), DARKEST))
    concentration = density @ SEPARATION * np.array(factor) + np.array(offset)
    changed: np.ndarray = np.clip(10.0 ** -(concentration @ STAINS), 0, 1)
    return changed.astype(np.float32)
