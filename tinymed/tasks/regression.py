"""Regression: one number for each picture, such as the age of the bones, in the unit of the list.

The numbers are standardised by the training set's mean and deviation, which the configuration keeps (and with it every
checkpoint and every exported file), so that predictions come out in the user's unit.
"""

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from ..data.values import ValueDataset, open_values
from ..errors import UserError
from ..metrics.agreement import evaluate_values
from ..metrics.measures import Measure
from ..schema import Strict, checked, setting
from .base.config import named_columns
from .base.options import Options, refuse_idle
from .base.picture import DEFAULTS, PictureConfig, PictureData, PictureTask
from .base.task import Ask
from .heads.value_head import ValueHead
from .results.rows import Cases, Row
from .results.value_results import save_value_results, value_figures, value_rows, value_text


class TargetConfig(Strict):
    """The number that is learnt."""

    panel: ClassVar[str] = "Regression"
    loss: Literal["huber", "l1", "mse"] = setting("huber", "What is minimised")
    unit: str = setting("", "Unit of the number, for tables and pictures, such as months.")
    mean: float = 0.0  # of the training set, as the rest
    std: float = 1.0
    median: float = 0.0


class RegressionConfig(PictureConfig):
    """A run that predicts a number."""

    task: Literal["regression"] = setting("regression", "What the network learns.", panel="Run")
    head: Literal["value"] = "value"
    data: PictureData
    target: TargetConfig = TargetConfig()
    monitor: Literal["val_loss", "val_mae", "val_rmse"] = setting("val_loss", "What improves.")


class Regression(PictureTask[RegressionConfig, ValueDataset]):
    """One number for each picture."""

    name = "regression"
    needs = "a .csv list with a column of numbers, or folders named by numbers"
    wants = "regression (one row of outputs for each image)"
    Config = RegressionConfig
    defaults: ClassVar[dict[str, Any]] = {**DEFAULTS, "model": "bonet"}
    epoch_measures = ("mae", "rmse", "r2")

    def refuse_useless(self, given: Options) -> None:
        super().refuse_useless(given)
        refuse_idle(given, {"class_weights": (False, "a number has no classes")})

    def complete(
        self, config: RegressionConfig, sets: dict[str, ValueDataset], given: Options, ask: Ask | None
    ) -> tuple[RegressionConfig, list[str]]:
        train = sets["train"].values
        column, unit = sets["train"].classes[0], config.target.unit
        if train.min() == train.max():
            raise UserError(
                f"{config.data.path}: {column!r} is {train[0]:g} in all {len(train)} images of train, so there is "
                "nothing to learn; name another column with --label-column, or add images"
            )
        learnt = {"mean": float(train.mean()), "std": float(train.std()), "median": float(np.median(train))}
        content = config.model_dump() | {
            "data": self.data_fields(config, sets, given),
            "target": config.target.model_dump() | learnt,
        }
        result = self.try_model(checked(lambda: RegressionConfig.model_validate(content)))
        said = f"to learn: {column}, {train.min():g} to {train.max():g} {unit}".rstrip()
        return result, [*self.describe(result, sets), f"{said}, mean {learnt['mean']:.4g}, sd {learnt['std']:.4g}"]

    def open(self, config: RegressionConfig, path: str, leaks: str, skip_bad: bool) -> dict[str, ValueDataset]:
        data = config.data
        columns = named_columns(data, "label_column")
        return open_values(path, **columns, skip_bad=skip_bad, leaks=leaks, **data.reading())

    def outputs(self, config: RegressionConfig) -> int:
        return 1

    def head(self, config: RegressionConfig, model: Any, weighted: bool = True) -> ValueHead:
        return ValueHead(config.target.mean, config.target.std, config.target.loss)

    def evaluate(
        self, config: RegressionConfig, scores: np.ndarray, truth: np.ndarray, resamples: int
    ) -> dict[str, Any]:
        floors = {"median": config.target.median, "mean": config.target.mean}
        return evaluate_values(scores[:, 0], truth, config.seed, floors=floors, resamples=resamples)

    def row(self, config: RegressionConfig, scores: np.ndarray) -> tuple[dict[str, Any], str]:
        name, unit, value = config.data.classes[0], config.target.unit, float(scores[0])
        return {"target": name, "value": value, "unit": unit}, f"{name} {value:.4g} {unit}".rstrip()

    def text(self, config: RegressionConfig, result: dict[str, Any], title: str) -> str:
        return value_text(result, title, config.target.unit)

    def save_results(
        self,
        folder: Path,
        config: RegressionConfig,
        model: Any,
        dataset: ValueDataset,
        result: dict[str, Any],
        details: Any,
        title: str,
    ) -> None:
        scores, truth = details
        shown = " ".join(filter(None, [config.data.classes[0], config.target.unit and f"({config.target.unit})"]))
        save_value_results(folder, truth, scores[:, 0], result, shown, title)

    def case_rows(self, folder: Path, config: RegressionConfig, dataset: ValueDataset, details: Any) -> list[Row]:
        scores, truth = details
        return value_rows(self.names(config, dataset), truth, scores[:, 0])

    def figures(self, config: RegressionConfig, cases: Cases) -> dict[str, Measure]:
        return value_figures(cases, config.seed)

    def case_errors(self, config: RegressionConfig, cases: Cases) -> np.ndarray:
        return np.abs(cases.numbers("true") - cases.numbers("predicted"))

    def output_names(self, config: RegressionConfig) -> list[str]:
        return config.data.classes

    def export_metadata(self, config: RegressionConfig) -> dict[str, Any]:
        target = {"name": config.data.classes[0], **config.target.model_dump()}
        return super().export_metadata(config) | {
            "target": target,
            "scores": "number = target.mean + target.std * output",
        }


MEANING = "number = target.mean + target.std * output"
TASK = Regression()
