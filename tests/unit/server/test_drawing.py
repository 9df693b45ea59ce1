"""The overlay: boxes where they belong, names that can be read, nothing outside the picture."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from model_server.vision.detection import Detection
from model_server.vision.drawing import draw_detections, percent

fraction = st.floats(0, 1)


def detection(box: Any, score: float = 0.9, class_id: int = 0, label: str = "cat") -> Any:
    return Detection(label, class_id, score, box)


def changed(before: Any, after: Any) -> Any:
    return (np.asarray(before) != np.asarray(after)).any(axis=2)


@pytest.mark.parametrize(
    ("score", "text"), [(0.668, "66%"), (0.999, "99%"), (1.0, "100%"), (0, "0%")]
)
def test_percent_rounds_down_as_the_article_does(score: float, text: str) -> None:
    assert percent(score) == text


def test_nothing_found_changes_nothing() -> None:
    image = Image.effect_noise((60, 40), 60).convert("RGB")
    assert not changed(image, draw_detections(image, [])).any()


def test_the_picture_given_is_left_alone() -> None:
    image = Image.new("RGB", (60, 40), "gray")
    draw_detections(image, [detection((0.1, 0.1, 0.9, 0.9))])
    assert not changed(image, Image.new("RGB", (60, 40), "gray")).any()


def test_the_box_is_drawn_on_its_edges_and_its_inside_stays_visible() -> None:
    image = Image.new("RGB", (400, 400), "gray")
    mask = changed(image, draw_detections(image, [detection((0.25, 0.25, 0.75, 0.75))]))
    for x, y in ((100, 200), (299, 200), (200, 299)):
        assert mask[y - 3 : y + 4, x - 3 : x + 4].any()
    assert not mask[150:280, 130:280].any()


def test_a_class_keeps_its_colour_and_classes_differ() -> None:
    image = Image.new("RGB", (200, 200), "gray")
    box = (0.3, 0.3, 0.9, 0.9)
    first, again, other = (
        np.asarray(draw_detections(image, [detection(box, score, class_id)]))[120, 58:63]
        for score, class_id in ((0.9, 1), (0.9, 1), (0.9, 2))
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_lines_grow_with_the_picture() -> None:
    widths = []
    for side in (200, 4000):
        image = Image.new("RGB", (side, side), "gray")
        mask = changed(image, draw_detections(image, [detection((0.25, 0.25, 0.75, 0.75))]))
        widths.append(mask[side // 2, : side // 2].sum())
    assert widths[1] > 2 * widths[0]


def test_two_names_at_one_place_are_both_readable() -> None:
    """The second plate moves: the union of both pictures' plates is larger than one plate."""
    image = Image.new("RGB", (300, 300), "gray")
    box = (0.3, 0.3, 0.8, 0.8)
    one = changed(image, draw_detections(image, [detection(box)]))
    both = changed(image, draw_detections(image, [detection(box), detection(box, 0.5)]))
    assert both.sum() > one.sum() + 100


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(fraction, fraction, fraction, fraction), max_size=8),
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
    st.text(max_size=40),
)
def test_any_boxes_and_names_can_be_drawn(boxes: Any, size: tuple[int, int], label: str) -> None:
    found = [
        detection(
            (min(a, c), min(b, d), max(a, c), max(b, d)), score=a, class_id=index, label=label
        )
        for index, (a, b, c, d) in enumerate(boxes)
    ]
    assert draw_detections(Image.new("RGB", size), found).size == size
