"""Segmentation: a class for every pixel of a picture or voxel of a volume.

A network sees whole pictures resized to one size, or patches at the images' own resolution (always of volumes); images
are then predicted tile by tile, see `data/tiles.py`.  Either way the scores are brought back to the image's own size
before a pixel is given its class, and that is what is measured.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from ..data.labels import Labels, parse_labels
from ..data.lists import MASKS
from ..data.mask_loader import MaskLoader, fit_image
from ..data.masks import MaskDataset, check_pairs
from ..data.patch_classification import VoxelLoader
from ..data.patches import Cases, PatchLoader
from ..data.segmentation_layouts import open_segmentation
from ..data.splits import leak_check, split_dataset
from ..data.volumes import case_name
from ..data.weight_map import BorderWeights
from ..errors import UserError
from ..explain.places import Places
from ..metrics.mask_cases import Row, averages, summarise
from ..models import default_size, entry
from ..nn.init import no_weights
from ..postprocess.steps import Refinement
from ..schema import checked, setting
from .base.augmentation import augmentation_rules
from .base.config import DataConfig, RunConfig, Shortcuts, named_columns, parse_window
from .base.mask_config import MaskConfig, mask_lines, region_numbers, why_no_maps, with_settings
from .base.network import Outputs, answers_slices, classifies_middle, default_networks, output_shapes
from .base.options import Options, config_from_options, data_folder, model_options, refuse_foreign, refuse_idle
from .base.patches import patch_sides, refuse_larger, volume_patch, whole_slices
from .base.preprocess import statistics
from .base.recipes import recipe_line
from .base.steady_masks import PAPER, chosen_recipe, mask_defaults, mask_values, steady_lines
from .base.task import Ask, Batches, Fitted, Predictions, Task, Validate, fingerprint_samples, picture_preparation
from .base.training import training_rules
from .heads.class_weights import parse_weights
from .heads.contour_head import ContourHead
from .heads.mask_head import OVERLAPS, MaskHead, takes_background
from .heads.slice_head import SliceHead
from .inference.case_scores import ScoredCase, measure_scored, recorded, scored_cases
from .inference.mask_files import predict_masks, read_seen
from .inference.mask_predictor import MaskPredictor
from .inference.place_views import FORMS, place_views
from .inference.refinement import Wanted, choose, chosen_before, measure_beside, save_choice, validation_cases
from .inference.views import Place, View, whole_view
from .results import mask_results
from .results.mask_results import files_of, mask_text, measured_classes, save_case_overlays, write_cases

Sets = dict[str, MaskDataset]
COLUMNS = ("path_column", "mask_column", "split_column", "group_column", "suffix")
READING: dict[str, Callable[[Any], Any]] = {"white": float, "window": parse_window, "page": int}

CONTOUR = 2  # pixels that a contour reaches from its border, for networks that learn contours
PADDED = {"unet3d": {"padding": "same"}}  # without it no patch of at most SIDE is large enough


class SegmentationData(DataConfig):
    """What segmentation reads beside images."""

    mask_column: str | None = setting(None, "Column of the mask's file in a list; by default found by usual names.")


class SegmentationConfig(RunConfig):
    """A run that segments."""

    data: SegmentationData

    task: Literal["segmentation"] = setting("segmentation", "What the network learns.", panel="Run")
    head: Literal["softmax", "sigmoid"] = setting(
        "softmax",
        "What the outputs mean: one distribution over the classes, or one sigmoid of two classes.",
        panel="Model",
    )
    recipe: Literal["steady", "paper"] = setting("paper", "How to train where no option says.", panel="Run")
    monitor: Literal["val_dice", "val_loss", "val_accuracy"] = setting("val_dice", "What improves.")
    mask: MaskConfig = MaskConfig()


class SegmentationShortcuts(Shortcuts):
    """Options of a segmentation that need the data."""

    labels: str | None = setting(None, "What the masks' values mean: 0=background,255=lesion.", panel="Segmentation")


class Segmentation(Task[SegmentationConfig, MaskDataset]):
    """A class for every pixel."""

    name = "segmentation"
    case_rows, figures = staticmethod(mask_results.mask_rows), staticmethod(mask_results.mask_figures)
    tables, case_errors = staticmethod(mask_results.mask_tables), staticmethod(mask_results.mask_errors)
    needs = "a folder with images and masks"
    marks = (*MASKS, "masks")
    wants = "segmentation (scores for every pixel, or for the middle of a patch)"
    Config = SegmentationConfig
    Shortcuts = SegmentationShortcuts

    def config_from_options(self, given: Options) -> SegmentationConfig:
        refuse_foreign(given, self.options, self.name, self.options)
        values = parse_labels(given["labels"]) if "labels" in given else None
        columns = {name: given[name] for name in COLUMNS if name in given}
        reading = {name: parse(given[name]) for name, parse in READING.items() if name in given}
        found = open_segmentation(
            given["data"], values=values, ignore=given.get("ignore"), verify=False, **reading, **columns
        )
        first = next(iter(found.values()))
        volumes = first.dimensions == 3
        wanted, own = mask_defaults(chosen_recipe(given), given, first)
        model, last = wanted["model"], given.get("split") == "last"
        sliced, outlined = answers_slices(model), hasattr(entry(model).build, "contours")
        center = classifies_middle(model) and not sliced
        self.refuse_useless(given, first, model, center, patches="patch" in wanted or volumes or center)
        wanted = {"val_fraction": 0.3 if last else 0.15, "test_fraction": 0.0 if last else 0.15} | wanted
        wanted = {"size": default_size(model)} | wanted | {"data": data_folder(given)}
        if "inside" in given:
            wanted["inside"] = str(Path(given["inside"]).absolute())
        if "steps" in given and "epochs" not in given:
            wanted["epochs"] = None
        mask: dict[str, Any] = {"dimensions": first.dimensions, "modalities": len(first.more) + 1}
        mask["values"] = list(first.meaning.values.items())
        mask["regions"] = dict(first.meaning.regions)
        if outlined:
            wanted.setdefault("contour", CONTOUR)
        if wanted["loss"] in OVERLAPS and wanted.get("head") != "sigmoid":
            wanted.setdefault("include_background", True)  # nothing else holds several classes off it
        if center:
            wanted.setdefault("per_image", 64)
            mask["planes"] = 3 if model == "triplanar" else 1
        elif sliced and volumes:
            mask["slices"], wanted["patch"] = True, whole_slices(given.get("patch"), found)
        elif "patch" in wanted:
            wanted["patch"] = patch_sides(wanted["patch"], first.dimensions)
        elif volumes:
            mask["patch"] = volume_patch(found)
        chosen = (PADDED.get(model, {}) if "patch" in mask else {}) | own | model_options(given)
        channels = int(first.image(0).shape[-1]) if "grey" not in given else 1 if given["grey"] else 3
        wanted["detected"] = {"model_options": chosen, "data": {"channels": channels}, "mask": mask}
        config: SegmentationConfig = config_from_options(SegmentationConfig, self.options, wanted)
        with no_weights():
            model = self.make_model(config)
            self.check_model(config, model)  # before images are read
        if "patch" in given and config.mask.patch is not None:
            refuse_larger(config.mask.patch, self.scored(config, model), found)
        return config

    def refuse_useless(self, given: Options, first: MaskDataset, model: str, center: bool, patches: bool) -> None:
        """Raise UserError for an option that the data, the network or the other options leave without effect."""
        if "border_class" in given and given["border_class"] not in first.classes:
            raise UserError(f"--border-class {given['border_class']!r} is none of {', '.join(first.classes)}")
        volumes = first.dimensions == 3
        pictures = not volumes and not first.more
        unpatched = "it is of patches: give --patch"
        borders = bool(given.get("border_weight")) and not center
        outlined, sliced = hasattr(entry(model).build, "contours"), answers_slices(model)
        sized = "normalise" in given or "size" in entry(model).options  # the statistics are those of that size
        refuse_idle(
            given,
            {
                "size": (center or not patches or sized, "the network sees patches of --patch"),
                "white": (not volumes, "volumes keep the values that they have; --window cuts them off"),
                "page": (not volumes, "a volume has no pages"),
                "grey": (pictures, "volumes and several modalities keep the channels that they have"),
                "normalise": (pictures, "each channel of a volume is normalised by itself"),
                "preprocess": (pictures, "each channel of a volume is normalised by itself"),
                "patch": (not center, f"{model} sees patches of --size"),
                "per_image": (patches, unpatched),
                "foreground": (patches, unpatched),
                "overlap": (patches and not center, unpatched),
                "blend": (patches and not center, unpatched),
                "inside_margin": ("inside" in given, "it is of --inside"),
                "contour": (outlined, f"{model} has no head for contours; dcan has"),
                "border_weight": (
                    not center and not outlined and not sliced,
                    f"{model} learns other than a map of pixels' classes",
                ),
                **dict.fromkeys(("boundary", "inside"), (not sliced, f"{model} answers for whole slices")),
                "include_background": takes_background(given.get("loss", PAPER["loss"]), given.get("head")),
                "border_sigma": (borders, "it is of --border-weight"),
                "border_class": (borders, "it is of --border-weight"),
                "auxiliary": ("auxiliary" in entry(model).options, f"{model} has one output"),
                **augmentation_rules(given, volumes, planes=volumes and center),
                **training_rules(given),
            },
        )

    def complete(
        self, config: SegmentationConfig, sets: Sets, given: Options, ask: Ask | None
    ) -> tuple[SegmentationConfig, list[str]]:
        train = sets["train"]
        pixels = {name: check_pairs(part) for name, part in sets.items()}["train"]
        counts = dict(zip(train.classes, pixels.sum(axis=0).tolist(), strict=True))
        data = config.data.model_dump() | {
            "classes": train.classes,
            "fingerprint": self.fingerprint(config, sets),
        }
        steady = config.recipe == "steady"
        pictures = train.dimensions == 2 and not train.more
        data |= statistics(train, config.data, given, by_default=steady and pictures)
        content = config.model_dump() | (mask_values(config, train, given) if steady else {})
        content |= {
            "data": data,
            "class_weights": parse_weights(given.get("class_weights", "none"), train.classes, counts),
        }
        result = checked(lambda: SegmentationConfig.model_validate(content))
        with no_weights():
            self.check_model(result, self.make_model(result))
        self.head(result, None)
        lines = mask_lines(result, sets, pixels)
        return result, lines + (steady_lines(config, result, given) if steady else []) + [recipe_line(result)]

    # --------------------------------------------------------------------------------------------- the data

    def read_data(self, config: SegmentationConfig) -> Sets:
        mask, values = config.mask, dict(config.mask.values) or None
        data, columns = config.data, named_columns(config.data, "mask_column")
        sets = open_segmentation(
            str(data.path), values=values, ignore=mask.ignore, leaks=data.leaks, **data.reading(), **columns
        )
        return with_settings(sets, mask)

    def divide(self, config: SegmentationConfig, sets: Sets) -> Sets:
        data = config.data
        shares = {"train": 1 - data.val_fraction, "val": data.val_fraction}
        whole = "train"
        if "all" in sets:
            shares["train"], shares["test"], whole = shares["train"] - data.test_fraction, data.test_fraction, "all"
        elif "train" not in sets:
            raise UserError(f"{data.path}: has {', '.join(sets)} but no train images to learn from")
        elif "val" in sets:
            return sets
        if shares["train"] <= 0:
            raise UserError(
                f"--val-fraction {data.val_fraction:g} and --test-fraction {data.test_fraction:g} leave nothing to "
                "train on; give parts that add up to less than 1"
            )
        rule = "grouped" if sets[whole].groups is not None and data.split == "auto" else data.split
        wanted = {k: v for k, v in shares.items() if v > 0}
        rule = "stratified" if rule == "auto" else rule
        cut = cast(Sets, split_dataset(sets[whole], wanted, config.seed, rule))
        leak_check(cut, rule=data.leaks)
        return cut | {name: part for name, part in sets.items() if name != whole}

    def fingerprint(self, config: SegmentationConfig, sets: Sets) -> str:
        sha = hashlib.sha256(fingerprint_samples(sets, config.data.path).encode())
        for part in sets.values():
            organs = (
                [] if part.organs is None else [part.organs.file(case_name(Path(p))) for p in map(str, part.samples)]
            )
            for path in [*part.masks, *organs]:
                sha.update(hashlib.sha256(path.read_bytes()).digest())
        return sha.hexdigest()

    def open_path(self, config: SegmentationConfig, path: str, skip_bad: bool = False) -> Sets:
        refuse_idle({"skip_bad": True} if skip_bad else {}, {"skip_bad": (False, "every pair is needed")})
        meaning = Labels(dict(config.mask.values), config.mask.ignore)
        columns, reading = named_columns(config.data, "mask_column"), config.data.reading()
        sets = open_segmentation(
            path, values=meaning.values, ignore=meaning.ignore, leaks="ignore", **reading, **columns
        )
        return with_settings(sets, config.mask)

    # ------------------------------------------------------------------------------------------ the network

    def model_arguments(self, config: SegmentationConfig) -> dict[str, Any]:
        data, classes = config.data, config.data.classes
        wanted: dict[str, Any] = {"in_channels": data.channels * config.mask.planes, "size": data.size}
        wanted["head"] = config.head
        if classes:
            wanted["num_classes"] = 1 if config.head == "sigmoid" else len(classes)
        wanted |= {"per_slice": True} if config.mask.slices else {}
        return wanted | ({"auxiliary": True} if config.mask.auxiliary else {})

    def sees(self, config: SegmentationConfig) -> tuple[int, ...]:
        space = config.mask.patch or [config.data.size] * 2
        return (config.data.channels * config.mask.planes, *space)

    def serves(self, image: tuple[int, ...], outputs: Outputs) -> bool:
        ranks = (2, 3, 5) if len(image) == 4 else (2, 4)  # the middle of a patch, slices of a volume, every pixel
        return all(len(shape) in ranks and shape[1] > 0 for shape in outputs)

    def networks(self, axes: int) -> list[str]:
        """Return the networks that score every pixel or slice; those of the middle of a patch are not advised."""
        known = {name for name, _, found in default_networks() if all(len(o) == axes + 1 for o in found)}
        return [name for name in super().networks(axes) if name in known or answers_slices(name)]

    def check_model(self, config: SegmentationConfig, model: Any) -> Outputs:
        outputs = super().check_model(config, model)
        space, given = self.sees(config)[1:], outputs[0][2:]
        if config.mask.slices and not given:
            raise UserError(f"--option per_slice=false: {config.model} then has no answer for each slice; leave it out")
        if config.mask.patch is None and given not in ((), space):
            raise UserError(
                f"{config.model} gives scores of {given} for {space} pixels, so it cannot see whole "
                "images; let it see patches with --patch"
            )
        return outputs

    def head(self, config: SegmentationConfig, model: Any, weighted: bool = True) -> MaskHead:
        """Return loss and scores; with a map of border weights the class weights are in the map."""
        weights = config.class_weights if weighted and not config.mask.border_weight else None
        sigmoid = config.head == "sigmoid"
        mask, classes, background = config.mask, len(config.data.classes), config.mask.include_background
        if mask.contour is not None:
            return ContourHead(classes, mask.loss, weights, sigmoid, mask.auxiliary, mask.contour, background)
        if mask.slices and mask.patch is not None:
            return SliceHead(mask.patch, mask.loss, weights, sigmoid, background)
        return MaskHead(classes, mask.loss, weights, sigmoid, mask.auxiliary, background)

    def scored(self, config: SegmentationConfig, model: Any) -> tuple[int, ...]:
        """Return the sides of what the network scores of what it sees; () where that is the middle alone."""
        image = self.sees(config)
        return self.head(config, model).space(output_shapes(model, image[0], image[1:])[0][2:])

    def predictor(self, config: SegmentationConfig, model: Any, forward: Any = None) -> MaskPredictor:
        """Return the network as a function of whole images."""
        mask = config.mask
        return MaskPredictor(
            model,
            self.head(config, model, weighted=False),
            config.data,
            patch=mask.patch,
            planes=mask.planes,
            overlap=mask.overlap,
            blend=mask.blend,
            forward=forward,
        )

    # -------------------------------------------------------------------------------- training and measuring

    def training_batches(self, config: SegmentationConfig, dataset: MaskDataset, model: Any) -> Batches:
        c, m = config, config.mask
        augment = c.augment.settings()
        borders = None
        if m.border_weight:
            cell = None if m.border_class is None else c.data.classes.index(m.border_class)
            borders = BorderWeights(m.border_weight, m.border_sigma, cell, c.class_weights)
        voxels = replace(dataset, slices=False)  # a patch that was turned has other slices: the head finds theirs
        cases = Cases(voxels, c.data.channels, c.data.mean, c.data.std)
        output = self.scored(c, model)
        common: dict[str, Any] = {"augment": augment, "seed": c.seed, "workers": c.workers}
        drawn: dict[str, Any] = {"per_image": m.per_image, "foreground": m.foreground, **common}
        if not output:
            return VoxelLoader(cases, c.batch, c.data.size, triplanar=m.planes > 1, **drawn)
        if m.patch is not None:
            return PatchLoader(cases, c.batch, m.patch, output, borders=borders, **drawn)
        common |= {"shuffle": True, "borders": borders, "mean": c.data.mean, "std": c.data.std}
        return MaskLoader(dataset, c.batch, c.data.size, c.data.channels, **common)

    def validation(self, config: SegmentationConfig, dataset: MaskDataset) -> tuple[Batches | None, Validate | None]:
        def validate(trainer: Fitted) -> dict[str, Any]:
            """Return loss, pixel accuracy, and Dice averaged over images and classes but the background."""
            rows = []
            for row in self.cases(config, trainer.model, dataset, forward=trainer.forward):
                if trainer.stop:
                    return {}
                rows.append(row)
            return averages(rows)

        return None, validate

    def cases(
        self,
        config: SegmentationConfig,
        model: Any,
        dataset: MaskDataset,
        distances: bool = False,
        forward: Any = None,
    ) -> Iterator[Row]:
        """Yield the measures of each case; distances: those of surfaces too, in its unit."""
        head, plain = self.head(config, model, weighted=False), Refinement()
        regions = region_numbers(config.mask.values, config.mask.regions)
        for case in scored_cases(self.predictor(config, model, forward), dataset):
            yield measure_scored(case, head, plain, bool(config.mask.boundary), distances, regions)

    def measure(self, config: SegmentationConfig, model: Any, dataset: MaskDataset) -> tuple[dict[str, Any], list[Row]]:
        rows = list(self.cases(config, model, dataset, distances=True, forward=recorded(model, dataset)))
        return summarise(rows, measured_classes(config)), rows

    def measure_refined(
        self,
        folder: Path,
        config: SegmentationConfig,
        model: Any,
        dataset: MaskDataset,
        val: Callable[[], MaskDataset],
        wanted: tuple[str | None, str | None],
    ) -> dict[str, Any]:
        head, boundary = self.head(config, model, weighted=False), bool(config.mask.boundary)
        predict = self.predictor(config, model, recorded(model, dataset))

        def measure(case: ScoredCase, refine: Refinement) -> Row:
            return measure_scored(case, head, refine, boundary)

        asked = Wanted(*wanted)
        seen = scored_cases(predict, validation_cases(asked, val)) if asked.given() is None else ()
        choice = choose(asked, seen, measure, len(config.data.classes))
        if choice.cases:
            save_choice(folder, choice)
        cases, classes = scored_cases(predict, dataset), measured_classes(config)
        regions = region_numbers(config.mask.values, config.mask.regions)
        return measure_beside(choice, cases, head, classes, boundary, regions)

    # ---------------------------------------------------------------------------------------------- results

    def text(self, config: SegmentationConfig, result: dict[str, Any], title: str) -> str:
        return mask_text(result, title, config.mask.dimensions == 3, config.mask.slices)

    def save_results(
        self,
        folder: Path,
        config: SegmentationConfig,
        model: Any,
        dataset: MaskDataset,
        result: dict[str, Any],
        details: Any,
        title: str,
    ) -> None:
        write_cases(folder / "cases.csv", details, measured_classes(config), config.data.path)
        save_case_overlays(self.predictor(config, model), dataset, details, folder / "overlays.png", title)

    def predict(
        self,
        folder: Path,
        config: SegmentationConfig,
        model: Any,
        files: Sequence[Path],
        out: Path | None,
        overlays: bool,
    ) -> Predictions:
        return predict_masks(config, self.predictor(config, model), files, out, overlays)

    def predict_refined(
        self,
        folder: Path,
        config: SegmentationConfig,
        model: Any,
        files: Sequence[Path],
        out: Path | None,
        overlays: bool,
        wanted: tuple[str | None, str | None],
        masks: str | None = None,
    ) -> Predictions:
        refine = chosen_before(folder, Wanted(*wanted))
        return predict_masks(config, self.predictor(config, model), files, out, overlays, refine, masks)

    def map_names(self, config: SegmentationConfig) -> list[str]:
        """Return the classes but the background, where the network sees whole pictures."""
        whole = config.mask.patch is None and config.mask.dimensions == 2 and config.mask.modalities == 1
        return config.data.classes[1:] if whole and not classifies_middle(config.model) else []

    def without_maps(self, config: SegmentationConfig) -> str:
        return why_no_maps(config.mask, config.model, self.place_form(config))

    def explained(self, config: SegmentationConfig, model: Any, image: np.ndarray) -> Any:
        first = 0 if config.head == "sigmoid" else 1
        return Places(model, image, first, len(config.data.classes) - 1)

    def place_form(self, config: SegmentationConfig) -> str:
        return FORMS[config.mask.dimensions]

    def place_names(self, config: SegmentationConfig) -> list[str]:
        return config.data.classes[1:] if config.head == "sigmoid" else config.data.classes

    def views(self, config: SegmentationConfig, model: Any, path: Path, place: Place | None = None) -> list[View]:
        files, classes = files_of(str(path), config.mask.modalities), len(self.place_names(config))
        if place is not None:
            return place_views(config, model, self.scored(config, model), classes, files, place)
        image, _ = read_seen(config, files)
        pixels = fit_image(image, (config.data.size, config.data.size), config.data.channels)
        return [whole_view(pixels, config.data, lambda seen: self.explained(config, model, seen))]

    def export_metadata(self, config: SegmentationConfig) -> dict[str, Any]:
        steps, patch = picture_preparation(config), config.mask.patch
        if patch:
            steps |= {"size": patch, "resize": "none: patches, cut out and put together"}
        if config.mask.dimensions == 3:
            steps |= {"layout": "N, channels, depth, height, width", "colour": "as stored", "scale": "none"}
            steps |= {"normalise": "each channel: less its mean, over its standard deviation"}
            steps |= {"mean": None, "std": None}
        scores = "softmax over axis 1, one channel a class; of a single channel the sigmoid is the foreground's"
        if config.mask.slices:
            scores += "; one number for each slice across the first axis"
        if config.mask.contour is not None:
            scores = (
                "softmax over channels 0, 1 (objects) and 2, 3 (contours): class 1 where p[1] >= 1/2 and p[3] < 1/2"
            )
        return {"positive": "", "preparation": steps, "scores": scores}


TASK = Segmentation()
