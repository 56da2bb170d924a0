"""Generation: a network draws pictures that look like those it was shown, from random numbers.

Two networks are trained against each other (Goodfellow et al. 2014): a discriminator tells real pictures from drawn
ones, a generator draws such as it takes for real.  No label is read.  How far drawn pictures are from real ones is the
Frechet distance of their features from those of the training pictures.  Beside it stand the distance of real pictures
that were held out, which no generator undercuts by more than chance, and those of two samplers without a network; and
how near drawn pictures are to their nearest training picture, which shows a network that has learnt pictures by heart.
"""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from ..data.unlabelled import UnlabelledDataset, pixels_of
from ..errors import UserError
from ..metrics.frechet import compare_samplers, frechet_distance
from ..metrics.measures import Measure
from ..metrics.neighbours import memorising
from ..schema import Strict, checked, setting
from ..tape import no_grad
from .base.network import Outputs, default_channels
from .base.options import Options, refuse_idle
from .base.picture import DEFAULTS, PictureConfig, UnlabelledData, picture_loader
from .base.task import Ask, Batches, Fitted, Validate
from .base.unlabelled import UnlabelledTask
from .heads.adversarial_head import AdversarialHead, Opponents, adversarial_step
from .inference.latent import BesideReal, draw_pictures
from .inference.picture_features import PictureFeatures
from .inference.trivial_samplers import sample_trivially
from .results.generation_results import drawn_figures, drawn_rows, generation_text, save_drawn
from .results.rows import Cases, Row

MOST = 2000  # pictures of a part that are compared: each needs its features
DRAWN = "pictures are drawn from -1 to 1"
ITS_OWN = "the two networks have an Adam each"


class SamplerConfig(Strict):
    """How pictures are drawn and compared."""

    panel: ClassVar[str] = "Generation"
    features: str | None = setting(
        None, "Compare pictures by the features of this run, a classifier; without it by an untrained network's."
    )
    beta1: float = setting(0.5, "Adam's decay of the mean gradient.", ge=0, lt=1)


class GenerationConfig(PictureConfig):
    """A run that draws pictures."""

    task: Literal["generation"] = setting("generation", "What the network learns.", panel="Run")
    head: Literal["adversarial"] = "adversarial"
    data: UnlabelledData
    sampler: SamplerConfig = SamplerConfig()
    monitor: Literal["val_frechet"] = setting("val_frechet", "What improves.")


