"""Images in: data sets, splits, augmentation, batches.  Names are looked up at first use, so importing this is free."""

from importlib import import_module
from typing import Any

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
    "segmentation_layouts": ("open_segmentation",),
    "masks": ("MaskDataset",),
    "patches": ("PatchLoader",),
    "tiles": ("slide",),
    "device_prefetch": ("upload_batches",),
    "volumes": ("read_volume", "volume_bytes"),
    "patch_classification": ("VoxelLoader",),
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
