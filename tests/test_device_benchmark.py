"""The one command for a GPU machine: its budget, what it does with stages that fail, and all of it on `emulated`."""

import json
import math
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from conftest import absence

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import device  # noqa: E402
import device_counters  # noqa: E402
import device_kernels  # noqa: E402
import device_rows  # noqa: E402
import device_table  # noqa: E402
import device_timing  # noqa: E402

from tinymed.cuda import prediction, timing  # noqa: E402
from tinymed.cuda.gpus import GPUS  # noqa: E402
from tinymed.cuda.ladders import LADDERS  # noqa: E402

needs_predictions = pytest.mark.skipif(not device_timing.PREDICTED.exists(), reason="device_timing.py --predict")
EMULATED = pytest.mark.skipif(bool(absence("emulated")), reason=f"backend emulated: {absence('emulated')}")
CORRECTNESS, SPEED = ("build", "tiles", "tests", "kernels", "memcheck"), ("step", "ops")


class TestStages:
    def test_all_end_within_nine_minutes_and_correctness_comes_first(self, tmp_path):
        stages = device.stages(False, tmp_path)
        assert sum(s.seconds for s in stages) <= device.SECONDS == 9 * 60
        assert max(s.seconds for s in stages) <= 120
        names = [s.name for s in stages]
        assert names[0] == "environment"
        assert max(map(names.index, CORRECTNESS)) < min(map(names.index, SPEED))
        assert names.index("tiles") < names.index("tests")
        assert {"racecheck", "initcheck", "synccheck", "counters"} < set(names)
        assert [s.name for s in device.stages(True, tmp_path)] == names

    def test_commands_name_files_that_exist(self, tmp_path):
        for stage in [*device.stages(False, tmp_path), *device.stages(True, tmp_path)]:
            files = [Path(a) for a in stage.command if a.endswith(".py") or a == "tests"]
            assert files, stage.name
            assert all((device.ROOT / f).exists() for f in files), stage.command
            assert stage.out == any("device_" in f.name for f in files)

    def test_a_stage_that_takes_too_long_is_killed_with_what_it_started_and_what_it_found_is_kept(self, tmp_path):
        script = """if True:
            import pathlib, subprocess, sys, time
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
            print(child.pid, flush=True)
            pathlib.Path(sys.argv[-1]).write_text('{"rows": [1]}')
            time.sleep(60)"""
        stage = device.Stage("sleeper", 5, [sys.executable, "-c", script], out=True)
        started = time.monotonic()
        record = device.run(stage, 5, tmp_path)
        assert time.monotonic() - started < 20
        assert record["status"] == "killed after 5 s"
        assert record["result"] == {"rows": [1]}
        pid = int(record["said"])
        time.sleep(0.2)
        assert not Path(f"/proc/{pid}/cmdline").exists() or Path(f"/proc/{pid}/cmdline").read_bytes() == b""

    def test_a_missing_tool_and_a_failure_are_recorded(self, tmp_path):
        stage = device.Stage("memcheck", 9, ["no-such-tool"], tool="no-such-tool")
        assert device.run(stage, 9, tmp_path)["status"] == "missing: no-such-tool was not found"
        stage = device.Stage("tests", 9, [sys.executable, "-c", "print('3 failed'); raise SystemExit(7)"])
        record = device.run(stage, 9, tmp_path)
        assert record["status"] == "failed with exit code 7"
        assert record["said"] == "3 failed\n"
        assert device.run(stage, 1, tmp_path)["status"] == "left out: no time"

    def test_results_are_called_after_the_gpu(self):
        names = {"NVIDIA H100 80GB HBM3": "h100", "NVIDIA H200": "h200", "Tesla T4": "t4", "NVIDIA TITAN V": "v"}
        assert {name: device.model(name) for name in names} == names


