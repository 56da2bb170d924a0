"""Pictures without a network: each pixel drawn by itself, or principal components drawn by themselves."""

import numpy as np

from ... import random
from ...data.principal import PrincipalComponents

COMPONENTS = 64


def sample_trivially(train: np.ndarray, count: int, seed: int) -> dict[str, np.ndarray]:
    """Return {name: pictures [count, ...] from 0 to 1} of the samplers that a generator has to beat.

    Each pixel is normal with its mean and deviation over the training pictures; or each of 64 principal components is.

    Args:
        train: Training pictures (n, ...), from 0 to 1.
        count: How many pictures to draw.
        seed: Of what is drawn.
    """
    rows = train.reshape(len(train), -1).astype(np.float64)
    found = PrincipalComponents(rows, COMPONENTS)
    wide, long = rows.shape[1], len(found.basis)
    pixels = rows.mean(0) + rows.std(0) * random.normal(count * wide, seed, random.TRIVIAL, 1).reshape(count, wide)
    codes = np.sqrt(found.variances) * random.normal(count * long, seed, random.TRIVIAL, 2).reshape(count, long)
    samples = {"pixel by pixel": pixels, f"{long} components": found.decode(codes)}
    return {name: np.clip(x, 0, 1).reshape(count, *train.shape[1:]) for name, x in samples.items()}
