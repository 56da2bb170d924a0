"""Consistency checks of published classification results: do the numbers of a paper fit each other?

Three kinds of finding.  A contradiction is arithmetic: no data set gives these numbers, rounding included.
Something suspicious is possible but unlikely, or the mark of a common mistake.  A note is information.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any

from ..metrics.confusion_metrics import RATES, Counts
from .ranges import Range, implied_prevalence, possible_rates, rounding_range, whole_numbers_fit
from .reader import ACCURACIES, RATE_COLUMNS, ResultRow, parse_rows

CONTRADICTION, SUSPICIOUS, NOTE = "contradiction", "suspicious", "note"
FOLD_DROP = 0.05  # a cross-validation accuracy this far below validation and test asks for a reason


@dataclass(frozen=True)
class Finding:
    """One thing the audit has to say about a row, or about several rows together.

    Attributes:
        severity: "contradiction", "suspicious" or "note".
        check: Which check found it.
        rows: Names of the rows.
        message: What it says, in a sentence.
        numbers: What it computed.
    """

    severity: str
    check: str
    rows: tuple[str, ...]
    message: str
    numbers: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RowAudit:
    """What one row implies, as fractions.

    Attributes:
        name: The row's name.
        counts: Its confusion matrix, if it has one.
        claimed: Rates as printed.
        computed: Rates from its counts.
        prevalence: Implied fraction of positives.
        prevalence_range: Its range, rounding included.
    """

    name: str
    counts: Counts | None
    claimed: dict[str, float]
    computed: dict[str, float]
    prevalence: float | None
    prevalence_range: Range | None


@dataclass(frozen=True)
class AuditReport:
    """What rows imply, and findings in order of severity.

    Attributes:
        rows: One RowAudit per row.
        findings: Contradictions first.
    """

    rows: list[RowAudit]
    findings: list[Finding]

    @property
    def consistent(self) -> bool:
        """Return whether nothing is arithmetically impossible."""
        return all(f.severity != CONTRADICTION for f in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return dicts and lists for JSON."""
        return {"consistent": self.consistent, **asdict(self)}


def audit_counts(
    tp: int,
    fn: int,
    tn: int,
    fp: int,
    claimed: Mapping[str, Any],
    decimals: int | None = None,
    percent: bool | None = None,
) -> list[Finding]:
    """Check claimed rates against the counts of a confusion matrix.

    Args:
        tp: True positives.
        fn: False negatives.
        tn: True negatives.
        fp: False positives.
        claimed: Rate (sensitivity, specificity, accuracy, precision, npv, f1, balanced_accuracy) -> number as
            printed; strings keep trailing zeros.
        decimals: Digits after the point, None to read them off each number.
        percent: Whether numbers are percentages; None takes numbers above 1 for such.

    Returns:
        Findings in order of severity; none where everything fits.

    Raises:
        UserError: A count is negative or a rate is unknown.

    Example:
        >>> audit_counts(tp=40, fn=10, tn=45, fp=5, claimed={"sensitivity": "0.80"})
        []
        >>> audit_counts(tp=40, fn=10, tn=45, fp=5, claimed={"accuracy": "0.90"})[0].message
        'accuracy 0.90 is claimed, but the counts give 0.8500'
    """
    row = {"name": "counts", "tp": tp, "fn": fn, "tn": tn, "fp": fp, **claimed}
    return audit_table([row], decimals=decimals, percent=percent).findings


def audit_table(
    rows: Iterable[Mapping[str, Any]],
    *,
    decimals: int | None = None,
    percent: bool | None = None,
    one_test_set: bool = False,
) -> AuditReport:
    """Check the rows of a published table, each alone and against each other.

    Args:
        rows: Mappings with `name` and any of tp, fn, tn, fp (or positives, negatives), n, the rates, train_,
            validation_ and cv_accuracy, `dataset`, `model` and `test_set` (rows with one test_set are claimed to
            share it).
        decimals: As in `audit_counts`.
        percent: As in `audit_counts`.
        one_test_set: All rows are claimed to share one test set.

    Returns:
        An AuditReport: what each row implies, and findings in order of severity.

    Raises:
        UserError: A row is malformed.

    Example:
        >>> rows = [{"name": "A", "sensitivity": "0.90", "specificity": "0.80", "accuracy": "0.95"}]
        >>> audit_table(rows).consistent
        False
    """
    parsed = parse_rows(rows, decimals=decimals, percent=percent)
    audits = [describe(row) for row in parsed]
    findings: list[Finding] = []
    for row, audit in zip(parsed, audits, strict=True):
        findings += check_counts(row, audit)
        findings += check_rates(row, audit)
        findings += check_splits(row)
    findings += check_shared_sets(parsed, audits, one_test_set)
    findings += check_duplicates(parsed)
    findings += check_claims_agree(parsed)
    order = (CONTRADICTION, SUSPICIOUS, NOTE)
    return AuditReport(audits, sorted(findings, key=lambda f: order.index(f.severity)))


