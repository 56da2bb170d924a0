"""`tinymed report`: every kind of run renders, what is missing says why, and names from files stay text."""

import csv
import html.parser
import json
import re
import shutil

import numpy as np
import pytest
from commands import QUICK, invoke
from datasets import write_image

from tinymed.cli import main
from tinymed.cli.cross_validation import measure_folds, write_report
from tinymed.cli.reports.pooled import Folds, calibration_over_folds, open_runs, threshold_over_folds
from tinymed.cli.reports.run import report_run
from tinymed.metrics.decisions import choose_threshold
from tinymed.report.claim import POINTS, checklist
from tinymed.report.document import Document, Section, Table, Text, facts, visible
from tinymed.report.page import to_html
from tinymed.report.plain_formats import LATEX, latex_text, markdown_text, to_latex, to_markdown
from tinymed.tasks.results.rows import Cases, read_cases
from tinymed.train.run import Run

pytest.importorskip("jinja2", reason="a page needs jinja2: pip install '.[report]'")

SECTIONS = (
    *("data", "results", "curves-of-scores", "calibration", "threshold", "subgroups", "cases", "pictures"),
    *("configuration", "curves", "cost", "environment", "claim", "files"),
)
HOSTILE = (
    "<script>alert('x')</script>",
    '$\\alpha$ & 50% _#{}~^"*[x](http://e.example)*`code`\n## head',
)
COLUMN = 'sex"><b>|&'
FILES = ("<img src=x onerror=alert(1)>", "a\"b'c`d", "line\nbreak", "=cmd|' $x_1$", "\u202egnp", "www.e.example")


