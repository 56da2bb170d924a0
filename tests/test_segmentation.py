"""Pairs of images and masks: finding and reading them, changing them together, the loss, and tiles."""

import csv
import itertools
import warnings
from pathlib import Path

import numpy as np
import pytest
from datasets import shared_data, write_image
from hypothesis import given
from hypothesis import strategies as st
from masks import blob, mask_tree
from PIL import Image

import tinymed
from tinymed.data.augment import Augment, Parameters, apply_geometry, parameters
from tinymed.data.components import components
from tinymed.data.elastic import cubic_matrix, displacements
from tinymed.data.image import decode_mask
from tinymed.data.labels import IGNORED, Labels, guess_labels, parse_labels
from tinymed.data.mask_loader import MaskLoader, nearest
from tinymed.data.masks import check_pairs
from tinymed.data.patches import Cases, PatchLoader
from tinymed.data.segmentation_layouts import open_segmentation
from tinymed.data.tiles import blend_weights, slide, tile_starts
from tinymed.data.weight_map import BorderWeights, two_distances
from tinymed.errors import UserError
from tinymed.metrics.mask_cases import measure_case, summarise
from tinymed.tasks.heads.mask_head import LOSSES, MaskHead


class TestLabels:
    def test_numbers_and_back(self):
        labels = Labels({255: "cell", 0: "membrane", 7: "cell"}, ignore=9)
        assert labels.names == ["cell", "membrane"]
        numbers = labels.numbers(np.array([[0, 255], [7, 9]]), "m.png")
        assert numbers.tolist() == [[1, 0], [0, IGNORED]]
        assert labels.written(np.array([[1, 0]])).tolist() == [[0, 255]]

    def test_an_unknown_value_is_named_with_its_file(self):
        with pytest.raises(UserError, match=r"m\.png: unknown label value 137 at 2 of 4 places; .* 255 \(lesion\)"):
            Labels({0: "background", 255: "lesion"}).numbers(np.array([0, 137, 137, 255]), "m.png")

    def test_the_command_line_names_them(self):
        assert parse_labels("0=background, 255=lesion") == {0: "background", 255: "lesion"}
        assert parse_labels("background,anterior,posterior") == {0: "background", 1: "anterior", 2: "posterior"}
        for bad in ("0=a,0=b", "x=a", "0=", ""):
            with pytest.raises(UserError, match="--labels"):
                parse_labels(bad)

    def test_they_are_guessed_from_the_masks(self):
        assert guess_labels([0, 255], None, "d").values == {0: "background", 255: "foreground"}
        assert guess_labels([0, 1, 2, 255], 255, "d").names == ["background", "label 1", "label 2"]
        with pytest.raises(UserError, match="only the value"):
            guess_labels([0], None, "d")
        with pytest.raises(UserError, match="without smoothing"):
            guess_labels(list(range(100)), None, "d")


