"""scikit-learn, imported when a classifier of it is fitted."""

from importlib import import_module
from typing import Any

import numpy as np

from ..errors import UserError


def library(module: str, wanted: str) -> Any:
    """Return a module of scikit-learn.

    Args:
        module: Its name below sklearn, such as "svm".
        wanted: Who asks, for the message.

    Raises:
        UserError: It is not installed.

    Example:
        >>> library("neighbors", "knn").__name__
        'sklearn.neighbors'
    """
    try:
        return import_module(f"sklearn.{module}")
    except ImportError:
        raise UserError(
            f"{wanted} needs scikit-learn: pip install 'tinymed[baselines]'; pnn, elm and majority need nothing"
        ) from None


def vote_shares(model: Any, features: np.ndarray, classes: int) -> np.ndarray:
    """Return a fitted scikit-learn classifier's class probabilities, float64 [n, classes], by class number."""
    shares = np.zeros((len(features), classes))
    shares[:, model.classes_] = model.predict_proba(features)
    return shares
