"""Reconstruction: an auto-encoder gives back the pixels that it was shown, through a short, a sparse or a noisy code.

No label is read.  With --corrupt the network sees damaged images and gives back whole ones: a denoising auto-encoder.
With --sparsity-weight its hidden units are rarely active: a sparse one.  The floors are the mean image, as many
principal components as the code has numbers, and, of damaged images, the image as it is.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from ..data.device_batches import as_array, as_tensors, device_of
from ..data.unlabelled import UnlabelledDataset
from ..data.volumes import case_name
from ..errors import UserError, printable
from ..metrics.measures import Measure
from ..metrics.reconstruction import evaluate_reconstruction, mean_squared_errors, peak_signal_to_noise
from ..report.samples import save_samples
from ..schema import Strict, checked, setting
from ..tape import no_grad
from .base.network import Outputs
from .base.options import Options, refuse_idle
from .base.picture import DEFAULTS, PictureConfig, UnlabelledData, picture_loader
from .base.task import Ask, Batches, Fitted, Predictions, Validate, picture_preparation
from .base.unlabelled import UnlabelledTask
from .heads.pixel_head import PixelHead
from .inference.corrupted import Corrupted
from .inference.reconstruct import Rebuild, reconstruction_errors, trivial_methods
from .inference.views import read_picture
from .results.reconstruction_results import (
    reconstructed_figures,
    reconstructed_rows,
    reconstruction_text,
    save_reconstructions,
)
from .results.rows import Cases, Row

SHOWN = 10  # images of the picture


class ReconstructionData(UnlabelledData):
    """What auto-encoders read."""

    patches: int | None = setting(
        None, "Learn from so many patches of --size pixels, cut from each picture or volume.", ge=1, le=100_000
    )


class PixelConfig(Strict):
    """How pixels are given back."""

    panel: ClassVar[str] = "Reconstruction"
    loss: Literal["mse", "l1", "cross_entropy"] = setting("mse", "What is minimised")
    corrupt: Literal["none", "mask", "noise"] = setting("none", "Damage the inputs: hide pixels, or add normal noise")
    corrupted: float = setting(0.25, "Share of pixels, or deviation of images from 0 to 1.", gt=0, lt=1)
    sparsity: float = setting(0.05, "Mean that each hidden sigmoid unit is to have.", gt=0, lt=1)
    sparsity_weight: float = setting(
        0.0, "Weight of the divergence from it, in squared errors of an image.", ge=0, allow_inf_nan=False
    )


class ReconstructionConfig(PictureConfig):
    """A run that gives back pixels."""

    task: Literal["reconstruction"] = setting("reconstruction", "What the network learns.", panel="Run")
    head: Literal["pixels"] = "pixels"
    data: ReconstructionData
    pixels: PixelConfig = PixelConfig()
    monitor: Literal["val_loss", "val_mse", "val_psnr"] = setting("val_loss", "What improves.")


class Reconstruction(UnlabelledTask[ReconstructionConfig]):
    """Pixels from pixels."""

    name = "reconstruction"
    pictures = True
    needs = "a folder of pictures or volumes, a .csv list, MNIST's files; labels are not read"
    wants = "reconstruction (an image of the same size for each image)"
    Config = ReconstructionConfig
    defaults: ClassVar[dict[str, Any]] = {**DEFAULTS, "model": "sae", "epochs": 20, "batch": 100}

    # ------------------------------------------------------------------------------------- the configuration

    def refuse_useless(self, given: Options) -> None:
        super().refuse_useless(given)
        damaged = given.get("corrupt", "none") != "none"
        refuse_idle(
            given,
            {
                "class_weights": (False, "pixels have no classes"),
                "corrupted": (damaged, "it is of --corrupt mask or noise"),
                "sparsity": (bool(given.get("sparsity_weight")), "it is of --sparsity-weight"),
            },
        )
        moved = next((name for name in ("normalise", "preprocess") if given.get(name)), None)
        if given.get("loss") == "cross_entropy" and moved:
            raise UserError(
                f"--loss cross_entropy: is of pixels from 0 to 1 as probabilities, and --{moved} moves them; leave "
                "one of both out"
            )

    def try_model(self, config: ReconstructionConfig) -> ReconstructionConfig:
        if config.pixels.sparsity_weight and "codes" not in self.options_of(config.model):
            raise UserError(
                f"--sparsity-weight: {config.model} does not show its hidden units; choose sae, sae_shin, avendi_sae "
                "or conv_autoencoder"
            )
        return super().try_model(config)

    def options_of(self, model: str) -> list[str]:
        """Return the names of a network's options."""
        from .. import models

        return models.entry(model).options

    def complete(
        self, config: ReconstructionConfig, sets: dict[str, UnlabelledDataset], given: Options, ask: Ask | None
    ) -> tuple[ReconstructionConfig, list[str]]:
        content = config.model_dump() | {"data": self.data_fields(config, sets, given)}
        result = self.try_model(checked(lambda: ReconstructionConfig.model_validate(content)))
        return result, self.describe(result, sets)

    # ------------------------------------------------------------------------------------------ the network

    def model_arguments(self, config: ReconstructionConfig) -> dict[str, Any]:
        wanted: dict[str, Any] = {"in_channels": config.data.channels, "size": config.data.size}
        if "num_classes" in self.options_of(config.model):
            wanted["num_classes"] = config.data.channels
        return wanted | ({"codes": True} if config.pixels.sparsity_weight else {})

    def serves(self, image: tuple[int, ...], outputs: Outputs) -> bool:
        first, *hidden = outputs
        return len(image) == 3 and first[1:] == image and all(len(shape) == 2 for shape in hidden)

    def head(self, config: ReconstructionConfig, model: Any, weighted: bool = True) -> PixelHead:
        pixels, data = config.pixels, config.data
        weight = pixels.sparsity_weight if weighted else 0.0
        return PixelHead(pixels.loss, data.mean, data.std, pixels.sparsity, weight)

    # -------------------------------------------------------------------------------- training and measuring

    def batches(self, config: ReconstructionConfig, dataset: UnlabelledDataset, training: bool) -> Corrupted:
        """Return the batches of a set, damaged as the configuration says."""
        loader = picture_loader(dataset, config, training=training)
        return Corrupted(loader, config.pixels.corrupt, config.pixels.corrupted, config.seed, measured=not training)

    def training_batches(self, config: ReconstructionConfig, dataset: UnlabelledDataset, model: Any) -> Batches:
        return self.batches(config, dataset, training=True)

    def validation(
        self, config: ReconstructionConfig, dataset: UnlabelledDataset
    ) -> tuple[Batches | None, Validate | None]:
        batches = self.batches(config, dataset, training=False)

        def validate(trainer: Fitted) -> dict[str, Any]:
            head = self.head(config, trainer.model)
            errors, loss = reconstruction_errors(
                trainer.model, batches, head, stop=lambda: trainer.stop, forward=trainer.forward
            )
            if trainer.stop:
                return {}
            return {"loss": loss, "mse": errors[""].mean(), "psnr": peak_signal_to_noise(errors[""]).mean()}

        return None, validate

    def floors(self, config: ReconstructionConfig, model: Any) -> dict[str, Rebuild]:
        """Return the trivial methods, learnt from the run's own training images; none where these are gone."""
        path = config.data.path
        if path is None or not Path(path).exists():
            return {}
        return learnt_floors(config.model_dump_json(), getattr(model, "code_size", 0))

    def measure(
        self, config: ReconstructionConfig, model: Any, dataset: UnlabelledDataset
    ) -> tuple[dict[str, Any], Any]:
        floors = self.floors(config, model)
        head, batches = self.head(config, model), self.batches(config, dataset, training=False)
        errors, loss = reconstruction_errors(model, batches, head, floors)
        others = {name: values for name, values in errors.items() if name}
        result = {"loss": loss, **evaluate_reconstruction(errors[""], others, dataset.groups, config.seed)}
        if not floors:
            result["warnings"].append(f"without floors: the training images {config.data.path} are not there")
        return result, errors

    # ---------------------------------------------------------------------------------------------- results

    def text(self, config: ReconstructionConfig, result: dict[str, Any], title: str) -> str:
        return reconstruction_text(result, title)

    def save_results(
        self,
        folder: Path,
        config: ReconstructionConfig,
        model: Any,
        dataset: UnlabelledDataset,
        result: dict[str, Any],
        details: Any,
        title: str,
    ) -> None:
        head = self.head(config, model)
        some = dataset.subset(np.linspace(0, len(dataset) - 1, min(SHOWN, len(dataset))).astype(np.int64))
        seen, truth, _ = next(iter(self.batches(config, some, training=False).epoch(0)))
        with no_grad():
            found = head.scores(model.eval()(as_tensors(seen, device_of(model))))
        whole = head.originals(truth)
        rows = [whole, found] if config.pixels.corrupt == "none" else [whole, head.originals(seen), found]
        rows += [
            rebuild(head.originals(seen))
            for name, rebuild in self.floors(config, model).items()
            if name.endswith("components")
        ]
        psnr = peak_signal_to_noise(details[""])
        save_reconstructions(folder, self.names(config, dataset), details, psnr, rows)

    def case_rows(
        self, folder: Path, config: ReconstructionConfig, dataset: UnlabelledDataset, details: Any
    ) -> list[Row]:
        return reconstructed_rows(self.names(config, dataset), details[""])

    def figures(self, config: ReconstructionConfig, cases: Cases) -> dict[str, Measure]:
        return reconstructed_figures(cases)

    def predict(
        self,
        folder: Path,
        config: ReconstructionConfig,
        model: Any,
        files: Sequence[Path],
        out: Path | None,
        overlays: bool,
    ) -> Predictions:
        refuse_idle({"overlays": True} if overlays else {}, {"overlays": (False, "there is nothing to draw")})
        result, head = Predictions(), self.head(config, model)
        for file in files:
            try:
                picture = read_picture(file, config.data)
            except UserError as error:
                result.errors.append(str(error).partition("; ")[0])
                continue
            with no_grad():
                outputs = model(as_tensors(picture, device_of(model)))
            images, truth = head.scores(outputs), head.originals(picture)
            squared = mean_squared_errors(truth, images)
            row: dict[str, Any] = {"image": printable(file), "mse": float(squared[0])}
            row["psnr"] = float(peak_signal_to_noise(squared)[0])
            text = f"{printable(file)}: MSE {row['mse']:.6f}, PSNR {row['psnr']:.2f} dB"
            if out is not None:
                row["reconstruction"] = str(save_samples([as_array(images)], out / f"{case_name(file)}.png"))
                text += f", {row['reconstruction']}"
            result.rows.append(row)
            result.lines.append(text)
        return result

    def case_errors(self, config: ReconstructionConfig, cases: Cases) -> np.ndarray:
        return cases.numbers("mse")

    def export_metadata(self, config: ReconstructionConfig) -> dict[str, Any]:
        squash = "the sigmoid of the " if config.pixels.loss == "cross_entropy" else ""
        steps = picture_preparation(config)
        if config.data.patches:
            steps["resize"] = "none: patches, cut out"
        return {"positive": "", "preparation": steps, "scores": f"pixels from 0 to 1: mean + std * {squash}output"}


@lru_cache(maxsize=1)
def learnt_floors(config_json: str, code_size: int) -> dict[str, Rebuild]:
    """Return the trivial methods of a configuration, which validation and test share."""
    config = ReconstructionConfig.model_validate_json(config_json)
    train = TASK.open_data(config)["train"]
    data, damaged = config.data, config.pixels.corrupt != "none"
    return trivial_methods(train, data.size, data.channels, code_size, config.seed, damaged)


TASK = Reconstruction()
