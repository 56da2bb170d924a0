"""Landmarks and boxes go where their image goes: against images of single dots, masks of boxes, and each other."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from tinymed.data import Augment, Parameters, apply_boxes, apply_geometry, apply_points, augment_volume, parameters

GEOMETRY = Augment(
    horizontal_flip=True,
    vertical_flip=True,
    turns=True,
    rotate=30,
    shear=15,
    crop=0.7,
    shift=0.1,
    scale=(0.8, 1.3),
    border="constant",
)
EXACT = Augment(horizontal_flip=True, vertical_flip=True, turns=True)


def places_image(shape):
    """An image whose channels are each pixel's own place, in the order of the axes."""
    return np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in shape), indexing="ij"), axis=-1)


def read_at(image, place):
    """What an image holds at a place between its pixels, all of its channels, by SciPy; None beyond its edge."""
    if (np.array(place) < 1).any() or (np.array(place) > np.array(image.shape[:-1]) - 2).any():
        return None
    columns = np.array(place)[:, None]
    return np.array([scipy.ndimage.map_coordinates(image[..., c], columns, order=1)[0] for c in range(image.shape[-1])])


def check_comes_from(moved_places, shape, place, moved):
    """At the new place of a landmark the moved image shows what was at its old one."""
    found = read_at(moved_places, moved)
    edge = None if found is None else np.minimum(place, np.array(shape) - 1 - place).min()
    if edge is not None and edge > 2:  # bilinear reading needs both pixels inside
        assert np.allclose(found, place, atol=0.06)
        return 1
    return 0


class TestPoints:
    @pytest.mark.parametrize("elastic", [0.0, 1.5])
    @pytest.mark.parametrize("shape", [(48, 48), (40, 56)])
    def test_a_landmark_follows_its_picture(self, elastic, shape):
        checked = 0
        for index in range(20):
            drawn = parameters(replace(GEOMETRY, elastic=elastic, border="edge"), 0, 1, index)
            image = apply_geometry(places_image(shape), drawn)
            points = np.random.default_rng(index).uniform(3, 36, (5, 2))
            for point, moved in zip(points, apply_points(points, drawn, shape)[0], strict=True):
                checked += check_comes_from(image, shape, point[::-1], moved[::-1])
        assert checked > 50

    @pytest.mark.parametrize("elastic", [0.0, 1.0])
    @pytest.mark.parametrize("shape", [(24, 24, 18), (20, 26, 18)])
    def test_a_landmark_follows_its_volume(self, elastic, shape):
        checked = 0
        for index in range(6):
            drawn = parameters(replace(GEOMETRY, elastic=elastic, border="edge", shear=8), 0, 2, index)
            volume = augment_volume(places_image(shape), np.zeros(shape, np.uint8), drawn)[0]
            points = np.random.default_rng(index).uniform(3, 15, (5, 3))
            for point, moved in zip(points, apply_points(points, drawn, shape)[0], strict=True):
                checked += check_comes_from(volume, shape, point, moved)
        assert checked > 10

    @given(st.integers(0, 2**31), st.integers(2, 9), st.integers(2, 9))
    def test_flips_and_turns_are_exact_and_four_turns_are_nothing(self, index, height, width):
        drawn = parameters(EXACT, 0, 0, index)
        numbers = np.arange(height * width).reshape(height, width, 1)
        places = np.array([[x, y] for y in range(height) for x in range(width)], np.float64)
        moved, inside = apply_points(places, drawn, (height, width))
        assert inside.all()
        x, y = np.rint(moved).astype(int).T
        assert np.allclose(moved, np.rint(moved), atol=1e-9)
        assert apply_geometry(numbers, drawn, order=0)[y, x, 0].tolist() == list(range(height * width))
        four = places
        for _ in range(4):
            four, _ = apply_points(four, Parameters(turns=drawn.turns), (height, width))
        assert np.allclose(four, places)

    def test_outside_is_said_and_nothing_is_dropped(self):
        moved, inside = apply_points(np.array([[0.0, 0.0], [7.0, 7.0]]), Parameters(shift_x=-0.25), (8, 8))
        assert moved.tolist() == [[-2, 0], [5, 7]]
        assert inside.tolist() == [False, True]
        none, kept = apply_points(np.zeros((0, 2)), parameters(replace(GEOMETRY, elastic=2.0), 0, 0, 0), (8, 8))
        assert none.shape == (0, 2)
        assert kept.shape == (0,)

    def test_refusals(self):
        with pytest.raises(ValueError, match="points"):
            apply_points(np.zeros((3, 3)), Parameters(), (8, 8))
        with pytest.raises(ValueError, match="boxes"):
            apply_boxes(np.zeros((3, 6)), Parameters(), (8, 8))


