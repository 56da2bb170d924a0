"""The audit of published numbers: the paper's contradictions are found, honest tables are not accused."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinymed.audit import table as audit
from tinymed.audit.reader import example_rows, read_rows
from tinymed.audit.table import CONTRADICTION, NOTE, SUSPICIOUS, Finding, audit_counts, audit_table
from tinymed.errors import UserError

MALARIA = {"tp": 3999, "fn": 158, "tn": 3905, "fp": 305}


def found(findings: list[Finding], check: str, row: str = "") -> list[Finding]:
    return [f for f in findings if f.check == check and (not row or row in f.rows)]


def test_table_2_implies_five_prevalences() -> None:
    rows = {row.name: row.prevalence for row in audit_table(example_rows()).rows if row.prevalence and not row.counts}
    expected = {"Xception": 0.244, "CNN": 0.288, "ResNet50": 0.161, "DenseNet121": 0.320, "proposed": 0.276}
    assert {name: round(value, 3) for name, value in rows.items()} == expected


def test_table_2_cannot_share_a_test_set() -> None:
    (finding,) = found(audit_table(example_rows()).findings, "prevalence")
    assert finding.severity == CONTRADICTION
    assert set(finding.rows) == {"Xception", "CNN", "ResNet50", "DenseNet121", "proposed"}
    assert "cannot share a test set" in finding.message
    assert len(finding.numbers["excluding_pairs"]) == 10
    low, high = finding.numbers["prevalence"]["proposed"]
    assert low == pytest.approx((98.425 - 98.785) / (97.515 - 98.785) - 0.0157, abs=2e-3)
    assert low < 0.2756 < high


def test_malaria_counts_do_not_give_the_stated_accuracy() -> None:
    report = audit_table(example_rows())
    (finding,) = found(report.findings, "counts", "malaria (text)")
    assert finding.severity == CONTRADICTION
    assert "95.6" in finding.message
    assert "94.47 %" in finding.message
    assert finding.numbers["computed"] == pytest.approx(7904 / 8367)
    computed = {row.name: row.computed for row in report.rows}
    rates = {k: round(100 * v, 2) for k, v in computed["malaria (text)"].items()}
    assert [rates[k] for k in ("sensitivity", "specificity", "precision", "f1")] == [
        96.20,
        92.76,
        92.91,
        94.53,
    ]
    assert round(100 * computed["pneumonia (text)"]["accuracy"], 2) == 94.49
    assert round(100 * computed["retinopathy (text)"]["accuracy"], 2) == 93.16


def test_breast_counts_are_malarias() -> None:
    (finding,) = found(audit_table(example_rows()).findings, "identical counts")
    assert finding.rows == ("malaria (text)", "breast (text)")
    assert finding.numbers == MALARIA
    assert "2 data sets" in finding.message


def test_table_1_and_the_text() -> None:
    report = audit_table(example_rows())
    assert not report.consistent
    assert found(report.findings, "same accuracy", "pneumonia (Table 1)")
    assert found(report.findings, "train below test", "breast (text)")
    folds = [f.rows[0] for f in found(report.findings, "cross-validation")]
    assert folds == [
        "brain tumour (Table 1)",
        "retinopathy (Table 1)",
        "breast (Table 1)",
    ]  # 59.47 / 55.73 is 3.7 points
    assert {f.rows[0] for f in found(report.findings, "two claims")} == {
        "pneumonia (text)",
        "retinopathy (text)",
    }
    order = [(CONTRADICTION, SUSPICIOUS, NOTE).index(f.severity) for f in report.findings]
    assert order == sorted(order)
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["consistent"] is False


def test_counts_agree_within_rounding() -> None:
    right = {
        "sensitivity": "96.20",
        "specificity": "92.76",
        "accuracy": "94.47",
        "precision": "92.91",
        "f1": "94.53",
    }
    assert audit_counts(**MALARIA, claimed=right) == []
    assert audit_counts(**MALARIA, claimed={"accuracy": 0.9447}) == []
    assert audit_counts(**MALARIA, claimed={"accuracy": 0.94466}, decimals=3) == []
    (finding,) = audit_counts(**MALARIA, claimed={"accuracy": "94.48"})
    assert finding.severity == CONTRADICTION
    assert finding.numbers["claimed"] == pytest.approx(0.9448)


def test_a_number_cut_off_is_a_note() -> None:
    (finding,) = audit_counts(**MALARIA, claimed={"sensitivity": "96.19"})  # 96.1992
    assert (finding.severity, finding.check) == (NOTE, "counts")
    assert audit_counts(**MALARIA, claimed={"sensitivity": "96.18"})[0].severity == CONTRADICTION


def test_worse_than_a_constant_answer() -> None:
    (finding,) = audit_counts(5, 15, 160, 20, {})
    assert (finding.severity, finding.check) == (SUSPICIOUS, "baseline")
    assert finding.numbers["baseline"] == 0.9


@pytest.mark.parametrize(
    ("rates", "check"),
    [
        ({"sensitivity": "90.0", "specificity": "80.0", "accuracy": "91.0"}, "accuracy range"),
        ({"sensitivity": "90.0", "specificity": "80.0", "accuracy": "79.8"}, "accuracy range"),
        ({"sensitivity": "90.0", "precision": "80.0", "f1": "85.5"}, "f1"),
        ({"sensitivity": "90.0", "specificity": "80.0", "balanced_accuracy": "86.0"}, "balanced_accuracy"),
        (
            {"sensitivity": "90.0", "specificity": "80.0", "accuracy": "85.0", "precision": "90.0"},
            "precision",
        ),
        ({"sensitivity": "90.0", "specificity": "80.0", "accuracy": "85.0", "npv": "70.0"}, "npv"),
        ({"sensitivity": "90.0", "specificity": "80.0", "accuracy": "85.0", "f1": "60.0"}, "f1"),
        ({"sensitivity": "100.2"}, "range"),
        ({"sensitivity": "90.0", "specificity": "80.0", "accuracy": "85.0", "n": 7}, "whole numbers"),
        ({"sensitivity": "90.00", "specificity": "80.01", "accuracy": "85.00", "n": 1000}, "whole numbers"),
    ],
)
def test_impossible_rates(rates: dict, check: str) -> None:
    report = audit_table([{"name": "row", **rates}])
    assert [(f.severity, f.check) for f in report.findings] == [(CONTRADICTION, check)]


def test_rates_that_do_fit() -> None:
    row = {
        "sensitivity": "90.0",
        "specificity": "80.0",
        "accuracy": "85.0",
        "precision": "81.8",
        "npv": "88.9",
    }
    assert audit_table([row | {"f1": "85.7", "balanced_accuracy": "85.0", "n": 200}]).findings == []
    assert audit_table([{"sensitivity": "90.0", "specificity": "80.0", "accuracy": "90.0"}]).rows[0].prevalence == 1.0
    equal = audit_table([{"sensitivity": "90.0", "specificity": "90.0", "accuracy": "90.0"}])
    assert equal.findings == []
    assert equal.rows[0].prevalence_range == (0, 1)


COUNTS = st.integers(0, 400)


@given(
    st.lists(st.tuples(COUNTS, COUNTS, COUNTS, COUNTS), min_size=1, max_size=3),
    st.integers(0, 4),
    st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_an_honest_table_is_never_accused(matrices: list[tuple], digits: int, percent: bool) -> None:
    """Rates of real counts, rounded to any number of digits, contradict neither the counts nor each other."""
    rows, alone = [], []
    for i, (tp, fp, fn, tn) in enumerate(matrices):
        exact = audit.rates_of(audit.Counts(tp, fp, fn, tn))
        printed = {k: f"{v * (100 if percent else 1):.{digits}f}" for k, v in exact.items()}
        if exact:
            rows.append({"name": f"r{i}", "tp": tp, "fn": fn, "tn": tn, "fp": fp, **printed})
            alone.append({"name": f"r{i}", "n": tp + fn + tn + fp, **printed})
    for table in (rows, alone):
        if table:
            accusations = [f for f in audit_table(table, percent=percent).findings if f.severity == CONTRADICTION]
            assert accusations == []


@given(st.integers(1, 300), st.integers(1, 300), st.data())
@settings(max_examples=200, deadline=None)
def test_models_on_one_honest_test_set_share_its_prevalence(p: int, n: int, data: st.DataObject) -> None:
    rows = []
    for i in range(4):
        tp, tn = data.draw(st.integers(0, p)), data.draw(st.integers(0, n))
        rates = {"sensitivity": tp / p, "specificity": tn / n, "accuracy": (tp + tn) / (p + n)}
        rows.append({"name": f"m{i}", **{k: f"{100 * v:.2f}" for k, v in rates.items()}})
    report = audit_table(rows, one_test_set=True, percent=True)
    assert report.consistent
    for row in report.rows:
        assert row.prevalence_range
        assert row.prevalence_range.low - 1e-9 <= p / (p + n) <= row.prevalence_range.high + 1e-9


def test_one_test_set_has_one_size() -> None:
    rows = [
        {"name": "a", "tp": 8, "fn": 2, "tn": 8, "fp": 2},
        {"name": "b", "tp": 16, "fn": 4, "tn": 15, "fp": 5},
    ]
    assert audit_table(rows).findings == []
    (finding,) = audit_table(rows, one_test_set=True).findings
    assert finding.check == "test set size"
    assert "a 10 + 10, b 20 + 20" in finding.message


def test_csv_and_toml_keep_digits_and_units(tmp_path: Path) -> None:
    table, document = tmp_path / "t.csv", tmp_path / "t.toml"
    table.write_text("\ufeffMethod, Recall (%),spec,Test Accuracy\nCNN, 94.10%, 97.86, 96.80\n\n")
    document.write_text("[[row]]\nmodel = 'CNN'\nsens = 94.10\nspec = 97.86\nacc = 96.80\n")
    first, second = audit_table(read_rows(table)), audit_table(read_rows(document))
    assert first == second
    low, high = audit.rounding_range(Decimal("96.80"), 0.01)
    assert (low, high) == pytest.approx((0.96795, 0.96805), abs=1e-12)
    assert first.rows[0].claimed["accuracy"] == pytest.approx(0.968)
    assert first.rows[0].prevalence_range == pytest.approx(
        ((96.805 - 97.855) / (94.105 - 97.855), (96.795 - 97.865) / (94.095 - 97.865)), abs=2e-3
    )


def test_totals_instead_of_misses() -> None:
    rows = audit_table([{"name": "malaria", "tp": "3,999", "positives": 4157, "tn": 3905, "negatives": "4210"}]).rows
    assert rows[0].counts == audit.Counts(3999, 305, 158, 3905)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"sensitivty": "90"}, "unknown column 'sensitivty'"),
        ({"name": "x", "accuracy": "high"}, "x: accuracy is not a number: 'high'"),
        ({"name": "x", "accuracy": "nan"}, "not a finite number"),
        ({"name": "x", "tp": -1, "fn": 1, "tn": 1, "fp": 1}, "x: tp is not a whole number"),
        ({"name": "x", "tp": 1, "fn": 1}, "all of tp, fn, tn, fp or none, got tp, fn"),
        ({"name": "x", "tp": 9, "positives": 8, "tn": 1, "fp": 1}, "tp 9 is more than positives 8"),
        ({"name": "x", "tp": 1, "fn": 1, "tn": 1, "fp": 1, "n": 5}, "is 4, but n is 5"),
    ],
)
def test_malformed_rows_are_refused(row: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        audit_table([row])


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("t.txt", "a", "reads a .csv or .toml file"),
        ("t.csv", "name,accuracy\n", "no rows"),
        ("t.csv", "name,accuracy\na,1,2\n", "line 2: more cells"),
        ("t.toml", "row = 3", r"\[\[row\]\]"),
        ("t.toml", "row = ", "not valid TOML"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=words):
        read_rows(tmp_path / name)
    with pytest.raises(UserError, match="no such file"):
        read_rows(tmp_path / "absent.csv")