class Page(html.parser.HTMLParser):
    """The tags and the texts of a page, as a browser would take them."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.texts, self.style = [], [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.style = tag == "style"

    def handle_data(self, data):
        if not self.style:
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(self.texts)


PLAIN = {
    *("html", "head", "meta", "title", "link", "style", "body", "a", "header", "h1", "h2", "h3", "div", "p", "nav"),
    *("ol", "li", "main", "section", "table", "caption", "thead", "tbody", "tr", "th", "td", "figure", "img"),
    *("figcaption", "footer"),
}


def checked(text):
    """A page that holds nothing but what the template has."""
    page = Page(text)
    assert set(page.tags) <= PLAIN
    assert not [a for a in page.attributes if a[1].startswith("on")]
    for _tag, name, value in page.attributes:
        if name in ("src", "href"):
            assert value.startswith(("#", "data:")), value
    assert all(value for tag, name, value in page.attributes if (tag, name) == ("img", "alt"))
    assert page.tags.count("img") == sum(1 for a in page.attributes if a[:2] == ("img", "alt"))
    return page


@pytest.fixture(scope="module")
def hostile_list(tmp_path_factory):
    """A list whose classes, files, column and values are markup in some format."""
    root = tmp_path_factory.mktemp("hostile")
    rows = [["path", "label", "patient", COLUMN]]
    rng = np.random.default_rng(0)
    for i in range(36):
        kind = i % 2
        image = np.clip(rng.normal(80 + 90 * kind, 30, (20, 20, 3)), 0, 255).astype(np.uint8)
        name = f"{FILES[i % len(FILES)]}{i}.png"
        write_image(root / name, image)
        rows.append([name, HOSTILE[kind], f"p{i // 2}", ("<i>m</i>", "f & _")[i % 3 == 0]])
    with (root / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return root / "list.csv"


@pytest.fixture(scope="module")
def hostile_run(hostile_list, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    given = ["--data", str(hostile_list), "--positive", HOSTILE[0], "--out", str(folder)]
    assert main(["train", *given, *QUICK, "--recipe", "paper"]) == 0
    assert main(["evaluate", str(folder), "--calibrate", "--threshold", "youden"]) == 0
    return folder


@pytest.fixture(scope="module")
def hostile_report(hostile_run):
    assert main(["report", str(hostile_run), "--subgroup", COLUMN]) == 0
    return hostile_run / "report.html"


# ------------------------------------------------------------------------------------------------ hostile names


def test_names_are_text_on_the_page(hostile_report, hostile_run):
    page = checked(hostile_report.read_text("utf-8"))
    for name in (*HOSTILE, COLUMN, "<i>m</i>"):
        assert visible(name) in page.text
    listed = (hostile_run / "predictions.csv").read_text("utf-8")
    seen = [name for name in FILES if visible(name) in page.text]
    assert seen, "no case is shown"
    assert "\u202e" not in hostile_report.read_text("utf-8")
    assert "\u202e" in listed or "gnp" not in listed


def test_the_page_has_every_section_in_order(hostile_report):
    page = checked(hostile_report.read_text("utf-8"))
    keys = [value for tag, name, value in page.attributes if (tag, name) == ("h2", "id")]
    assert keys == ["contents", *SECTIONS]
    lead = page.text[: page.text.index("Contents")]
    assert "split by patient" in lead
    assert "test" in lead


def test_calibration_and_threshold_are_of_before_and_after(hostile_report, hostile_run):
    kept = json.loads((hostile_run / "decision.json").read_text())
    text = checked(hostile_report.read_text("utf-8")).text
    assert "as trained" in text
    assert f"temperature {kept['temperature']['temperature']:.3f}" in text
    assert f"{kept['threshold']['threshold']:.4f}" in text
    assert "chosen on val by youden" in text


def test_names_are_text_in_markdown(hostile_run, tmp_path):
    markdown = pytest.importorskip("markdown_it")
    out = tmp_path / "tables.md"
    assert main(["report", str(hostile_run), "--format", "markdown", "--out", str(out)]) == 0
    rendered = markdown.MarkdownIt("commonmark", {"html": True}).enable("table").render(out.read_text("utf-8"))
    page = Page(rendered)
    assert set(page.tags) <= {"h1", "h2", "p", "table", "thead", "tbody", "tr", "th", "td"}
    for name in HOSTILE:
        assert visible(name) in page.text


def latex_decoded(text):
    """The letters that LaTeX sets; a character that means something to it is an error."""
    commands = {v: k for k, v in LATEX.items()}
    found, i = [], 0
    while i < len(text):
        command = next((c for c in sorted(commands, key=len, reverse=True) if text.startswith(c, i)), None)
        if command is None:
            assert text[i] not in "\\{}$&#^_~%", f"{text[i]!r} in {text!r}"
            found.append(text[i])
            i += 1
        else:
            found.append(commands[command])
            i += len(command)
    return "".join(found)


def test_names_are_text_in_latex(hostile_run, tmp_path):
    out = tmp_path / "tables.tex"
    assert main(["report", str(hostile_run), "--format", "latex", "--out", str(out)]) == 0
    lines = out.read_text("utf-8").splitlines()
    cells = [cell for line in lines if line.endswith(" \\\\") for cell in re.split(r" (?<!\\)& ", line[:-3])]
    texts = [latex_decoded(cell) for cell in cells]
    for name in HOSTILE:
        assert visible(name) in " ".join(texts)
    assert sum(line.startswith("\\begin{table}") for line in lines) == sum(line == "\\end{table}" for line in lines) > 5


SPECIALS = ["".join(map(chr, range(32, 127))), *HOSTILE, *FILES, "- item", "1. item", "+ x", "= x", "|", "--", "?`", ""]


@pytest.mark.parametrize("text", SPECIALS)
def test_every_special_is_itself_in_each_format(text):
    markdown = pytest.importorskip("markdown_it").MarkdownIt("commonmark", {"html": True}).enable("table")
    shown = visible(text)
    assert latex_decoded(latex_text(text)) == shown
    page = Page(markdown.render(markdown_text(text)))
    assert set(page.tags) <= {"p"}
    assert "".join(page.texts).strip() == shown.strip()
    table = to_markdown(Document("t", [], [Section("s", "s", [Table("c", ("h", text), [("a", text)])])]))
    page = Page(markdown.render(table))
    assert page.tags.count("td") == 2
    assert sum(t == shown.strip() for t in page.texts) >= (2 if shown.strip() else 0)
    checked(to_html(Document(text, [text], [Section("s", text, [Text(text), facts(text, [(text, text)])])])))


# ------------------------------------------------------------------------------------------ missing and damaged


def damaged(run, tmp_path, change):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    change(folder)
    return folder


def rewrite(name, change):
    """A function that changes the text of one file of a run."""
    return lambda folder: (folder / name).write_text(change((folder / name).read_text("utf-8")), "utf-8")


DAMAGES = {
    "no config": (lambda f: (f / "config.json").unlink(), "config.json"),
    "no metrics": (lambda f: (f / "metrics.json").unlink(), "is not finished.*--resume"),
    "no predictions": (lambda f: (f / "predictions.csv").unlink(), "predictions.csv: is not there.*tinymed evaluate"),
    "metrics cut": (rewrite("metrics.json", lambda t: t[: len(t) // 2]), "metrics.json: cannot be read as JSON"),
    "metrics a list": (rewrite("metrics.json", lambda t: "[1]"), "metrics.json: holds a JSON list"),
    "metrics without parts": (rewrite("metrics.json", lambda t: '{"seed": 0}'), "holds neither test nor val"),
    "metrics of text": (
        rewrite("metrics.json", lambda t: t.replace('"accuracy": ', '"accuracy": "x", "y": ')),
        "metrics",
    ),
    "predictions cut": (rewrite("predictions.csv", lambda t: t[: len(t) // 2]), "predictions.csv: "),
    "predictions short": (rewrite("predictions.csv", lambda t: t[: t.rindex("\n", 0, -1) + 1]), "delete the list"),
    "a column lost": (
        rewrite("predictions.csv", lambda t: t.replace("score ", "skore ", 1)),
        "predictions.csv: does not",
    ),
    "a class unknown": (rewrite("predictions.csv", lambda t: t.replace(",clear,", ",x,")), "csv: does not hold"),
    "a score of words": (
        rewrite("predictions.csv", lambda t: re.sub(r"0\.\d+", "high", t)),
        "predictions.csv: does not",
    ),
    "environment damaged": (rewrite("environment.json", lambda t: '{"sittings": 3}'), "environment.json: does not"),
    "log damaged": (rewrite("log.jsonl", lambda t: "{]\n" + t), "log.jsonl: line 1"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_is_an_error_in_one_line(damage, finished_run, tmp_path, capsys):
    change, message = DAMAGES[damage]
    code, out, err = invoke(capsys, "report", damaged(finished_run, tmp_path, change))
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert re.search(message, err), err


GONE = {
    "weights": (lambda f: [p.unlink() for p in f.glob("checkpoints/*")], "maps: "),
    "log": (lambda f: (f / "log.jsonl").unlink(), "no log.jsonl"),
    "data": (rewrite("config.json", lambda t: t.replace('"path": "', '"path": "/nowhere')), "need the images"),
    "last line of the log cut": (rewrite("log.jsonl", lambda t: t + '{"event": "ep'), "Training and validation"),
}


def told(folder, method=None):
    """The texts of a run's report, of which no picture is drawn."""
    document = report_run(folder, 1, method, [])
    blocks = [block for section in document.sections for block in section.blocks]
    words = [getattr(block, name, "") for block in blocks for name in ("text", "reason", "caption")]
    cells = [cell for block in blocks if isinstance(block, Table) for row in block.rows for cell in row]
    return "\n".join([*document.lead, *words, *cells])


