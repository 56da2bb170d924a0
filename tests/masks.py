"""Small sets of images with masks, written by the tests: bright blobs on a noisy ground."""

from pathlib import Path

import numpy as np
from datasets import write_image


def blob(number: int, shape: tuple[int, ...] = (32, 40), classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """(image 0...255, class numbers) with one ball of each class but the background, different for each number."""
    random = np.random.default_rng(number)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"))
    mask = np.zeros(shape, np.uint8)
    for label in range(1, classes):
        centre = [random.uniform(0.3 * n, 0.7 * n) for n in shape]
        radius = random.uniform(0.15, 0.25) * min(shape)
        mask[((grid - np.reshape(centre, (-1, *[1] * len(shape)))) ** 2).sum(axis=0) < radius**2] = label
    image = 60 + 150 * mask / (classes - 1) + random.normal(0, 12, shape)
    return np.clip(image, 0, 255).astype(np.uint8), mask


def mask_tree(root: Path, count: int = 10, shape: tuple[int, int] = (32, 40), first: int = 0) -> Path:
    """root/images/<i>.png and root/masks/<i>.png of 0 and 255; returns root."""
    for i in range(count):
        image, mask = blob(first + i, shape)
        write_image(root / "images" / f"{i:02}.png", image)
        write_image(root / "masks" / f"{i:02}.png", mask * np.uint8(255))
    return root


def write_nifti(path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> Path:
    """A NIfTI file; without an affine, 1 mm and RAS+."""
    import nibabel

    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4) if affine is None else affine), path)
    return path


def volume_tree(root: Path, count: int = 6, shape: tuple[int, int, int] = (12, 14, 10)) -> Path:
    """root/images/<i>.nii.gz and root/labels/<i>.nii.gz with the labels 0, 1, 2, stored left to right and not."""
    for i in range(count):
        image, mask = blob(i, shape, 3)
        affine = np.diag([-1.0 if i % 2 else 1.0, 1.0, 2.0, 1.0])
        affine[:3, 3] = (5, -7, i)
        turned = (a[::-1] if i % 2 else a for a in (image.astype(np.float32) * (i + 1), mask))
        for folder, values in zip(("images", "labels"), turned, strict=True):
            write_nifti(root / folder / f"case{i}.nii.gz", values, affine)
    return root
