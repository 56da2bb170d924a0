"""The report of a cross-validation: pooled and per-fold figures, and where the folds' own reports are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UserError
from ...files import read_json
from ...report.claim import checklist
from ...report.document import Block, Document, Missing, Picture, Section, Table, Text, facts
from ...report.fold_curves import save_fold_curves
from ...report.tables import interval, number
from ...tasks.results.rows import Cases, read_cases
from ...train.run import LOG, Run
from .answers import initial, network, preparation
from .cases import case_section
from .data_card import source_name
from .pictures import drawn
from .pooled import Folds, calibration_over_folds, open_runs, subgroups_over_folds, threshold_over_folds
from .results import NO_CLASSES, note_texts, scores_section, spaced
from .source import Source, as_written, file_hash, read_history
from .training import configuration_section, environment_section, model_rows

CV, PREDICTIONS = "cv.json", "predictions.csv"
PICTURES = ("pictures", "Pictures of the run")
Report = dict[str, Any]


def is_cross_validation(folder: Path) -> bool:
    """Return whether a folder is a cross-validation's."""
    return (folder / CV).is_file()


def backend_of_folds(folder: Path) -> str:
    """Return the backend of the first fold that is there.  Raises UserError where there is none."""
    found = sorted(path.parent for path in folder.glob("*/config.json"))
    if not found:
        raise UserError(f"{folder}: holds no folds; repeat `tinymed cv` with --out {folder}")
    backend: str = Run.open(found[0]).config.backend
    return backend


def report_folds(folder: Path, cases: int, method: str | None, subgroups: Sequence[str]) -> Document:
    """Return the report of a cross-validation.

    Args:
        folder: Of the cross-validation.
        cases: How many of the worst and of the typical cases.
        method: Which maps; None for none.
        subgroups: Columns of the list.

    Raises:
        UserError: A file is missing or damaged; the message names it.
    """
    report = read_json(folder / CV)
    remedy = f"repeat `tinymed cv` with --out {folder}"
    with as_written(folder / CV, remedy):
        names = list(next(iter(report["figures"].values()))["folds"])
        if any(Path(name).name != name for name in names):
            raise ValueError("the name of a fold is no name of a folder")
        run = Run.open(folder / names[0])
        figures = figure_table(report, names)
    pooled = read_cases(folder / PREDICTIONS)
    with as_written(folder / PREDICTIONS, remedy):
        folds = Folds(open_runs(folder, names), pooled)
        rest = [data_section(report, pooled), score_section(run, pooled), calibration_over_folds(folds)]
        rest += [threshold_over_folds(folds), subgroups_over_folds(folds, subgroups)]
        rest.append(case_section(Source(run, {}, pooled, "all folds"), cases, method, folds.runs))
    with as_written(folder / CV, remedy):
        picture = fold_picture(folder)
        notes = note_texts(report["warnings"])
        lead = [f"Division of the images: {report['division']}.", headline(report)]
        sections = [rest[0], Section("results", "Results with intervals", [figures, *notes, picture]), *rest[1:]]
        sections.append(of_one_run(folder / names[0], *PICTURES))
        sections += [configuration(run, report), curve_section(folder, names, run)]
        sections.append(fold_section(folder, names))
        sections.append(environment_section([folder / name for name in names]))
        sections += [checklist(answers(run, report)), files(folder, names)]
    return Document(f"Cross-validation of {report['model']}: {report['task']}", lead, sections)


def headline(report: Report) -> str:
    """Return the first measures in one line."""
    figures = list(report["figures"].items())[:4]
    told = [f"{spaced(name)} {number(f['value'], 3)} {interval(f['interval'])}".rstrip() for name, f in figures]
    return f"{report['n']} images, each measured by a network that did not see it: {', '.join(told)} (95 % intervals)."


def of_one_run(fold: Path, key: str, title: str) -> Section:
    """Return a section that only the report of one run has."""
    told = f"it is of one network; tinymed report {fold} has it for that fold"
    return Section(key, title, [Missing(told)])


def answers(run: Run, report: Report) -> dict[str, str]:
    """Return what a cross-validation answers of the CLAIM checklist."""
    config, level = run.config, f"{100 * report.get('level', 0.95):g} %"
    shared = {"network": network(config), "initial": initial(config), "preparation": preparation(config)}
    return shared | {
        "sources": "in part: see Data card; their origin is for the author",
        "sizes": f"in part: {report['n']:,} images; why so many is for the author",
        "division": report["division"],
        "disjoint": "see Data card, groups in two folds; copies are in the reports of the folds",
        "versions": "see Environment",
        "training": f"see Configuration; {report['folds']} x {report['repeats']} models",
        "selection": f"weights {config.keep} of each fold, by {config.monitor} on a validation part of its train part",
        "ensemble": "none: each image is measured by one network",
        "measures": ", ".join(spaced(name) for name in report["figures"]),
        "uncertainty": f"{level} intervals, and the deviation over folds",
        "performance": headline(report),
        "accuracy": f"see Results with intervals, n = {report['n']}",
        "availability": "in part: hashes of the files, in the last section; where they lie is for the author",
    }


def figure_table(report: Report, names: list[str]) -> Table:
    """Return a row a measure: pooled, with its interval, and each fold."""
    rows = []
    for name, row in report["figures"].items():
        cells = [number(row["folds"][fold]["value"], 3) for fold in names] if len(names) <= 10 else []
        spread = number(row["mean"], 3), number(row["deviation"], 3)
        rows.append((spaced(name), number(row["value"]), interval(row["interval"]), *spread, *cells))
    head = ("measure", "pooled", "95 %", "mean of folds", "deviation", *(names if len(names) <= 10 else ()))
    return Table(f"{report['model']}, n = {report['n']}", head, rows)