class TestBoxes:
    @settings(max_examples=40)
    @given(st.integers(0, 2**31), st.integers(4, 12), st.integers(4, 12), st.booleans(), st.sampled_from([0.0, 1.0]))
    def test_a_box_is_that_about_its_moved_mask(self, index, wide, high, exact, elastic):
        augment = EXACT if exact else replace(GEOMETRY, elastic=elastic)
        drawn = parameters(augment, 0, 3, index)
        mask = np.zeros((40, 40, 1), np.uint8)
        box = np.array([[14, 16, 14 + wide, 16 + high]], np.float64)
        mask[16 : 16 + high, 14 : 14 + wide] = 1
        moved, kept = apply_boxes(box, drawn, (40, 40))
        y, x = np.nonzero(apply_geometry(mask, drawn, order=0)[..., 0])
        if kept[0]:
            found = [x.min(), y.min(), x.max() + 1, y.max() + 1]
            assert np.allclose(moved[0], found, atol=1e-9 if exact else 1.6)

    def test_a_box_of_a_volume(self):
        mask = np.zeros((12, 12, 8), np.uint8)
        mask[2:5, 3:8, 1:4] = 1
        for turns in range(4):
            drawn = Parameters(flip_x=True, turns=turns)
            moved, kept = apply_boxes(np.array([[2, 3, 1, 5, 8, 4]]), drawn, mask.shape)
            found = np.argwhere(augment_volume(np.zeros((12, 12, 8, 1), np.float32), mask, drawn)[1])
            assert moved[0].tolist() == [*found.min(axis=0), *(found.max(axis=0) + 1)]
            assert kept.all()

    def test_what_leaves_the_image_is_cut_and_dropped_below_a_quarter(self):
        boxes = np.array([[0.0, 0, 8, 8], [8, 0, 16, 8], [0, 0, 10, 8]])
        moved, kept = apply_boxes(boxes, Parameters(shift_x=-0.46875), (16, 16))  # by 7.5 pixels
        assert moved.tolist() == [[0, 0, 0.5, 8], [0.5, 0, 8.5, 8], [0, 0, 2.5, 8]]
        assert kept.tolist() == [False, True, True]
        assert apply_boxes(boxes, Parameters(shift_x=-0.46875), (16, 16), least=0.3)[1].tolist() == [False, True, False]
        assert apply_boxes(np.zeros((0, 4)), Parameters(angle=1), (16, 16))[0].shape == (0, 4)


class TestTogether:
    @settings(max_examples=25)
    @given(st.integers(0, 2**31), st.sampled_from([0.0, 2.0]))
    def test_image_and_mask_agree(self, index, elastic):
        """A mask that is its image at a threshold stays so, but at edges; labels are preserved."""
        drawn = parameters(replace(GEOMETRY, elastic=elastic, border="reflect"), 0, 4, index)
        y, x = np.mgrid[:40, :40]
        smooth = (np.sin(x / 6) * np.cos(y / 7)).astype(np.float32)[..., None]
        mask = np.where(smooth > 0, 5, 2).astype(np.uint8)
        image, moved = apply_geometry(smooth, drawn), apply_geometry(mask, drawn, order=0)
        assert set(np.unique(moved)) <= {2, 5}
        clear = np.abs(image) > 0.15
        assert ((image > 0) == (moved == 5))[clear].all()

    @settings(max_examples=15)
    @given(st.integers(0, 2**31))
    def test_a_flat_volume_moves_as_a_picture(self, index):
        """One slice, no turn about x and y: the volume's axes 0 and 1 are a picture's columns and rows."""
        drawn = parameters(replace(EXACT, shift=0.2, scale=(0.7, 1.4)), 0, 5, index)
        drawn = replace(drawn, turns=0, border="edge")
        picture = np.random.default_rng(0).random((9, 9, 1), np.float32)
        volume = np.repeat(picture.transpose(1, 0, 2)[:, :, None], 3, axis=2)
        moved = augment_volume(volume, np.zeros(volume.shape[:3], np.uint8), drawn)[0]
        assert np.allclose(moved[:, :, 1].transpose(1, 0, 2), apply_geometry(picture, drawn), atol=1e-5)