def describe(row: ResultRow) -> RowAudit:
    """Return what a row implies by itself."""
    computed = rates_of(row.counts) if row.counts else {}
    ranges = claimed_ranges(row)
    value, interval = None, None
    if row.counts and sum(row.counts):
        value = (row.counts.tp + row.counts.fn) / sum(row.counts)
        interval = Range(value, value)
    elif {"sensitivity", "specificity", "accuracy"} <= ranges.keys():
        triple = [ranges[k] for k in ("sensitivity", "specificity", "accuracy")]
        interval = implied_prevalence(*triple)
        sens, spec, acc = (sum(r) / 2 for r in triple)
        if interval and sens != spec:
            value = min(max((acc - spec) / (sens - spec), interval.low), interval.high)
    claimed = {k: float(v) * row.unit for k, v in row.rates.items()}
    return RowAudit(row.name, row.counts, claimed, computed, value, interval)


def rates_of(counts: Counts) -> dict[str, float]:
    """Return the defined rates of a confusion matrix, balanced accuracy included."""
    pairs = {name: parts(counts) for name, parts in RATES.items()}
    rates = {name: top / bottom for name, (top, bottom) in pairs.items() if bottom}
    if {"sensitivity", "specificity"} <= rates.keys():
        rates["balanced_accuracy"] = (rates["sensitivity"] + rates["specificity"]) / 2
    return rates


def claimed_ranges(row: ResultRow) -> dict[str, Range]:
    """Return the claimed rates as ranges of fractions."""
    return {name: rounding_range(value, row.unit) for name, value in row.rates.items() if name in RATE_COLUMNS}


def show(fraction: float, row: ResultRow, digits: int = 2) -> str:
    """Return a fraction in the row's own unit."""
    return f"{fraction * 100:.{digits}f} %" if row.unit != 1 else f"{fraction:.{digits + 2}f}"


def check_counts(row: ResultRow, audit: RowAudit) -> list[Finding]:
    """Compare claimed rates with the row's own counts, and the counts with a constant answer."""
    findings = []
    for name, claimed in claimed_ranges(row).items():
        if row.counts is None or name not in audit.computed:
            continue
        value, printed = audit.computed[name], row.rates[name]
        numbers = {"metric": name, "claimed": float(printed) * row.unit, "computed": value}
        said = f"{name} {printed}{' %' if row.unit != 1 else ''} is claimed"
        if claimed.meets(Range(value, value)):
            continue
        if claimed.meets(Range(value - (claimed.high - claimed.low) / 2, value)):
            message = f"{said} and the counts give {show(value, row, 3)}: cut off, not rounded"
            findings.append(Finding(NOTE, "counts", (row.name,), message, numbers))
            continue
        message = f"{said}, but the counts give {show(value, row)}"
        findings.append(Finding(CONTRADICTION, "counts", (row.name,), message, numbers))
    if row.counts and audit.prevalence is not None and sum(row.counts):
        constant = max(audit.prevalence, 1 - audit.prevalence)
        if audit.computed["accuracy"] <= constant:
            message = (
                f"accuracy {show(audit.computed['accuracy'], row)} does not beat always answering "
                f"the larger class, {show(constant, row)}"
            )
            findings.append(Finding(SUSPICIOUS, "baseline", (row.name,), message, {"baseline": constant}))
    return findings


def check_rates(row: ResultRow, audit: RowAudit) -> list[Finding]:
    """Compare claimed rates with each other: accuracy, precision, npv, F1, and whole numbers for n."""
    r = claimed_ranges(row)
    findings = [
        Finding(
            CONTRADICTION,
            "range",
            (row.name,),
            f"{name} {row.rates[name]} lies outside 0 to {1 / row.unit:g}",
        )
        for name in r
        if not r[name].meets(Range(0.0, 1.0))
    ]
    if findings:
        return findings
    if {"sensitivity", "specificity", "accuracy"} <= r.keys() and not audit.counts and not audit.prevalence_range:
        message = (
            f"accuracy {row.rates['accuracy']} is a weighted mean of sensitivity and specificity, but does "
            f"not lie between {row.rates['sensitivity']} and {row.rates['specificity']}"
        )
        return [Finding(CONTRADICTION, "accuracy range", (row.name,), message)]
    for name, possible in possible_rates(r, audit.prevalence_range).items():
        if name in r and not r[name].meets(possible) and not audit.counts:
            message = (
                f"{name} {row.rates[name]} does not fit the other rates, which allow "
                f"{show(possible.low, row)} to {show(possible.high, row)}"
            )
            findings.append(Finding(CONTRADICTION, name, (row.name,), message, {"possible": possible}))
    if row.n and not audit.counts and not whole_numbers_fit(r, row.n):
        message = f"no whole numbers of positives, hits and rejections among n = {row.n} give these rates"
        findings.append(Finding(CONTRADICTION, "whole numbers", (row.name,), message, {"n": row.n}))
    return findings


