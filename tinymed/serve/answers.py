"""An image to an answer: what `tinymed predict` says of it, how often such an answer was right, and where it looked.

The readers take files, since most formats are told by their content and some by their name; what was sent is written
into a folder that nobody else may enter, and is gone before the answer is sent.
"""

import base64
import io
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.image import SUFFIXES, image_size
from ..dispatch import use_backend
from ..errors import UserError
from ..explain import explain, middle_plane, overlay
from ..metrics.clusters import proportion_interval
from ..report.overlays import to_rgb
from ..tasks.base.task import Predictions
from ..tasks.results.rows import Cases
from ..train.run import Run
from .limits import Limits

NOTICE = "For research and teaching only: not a medical device, not for diagnosis."
KEPT_SUFFIXES = frozenset((*SUFFIXES, ".dcm", ".nii", ".nii.gz", ".mha"))
NIFTI = (".nii", ".nii.gz")
SIDE = 320  # pixels: pictures in an answer are enlarged by a whole factor to at least this
Decide = Callable[[Predictions], Predictions]


class Answers:
    """A trained run that answers.

    Args:
        run: The run.
        model: Its network, in evaluation mode.
        limits: Of one request.
        backend: Name of the backend that computes, in whichever thread.
        decide: Turns predictions into those of the run's temperature and threshold, where it has them.
        cases: What the run predicted of the images that it was measured on, or None.
        called: The number of the class that each of those images was given by `decide`.
    """

    def __init__(
        self,
        run: Run,
        model: Any,
        limits: Limits,
        backend: str,
        decide: Decide | None = None,
        cases: Cases | None = None,
        called: np.ndarray | None = None,
    ):
        self.run, self.model, self.limits, self.backend, self.decide = run, model, limits, backend, decide
        self.classes: list[str] = list(run.config.data.classes)
        self.outputs, self.maps = run.task.output_names(run.config), run.task.map_names(run.config)
        self.precision = [] if cases is None or called is None else precisions(run, cases, called)

    def about(self) -> dict[str, Any]:
        """Return what the page says of the run."""
        config = self.run.config
        return {
            "run": self.run.folder.name,
            "model": config.model,
            "task": config.task,
            "classes": self.classes,
            "positive": getattr(config, "positive", ""),
            "size": list(self.run.task.sees(config)[1:]),
            "explains": bool(self.maps),
            "draws": not self.outputs,
            "precision": self.precision,
            "limits": self.limits._asdict(),
            "notice": NOTICE,
        }

    def answer(self, content: bytes, name: str, explained: bool = True) -> dict[str, Any]:
        """Return the answer to one image.

        Args:
            content: The file.
            name: Its name as the sender has it, of which only a known ending is used.
            explained: Whether to compute Grad-CAM too.

        Raises:
            UserError: It cannot be read, or is too large; says "the image" in place of a path.
        """
        start = time.perf_counter()
        with use_backend(self.backend), tempfile.TemporaryDirectory(prefix="tinymed-serve-") as folder:
            path = Path(folder) / f"image{suffix_of(name)}"
            path.write_bytes(content)
            try:
                found = self.predicted(path, Path(folder) / "out")
                found = (self.explanation(path, found) if explained and self.maps else {}) | found
            except UserError as error:
                raise UserError(told_without(error.message, folder)) from None
        milliseconds = round(1000 * (time.perf_counter() - start))
        return {**found, "notice": NOTICE, "milliseconds": milliseconds}

    def predicted(self, path: Path, out: Path) -> dict[str, Any]:
        """Return what the network says of a file, and its masks or boxes as a picture."""
        check_pixels(path, self.limits.pixels)
        out.mkdir()
        drawn = not self.outputs
        found = self.run.task.predict(
            self.run.folder, self.run.config, self.model, [path], out if drawn else None, drawn
        )
        if self.decide is not None and not found.errors:
            found = self.decide(found)
        if found.errors:
            raise UserError(found.errors[0])
        rows = [{k: v for k, v in row.items() if not names_file(v, path.parent)} for row in found.rows]
        row = things_of(rows) if self.run.task.several else rows[0]
        label = row.get("label")
        if label in self.classes and self.precision:
            row["precision"] = self.precision[self.classes.index(label)]
        pictures = sorted(out.glob("*-overlay.png")) or sorted(out.glob("*.png"))
        if pictures:
            row["picture"] = data_url(pictures[0].read_bytes())
        return row

    def explanation(self, path: Path, found: dict[str, Any]) -> dict[str, Any]:
        """Return the image as the network sees it, and Grad-CAM of the answer, where the network allows one."""
        (view,) = self.run.task.views(self.run.config, self.model, path)
        target = self.outputs.index(found["label"]) if found.get("label") in self.outputs else None
        seen = {"picture": plain(view.pixels)}
        try:
            told = explain(view.model, view.image, "grad_cam", target)
        except UserError as error:
            return seen | {"explanation": {"error": error.message}}
        shown = {"method": "Grad-CAM", "class": self.maps[told.target], "layer": told.layer}
        seen = {"picture": plain(view.pixels, told.heat)}
        return seen | {"explanation": shown | {"picture": data_url(png(overlay(view.pixels, told.heat)))}}