class TestMaskFiles:
    def test_values_are_read_as_they_are(self, tmp_path):
        numbers = np.array([[0, 1], [2, 3]], np.uint8)
        palette = Image.fromarray(numbers).convert("P")
        palette.putpalette([9, 8, 7] * 256)
        palette.save(tmp_path / "p.png")
        assert decode_mask(tmp_path / "p.png").tolist() == numbers.tolist()
        Image.fromarray(numbers.astype(np.uint16) * 300).save(tmp_path / "wide.png")
        assert decode_mask(tmp_path / "wide.png").max() == 900
        Image.fromarray(numbers > 0).save(tmp_path / "bits.png")
        assert decode_mask(tmp_path / "bits.png").tolist() == [[0, 255], [255, 255]]

    def test_colours_are_refused(self, tmp_path):
        write_image(tmp_path / "c.png", np.random.default_rng(0).integers(0, 9, (4, 4, 3), np.uint8))
        with pytest.raises(UserError, match=r"c\.png: a mask has one value a pixel"):
            decode_mask(tmp_path / "c.png")

    @pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
    def test_what_only_transparency_tells_is_refused(self, tmp_path, mode):
        seen = np.array([[0, 255], [255, 0]], np.uint8)
        told = np.stack([np.zeros_like(seen)] * 3 + [seen], -1)
        image = Image.fromarray(told)
        if mode == "P":  # a palette's numbers are values, whatever they look like
            image = Image.fromarray(seen // 255, "P")
            image.putpalette([0, 0, 0, 0, 0, 0])
            image.save(tmp_path / "m.png", transparency=0)
            assert decode_mask(tmp_path / "m.png").tolist() == [[0, 1], [1, 0]]
            return
        image.convert(mode).save(tmp_path / "m.png")
        with pytest.raises(UserError, match=r"m\.png: all of the mask is 0, and only how transparent it is differs"):
            decode_mask(tmp_path / "m.png")
        told[..., :3] = seen[..., None]
        Image.fromarray(told).convert(mode).save(tmp_path / "m.png")
        assert decode_mask(tmp_path / "m.png").tolist() == seen.tolist()


class TestTrees:
    def test_two_folders(self, tmp_path):
        dataset = open_segmentation(mask_tree(tmp_path))["all"]
        assert (len(dataset), dataset.classes, dataset.dimensions) == (10, ["background", "foreground"], 2)
        image, mask = dataset.pair(3)
        assert image.shape == (32, 40, 1)
        assert np.array_equal(mask, blob(3)[1])
        assert dataset.subset([3]).pair(0)[1].sum() == mask.sum()

    def test_divided_folders_endings_and_three_labels(self, tmp_path):
        for part, first in (("train", 0), ("test", 50)):
            for i in range(3):
                image, mask = blob(first + i, classes=3)
                write_image(tmp_path / part / "images" / f"a{i}.jpg", image)
                write_image(tmp_path / part / "labels" / f"a{i}_segmentation.png", mask)
        sets = open_segmentation(tmp_path)
        assert {name: len(part) for name, part in sets.items()} == {"train": 3, "test": 3}
        assert sets["train"].classes == ["background", "label 1", "label 2"]

    def test_a_list_with_patients(self, tmp_path):
        mask_tree(tmp_path, 4)
        with (tmp_path / "splits.csv").open("w", newline="") as file:
            csv.writer(file).writerows(
                [["path", "mask", "split", "patient"]]
                + [[f"images/{i:02}.png", f"masks/{i:02}.png", "train" if i else "val", f"p{i}"] for i in range(4)]
            )
        sets = open_segmentation(tmp_path)
        assert len(sets["train"]) == 3
        assert sets["train"].groups.tolist() == ["p1", "p2", "p3"]

    def test_modalities_of_a_case(self, tmp_path):
        for i in range(2):
            image, mask = blob(i)
            for m in range(3):
                write_image(tmp_path / "images" / f"case{i}_000{m}.png", image // (m + 1))
            write_image(tmp_path / "labels" / f"case{i}.png", mask)
        dataset = open_segmentation(tmp_path)["all"]
        image = dataset.image(1)
        assert image.shape == (32, 40, 3)
        assert np.array_equal(image[:, :, 2], blob(1)[0] // 3)
        assert dataset.subset([1]).image(0).shape == (32, 40, 3)

    def test_a_missing_partner_is_named(self, tmp_path):
        mask_tree(tmp_path, 3)
        (tmp_path / "masks" / "01.png").unlink()
        with pytest.raises(UserError, match=r"01\.png: no mask 01 in .*masks for this image"):
            open_segmentation(tmp_path)
        (tmp_path / "images" / "01.png").unlink()
        (tmp_path / "images" / "02.png").unlink()
        with pytest.raises(UserError, match=r"02\.png: no image 02 in .*images for this mask"):
            open_segmentation(tmp_path)

    def test_sizes_and_values_are_checked(self, tmp_path):
        mask_tree(tmp_path, 3)
        write_image(tmp_path / "masks" / "01.png", np.zeros((9, 8), np.uint8))
        with pytest.raises(UserError, match=r"masks.01\.png: the mask has 9 x 8 pixels, its image .* 32 x 40"):
            check_pairs(open_segmentation(tmp_path)["all"])
        odd = blob(1)[1] * np.uint8(255)
        odd[0, 0] = 137
        write_image(tmp_path / "masks" / "01.png", odd)
        with pytest.raises(UserError, match=r"01\.png: unknown label value 137 at 1 of 1280"):
            check_pairs(open_segmentation(tmp_path, values={0: "ground", 255: "lesion"})["all"])

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda p: (p / "x.txt").write_text("?"), "no folder images"),
            (lambda p: (p / "images").mkdir(), "no folder masks"),
            (lambda p: (p / "splits.csv").write_text("path,split\na,train\n"), "no column 'mask'"),
            (lambda p: (p / "splits.csv").write_text("path,mask\na.png,b.png\n"), "line 2: there is no image"),
        ],
    )
    def test_other_folders_are_refused(self, tmp_path, make, message):
        make(tmp_path)
        with pytest.raises(UserError, match=message):
            open_segmentation(tmp_path)

    def test_the_same_image_in_two_parts(self, tmp_path):
        for part in ("train", "val"):
            mask_tree(tmp_path / part, 2)
        with pytest.raises(UserError, match="the splits leak"):
            open_segmentation(tmp_path)

    @pytest.mark.parametrize("name", ["busi_ultrasound", "skin_lesion_isic", "em_membranes_isbi2012"])
    def test_real_sets_have_their_published_counts(self, name):
        counts = {
            "busi_ultrasound": (381, 61, 115),
            "skin_lesion_isic": (400, 60, 120),
            "em_membranes_isbi2012": (20, 4, 6),
        }
        sets = open_segmentation(shared_data(name), verify=False)
        assert tuple(len(part) for part in sets.values()) == counts[name]
        pixels = check_pairs(sets["val"])
        assert (pixels > 0).all()


