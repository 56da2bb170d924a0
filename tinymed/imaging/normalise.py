"""Contrast normalisation: an image, or each place of it, brought to mean 0 and deviation 1."""

from ..dispatch import table
from .arrays import Array, check_number, float_type, pixels, white
from .filters import MAX_SIGMA, gaussian_taps, window_of_taps
from .registry import operation

SHOWN = 3.0  # deviations on either side of grey in a picture


def centred_picture(result: Array, image: Array) -> Array:
    """Return normalised numbers as a picture in the image's dtype: 0 is grey, three deviations black and white."""
    shown = ((result / (2 * SHOWN)) + 0.5).clip(0, 1)
    top = white(image.dtype)
    return (shown * top).round().astype(image.dtype) if image.dtype.kind == "u" else shown.astype(image.dtype)


@operation(show=centred_picture)
def global_contrast(image: Array) -> Array:
    """Return the image less its mean, over its standard deviation; all channels together.

    Args:
        image: [height, width], [height, width, channels] or a volume [depth, height, width, channels].

    Returns:
        float32 (of float64 images float64), the like of the image; 0 of an image of one value.

    Raises:
        UserError: The image is not one of these.

    Example:
        >>> global_contrast(np.array([[0, 100]], np.uint8)).tolist()
        [[-1.0, 1.0]]
    """
    found, xp = pixels(image, "global_contrast"), table().xp
    kind = float_type(image.dtype)
    x = found.values.astype(kind, order="C") / kind.type(white(image.dtype))  # one order: a sum has one result
    x = x - x.mean()
    return found.back(x / xp.maximum(xp.sqrt((x * x).mean()), 1e-6).astype(x.dtype))


@operation(show=centred_picture)
def local_contrast(image: Array, sigma: float = 4.0, border: str = "reflect") -> Array:
    """Return each pixel less the mean around it, over the deviation around it.

    Mean and deviation are weighted by a Gaussian; a deviation below the image's mean deviation counts as that, so that
    flat places stay flat.  All channels of a pixel are divided alike.

    Args:
        image: [height, width], [height, width, channels] or a volume [depth, height, width, channels].
        sigma: Standard deviation of the Gaussian, pixels.
        border: What stands beyond an edge: "reflect" or "edge".

    Returns:
        float32 (of float64 images float64), the like of the image.

    Raises:
        UserError: The image or an option is not one of these.

    Example:
        >>> local_contrast(np.full((5, 5), 9, np.uint8)).tolist()[2]
        [0.0, 0.0, 0.0, 0.0, 0.0]

    Reference:
        Jarrett et al., ICCV 2009; Arevalo et al., Comput. Methods Programs Biomed. 127, 2016.
    """
    found, k = pixels(image, "local_contrast"), table()
    kind = float_type(image.dtype)
    x = found.values.astype(kind) / kind.type(white(image.dtype))
    taps = gaussian_taps(check_number("sigma", sigma, 0, MAX_SIGMA, above=True))
    how = window_of_taps(found._replace(values=x), taps, border)
    x = x - k.separable_filter(x, *how, False)
    energy = (x * x).mean(axis=3, keepdims=True)
    deviation = k.xp.sqrt(k.separable_filter(energy, *how, False))
    floor = k.xp.maximum(deviation.mean(), 1e-6).astype(kind)
    return found.back(x / k.xp.maximum(deviation, floor))