class TestReading:
    def test_pytests_summary(self):
        said = (
            "FAILED tests/test_pool.py::test_a[cuda] - boom\nbackend cuda: 12 native kernel calls, 3 fell back to "
            "the reference\n1 failed, 20 passed, 2 skipped in 3.1s\n"
        )
        assert device.tested(said) == {
            "counts": {"failed": 1, "passed": 20, "skipped": 2},
            "failed": ["tests/test_pool.py::test_a[cuda]"],
            "kernel_calls": {"cuda": {"native": 12, "fallback": 3}},
        }

    def test_failures_are_told_as_pytest_meets_them(self, tmp_path, capsys):
        log = tmp_path / "log"
        log.write_text(
            "tests/test_a.py::test_b[exact 64x64-cuda] PASSED [ 1%]\n"
            "tests/test_a.py::test_c[exact 64x64-cuda] FAILED [ 2%]\n"
            "[gw3] [ 3%] FAILED tests/test_a.py::test_d[x-cuda] \nFAILED tests/test_a.py::test_d[x-cuda] - boom\nhalf"
        )
        assert device.tell_failures(log, 1) == 4
        assert len(capsys.readouterr().out.splitlines()) == 3
        found = device.tested(log.read_text())["failed"]
        assert found == ["tests/test_a.py::test_c[exact 64x64-cuda]", "tests/test_a.py::test_d[x-cuda]"]

    def test_the_sanitizers_summary(self):
        said = (
            "========= COMPUTE-SANITIZER\n========= Invalid __global__ read of size 4 bytes\n"
            "========= ERROR SUMMARY: 1 error\n"
        )
        found = device.sanitized(said)
        assert found["summary"] == ["ERROR SUMMARY: 1 error"]
        assert "Invalid __global__ read of size 4 bytes" in found["findings"]

    def test_ncus_table(self):
        names = device_counters.METRICS
        rows = [
            ("k1", names["load_requests"], "1,000"),
            ("k1", names["load_sectors"], "4,000"),
            ("k1", "other", "9"),
            ("k1", names["load_sectors"], "4,000"),
            ("k2", names["shared_loads"], ""),
        ]
        said = "==PROF== Connected\n" + '"ID","Kernel Name","Metric Name","Metric Value"\n'
        said += "".join(f'"{i}","{k}","{m}","{v}"\n' for i, (k, m, v) in enumerate(rows))
        found = device_counters.profiled(said)
        assert found == {"k1": {"load_requests": 1000.0, "load_sectors": 8000.0}, "k2": {"shared_loads": 0.0}}
        assert device_counters.economy(found["k1"]) == {"sectors": 8.0, "passes": None}
        assert device_counters.profiled("ncu: error") == {}

    def test_a_rung_of_several_ladders_says_so(self):
        """ncu cannot tell their launches apart; the emulator counts one ladder's."""
        counts = {"sectors": 4.0, "passes": 1.0}
        emulator = {name: {r.label: counts for r in LADDERS[name].rungs} for name in ("layouts", "softmax")}
        kernels = {"_ZN45_layouts_1_naive_cu_12naive_kernel": {"load_requests": 10.0, "load_sectors": 50.0}}
        rows = {row["rung"]: row for row in device_counters.beside(emulator, kernels)}
        assert rows["layouts_1_naive"]["ladders"] == 3
        assert rows["layouts_1_naive"]["gpu"]["sectors"] == 5.0
        assert not {"ladders", "gpu"} & set(rows["softmax_1_naive"])

    def test_a_table_of_an_unfinished_run(self):
        stages = {
            "tests": {"status": "killed after 3 s", "seconds": 3, "read": {"counts": {"passed": 2}}},
            "step": {
                "status": "failed with exit code 1",
                "result": {
                    "task": "dcnn",
                    "steps": {"tinymed captured": {"us": 5.0}, "torch graph": {"failed": "RuntimeError: no"}},
                },
            },
        }
        text = device_table.text({"gpu": "h100", "date": "2026-01-01", "stages": stages})
        assert "killed after 3 s: 2 passed" in text
        assert "torch graph            failed: RuntimeError: no" in text


def test_the_rows_are_those_of_the_papers_cnn_and_of_resnet50():
    rows = list(device_rows.rows(False))
    ways = {(r.kind, r.way) for r in rows}
    assert set(device_rows.GOALS) <= ways
    forward = [r for r in rows if r.way == "forward" and r.kind.startswith("conv")]
    assert sum(r.label.endswith("b128") for r in forward) == 4
    assert sum(r.label.endswith("b32") for r in forward) == 23
    assert len({(r.label, r.way) for r in rows}) == len(rows)