class TestElastic:
    def test_cubic_weights_interpolate_and_add_up_to_one(self):
        for size, grid in ((9, 3), (50, 4), (1, 3), (2, 2)):
            matrix = cubic_matrix(size, grid)
            assert np.allclose(matrix.sum(axis=1), 1)
        assert np.allclose(cubic_matrix(9, 3)[[0, 4, 8]], np.eye(3))
        line = cubic_matrix(31, 4) @ np.arange(4.0)
        assert np.allclose(line[10:21], np.linspace(1, 2, 11))  # inside, cubic convolution keeps a line

    def test_fields_depend_on_the_ticket_alone(self):
        one, two = displacements((20, 30), 10, 3, (1, 2)), displacements((20, 30), 10, 3, (1, 2))
        assert np.array_equal(one, two)
        assert not np.allclose(one, displacements((20, 30), 10, 3, (1, 3)))
        many = np.stack([displacements((5, 5), 10, 3, (0, step)) for step in range(400)])
        assert 9 < many[:, :, [0, 0, -1], [0, -1, 2]].std() < 11

    def test_a_mask_follows_its_image(self):
        image, mask = blob(0, (64, 64))
        drawn = parameters(Augment(elastic=4, rotate=20, scale=(0.9, 1.1)), 0, 1, 5)
        bent = apply_geometry(image[..., None].astype(np.float32), drawn)
        followed = apply_geometry(mask[..., None], drawn, order=0)
        assert set(np.unique(followed)) <= {0, 1}
        assert followed.sum() > 100
        assert ((bent[..., 0] > 135) == followed[..., 0]).mean() > 0.97
        assert not np.array_equal(followed[..., 0], mask)

    def test_nothing_is_bent_without_it(self):
        image = blob(0)[0][..., None].astype(np.float32)
        assert np.array_equal(apply_geometry(image, Parameters(ticket=(3, 4))), image)


class TestComponents:
    @given(st.integers(0, 2**32), st.booleans(), st.sampled_from([(9, 11), (1, 7), (5, 6, 4), (3,), (0, 4)]))
    def test_as_scipy(self, seed, diagonal, shape):
        ndimage = pytest.importorskip("scipy.ndimage")
        mask = np.random.default_rng(seed).random(shape) < 0.55
        theirs, _ = ndimage.label(mask, ndimage.generate_binary_structure(len(shape), len(shape) if diagonal else 1))
        assert np.array_equal(components(mask, diagonal), theirs)


