"""How well a ranking by similarity finds pictures of the same class: average precision, precision and recall at k.

Each picture is a query among the others (never itself, nor another of its patient where patients are known).  A set's
figures are means over queries with the interval of the bootstrap over queries; a gain over a floor is the mean of the
differences query by query, with its paired interval.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .classification import to_json
from .intervals import means_of

__all__ = ["cosine", "evaluate_ranking", "excluded_pairs", "query_measures", "random_measures"]

KS = (1, 5, 10)
Float = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]


def cosine(rows: npt.ArrayLike, others: npt.ArrayLike | None = None) -> Float:
    """Compute the cosine of the angle between rows; that of a row of zeros with anything is 0.

    Args:
        rows: Embeddings [n, d].
        others: Embeddings [m, d]; by default the rows themselves.

    Returns:
        float64 [n, m].

    Raises:
        ValueError: The shapes do not fit.

    Example:
        >>> cosine([[1.0, 0.0], [0.0, 2.0]], [[3.0, 3.0]]).round(4).tolist()
        [[0.7071], [0.7071]]
    """
    units = []
    for part in (rows, rows if others is None else others):
        a = np.asarray(part, np.float64)
        if a.ndim != 2:
            raise ValueError(f"cosine: embeddings are rows [n, d], got shape {a.shape}")
        length = np.linalg.norm(a, axis=1, keepdims=True)
        units.append(a / np.where(length > 0, length, 1))
    if units[0].shape[1] != units[1].shape[1]:
        raise ValueError(f"cosine: rows of {units[0].shape[1]} and {units[1].shape[1]} numbers cannot be compared")
    return np.asarray(units[0] @ units[1].T)


def excluded_pairs(n: int, groups: npt.ArrayLike | None = None) -> Bool:
    """Return which pictures are no neighbours of a query that is one of them: itself, and others of its patient.

    Args:
        n: Number of pictures.
        groups: Patient of each, or None.

    Returns:
        bool [n, n].

    Raises:
        ValueError: Not as many groups as pictures.

    Example:
        >>> excluded_pairs(3, ["a", "b", "a"]).astype(int).tolist()
        [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
    """
    own = np.eye(n, dtype=bool)
    if groups is None:
        return own
    patients = np.asarray(groups)
    if patients.shape != (n,):
        raise ValueError(f"excluded_pairs: {n} pictures but groups of shape {patients.shape}")
    return np.asarray(own | (patients[:, None] == patients[None, :]))


def query_measures(similarity: npt.ArrayLike, relevant: npt.ArrayLike, excluded: npt.ArrayLike) -> dict[str, Float]:
    """Compute the measures of each query's ranking.

    Average precision is that of `sklearn.metrics.average_precision_score`: pictures equally similar are found at once.
    Precision and recall at k take them in the order of the gallery.

    Args:
        similarity: Numbers [queries, gallery], higher for more alike.
        relevant: Booleans [queries, gallery]: what is to be found.
        excluded: Booleans [queries, gallery]: what is not ranked at all.

    Returns:
        {"ap", "precision@k", "recall@k" for k of KS: float64 [queries]}; nan for a query with nothing to be found.

    Raises:
        ValueError: The shapes differ, or a similarity is not finite.

    Example:
        >>> found = query_measures([[0.9, 0.8, 0.7]], [[True, False, True]], [[False, False, False]])
        >>> round(float(found["ap"][0]), 4), float(found["precision@1"][0])
        (0.8333, 1.0)
    """
    s, wanted, out = np.asarray(similarity, np.float64), np.asarray(relevant, bool), np.asarray(excluded, bool)
    if s.ndim != 2 or s.shape != wanted.shape or s.shape != out.shape:
        raise ValueError(
            f"query_measures: needs three arrays [queries, gallery], got {s.shape}, {wanted.shape}, {out.shape}"
        )
    if not np.isfinite(s).all():
        raise ValueError("query_measures: a similarity is nan or infinite; the embeddings are damaged or have diverged")
    names = ["ap", *(f"{kind}@{k}" for k in KS for kind in ("precision", "recall"))]
    found = {name: np.full(len(s), np.nan) for name in names}
    for query in range(len(s)):
        kept = ~out[query]
        scores, right = s[query, kept], wanted[query, kept]
        total = int(right.sum())
        if not total:
            continue
        order = np.argsort(-scores, kind="stable")
        hits = np.cumsum(right[order])
        last = np.append(np.flatnonzero(np.diff(scores[order])), scores.size - 1)  # of pictures equally similar
        gained = np.diff(hits[last], prepend=0)
        found["ap"][query] = float((gained * hits[last] / (last + 1)).sum() / total)
        for k in KS:
            among = int(hits[min(k, hits.size) - 1])
            found[f"precision@{k}"][query], found[f"recall@{k}"][query] = among / k, among / total
    return found


def random_measures(relevant: npt.ArrayLike, excluded: npt.ArrayLike) -> dict[str, Float]:
    """Compute what a random order of the gallery gives on average, query by query.

    E[AP] of R relevant of N is ((R - 1) / (N - 1) (N - H_N) + H_N) / N with the harmonic number H_N, a little above the
    share R / N; E[precision@k] is R / N and E[recall@k] is k / N.

    Args:
        relevant: Booleans [queries, gallery].
        excluded: Booleans [queries, gallery].

    Returns:
        As `query_measures`.

    Example:
        >>> one = random_measures([[True, False]], [[False, False]])
        >>> float(one["ap"][0]), float(one["precision@1"][0])
        (0.75, 0.5)
    """
    wanted, out = np.asarray(relevant, bool), np.asarray(excluded, bool)
    ranked = (~out).sum(axis=1).astype(np.float64)
    right = (wanted & ~out).sum(axis=1).astype(np.float64)
    harmonic = np.array([np.sum(1 / np.arange(1, int(n) + 1)) for n in ranked])
    with np.errstate(invalid="ignore", divide="ignore"):
        ap = ((right - 1) / np.maximum(ranked - 1, 1) * (ranked - harmonic) + harmonic) / ranked
        found = {"ap": ap}
        for k in KS:
            found[f"precision@{k}"] = right / ranked * np.minimum(ranked, k) / k
            found[f"recall@{k}"] = np.minimum(k / ranked, 1.0)
    return {name: np.where(right > 0, values, np.nan) for name, values in found.items()}


def evaluate_ranking(
    similarity: npt.ArrayLike,
    labels: npt.ArrayLike,
    classes: Sequence[str],
    *,
    groups: npt.ArrayLike | None = None,
    floors: Mapping[str, npt.ArrayLike] | None = None,
    seed: int = 0,
    level: float = 0.95,
    resamples: int = 1000,
) -> dict[str, Any]:
    """Compute the measures of a set whose pictures are each other's gallery, ready for JSON.

    Args:
        similarity: Numbers [n, n] between the pictures.
        labels: Class numbers (n,).
        classes: Their names.
        groups: Patient of each picture, whose other pictures are no neighbours; or None.
        floors: Name -> similarities [n, n] of a trivial method; a random order is always one.
        seed: Seed of the bootstrap.
        level: Confidence level, above 0 and below 1.
        resamples: Number of bootstrap resamples; 0 leaves the intervals out (None).

    Returns:
        A dictionary: n, queries (those with something to be found), level; map and each measure of `query_measures`
        with `<name>_interval`; "per_class": the map of the queries of each class; "floors": of each its measures,
        map_gain and map_gain_interval; "warnings".

    Raises:
        ValueError: As `query_measures`.

    Example:
        >>> result = evaluate_ranking(np.eye(4), [0, 0, 1, 1], ["a", "b"], resamples=0)
        >>> result["queries"], round(result["map"], 4)
        (4, 0.3333)
    """
    y = np.asarray(labels, np.int64)
    excluded = excluded_pairs(y.size, groups)
    relevant = (y[:, None] == y[None, :]) & ~excluded
    measured = renamed(query_measures(similarity, relevant, excluded))
    others = {"random order": renamed(random_measures(relevant, excluded))}
    others |= {name: renamed(query_measures(s, relevant, excluded)) for name, s in (floors or {}).items()}
    known = np.isfinite(measured["map"])
    notes: list[str] = []
    if not known.all():
        notes.append(f"{int((~known).sum())} of {y.size} pictures have no other of their class to be found: left out")
    columns = {name: values[known] for name, values in measured.items()}
    columns |= {f"{name} map_gain": (measured["map"] - other["map"])[known] for name, other in others.items()}
    columns |= {f"class {name}": measured["map"][known & (y == k)] for k, name in enumerate(classes)}
    summary = means_of(columns, seed=seed, level=level, resamples=resamples, warn=notes.append)
    result: dict[str, Any] = {"n": int(y.size), "queries": int(known.sum()), "level": level}
    for name in measured:
        result[name], result[f"{name}_interval"] = summary[name]
    result["per_class"] = {
        name: {"map": summary[f"class {name}"][0], "map_interval": summary[f"class {name}"][1]} for name in classes
    }
    result["floors"] = {}
    for name, other in others.items():
        row: dict[str, Any] = {m: float(v[known].mean()) if known.any() else None for m, v in other.items()}
        row["map_gain"], row["map_gain_interval"] = summary[f"{name} map_gain"]
        if row["map_gain_interval"] is not None and not row["map_gain_interval"][0] > 0:
            notes.append(f"map: not above the floor {name!r}: the interval of the gain holds 0 or less")
        result["floors"][name] = row
    return {name: to_json(value) for name, value in result.items()} | {"warnings": list(dict.fromkeys(notes))}


def renamed(measures: Mapping[str, Float]) -> dict[str, Float]:
    """Return the measures of queries under the names of their means: ap becomes map."""
    return {"map" if name == "ap" else name: values for name, values in measures.items()}
