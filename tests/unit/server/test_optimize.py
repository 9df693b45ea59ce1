"""`model-server optimize` without TensorFlow: drift, pictures, the folder, the companion file."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from model_server.cli import main
from model_server.errors import InvalidModel, InvalidPictures, InvalidSettings
from model_server.models.base import ImageInput
from model_server.models.companion import COMPANION, Companion, read_companion
from model_server.models.source import ModelSource
from model_server.optimize import pictures
from model_server.optimize.drift import Bounds, compare, first_of
from model_server.optimize.options import parse_options
from model_server.optimize.result import ResultFolder
from model_server.serving.registry import vision_model
from model_server.settings import load_settings
from model_server.vision.images import ImageLimits, decode
from support.tiny_models import MeanColourClassifier

STRICT = Bounds(agreement=1.0, drift=0.1)
LIMITS = ImageLimits()


def jpeg(width: int = 64, height: int = 48) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((width, height), 60).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


def test_a_flipped_first_class_is_told_with_its_picture() -> None:
    drift = compare(
        ["cat.jpg", "dog.jpg"],
        [{"cat": 0.9, "dog": 0.1}, {"cat": 0.45, "dog": 0.55}],
        [{"cat": 0.88, "dog": 0.12}, {"cat": 0.52, "dog": 0.48}],
    )
    assert (drift.pictures, drift.same_first) == (2, 1)
    assert drift.largest == pytest.approx(0.07)
    assert "dog.jpg: dog became cat" in drift.told()
    assert not drift.within(STRICT)
    assert drift.within(Bounds(agreement=0.5, drift=0.1))
    assert not drift.within(Bounds(agreement=0.5, drift=0.06))


@pytest.mark.parametrize(("share", "same", "within"), [(0.9, 9, True), (0.9, 8, False)])
def test_a_share_of_pictures_may_change(share: float, same: int, within: bool) -> None:
    names = [str(number) for number in range(10)]
    found = [{"a": 0.6} if number < same else {"b": 0.6} for number in range(10)]
    drift = compare(names, [{"a": 0.6}] * 10, found)
    assert drift.within(Bounds(share, 1.0)) is within


def test_a_class_that_is_absent_has_no_score() -> None:
    assert compare(["p"], [{"a": 0.5, "b": 0.3}], [{"a": 0.5}]).largest == pytest.approx(0.3)
    assert compare(["p"], [{}], [{}]).same_first == 1
    assert first_of({}) == ""


def test_not_a_number_is_no_score() -> None:
    drift = compare(["p"], [{"a": 0.5}], [{"a": math.nan}])
    assert drift.largest == math.inf
    assert not drift.within(Bounds(0.0, 1.0))


def test_nothing_compared_is_nothing_shown() -> None:
    with pytest.raises(ValueError, match="no pictures"):
        compare([], [], [])


SCORES = st.dictionaries(st.sampled_from("abcde"), st.floats(0, 1), min_size=1)


@given(st.lists(SCORES, min_size=1, max_size=6))
def test_a_model_does_not_drift_from_itself(answers: list[dict[str, float]]) -> None:
    drift = compare([str(number) for number in range(len(answers))], answers, answers)
    assert drift.within(Bounds(1.0, 0.0))


def test_pictures_are_read_in_order_and_evenly_from_many(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.JPG", "deep/a.jpeg", ".hidden.jpg", "notes.txt"):
        (tmp_path / name).write_bytes(jpeg())
    assert [s.name for s in pictures.read_pictures(tmp_path, LIMITS)] == ["b.JPG", "deep/a.jpeg"]


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "good.jpg").write_bytes(jpeg())
    (tmp_path / "half.jpg").write_bytes(jpeg()[:200])
    with pytest.raises(InvalidPictures, match=r"half\.jpg.*remove or replace"):
        pictures.read_pictures(tmp_path, LIMITS)


@pytest.mark.parametrize(("name", "said"), [("absent", "no folder"), ("", "no picture")])
def test_a_folder_without_pictures_says_so(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(InvalidPictures, match=said):
        pictures.read_pictures(tmp_path / name, LIMITS)


def test_drawn_pictures_are_the_same_each_time_and_differ() -> None:
    first, again = pictures.drawn_pictures(), pictures.drawn_pictures()
    assert first == again
    assert len({sample.data for sample in first}) == len(first) == pictures.DRAWN


def test_crops_lie_inside_the_picture() -> None:
    sizes = [decode(part, LIMITS).image.size for part in pictures.crops(jpeg(), 5, LIMITS)]
    assert sizes[0] == (64, 48)
    assert len(sizes) == 5
    assert all(width <= 64 and height <= 48 for width, height in sizes)


def companion(**record: object) -> Companion:
    return Companion(ImageInput("none", resize="nearest"), 1, record)


def test_the_companion_comes_back_as_it_was(tmp_path: Path) -> None:
    (tmp_path / COMPANION).write_text(companion(form="int8").text(), encoding="utf-8")
    found = read_companion(tmp_path)
    assert found is not None
    assert (found.image, found.first_class) == (ImageInput("none", resize="nearest"), 1)
    assert found.record["form"] == "int8"
    assert read_companion(tmp_path / "elsewhere") is None


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"picture": {"scaling": "none", "resize": "magic"}, "first_class": 0}',
        '{"picture": {"scaling": "magic", "resize": "nearest"}, "first_class": 0}',
        '{"picture": {"scaling": "none", "resize": "nearest"}, "first_class": 7}',
    ],
)
def test_a_companion_that_makes_no_sense_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / COMPANION).write_text(text, encoding="utf-8")
    with pytest.raises(InvalidModel, match=COMPANION.replace(".", r"\.")):
        read_companion(tmp_path)


def test_a_model_with_a_companion_sees_the_pixels_of_its_source(tmp_path: Path) -> None:
    (tmp_path / COMPANION).write_text(companion().text(), encoding="utf-8")
    source = ModelSource(tmp_path / "m.tflite", "tflite", tmp_path, "m")
    vision = vision_model("m", MeanColourClassifier(), source, load_settings())
    assert vision.image == ImageInput("none", resize="nearest")
    assert vision.info.first_class == 1
    asked = vision_model("m", MeanColourClassifier(), source, load_settings(preprocessing="unit"))
    assert asked.image == ImageInput("unit", resize="nearest")


def test_the_result_appears_whole_and_is_replaced_whole(tmp_path: Path) -> None:
    result = ResultFolder(tmp_path / "out")
    for names in (["a.tflite", "labels.txt"], ["b.tflite"]):
        work = result.prepare()
        files = [work / name for name in names]
        for file in files:
            file.write_text("content", encoding="utf-8")
        result.publish(files, companion(files=names))
        assert sorted(item.name for item in result.folder.iterdir()) == sorted([*names, COMPANION])


def test_what_was_given_up_leaves_nothing(tmp_path: Path) -> None:
    result = ResultFolder(tmp_path)
    (result.prepare() / "half.tflite").write_text("content", encoding="utf-8")
    result.give_up()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_others_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("content", encoding="utf-8")
    with pytest.raises(InvalidSettings, match=r"not empty \(it has precious.txt\)"):
        ResultFolder(tmp_path).prepare()
    assert [item.name for item in tmp_path.iterdir()] == ["precious.txt"]


def test_the_companion_cannot_name_files_elsewhere(tmp_path: Path) -> None:
    outside = tmp_path / "precious.txt"
    outside.write_text("content", encoding="utf-8")
    folder = tmp_path / "out"
    folder.mkdir()
    text = companion(files=["../precious.txt"]).text()
    (folder / COMPANION).write_text(text, encoding="utf-8")
    result = ResultFolder(folder)
    work = result.prepare()
    (work / "a.tflite").write_text("content", encoding="utf-8")
    result.publish([work / "a.tflite"], companion(files=["a.tflite"]))
    assert outside.exists()


def test_whole_integers_need_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as status:
        parse_options(["--model", "m", "--output", "o", "--form", "int8"])
    assert status.value.code == 2
    assert "needs --pictures" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["-0.1", "1.5", "much", "nan"])
def test_bounds_are_shares(value: str) -> None:
    with pytest.raises(SystemExit):
        parse_options(["--model", "m", "--output", "o", "--max-drift", value])


def test_a_tflite_model_needs_no_optimizing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "termination-log"
    log.touch()
    flags = ["--model", "bundled://detector", "--output", str(tmp_path / "out")]
    assert main(["optimize", *flags, "--termination-log", str(log)]) == 1
    assert log.read_text().startswith("InvalidModel: model: ")
    assert "serve it as it is" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_numbers_of_a_record_are_json() -> None:
    text = companion(milliseconds=float(np.float32(2.5))).text()
    assert json.loads(text)["milliseconds"] == 2.5


@pytest.mark.parametrize("there_before", [False, True])
def test_a_run_that_fails_leaves_no_empty_folder(there_before: bool, tmp_path: Path) -> None:
    folder = tmp_path / "fast"
    if there_before:
        folder.mkdir()
    result = ResultFolder(folder)
    result.prepare()
    result.give_up()
    assert folder.exists() == there_before
