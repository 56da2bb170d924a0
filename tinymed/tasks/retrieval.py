"""Retrieval: an embedding for each picture, such that pictures of one class are near each other.

Each batch of the training holds several pictures of several classes, all of which are compared.  A set is measured by
itself: each picture is a query among the others, never itself and, where patients are known, no other of its patient.
The floors are a random order and the cosine of the pixels themselves.
"""

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from ..data.class_batches import ClassBatches
from ..data.dataset import Dataset
from ..data.image import prepare
from ..data.readers import open_dataset
from ..errors import UserError
from ..metrics.measures import Measure
from ..metrics.retrieval import cosine, evaluate_ranking, excluded_pairs, query_measures
from ..schema import Strict, checked, setting
from ..tape import no_grad
from ..tensor import Tensor
from .base.config import named_columns
from .base.options import Options, refuse_idle
from .base.picture import DEFAULTS, PictureConfig, PictureData, PictureTask, picture_loader
from .base.task import Ask, Batches, Fitted, Validate
from .heads.embedding_head import EmbeddingHead
from .inference.class_scores import predict_scores
from .results.retrieval_results import (
    query_figures,
    query_rows,
    query_tables,
    retrieval_text,
    save_retrieval_results,
)
from .results.rows import Cases, Row

FIXED = 2**31  # the epoch whose pairs validation has, every time
PIXELS = 32  # side of the pictures whose pixels are the floor


class EmbeddingConfig(Strict):
    """The embedding that is learnt."""

    panel: ClassVar[str] = "Retrieval"
    loss: Literal["triplet", "contrastive"] = setting("triplet", "What is minimised", shown="the task's own")
    embedding: int = setting(64, "Numbers of an embedding.", ge=2, le=4096)
    margin: float | None = setting(
        None, "By how much pictures of other classes are to be farther.", shown="triplet 0.2, contrastive 1", gt=0, le=2
    )


class RetrievalConfig(PictureConfig):
    """A run that embeds pictures."""

    task: Literal["retrieval"] = setting("retrieval", "What the network learns.", panel="Run")
    head: Literal["embedding"] = "embedding"
    data: PictureData
    retrieval: EmbeddingConfig = EmbeddingConfig()
    monitor: Literal["val_map", "val_loss"] = setting("val_map", "What improves.")


