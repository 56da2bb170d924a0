"""Noise that is put on clean pictures, so that taking it off can be learnt and measured.

`sigma` is the one strength of all kinds, pictures being 0 to 1:

    gaussian      y = x + sigma n                          standard deviation everywhere
    poisson       y = sigma^2 k, k ~ Poisson(x / sigma^2)  standard deviation at white: counts of photons
    speckle       y = x + sigma x n                        standard deviation at white: coherent waves, as ultrasound
    salt_pepper   y is 0 or 1                              share of pixels that are, half of them each

n is standard normal.  The result is clipped to 0...1, as a file would hold it.  All is drawn by Philox from
(seed, step) alone, so that a picture's noise is the same whenever it is asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .. import random
from ..errors import UserError

MOST_PHOTONS = 700.0  # exp(-this) is a number yet; poisson is drawn by inversion from there
FEWEST = 1 / MOST_PHOTONS**0.5


def gaussian(image: np.ndarray, sigma: float, seed: int, step: int) -> np.ndarray:
    """Add normal noise of one standard deviation."""
    return image + sigma * normal_like(image, seed, step)


def poisson(image: np.ndarray, sigma: float, seed: int, step: int) -> np.ndarray:
    """Count photons, 1 / sigma^2 of them on average where the picture is white."""
    rate = np.maximum(image.astype(np.float64), 0) / sigma**2
    u = random.uniform(image.size, seed, random.CORRUPTION, step).reshape(image.shape)
    return sigma**2 * poisson_quantile(rate, u)


def speckle(image: np.ndarray, sigma: float, seed: int, step: int) -> np.ndarray:
    """Multiply by 1 plus normal noise."""
    return image * (1 + sigma * normal_like(image, seed, step))


def salt_pepper(image: np.ndarray, sigma: float, seed: int, step: int) -> np.ndarray:
    """Make a share of the pixels black or white, all channels of a pixel alike."""
    height, width = image.shape[:2]
    u = random.uniform(height * width, seed, random.CORRUPTION, step).reshape(height, width, 1)
    return np.where(u < sigma, np.where(u < sigma / 2, 0.0, 1.0), image)


KINDS: dict[str, Callable[[np.ndarray, float, int, int], np.ndarray]] = {
    "gaussian": gaussian,
    "poisson": poisson,
    "speckle": speckle,
    "salt_pepper": salt_pepper,
}


def normal_like(image: np.ndarray, seed: int, step: int) -> np.ndarray:
    """Return standard normal numbers of an array's shape."""
    return random.normal(image.size, seed, random.CORRUPTION, step).reshape(image.shape)


def poisson_quantile(rate: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Return the smallest k with P(K <= k) > u of a Poisson number K of each rate, by adding its probabilities up.

    Args:
        rate: Means, from 0 to MOST_PHOTONS.
        u: Numbers in (0, 1), of the same shape.

    Returns:
        float64, whole numbers.

    Example:
        >>> poisson_quantile(np.array([0.0, 1.0, 1.0, 100.0]), np.array([0.9, 0.36, 0.37, 0.5])).tolist()
        [0.0, 0.0, 1.0, 100.0]
    """
    flat, wanted = rate.ravel(), u.ravel()
    found, open_ones = np.zeros(flat.size), np.arange(flat.size)
    term = np.exp(-flat)
    below = term.copy()
    k = 0
    while open_ones.size:
        k += 1
        going = wanted[open_ones] >= below
        open_ones, term, below = open_ones[going], term[going], below[going]
        found[open_ones] = k
        term = term * flat[open_ones] / k
        below = np.where(below + term > below, below + term, np.where(k > flat[open_ones], np.inf, below))
    return found.reshape(rate.shape)


@dataclass(frozen=True)
class Corruption:
    """A kind of noise and its strength.

    Args:
        kind: One of KINDS.
        sigma: Its strength, see the module.

    Raises:
        UserError: The kind is unknown, or the strength does not fit it.

    Example:
        >>> noisy = Corruption("gaussian", 0.1)(np.full((4, 5, 1), 0.5, np.float32), seed=0, step=3)
        >>> noisy.shape, noisy.dtype, bool(0 < noisy.std() < 0.3)
        ((4, 5, 1), dtype('float32'), True)
    """

    kind: str = "gaussian"
    sigma: float = 0.1

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserError(f"corruption {self.kind!r}: choose one of {', '.join(KINDS)}")
        if not 0 < self.sigma <= 1:
            raise UserError(f"sigma {self.sigma:g}: a strength above 0 and at most 1, pictures being 0 to 1")
        if self.kind == "poisson" and self.sigma < FEWEST:
            raise UserError(
                f"sigma {self.sigma:g}: of poisson noise at least {FEWEST:.3g}, which is {MOST_PHOTONS:g} photons at "
                "white; with more photons use gaussian"
            )

    def __call__(self, image: np.ndarray, seed: int, step: int) -> np.ndarray:
        """Return a picture [height, width, channels] in 0...1 with noise on it, float32, clipped to 0...1.

        Args:
            image: The clean picture.
            seed: Of the run.
            step: Random counter; the same seed and step give the same noise.
        """
        noisy = KINDS[self.kind](image, self.sigma, seed, step)
        clipped: np.ndarray = np.clip(noisy, 0, 1).astype(np.float32)
        return clipped
