"""The real data sets beside the repository open as their README says."""

from pathlib import Path

import pytest
from datasets import shared_data

from tinymed.data import open_dataset, parse_merge
from tinymed.errors import UserError

REAL = {  # name: train, val, test, classes, has groups; from the data's README
    "malaria": (1800, 400, 600, 2, True),
    "brain_tumor_mri": (1800, 300, 480, 4, False),
    "chest_xray": (1800, 300, 618, 2, True),
    "breast_histology_idc": (2000, 500, 700, 2, True),
    "fundus_dr_idrid": (344, 60, 103, 5, False),
    "busi_ultrasound": (381, 61, 115, 2, True),
    "skin_lesion_isic": (400, 60, 120, 2, False),
    "mnist": (55000, 5000, 10000, 10, False),
}


class TestRealData:
    @pytest.mark.parametrize("name", list(REAL))
    def test_opens_with_every_image_decoded_and_no_leak(self, name: str) -> None:
        sets = open_dataset(shared_data(name))
        *sizes, classes, grouped = REAL[name]
        assert [len(sets[s]) for s in ("train", "val", "test")] == sizes
        for dataset in sets.values():
            assert len(dataset.classes) == classes
            assert (dataset.groups is not None) == grouped
            assert min(dataset.counts().values()) > 0

    def test_referable_retinopathy(self) -> None:
        merge = parse_merge(["non_referable=grade0,grade1", "referable=grade2,grade3,grade4"])
        sets = open_dataset(shared_data("fundus_dr_idrid"), merge=merge, verify=False)
        assert sets["train"].counts() == {"non_referable": 129, "referable": 215}

    def test_another_label_column(self) -> None:
        sets = open_dataset(shared_data("fundus_dr_idrid"), label_column="macular_edema_risk", verify=False)
        assert sets["train"].classes == ["0", "1", "2"]

    def test_folders_agree_with_the_list(self, tmp_path: Path) -> None:
        listed = open_dataset(shared_data("malaria"), verify=False)
        for split in ("train", "val", "test"):
            (tmp_path / split).symlink_to(shared_data("malaria") / split)
        for name, dataset in open_dataset(tmp_path, verify=False).items():
            assert sorted(p.name for p in dataset.samples) == sorted(p.name for p in listed[name].samples)
            assert dataset.counts() == listed[name].counts()

    @pytest.mark.parametrize("name", ["em_membranes_isbi2012", "hippocampus_3d", "bccd_detection"])
    def test_other_tasks_are_refused_by_name(self, name: str) -> None:
        with pytest.raises(UserError, match=f"{name}.*no column 'label'"):
            open_dataset(shared_data(name))
