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
from model_server.models.label_files import find_label_files, parse_labels, read_labels
from model_server.models.labels import Labels, classifier_names, detector_name, fits

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


KEY_POINTS = """
item { name: "/m/1" id: 1 display_name: "person" # a comment }
  keypoints { id: 0 label: "nose" } keypoints { id: 1 label: "eye" } }
item < id: 2 name: 'bi' 'cycle' >
"""
# Every form in the wild, as (suffix, text). In each the first class is person, the second bicycle.
FORMS = {
    "lines": (".txt", "person\nbicycle\n"),
    "byte order mark": (".txt", "\ufeffperson\r\nbicycle\r\n"),
    "background": (".txt", "background\nperson\nbicycle\n"),
    "coco": (".txt", "???\nperson\nbicycle\n"),
    "numbers from 0": (".txt", "0 person\n1 bicycle\n"),
    "numbers from 1": (".txt", "1 person\n2 bicycle\n"),
    "colons from 1": (".txt", "1: person\n2: bicycle\n"),
    "commas": (".txt", "0,person\n1,bicycle\n"),
    "tabs": (".txt", "1\tperson\n2\tbicycle\n"),
    "synsets": (".txt", "n00007846 person\nn02834778 bicycle\n"),
    "list": (".json", '["person", "bicycle"]'),
    "numbers": (".json", '{"0": "person", "1": "bicycle"}'),
    "numbers from 1 in JSON": (".json", '{"1": "person", "2": "bicycle"}'),
    "inverted": (".json", '{"person": 0, "bicycle": 1}'),
    "inverted from 1": (".json", '{"person": 1, "bicycle": 2}'),
    "background in JSON": (".json", '{"0": "background", "1": "person", "2": "bicycle"}'),
    "keras": (".json", '{"0": ["n1", "person"], "1": ["n2", "bicycle"]}'),
    "hugging face": (".json", '{"id2label": {"0": "person", "1": "bicycle"}, "x": 1}'),
    "coco categories": (
        ".json", '{"categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "bicycle"}]}'
    ),
    "objects with numbers": (
        ".json", '[{"id": 1, "name": "person"}, {"id": 2, "name": "bicycle"}]'
    ),
    "objects": (".json", '[{"display_name": "person"}, {"name": "bicycle"}]'),
    "pbtxt": (".pbtxt", 'item { id: 1 name: "person" }\nitem { id: 2 name: "bicycle" }'),
    "pbtxt with colons": (
        ".pbtxt", 'item: { id: 1, name: "person" },\nitem: { name: "bicycle"; id: 2 }'
    ),
    "pbtxt with key points": (".pbtxt", KEY_POINTS),
    "yolo": (".yaml", "path: x\nnames:\n  0: person\n  1: bicycle  # two wheels\nnc: 2\n"),
    "yolo list": (".yaml", "nc: 2\nnames:\n- person\n- 'bicycle'\n"),
    "yolo flow": (".yaml", "nc: 2\nnames: ['person', bicycle]  # two\n"),
    "table": (".csv", "index,mid,display_name\n0,/m/1,person\n1,/m/2,bicycle\n"),
    "table without heading": (".csv", "0,person\n1,bicycle\n"),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_names_the_classes_of_models_that_count_from_0_and_from_1(form: str) -> None:
    suffix, text = FORMS[form]
    labels = parse_labels(text.lstrip("\ufeff"), suffix)
    assert [detector_name(labels, number, 0) for number in (0, 1)] == ["person", "bicycle"]
    assert [detector_name(labels, number, 1) for number in (1, 2)] == ["person", "bicycle"]
    assert classifier_names([labels], 2) == ("person", "bicycle")
    assert fits(labels, 2)
    assert not fits(labels, 4)
    assert classifier_names([labels], 3)[1:] == ("person", "bicycle")


@pytest.mark.parametrize(
    "lines",
    [
        ["1 euro", "2 euro", "50 cent"],
        ["20 km/h", "30 km/h", "50 km/h"],
        ["2 doors", "3 doors", "4 doors"],
        ["3D", "2D"],
        ["7 Up", "cola"],
    ],
)
def test_numbers_that_are_a_part_of_names_stay_there(lines: list[str]) -> None:
    assert classifier_names([parse_labels("\n".join(lines), ".txt")], len(lines)) == tuple(lines)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (r'"caf\303\251"', "caf\u00e9"),
        (r'"\xe7\x8c\xab"', "\u732b"),
        (r'"\u732b"', "\u732b"),
        ('"\u732b"', "\u732b"),
        (r'"kids\'"', "kids'"),
        ('"kids\'"', "kids'"),
        (r'"a \"b\" \\ {c}"', 'a "b" \\ {c}'),
    ],
)
def test_escapes_of_pbtxt_are_bytes(written: str, name: str) -> None:
    assert parse_labels(f"item {{ id: 1 name: {written} }}", ".pbtxt").names == {1: name}


@pytest.mark.parametrize("text", ["item { id: 1 name: 'a'", "} item { id: 1 name: 'a' }"])
def test_a_label_map_with_a_brace_missing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="}"):
        parse_labels(text, ".pbtxt")


def test_blank_lines_between_names_are_left_out_where_the_model_has_fewer_classes() -> None:
    gaps = parse_labels("person\n\nbicycle\n", ".txt")
    assert classifier_names([gaps], 2) == ("person", "bicycle")
    assert classifier_names([gaps], 3) == ("person", "class_1", "bicycle")


def test_text_in_other_encodings_is_read_or_explained(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_bytes("caf\u00e9\nth\u00e9\n".encode("utf-16"))
    assert read_labels(file).names == {0: "caf\u00e9", 1: "th\u00e9"}
    file.write_bytes("caf\u00e9\n".encode("latin-1"))
    with pytest.raises(InvalidModel, match="save it as UTF-8"):
        read_labels(file)


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


@given(st.text(), st.sampled_from([".txt", ".json", ".pbtxt", ".yaml", ".csv"]))
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
    "YAML with a gap": ("names:\n- a" + " " * MEGABYTES + "x\n", ".yaml"),
    "YAML in flow": ("names: [" + "a, " * (MEGABYTES // 3) + "\n", ".yaml"),
    "a table": ("id,name\n" + "1," * (MEGABYTES // 2), ".csv"),
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
