"""What `tinymed explain` does: maps of images, their sanity check, filters and feature maps, as pictures."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..explain import (
    METHODS,
    Settings,
    choose_layer,
    explain,
    feature_grid,
    filter_grid,
    panel,
    randomisation,
    serving,
)
from ..report.samples import save_picture
from ..report.tables import number, table
from ..tasks.base.options import refuse_idle
from ..tasks.base.picture import read_picture, read_pixels
from ..train.run import Run, choose_backend
from .app import WRONG_INPUT, check_weights_name, complain, say
from .options import Given

BASELINES = ("black", "white", "mean")
FOLDER = "explanations"


def explain_command(given: Given) -> int:
    """Explain the images, and draw what else was asked for; returns the exit code."""
    check_weights_name(given.get("weights"))
    run = Run.open(given["run"])
    names = run.task.map_names(run.config)
    methods, images = methods_of(given), given.get("images", [])
    check_asked(run, names, methods, given)
    choose_backend(given.get("backend") or run.config.backend)
    model, folder = run.load_model(given.get("weights")), given.get("out") or run.folder / FOLDER
    if "all" in given.get("method", ()):
        methods = serving(asked_of(run, model), run.task.sees(run.config))
        if left := [name for name in METHODS if name not in methods]:
            say(f"left out, since they do not serve this network: {', '.join(left)}")
    check_layers(run, model, methods, given)
    target = index_of(names, given["target"]) if "target" in given else None
    rows: list[dict[str, Any]] = []
    code = 0
    if given.get("filters"):
        file = save_picture(filter_grid(model, given.get("layer")), folder / "filters.png")
        rows.append({"filters": given.get("layer") or "the first convolution", "picture": str(file)})
    for i, path in enumerate(images):
        try:
            found = explained(run, model, path, methods, target, given)
        except UnreadableImage as error:
            code = complain(str(error), WRONG_INPUT)
            continue
        stem = f"{i + 1:03}-{path.stem}"
        for row in found["rows"]:
            row["picture"] = str(folder / f"{stem}.png")
        save_picture(found["panel"], folder / f"{stem}.png")
        if "features" in given:
            grid = feature_grid(model, found["image"], given["features"])
            file = save_picture(grid, folder / f"{stem}-features.png")
            found["rows"].append({"image": str(path), "features": given["features"], "picture": str(file)})
        rows += found["rows"]
    print(json.dumps(rows) if given.get("as_json") else "\n".join(map(text_of, rows)))
    return code


class UnreadableImage(Exception):
    """An image that cannot be read; the others are explained all the same."""


def methods_of(given: Given) -> list[str]:
    """Return the methods that were asked for, each once, in their order.  Raises UserError for an unknown one."""
    asked = given.get("method") or ["grad_cam"]
    for name in asked:
        if name not in (*METHODS, "all"):
            raise UserError(f"--method {name!r} is unknown; choose all or one of {', '.join(METHODS)}")
    return list(METHODS) if "all" in asked else list(dict.fromkeys(asked))


def check_asked(run: Run, names: list[str], methods: list[str], given: Given) -> None:
    """Raise UserError for a run that has nothing to explain, and for options that would have no effect."""
    images = given.get("images")
    if not names and (images or not given.get("filters")):
        raise UserError(f"{run.folder}: has no maps: {run.task.without_maps(run.config)}; --filters serves any run")
    if not images and not given.get("filters"):
        raise UserError("explain: name at least one image, or --filters")
    cams = [name for name in methods if METHODS[name].of_layer]
    paths = {"integrated_gradients", "occlusion"} & set(methods)
    seen = bool(images)
    refuse_idle(
        given,
        {
            "layer": (
                bool(seen and cams) or bool(given.get("filters")),
                "it is of grad_cam and its kind, or --filters",
            ),
            "steps": (seen and "integrated_gradients" in methods, "it is of --method integrated_gradients"),
            "window": (seen and "occlusion" in methods, "it is of --method occlusion"),
            "stride": (seen and "occlusion" in methods, "it is of --method occlusion"),
            "baseline": (bool(seen and paths), "it is of --method integrated_gradients and occlusion"),
            **dict.fromkeys(("method", "target", "features", "sanity"), (seen, "no image is named")),
        },
    )
    if given.get("baseline", "black") not in BASELINES:
        raise UserError(f"--baseline {given['baseline']!r} is unknown; choose one of {', '.join(BASELINES)}")


def check_layers(run: Run, model: Any, methods: list[str], given: Given) -> None:
    """Raise UserError for a layer that the network lacks, before anything is drawn."""
    shape = run.task.sees(run.config)
    if given.get("images") and any(METHODS[name].of_layer for name in methods):
        choose_layer(asked_of(run, model), shape, given.get("layer"))
    if "features" in given:
        choose_layer(model, shape, given["features"])


def asked_of(run: Run, model: Any) -> Any:
    """Return the network as it is explained, before there is an image."""
    return run.task.explained(run.config, model, np.zeros((1, *run.task.sees(run.config)), np.float32))


def index_of(names: list[str], wanted: str) -> int:
    """Return the number of an output.  Raises UserError naming those there are."""
    if wanted not in names:
        raise UserError(f"--class {wanted!r}: this run has none; choose one of {', '.join(names)}")
    return names.index(wanted)


def baseline_image(name: str, image: np.ndarray, config: Any) -> np.ndarray:
    """Return black, white or the image's mean colour as the network would see it, [channels, 1, 1], or of a volume."""
    ones = [1] * (image.ndim - 2)
    if name == "mean":
        colour: np.ndarray = image[0].reshape(image.shape[1], -1).mean(axis=1).reshape(-1, *ones)
        return colour
    mean, std = (np.array(v, np.float32).reshape(-1, *ones) for v in (config.mean or 0.0, config.std or 1.0))
    return np.broadcast_to(((1.0 if name == "white" else 0.0) - mean) / std, (image.shape[1], *ones))