class TestWeightMap:
    def test_two_distances_are_exact(self):
        ndimage = pytest.importorskip("scipy.ndimage")
        cells = components(ndimage.gaussian_filter(np.random.default_rng(1).random((40, 50)), 2) > 0.51)
        each = np.sort([ndimage.distance_transform_edt(cells != k) for k in range(1, cells.max() + 1)], axis=0)
        first, second = two_distances(cells, 100)
        assert np.allclose(first, each[0])
        assert np.allclose(second, each[1])

    def test_equation_2_between_two_cells(self):
        mask = np.zeros((1, 9, 20), np.int64)
        mask[:, :, :6], mask[:, :, 10:] = 1, 1
        mask[0, 0, 19] = IGNORED
        weights = BorderWeights(10, 5, class_weights=(1.5, 2))(mask)[0]
        assert np.allclose(weights[4, 6:10], 1.5 + 10 * np.exp(-(5.0**2) / 50))  # d1 + d2 = 5 across a gap of 4
        assert np.all(weights[4, :6] == 2)
        assert weights[0, 19] == 0

    def test_one_cell_has_no_border(self):
        assert np.all(BorderWeights()(blob(0)[1][None].astype(np.int64)) == 1)


class TestMaskLoader:
    def test_pairs_stay_together_for_any_number_of_workers(self, tmp_path):
        dataset = open_segmentation(mask_tree(tmp_path))["all"]
        how = {"shuffle": True, "augment": Augment(horizontal_flip=True, elastic=2, noise=0.1), "seed": 3}
        one, two = (list(MaskLoader(dataset, 4, 24, 1, workers=n, **how).epoch(1)) for n in (0, 3))
        for (a, b, i), (c, d, j) in zip(one, two, strict=True):
            assert np.array_equal(a, c)
            assert np.array_equal(b, d)
            assert np.array_equal(i, j)
        images, masks, _indices = one[0]
        assert (images.shape, masks.shape, masks.dtype) == ((4, 1, 24, 24), (4, 24, 24), np.int64)
        assert np.mean((images[:, 0] > 0.53) == masks) > 0.95
        later = next(iter(MaskLoader(dataset, 4, 24, 1, workers=0, **how).epoch(1, 1)))
        assert np.array_equal(later[0], one[1][0])

    def test_masks_are_resized_by_the_nearest_pixel(self):
        mask = np.arange(12).reshape(3, 4)
        assert np.array_equal(nearest(mask, (3, 4)), mask)
        assert nearest(mask, (6, 8))[2:4, 4:6].tolist() == [[6, 6], [6, 6]]
        assert nearest(mask, (1, 2)).tolist() == [[5, 7]]


class TestPatches:
    def loader(self, root: Path, **more) -> PatchLoader:
        return PatchLoader(Cases(open_segmentation(mask_tree(root))["all"], 1), 5, (16, 16), workers=0, **more)

    def test_patches_are_cut_from_their_image(self, tmp_path):
        loader = self.loader(tmp_path, per_image=3)
        batches = list(loader.epoch(2))
        assert len(batches) == len(loader) == 6
        images, _masks, indices = batches[0]
        assert images.shape == (5, 1, 16, 16)
        whole = loader.cases.pair(int(indices[0]))[0][..., 0]
        windows = np.lib.stride_tricks.sliding_window_view(whole, (16, 16))
        assert (windows == images[0, 0]).all(axis=(2, 3)).any()
        assert np.array_equal(images, next(iter(loader.epoch(2)))[0])
        assert not np.array_equal(images, next(iter(loader.epoch(3)))[0])

    def test_the_share_centred_on_a_label(self, tmp_path):
        loaders = [self.loader(tmp_path / str(share), foreground=share) for share in (0.0, 1.0)]
        middle = [np.mean([masks[:, 8, 8].mean() for _, masks, _ in loader.epoch(0)]) for loader in loaders]
        assert middle[1] > 0.6
        assert middle[0] < 0.5

    def test_a_smaller_output_is_the_middle_and_borders_are_mirrored(self, tmp_path):
        dataset = open_segmentation(mask_tree(tmp_path))["all"]
        loader = PatchLoader(Cases(dataset, 1), 4, (40, 40), (32, 32), workers=0, foreground=0)
        images, masks, indices = next(iter(loader.epoch(0)))
        assert (images.shape, masks.shape) == ((4, 1, 40, 40), (4, 32, 32))
        image, mask = dataset.pair(int(indices[0]))
        places = [np.array_equal(mask[:, s : s + 32], masks[0]) for s in range(9)]
        start = places.index(True)
        padded = np.pad(image[..., 0], 4, mode="reflect")[:, start : start + 40] / np.float32(255)
        assert np.allclose(images[0, 0], padded)

    def test_weights_come_along(self, tmp_path):
        loader = self.loader(tmp_path, borders=BorderWeights(class_weights=(1, 3)))
        _, (masks, weights), _ = next(iter(loader.epoch(0)))
        assert np.array_equal(weights, np.where(masks == 1, 3, 1))


