"""The worst and the typical cases, with what the network looked at, and the pictures that the run left."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UserError
from ...explain import METHODS, Settings, explain, panel
from ...report.document import Block, Heading, Missing, Picture, Section, Table, Text
from ...report.samples import png_bytes
from ...train.run import Run
from .source import Source, image_file

LEFT = {  # what tasks draw into a run's folder, beside what the report draws itself
    "overlays.png": "Cases from the worst to the best, what was found beside what is true",
    "restored.png": "Pictures with noise, restored, and clean",
    "reconstructions.png": "Pictures and their reconstructions",
    "scatter.png": "Predicted against true",
    "bland_altman.png": "Difference against mean (Bland and Altman)",
    "neighbours.png": "Pictures and their nearest neighbours",
    "roc.png": "ROC curves",
    "confusion.png": "Confusion matrix",
}
LARGEST = 8 << 20  # bytes of a picture that is taken into the report


def case_section(source: Source, count: int, method: str | None, folds: Mapping[str, Run] | None = None) -> Section:
    """Return the worst and the typical cases, each with its map where the task has one.

    folds: The run that tested each fold, of a list with a column of folds; None: all are of one run.
    """
    title, errors = "Worst and typical cases", None
    if count:
        errors = source.run.task.case_errors(source.config, source.cases)
    if errors is None:
        why = "none were asked for (--cases 0)" if not count else f"{source.run.task.name} does not rank its cases"
        return Section("cases", title, [Missing(why)])
    order = np.argsort(-np.nan_to_num(errors, nan=-np.inf), kind="stable")
    middle = len(order) // 2
    worst = order[:count]
    typical = [i for i in order[max(0, middle - count // 2) :][:count] if i not in set(worst.tolist())]
    blocks: list[Block] = []
    explainer = Explainer(source, method, folds)
    if explainer.why:
        blocks.append(Missing(f"maps: {explainer.why}"))
    else:
        blocks.append(Text(explainer.told()))
    for name, chosen in (("The worst cases", worst), ("Typical cases, about the middle", typical)):
        blocks += [Heading(name), case_table(source, chosen, name)]
        blocks += [picture for i in chosen if (picture := explainer.picture(int(i))) is not None]
    if explainer.models and explainer.why:
        blocks.append(Missing(f"maps of some cases: {explainer.why}"))
    return Section("cases", title, blocks)


def case_table(source: Source, chosen: Any, caption: str) -> Table:
    """Return what predictions.csv says of some images."""
    names = list(source.cases)
    rows = [tuple(short(source.cases[name][i]) for name in names) for i in chosen]
    return Table(f"{caption}, as predictions.csv lists them", names, rows, numbers=False)


def short(text: str) -> str:
    """Return a number with four digits, a text as it is."""
    try:
        return f"{float(text):.4g}"
    except ValueError:
        return str(text)


class Explainer:
    """Draws the maps of images of a run, or says why it cannot."""

    def __init__(self, source: Source, method: str | None, folds: Mapping[str, Run] | None = None):
        self.source, self.method, self.folds = source, method, folds
        self.names = source.run.task.map_names(source.config)
        self.why, self.layer = "", ""
        self.models: dict[Path, Any] = {}
        if method is None:
            self.why = "none were asked for (--explain none)"
        elif not self.names:
            self.why = source.run.task.without_maps(source.config)
        elif source.config.data.path is None:
            self.why = "the images are synthetic and have no files"
        else:
            try:
                self.load(source.run)
            except UserError as error:
                self.why = str(error)

    def load(self, run: Run) -> Any:
        """Return the network of a run, read once."""
        if run.folder not in self.models:
            self.models[run.folder] = run.load_model()
        return self.models[run.folder]

    def told(self) -> str:
        """Return what the maps are, and what they are not."""
        method = METHODS[str(self.method)]
        return (
            f"Maps: {method.title}, for the largest output (of masks and boxes: the mean score of a class where it is "
            "the answer, of the class with the largest), over the image as the network sees it. They say what moved "
            "this network's output, not what causes a disease; tinymed explain RUN IMAGE --sanity tells whether they "
            "depend on what was learnt."
        )

    def picture(self, index: int) -> Picture | None:
        """Return an image of the list beside its map; None where it cannot be read."""
        if not self.models:
            return None
        run = self.folds[str(self.source.cases["fold"][index])] if self.folds else self.source.run
        name = str(self.source.cases["path"][index])
        path = image_file(run.config.data.path, name)
        try:
            (view,) = run.task.views(run.config, self.load(run), path)
            found = explain(view.model, view.image, str(self.method), settings=Settings())
        except UserError as error:
            if not self.why:
                self.why = str(error)
            return None
        true = f", true {self.source.cases['true'][index]}" if "true" in self.source.cases else ""
        of = self.names[found.target]
        where = np.unravel_index(int(np.abs(found.heat).argmax()), found.heat.shape)
        axes = ("plane", "row", "column")[-len(where) :]
        place = ", ".join(f"{axis} {at}" for axis, at in zip(axes, where, strict=True))
        place = f"{place} of {' x '.join(map(str, found.heat.shape))}"
        alt = f"The image beside its map for {of}; the map is largest at {place}."
        return Picture(lambda: png_bytes(panel(view.pixels, [found.heat])), alt, f"{name}{true}: map for {of}")


def left_section(source: Source, skip: set[str]) -> Section:
    """Return the pictures that the run's task left in the folder."""
    blocks: list[Block] = []
    for name, caption in LEFT.items():
        path = source.run.folder / name
        if name in skip or not path.is_file():
            continue
        with path.open("rb") as file:
            start = file.read(4)
        if start != b"\x89PNG" or path.stat().st_size > LARGEST:
            blocks.append(Missing(f"{path}: is not a PNG of at most {LARGEST >> 20} MiB"))
            continue
        alt = f"{caption}, drawn when the run was measured; the numbers are in the tables."
        blocks.append(Picture(path.read_bytes, alt, f"{caption} ({name})"))
    return Section("pictures", "Pictures of the run", blocks or [Missing("the run left none beside those above")])
