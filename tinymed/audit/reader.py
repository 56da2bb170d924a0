"""Reading published results for the audit: CSV or TOML, percent or fraction, digits kept as printed."""

import csv
import io
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..metrics.confusion_metrics import Counts

# Test, validation, training and cross-validation accuracy, in the order check_splits reads them.
ACCURACIES = ("accuracy", "validation_accuracy", "train_accuracy", "cv_accuracy")
RATE_COLUMNS = ("sensitivity", "specificity", "accuracy", "precision", "npv", "f1", "balanced_accuracy")
COUNT_COLUMNS = ("tp", "fn", "tn", "fp", "positives", "negatives", "n")
TEXT_COLUMNS = ("name", "dataset", "model", "test_set")
ALIASES = {
    "recall": "sensitivity",
    "sens": "sensitivity",
    "tpr": "sensitivity",
    "spec": "specificity",
    "tnr": "specificity",
    "acc": "accuracy",
    "test_accuracy": "accuracy",
    "test": "accuracy",
    "ppv": "precision",
    "f1_score": "f1",
    "f_score": "f1",
    "f_measure": "f1",
    "bacc": "balanced_accuracy",
    "val_accuracy": "validation_accuracy",
    "validation": "validation_accuracy",
    "train": "train_accuracy",
    "training_accuracy": "train_accuracy",
    "cv": "cv_accuracy",
    "cross_validation": "cv_accuracy",
    "cross_validation_accuracy": "cv_accuracy",
    "method": "model",
    "data_set": "dataset",
}
KNOWN = {*ACCURACIES, *RATE_COLUMNS, *COUNT_COLUMNS, *TEXT_COLUMNS}

# What Senthil Kumar et al. 2022 print in text, Tables 1 and 2, digits as printed.
# Also the pattern of an input file.
EXAMPLE_CSV = """\
name,dataset,model,test_set,tp,fn,tn,fp,sensitivity,specificity,accuracy,validation,train,cv
malaria (text),malaria,CNN,,3999,158,3905,305,,,95.6,,98.23,
pneumonia (text),pneumonia,CNN,,20488,1512,25810,1190,,,99.5,,100,
retinopathy (text),retinopathy,CNN,,1918,212,1650,50,,,95.6,,98.8,
breast (text),breast cancer,CNN,,3999,158,3905,305,,,92.2,,86.9,
brain tumour (Table 1),brain tumour,CNN,,,,,,,,95.54,95.75,,89.05
retinopathy (Table 1),retinopathy,CNN,,,,,,,,87.21,87.60,,75.65
breast (Table 1),breast cancer,CNN+VGG16,,,,,,,,88.13,88.06,,78.82
pneumonia (Table 1),pneumonia,CNN,,,,,,,,59.47,59.47,,55.73
Xception,,Xception,Table 2,,,,,96.79,98.92,98.40,,,
CNN,,CNN,Table 2,,,,,94.18,97.86,96.80,,,
ResNet50,,ResNet50,Table 2,,,,,92.24,98.07,97.13,,,
DenseNet121,,DenseNet121,Table 2,,,,,90.25,96.15,94.26,,,
proposed,,proposed,Table 2,,,,,97.51,98.78,98.43,,,
"""


@dataclass(frozen=True)
class ResultRow:
    """One published result; `rates` are as printed, times `unit` (0.01 for percent, else 1) fractions."""

    name: str
    dataset: str
    model: str
    test_set: str
    n: int | None
    counts: Counts | None
    rates: dict[str, Decimal]
    unit: float


def example_rows() -> list[dict[str, Any]]:
    """Return the published numbers of the paper whose network this package rebuilds, as printed."""
    return read_csv(EXAMPLE_CSV, "the built-in example")


def read_rows(path: str | Path) -> list[dict[str, Any]]:
    r"""Read the rows of a published table, their digits as printed.

    Args:
        path: A .csv file (header line, one result per line) or a .toml file ([[row]] tables).

    Returns:
        One mapping per row, as `audit_table` takes them.

    Raises:
        UserError: The file is missing, unreadable or empty, or has another suffix.

    Example:
        >>> _ = Path("table.csv").write_text("name,accuracy\nA,0.90\n")
        >>> read_rows("table.csv")
        [{'name': 'A', 'accuracy': '0.90'}]
    """
    path = Path(path)
    if path.suffix.lower() not in (".csv", ".toml"):
        raise UserError(f"{path}: an audit reads a .csv or .toml file, got {path.suffix or 'no suffix'}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 text ({error})") from None
    return read_csv(text, str(path)) if path.suffix.lower() == ".csv" else read_toml(text, str(path))