def outputs_for(head: MaskHead, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, head.classes, (2, 5, 6))
    labels[0, 0, :2] = IGNORED
    return random.normal(size=(2, head.outputs, 5, 6)).astype(np.float32), labels


class TestMaskHead:
    @pytest.fixture(autouse=True)
    def reference(self):
        with tinymed.use_backend("numpy"):
            yield

    @pytest.mark.parametrize("loss", LOSSES)
    @pytest.mark.parametrize("sigmoid", [False, True])
    def test_ignored_pixels_change_nothing_and_the_truth_is_best(self, loss, sigmoid):
        head = MaskHead(2, loss, sigmoid=sigmoid)
        outputs, labels = outputs_for(head)

        def value(outputs):
            return head(tinymed.Tensor(outputs), tinymed.Tensor(head.targets(labels))).item()

        changed = outputs.copy()
        changed[0, :, 0, :2] += 9
        assert value(changed) == pytest.approx(value(outputs), rel=1e-5)
        known = np.where(labels == IGNORED, 0, labels)
        best = 20 * (2 * known[:, None] - 1) if sigmoid else 20 * np.eye(2)[known].transpose(0, 3, 1, 2)
        assert value(best.astype(np.float32)) < 0.06 < value(outputs)
        assert head.correct(tinymed.Tensor(best), labels) == pytest.approx(2)

    def test_cross_entropy_is_pytorchs(self):
        torch = pytest.importorskip("torch")
        head = MaskHead(3, class_weights=(1, 2, 5))
        outputs, labels = outputs_for(head)
        theirs = torch.nn.functional.cross_entropy(
            torch.tensor(outputs), torch.tensor(labels), torch.tensor([1.0, 2, 5]), ignore_index=IGNORED
        )
        ours = head(tinymed.Tensor(outputs), tinymed.Tensor(head.targets(labels)))
        assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)

    def test_the_dice_loss_is_its_formula(self):
        head = MaskHead(2, "dice")
        outputs, labels = outputs_for(head)
        ours = head(tinymed.Tensor(outputs), tinymed.Tensor(head.targets(labels))).item()
        p = np.exp(outputs[:, 1]) / np.exp(outputs).sum(axis=1)
        counted = labels != IGNORED
        hit, t, f = (p * (labels == 1))[counted].sum(), (labels == 1).sum(), p[counted].sum()
        assert ours == pytest.approx(1 - (2 * hit + 1) / (t + f + 1), rel=1e-5)

    def test_the_background_can_be_one_of_the_classes_that_overlap(self):
        """Three classes: the mean of all three Dice losses, and answers of a rare class everywhere are worse."""
        head, without = MaskHead(3, "dice", background=True), MaskHead(3, "dice")
        outputs, labels = outputs_for(head)
        p = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
        counted, losses = labels != IGNORED, []
        for k in range(3):
            hit, t, f = (p[:, k] * (labels == k))[counted].sum(), (labels == k).sum(), p[:, k][counted].sum()
            losses.append(1 - (2 * hit + 1) / (t + f + 1))
        targets = tinymed.Tensor(head.targets(labels))
        assert head(tinymed.Tensor(outputs), targets).item() == pytest.approx(np.mean(losses), rel=1e-5)
        assert without(tinymed.Tensor(outputs), targets).item() == pytest.approx(np.mean(losses[1:]), rel=1e-5)
        assert head.unweighted().background
        assert not without.unweighted().background

    def test_weights_of_pixels_and_further_outputs(self):
        head = MaskHead(2, auxiliary=0.5)
        outputs, labels = outputs_for(head)
        weights = np.random.default_rng(1).random(labels.shape).astype(np.float32)
        targets = tuple(map(tinymed.Tensor, head.targets((labels, weights))))
        logs = outputs - np.log(np.exp(outputs).sum(axis=1, keepdims=True))
        picked = np.take_along_axis(logs, np.where(labels == IGNORED, 0, labels)[:, None], 1)[:, 0]
        share = weights * (labels != IGNORED)
        expected = -(picked * share).sum() / share.sum()
        assert head(tinymed.Tensor(outputs), targets).item() == pytest.approx(expected, rel=1e-5)
        several = tuple(tinymed.Tensor(outputs) for _ in range(3))
        assert head(several, targets).item() == pytest.approx(2 * expected, rel=1e-5)

    @pytest.mark.parametrize("sigmoid", [False, True])
    def test_scores_are_probabilities_and_have_logits(self, sigmoid):
        head = MaskHead(2, sigmoid=sigmoid)
        scores = head.scores(outputs_for(head)[0])
        assert np.allclose(scores.sum(axis=1), 1)
        assert np.allclose(head.scores(head.logits(scores)), scores, atol=1e-5)


