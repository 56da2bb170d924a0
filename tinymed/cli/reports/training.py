"""How a run was trained: configuration, curves, seeds, time and cost, environment, hashes of its files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...errors import UserError
from ...models import count_parameters
from ...models.summary import summary, total_macs
from ...nn.init import no_weights
from ...report.document import Block, Missing, Section, Text, facts
from ...report.plots import save_curves
from ...train.run import CHANGEABLE, Run, flat
from ..environment import environment, sittings
from .pictures import drawn
from .source import Source, file_hash

FEW = 6  # values from which on a part of the configuration has a table of its own
HIDDEN = ("data.path", "data.fingerprint", "data.classes")  # in the data card


def configuration_section(config: Any) -> Section:
    """Return every value that decides the result."""
    groups: dict[str, list[tuple[str, object]]] = {}
    for name, value in flat(config).items():
        if name not in HIDDEN:
            groups.setdefault(name.rpartition(".")[0], []).append((name.rpartition(".")[2], text_of(value)))
    for group in [group for group, rows in groups.items() if group and len(rows) < FEW]:
        groups[""] += [(f"{group}.{name}", value) for name, value in groups.pop(group)]
    tables = [facts(f"config.json: {group}" if group else "config.json", rows) for group, rows in groups.items()]
    note = (
        f"{', '.join(sorted(CHANGEABLE))} may change when a run goes on; everything else is fixed with its first step."
    )
    return Section("configuration", "Configuration", [*tables, Text(note)])


def text_of(value: Any) -> str:
    """Return a value of a configuration as text."""
    if value is None or value in ("", [], {}):
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def curves_section(source: Source) -> Section:
    """Return how loss and measures went, epoch by epoch."""
    blocks: list[Block] = []
    if not source.history:
        blocks.append(Missing("the run has no log.jsonl with epochs, so there is nothing to draw"))
        return Section("curves", "Training curves", blocks)
    last = source.history[-1]
    told = ", ".join(f"{name} {last[name]:.4g}" for name in last if isinstance(last[name], float) and name != "lr")
    monitor = getattr(source.config, "monitor", "val_loss")
    blocks.append(
        drawn(
            lambda path: save_curves(source.history, path, source.config.model, monitor),
            f"Loss and measures of {len(source.history)} epochs on train and validation. Last epoch: {told}.",
            f"Training and validation, epoch by epoch; the best epoch by {monitor} is marked.",
        )
    )
    return Section("curves", "Training curves", blocks)


def cost_section(source: Source) -> Section:
    """Return seeds, time and size; no energy is told, since none was measured."""
    found, config = source.metrics, source.config
    rows: list[tuple[str, object]] = [("seed of weights, order, augmentation and splits", config.seed)]
    rows += [("epochs", found.get("epochs", "-")), ("optimiser steps", found.get("steps", "-"))]
    seconds = found.get("training_seconds")
    rows.append(("time of training", "-" if seconds is None else f"{seconds:,.0f} s"))
    rows.append(("ended early", found.get("stopped") or "no"))
    rows += model_rows(source.run)
    note = "Same seed, configuration and versions on one kind of processor: the same bits. No energy was measured."
    return Section("cost", "Seeds, time and cost", [facts("Seeds, time and cost", rows), Text(note)])


def model_rows(run: Run) -> list[tuple[str, object]]:
    """Return parameters and multiply-accumulates of the network for one image."""
    with no_weights():
        model = run.task.make_model(run.config)
    rows: list[tuple[str, object]] = [("learned values", f"{count_parameters(model):,}")]
    try:
        macs = total_macs(summary(model, run.task.sees(run.config)))
        rows.append(("multiply-accumulates of one image", f"{macs:,}"))
    except (ValueError, TypeError, UserError):  # a network of several inputs
        rows.append(("multiply-accumulates of one image", "not counted for this network"))
    return rows


def environment_section(folders: Sequence[Path]) -> Section:
    """Return what the runs in these folders were trained with, and what the report is made with where it differs."""
    kept = [sitting for folder in folders for sitting in sittings(folder)]
    distinct = [sitting for i, sitting in enumerate(kept) if sitting not in kept[:i]]
    blocks: list[Block] = []
    for i, sitting in enumerate(distinct):
        more = f", {i + 1} of {len(distinct)}: the run went on elsewhere" if len(distinct) > 1 else ""
        blocks.append(facts(f"What it was trained with{more}", list(sitting.items())))
    here = environment(kept[-1].get("backend", "")) if kept else environment("")
    if not kept:
        blocks.append(Missing("what it was trained with: the run is of a version that did not keep it"))
    if here not in distinct:
        blocks.append(facts("What this report is made with", list(here.items())))
    elif len(distinct) == 1:
        blocks.append(Text("The report is made with the same."))
    return Section("environment", "Environment", blocks)


def files_section(source: Source) -> Section:
    """Return the hashes of the model's files and of what the figures come from."""
    folder = source.run.folder
    names = ["config.json", "metrics.json", "predictions.csv", "decision.json", "log.jsonl"]
    paths = [*sorted(source.run.checkpoints.glob("*.safetensors")), *(folder / name for name in names)]
    rows = [(path.relative_to(folder).as_posix(), file_hash(path)) for path in paths if path.is_file()]
    head = ("file", "SHA-256")
    blocks: list[Block] = [facts("Files of the run", rows, head)]
    blocks.append(Text(f"The figures are of the {source.metrics.get('weights', 'kept')} weights."))
    if not source.run.checkpoint().is_file():
        blocks.append(Missing(f"{source.run.checkpoint().name}: the weights that the figures are of are not there"))
    return Section("files", "Hashes of the files", blocks)
