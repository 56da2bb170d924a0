"""What a report says of its figures: notes, and what was measured on the images that it was chosen by."""

import shutil
from dataclasses import replace

from tinymed.cli.decision import store
from tinymed.cli.reports.results import calibration_section, note_texts, threshold_section
from tinymed.cli.reports.source import open_source


def test_notes_that_differ_in_numbers_alone_are_one_line():
    notes = ["20 groups in 400 images: rough", "15 groups in 200 images: rough", "by patient", "by patient"]
    assert [text.text for text in note_texts(notes)] == [
        "Note: 20 groups in 400 images: rough (and 1 more with other counts).",
        "Note: by patient.",
    ]


def test_what_val_chose_and_is_measured_on_says_so(finished_run, tmp_path):
    """Of a run without a test part the figures of val stand once, and are said to flatter."""
    folder = shutil.copytree(finished_run, tmp_path / "run")
    source = open_source(folder)
    store(source.run, None, "temperature", {"temperature": 1.5, "part": "val", "n": 6})
    store(source.run, None, "threshold", {"threshold": 0.4, "rule": "youden", "n": 6})
    alone = replace(source, part="val")
    for make in (threshold_section, calibration_section):
        assert not any("flatters" in getattr(block, "text", "") for block in make(source).blocks)
        assert any("flatters" in getattr(block, "text", "") for block in make(alone).blocks)
    columns = [len(threshold_section(each).blocks[0].head) for each in (source, alone)]
    assert columns == [4, 3]
