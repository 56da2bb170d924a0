"""What tasks share that read no label: how their images are opened, and that no output is of a class."""

from typing import Any, Generic, TypeVar

from ...data.unlabelled import UnlabelledDataset, open_unlabelled
from .config import named_columns
from .picture import PictureConfig, PictureTask

C = TypeVar("C", bound=PictureConfig)


class UnlabelledTask(PictureTask[C, UnlabelledDataset], Generic[C]):
    """A task on images without labels."""

    def open(self, config: C, path: str, leaks: str, skip_bad: bool) -> dict[str, UnlabelledDataset]:
        data = config.data
        more: dict[str, Any] = {} if (patches := getattr(data, "patches", None)) is None else {"patches": patches}
        return open_unlabelled(
            path,
            **named_columns(data),
            skip_bad=skip_bad,
            leaks=leaks,
            **data.reading(),
            size=data.size,
            channels=data.channels,
            seed=config.seed,
            **more,
        )

    def outputs(self, config: C) -> int:
        return 0  # their number is not a number of classes: `serves` compares shapes
