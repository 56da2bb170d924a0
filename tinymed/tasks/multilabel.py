"""Several findings for each picture, each there or not there: lists such as "Edema|Mass", or a column of 0 and 1 each.

What is uncertain (-1) or blank is missing: neither learnt from nor measured, unless --uncertain or --blank says
otherwise.  A positive image of a rare finding weighs more in the loss (--class-weights), so that the score 0.5 parts
images about evenly; the scores are then no frequencies, which --class-weights none keeps them to be.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator

from ..data.arrays import is_archive
from ..data.findings import FindingDataset, open_findings
from ..errors import UserError
from ..metrics.findings import evaluate_findings
from ..metrics.measures import Measure
from ..metrics.medmnist import evaluator_figures, evaluator_line
from ..schema import checked, setting
from .base.config import named_columns, parse_names
from .base.options import Options
from .base.picture import PictureConfig, PictureData, PictureTask
from .base.task import Ask
from .heads.finding_head import FindingHead, positive_weights
from .results.finding_results import (
    finding_figures,
    finding_rows,
    finding_tables,
    finding_text,
    save_finding_results,
)
from .results.rows import Cases, Row


class FindingData(PictureData):
    """What these runs read beside images."""

    findings: Annotated[list[str], BeforeValidator(parse_names)] = setting(
        [], "Findings to learn, or their columns: A,B,C; by default all that the list has."
    )
    separator: str | None = setting(None, "What divides the findings in a field; by default | ; or ,.")
    uncertain: Literal["ignore", "positive", "negative"] = setting("ignore", "What -1 in a finding's column is")
    blank: Literal["ignore", "negative"] = setting("ignore", "What an empty field in a finding's column is")


class MultilabelConfig(PictureConfig):
    """A run that learns several findings."""

    task: Literal["multilabel"] = setting("multilabel", "What the network learns.", panel="Run")
    head: Literal["sigmoid"] = "sigmoid"
    data: FindingData
    prevalence: list[float] = []  # of the findings in the training set
    monitor: Literal["val_loss", "val_macro_auc", "val_micro_auc"] = setting("val_loss", "What improves.")


class Multilabel(PictureTask[MultilabelConfig, FindingDataset]):
    """Several findings for each picture."""

    name = "multilabel"
    needs = "a .csv list with a column of findings, or one column of 0 and 1 a finding"
    wants = "several labels (one row of outputs for each image)"
    Config = MultilabelConfig
    epoch_measures = ("macro_auc", "micro_auc", "subset_accuracy")

    def complete(
        self, config: MultilabelConfig, sets: dict[str, FindingDataset], given: Options, ask: Ask | None
    ) -> tuple[MultilabelConfig, list[str]]:
        train = sets["train"]
        positives, known = train.counts(), train.known()
        for name in train.classes:
            if positives[name] in (0, known[name]):
                kind = "without" if positives[name] else "with"
                raise UserError(
                    f"{config.data.path}: no image of train is known to be {kind} {name!r}, so it cannot be learnt; "
                    "leave it out by naming the others with --findings"
                )
        weights = given.get("class_weights", "balanced")
        content = config.model_dump() | {
            "data": self.data_fields(config, sets, given),
            "prevalence": [positives[name] / known[name] for name in train.classes],
            "class_weights": positive_weights(weights, train.classes, list(positives.values()), list(known.values())),
        }
        result = self.try_model(checked(lambda: MultilabelConfig.model_validate(content)))
        found = ", ".join(f"{name} {positives[name]} of {known[name]}" for name in train.classes)
        lines = [*self.describe(result, sets), f"findings to learn from: {found}"]
        if len(train.classes) > 1 and ((train.findings == 1).sum(axis=1) < 2).all():
            lines.append("note: no image of train has several findings; --task classification learns one class each")
        return result, lines

    def open(self, config: MultilabelConfig, path: str, leaks: str, skip_bad: bool) -> dict[str, FindingDataset]:
        data = config.data
        return open_findings(
            path,
            **named_columns(data, "label_column"),
            findings=data.findings,
            classes=data.classes or None,
            separator=data.separator,
            uncertain=data.uncertain,
            blank=data.blank,
            skip_bad=skip_bad,
            leaks=leaks,
            **data.reading(),
        )

    def outputs(self, config: MultilabelConfig) -> int:
        return len(config.data.classes or config.data.findings)

    def head(self, config: MultilabelConfig, model: Any, weighted: bool = True) -> FindingHead:
        return FindingHead(len(config.data.classes), config.class_weights if weighted else None)

    def evaluate(
        self, config: MultilabelConfig, scores: np.ndarray, truth: np.ndarray, resamples: int
    ) -> dict[str, Any]:
        names, prevalence = config.data.classes, config.prevalence
        found = evaluate_findings(scores, truth, names, config.seed, prevalence=prevalence, resamples=resamples)
        return found | ({"medmnist": evaluator_figures(scores, truth)} if is_archive(config.data.path) else {})

    def row(self, config: MultilabelConfig, scores: np.ndarray) -> tuple[dict[str, Any], str]:
        each = {name: float(score) for name, score in zip(config.data.classes, scores, strict=True)}
        there = [name for name, score in each.items() if score >= 0.5]
        shown = ", ".join(f"{name} {100 * each[name]:.1f} %" for name in there) or "no finding"
        return {"findings": there, "scores": each}, shown

    def text(self, config: MultilabelConfig, result: dict[str, Any], title: str) -> str:
        text = finding_text(result, title)
        return f"{text}\n{evaluator_line(result['medmnist'])}" if "medmnist" in result else text

    def save_results(
        self,
        folder: Path,
        config: MultilabelConfig,
        model: Any,
        dataset: FindingDataset,
        result: dict[str, Any],
        details: Any,
        title: str,
    ) -> None:
        scores, truth = details
        save_finding_results(folder, truth, scores, result, title)

    def case_rows(self, folder: Path, config: MultilabelConfig, dataset: FindingDataset, details: Any) -> list[Row]:
        scores, truth = details
        return finding_rows(self.names(config, dataset), truth, scores, config.data.classes)

    def figures(self, config: MultilabelConfig, cases: Cases) -> dict[str, Measure]:
        return finding_figures(cases, config.data.classes)

    def tables(self, config: MultilabelConfig, cases: Cases) -> dict[str, dict[str, dict[str, Measure]]]:
        return finding_tables(cases, config.data.classes, config.seed)

    def case_errors(self, config: MultilabelConfig, cases: Cases) -> np.ndarray:
        findings = config.data.classes
        truth = np.stack([cases.numbers(name) for name in findings], axis=1)
        missed = np.abs(truth - cases.table("score", findings))
        errors: np.ndarray = np.where(np.isnan(missed), -np.inf, missed).max(axis=1)
        return errors

    def output_names(self, config: MultilabelConfig) -> list[str]:
        return config.data.classes

    def export_metadata(self, config: MultilabelConfig) -> dict[str, Any]:
        scores = "sigmoid of each output; a finding is there from 0.5 on"
        return super().export_metadata(config) | {"positive_weights": config.class_weights, "scores": scores}


TASK = Multilabel()