def explained(run: Run, model: Any, path: Path, methods: list[str], target: int | None, given: Given) -> dict[str, Any]:
    """Return {"rows": one for each method, "panel": the picture, "image": as the network sees it}."""
    data, names = run.config.data, run.task.map_names(run.config)
    try:
        image = read_picture(path, data)
        pixels = read_pixels(path, data)
    except UserError as error:
        raise UnreadableImage(str(error).partition("; ")[0]) from None
    model = run.task.explained(run.config, model, image)
    cover = baseline_image(given.get("baseline", "black"), image, data)
    told = {key: given[key] for key in ("steps", "window", "stride") if key in given}
    rows, heats = [], []
    for method in methods:
        settings = Settings(baseline=cover, layer=given.get("layer") if METHODS[method].of_layer else None, **told)
        found = explain(model, image, method, target, settings)
        heats.append(found.heat)
        row: dict[str, Any] = {"image": str(path), "method": method, "class": names[found.target]}
        row |= {"output": found.score, "layer": found.layer, "gap": found.gap}
        if given.get("sanity"):
            checked = randomisation(model, image, method, found.target, settings, run.config.seed)
            row["sanity"] = [r._asdict() for r in checked]
        rows.append(row)
    return {"rows": rows, "panel": panel(pixels, heats), "image": image}


def text_of(row: dict[str, Any]) -> str:
    """Return a row as text."""
    if "method" not in row:
        what = f"filters of {row['filters']}" if "filters" in row else f"{row['image']}: maps of {row['features']}"
        return f"{what}: {row['picture']}"
    of = f" of {row['layer']}" if row["layer"] else ""
    gap = f", sum less difference {row['gap']:.2g}" if row["gap"] is not None else ""
    head = f"{row['image']}: {METHODS[row['method']].title}{of} for {row['class']} (output {row['output']:.3f}{gap})"
    lines = [f"{head}: {row['picture']}"]
    if "sanity" in row:
        cells = [("drawn anew, with all after it", "rank correlation", "SSIM")]
        cells += [(r["layer"], number(r["correlation"], 3), number(r["similarity"], 3)) for r in row["sanity"]]
        lines.append(table(cells))
    return "\n".join(lines)