class Retrieval(PictureTask[RetrievalConfig, Dataset]):
    """Pictures of one class near each other."""

    name = "retrieval"
    needs = "labelled pictures, as for classification"
    wants = "retrieval (one row of outputs for each image: its embedding)"
    Config = RetrievalConfig
    defaults: ClassVar[dict[str, Any]] = DEFAULTS
    every_class = True
    embeds = True
    epoch_measures = ("map",)

    def refuse_useless(self, given: Options) -> None:
        super().refuse_useless(given)
        refuse_idle(given, {"class_weights": (False, "batches hold each of their classes equally often")})
        if given.get("batch", DEFAULTS["batch"]) < 4:
            raise UserError(f"--batch {given['batch']}: pairs need room for two images of two classes: 4 or more")

    def complete(
        self, config: RetrievalConfig, sets: dict[str, Dataset], given: Options, ask: Ask | None
    ) -> tuple[RetrievalConfig, list[str]]:
        content = config.model_dump() | {"data": self.data_fields(config, sets, given)}
        result = self.try_model(checked(lambda: RetrievalConfig.model_validate(content)))
        batches = self.pairs(result, sets["train"])
        shape = f"{batches.per_class} images of each of {batches.classes_per_batch} classes"
        lines = [*self.describe(result, sets), f"to learn: an embedding of {config.retrieval.embedding} numbers"]
        return result, [*lines, f"classes {', '.join(result.data.classes)}; a batch has {shape}"]

    def open(self, config: RetrievalConfig, path: str, leaks: str, skip_bad: bool) -> dict[str, Dataset]:
        data = config.data
        return open_dataset(
            path,
            **named_columns(data, "label_column"),
            **data.reading(),
            classes=data.classes or None,
            skip_bad=skip_bad,
            leaks=leaks,
            form=(data.size, data.channels),
        )

    def outputs(self, config: RetrievalConfig) -> int:
        return config.retrieval.embedding

    def head(self, config: RetrievalConfig, model: Any, weighted: bool = True) -> EmbeddingHead:
        part = config.retrieval
        return EmbeddingHead(part.embedding, part.loss, part.margin)

    # -------------------------------------------------------------------------------- training and measuring

    def pairs(self, config: RetrievalConfig, dataset: Dataset) -> ClassBatches:
        """Return batches with several images of several classes."""
        data = config.data
        return ClassBatches(
            dataset,
            config.batch,
            data.size,
            data.channels,
            augment=config.augment.settings(),
            seed=config.seed,
            workers=config.workers,
            mean=data.mean,
            std=data.std,
        )

    def training_batches(self, config: RetrievalConfig, dataset: Dataset, model: Any) -> Batches:
        return self.pairs(config, dataset)

    def validation(self, config: RetrievalConfig, dataset: Dataset) -> tuple[Batches | None, Validate | None]:
        loader = picture_loader(dataset, config)

        def validate(trainer: Fitted) -> dict[str, Any]:
            head = self.head(config, trainer.model)
            rows, _, _ = predict_scores(trainer.model, loader, head, lambda: trainer.stop, trainer.forward)
            if trainer.stop:
                return {}
            result = self.ranking(config, rows, dataset, resamples=0)
            return {"loss": self.paired_loss(config, rows, dataset), "map": result["map"]}

        return None, validate

    def paired_loss(self, config: RetrievalConfig, rows: np.ndarray, dataset: Dataset) -> float:
        """Return the loss of embeddings in fixed batches as those of the training."""
        batches, head = self.pairs(config, dataset), self.head(config, None)
        order, _ = batches.order(FIXED)
        losses = []
        for chosen in order.reshape(-1, batches.batch_size):
            same, different = head.targets(dataset.labels[chosen])
            with no_grad():
                loss = head(Tensor(rows[chosen].astype(np.float32)), (Tensor(same), Tensor(different)))
            losses.append(loss.item())
        return float(np.mean(losses))

    def ranking(
        self, config: RetrievalConfig, rows: np.ndarray, dataset: Dataset, resamples: int, floors: Any = None
    ) -> dict[str, Any]:
        """Return the measures of embeddings of a set whose pictures are each other's gallery."""
        if not np.isfinite(rows).all():
            raise UserError("embeddings are nan or infinite: the training has diverged; try a lower learning rate")
        return evaluate_ranking(
            cosine(rows),
            dataset.labels,
            config.data.classes,
            groups=dataset.groups,
            floors=floors,
            seed=config.seed,
            resamples=resamples,
        )

    def measure(self, config: RetrievalConfig, model: Any, dataset: Dataset) -> tuple[dict[str, Any], np.ndarray]:
        rows, _, _ = predict_scores(model, picture_loader(dataset, config), self.head(config, model))
        loss = self.paired_loss(config, rows, dataset)
        floors = {"cosine of pixels": cosine(pixel_rows(dataset, config.data.channels))}
        return {"loss": loss, **self.ranking(config, rows, dataset, 1000, floors)}, rows

    # ---------------------------------------------------------------------------------------------- results

    def row(self, config: RetrievalConfig, scores: np.ndarray) -> tuple[dict[str, Any], str]:
        shown = ", ".join(f"{value:.3f}" for value in scores[:4])
        text = f"embedding of {len(scores)} numbers: {shown}, ... (`tinymed index` and `tinymed search` compare them)"
        return {"embedding": [float(value) for value in scores]}, text

    def text(self, config: RetrievalConfig, result: dict[str, Any], title: str) -> str:
        return retrieval_text(result, title)

    def save_results(
        self,
        folder: Path,
        config: RetrievalConfig,
        model: Any,
        dataset: Dataset,
        result: dict[str, Any],
        details: Any,
        title: str,
    ) -> None:
        save_retrieval_results(folder, self.names(config, dataset), dataset, details, config.data.channels, title)

    def case_rows(self, folder: Path, config: RetrievalConfig, dataset: Dataset, details: np.ndarray) -> list[Row]:
        labels = dataset.labels
        found = query_measures(
            cosine(details), labels[:, None] == labels[None, :], excluded_pairs(len(labels), dataset.groups)
        )
        return query_rows(self.names(config, dataset), [config.data.classes[i] for i in labels], found)

    def figures(self, config: RetrievalConfig, cases: Cases) -> dict[str, Measure]:
        return query_figures(cases)

    def tables(self, config: RetrievalConfig, cases: Cases) -> dict[str, dict[str, dict[str, Measure]]]:
        return query_tables(cases, config.data.classes)

    def export_metadata(self, config: RetrievalConfig) -> dict[str, Any]:
        return super().export_metadata(config) | {"scores": "divided by its Euclidean length: compare by the cosine"}


def pixel_rows(dataset: Dataset, channels: int) -> np.ndarray:
    """Return the pixels of every picture at 32 x 32, float32 [n, 32 * 32 * channels]: what needs no learning."""
    rows = [prepare(dataset.image(i), PIXELS, channels).astype(np.float32).ravel() for i in range(len(dataset))]
    return np.stack(rows)


TASK = Retrieval()
