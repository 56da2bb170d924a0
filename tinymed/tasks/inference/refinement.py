"""Post-processing that is chosen on the validation set and measured beside its absence, image by image.

Every candidate is measured on the same scores of the validation cases (of at most CHOSEN_ON, where a field is to be
chosen).  The best stays if it is better than the first one, which does nothing, by more than one standard error of
their paired difference: so that noise chooses nothing (the one-standard-error rule, Breiman et al. 1984).  The test set
is looked at once, with what was chosen.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...data.masks import MaskDataset
from ...errors import UserError
from ...files import write_json
from ...metrics.mask_cases import OBJECTS, Row, paired_difference, summarise
from ...metrics.segmentation import mean_over_labels
from ...postprocess.dense_crf import CrfSettings
from ...postprocess.steps import Refinement, parse_steps
from ..heads.mask_head import MaskHead
from .case_scores import ScoredCase, measure_scored

CHOSEN = "refinement.json"  # in a run's folder: what was chosen last
CHOSEN_ON = 16  # validation cases, spread over the set
AUTO, AUTO_OBJECTS = "auto", "auto-objects"
CLEANING = ("", "fill", "largest", "largest,fill", "least=50", "least=50,fill", "grow=0.3", "grow=0.3,fill")
THRESHOLDS = tuple(f"threshold={t}{more}" for t in (0.3, 0.4, 0.6) for more in ("", ",largest,fill"))
SEPARATING = ("objects", "least=50,objects", "threshold=0.6,objects", "threshold=0.7,objects", "threshold=0.8,objects")
FLOODING = tuple(f"watershed={sure},least={least}" for sure in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95) for least in (1, 20, 60))
FIELDS = {  # by dimensions: weights, distances and contrasts of the dense CRF
    2: [(w, d, c) for d, c in ((20, 10), (40, 20)) for w in (3, 8)],
    3: [(w, d, c) for d, c in ((3, 15), (6, 25)) for w in (3, 8)],
}


class Wanted(NamedTuple):
    """What the command line asks for: --postprocess and --crf, as they were written."""

    postprocess: str | None
    crf: str | None

    def given(self) -> Refinement | None:
        """Return what the texts name; None where something is still to be chosen."""
        if self.postprocess in (AUTO, AUTO_OBJECTS) or self.crf == AUTO:
            return None
        return Refinement(
            parse_steps(self.postprocess or ""), None if self.crf is None else CrfSettings.parse(self.crf)
        )


class Choice(NamedTuple):
    """A refinement, how many validation cases it was chosen on (0: it was given), and what candidates reached there."""

    refine: Refinement
    cases: int
    tried: dict[str, float]


def candidates(wanted: Wanted, classes: int, dimensions: int) -> tuple[list[CrfSettings | None], list[str]]:
    """Return the fields and the steps to choose from; a single one where it was given."""
    fields: list[CrfSettings | None] = [None]
    if wanted.crf == AUTO:
        fields += [CrfSettings(appearance=w, distance=d, contrast=c) for w, d, c in FIELDS[dimensions]]
    elif wanted.crf is not None:
        fields = [CrfSettings.parse(wanted.crf)]
    steps = [wanted.postprocess or ""]
    if wanted.postprocess == AUTO:
        steps = [*CLEANING, *(THRESHOLDS if classes == 2 else ())]
    elif wanted.postprocess == AUTO_OBJECTS:
        steps = [*(s for s in SEPARATING if classes == 2 or "threshold" not in s), *FLOODING]
    return fields, steps


def choose(
    wanted: Wanted, cases: Iterable[ScoredCase], measure: Callable[[ScoredCase, Refinement], Row], classes: int
) -> Choice:
    """Return the refinement of the best mean on validation cases: the field first, then the steps upon it.

    The measure is Dice over the classes but the background, or the aggregated Jaccard index of objects.
    """
    given = wanted.given()
    if given is not None:
        return Choice(given, 0, {})
    kept = list(cases)
    tried: dict[str, float] = {}
    fields, texts = candidates(wanted, classes, kept[0].mask.ndim)

    def reached(field: CrfSettings | None, text: str) -> np.ndarray:
        """Return the measure of each case, nan where it is undefined."""
        refine = Refinement(parse_steps(text))
        name = "aji" if refine.separates else "dice"
        values = np.array([overall(measure(case, refine), name) for case in filtered(field)], np.float64)
        shown = f"{refine.text()}; crf {field.text() if field else 'none'}"
        tried[shown] = float(np.nanmean(values)) if np.isfinite(values).any() else 0.0
        return values

    @lru_cache(maxsize=1)  # filtered once, for all steps
    def filtered(field: CrfSettings | None) -> list[ScoredCase]:
        alone = Refinement(crf=field)
        return [case._replace(scores=alone.scores(case.scores, case.image, case.spacing)) for case in kept]

    field, text = fields[0], texts[0]
    if len(fields) > 1:
        first = "" if len(texts) > 1 else text
        field = fields[best_of([reached(f, first) for f in fields])]
    if len(texts) > 1:
        text = texts[best_of([reached(field, t) for t in texts])]
    return Choice(Refinement(parse_steps(text), field), len(kept), tried)


def best_of(values: Sequence[np.ndarray]) -> int:
    """Return which candidate has the best mean over cases; 0 unless it is better by more than one standard error.

    values: of each candidate, a number a case, nan where it is undefined.

    Example:
        >>> best_of([np.array([0.5, 0.6, 0.7]), np.array([0.6, 0.7, 0.7])]), best_of([np.zeros(2), np.array([9, -1])])
        (1, 0)
    """
    gains = [v - values[0] for v in values]
    gains = [gain[np.isfinite(gain)] for gain in gains]
    means = [float(gain.mean()) if gain.size else 0.0 for gain in gains]
    best = int(np.argmax(means))
    error = gains[best].std(ddof=1) / np.sqrt(gains[best].size) if gains[best].size > 1 else np.inf
    return best if means[best] > error else 0


def overall(row: Row, name: str) -> float | None:
    """Return a measure of a case, averaged over its classes but the background."""
    value = row[name]
    return mean_over_labels(value) if isinstance(value, list) else value


def measure_beside(
    choice: Choice,
    cases: Iterable[ScoredCase],
    head: MaskHead,
    classes: Sequence[str],
    boundary: bool = False,
    regions: Mapping[str, Sequence[int]] | None = None,
) -> dict[str, Any]:
    """Return the measures of the refined cases, with those without the refinement and paired differences."""
    refine = choice.refine
    plain = Refinement(parse_steps("objects")) if refine.separates else Refinement()
    rows: list[Row] = []
    without: list[Row] = []
    for case in cases:
        rows.append(measure_scored(case, head, refine, boundary, distances=True, regions=regions))
        without.append(measure_scored(case, head, plain, boundary, distances=True, regions=regions))
    result, before = summarise(rows, classes), summarise(without, classes)
    names = [name for name in ("dice", "hd95", *OBJECTS) if name in result]
    differences = {
        name: paired_difference([(overall(a, name), overall(b, name)) for a, b in zip(rows, without, strict=True)])
        for name in names
    }
    result["refinement"] = {
        "postprocess": refine.text(),
        "crf": refine.crf.text() if refine.crf else None,
        "chosen_on": choice.cases,
        "tried": {text: round(value, 5) for text, value in choice.tried.items()},
        "without": {key: before[key] for name in names for key in (name, f"{name}_interval")},
        "difference": differences,
    }
    return result


def validation_cases(wanted: Wanted, val: Callable[[], MaskDataset]) -> MaskDataset:
    """Return the set to choose on; of a large one CHOSEN_ON cases at even distances, where a field is to be chosen."""
    dataset = val()
    if wanted.crf != AUTO or len(dataset) <= CHOSEN_ON:
        return dataset
    return dataset.subset(np.rint(np.linspace(0, len(dataset) - 1, CHOSEN_ON)).astype(int))


def save_choice(folder: Path, choice: Choice) -> None:
    """Write down what was chosen, for `tinymed predict`."""
    refine = choice.refine
    text = "" if refine.text() == "none" else refine.text()
    write_json(folder / CHOSEN, {"postprocess": text, "crf": refine.crf.text() if refine.crf else None})


def chosen_before(folder: Path, wanted: Wanted) -> Refinement:
    """Return what the texts name; "auto" is what `tinymed evaluate` chose for the run.

    Raises UserError where it has chosen nothing, or not the part that is asked for.
    """
    given = wanted.given()
    if given is not None:
        return given
    try:
        found = json.loads((folder / CHOSEN).read_text("utf-8"))
        steps, crf = str(found["postprocess"]), found["crf"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"{folder}: nothing is chosen yet; choose on the validation images with: tinymed evaluate {folder} "
            "--postprocess auto, or name the steps"
        ) from None
    steps = steps if wanted.postprocess in (AUTO, AUTO_OBJECTS) else wanted.postprocess or ""
    crf = crf if wanted.crf == AUTO else wanted.crf
    return Refinement(parse_steps(steps), None if crf is None else CrfSettings.parse(crf))
