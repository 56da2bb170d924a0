"""The numbers that are subtracted from pixels and divide them: the training set's, or those of public weights.

imagenet   mean (.485, .456, .406), deviation (.229, .224, .225) of RGB from 0 to 1: torchvision's, timm's, MONAI's
half       2 x - 1: Inception, Xception and MobileNet as their authors trained them
"""

from typing import Any

from ...data.loader import channel_statistics
from ...errors import UserError
from .options import Options

PRESETS: dict[str, tuple[list[float], list[float]]] = {
    "imagenet": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    "half": ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]),
}


def preset(name: str, channels: int) -> dict[str, Any]:
    """Return mean and std of public weights.  Raises UserError: the images are not RGB."""
    mean, std = PRESETS[name]
    if len(set(mean)) == 1:  # the same for every channel
        return {"mean": mean[:1] * channels, "std": std[:1] * channels}
    if channels != len(mean):
        raise UserError(
            f"--preprocess {name}: is of images in RGB, and these have {channels} channel{'s' * (channels != 1)}; give "
            "--rgb, or --normalise for the statistics of the training set"
        )
    return {"mean": mean, "std": std}


def statistics(train: Any, data: Any, given: Options, by_default: bool = False) -> dict[str, Any]:
    """Return mean and std, where --normalise or --preprocess asks for them; {} otherwise.

    train: the training set.  data: that part of the configuration.  by_default: --normalise, where nothing is said.
    Raises UserError: both are given.
    """
    if "preprocess" in given:
        if given.get("normalise"):
            raise UserError("--normalise: takes the training set's statistics, --preprocess others; leave one out")
        return preset(given["preprocess"], data.channels)
    if not given.get("normalise", by_default):
        return {}
    mean, std = channel_statistics(train, data.size, data.channels)
    return {"mean": mean, "std": std}
