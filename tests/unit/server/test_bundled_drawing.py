"""The training pictures: their truth is true, and a seed names one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from training import draw, heldout, outlines, pens, pool, shapes, sketches

if TYPE_CHECKING:
    from pathlib import Path

WHITE = 255.0


def test_a_seed_names_a_scene() -> None:
    first, again, other = draw.scene(11), draw.scene(11), draw.scene(12)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.boxes, again.boxes)
    assert not np.array_equal(first.image, other.image)


def test_a_seed_names_a_single() -> None:
    image, label = draw.single(4)
    again, label_again = draw.single(4)
    np.testing.assert_array_equal(image, again)
    assert label == label_again


def test_scenes_keep_their_promises() -> None:
    for seed in range(20):
        scene = draw.scene(seed)
        assert scene.image.shape == (draw.SCENE_SIDE, draw.SCENE_SIDE, 3)
        assert scene.image.dtype == np.uint8
        assert len(scene.boxes) == len(scene.classes) <= draw.MOST_FIGURES
        assert ((scene.boxes >= 0) & (scene.boxes <= 1)).all()
        assert (scene.boxes[:, 2:] > scene.boxes[:, :2]).all()
        assert set(scene.classes.tolist()) <= set(range(len(shapes.DETECTED)))


def test_every_class_occurs_in_scenes_and_singles() -> None:
    in_scenes = {int(c) for seed in range(30) for c in draw.scene(seed).classes}
    assert in_scenes == set(range(len(shapes.DETECTED)))
    assert {draw.single(seed)[1] for seed in range(120)} == set(range(len(sketches.CLASSIFIED)))


@pytest.mark.parametrize("name", list(sketches.CLASSIFIED))
@pytest.mark.parametrize("fill", [None, (30.0, 30.0, 30.0)])
@pytest.mark.parametrize("wobble", [0.0, 0.02])
def test_the_box_encloses_the_drawn_pixels_tightly(
    name: str, fill: tuple[float, float, float] | None, wobble: float
) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        canvas = np.full((240, 300, 3), WHITE, np.float32)
        drawing = draw.placed(sketches.CLASSIFIED[name](rng), 120.0, rng.uniform(0, 6.28), rng)
        middle = np.array([150, 120])
        drawing = tuple(outlines.Path(p.points + middle, p.closed) for p in drawing)
        style = pens.Style(ink=(0.0, 0.0, 0.0), fill=fill, width=3, wobble=wobble)
        box = pens.put(canvas, drawing, style, rng)
        assert box is not None
        # INKED of 255 is the least share of ink that counts.
        inked = np.argwhere((WHITE - canvas).max(axis=2) >= pens.INKED + 1)
        (top, left), (bottom, right) = inked.min(axis=0), inked.max(axis=0) + 1
        assert np.abs(np.array([left, top, right, bottom]) - box).max() <= 1


def test_a_figure_cut_by_the_edge_has_the_box_of_what_is_left() -> None:
    canvas = np.full((100, 100, 3), WHITE, np.float32)
    square = (outlines.polygon((60, 20), (140, 20), (140, 50), (60, 50)),)
    style = pens.Style(ink=(0, 0, 0), fill=None, width=1)
    assert pens.put(canvas, square, style, np.random.default_rng(0)) == (60, 20, 100, 51)


def test_a_figure_off_the_picture_has_no_box() -> None:
    canvas = np.full((100, 100, 3), WHITE, np.float32)
    style = pens.Style(ink=(0, 0, 0), fill=None, width=1)
    far = (outlines.polygon((300, 300), (320, 300), (320, 330)),)
    assert pens.put(canvas, far, style, np.random.default_rng(0)) is None
    assert (canvas == WHITE).all()


@pytest.mark.parametrize("name", list(sketches.CLASSIFIED))
def test_figures_are_finite_and_of_unit_size(name: str) -> None:
    for seed in range(60):
        points = np.concatenate(
            [path.points for path in sketches.CLASSIFIED[name](np.random.default_rng(seed))]
        )
        assert np.isfinite(points).all()
        assert 0.3 < np.ptp(points, axis=0).max() <= 4.0


def test_placed_figures_have_the_wanted_length_around_the_origin() -> None:
    rng = np.random.default_rng(3)
    for figure in sketches.CLASSIFIED.values():
        points = np.concatenate([p.points for p in draw.placed(figure(rng), 50.0, 1.0, rng)])
        assert np.ptp(points, axis=0).max() == pytest.approx(50.0)
        assert points.min(axis=0) + points.max(axis=0) == pytest.approx([0, 0], abs=1e-9)


def marked_scene() -> tuple[np.ndarray, np.ndarray]:
    """A dark picture with one bright box, and its truth."""
    image = np.zeros((1, 64, 64, 3), np.uint8)
    image[0, 8:24, 16:56] = 200
    rows = np.full((1, draw.MOST_FIGURES, 5), -1, np.float32)
    rows[0, 0] = (8 / 64, 16 / 64, 24 / 64, 56 / 64, 3)
    return image, rows


def test_variations_move_the_truth_with_the_pixels() -> None:
    image, rows = marked_scene()
    seen = set()
    for seed in range(60):
        varied, truth = pool.varied_scenes(image, rows, np.random.default_rng(seed))
        top, left, bottom, right = np.round(truth[0, 0, :4] * 64).astype(int)
        seen.add((top, left, bottom, right))
        inside = varied[0, top:bottom, left:right]
        assert inside.min() == inside.max()
        outside = varied[0].copy()
        outside[top:bottom, left:right] = varied[0, 0, 0]
        assert (outside == varied[0, 0, 0]).all()
        assert truth[0, 0, 4] == 3
        assert (truth[0, 1:] == -1).all()
    assert len(seen) == 8
    assert rows[0, 0, 4] == 3
    np.testing.assert_array_equal(image, marked_scene()[0])


def test_the_second_set_names_the_same_classes() -> None:
    assert tuple(sketches.CLASSIFIED) == heldout.KINDS
    assert tuple(shapes.DETECTED) == heldout.KINDS[: heldout.IN_SCENES]


@pytest.mark.parametrize("style", ["vector", "freehand"])
def test_the_second_set_is_reproducible_and_true(style: heldout.Style) -> None:
    for seed in range(3):
        page, again = heldout.scene(style, seed), heldout.scene(style, seed)
        np.testing.assert_array_equal(page.image, again.image)
        assert page.image.shape == (256, 256, 3)
        assert len(page.boxes) == len(page.classes)
        assert ((page.boxes >= 0) & (page.boxes <= 1)).all()
        assert (page.boxes[:, 2:] > page.boxes[:, :2]).all()


def test_the_pool_reads_back_what_it_drew(tmp_path: Path) -> None:
    images, rows = pool.pool("scene", 5, 3, tmp_path, workers=1)
    again, rows_again = pool.pool("scene", 5, 3, tmp_path, workers=1)
    np.testing.assert_array_equal(images, again)
    np.testing.assert_array_equal(rows, rows_again)
    scene = draw.scene(6)
    np.testing.assert_array_equal(images[1], scene.image)
    np.testing.assert_array_equal(rows[1, : len(scene.boxes), :4], scene.boxes)
