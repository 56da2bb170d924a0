"""Ordinal grading: one of several ordered grades for each picture, where a miss by one is less than a miss by three.

The network gives probabilities that agree with the order (see `heads/grade_heads.py`); their median is the grade, since
that makes the mean error in grades least.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator

from ..data.dataset import Dataset
from ..data.readers import open_dataset, with_classes
from ..errors import UserError
from ..metrics.grades import decide, evaluate_grades
from ..metrics.measures import Measure
from ..schema import checked, setting
from .base.config import named_columns, parse_names
from .base.options import Options
from .base.picture import PictureConfig, PictureData, PictureTask
from .base.task import Ask
from .heads.class_heads import SoftmaxHead
from .heads.class_weights import parse_weights
from .heads.grade_heads import CornHead, make_grade_head, outputs_for
from .results.grade_results import grade_figures, grade_rows, grade_text, save_grade_results
from .results.rows import Cases, Row

NUMBERED = re.compile(r"^(.*?)(\d+(?:\.\d+)?)$")


def in_order(names: Sequence[str], where: str) -> list[str]:
    """Return grades by the numbers that end their names.  Raises UserError where they have none."""
    found = [NUMBERED.match(name) for name in names]
    prefixes = {match.group(1).strip().casefold() if match else None for match in found}
    numbers = [float(match.group(2)) for match in found if match]
    if len(prefixes) > 1 or None in prefixes or len(set(numbers)) < len(names):
        raise UserError(
            f"{where}: the order of the grades {', '.join(names)} cannot be told from their names",
            {"grades='LOWEST,...,HIGHEST'": "say it with {}"},
        )
    return [name for _, name in sorted(zip(numbers, names, strict=True))]


class OrdinalData(PictureData):
    """What grading reads beside images."""

    grades: Annotated[list[str], BeforeValidator(parse_names)] = setting(
        [], "The grades in their order, lowest first: A,B,C; by default by the numbers that end their names."
    )


class OrdinalConfig(PictureConfig):
    """A run that grades."""

    task: Literal["ordinal"] = setting("ordinal", "What the network learns.", panel="Run")
    head: Literal["corn", "softmax"] = setting("corn", "What the outputs mean", panel="Model")
    data: OrdinalData
    decision: Literal["median", "mean", "mode"] = setting(
        "median", "What of the probabilities is the grade", panel="Ordinal"
    )
    frequencies: list[int] = []  # of the grades in the training set
    monitor: Literal["val_loss", "val_accuracy", "val_mae", "val_quadratic_kappa"] = setting(
        "val_loss", "What improves."
    )


class Ordinal(PictureTask[OrdinalConfig, Dataset]):
    """One of several ordered grades for each picture."""

    name = "ordinal"
    needs = "folders of grades, or a .csv list with a column of them"
    wants = "ordinal grading (one row of outputs for each image)"
    Config = OrdinalConfig
    every_class = True
    epoch_measures = ("accuracy", "mae", "quadratic_kappa")

    def complete(
        self, config: OrdinalConfig, sets: dict[str, Dataset], given: Options, ask: Ask | None
    ) -> tuple[OrdinalConfig, list[str]]:
        counts = sets["train"].counts()
        absent = [name for name, count in counts.items() if not count]
        if absent:
            raise UserError(f"{config.data.path}: no image of train has the grade {', '.join(absent)}")
        grades = list(counts)
        content = config.model_dump() | {
            "data": self.data_fields(config, sets, given),
            "frequencies": list(counts.values()),
            "class_weights": parse_weights(given.get("class_weights", "none"), grades, counts),
        }
        result = self.try_model(checked(lambda: OrdinalConfig.model_validate(content)))
        found = ", ".join(f"{name} {count}" for name, count in counts.items())
        return result, [*self.describe(result, sets), f"grades, lowest first: {found}"]

    def open(self, config: OrdinalConfig, path: str, leaks: str, skip_bad: bool) -> dict[str, Dataset]:
        data = config.data
        order = data.classes or data.grades
        sets = open_dataset(
            path,
            **named_columns(data, "label_column"),
            **data.reading(),
            classes=order or None,
            skip_bad=skip_bad,
            leaks=leaks,
            form=(data.size, data.channels),
        )
        first = next(iter(sets.values()))
        order = order or in_order(first.classes, path)
        if len(order) < 2:
            raise UserError(f"{path}: only one grade ({', '.join(order) or 'none'}); grading needs two or more")
        return {name: with_classes(part, order) for name, part in sets.items()}

    def outputs(self, config: OrdinalConfig) -> int:
        grades = config.data.classes or config.data.grades
        return outputs_for(config.head, len(grades)) if grades else 0

    def head(self, config: OrdinalConfig, model: Any, weighted: bool = True) -> CornHead | SoftmaxHead:
        weights = config.class_weights if weighted else None
        return make_grade_head(config.head, len(config.data.classes), weights, config.decision)

    def evaluate(self, config: OrdinalConfig, scores: np.ndarray, truth: np.ndarray, resamples: int) -> dict[str, Any]:
        counts = np.array(config.frequencies)
        median = int((np.cumsum(counts) < counts.sum() / 2).sum())
        return evaluate_grades(
            scores,
            truth,
            config.data.classes,
            config.seed,
            decision=config.decision,
            floors={"most frequent": int(counts.argmax()), "median": median},
            resamples=resamples,
        )

    def row(self, config: OrdinalConfig, scores: np.ndarray) -> tuple[dict[str, Any], str]:
        grades = config.data.classes
        best = int(decide(scores[None], config.decision)[0])
        expected = float(scores @ np.arange(len(grades)))
        each = {name: float(score) for name, score in zip(grades, scores, strict=True)}
        row = {"grade": grades[best], "number": best, "expected": expected, "probabilities": each}
        return row, f"{grades[best]} (expected number {expected:.2f} of 0 to {len(grades) - 1})"

    def text(self, config: OrdinalConfig, result: dict[str, Any], title: str) -> str:
        return grade_text(result, title)

    def save_results(
        self,
        folder: Path,
        config: OrdinalConfig,
        model: Any,
        dataset: Dataset,
        result: dict[str, Any],
        details: Any,
        title: str,
    ) -> None:
        scores, truth = details
        save_grade_results(folder, truth, scores, result, title)

    def case_rows(self, folder: Path, config: OrdinalConfig, dataset: Dataset, details: Any) -> list[Row]:
        scores, truth = details
        return grade_rows(self.names(config, dataset), truth, scores, config.data.classes, config.decision)

    def figures(self, config: OrdinalConfig, cases: Cases) -> dict[str, Measure]:
        return grade_figures(cases, config.data.classes, config.seed)

    def case_errors(self, config: OrdinalConfig, cases: Cases) -> np.ndarray:
        return np.abs(cases.numbers("true_number") - cases.numbers("expected"))

    def output_names(self, config: OrdinalConfig) -> list[str]:
        grades = config.data.classes
        return [f"above {name}" for name in grades[:-1]] if config.head == "corn" else grades

    def export_metadata(self, config: OrdinalConfig) -> dict[str, Any]:
        return super().export_metadata(config) | {"decision": config.decision, "scores": MEANING[config.head]}


MEANING = {
    "corn": "the product of the first k + 1 sigmoids is the probability of a grade above number k",
    "softmax": "softmax over the outputs, the probabilities of the grades",
}
TASK = Ordinal()
