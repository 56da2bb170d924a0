"""Making tensors: of one value, of steps, of random numbers.  Names, arguments and results are PyTorch's.

Sizes come one by one, as a tuple, or as size=; NumPy's integers are integers.  Random numbers are those of
`manual_seed`'s generator, or of a seed of their own (seed=); PyTorch's generator= is refused.
"""

from .draws import bernoulli, multinomial, normal, rand, rand_like, randint, randint_like, randn, randn_like, randperm
from .steps import arange, linspace, logspace, tril_indices, triu_indices
from .values import (
    as_tensor,
    asarray,
    empty,
    empty_like,
    eye,
    full,
    full_like,
    ones,
    ones_like,
    scalar_tensor,
    zeros,
    zeros_like,
)

__all__ = [
    "arange",
    "as_tensor",
    "asarray",
    "bernoulli",
    "empty",
    "empty_like",
    "eye",
    "full",
    "full_like",
    "linspace",
    "logspace",
    "multinomial",
    "normal",
    "ones",
    "ones_like",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
    "scalar_tensor",
    "tril_indices",
    "triu_indices",
    "zeros",
    "zeros_like",
]