def fold_picture(folder: Path) -> Block:
    """Return the picture that the cross-validation drew."""
    path = folder / "cv.png"
    if not path.is_file():
        return Missing(f"{path.name} is not there")
    caption = "Line and band: all images with the 95 % interval; points: the folds with theirs"
    return Picture(path.read_bytes, f"{caption}. The numbers are in the table above.", caption)


def data_section(report: Report, pooled: Cases) -> Section:
    """Return which images were divided into folds, and whether a patient is in two."""
    folds, groups = pooled["fold"], pooled.groups
    rows = []
    for name in dict.fromkeys(folds.tolist()):
        mine = folds == name
        known = "-" if groups is None else f"{len(np.unique(groups[mine])):,}"
        rows.append((name, f"{int(mine.sum()):,}", known))
    blocks: list[Block] = [
        facts(
            "Where the images come from",
            [
                ("source", source_name(report.get("data"))),
                ("division", report["division"]),
                ("groups in two folds of one repeat", groups_in_two(pooled)),
            ],
        ),
        Table("The folds", ("fold", "images tested", "patients or groups"), rows),
    ]
    if groups is not None and len(np.unique(groups)) == len(set(pooled["path"].tolist())):
        blocks.append(Text("Every image is a group of its own: the data name no patients, or each has one image."))
    blocks.append(Text("The data card of each fold, with copies and leaks, is in the report of its run folder."))
    return Section("data", "Data card", blocks)


def groups_in_two(pooled: Cases) -> str:
    """Return how many groups are in two folds of one repeat."""
    if pooled.groups is None:
        return "not known"
    seen: dict[tuple[str, str], set[str]] = {}
    for fold, group in zip(pooled["fold"].tolist(), pooled.groups.tolist(), strict=True):
        repeat = fold.partition("fold")[0]
        seen.setdefault((repeat, group), set()).add(fold)
    return str(sum(len(folds) > 1 for folds in seen.values()))


def score_section(run: Run, pooled: Cases) -> Section:
    """Return curves and confusion of the scores of all folds together."""
    found = run.task.class_scores(run.config, pooled)
    if found is None:
        return Section("curves-of-scores", "ROC, precision and recall, confusion", [Missing(NO_CLASSES)])
    scores, labels = found
    of_scores = scores_section(scores, labels, run.config.data.classes, run.config.positive)
    mixed = "The scores of different networks stand in one list here: the AUC of the table counts pairs within a fold."
    of_scores.blocks.append(Text(mixed))
    return of_scores


def curve_section(folder: Path, names: list[str], run: Run) -> Section:
    """Return how loss and scores of the folds went, epoch by epoch, in one picture."""
    histories = {name: history for name in names if (history := read_history(folder / name / LOG))}
    monitor, blocks = run.config.monitor, list[Block]()
    if without := [name for name in names if name not in histories]:
        blocks.append(Missing(f"{', '.join(without)}: no log.jsonl with epochs, so there is no curve"))
    if histories:
        last = {name: history[-1].get(monitor) for name, history in histories.items()}
        told = ", ".join(f"{name} {value:.4g}" for name, value in last.items() if isinstance(value, float))
        blocks.append(
            drawn(
                lambda path: save_fold_curves(histories, path, f"{run.config.model}, {len(histories)} folds", monitor),
                f"Loss and scores of {len(histories)} folds on their train and validation parts, epoch by epoch. "
                f"{monitor} of the last epoch: {told or 'not logged'}.",
                f"Thin lines: the folds, whose best epochs by {monitor} are marked; thick lines: their mean, as far as "
                "every fold was trained.",
            )
        )
    return Section("curves", "Training curves", blocks)


def fold_section(folder: Path, names: list[str]) -> Section:
    """Return seed, steps and time of each fold."""
    rows = []
    for name in names:
        try:
            found = read_json(folder / name / "metrics.json")
        except FileNotFoundError:
            raise UserError(f"{folder / name}: has no metrics.json; repeat `tinymed cv` with --out {folder}") from None
        seconds = found.get("training_seconds")
        cells = (found.get("seed", "-"), found.get("epochs", "-"), found.get("steps", "-"))
        rows.append((name, *map(str, cells), "-" if seconds is None else f"{seconds:,.0f} s"))
    head = ("fold", "seed", "epochs", "steps", "time of training")
    told = f"tinymed report {names[0]}, in the folder of the cross-validation, writes the report of a fold."
    return Section("cost", "Seeds, time and cost", [Table("The folds", head, rows), Text(told)])


def configuration(run: Run, report: Report) -> Section:
    """Return the configuration that the folds share, and what nested folds chose."""
    section = configuration_section(run.config)
    section.blocks.append(facts("Size of the network", model_rows(run)))
    if chosen := report.get("chosen"):
        rows = [(fold, str(choice["chosen"])) for fold, choice in chosen.items()]
        section.blocks.append(facts("Chosen by inner folds", rows, ("fold", "setting")))
    return section


def files(folder: Path, names: list[str]) -> Section:
    """Return the hashes of the results and of the networks of the folds."""
    paths = [folder / name for name in (CV, PREDICTIONS, "folds.csv")]
    paths += [path for name in names for path in sorted((folder / name).glob("checkpoints/*.safetensors"))]
    rows = [(path.relative_to(folder).as_posix(), file_hash(path)) for path in paths if path.is_file()]
    return Section("files", "Hashes of the files", [facts("Files of the cross-validation", rows, ("file", "SHA-256"))])