class TestTimingModel:
    """The stage that holds the timing model to a GPU."""

    def written(self, tmp_path, monkeypatch, factor=1.0, third=1.0):
        """Predictions that are so many times what the clock says of the rungs of `transpose`."""

        def factors(i):
            return third if i == 2 else factor

        rungs = {
            rung.label: {"digest": prediction.digest(rung.source), "us": {"h100": 10.0 * (i + 1) * factors(i)}}
            for i, rung in enumerate(LADDERS["transpose"].rungs)
        }
        path = tmp_path / "predicted.json"
        path.write_text(json.dumps({"rungs": {"transpose": rungs}}))
        monkeypatch.setattr(device_timing, "PREDICTED", path)
        return rungs

    def run(self, monkeypatch, rows, seconds=100.0):
        """Time the rungs of `transpose` alone, by a clock that says 10, 20, ... microseconds."""
        labels = [rung.label for rung in LADDERS["transpose"].rungs]
        timed = []

        def clock(of, name, rung, quick):
            timed.append(rung.label)
            return 1e-5 * (labels.index(rung.label) + 1)

        own = [("transpose", rung) for rung in LADDERS["transpose"].rungs]
        monkeypatch.setattr(device_timing, "timed", clock)
        monkeypatch.setattr(device_timing, "rungs", lambda quick: iter(own))
        monkeypatch.setattr(device_timing, "SECONDS", seconds)
        device_timing.compared(device_timing.Clock("emulated", True), "h100", True, rows, lambda: None)
        return timed

    def test_rows_and_their_summary(self, tmp_path, monkeypatch, capsys):
        self.written(tmp_path, monkeypatch, 1.1, 3.0)
        rows = []
        assert len(self.run(monkeypatch, rows)) == 5
        said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert said == rows
        assert [row["cliff"] for row in rows] == [False, False, True, False, False]
        found = device_timing.summary(rows)
        assert found["rungs"] == 5
        assert found["rank_correlation"] == pytest.approx(0.7)  # the third is predicted above the two behind it
        assert found["median_log_ratio"] == pytest.approx(math.log(1.1), rel=1e-4)
        assert found["cliffs"] == ["transpose: transpose_3_padded"]
        assert set(found["ladders"]) == {"transpose"}

    def test_what_was_timed_is_not_timed_again(self, tmp_path, monkeypatch):
        self.written(tmp_path, monkeypatch)
        rows = []
        assert self.run(monkeypatch, rows, seconds=-1.0) == []
        assert [row["left_out"] for row in rows] == ["no time"] * 5
        rows[0] |= {"us": 12.0}
        assert len(self.run(monkeypatch, rows)) == 4
        assert len(rows) == 5

    def test_a_prediction_of_another_text_is_not_compared(self, tmp_path, monkeypatch):
        rungs = self.written(tmp_path, monkeypatch)
        rungs["transpose_1_naive"]["digest"] = "another"
        del rungs["transpose_2_shared"]
        device_timing.PREDICTED.write_text(json.dumps({"rungs": {"transpose": rungs}}))
        rows = []
        self.run(monkeypatch, rows)
        why = {row["rung"]: row.get("unpredicted", "") for row in rows}
        assert why["transpose_1_naive"] == "predicted of another text of csrc/"
        assert why["transpose_2_shared"] == "results/predicted.json has no such row"
        assert device_timing.summary(rows)["rungs"] == 3

    def test_the_gpu_by_the_drivers_name(self):
        names = {"NVIDIA H200": "h200", "NVIDIA H100 80GB HBM3": "h100", "NVIDIA RTX A6000": "a6000", "Tesla T4": ""}
        assert {name: device_timing.known(name) for name in names} == names

    def test_resume_gives_the_stage_what_it_had(self, tmp_path):
        (stage,) = (s for s in device.stages(False, tmp_path) if s.goes_on)
        assert stage.name == "timing"
        assert stage.seconds > device_timing.SECONDS