@pytest.mark.parametrize("gone", GONE)
def test_what_is_gone_is_told_with_its_reason(gone, finished_run, tmp_path):
    change, reason = GONE[gone]
    assert reason in told(damaged(finished_run, tmp_path, change), "grad_cam" if gone == "weights" else None)


def test_maps_of_files_that_are_gone_are_told(cells, finished_run, tmp_path):
    moved = tmp_path / "cells"
    shutil.copytree(cells, moved)
    folder = damaged(finished_run, tmp_path, rewrite("config.json", lambda t: t.replace(str(cells), str(moved))))
    assert "maps of some cases" not in told(folder, "grad_cam")
    for name in read_cases(folder / "predictions.csv")["path"]:
        (moved / name).unlink()
    text = told(folder, "grad_cam")
    assert "maps of some cases" in text
    assert ": map for" not in text


def test_an_old_temperature_is_not_taken_for_these_weights(finished_run, tmp_path):
    folder = damaged(finished_run, tmp_path, lambda f: None)
    stale = {"weights": "0" * 64, "temperature": {"temperature": 2.0, "n": 3, "part": "val"}}
    (folder / "decision.json").write_text(json.dumps(stale))
    assert "belongs to other weights" in told(folder)


def test_the_environment_is_of_the_training(finished_run, tmp_path):
    from tinymed.cli.environment import note_environment

    def elsewhere(folder):
        kept = json.loads((folder / "environment.json").read_text())
        kept["sittings"][0]["numpy"] = "<1.0>"
        (folder / "environment.json").write_text(json.dumps(kept))

    folder = damaged(finished_run, tmp_path, elsewhere)
    text = told(folder)
    assert "What it was trained with" in text
    assert "<1.0>" in text
    assert "What this report is made with" in text
    for _ in range(2):
        note_environment(folder, "numpy")
    assert len(json.loads((folder / "environment.json").read_text())["sittings"]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "pdf"], "choose one of html, markdown, latex"),
        (["--cases", "99"], "--cases 99: 0 to 12"),
        (["--explain", "saliency"], "choose none or one of grad_cam"),
        (["--format", "latex", "--explain", "grad_cam"], "has tables alone"),
        (["--subgroup", "sex"], "--subgroup sex"),
        (["--format", "latex", "--out", "/proc/x/y.tex"], "/proc/x"),
    ],
)
def test_what_a_report_has_no_use_for_is_refused(arguments, message, finished_run, capsys):
    code, out, err = invoke(capsys, "report", finished_run, *arguments)
    assert (code, out) == (2, "")
    assert message in err