class Generation(UnlabelledTask[GenerationConfig]):
    """Pictures from random numbers."""

    name = "generation"
    instead = "a generator looks at no image; `tinymed generate {run}` lets it draw some"
    pictures = True
    needs = "a folder of pictures, a .csv list, MNIST's files; labels are not read"
    wants = "generation (a picture for each row of latent numbers, and a discriminator)"
    Config = GenerationConfig
    defaults: ClassVar[dict[str, Any]] = {
        **DEFAULTS,
        "model": "dcgan",
        "epochs": 60,
        "batch": 64,
        "lr": 2e-4,
        "schedule": "constant",
    }

    # ------------------------------------------------------------------------------------- the configuration

    def config_from_options(self, given: Options) -> GenerationConfig:
        return super().config_from_options({"size": 32, "grey": False, **given})

    def refuse_useless(self, given: Options) -> None:
        super().refuse_useless(given)
        refuse_idle(
            given,
            {
                "class_weights": (False, "pictures have no classes"),
                "normalise": (False, DRAWN),
                "preprocess": (False, DRAWN),
                "optimizer": (given.get("optimizer") == "adam", ITS_OWN),
                "lr_for": (False, ITS_OWN),
                **{name: (given.get(name) == 0, ITS_OWN) for name in ("weight_decay", "l1")},
                "clip_norm": (False, ITS_OWN),
                "accumulate": (
                    given.get("accumulate") == 1,
                    "the discriminator steps on each batch, then the generator",
                ),
            },
        )

    def try_model(self, config: GenerationConfig) -> GenerationConfig:
        if config.sampler.features is not None:
            PictureFeatures(config.sampler.features)
        return super().try_model(config)

    def complete(
        self, config: GenerationConfig, sets: dict[str, UnlabelledDataset], given: Options, ask: Ask | None
    ) -> tuple[GenerationConfig, list[str]]:
        content = config.model_dump() | {"data": self.data_fields(config, sets, given)}
        result = self.try_model(checked(lambda: GenerationConfig.model_validate(content)))
        source = config.sampler.features or "an untrained network (--features RUN: a classifier of such pictures)"
        return result, [*self.describe(result, sets), f"pictures are compared by the features of {source}"]

    # ------------------------------------------------------------------------------------------ the network

    def model_arguments(self, config: GenerationConfig) -> dict[str, Any]:
        return {"channels": config.data.channels, "size": config.data.size}

    def sees(self, config: GenerationConfig) -> tuple[int, ...]:
        wanted = config.model_options.get("latent")
        return (wanted if isinstance(wanted, int) else default_channels(config.model), 1, 1)

    def serves(self, image: tuple[int, ...], outputs: Outputs) -> bool:
        return len(image) == 3 and image[1:] == (1, 1) and len(outputs) == 1 and outputs[0][2:] > (1, 1)

    def check_model(self, config: GenerationConfig, model: Any) -> Outputs:
        if not hasattr(model, "discriminator"):
            raise UserError(f"{config.model}: is no network for {self.wants}; {self.advise(config)}")
        return super().check_model(config, model)

    def head(self, config: GenerationConfig, model: Any, weighted: bool = True) -> Any:
        return AdversarialHead()

    # -------------------------------------------------------------------------------- training and measuring

    def training_batches(self, config: GenerationConfig, dataset: UnlabelledDataset, model: Any) -> Batches:
        return BesideReal(picture_loader(dataset, config, training=True), model.input_shape[0], config.seed)

    def optimizer(self, config: GenerationConfig, model: Any) -> Opponents:
        from ..optim import Adam

        betas = (config.sampler.beta1, 0.999)
        one, other = (Adam(m.parameters(), lr=config.lr, betas=betas) for m in (model.generator, model.discriminator))
        return Opponents(one, other)

    def step(
        self, config: GenerationConfig, model: Any, optimizer: Any
    ) -> Callable[[Any, Any], tuple[Any, Any]] | None:
        from ..program import capture

        captured: Callable[[Any, Any], tuple[Any, Any]] = capture(adversarial_step(model, optimizer), fallback=True)
        return captured

    def validation(
        self, config: GenerationConfig, dataset: UnlabelledDataset
    ) -> tuple[Batches | None, Validate | None]:
        rows = np.arange(min(len(dataset), MOST))

        def validate(trainer: Fitted) -> dict[str, Any]:
            drawn = draw_pictures(trainer.model, rows, config.seed, lambda: trainer.stop, trainer.forward)
            if trainer.stop:
                return {}
            known = training_pictures(config.model_dump_json())
            return {"frechet": frechet_distance(known.rows, known.features(AdversarialHead().scores(drawn)))}

        return None, validate

    def measure(self, config: GenerationConfig, model: Any, dataset: UnlabelledDataset) -> tuple[dict[str, Any], Any]:
        known = training_pictures(config.model_dump_json())
        count = min(len(dataset), MOST)
        real = as_pictures(dataset, np.arange(count), config)
        drawn = AdversarialHead().scores(draw_pictures(model, np.arange(count), config.seed))
        others = {"real, held out": real, **sample_trivially(known.pictures, count, config.seed)}
        compared = compare_samplers(
            known.rows,
            known.features(drawn),
            {name: known.features(pictures) for name, pictures in others.items()},
            config.seed,
        )
        near = memorising(known.pictures, drawn, real)
        notes = [
            f"not below the sampler {name!r}: the interval of the gain holds 0 or less"
            for name, other in compared["others"].items()
            if name != "real, held out" and not other["gain_interval"][0] > 0
        ]
        result = compared | near.summary | {"warnings": compared["warnings"] + notes}
        return result, (drawn, near)

    # ---------------------------------------------------------------------------------------------- results

    def text(self, config: GenerationConfig, result: dict[str, Any], title: str) -> str:
        return generation_text(result, title)

    def save_results(
        self,
        folder: Path,
        config: GenerationConfig,
        model: Any,
        dataset: UnlabelledDataset,
        result: dict[str, Any],
        details: Any,
        title: str,
    ) -> None:
        drawn, near = details
        known = training_pictures(config.model_dump_json())
        save_drawn(folder, drawn, near, known.pictures)

    def case_rows(self, folder: Path, config: GenerationConfig, dataset: UnlabelledDataset, details: Any) -> list[Row]:
        known = training_pictures(config.model_dump_json())
        names = self.names(config, known.dataset)
        return drawn_rows(details[1], names)

    def groups_of(self, dataset: UnlabelledDataset) -> None:
        return None  # rows are drawn pictures, of no patient

    def figures(self, config: GenerationConfig, cases: Cases) -> dict[str, Measure]:
        return drawn_figures(cases)

    def draw(self, config: GenerationConfig, model: Any, count: int, seed: int) -> np.ndarray:
        """Return pictures, float32 [count, channels, size, size] from 0 to 1."""
        with no_grad():
            return AdversarialHead().scores(draw_pictures(model, np.arange(count), seed))

    def export_metadata(self, config: GenerationConfig) -> dict[str, Any]:
        latent = self.sees(config)[0]
        given = {"layout": f"N, {latent}, 1, 1", "values": "independent standard normal numbers"}
        return {"positive": "", "preparation": given, "scores": "pictures: (output + 1) / 2, from 0 to 1"}


def as_pictures(dataset: UnlabelledDataset, rows: np.ndarray, config: GenerationConfig) -> np.ndarray:
    """Return images as the networks see them, float32 [n, channels, size, size] from 0 to 1."""
    data = config.data
    return pixels_of(dataset, rows, data.size, data.channels).reshape(len(rows), data.channels, data.size, data.size)


class TrainingPictures:
    """What drawn pictures are compared with: the training pictures and their features."""

    def __init__(self, config: GenerationConfig):
        self.dataset = TASK.open_data(config)["train"]
        self.features = PictureFeatures(config.sampler.features)
        self.pictures = as_pictures(self.dataset, np.arange(len(self.dataset)), config)
        self.rows = self.features(self.pictures)


@lru_cache(maxsize=1)
def training_pictures(config_json: str) -> TrainingPictures:
    """Return the training pictures of a configuration, which validation and test share."""
    return TrainingPictures(GenerationConfig.model_validate_json(config_json))


TASK = Generation()
