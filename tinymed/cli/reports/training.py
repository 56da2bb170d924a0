"""How a run was trained: configuration, curves, seeds, time and cost, environment, hashes of its files."""

import json
from collections.abc import Mapping
from typing import Any

from ...errors import UserError
from ...models import count_parameters
from ...models.summary import summary, total_macs
from ...nn.init import no_weights
from ...report.document import Block, Missing, Section, Text, facts
from ...report.plots import save_curves
from ...train.run import CHANGEABLE, flat
from ..doctor import processor, threads, versions
from .pictures import drawn
from .source import Source, file_hash

HIDDEN = ("data.path", "data.fingerprint", "data.classes")  # in the data card


def configuration_section(source: Source) -> Section:
    """Return every value that decides the result."""
    values = {name: value for name, value in flat(source.config).items() if name not in HIDDEN}
    rows = [(name, text_of(value)) for name, value in values.items()]
    note = (
        f"{', '.join(sorted(CHANGEABLE))} may change when a run goes on; everything else is fixed with its first step."
    )
    return Section("configuration", "Configuration", [facts("config.json", rows), Text(note)])


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
    rows += model_rows(source)
    note = "Same seed, configuration and versions on one kind of processor: the same bits. No energy was measured."
    return Section("cost", "Seeds, time and cost", [facts("Seeds, time and cost", rows), Text(note)])


def model_rows(source: Source) -> list[tuple[str, object]]:
    """Return parameters and multiply-accumulates of the network for one image."""
    with no_weights():
        model = source.run.task.make_model(source.config)
    rows: list[tuple[str, object]] = [("learned values", f"{count_parameters(model):,}")]
    try:
        macs = total_macs(summary(model, source.run.task.sees(source.config)))
        rows.append(("multiply-accumulates of one image", f"{macs:,}"))
    except (ValueError, TypeError, UserError):  # a network of several inputs
        rows.append(("multiply-accumulates of one image", "not counted for this network"))
    return rows


def environment_section(source: Source) -> Section:
    """Return what the report was made with."""
    found: Mapping[str, Any] = {name: value for name, value in versions().items() if value != "absent"}
    rows: list[tuple[str, object]] = list(found.items())
    rows += [("processor", processor()["name"]), ("vector instructions", processor()["vector"])]
    rows += [(f"threads: {name}", value) for name, value in threads().items()]
    rows.append(("backend of the training", source.config.backend))
    note = (
        "A run folder does not keep the versions that it was trained with: these are of the machine that wrote this "
        "report. Where they differ, say so."
    )
    return Section("environment", "Environment", [facts("Where this report was made", rows), Text(note)])


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
