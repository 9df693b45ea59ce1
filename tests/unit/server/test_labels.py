"""Label maps in every form they come in, and the rules about a background entry."""

import contextlib
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server.errors import InvalidModel
from model_server.models.labels import (
    Labels,
    classifier_names,
    detector_name,
    find_label_files,
    parse_labels,
    read_labels,
)

COCO = parse_labels("???\nperson\nbicycle\n???\n", ".txt")
PBTXT = parse_labels(
    """
    item { name: "/m/01g317" id: 1 display_name: "person" }
    # a comment
    item {
      id: 2
      name: 'bicycle'
    }
    """,
    ".pbtxt",
)
PLAIN = parse_labels("circle\nsquare\n", ".txt")


@pytest.mark.parametrize(
    ("labels", "class_id", "first_class", "name"),
    [
        (COCO, 0, 0, "person"),  # TFLite: the exporter took the background off
        (COCO, 1, 1, "person"),  # SavedModel: class 1 is the first
        (PBTXT, 0, 0, "person"),
        (PBTXT, 1, 1, "person"),
        (PBTXT, 2, 1, "bicycle"),
        (PLAIN, 0, 0, "circle"),
        (PLAIN, 1, 1, "circle"),
        (PLAIN, 7, 0, "class_7"),
        (None, 3, 1, "class_3"),
    ],
)
def test_detector_classes_find_their_names(
    labels: Labels | None, class_id: int, first_class: int, name: str
) -> None:
    assert detector_name(labels, class_id, first_class) == name


@pytest.mark.parametrize(
    ("text", "suffix"),
    [
        ("cat\ndog\n", ".txt"),
        ("0 cat\n1 dog\n", ".txt"),
        ("0: cat\n1: dog", ".txt"),
        ('["cat", "dog"]', ".json"),
        ('{"0": "cat", "1": "dog"}', ".json"),
        ('{"cat": 0, "dog": 1}', ".json"),
        ('{"0": ["n02123045", "cat"], "1": ["n02085620", "dog"]}', ".json"),
        ('[{"name": "cat"}, {"display_name": "dog"}]', ".json"),
    ],
)
def test_every_form_gives_the_same_names(text: str, suffix: str) -> None:
    assert parse_labels(text, suffix).names == {0: "cat", 1: "dog"}


@pytest.mark.parametrize(
    ("text", "suffix", "said"),
    [
        ("", ".txt", "no names"),
        ("{", ".json", "not JSON"),
        ("3", ".json", "list of names"),
        ('{"a": "b"}', ".json", "must be numbers"),
        ("item { id: 1 }", ".pbtxt", "name"),
    ],
)
def test_wrong_content_is_explained(text: str, suffix: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_labels(text, suffix)


def test_a_line_that_begins_with_a_number_is_a_name_unless_all_do() -> None:
    assert parse_labels("7 Up\ncola\n", ".txt").names == {0: "7 Up", 1: "cola"}


@pytest.mark.parametrize(
    ("lines", "classes", "first"),
    [
        (["background", "a", "b"], 3, "background"),
        (["background", "a", "b"], 2, "a"),
        (["a", "b"], 2, "a"),
        (["a", "b"], 3, "background"),
    ],
)
def test_classifiers_take_a_background_off_or_put_one_in(
    lines: list[str], classes: int, first: str
) -> None:
    names = classifier_names([Labels(dict(enumerate(lines)))], classes)
    assert len(names) == classes
    assert names[0] == first
    assert names[-1] == "b"


def test_a_label_file_of_another_model_is_refused() -> None:
    with pytest.raises(InvalidModel, match=r"2 names but the model has 1000"):
        classifier_names([PLAIN], 1000)


def test_of_several_label_files_the_one_that_fits_is_taken() -> None:
    assert classifier_names([COCO, PLAIN], 2) == ("circle", "square")
    assert classifier_names([], 2) == ("class_0", "class_1")


@given(st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1), min_size=1))
def test_json_lists_come_back_as_they_are(names: Any) -> None:
    assert list(parse_labels(json.dumps(names), ".json").names.values()) == names


@given(st.text(), st.sampled_from([".txt", ".json", ".pbtxt"]))
def test_any_text_is_read_or_refused(text: str, suffix: str) -> None:
    try:
        labels = parse_labels(text, suffix)
    except ValueError:
        return
    assert len(labels) > 0


def test_the_file_beside_the_model_is_found(tmp_path: Path) -> None:
    assert find_label_files(tmp_path) == []
    (tmp_path / "map.pbtxt").write_text("item { id: 1 name: 'x' }")
    assert find_label_files(tmp_path) == [tmp_path / "map.pbtxt"]
    (tmp_path / "labels.txt").write_text("\ufeffx\n", encoding="utf-8")
    assert find_label_files(tmp_path) == [tmp_path / "labels.txt", tmp_path / "map.pbtxt"]
    assert read_labels(tmp_path / "labels.txt").names == {0: "x"}


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidModel, match=r"labels\.txt"):
        read_labels(tmp_path / "labels.txt")


MEGABYTES = 4 << 20


# How a file of 4 MB is made, and what its name ends in.
SLOW = {
    "one word": ("item{" + "a" * MEGABYTES + "}", ".pbtxt"),
    "words without values": ("item{" + "a:" * (MEGABYTES // 2) + "}", ".pbtxt"),
    "words": ("item{" + "a " * (MEGABYTES // 2) + "}", ".pbtxt"),
    "open strings": ("item{" + 'a:"\\' * (MEGABYTES // 4) + "}", ".pbtxt"),
    "no brace": ("item" + " " * MEGABYTES, ".pbtxt"),
    "open braces": ("item{" * (MEGABYTES // 5), ".pbtxt"),
    "empty lines": ("\n" * MEGABYTES, ".pbtxt"),
    "lines of spaces": ((" " * 1000 + "\n") * (MEGABYTES // 1001) + "#", ".pbtxt"),
    "digits": ("1" * MEGABYTES, ".txt"),
    "a wide gap": ("1" + " " * MEGABYTES + "x", ".txt"),
    "gaps": (("1" + " " * 500 + ":" + " " * 500 + "\n") * (MEGABYTES // 1002), ".txt"),
    "lists in lists": ("[" * 100_000, ".json"),
    "a long number": ('{"' + "9" * 10_000 + '": "a"}', ".json"),
}


@pytest.mark.parametrize("made", SLOW)
def test_a_file_that_is_made_to_take_hours_takes_none(made: str) -> None:
    """The suite's time limit is the measure: in quadratic time each of them takes many minutes."""
    with contextlib.suppress(ValueError):
        parse_labels(*SLOW[made])


@pytest.mark.parametrize("number", [10**6, 2 * 10**9, 10**30])
def test_a_large_number_makes_no_large_list(number: int) -> None:
    labels = parse_labels(f'{{"{number}": "a", "0": "b"}}', ".json")
    tracemalloc.start()
    try:
        with pytest.raises(InvalidModel, match="2 names but the model has 10 classes"):
            classifier_names([labels], 10)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
