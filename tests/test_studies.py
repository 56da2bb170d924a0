"""The arithmetic of the small studies under benchmarks/: poses, landmarks, candidates, searches, squares, boxes."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import active_shapes
import candidates
import codes
import derived_volumes
import figures
import graded_lesions
import scored_poses
import slice_boxes
import weak_labels


def disc(side, row, column, radius):
    """A round mask."""
    rows, columns = np.mgrid[:side, :side]
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


def test_a_difference_is_taken_case_by_case():
    one, two = np.array([0.5, 0.7, 0.9]), np.array([0.4, 0.6, 0.8])
    found = figures.figures({"one": one, "two": two}, "one")
    assert found["one less two"] == {"mean": 0.1, "interval": [0.1, 0.1]}
    low, high = found["one"]["interval"]
    assert low < found["one"]["mean"] == 0.7 < high


def test_a_study_leaves_the_others_of_a_file_as_they_were(tmp_path):
    path = tmp_path / "studies.json"
    figures.keep(path, "second", {"n": 2})
    before = path.read_text()
    figures.keep(path, "first", {"n": 1})
    assert before.splitlines()[1] in path.read_text()


class TestPoses:
    def test_a_pose_has_the_ellipse_of_a_mask(self):
        pose = np.array([30.0, 34.0, np.log(6.0), np.log(12.0), 0.4])
        found = scored_poses.pose_of(scored_poses.ellipse(pose))
        np.testing.assert_allclose(found, pose, atol=0.06)

    def test_points_of_a_pose_lie_where_its_ellipse_does(self):
        pose = np.array([30.0, 34.0, np.log(6.0), np.log(12.0), -0.7])
        local = np.random.default_rng(0).uniform(-1.2, 1.2, (400, 2))
        rows, columns = np.rint(scored_poses.points_of(pose[None], local)[0]).astype(int).T
        inside, clear = scored_poses.ellipse(pose)[rows, columns], np.abs(np.hypot(*local.T) - 1) > 0.15
        assert np.array_equal(inside[clear], (np.hypot(*local.T) < 1)[clear])

    def test_a_border_found_in_a_mask_surrounds_it(self):
        mask = disc(64, 30, 33, 11)
        pose = scored_poses.pose_of(mask)
        drawn = scored_poses.inside_of(pose, scored_poses.radii_of(mask, pose))
        assert scored_poses.dice(drawn, mask) > 0.95

    def test_a_climb_ends_higher(self):
        def score(poses):
            return -np.abs(poses[:, 0] - 20) - np.abs(poses[:, 3] - 1)

        starts = np.array([[10.0, 10, 0, 0, 0]] * 3)
        assert (scored_poses.climb(score, starts, scored_poses.STEPS)[1] > score(starts) + 2).all()


class TestWeakLabels:
    def test_a_point_lies_in_the_thing_and_says_its_size(self):
        ring = disc(30, 15, 15, 9) & ~disc(30, 15, 15, 5)
        point, size = weak_labels.point_and_size(ring)
        assert ring[point]
        assert size == ring.sum()
        assert weak_labels.point_and_size(disc(30, 12, 17, 6))[0] == (12, 17)


class TestShapes:
    def test_landmarks_of_a_disc_lie_on_it(self):
        points = active_shapes.landmarks(disc(40, 18, 21, 9))
        distances = np.linalg.norm(points - [18, 21], axis=1)
        assert np.abs(distances - 9.2).max() < 0.6
        assert active_shapes.dice(points, disc(40, 18, 21, 9)) > 0.93

    def test_a_search_finds_a_bright_disc(self):
        rng = np.random.default_rng(0)

        def pair():
            row, column, radius = rng.uniform(17, 23), rng.uniform(17, 23), rng.uniform(7, 10)
            mask = disc(40, row, column, radius)
            return 2.0 * mask + rng.normal(0, 0.1, mask.shape), mask

        search = active_shapes.Search([pair() for _ in range(30)])
        found = [(search(image), search.begin(image), mask) for image, mask in (pair() for _ in range(10))]
        reached = [[active_shapes.dice(points, mask) for points in (a, b)] for a, b, mask in found]
        assert np.mean(reached, axis=0)[0] > np.mean(reached, axis=0)[1] + 0.03


class TestCandidates:
    def test_false_ones_are_counted_at_the_threshold_that_finds_the_lesions(self):
        places = [candidates.Candidate(i, 0, 0, true) for i, true in ((0, True), (0, False), (1, True), (1, False))]
        scores, both = np.array([0.9, 0.5, 0.4, 0.6]), np.arange(2)
        assert candidates.false_ones(scores, places, both, 1.0) == 1.0  # at .4, which both lesions reach
        assert candidates.false_ones(scores, places, both, 0.5) == 0.0  # at .9

    def test_a_dark_place_inside_the_mask_is_a_true_one(self):
        rng = np.random.default_rng(0)
        mask = disc(64, 40, 20, 6)
        found = candidates.candidates(3, (rng.normal(0, 0.1, (64, 64)) - 2.0 * mask).astype(np.float32), mask)
        assert found[0].true
        assert found[0].image == 3
        assert np.hypot(found[0].row - 40, found[0].column - 20) < 4
        assert not any(c.true for c in found[1:] if not mask[c.row, c.column])


def test_average_precision_is_scikit_learns():
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is the oracle")
    rng = np.random.default_rng(0)
    labels, likeness = rng.integers(0, 3, 30), rng.normal(size=(30, 30))
    wanted = [
        metrics.average_precision_score(np.delete(labels, i) == labels[i], np.delete(likeness[i], i)) for i in range(30)
    ]
    np.testing.assert_allclose(codes.average_precisions(likeness, labels), wanted)


def test_the_square_about_a_lesion_has_a_margin_and_stays_inside():
    mask = np.zeros((40, 60), bool)
    mask[10:20, 30:50] = True
    assert graded_lesions.square(mask) == (27, 2, 53, 28)
    assert graded_lesions.square(np.zeros((40, 60), bool)) == (0, 0, 60, 40)
    assert graded_lesions.square(np.ones((40, 60), bool)) == (0, 0, 60, 40)


def test_boxes_of_the_longest_runs():
    assert slice_boxes.longest_run(np.array([1, 0, 1, 1, 0, 1, 1], bool)) == (2, 4)
    assert slice_boxes.longest_run(np.zeros(3, bool)) == (0, 0)
    one, two = np.array([[[0, 2], [0, 2], [0, 2]]]), np.array([[[1, 3], [0, 2], [0, 2]]])
    assert slice_boxes.overlap(one, two)[0] == pytest.approx(4 / 12)
    assert slice_boxes.faces(one, two)[0] == pytest.approx(2 / 6)


def test_derived_volumes_lie_beside_the_first_in_the_list(tmp_path):
    nib = pytest.importorskip("nibabel", reason="volumes are NIfTI")
    root = tmp_path / "data" / "hippocampus_3d"
    root.mkdir(parents=True)
    values = np.zeros((6, 7, 8), np.float32)
    values[3, 3, 4] = 1
    for name in ("a.nii.gz", "mask.nii.gz"):
        nib.save(nib.Nifti1Image(values, np.diag([-1.0, 1, 1, 1])), root / name)
    (root / "splits.csv").write_text("path,mask,split\na.nii.gz,mask.nii.gz,train\n")
    derived_volumes.write_modalities(tmp_path / "data", tmp_path / "out")
    with (tmp_path / "out" / "splits.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    first, *more = row["path"].split(";")
    assert first == "a.nii.gz"
    assert (tmp_path / "out" / first).read_bytes() == (root / first).read_bytes()
    smooth = nib.load(tmp_path / "out" / more[0]).get_fdata()
    assert len(more) == 2
    assert smooth.argmax() == values.argmax()
    assert 0 < smooth.max() < 0.2
    np.testing.assert_allclose(derived_volumes.blurred(np.ones((4, 5, 6)), 1.5), 1)
