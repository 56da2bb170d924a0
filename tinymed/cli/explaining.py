"""What `tinymed explain` does: maps of images, their sanity check, filters and feature maps, as pictures."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from ..data.volumes import case_name
from ..errors import UserError, printable
from ..explain import METHODS, Settings, explain, feature_grid, filter_grid, panel, randomisation, serving, stacked
from ..report.samples import save_picture
from ..report.tables import number, table
from ..tasks.base.options import refuse_idle
from ..tasks.inference.views import COVERS, Place, View
from ..train.run import Run, choose_backend
from .app import WRONG_INPUT, check_weights_name, complain, say
from .options import Given

FOLDER = "explanations"
SUCH = {"ROW,COLUMN": "120,85", "I,J,K": "20,31,12"}  # examples of places


def explain_command(given: Given) -> int:
    """Explain the images, and draw what else was asked for; returns the exit code."""
    check_weights_name(given.get("weights"))
    run = Run.open(given["run"])
    methods = methods_of(given)
    check_asked(run, methods, given)
    place = place_of(run, given)
    names = run.task.map_names(run.config) if place is None else run.task.place_names(run.config)
    target = index_of(names, given["target"]) if "target" in given else None
    choose_backend(given.get("backend") or run.config.backend, run.config.precision)
    model, folder = run.load_model(given.get("weights")), given.get("out") or run.folder / FOLDER
    rows: list[dict[str, Any]] = []
    code, every = 0, "all" in given.get("method", ())
    if given.get("filters"):
        name = picture_name("filters", given.get("layer", ""))
        file = save_picture(filter_grid(model, given.get("layer"), run.task.sees(run.config)), folder / name)
        rows.append({"filters": given.get("layer") or "the first layer", "picture": str(file)})
    question = question_of(given)
    for i, path in enumerate(given.get("images", [])):
        try:
            views = run.task.views(run.config, model, path, place)
        except UserError as error:
            code = complain(str(error).partition("; ")[0], WRONG_INPUT)
            continue
        if every:
            methods, every = those_serving(views[0]), False
        grid = feature_grid(model, whole_input(views), given["features"]) if "features" in given else None
        found = [explained(view, methods, names, target, given, run.config.seed) for view in of_layer(views, given)]
        stem = f"{i + 1:03}-{case_name(Path(str(path).partition(',')[0]))}"
        file = save_picture(stacked([picture for _, picture in found]), folder / picture_name(stem, *question))
        told = {"image": printable(path)} | ({} if place is None else {"at": list(place)})
        rows += [told | row | {"picture": str(file)} for one, _ in found for row in one]
        if grid is not None:
            file = save_picture(grid, folder / picture_name(stem, "features", given["features"]))
            rows.append(told | {"features": given["features"], "picture": str(file)})
    print(json.dumps(rows) if given.get("as_json") else "\n".join(map(text_of, rows)))
    return code


def question_of(given: Given) -> list[str]:
    """Return what was asked of each image, as far as it changes its picture: one question does not overwrite another's.

    `--method occlusion --class parasite --window 8` is ["occlusion", "parasite", "window", "8"].
    """
    words = ["+".join(given.get("method", ())), given.get("target", ""), given.get("at", ""), given.get("layer", "")]
    for option in ("baseline", "steps", "window", "stride", "weights"):
        words += [option, str(given[option])] if option in given else []
    return words


def picture_name(stem: str, *words: str) -> str:
    """Return the file name of a picture: words with a hyphen, what a file's name may not hold as an underscore."""
    return "-".join([stem, *(re.sub(r"[^\w.,+-]+", "_", word)[:80] for word in words if word)]) + ".png"


def place_of(run: Run, given: Given) -> Place | None:
    """Return --at as numbers, None where it was not given.  Raises UserError for what is no place of this run."""
    if "at" not in given:
        return None
    form = run.task.place_form(run.config)
    numbers = given["at"].split(",")
    if len(numbers) != len(form.split(",")) or not all(n.strip().isdecimal() for n in numbers):
        raise UserError(f"--at {given['at']!r}: write {form}, whole numbers from 0, such as {SUCH[form]}")
    return tuple(map(int, numbers))


