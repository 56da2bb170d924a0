"""Images in: data sets, splits, augmentation, batches.  Names are looked up at first use, so importing this is free."""

import ast
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the one list of exports: imports to a type checker, text to `homes`
    from .augment import Augment as Augment
    from .augment import Mixing as Mixing
    from .augment import Parameters as Parameters
    from .augment import apply_boxes as apply_boxes
    from .augment import apply_geometry as apply_geometry
    from .augment import apply_intensity as apply_intensity
    from .augment import apply_points as apply_points
    from .augment import augment_image as augment_image
    from .augment import mix_batch as mix_batch
    from .augment import parameters as parameters
    from .augment3d import augment_volume as augment_volume
    from .boxes import BoxDataset as BoxDataset
    from .boxes import open_boxes as open_boxes
    from .corruption import Corruption as Corruption
    from .dataset import Dataset as Dataset
    from .dataset import merge_classes as merge_classes
    from .dataset import parse_merge as parse_merge
    from .dataset import verify as verify
    from .device_prefetch import upload_batches as upload_batches
    from .elastic import displacements as displacements
    from .findings import FindingDataset as FindingDataset
    from .findings import open_findings as open_findings
    from .image import decode as decode
    from .image import prepare as prepare
    from .image import resize as resize
    from .labels import Labels as Labels
    from .large_sets import compare_pixels as compare_pixels
    from .loader import Loader as Loader
    from .loader import channel_statistics as channel_statistics
    from .mask_loader import MaskLoader as MaskLoader
    from .masks import MaskDataset as MaskDataset
    from .patch_classification import VoxelLoader as VoxelLoader
    from .patches import PatchLoader as PatchLoader
    from .pictures import open_pictures as open_pictures
    from .readers import open_dataset as open_dataset
    from .remarks import account_text as account_text
    from .remarks import split_text as split_text
    from .restoration_loader import PatchPairs as PatchPairs
    from .segmentation_layouts import open_segmentation as open_segmentation
    from .splits import find_leaks as find_leaks
    from .splits import grouped_split as grouped_split
    from .splits import k_fold as k_fold
    from .splits import last_fraction_split as last_fraction_split
    from .splits import leak_check as leak_check
    from .splits import split_dataset as split_dataset
    from .splits import stratified_split as stratified_split
    from .subsets import ConcatDataset as ConcatDataset
    from .subsets import Subset as Subset
    from .subsets import random_split as random_split
    from .synthetic import synthetic_smear as synthetic_smear
    from .tiles import slide as slide
    from .transform import normalise as normalise
    from .transform import one_hot as one_hot
    from .transform import to_float as to_float
    from .transform import to_nchw as to_nchw
    from .values import ValueDataset as ValueDataset
    from .values import open_values as open_values
    from .volumes import read_volume as read_volume
    from .volumes import volume_bytes as volume_bytes
    from .walk import Account as Account
    from .weight_map import BorderWeights as BorderWeights


def homes() -> dict[str, str]:
    """Return the module of each export, read from the imports above."""
    with open(__file__, encoding="utf-8") as file:
        imports = [node for node in ast.walk(ast.parse(file.read())) if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports if node.level for alias in node.names}


HOME = homes()
__all__ = sorted(HOME)


def __getattr__(name: str) -> Any:
    """Import a public name's module when it is first asked for."""
    if name not in HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOME[name]}"), name)