@pytest.mark.full
@EMULATED
def test_a_dry_run_times_the_rungs_of_a_ladder(tmp_path):
    """And goes on where it was stopped."""
    found, _ = dry(tmp_path, "--only", "timing")
    rows = found["stages"]["timing"]["result"]["rows"]
    assert [row["rung"] for row in rows] == [rung.label for rung in reversed(LADDERS["attention"].rungs)]
    assert all(row["us"] > 0 for row in rows)
    assert found["stages"]["timing"]["result"]["summary"]
    found["stages"]["timing"]["status"] = "killed after 3 s"
    rows[0]["us"] = 1.25
    (tmp_path / "dry.json").write_text(json.dumps(found))
    again, _ = dry(tmp_path, "--only", "timing", "--resume")
    assert again["stages"]["timing"]["result"]["rows"][0]["us"] == 1.25


@needs_predictions
def test_predictions_are_of_the_kernels_as_they_are():
    """python benchmarks/device_timing.py --predict, after a change of csrc/ or of the model."""
    written = json.loads(device_timing.PREDICTED.read_text())
    assert written["constants"] == asdict(timing.FITTED)
    rungs = {(name, rung.label): rung for name, ladder in LADDERS.items() for rung in ladder.rungs}
    known = {(name, label): one for name, rows in written["rungs"].items() for label, one in rows.items()}
    assert known.keys() == rungs.keys()
    assert not [label for (_, label), one in known.items() if set(one["us"]) != set(GPUS)]
    digests = {key: prediction.digest(rung.source) for key, rung in rungs.items()}
    stale = {label for (name, label), one in known.items() if one["digest"] != digests[name, label]}
    assert not stale


@pytest.mark.full  # test_ops.py asks the same of every kernel's own tests
@EMULATED
def test_the_driver_enters_every_kernel(tmp_path):
    """What compute-sanitizer looks at misses no kernel of csrc/."""
    out = tmp_path / "kernels.json"
    command = [sys.executable, BENCHMARKS / "device_kernels.py", "--backend", "emulated", "--out", out]
    subprocess.run([*map(str, command)], check=True, capture_output=True, env=os.environ)
    found = json.loads(out.read_text())
    assert not found["failed"]
    assert found["never entered"] == []
    assert found["tasks"] == found["of"] > 3 * len(device_kernels.RULES)


def dry(tmp_path, *options):
    """The file of results of a dry run."""
    out = tmp_path / "dry.json"
    command = [sys.executable, str(BENCHMARKS / "device.py"), "--dry", "--out", str(out), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(out.read_text()), done.stdout


@EMULATED
def test_a_dry_run_tells_of_the_machine_and_counts(tmp_path):
    found, said = dry(tmp_path, "--only", "environment,counters")
    assert {s["status"] for s in found["stages"].values()} == {"ok"}
    assert found["stages"]["environment"]["result"]["tools"]["ncu"]
    assert found["stages"]["counters"]["result"]["rows"][0]["emulator"]["sectors"] > 0
    assert "written to" in said


@pytest.mark.full
@EMULATED
def test_a_dry_run_measures_every_kind_of_row(tmp_path):
    pytest.importorskip("torch", reason="PyTorch is the rival: pip install '.[test]'")
    found, said = dry(tmp_path, "--only", "environment,build,ops")
    assert {s["status"] for s in found["stages"].values()} == {"ok"}
    rows = found["stages"]["ops"]["result"]["rows"]
    assert {(r["kind"], r["way"]) for r in rows} == {(r.kind, r.way) for r in device_rows.rows(False)}
    assert all(r["ours"]["us"] > 0 and r["torch"]["us"] > 0 and r["close"] for r in rows)
    assert "element-wise" in said


@pytest.mark.full
@EMULATED
def test_a_dry_run_of_every_stage(tmp_path):
    pytest.importorskip("torch", reason="PyTorch is the rival: pip install '.[test]'")
    found, _ = dry(tmp_path)
    assert {s["status"] for s in found["stages"].values()} == {"ok"}
    assert set(found["stages"]["step"]["result"]["steps"]) == {
        "tinymed captured",
        "tinymed eager",
        "torch eager",
        "torch graph",
        "torch.compile",
    }