def methods_of(given: Given) -> list[str]:
    """Return the methods that were asked for, each once, in their order.  Raises UserError for an unknown one."""
    asked = given.get("method") or ["grad_cam"]
    for name in asked:
        if name not in (*METHODS, "all"):
            raise UserError(f"--method {name!r} is unknown; choose all or one of {', '.join(METHODS)}")
    return list(METHODS) if "all" in asked else list(dict.fromkeys(asked))


def check_asked(run: Run, methods: list[str], given: Given) -> None:
    """Raise UserError for a run that has nothing to explain, and for options that would have no effect."""
    images = given.get("images")
    places = run.task.place_form(run.config)
    if "at" in given and not places:
        refuse_idle(given, {"at": (False, f"it is of segmentations, and this run is of {run.task.name}")})
    if "at" not in given and not run.task.map_names(run.config) and (images or not given.get("filters")):
        why = run.task.without_maps(run.config)
        raise UserError(f"{run.folder}: has no maps: {why}; --filters draws those of its first layer")
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
            **dict.fromkeys(("method", "target", "at", "features", "sanity"), (seen, "no image is named")),
        },
    )
    if given.get("baseline", "black") not in COVERS:
        raise UserError(f"--baseline {given['baseline']!r} is unknown; choose one of {', '.join(COVERS)}")


def index_of(names: list[str], wanted: str) -> int:
    """Return the number of an output.  Raises UserError naming those there are."""
    if wanted not in names:
        raise UserError(f"--class {wanted!r}: this run has none; choose one of {', '.join(names)}")
    return names.index(wanted)


def those_serving(view: View) -> list[str]:
    """Return the methods that serve a network, and say which are left out."""
    methods = serving(view.model, view.image.shape[1:])
    if left := [name for name in METHODS if name not in methods]:
        say(f"left out, since they do not serve this network: {', '.join(left)}")
    return methods


def of_layer(views: list[View], given: Given) -> list[View]:
    """Return the views that the network sees at --layer: of several planes each has layers of its own."""
    layer = given.get("layer")
    if layer is None:
        return views
    return [view for view in views if layer.startswith(getattr(view.model, "within", ""))] or views


def whole_input(views: list[View]) -> np.ndarray:
    """Return what the network itself is given: of several planes all of them, one after the other as channels."""
    return np.concatenate([view.image for view in views], axis=1)


def explained(
    view: View, methods: list[str], names: list[str], target: int | None, given: Given, seed: int
) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Return (one row for each method, the picture of all) of what a network sees."""
    cover = view.cover(given.get("baseline", "black"))
    told = {key: given[key] for key in ("steps", "window", "stride") if key in given}
    rows, heats = [], []
    for method in methods:
        settings = Settings(baseline=cover, layer=given.get("layer") if METHODS[method].of_layer else None, **told)
        found = explain(view.model, view.image, method, target, settings)
        heats.append(view.shown(found.heat))
        row: dict[str, Any] = {"plane": view.plane} if view.plane else {}
        row |= {"method": method, "class": names[found.target]}
        row |= {"output": found.score, "layer": found.layer, "gap": found.gap}
        if given.get("sanity"):
            checked = randomisation(view.model, view.image, method, found.target, settings, seed)
            row["sanity"] = [r._asdict() for r in checked]
        rows.append(row)
    return rows, panel(view.pixels, heats, around=view.around)


def text_of(row: dict[str, Any]) -> str:
    """Return a row as text."""
    if "method" not in row:
        what = f"filters of {row['filters']}" if "filters" in row else f"{row['image']}: maps of {row['features']}"
        return f"{what}: {row['picture']}"
    of = f" of {row['layer']}" if row["layer"] else ""
    at = f" at {','.join(map(str, row['at']))}" if "at" in row else ""
    at += f" in the plane {row['plane']}" if "plane" in row else ""
    gap = f", sum less difference {row['gap']:.2g}" if row["gap"] is not None else ""
    head = f"{row['image']}{at}: {METHODS[row['method']].title}{of} for {row['class']}"
    head += f" (output {row['output']:.3f}{gap})"
    lines = [f"{head}: {row['picture']}"]
    if "sanity" in row:
        cells = [("drawn anew, with all after it", "rank correlation", "SSIM")]
        cells += [(r["layer"], number(r["correlation"], 3), number(r["similarity"], 3)) for r in row["sanity"]]
        lines.append(table(cells))
    return "\n".join(lines)
