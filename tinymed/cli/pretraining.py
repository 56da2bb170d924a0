"""What `tinymed pretrain` does: images to rows of pixels, layers to a file of weights, a picture of the filters."""

from pathlib import Path
from typing import Any

import numpy as np

from .. import tasks
from ..data.unlabelled import pixels_of
from ..errors import UserError
from ..files import read_json, refuse_occupied, write_json
from ..models import create, default_size, entry
from ..report.samples import save_samples
from ..schema import checked
from ..tasks.base.options import model_options, refuse_idle
from ..train.checkpoint import load_checkpoint, save_checkpoint
from ..train.run import choose_backend
from ..unsupervised.config import PretrainConfig
from ..unsupervised.greedy import StackLayer, check_stack, dense_stack, install_layers, pretrain_layers
from ..weights import save
from .app import say, slow_note
from .options import Given
from .start_run import open_sets

REPORT, STATE, WEIGHTS, FILTERS = "pretrain.json", "state.safetensors", "weights.safetensors", "filters.png"
FILTER_ROWS, FILTER_COLUMNS = 5, 20  # of the picture
READER: Given = {
    "task": "reconstruction",
    "model": "sae",
    "option": ["hidden=1"],
}  # reads the images; its network is not used


def pretrain_command(given: Given) -> int:
    """Begin or continue a pre-training; returns the exit code."""
    begin = resume_pretraining if "resume" in given else start_pretraining
    folder, report, config, images, state = begin(given)
    if config.backend:
        choose_backend(config.backend)
    model = create(report["network"], **report["options"])
    stack, _ = dense_stack(model, report["network"])
    check_stack(config, model.activation)
    with slow_note(f"reading every image of {images.data.path} once ..."):
        sets = open_sets(images, given)
        images, _ = tasks.find(images.task).complete(images, sets, given, None)
    if state.get("fingerprint", images.data.fingerprint) != images.data.fingerprint:
        raise UserError(f"{images.data.path}: holds other images than those that {folder} began with; begin anew")
    pixels = rows_of(sets["train"], images.data)
    hidden = [layer.weight.shape[0] for layer in stack]
    layers = ", ".join(map(str, hidden))
    say(f"{report['network']}: {len(pixels)} images of {pixels.shape[1]} pixels, hidden layers of {layers} units")
    folder.mkdir(parents=True, exist_ok=True)
    report["images"] = images.model_dump()
    write_json(folder / REPORT, report)

    def watch(layer: int, epoch: int, error: float) -> None:
        report["history"].append({"layer": layer + 1, "epoch": epoch, "mse": error})
        say(f"layer {layer + 1}, epoch {epoch}/{config.epochs}: mean squared error of reconstruction {error:.5f}")

    def keep(progress: dict[str, Any]) -> None:
        more = {"history": report["history"], "fingerprint": images.data.fingerprint}
        save_checkpoint(folder / STATE, {"progress": progress, **more})

    learnt = pretrain_layers(pixels, hidden, config, model.activation, watch, state.get("progress"), keep)
    write_results(folder, model, learnt, report, images.data)
    say(f"weights: {folder / WEIGHTS}; use them with: tinymed train {report['network']} --init {folder / WEIGHTS}")
    return 0


Started = tuple[Path, dict[str, Any], PretrainConfig, Any, dict[str, Any]]  # folder, report, how, images, state


