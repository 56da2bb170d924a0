"""Image processing on the accelerator: classical operations on arrays, on every backend with equal results.

    from tinymed import imaging
    smooth = imaging.median(image, size=5)
    with tinymed.use_backend("cuda"):
        smooth = imaging.median(cupy_image, size=5)

An image is [height, width] or [height, width, channels], a volume [depth, height, width, channels], of uint8, uint16,
float32 or float64; white is 255, 65535 or 1.  Results are computed where the image lies.

    colour      grey, HSV, CMYK                       denoise     median, bilateral, non-local means
    intensity   window, gamma, colour scales          morphology  erode, dilate, opening, closing, hats
    histogram   stretch, equalise, CLAHE, Otsu        edges       Sobel
    filters     mean, Gaussian, sharpen               stain       Macenko, Reinhard
    normalise   global and local contrast             registry    the operations by name, for `tinymed image`
"""

from .colour import cmyk, from_cmyk, from_hsv, grey, hsv
from .denoise import bilateral, median, non_local_means
from .edges import sobel
from .filters import gaussian, mean, sharpen
from .histogram import clahe, cumulative_histogram, equalise, histogram, otsu, otsu_threshold, stretch
from .intensity import colour_scale, gamma, pseudo_colour, window_level
from .morphology import black_hat, closing, dilate, erode, opening, top_hat
from .normalise import global_contrast, local_contrast
from .registry import OPERATIONS
from .stain import Stains, concentration_map, macenko, reinhard, stain_vectors

__all__ = [
    "OPERATIONS",
    "Stains",
    "bilateral",
    "black_hat",
    "clahe",
    "closing",
    "cmyk",
    "colour_scale",
    "concentration_map",
    "cumulative_histogram",
    "dilate",
    "equalise",
    "erode",
    "from_cmyk",
    "from_hsv",
    "gamma",
    "gaussian",
    "global_contrast",
    "grey",
    "histogram",
    "hsv",
    "local_contrast",
    "macenko",
    "mean",
    "median",
    "non_local_means",
    "opening",
    "otsu",
    "otsu_threshold",
    "pseudo_colour",
    "reinhard",
    "sharpen",
    "sobel",
    "stain_vectors",
    "stretch",
    "top_hat",
    "window_level",
]
