"""GIST: how much there is of each size and direction of stripes, in each of 4 x 4 parts (Oliva & Torralba, 2001).

    even out   log(1 + 255 x) less its blur, divided by .2 + the blurred deviation around each pixel
    filters    in frequencies (f cycles a pixel, direction t), scale s of 0 ... 3, direction k of 0 ... 7:
               exp(-3.5 (f / f_s - 1)^2 - 2 pi (t + k pi / 8)^2),  f_s = .3 / 1.85^s
    row        mean of |filtered image| in each part: scale by scale, direction by direction, part by part

The image is mirrored beyond its border.  Constants are those of the authors' program as we recall it; theirs pads after
evening out and sees 256 x 256 pixels, ours the size that is asked for.
"""

import numpy as np

from .registry import cells, descriptor, grey

SCALES, DIRECTIONS, PARTS = 4, 8, 4
MARGIN = 16  # pixels beyond the border
CYCLES = 4.0  # an image, of the blur that evens it out
BLOCK = 16  # images at a time


@descriptor("gist", "Oliva & Torralba 2001", side=16)
def gist(images: np.ndarray) -> np.ndarray:
    """Compute the energy of oriented filters in parts of an image.

    Args:
        images: Float [n, height, width, channels] in 0...1; colours are turned grey.

    Returns:
        float64 [n, 512]: in the order of the module.

    Example:
        >>> stripes = np.sin(np.arange(32) * 1.9).reshape(1, 1, 32, 1).repeat(32, 1) / 2 + 0.5
        >>> gist(stripes).reshape(4, 8, 16).mean(axis=2)[0].argmax()  # of the finest scale, along the rows
        np.int64(0)

    Reference:
        Oliva & Torralba, "Modeling the shape of the scene", International Journal of Computer Vision 42, 2001.
    """
    one = grey(images)
    return np.concatenate([energies(one[start : start + BLOCK]) for start in range(0, len(one), BLOCK)])


def energies(pictures: np.ndarray) -> np.ndarray:
    """Return the rows of grey pictures [n, height, width]."""
    n, height, width = pictures.shape
    even = np.pad(even_out(pictures), ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)), mode="symmetric")
    spectrum = np.fft.fft2(even)
    part = cells((height, width), PARTS).ravel()
    sizes = np.bincount(part, minlength=PARTS**2)
    columns = []
    for transfer in transfers(even.shape[1:]):
        inside = np.abs(np.fft.ifft2(spectrum * transfer))[:, MARGIN : MARGIN + height, MARGIN : MARGIN + width]
        flat = inside.reshape(n, -1)
        columns.append(np.stack([np.bincount(part, row, PARTS**2) / sizes for row in flat]))
    return np.concatenate(columns, axis=1)


def frequencies(size: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return (cycles a pixel, direction in radians) of each number of a Fourier transform."""
    down, across = np.meshgrid(*map(np.fft.fftfreq, size), indexing="ij")
    return np.hypot(down, across), np.arctan2(down, across)


def transfers(size: tuple[int, ...]) -> np.ndarray:
    """Return what each filter lets through, float64 [scales * directions, *size]."""
    length, direction = frequencies(size)
    found = []
    for s in range(SCALES):
        for k in range(DIRECTIONS):
            turned = (direction + k * np.pi / DIRECTIONS + np.pi) % (2 * np.pi) - np.pi
            found.append(np.exp(-3.5 * (length / (0.3 / 1.85**s) - 1) ** 2 - 2 * np.pi * turned**2))
    return np.stack(found)


def even_out(pictures: np.ndarray) -> np.ndarray:
    """Return pictures [n, height, width] with light and contrast evened out."""
    height, width = pictures.shape[1:]
    around = ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN))
    x = np.pad(np.log1p(255 * np.clip(pictures, 0, 1)), around, mode="symmetric")
    length, _ = frequencies(x.shape[1:])
    cut = CYCLES / np.sqrt(np.log(2)) / max(x.shape[1:])
    low = np.exp(-((length / cut) ** 2))

    def blur(y: np.ndarray) -> np.ndarray:
        result: np.ndarray = np.fft.ifft2(np.fft.fft2(y) * low).real
        return result

    x = x - blur(x)
    x = x / (0.2 + np.sqrt(np.abs(blur(x * x))))
    inside: np.ndarray = x[:, MARGIN : MARGIN + height, MARGIN : MARGIN + width]
    return inside