def read_csv(text: str, source: str) -> list[dict[str, Any]]:
    """Return the rows of CSV text; empty cells are left out."""
    reader = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    rows = []
    for row in reader:
        if None in row:
            raise UserError(f"{source}, line {reader.line_num}: more cells than the header has columns")
        rows.append({k: v.strip() for k, v in row.items() if v is not None and v.strip()})
    rows = [row for row in rows if row]
    if not rows:
        raise UserError(f"{source}: no rows; write a header such as name,sensitivity,specificity,accuracy and a row")
    return rows


def read_toml(text: str, source: str) -> list[dict[str, Any]]:
    """Return the rows of TOML text: an array of tables named `row` or `rows`."""
    try:
        document = tomllib.loads(text, parse_float=Decimal)  # Decimal keeps the zero of 96.80
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{source}: not valid TOML ({error})") from None
    rows = document.get("row", document.get("rows"))
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{source}: needs one [[row]] table for each result")
    return rows


def parse_rows(
    rows: Iterable[Mapping[str, Any]], *, decimals: int | None = None, percent: bool | None = None
) -> list[ResultRow]:
    """Return rows with canonical column names, exact numbers and one unit for the whole table."""
    cleaned = [canonical(row, f"row {i + 1}") for i, row in enumerate(rows)]
    if not cleaned:
        raise UserError("audit: no rows")
    rates = [
        {k: number(row[k], f"{row['name']}: {k}", decimals) for k in (*RATE_COLUMNS, *ACCURACIES) if k in row}
        for row in cleaned
    ]
    if percent is None:
        percent = any(v > 1 for values in rates for v in values.values()) or any(
            "%" in str(v) for row in cleaned for v in row.values()
        )
    unit = 0.01 if percent else 1.0
    return [build(row, values, unit) for row, values in zip(cleaned, rates, strict=True)]


def canonical(row: Mapping[str, Any], default_name: str) -> dict[str, Any]:
    """Return a row under canonical column names; raise UserError for unknown ones."""
    result: dict[str, Any] = {"name": default_name}
    for key, value in row.items():
        name = str(key).strip().lower().replace("%", "").replace("(", "").replace(")", "").strip()
        name = name.replace(" ", "_").replace("-", "_").removesuffix("_percent")
        name = ALIASES.get(name, name)
        if name not in KNOWN:
            raise UserError(f"audit: unknown column {key!r}; known are {', '.join(sorted(KNOWN))}")
        if value is not None and str(value).strip():
            result[name] = value
    result.setdefault("test_set", "")
    return result


def number(value: Any, where: str, decimals: int | None) -> Decimal:
    """Return a printed number, its digits kept (96.80 has two), or rounded to `decimals`."""
    text = str(value).replace("%", "").strip()
    try:
        result = Decimal(text)
    except InvalidOperation:
        raise UserError(f"audit: {where} is not a number: {value!r}") from None
    if not result.is_finite():
        raise UserError(f"audit: {where} is not a finite number: {value!r}")
    return result if decimals is None else round(result, decimals)


def build(row: Mapping[str, Any], rates: dict[str, Decimal], unit: float) -> ResultRow:
    """Return one ResultRow; fn and fp may be printed as positives and negatives."""
    c = {k: whole(row[k], f"{row['name']}: {k}") for k in COUNT_COLUMNS if k in row}
    for part, rest, total in (("tp", "fn", "positives"), ("tn", "fp", "negatives")):
        if part in c and total in c and rest not in c:
            c[rest] = c[total] - c[part]
            if c[rest] < 0:
                raise UserError(f"audit: {row['name']}: {part} {c[part]} is more than {total} {c[total]}")
    counted = [k for k in ("tp", "fn", "tn", "fp") if k in c]
    if counted and len(counted) < len(Counts._fields):
        raise UserError(f"audit: {row['name']}: needs all of tp, fn, tn, fp or none, got {', '.join(counted)}")
    counts = Counts(tp=c["tp"], fp=c["fp"], fn=c["fn"], tn=c["tn"]) if counted else None
    if counts and "n" in c and sum(counts) != c["n"]:
        raise UserError(f"audit: {row['name']}: tp + fn + tn + fp is {sum(counts)}, but n is {c['n']}")
    texts = {k: str(row.get(k, "")) for k in TEXT_COLUMNS}
    return ResultRow(**texts, n=c.get("n"), counts=counts, rates=rates, unit=unit)


def whole(value: Any, where: str) -> int:
    """Return a count: a whole number >= 0, with or without commas between thousands."""
    text = str(value).replace(",", "").strip()
    if not text.isdecimal():
        raise UserError(f"audit: {where} is not a whole number >= 0: {value!r}")
    return int(text)
