"""Classical classifiers, to stand beside networks: ours in NumPy, others through scikit-learn (extra `baselines`).

    fitted = fit_best("svm_linear", train_rows, train_labels, classes=2, val=(val_rows, val_labels))
    fitted.scores(test_rows), fitted.options, fitted.tried

A classifier is one file of this room, which registers itself; importing the room imports scikit-learn only when a
classifier of it is fitted.
"""

from .registry import Baseline as Baseline
from .registry import Entry as Entry
from .registry import available as available
from .registry import create as create
from .registry import entry as entry
from .registry import register as register
from .scaling import Columns as Columns
from .scaling import Overall as Overall
from .selection import Fitted as Fitted
from .selection import Tried as Tried
from .selection import cross_validate as cross_validate
from .selection import fit_best as fit_best

__all__ = [
    "Baseline",
    "Columns",
    "Entry",
    "Fitted",
    "Overall",
    "Tried",
    "available",
    "create",
    "cross_validate",
    "entry",
    "fit_best",
    "register",
]
