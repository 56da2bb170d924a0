"""`tinymed register`: one image brought onto another.  Its options are the schema's."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ..registration.config import RegisterConfig
from ..schema import checked
from ..tasks.base.options import read_fields, refuse_idle
from .app import Computing, app, examples
from .options import Given, keyword, parameter, path_option, required, with_options

FIXED: Any = Annotated[Path, typer.Argument(help="The image that stays.", show_default=False)]
MOVING: Any = Annotated[Path, typer.Argument(help="The image that is brought onto it.", show_default=False)]
OPTIONS = {option.name: option for option in read_fields(RegisterConfig)}
OUT = path_option("Registration", "Folder of the results, new or empty (registration).")
NETWORK = path_option(
    "Registration",
    "A run of `tinymed train --task registration`, whose network says the map at once; only what its --align says is "
    "searched.",
)
SEARCH = ("transform", "init", "levels", "steps", "lr", "field_lr", "smoothness")
JSON: Any = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def register(given: Given) -> int:
    """Bring a picture or a NIfTI volume onto another, and write the transform, the warped image and what changed.

    Leaves transform.json (a matrix of the world: millimetres of a volume, pixels of a picture), of a dense transform
    field.nii.gz, the warped image, registration.json with the figures and before_after.png.
    """
    from ..registration.optimise import register as search
    from ..registration.output import new_folder, save
    from ..registration.spaces import check_pair, read_image
    from ..train.run import choose_backend

    config = checked(lambda: RegisterConfig(**{name: given[name] for name in OPTIONS if name in given}))
    dense = config.transform == "dense"
    refuse_idle(
        given,
        {
            "field_lr": (dense, "it is of --transform dense"),
            "smoothness": (dense, "it is of --transform dense"),
            "window": (config.metric == "local-ncc", "it is of --metric local-ncc"),
            "bins": (config.metric == "mi", "it is of --metric mi"),
        },
    )
    if "network" in given:
        refuse_idle(given, dict.fromkeys(SEARCH, (False, "--network searches nothing")))
    if config.backend:
        choose_backend(config.backend)
    fixed, moving = read_image(given["fixed"]), read_image(given["moving"])
    check_pair(fixed, moving)
    ask = network_of(given["network"], fixed) if "network" in given else None
    folder = new_folder(given.get("out", Path("registration")))
    found = search(fixed, moving, config) if ask is None else ask(moving, config)
    report = save(found, fixed, moving, config, folder)
    if given.get("json"):
        print(json.dumps(report))
        return 0
    print(f"loss by {config.metric}: {report['loss_before']:.4f} before, {report['loss_after']:.4f} after")
    print(
        f"pixels move by {report['displacement_mean']:.2f} {report['unit']} on average, at most "
        f"{report['displacement_max']:.2f}; {100 * report['folded']:.2f} % of space folds "
        f"(volume times {report['jacobian_min']:.2f} to {report['jacobian_max']:.2f})"
    )
    for name, file in report["files"].items():
        print(f"  {name}: {folder / file}")
    return 0


def network_of(folder: Path, fixed: Any) -> Callable[[Any, RegisterConfig], Any]:
    """Return a function of a moving image and what is reported: what the network of a run says of it and `fixed`.

    Raises:
        UserError: The folder is no run that registers, or one of pictures where these are volumes.
    """
    from ..errors import UserError
    from ..registration.beginning import Beginning
    from ..registration.fields import FieldPredictor
    from ..registration.optimise import registered_by
    from ..train.run import Run

    run = Run.open(folder)
    part, kinds = getattr(run.config, "field", None), {2: "pictures", 3: "volumes"}
    if part is None:
        raise UserError(
            f"--network {folder}: is a run of {run.config.task}; give one of `tinymed train --task registration`"
        )
    if fixed.space.rank != len(part.sides):
        raise UserError(
            f"--network {folder}: registers {kinds[len(part.sides)]}; {fixed.path} is one of {kinds[fixed.space.rank]}"
        )
    predictor = FieldPredictor(run.load_model())
    begin = Beginning(part.init, part.align, part.loss, part.ncc_window)

    def ask(moving: Any, config: RegisterConfig) -> Any:
        return registered_by(predictor, fixed, moving, config.model_copy(update={"init": part.init}), begin)

    return ask


command = with_options(
    register,
    {},
    [
        required("fixed", FIXED),
        required("moving", MOVING),
        *(parameter(option) for option in OPTIONS.values()),
        keyword("network", NETWORK),
        keyword("out", OUT),
        keyword("json", JSON),
    ],
)
app.command(
    cls=Computing,
    name="register",
    epilog=examples(
        "tinymed register fixed.png moving.png --transform rigid",
        "tinymed register fixed.nii.gz moving.nii.gz --transform dense --smoothness 2 --out runs/pair",
        "tinymed register fixed.nii.gz moving.nii.gz --network runs/registration",
        "tinymed register ct.nii.gz mri.nii.gz --metric mi --json",
    ),
)(command)