def check_splits(row: ResultRow) -> list[Finding]:
    """Compare training, validation, test and cross-validation accuracy of one model."""
    values = {k: row.rates[k] for k in ACCURACIES if k in row.rates}
    test, validation, train, folds = (values.get(k) for k in ACCURACIES)
    findings = []

    def suspect(check: str, message: str) -> None:
        findings.append(Finding(SUSPICIOUS, check, (row.name,), message))

    if test is not None and validation is not None and test == validation and test.as_tuple().exponent != 0:
        suspect("same accuracy", f"validation and test accuracy are both {test}: one set under two names?")
    if test is not None and train is not None and train < test:
        suspect("train below test", f"training accuracy {train} is below test accuracy {test}")
    if folds is not None and test is not None:
        single = min(test, validation) if validation is not None else test
        drop = float(single - folds) * row.unit
        if drop > FOLD_DROP:
            message = f"cross-validation accuracy {folds} is {drop * 100:.1f} points below the single split's"
            suspect("cross-validation", f"{message} {single}: a lucky split, a leak, or other training")
    return findings


def check_shared_sets(rows: Sequence[ResultRow], audits: Sequence[RowAudit], one_test_set: bool) -> list[Finding]:
    """Require that rows claimed from one test set agree on its prevalence, and where counts are printed on its size."""
    groups: dict[str, list[RowAudit]] = {}
    for row, audit in zip(rows, audits, strict=True):
        name = row.test_set or ("the table" if one_test_set else "")
        if name and audit.prevalence_range:
            groups.setdefault(name, []).append(audit)
    findings = []
    for name, members in groups.items():
        spans = {a.name: a.prevalence_range for a in members if a.prevalence_range}
        apart = [(a, b) for a, b in combinations(spans, 2) if not spans[a].meets(spans[b])]
        if apart:
            listing = ", ".join(f"{a.name} {a.prevalence:.3f}" for a in members if a.prevalence is not None)
            message = (
                f"the rows of {name} cannot share a test set, rounding included: they imply different "
                f"fractions of positives ({listing}); {len(apart)} of {math.comb(len(spans), 2)} pairs "
                "exclude each other"
            )
            numbers = {"prevalence": {k: list(v) for k, v in spans.items()}, "excluding_pairs": apart}
            findings.append(Finding(CONTRADICTION, "prevalence", tuple(spans), message, numbers))
        sizes = {a.name: (a.counts.tp + a.counts.fn, a.counts.tn + a.counts.fp) for a in members if a.counts}
        if len(set(sizes.values())) > 1:
            listing = ", ".join(f"{k} {p} + {q}" for k, (p, q) in sizes.items())
            message = f"the rows of {name} count different numbers of positives + negatives: {listing}"
            findings.append(Finding(CONTRADICTION, "test set size", tuple(sizes), message))
    return findings


def check_duplicates(rows: Sequence[ResultRow]) -> list[Finding]:
    """Find the same confusion matrix printed for two data sets, or for two models of one."""
    seen: dict[Counts, list[ResultRow]] = {}
    for row in rows:
        if row.counts:
            seen.setdefault(row.counts, []).append(row)
    findings = []
    for counts, same in seen.items():
        names = tuple(row.name for row in same)
        if len(same) > 1:
            kind = "data sets" if len({row.dataset or row.name for row in same}) > 1 else "rows of one data set"
            message = (
                f"identical counts for {len(same)} {kind} ({', '.join(names)}): tp {counts.tp}, "
                f"fn {counts.fn}, tn {counts.tn}, fp {counts.fp}; is one a copy?"
            )
            findings.append(Finding(SUSPICIOUS, "identical counts", names, message, counts._asdict()))
    return findings


def check_claims_agree(rows: Sequence[ResultRow]) -> list[Finding]:
    """Require that one model's test accuracy on one data set, stated in two places, is one number."""
    findings = []
    named = [row for row in rows if row.dataset and "accuracy" in row.rates]
    for a, b in combinations(named, 2):
        if (a.dataset, a.model) != (b.dataset, b.model):
            continue
        if not claimed_ranges(a)["accuracy"].meets(claimed_ranges(b)["accuracy"]):
            one, two = (f"{row.rates['accuracy']} in {row.name}" for row in (a, b))
            message = f"two test accuracies for one model on {a.dataset}: {one}, {two}"
            findings.append(Finding(CONTRADICTION, "two claims", (a.name, b.name), message))
    return findings
