"""The benchmarks' own arithmetic: shapes written by hand, turns, ratios, tables; and one op timed for real."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import exceptions  # noqa: E402
import op_peers  # noqa: E402
import peers  # noqa: E402
import restoration  # noqa: E402
import results_table  # noqa: E402
import retrieval  # noqa: E402
import segmentation  # noqa: E402
import shapes  # noqa: E402
import slices_and_volumes  # noqa: E402
import systems  # noqa: E402


def parameters(case, with_norms):
    """Of one layer: weight and bias; of batch norm, where counted, its affine map."""
    if case.op == "batch_norm" and with_norms:
        return 2 * case.tensors[0][1] if dict(case.options)["training"] else 0
    if case.op not in shapes.PARAMETERS:
        return 0
    total = 0
    for shape in case.tensors[1:]:
        count = 1 if shape else 0
        for n in shape or ():
            count *= n
        total += count
    return total


class TestShapes:
    @pytest.mark.parametrize(
        ("layers", "with_norms", "published"),
        [
            (lambda: shapes.dcnn(1, 3, 50, 0), True, 495_938),
            (lambda: shapes.dcnn(1, 3, 50, 1), True, 1_020_226),
            (shapes.resnet50, False, 25_557_032 - 2 * 26_560),
            (shapes.densenet121, False, 7_978_856 - 83_648),
            (shapes.xception, False, 22_855_952 - 54_528),
            (lambda: shapes.unet(64), True, 31_037_698),
        ],
        ids=["dcnn valid", "dcnn same", "resnet50", "densenet121", "xception", "unet"],
    )
    def test_the_layers_have_the_published_number_of_parameters(self, layers, with_norms, published):
        """The tables are typed by hand; a wrong width or kernel would time a network that does not exist."""
        count = sum(parameters(case, with_norms) for case in layers())
        assert count == published

    def test_cases_are_listed_once_with_every_network(self):
        found = shapes.cases("resnet50,densenet121", "pool")
        pool = next(c for c in found if c.op == "max_pool2d")
        assert found[pool] == ["resnet50", "densenet121"]
        labels = [case.label for case in shapes.cases()]
        assert len(labels) == len(set(labels)), "two cases with one label would overwrite each other's rows"

    def test_an_unknown_network(self):
        with pytest.raises(SystemExit, match="choose from dcnn64"):
            shapes.cases("vgg99")

    def test_a_case_survives_json(self):
        for case in shapes.cases("others,dcnn50"):
            assert op_peers.as_case(json.loads(json.dumps(case))) == case


class TestPeers:
    def test_quartiles(self):
        assert peers.quartiles([3.0]) == (3.0, 3.0, 3.0)
        assert peers.quartiles([4.0, 1.0, 3.0, 2.0, 5.0]) == (2.0, 3.0, 4.0)

    def test_ratios_are_formed_within_a_round(self):
        ours = [{"cpu": 1.0, "wall": 9.0}, {"cpu": 2.0, "wall": 9.0}, {"cpu": 3.0, "wall": 9.0}]
        theirs = [{"cpu": 2.0, "wall": 9.0}, {"cpu": 4.0, "wall": 9.0}, {"cpu": 6.0, "wall": 9.0}]
        assert peers.ratios(ours, theirs, "cpu") == (0.5, 0.5, 0.5)

    def test_numbers_are_cut_to_five_digits(self):
        assert peers.rounded({"a": 1.23456789, "b": [2.00000001], "c": "x", "d": None}) == {
            "a": 1.2346,
            "b": [2.0],
            "c": "x",
            "d": None,
        }

    def test_traps_are_named(self, monkeypatch):
        for name in peers.TRAPS:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
        assert peers.traps(1)["variables"] == "removed: OPENBLAS_CORETYPE=Haswell"


class TestTables:
    ROWS = [
        {"id": "a", "kind": "conv", "eager": 0.5, "tuned": 1.05, "roof": 0.8},
        {"id": "b", "kind": "conv", "eager": 0.9, "tuned": 1.2, "roof": 0.4},
        {"id": "c", "kind": "pool", "eager": 1.5, "tuned": 0.9, "roof": 0.6},
    ]

    def test_misses_come_worst_first(self):
        assert [r["id"] for r in results_table.misses(self.ROWS)] == ["c", "b"]

    def test_a_line_a_kind(self):
        lines = results_table.ops({"rows": self.ROWS})
        assert lines[2:] == ["| conv | 2 | 0.70 | 1.12 | 60 | 1 |", "| pool | 1 | 1.50 | 0.90 | 60 | 0 |"]

    def test_exceptions_have_a_share_of_the_roof_and_a_reason(self):
        """Every row that is kept among the results has one; the first that fits is taken."""

        def took(seconds):
            return {"bound": "memory", "times": {"tinymed": {"median": seconds}}}

        rows = [
            {"id": "conv2d 3x3 8->8 @10 depthwise b8 forward", "eager": 0.7, "tuned": 3.4, "roof": 0.18} | took(1),
            {"id": "relu 9 @9 b8 forward", "eager": 1.04, "tuned": 1.0, "roof": 0.9} | took(1),
            {"id": "linear 8->2 b8 forward", "eager": 2.0, "tuned": 2.0, "roof": 0.1} | took(2e-5),
        ]
        text = exceptions.markdown(rows, rows, (1.0, 1.1)).splitlines()
        assert text[0].startswith("3 of 3 measured rows")
        assert "1 of them by 0.05 at most" in text[0]
        assert "| 0.70 | 3.40 | 18 | memory | each pixel is loaded once" in text[4]
        assert "| 90 | memory | one pass over memory" in text[5]
        assert text[6].endswith("| 20 microseconds, about ten of which are the call |")


@pytest.mark.full
def test_one_op_is_timed_against_pytorch(tmp_path):
    """Three processes, two ways, a file of rows."""
    pytest.importorskip("torch", reason="PyTorch is the rival: pip install '.[test]'")
    out = tmp_path / "rows.json"
    command = [sys.executable, BENCHMARKS / "ops.py", "--only", "relu", "--match", "relu 128 b128", "--rounds", "2"]
    done = subprocess.run([*map(str, command), "--out", str(out)], capture_output=True, text=True, check=True)
    rows = json.loads(out.read_text())["rows"]
    assert [r["way"] for r in rows] == ["forward", "backward"]
    assert all(r["eager"] > 0 and r["tuned"] > 0 and not r["fallbacks"] for r in rows)
    assert "variables: " in done.stdout


class TestSegmentation:
    def test_every_other_row_of_overlays_is_kept_with_its_caption(self):
        picture = np.full((250, 60, 3), 255, np.uint8)
        for i in range(5):  # a caption of 3 lines and a picture of 30, of one colour each
            picture[10 + 45 * i : 13 + 45 * i] = 50 + i
            picture[16 + 45 * i : 46 + 45 * i] = 100 + i
        found = segmentation.every_other_row(picture)[:, 0, 0]
        assert [int((found == value).sum()) for value in range(50, 55)] == [3, 0, 3, 0, 3]
        assert [int((found == value).sum()) for value in range(100, 105)] == [30, 0, 30, 0, 30]

    def test_the_table_says_whether_the_lower_end_is_above_the_floor(self):
        dice = {"dice": 0.6, "dice_interval": [0.5, 0.7], "hd95": 3.21}
        row = {"data": "set", "network": "net", "minutes": 2.4, "floor": {"a": 0.4, "b": 0.55}}
        text = segmentation.table([row | {"test": {"per_class": {"ground": dice, "a": dice, "b": dice}}}])
        assert [line.split(" | ")[3:7] for line in text.splitlines()[2:]] == [
            [".400", ".600 (.500 to .700)", "yes", "3.2"],
            [".550", ".600 (.500 to .700)", "no", "3.2"],
        ]


class TestSystems:
    NOW = {"processor": "this", "date": "2026-01-02", "commit": "abc"}

    def run(self, folder, name, accuracy):
        (folder / name).mkdir(parents=True)
        (folder / name / "metrics.json").write_text(json.dumps({"test": {"n": 4, "accuracy": accuracy}}))

    def test_a_row_without_a_run_stays_as_it_was(self, tmp_path):
        before = [{"row": "vgg16", "accuracy": 0.9}, {"row": "alexnet", "command": "old", "accuracy": 0.5}]
        self.run(tmp_path, "alexnet", 0.75)
        rows = systems.collect(tmp_path, before, self.NOW)
        assert [row["row"] for row in rows] == ["alexnet", "vgg16"]
        assert rows[0]["accuracy"] == 0.75
        assert rows[0]["measured"] == self.NOW
        assert rows[1] == before[0]

    def test_a_figure_keeps_the_date_of_its_measurement(self, tmp_path):
        self.run(tmp_path, "alexnet", 0.75)
        first = systems.collect(tmp_path, [], self.NOW)
        assert systems.collect(tmp_path, first, self.NOW | {"date": "2027-01-01"}) == first

    def test_sections_of_val_and_test_are_cut_to_their_middle(self, tmp_path):
        from PIL import Image

        root = tmp_path / "data" / "em_membranes_isbi2012"
        root.mkdir(parents=True)
        for name in ("a", "b"):
            pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
            Image.fromarray(pixels).save(root / f"{name}.png")
            Image.fromarray(255 - pixels).save(root / f"{name}-mask.png")
        (root / "splits.csv").write_text("path,mask,split\na.png,a-mask.png,train\nb.png,b-mask.png,test\n")
        systems.write_middles(tmp_path / "data", tmp_path / "out", side=4)
        rows = (tmp_path / "out" / "splits.csv").read_text().splitlines()
        assert rows == ["path,mask,split", "path/a.png,mask/a-mask.png,train", "path/b.png,mask/b-mask.png,test"]
        for name, side in (("path/a.png", 8), ("mask/a-mask.png", 8), ("path/b.png", 4), ("mask/b-mask.png", 4)):
            with Image.open(tmp_path / "out" / name) as image:
                assert image.size == (side, side)
                first = np.asarray(image)[0, 0]
            assert first == {"path/a.png": 0, "mask/a-mask.png": 255, "path/b.png": 18, "mask/b-mask.png": 237}[name]

    @pytest.mark.parametrize("name", systems.ROWS)
    def test_each_command_is_one_of_tinymed_with_its_folders_filled_in(self, name):
        words = systems.command(name, Path("data"), Path("runs"))
        assert words[0] in ("train", "compare", "evaluate", "lr-find", "predict", "pretrain", "sweep")
        assert not [word for word in words if word.startswith(("DATA", "RUNS"))]
        assert ("--out" in words) == (words[0] != "evaluate")


def test_a_way_to_learn_an_embedding_without_a_run_keeps_its_row(tmp_path):
    before = [{"learnt by": "triplet", "map": 0.7}, {"learnt by": "unknown"}]
    assert retrieval.collect(tmp_path, before) == before[:1]


def test_a_restored_picture_is_compared_with_filters_by_the_names_that_a_run_writes(tmp_path, monkeypatch):
    from PIL import Image

    from tinymed.cli import main

    for part, count in (("train", 4), ("val", 2), ("test", 2)):
        (tmp_path / "data" / part / "all").mkdir(parents=True)
        for i in range(count):
            pixels = np.full((24, 24), 40 + 10 * i + len(part), np.uint8)
            pixels[6:14, 4 + i : 16] = 200
            Image.fromarray(pixels).save(tmp_path / "data" / part / "all" / f"{part}{i}.png")
    words = "train denoising_autoencoder --task denoising --option base=2 --patch-side 16 --epochs 1 --batch 2"
    more = f"--backend numpy --workers 0 --data {tmp_path / 'data'} --out {tmp_path / 'run'}"
    assert main([*words.split(), *more.split()]) == 0
    monkeypatch.setattr(restoration, "FILTERS", {"median": {"side": (3,)}})
    row = restoration.compare(tmp_path / "run")
    assert row["best_filter"] == "median"
    assert set(row["floors"]) == {"noisy", "median"}


class TestSlicesAndVolumes:
    def test_slices_are_put_together_before_dice(self, tmp_path, monkeypatch):
        from types import SimpleNamespace

        from tinymed.tasks.inference import case_scores
        from tinymed.train.run import Run

        mask = np.array([[[1, 1], [1, 2]], [[1, 0], [2, 0]]])
        found = np.array(
            [[[1, 1], [1, 0]], [[0, 0], [2, 2]]]
        )  # of the first class 3 of 4, of the second 1 of 2, 1 too many

        def cases(mask, found, names):
            scores = np.eye(3)[found].transpose(0, 3, 1, 2)
            return [SimpleNamespace(name=n, mask=m, scores=s) for n, m, s in zip(names, mask, scores, strict=True)]

        listed = cases(mask, found, ["images/a_001-000.png", "images/a_001-001.png"])
        monkeypatch.setattr(case_scores, "scored_cases", lambda predict, images: listed)
        task = SimpleNamespace(predictor=lambda config, model: None)
        run = SimpleNamespace(task=task, config=None, load_model=lambda: None, images=lambda: None)
        monkeypatch.setattr(Run, "open", lambda folder: run)
        dice = slices_and_volumes.dice_of_volumes(tmp_path)
        assert list(dice) == ["a_001"]
        assert dice["a_001"] == pytest.approx([6 / 7, 2 / 4])

    def test_the_difference_is_paired_and_volumes_have_to_be_the_same(self):
        one, two = (
            {"a": np.array([0.8, 0.6]), "b": np.array([0.6, 0.6])},
            {"b": np.array([0.5, 0.7]), "a": np.array([0.7, 0.7])},
        )
        first, second = slices_and_volumes.compare(one, two)
        assert first["slices"] == pytest.approx(0.7)
        assert first["volumes"] == pytest.approx(0.6)
        assert first["difference_interval"] == pytest.approx([0.1, 0.1])
        assert second["difference"] == pytest.approx(-0.1)
        with pytest.raises(ValueError, match="not the same ones"):
            slices_and_volumes.compare(one, {"a": np.array([0.5, 0.5])})


def test_every_picture_of_others_images_has_its_licence_beside_it():
    """Of sets that ask for it: by the beginning of a file's name, or the name itself."""
    text = (segmentation.RESULTS / "README.md").read_text("utf-8").partition("## Pictures and their licences")[2]
    for path in segmentation.RESULTS.glob("*.png"):
        if any(name in path.name for name in ("isic", "em-", "hippocampus", "busi", "bccd", "malaria", "brain")):
            assert f"`{path.name.partition('-')[0]}-*`" in text or f"`{path.name}`" in text, path.name
