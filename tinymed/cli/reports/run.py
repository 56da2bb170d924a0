"""The report of a run, section by section."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...report.claim import checklist
from ...report.document import Document
from ...report.tables import interval, number
from ...train.run import METRICS, PREDICTIONS
from .answers import answers_of
from .cases import case_section, left_section
from .data_card import data_section, open_sets, rule_of_split
from .results import (
    calibration_section,
    discrimination_section,
    measures_of,
    results_section,
    spaced,
    subgroup_section,
    threshold_section,
)
from .source import Source, as_written, open_source
from .training import configuration_section, cost_section, curves_section, environment_section, files_section


def report_run(folder: Path, cases: int, method: str | None, subgroups: Sequence[str]) -> Document:
    """Return the report of a run.

    Args:
        folder: The run's.
        cases: How many of the worst and of the typical cases.
        method: Which maps; None for none.
        subgroups: Columns of the list.

    Raises:
        UserError: A file of the run is missing or damaged; the message names it.
    """
    source = open_source(folder)
    remedy = f"delete it, and `tinymed evaluate {folder}` writes it anew"
    with as_written(folder / PREDICTIONS, remedy):
        source.run.task.figures(source.config, source.cases)
        of_cases = case_section(source, cases, method)
        of_scores = discrimination_section(source)
        of_calibration = calibration_section(source)
    sets, why = open_sets(source)
    rule = rule_of_split(source, sets)
    drawn = {"roc.png", "confusion.png"} if len(of_scores.blocks) > 1 else set()
    with as_written(folder / METRICS, f"`tinymed train --resume {folder}` writes it anew"):
        sections = [
            data_section(source, sets, why),
            results_section(source),
            of_scores,
            of_calibration,
            threshold_section(source),
            subgroup_section(source, sets, subgroups),
            of_cases,
            left_section(source, drawn),
            configuration_section(source.config),
            curves_section(source),
            cost_section(source),
            environment_section([folder]),
            checklist(answers_of(source, sets, rule, bool(subgroups))),
            files_section(source),
        ]
        lead = [rule, headline(source)]
    return Document(f"Report of {source.config.model}: {source.run.task.name}", lead, sections)


def headline(source: Source) -> str:
    """Return the first measures in one line."""
    found: dict[str, Any] = source.measured
    names = measures_of(found)[:4]
    told = [f"{spaced(n)} {number(found[n], 3)} {interval(found[f'{n}_interval'])}".rstrip() for n in names]
    return f"On {source.part}, n = {found.get('n')}: {', '.join(told)} (95 % intervals)."
