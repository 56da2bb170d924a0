"""Images in: data sets, splits, augmentation, batches.  Names are looked up at first use, so importing this is free."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinymed.data.augment import Augment as Augment
    from tinymed.data.augment import Parameters as Parameters
    from tinymed.data.augment import apply_geometry as apply_geometry
    from tinymed.data.augment import apply_intensity as apply_intensity
    from tinymed.data.augment import augment_image as augment_image
    from tinymed.data.augment import parameters as parameters
    from tinymed.data.dataset import Dataset as Dataset
    from tinymed.data.dataset import merge_classes as merge_classes
    from tinymed.data.dataset import parse_merge as parse_merge
    from tinymed.data.dataset import verify as verify
    from tinymed.data.image import decode as decode
    from tinymed.data.image import prepare as prepare
    from tinymed.data.image import resize as resize
    from tinymed.data.loader import Loader as Loader
    from tinymed.data.loader import channel_statistics as channel_statistics
    from tinymed.data.readers import open_dataset as open_dataset
    from tinymed.data.splits import find_leaks as find_leaks
    from tinymed.data.splits import grouped_split as grouped_split
    from tinymed.data.splits import k_fold as k_fold
    from tinymed.data.splits import last_fraction_split as last_fraction_split
    from tinymed.data.splits import leak_check as leak_check
    from tinymed.data.splits import split_dataset as split_dataset
    from tinymed.data.splits import stratified_split as stratified_split
    from tinymed.data.synthetic import synthetic_smear as synthetic_smear
    from tinymed.data.transform import normalise as normalise
    from tinymed.data.transform import one_hot as one_hot
    from tinymed.data.transform import to_float as to_float
    from tinymed.data.transform import to_nchw as to_nchw

HOMES = {
    "augment": ("Augment", "Parameters", "apply_geometry", "apply_intensity", "augment_image", "parameters"),
    "dataset": ("Dataset", "merge_classes", "parse_merge", "verify"),
    "image": ("decode", "prepare", "resize"),
    "loader": ("Loader", "channel_statistics"),
    "readers": ("open_dataset",),
    "splits": (
        "find_leaks", "grouped_split", "k_fold", "last_fraction_split", "leak_check", "split_dataset",
        "stratified_split",
    ),
    "synthetic": ("synthetic_smear",),
    "transform": ("normalise", "one_hot", "to_float", "to_nchw"),
}  # fmt: skip
HOME = {name: module for module, names in HOMES.items() for name in names}
__all__ = sorted(HOME)


def __getattr__(name: str) -> Any:
    """Import a public name's module when it is first asked for."""
    if name not in HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOME[name]}"), name)