# ------------------------------------------------------------------------------------------- every kind of run


@pytest.fixture(scope="module")
def folds(finished_run, tmp_path_factory):
    """What `tinymed cv` writes, of a run that stands for both folds; a real one is trained by the test below."""
    folder = tmp_path_factory.mktemp("cv")
    cases = read_cases(finished_run / "predictions.csv")
    n = len(cases["path"])
    columns = {name: [*cases[name], *cases[name]] for name in cases}
    pooled = Cases(columns | {"group": range(2 * n), "fold": ["fold-1"] * n + ["fold-2"] * n, "image": range(2 * n)})
    report = measure_folds(Run.open(finished_run), pooled, None)
    report |= {"division": "12 images in 2 folds: split by image", "model": "lenet5_modern", "task": "classification"}
    for name in ("fold-1", "fold-2"):
        shutil.copytree(finished_run, folder / name)
    write_report(folder, report | {"folds": 2, "repeats": 1, "seed": 0, "data": None}, pooled)
    return folder


@pytest.mark.full
def test_a_trained_cross_validation(cells, tmp_path, capsys):
    given = ["cv", str(cells), "--folds", "2", "--out", str(tmp_path / "cv"), "--model", *QUICK[:-1], "1"]
    assert main(given) == 0
    for form in ("html", "markdown", "latex"):
        assert invoke(capsys, "report", tmp_path / "cv", "--format", form)[0] == 0
    assert "by image" in checked((tmp_path / "cv" / "report.html").read_text("utf-8")).text
    assert invoke(capsys, "report", tmp_path / "cv" / "fold-1")[0] == 0


def test_a_cross_validation(folds, capsys):
    assert invoke(capsys, "report", folds)[0] == 0
    page = checked((folds / "report.html").read_text("utf-8"))
    report = json.loads((folds / "cv.json").read_text())
    assert report["division"] in page.text[: page.text.index("Contents")]
    assert f"{report['figures']['accuracy']['value']:.4f}" in page.text
    assert "fold-2" in page.text
    assert [value for tag, name, value in page.attributes if (tag, name) == ("h2", "id")] == ["contents", *SECTIONS]
    for told in ("after a temperature", "youden chose on each fold", "The worst cases", ": map for"):
        assert told in page.text
    code, _, err = invoke(capsys, "report", folds, "--subgroup", "x", "--backend", "numpy")
    assert (code, "is no list with columns" in err) == (2, True)
    assert invoke(capsys, "report", folds, "--cases", "0", "--explain", "none")[0] == 0
    assert ": map for" not in checked((folds / "report.html").read_text("utf-8")).text


def test_thresholds_of_folds_are_those_of_their_own_validation_parts(folds):
    """By hand from the lists: each image is decided by the threshold of the fold that tested it."""
    names, pooled = ["fold-1", "fold-2"], read_cases(folds / "predictions.csv")
    opened = Folds(open_runs(folds, names), pooled)
    run = opened.first
    positive = run.config.positive
    k, right = run.config.data.classes.index(positive), 0
    for name in names:
        scores, labels = run.task.class_scores(run.config, read_cases(folds / name / "predictions-val.csv"))
        threshold = choose_threshold(labels == k, (scores / scores.sum(axis=1, keepdims=True))[:, k])
        scores, labels = run.task.class_scores(run.config, pooled)
        called = (scores / scores.sum(axis=1, keepdims=True))[:, k] >= threshold
        right += ((called == (labels == k)) & (pooled["fold"] == name)).sum()
    table = threshold_over_folds(opened).blocks[0]
    assert [row[0] for row in table.rows] == [*names, "all"]
    assert table.rows[-1][-1].startswith(f"{right / len(pooled['path']):.3f}")


def test_folds_without_lists_of_validation_say_so(folds, tmp_path):
    folder = damaged(folds, tmp_path, lambda f: (f / "fold-2" / "predictions-val.csv").unlink())
    opened = Folds(open_runs(folder, ["fold-1", "fold-2"]), read_cases(folder / "predictions.csv"))
    for section in (threshold_over_folds(opened), calibration_over_folds(opened)):
        assert any("predictions-val.csv: is not there" in getattr(block, "reason", "") for block in section.blocks)


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")
def test_subgroups_and_maps_of_a_cross_validation_of_a_list(hostile_list, tmp_path, capsys):
    given = ["cv", hostile_list, "--folds", "2", "--out", tmp_path / "cv", "--positive", HOSTILE[0]]
    assert invoke(capsys, *given, "--model", *QUICK[:-1], "1")[0] == 0
    code, _, err = invoke(capsys, "report", tmp_path / "cv", "--subgroup", COLUMN, "--cases", 1)
    assert code == 0, err
    page = checked((tmp_path / "cv" / "report.html").read_text("utf-8"))
    assert f"By {COLUMN}" in page.text
    assert page.text.count(": map for") == 2