def plain(pixels: np.ndarray, heat: np.ndarray | None = None) -> str:
    """Return a picture, or the plane of a volume that is shown beside its map, as an address that carries it."""
    return data_url(png(np.rint(255 * to_rgb(middle_plane(pixels, heat))).astype(np.uint8)))


def things_of(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what was found in an image: how many of each class, and each thing.

    Example:
        >>> things_of([{"label": "cell", "xmin": 1.0, "score": 0.9}])
        {'found': {'cell': 1}, 'things': [{'label': 'cell', 'xmin': 1.0, 'score': 0.9}]}
    """
    return {"found": dict(Counter(str(row["label"]) for row in rows)), "things": list(rows)}


def suffix_of(name: str) -> str:
    """Return the ending of a file's name if it is one that readers know, else nothing."""
    lower = name.lower()
    return next((end for end in sorted(KEPT_SUFFIXES, key=len, reverse=True) if lower.endswith(end)), "")


def check_pixels(path: Path, most: int) -> None:
    """Raise UserError for a picture whose header tells of more than `most` pixels; NIfTI's reader looks itself."""
    if path.name.endswith(NIFTI):
        return
    height, width = image_size(path)
    if height * width > most:
        raise UserError(f"{path}: {width} x {height} pixels are more than the limit of {most:,}")


def names_file(value: Any, folder: Path) -> bool:
    """Say whether a value is the path of a file in a folder, which is gone when the answer is read."""
    return isinstance(value, str) and str(folder) in value


def told_without(message: str, folder: str) -> str:
    """Return a message about a file with "the image" for its path."""
    words = [
        ("the image:" if word.endswith(":") else "the image") if folder in word else word for word in message.split()
    ]
    return " ".join(words)


def precisions(run: Run, cases: Cases, called: np.ndarray) -> list[dict[str, Any]]:
    """Return of each class how often the run was right when it gave that class, with a 95 % interval.

    The images are those of predictions.csv: the test part, or val where there is none; whole patients are counted where
    images come from patients.
    """
    scored = run.task.class_scores(run.config, cases)
    if scored is None:
        return []
    _, labels = scored
    found = []
    for number, name in enumerate(run.config.data.classes):
        chosen = called == number
        right = (labels == number)[chosen]
        row: dict[str, Any] = {"class": name, "n": int(chosen.sum()), "value": None, "low": None, "high": None}
        if right.size:
            groups = None if cases.groups is None else cases.groups[chosen]
            low, high = proportion_interval(right, groups, warn=lambda _: None)
            row |= {"value": float(right.mean()), "low": float(low), "high": float(high)}
        found.append(row)
    return found


def called_by(scores: np.ndarray, classes: Sequence[str], rule: dict[str, Any] | None) -> np.ndarray:
    """Return the class of each image: the likeliest, or by the threshold of the positive class."""
    likeliest: np.ndarray = scores.argmax(axis=1)
    if rule is None:
        return likeliest
    positive = list(classes).index(rule["positive"])
    rest = np.where(np.arange(len(classes)) == positive, -np.inf, scores).argmax(axis=1)
    return np.where(scores[:, positive] >= rule["threshold"], positive, rest)


def png(pixels: np.ndarray) -> bytes:
    """Return uint8 pixels [height, width, 3] as a PNG file, small ones enlarged by a whole factor."""
    from PIL import Image

    factor = max(1, -(-SIDE // max(pixels.shape[:2])))
    content = io.BytesIO()
    Image.fromarray(pixels.repeat(factor, axis=0).repeat(factor, axis=1)).save(content, "PNG")
    return content.getvalue()


def data_url(content: bytes) -> str:
    """Return a PNG file as an address that carries it."""
    return f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"
