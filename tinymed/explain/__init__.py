"""What in an image an answer rests on: maps of classifiers in two and three dimensions, and how far to trust them.

    from tinymed.explain import explain, overlay
    found = explain(model, image, "grad_cam", target=1)     # image [1, channels, *space]
    picture = overlay(pixels, found.heat)                   # uint8 RGB
    found = explain(Places(unet, image, first=1), image)    # of masks and boxes
    found = explain(OnePlace(unet, (20, 31)), image)        # of the class of one pixel

A map says what moved this network's output, not what causes a disease; `randomisation` tells whether a map depends on
what was learnt at all.
"""

from .cam import grad_cam, grad_cam_plus_plus, hires_cam
from .filters import feature_grid, filter_grid
from .gradients import guided_backprop, integrated_gradients
from .layers import Layer, choose_layer, spatial_layers
from .methods import METHODS, Explanation, explain, serving
from .occlusion import occlusion
from .pictures import Surroundings, framed, middle_plane, overlay, panel, stacked
from .places import OnePlace, OnePlane, Places
from .sanity import Randomised, randomisation, rank_correlation
from .settings import Settings

__all__ = [
    "METHODS",
    "Explanation",
    "Layer",
    "OnePlace",
    "OnePlane",
    "Places",
    "Randomised",
    "Settings",
    "Surroundings",
    "choose_layer",
    "explain",
    "feature_grid",
    "filter_grid",
    "framed",
    "grad_cam",
    "grad_cam_plus_plus",
    "guided_backprop",
    "hires_cam",
    "integrated_gradients",
    "middle_plane",
    "occlusion",
    "overlay",
    "panel",
    "randomisation",
    "rank_correlation",
    "serving",
    "spatial_layers",
    "stacked",
]