def test_a_damaged_cross_validation_is_an_error_in_one_line(folds, tmp_path, capsys):
    for i, change in enumerate(
        (rewrite("cv.json", lambda t: "{}"), rewrite("predictions.csv", lambda t: "x,y\n1,2\n"))
    ):
        folder = damaged(folds, tmp_path / str(i), change)
        code, out, err = invoke(capsys, "report", folder)
        assert (code, out) == (2, "")
        assert len(err.strip().splitlines()) == 1


def test_the_checklist_leaves_to_the_author_what_no_run_can_say():
    assert [p.number for p in POINTS] == list(range(1, 43))
    rows = checklist({"division": "by patient"}).blocks[1].rows
    assert sum(row[-1] != "for the author" for row in rows) == 1
    with pytest.raises(ValueError, match="no point"):
        checklist({"nothing": "x"})


def test_latex_and_markdown_hold_the_results(finished_run, tmp_path):
    found = json.loads((finished_run / "metrics.json").read_text())["test"]["accuracy"]
    for form, path in (("markdown", tmp_path / "r.md"), ("latex", tmp_path / "r.tex")):
        assert main(["report", str(finished_run), "--format", form, "--out", str(path)]) == 0
        assert f"{found:.4f}" in path.read_text()
    assert to_latex(Document("t", [], [])).startswith("%")


LABELS = ["--model", "bonet", "--size", "16", "--option", "width=0.25", "--option", "dropout=0"]
SHORT = ["--backend", "numpy", "--workers", "0", "--batch", "8", "--epochs", "1"]
KINDS = {
    "regression": ["--label-column", "size", "--unit", "<px>", *LABELS],
    "ordinal": ["--label-column", "grade", "--grades", "small,middling,large", *LABELS],
    "multilabel": ["--label-column", "findings", *LABELS],
    "retrieval": ["--label-column", "grade", "--embedding", "4", *LABELS],
    "reconstruction": ["--model", "sae", "--size", "16"],
    "denoising": ["--model", "dncnn", "--option", "depth=3", "--patch-side", "16"],
}


@pytest.mark.full
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_labels_renders(kind, tmp_path, capsys):
    from test_label_tasks import disc

    rows = [["path", "size", "grade", "findings", "split"]]
    for i in range(48):
        image, radius = disc(i)
        write_image(tmp_path / "images" / f"{i:02}.png", image)
        grade = ("small", "middling", "large")[int(radius > 5) + int(radius > 7)]
        there = [name for name, bit in (("haze", i % 2), ("grain", i // 2 % 2)) if bit]
        part = ("train", "train", "test", "val", "train", "test")[i // 4 % 6]
        rows.append([f"images/{i:02}.png", f"{radius:.2f}", grade, "|".join(there) or "No Finding", part])
    with (tmp_path / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    folder = tmp_path / "run"
    given = ["--task", kind, "--data", str(tmp_path / "list.csv"), "--out", str(folder), *KINDS[kind], *SHORT]
    assert main(["train", *given]) == 0
    rendered(folder, capsys)


@pytest.mark.full
@pytest.mark.parametrize("kind", ["segmentation", "detection"])
def test_masks_and_boxes_render(kind, tmp_path, capsys):
    from masks import mask_tree
    from test_detection import box_tree

    data = mask_tree(tmp_path / "data") if kind == "segmentation" else box_tree(tmp_path / "data")
    model = ["--model", "unet_small" if kind == "segmentation" else "unet_bn", "--option", "base=4", "--size", "32"]
    folder = tmp_path / "run"
    assert main(["train", "--task", kind, "--data", str(data), "--out", str(folder), *model, *SHORT]) == 0
    rendered(folder, capsys)


def rendered(folder, capsys):
    """The page of a run, in all formats, with every section."""
    for form in ("markdown", "latex", "html"):
        code, _, err = invoke(capsys, "report", folder, "--format", form)
        assert code == 0, err
    page = checked((folder / "report.html").read_text("utf-8"))
    assert [value for tag, name, value in page.attributes if (tag, name) == ("h2", "id")] == ["contents", *SECTIONS]
    return page