class TestTiles:
    @given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 20))
    def test_starts_cover_and_stay_inside(self, size, tile, step):
        step = min(step, tile)
        starts = tile_starts(size, tile, step)
        covered = np.zeros(max(size, tile), bool)
        for start in starts:
            covered[start : start + tile] = True
        assert covered.all()
        assert starts == sorted(set(starts))
        assert all(b - a <= step for a, b in itertools.pairwise(starts))

    @given(
        st.sampled_from([(17, 23), (5, 9), (8, 8), (30, 4)]),
        st.sampled_from([0.0, 0.3, 0.5, 0.75]),
        st.sampled_from(["uniform", "gaussian"]),
        st.sampled_from([0, 2, 5]),
    )
    def test_a_local_network_gives_what_it_gives_the_whole_image(self, space, overlap, blend, margin):
        image = np.random.default_rng(0).random((2, *space)).astype(np.float32)
        tile = (8 + margin, 8 + margin)

        def local(tiles):
            assert tiles.shape[2:] == tile
            low, high = margin // 2, margin // 2 + 8
            return np.concatenate([tiles, 2 * tiles], axis=1)[:, :, low:high, low:high]

        scores = slide(local, image, tile, (8, 8), overlap=overlap, blend=blend, batch=3)
        assert np.allclose(scores, np.concatenate([image, 2 * image]), atol=1e-6)

    def test_borders_are_mirrored(self):
        seen = []
        slide(lambda t: seen.append(t) or t[:, :, 2:-2], np.arange(6.0)[None], (10,), (6,), overlap=0, blend="uniform")
        assert seen[0][0, 0].tolist() == [2, 1, 0, 1, 2, 3, 4, 5, 4, 3]

    def test_weights_and_mistakes(self):
        weights = blend_weights((9, 7), "gaussian")
        assert weights[4, 3] == weights.max() == 1
        assert weights.min() >= 1e-3
        with pytest.raises(ValueError, match="blend"):
            blend_weights((3,), "linear")
        with pytest.raises(ValueError, match="gave scores"):
            slide(lambda t: t[:, :, 1:], np.zeros((1, 9)), (4,))


class TestMeasures:
    def test_a_row_a_case_and_averages_with_intervals(self):
        rows = []
        for i in range(12):
            truth, found = blob(i)[1], blob(i)[1].copy()
            found[:16] = 0 if i else found[:16]
            rows.append(measure_case(f"c{i}", 0.5, truth, found, 2, (1.0, 1.0)))
        result = summarise(rows, ["ground", "blob"])
        values = [row["dice"][1] for row in rows]
        assert rows[0]["dice"] == [1, 1]
        assert result["dice"] == pytest.approx(np.mean(values))
        low, high = result["per_class"]["blob"]["dice_interval"]
        assert low < result["dice"] < high
        assert result["per_class"]["blob"]["hd95"] >= 0

    def test_an_empty_mask_is_left_out_and_said(self):
        empty, some = np.zeros((8, 8), np.uint8), np.eye(8, dtype=np.uint8)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            rows = [measure_case("a", 0, empty, empty, 2, (1, 1)), measure_case("b", 0, some, some, 2, (1, 1))]
        result = summarise(rows, ["ground", "blob"])
        assert (result["per_class"]["blob"]["dice"], result["per_class"]["blob"]["dice_n"]) == (1, 1)
        assert any("blob dice: no value in 1 of 2 cases" in note for note in result["warnings"])