def start_pretraining(given: Given) -> Started:
    """Return what a new pre-training begins with.  Raises UserError before an image is read."""
    if "data" not in given:
        raise UserError("pretrain needs --data: a folder of pictures, a .csv list, MNIST's files; labels are not read")
    network, task = given.get("network", "mlp"), tasks.find(READER["task"])
    visible: Given = {} if "visible" in given else {"visible": "gaussian" if given.get("normalise") else "bernoulli"}
    own = {name: given[name] for name in PretrainConfig.model_fields if name in given}
    config = checked(lambda: PretrainConfig(**own, **visible))
    if config.visible == "bernoulli" and given.get("normalise"):
        raise UserError("--visible bernoulli: takes pixels as probabilities from 0 to 1; leave --normalise out")
    machine = config.by == "rbm"
    refuse_idle(
        given,
        {
            **dict.fromkeys(("momentum", "gibbs", "chains"), (machine, "it is of --by rbm")),
            **dict.fromkeys(("corruption", "sparsity_weight"), (not machine, "it is of --by autoencoder")),
            "sparsity": (config.sparsity_weight > 0, "it is of --sparsity-weight"),
            "backend": (not machine, "it is of --by autoencoder; an rbm is computed by NumPy"),
        },
    )
    for_images = {name: value for name, value in given.items() if name in task.options and name not in own}
    for_images |= {"size": given.get("size", default_size(network)), "seed": config.seed, **READER}
    images = task.config_from_options(for_images)
    takes = entry(network).options
    wanted = {"in_channels": images.data.channels, "size": images.data.size}
    wanted = {name: value for name, value in wanted.items() if name in takes}
    folder = given.get("out", Path("pretrain"))
    refuse_occupied(folder)
    report = {"network": network, "options": wanted | model_options(given), "pretraining": config.model_dump()}
    return folder, report | {"history": []}, config, images, {}


def resume_pretraining(given: Given) -> Started:
    """Return what a pre-training goes on with.  Raises UserError where there is nothing to go on with."""
    folder = given["resume"]
    others = sorted(set(given) - {"resume"})
    if others:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in others)
        raise UserError(f"--resume continues a pre-training as it was begun, so {options} cannot be given")
    if not (folder / REPORT).is_file():
        raise UserError(f"{folder}: no run: it has no {REPORT}; give a folder that `tinymed pretrain` made")
    report = read_json(folder / REPORT)
    try:
        config = checked(lambda: PretrainConfig.model_validate(report["pretraining"]), folder / REPORT)
        images = tasks.config_from_json(report["images"], folder / REPORT)
        report = {"network": report["network"], "options": report["options"], "pretraining": report["pretraining"]}
    except (KeyError, TypeError):
        raise UserError(f"{folder / REPORT}: is no pre-training of `tinymed pretrain`") from None
    state = load_checkpoint(folder / STATE) if (folder / STATE).exists() else {}
    return folder, report | {"history": state.get("history", [])}, config, images, state


def rows_of(train: Any, data: Any) -> np.ndarray:
    """Return the training images as rows of pixels, normalised as the configuration says."""
    pixels = pixels_of(train, np.arange(len(train)), data.size, data.channels)
    if data.mean is None:
        return pixels
    each = pixels.reshape(len(pixels), data.channels, -1)
    mean, std = (np.array(v, np.float32).reshape(1, -1, 1) for v in (data.mean, data.std))
    rows: np.ndarray = ((each - mean) / std).reshape(pixels.shape)
    return rows


def write_results(folder: Path, model: Any, learnt: list[StackLayer], report: dict[str, Any], data: Any) -> None:
    """Write the weights of the layers that were learnt, the first layer's filters as a picture, and the report."""
    install_layers(model, learnt)
    stack, mirror = dense_stack(model)
    known = {id(p) for layer in (*stack, *mirror) for p in layer.parameters()}
    save({name: p for name, p in model.named_parameters() if id(p) in known}, folder / WEIGHTS)
    weight = learnt[0].weight[: FILTER_ROWS * FILTER_COLUMNS]
    filters = weight.reshape(len(weight), data.channels, data.size, data.size)
    largest = np.abs(filters).reshape(len(filters), -1).max(axis=1).reshape(-1, 1, 1, 1)
    shown = 0.5 + 0.5 * filters / np.maximum(largest, 1e-12)
    rows = [shown[first : first + FILTER_COLUMNS] for first in range(0, len(shown), FILTER_COLUMNS)]
    save_samples(rows, folder / FILTERS)
    write_json(folder / REPORT, report)
