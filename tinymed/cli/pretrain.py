"""`tinymed pretrain`: the hidden layers of a dense network, learnt one by one.  Its options are the schema's."""

from typing import Annotated, Any

import typer

from ..tasks.base.options import read_fields
from ..unsupervised.config import PretrainConfig
from .app import Computing, app, examples
from .options import Given, all_options, keyword, parameter, path_option, with_options

OPTIONS = {option.name: option for option in read_fields(PretrainConfig)}
OF_DATA = (  # train's
    *("path_column", "split_column", "group_column", "suffix", "leaks", "skip_bad"),
    *("white", "window", "page"),
    *("split", "val_fraction", "test_fraction", "size", "grey", "normalise", "patches", "option"),
)
NETWORK: Any = Annotated[
    str | None, typer.Argument(help="The network: mlp, sae or avendi_sae (mlp).", show_default=False)
]
DATA: Any = Annotated[str | None, typer.Option(help="Images, as for --task reconstruction.", show_default=False)]
PATHS = {
    "out": path_option("Pre-training", "Folder of the results, new or empty (pretrain)."),
    "resume": path_option("Pre-training", "Continue the pre-training in this folder, to the same bits."),
}


def pretrain(given: Given) -> int:
    """Learn the hidden layers of a dense network one by one, without labels, as the beginning of another training.

    Leaves weights.safetensors for `tinymed train NETWORK --init FOLDER/weights.safetensors`, filters.png with what each
    unit of the first layer looks for, pretrain.json, and state.safetensors for --resume.
    """
    from .pretraining import pretrain_command

    return pretrain_command(given)


train_options = all_options()
command = with_options(
    pretrain,
    {"network": NETWORK, "data": DATA},
    [
        *(parameter(option) for option in OPTIONS.values()),
        *(parameter(train_options[name]) for name in OF_DATA),
        *(keyword(name, annotation) for name, annotation in PATHS.items()),
    ],
)
app.command(
    cls=Computing,
    name="pretrain",
    epilog=examples(
        "tinymed pretrain mlp --data MNIST --epochs 10 --out runs/dbn",
        "tinymed train mlp --data MNIST --positive 1 --init runs/dbn/weights.safetensors",
        "tinymed pretrain sae --data DIR --by autoencoder --corrupted 0.3 --option code=same",
        "tinymed pretrain avendi_sae --data DIR --by autoencoder --sparsity-weight 3 --option hidden=100",
        "tinymed pretrain --resume runs/dbn",
    ),
)(command)
