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
    from tinymed.data.boxes import BoxDataset as BoxDataset
    from tinymed.data.boxes import open_boxes as open_boxes
    from tinymed.data.dataset import Dataset as Dataset
    from tinymed.data.dataset import merge_classes as merge_classes
    from tinymed.data.dataset import parse_merge as parse_merge
    from tinymed.data.dataset import verify as verify
    from tinymed.data.elastic import displacements as displacements
    from tinymed.data.image import decode as decode
    from tinymed.data.image import prepare as prepare
    from tinymed.data.image import resize as resize
    from tinymed.data.labels import Labels as Labels
    from tinymed.data.loader import Loader as Loader
    from tinymed.data.loader import channel_statistics as channel_statistics
    from tinymed.data.mask_loader import MaskLoader as MaskLoader
    from tinymed.data.mask_trees import open_segmentation as open_segmentation
    from tinymed.data.masks import MaskDataset as MaskDataset
    from tinymed.data.patches import PatchLoader as PatchLoader
    from tinymed.data.readers import open_dataset as open_dataset
    from tinymed.data.remarks import account_text as account_text
    from tinymed.data.remarks import split_text as split_text
    from tinymed.data.splits import find_leaks as find_leaks
    from tinymed.data.splits import grouped_split as grouped_split
    from tinymed.data.splits import k_fold as k_fold
    from tinymed.data.splits import last_fraction_split as last_fraction_split
    from tinymed.data.splits import leak_check as leak_check
    from tinymed.data.splits import split_dataset as split_dataset
    from tinymed.data.splits import stratified_split as stratified_split
    from tinymed.data.subsets import ConcatDataset as ConcatDataset
    from tinymed.data.subsets import Subset as Subset
    from tinymed.data.subsets import random_split as random_split
    from tinymed.data.synthetic import synthetic_smear as synthetic_smear
    from tinymed.data.tiles import slide as slide
    from tinymed.data.transform import normalise as normalise
    from tinymed.data.transform import one_hot as one_hot
    from tinymed.data.transform import to_float as to_float
    from tinymed.data.transform import to_nchw as to_nchw
    from tinymed.data.upload import uploaded as uploaded
    from tinymed.data.volumes import read_volume as read_volume
    from tinymed.data.volumes import volume_bytes as volume_bytes
    from tinymed.data.voxels import VoxelLoader as VoxelLoader
    from tinymed.data.walk import Account as Account
    from tinymed.data.weight_map import BorderWeights as BorderWeights

HOMES = {
    "augment": ("Augment", "Parameters", "apply_geometry", "apply_intensity", "augment_image", "parameters"),
    "dataset": ("Dataset", "merge_classes", "parse_merge", "verify"),
    "image": ("decode", "prepare", "resize"),
    "loader": ("Loader", "channel_statistics"),
    "readers": ("open_dataset",),
    "remarks": ("account_text", "split_text"),
    "splits": (
        "find_leaks",
        "grouped_split",
        "k_fold",
        "last_fraction_split",
        "leak_check",
        "split_dataset",
        "stratified_split",
    ),
    "subsets": ("ConcatDataset", "Subset", "random_split"),
    "synthetic": ("synthetic_smear",),
    "transform": ("normalise", "one_hot", "to_float", "to_nchw"),
    "boxes": ("BoxDataset", "open_boxes"),
    "elastic": ("displacements",),
    "labels": ("Labels",),
    "mask_loader": ("MaskLoader",),
    "mask_trees": ("open_segmentation",),
    "masks": ("MaskDataset",),
    "patches": ("PatchLoader",),
    "tiles": ("slide",),
    "upload": ("uploaded",),
    "volumes": ("read_volume", "volume_bytes"),
    "voxels": ("VoxelLoader",),
    "walk": ("Account",),
    "weight_map": ("BorderWeights",),
}
HOME = {name: module for module, names in HOMES.items() for name in names}
__all__ = sorted(HOME)


def __getattr__(name: str) -> Any:
    """Import a public name's module when it is first asked for."""
    if name not in HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOME[name]}"), name)
