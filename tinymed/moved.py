"""Modules whose names have changed since version 0.1.0: an import of the old name still works, and says the new one.

Code of users imports from modules, not only from the packages that list their names.  The finder below is asked last,
for a module that nothing else has found, so that it costs nothing where nothing is moved.
"""

import importlib.abc
import importlib.util
import sys
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# The old module, and where its names are now; the first that has a name gives it.
MOVED = {
    "backend": ("dispatch", "dispatch.tables", "dispatch.declare"),
    "device": ("devices",),
    "kernels": ("dispatch.declare", "dispatch.select"),
    "data.draws": ("data.batched_uniform",),
    "data.mask_trees": ("data.segmentation_layouts",),
    "data.space": ("data.augment3d",),
    "data.upload": ("data.device_prefetch",),
    "data.voxels": ("data.patch_classification",),
    "nn.quantile": ("ops.quantile", "metrics.intervals"),
    "optim.clip": ("nn.utils",),
    "train.audit": ("audit.table",),
    "train.audit_input": ("audit.reader",),
    "train.audit_ranges": ("audit.ranges",),
    "train.build": ("train.assemble", "tasks.classification", "tasks.base.network"),
    "train.comparison": ("cli.comparison_rows",),
    "train.config": ("tasks.base.config", "tasks"),
    "train.curves": ("metrics.curves",),
    "train.detect": ("metrics.boxes", "tasks.inference.box_peaks"),
    "train.detection_metrics": ("metrics.detection",),
    "train.distance_transform": ("metrics.distance_transform",),
    "train.everywhere": ("tasks.inference.dense_inference",),
    "train.feed": ("data.device_batches",),
    "train.files": ("files",),
    "train.heads": ("tasks.heads.head", "tasks.heads.class_heads", "tasks.heads.class_weights"),
    "train.intervals": ("metrics.intervals",),
    "train.mask_head": ("tasks.heads.mask_head",),
    "train.mask_measures": ("metrics.mask_cases",),
    "train.metrics": ("metrics.classification",),
    "train.positive": ("metrics.positive_class",),
    "train.rates": ("metrics.confusion_metrics",),
    "train.segmentation_metrics": ("metrics.segmentation",),
    "train.weights": ("weights", "train.transfer"),
}
PACKAGE = __name__.rpartition(".")[0]


class MovedModules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answer the import of an old name by a module that hands on the names of the new ones."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to load a moved module; None for any other."""
        if fullname.removeprefix(f"{PACKAGE}.") not in MOVED or not fullname.startswith(f"{PACKAGE}."):
            return None
        return importlib.util.spec_from_loader(fullname, self)

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to the import system to make an empty module."""

    def exec_module(self, module: ModuleType) -> None:
        """Let the module look its names up in the modules that have them now."""
        homes = [f"{PACKAGE}.{home}" for home in MOVED[module.__name__.removeprefix(f"{PACKAGE}.")]]
        said = f"{module.__name__} has moved: import from {' or '.join(homes)}"

        def look_up(name: str) -> Any:
            for home in homes:
                found = importlib.import_module(home)
                if hasattr(found, name):
                    return getattr(found, name)
            raise AttributeError(f"{said}; they have no {name!r}")

        module.__doc__, vars(module)["__getattr__"] = said, look_up
        warnings.warn(said, DeprecationWarning, stacklevel=2)


def install() -> None:
    """Let imports of old names work from here on."""
    if not any(isinstance(finder, MovedModules) for finder in sys.meta_path):
        sys.meta_path.append(MovedModules())
