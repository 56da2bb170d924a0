"""Denoising: a picture without its noise, learnt from clean pictures on which noise of stated kind and strength is put.

The network sees patches at the pictures' own resolution in training, with new noise each time, and whole pictures
afterwards.  The noise of validation and test is the same every time: it is drawn from the run's seed and the picture's
place in its set.  The floor of each figure is that of the noisy picture itself.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from ..data.corruption import Corruption
from ..data.dataset import Dataset
from ..data.image import decode, with_channels
from ..data.pictures import open_pictures
from ..data.restoration_loader import PatchPairs, noisy_picture
from ..data.transform import to_float
from ..data.volumes import case_name
from ..errors import UserError, printable
from ..metrics.measures import Measure
from ..metrics.restoration import evaluate_restoration, psnr, ssim
from ..nn.init import no_weights
from ..program import capture
from ..report.paths import below
from ..schema import Strict, checked, setting
from .base.augmentation import augmentation_rules
from .base.config import DataConfig, RunConfig, Shortcuts, named_columns
from .base.division import divide, share_skipped
from .base.network import Outputs, default_channels
from .base.options import Options, config_from_options, data_folder, model_options, refuse_foreign, refuse_idle
from .base.task import Ask, Batches, Fitted, Predictions, Task, Validate, fingerprint_samples, picture_preparation
from .heads.restoration_head import RestorationHead
from .inference.class_scores import forward_pass, predict_scores
from .inference.restorer import Restorer
from .results.restoration_results import (
    Triple,
    restoration_text,
    restored_figures,
    restored_rows,
    save_restored_examples,
    write_restored,
)
from .results.rows import Cases, Row

DEFAULTS: dict[str, Any] = {"model": "dncnn", "head": "picture", "epochs": 20, "batch": 32, "schedule": "cosine"}
COLUMNS = ("path_column", "split_column", "group_column", "suffix")
FLOOR = "noisy"
Rows = list[dict[str, Any]]


class RestorationConfig(Strict):
    """The noise, and how a network is shown it."""

    panel: ClassVar[str] = "Restoration"
    corruption: Literal["gaussian", "poisson", "speckle", "salt_pepper"] = setting("gaussian", "Kind of the noise")
    sigma: float = setting(
        0.1,
        "Its strength, pictures being 0 to 1: standard deviation, at white of poisson and speckle; share of pixels of "
        "salt_pepper.",
        gt=0,
        le=1,
    )
    loss: Literal["mse", "l1"] = setting("mse", "What is minimised", shown="the task's own")
    patch_side: int = setting(40, "Train on patches of this side, in pixels.", ge=11, le=1024)
    per_image: int = setting(1, "Patches of each image in an epoch.", ge=1)

    @property
    def noise(self) -> Corruption:
        """Return the noise as loaders take it."""
        return Corruption(self.corruption, self.sigma)


class DenoisingData(DataConfig):
    """What denoising reads."""

    skip_bad: bool = setting(False, "Leave unreadable images out and list them.")


class DenoisingConfig(RunConfig):
    """A run that takes noise off."""

    task: Literal["denoising"] = setting("denoising", "What the network learns.", panel="Run")
    head: Literal["picture"] = "picture"
    data: DenoisingData
    restoration: RestorationConfig = RestorationConfig()
    monitor: Literal["val_loss", "val_psnr", "val_ssim"] = setting("val_loss", "What improves.")


class Denoising(Task[DenoisingConfig, Dataset]):
    """A picture without its noise."""

    name = "denoising"
    needs = "a folder or a list of clean pictures"
    wants = "denoising (a picture of the size of its input)"
    pictures = True
    Config = DenoisingConfig
    Shortcuts = Shortcuts

    # ------------------------------------------------------------------------------------- the configuration

    def config_from_options(self, given: Options) -> DenoisingConfig:
        refuse_foreign(given, self.options, self.name, self.options)
        self.refuse_useless(given)
        last = given.get("split") == "last"
        wanted: dict[str, Any] = {"val_fraction": 0.3 if last else 0.15, "test_fraction": 0.0 if last else 0.15}
        wanted |= DEFAULTS | dict(given)
        if "steps" in given and "epochs" not in given:
            wanted["epochs"] = None
        if "early_stop" in given:
            wanted.setdefault("keep", "best")
        patch = given.get("patch_side", RestorationConfig.model_fields["patch_side"].default)
        wanted |= {"size": patch, "data": data_folder(given)}
        grey = given.get("grey")
        channels = default_channels(wanted["model"]) if grey is None else 1 if grey else 3
        wanted["detected"] = {"model_options": model_options(given), "data": {"channels": channels}}
        config: DenoisingConfig = config_from_options(DenoisingConfig, self.options, wanted)
        _ = config.restoration.noise  # a strength that does not fit the kind is said before images are read
        with no_weights():
            self.check_model(config, self.make_model(config))
        return config

    def refuse_useless(self, given: Options) -> None:
        """Raise UserError for an option that the task or the other options leave without effect."""
        path = Path(str(given["data"]))
        listed = path.suffix.lower() in (".csv", ".tsv") or (path / "splits.csv").is_file()
        refuse_idle(
            given,
            {
                **dict.fromkeys(COLUMNS, (listed, "only a list has columns: a .csv, or a folder with splits.csv")),
                "group_column": (listed or path.is_dir(), "only a list has columns, and DICOM files fields"),
                **augmentation_rules(given),
                "size": (False, "pictures keep their own size, and the network sees patches of --patch-side"),
                "normalise": (False, "pictures go in and come out as 0 to 1"),
                "preprocess": (False, "pictures go in and come out as 0 to 1"),
                "class_weights": (False, "a picture has no classes"),
                "noise": (False, "the clean picture stays clean; say the noise with --corruption and --sigma"),
                "freeze_statistics": ("freeze" in given, "it is of the layers that --freeze names"),
            },
        )

    def complete(
        self, config: DenoisingConfig, sets: dict[str, Dataset], given: Options, ask: Ask | None
    ) -> tuple[DenoisingConfig, list[str]]:
        fields = {"classes": sets["train"].classes, "fingerprint": self.fingerprint(config, sets)}
        content = config.model_dump() | {"data": config.data.model_dump() | fields}
        result = checked(lambda: DenoisingConfig.model_validate(content))
        lines = [f"skipped {name}: {reason}" for part in sets.values() for name, reason in part.skipped]
        shown = ", ".join(f"{name} {len(part)}" for name, part in sets.items())
        kind = "grey" if config.data.channels == 1 else "RGB"
        lines.append(f"{config.model}, {shown} {kind} pictures, patches of {config.restoration.patch_side} px")
        return result, [*lines, f"to take off: {self.noise_text(config)}"]

    def noise_text(self, config: DenoisingConfig) -> str:
        """Return what the noise is, in words."""
        return f"{config.restoration.corruption} noise of sigma {config.restoration.sigma:g}"

    # --------------------------------------------------------------------------------------------- the data

    def read_data(self, config: DenoisingConfig) -> dict[str, Dataset]:
        return self.open(config, str(config.data.path), config.data.leaks, config.data.skip_bad)

    def open(self, config: DenoisingConfig, path: str, leaks: str, skip_bad: bool) -> dict[str, Dataset]:
        """Return the sets of a path.  Raises UserError."""
        columns = named_columns(config.data)
        return open_pictures(path, **columns, skip_bad=skip_bad, leaks=leaks, **config.data.reading())

    def divide(self, config: DenoisingConfig, sets: dict[str, Dataset]) -> dict[str, Dataset]:
        return share_skipped(sets, divide(sets, config.data, config.seed, every_class=False))

    def fingerprint(self, config: DenoisingConfig, sets: dict[str, Dataset]) -> str:
        sha = hashlib.sha256(fingerprint_samples(sets, config.data.path).encode())
        for part in sets.values():
            for key in part.hashes or ():
                sha.update(key)
        return sha.hexdigest()

    def open_path(self, config: DenoisingConfig, path: str, skip_bad: bool = False) -> dict[str, Dataset]:
        return self.open(config, path, "ignore", skip_bad)

    # ------------------------------------------------------------------------------------------ the network

    def model_arguments(self, config: DenoisingConfig) -> dict[str, Any]:
        return {"in_channels": config.data.channels, "num_classes": config.data.channels}

    def serves(self, image: tuple[int, ...], outputs: Outputs) -> bool:
        return len(image) == 3 and len(outputs) == 1 and outputs[0][1:] == image

    def head(self, config: DenoisingConfig, model: Any, weighted: bool = True) -> RestorationHead:
        return RestorationHead(config.restoration.loss)

    # -------------------------------------------------------------------------------- training and measuring

    def patches(self, config: DenoisingConfig, dataset: Dataset, training: bool) -> PatchPairs:
        """Return patches of a set: for training new ones each epoch, else one fixed patch of each picture."""
        part = config.restoration
        more: dict[str, Any] = {"seed": config.seed, "workers": config.workers}
        if training:
            more |= {"shuffle": True, "per_image": part.per_image, "augment": config.augment.settings()}
        return PatchPairs(dataset, config.batch, part.patch_side, config.data.channels, part.noise, **more)

    def training_batches(self, config: DenoisingConfig, dataset: Dataset, model: Any) -> Batches:
        return self.patches(config, dataset, training=True)

    def validation(self, config: DenoisingConfig, dataset: Dataset) -> tuple[Batches | None, Validate | None]:
        loader, head = self.patches(config, dataset, training=False), self.head(config, None)

        def validate(trainer: Fitted) -> dict[str, Any]:
            """Return loss, PSNR and SSIM of one fixed patch of each picture."""
            restored, clean, loss = predict_scores(
                trainer.model, loader, head, lambda: trainer.stop, trainer.forward, empty=(0, *self.sees(config))
            )
            if trainer.stop:
                return {}
            pairs = [(np.moveaxis(c, 0, -1), np.moveaxis(r, 0, -1)) for c, r in zip(clean, restored, strict=True)]
            found = {m.__name__: float(np.mean([m(c, r, data_range=1) for c, r in pairs])) for m in (psnr, ssim)}
            return {"loss": loss} | found

        return None, validate

    def pair(self, config: DenoisingConfig, dataset: Dataset, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (clean, noisy) of a whole picture, float32 [height, width, channels] in 0...1."""
        clean = to_float(with_channels(dataset.image(index), config.data.channels))
        return clean, noisy_picture(config.restoration.noise, clean, config.seed, index)

    def measure(self, config: DenoisingConfig, model: Any, dataset: Dataset) -> tuple[dict[str, Any], Rows]:
        forward = capture(forward_pass(model), fallback=True)
        restore, head = Restorer(model, self.head(config, model), forward), self.head(config, model)
        rows: Rows = []
        for index in range(len(dataset)):
            clean, noisy = self.pair(config, dataset, index)
            restored = restore(noisy)
            row: dict[str, Any] = {"path": below(dataset.name(index), config.data.path)}
            for name, picture in ((FLOOR, noisy), ("restored", restored)):
                row |= {f"{name}_psnr": psnr(clean, picture, 1), f"{name}_ssim": self.similarity(clean, picture)}
            error = restored.astype(np.float64) - clean
            row["loss"] = float(np.mean(error**2 if head.loss == "mse" else np.abs(error)))
            rows.append(row)
        columns = {n: {m: [r[f"{n}_{m}"] for r in rows] for m in ("psnr", "ssim")} for n in ("restored", FLOOR)}
        result = evaluate_restoration(columns["restored"], {FLOOR: columns[FLOOR]}, config.seed)
        loss = float(np.mean([row["loss"] for row in rows]))
        return {"loss": loss, "corruption": self.noise_text(config), **result}, rows

    def similarity(self, clean: np.ndarray, picture: np.ndarray) -> float:
        """Return the SSIM of a picture; one that is smaller than a window is mirrored up to it."""
        lack = [(0, max(0, 11 - n)) for n in clean.shape[:2]] + [(0, 0)]
        return ssim(np.pad(clean, lack, "symmetric"), np.pad(picture, lack, "symmetric"), data_range=1)

    # ---------------------------------------------------------------------------------------------- results

    def text(self, config: DenoisingConfig, result: dict[str, Any], title: str) -> str:
        return restoration_text(result, title)

    def save_results(
        self,
        folder: Path,
        config: DenoisingConfig,
        model: Any,
        dataset: Dataset,
        result: dict[str, Any],
        details: Any,
        title: str,
    ) -> None:
        restore = Restorer(model, self.head(config, model))

        def show(index: int) -> Triple:
            clean, noisy = self.pair(config, dataset, index)
            return clean, noisy, restore(noisy)

        save_restored_examples(show, [row["restored_psnr"] for row in details], folder / "restored.png", title)

    def case_rows(self, folder: Path, config: DenoisingConfig, dataset: Dataset, details: Rows) -> list[Row]:
        return restored_rows(details)

    def figures(self, config: DenoisingConfig, cases: Cases) -> dict[str, Measure]:
        return restored_figures(cases)

    def predict(
        self,
        folder: Path,
        config: DenoisingConfig,
        model: Any,
        files: Sequence[Path],
        out: Path | None,
        overlays: bool,
    ) -> Predictions:
        refuse_idle({"overlays": True} if overlays else {}, {"overlays": (False, "there is no mask to draw")})
        if out is None:
            raise UserError("this run restores pictures: say where they go with --out DIR")
        out.mkdir(parents=True, exist_ok=True)
        restore, result, taken = Restorer(model, self.head(config, model)), Predictions(), dict[str, Path]()
        for file in files:
            name = case_name(file)
            if name in taken:
                raise UserError(f"{file} and {taken[name]}: both would become {out / name}; use two calls")
            taken[name] = file
            try:
                pixels = decode(file, **config.data.reading())
                noisy = to_float(with_channels(pixels, config.data.channels))
                restored = restore(noisy)
                deep, data = pixels.dtype != np.uint8, config.data
                made = write_restored(restored, out / name, deep, data.white, data.window)
            except UserError as error:
                result.errors.append(str(error).partition("; ")[0])
                continue
            change = float(np.sqrt(np.mean((restored.astype(np.float64) - noisy) ** 2)))
            result.rows.append({"image": printable(file), "restored": str(made), "rms_change": change})
            result.lines.append(f"{made}: changed by {change:.4f} (root mean square, 0 to 1)")
        return result

    def case_errors(self, config: DenoisingConfig, cases: Cases) -> np.ndarray:
        return -cases.numbers("psnr")

    def export_metadata(self, config: DenoisingConfig) -> dict[str, Any]:
        steps = picture_preparation(config) | {"size": None, "resize": "none: pictures keep their own size"}
        return {"positive": "", "preparation": steps, "scores": "the restored picture, 0 to 1, to be clipped"}


TASK = Denoising()
