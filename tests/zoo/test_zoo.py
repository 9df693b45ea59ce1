"""A bounded part of the zoo: no model is served without a word and answers otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo.shelves import Verdicts, verdicts

pytestmark = [pytest.mark.tensorflow, pytest.mark.xdist_group("zoo")]
# Where the operators of the scaling are in the file, so that nothing has to be assumed.
SHOWN = ("keras", "h5", "savedmodel", "uint8")

RANDOM = ("augmented-savedmodel", "nested-savedmodel")


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Verdicts:
    folder = Path(tmp_path_factory.mktemp("toys"))
    found = verdicts("build_toys", folder, ("keras", "h5", "savedmodel", "tflite", "uint8"))
    print(found.table())
    return found


def test_no_toy_is_silently_wrong(toys: Verdicts) -> None:
    assert toys.silently_wrong == []


@pytest.mark.parametrize("form", SHOWN)
def test_scaling_that_is_in_the_graph_is_found(toys: Verdicts, form: str) -> None:
    """Refused are the HDF5 files that Keras itself cannot read back.

    Keras exports random layers as in training: those two say that they draw random numbers.
    """
    for name, item in toys.named(f"-{form}").items():
        if item["outcome"] == "refused" or name.startswith(("bare", *RANDOM)):
            continue
        assert (item["outcome"], item["source"] in {"graph", "type"}) == ("right", True), name


def test_what_the_converter_hides_in_weights_is_answered_rightly_and_marked(
    toys: Verdicts,
) -> None:
    for name, item in toys.named("-tflite").items():
        if not name.startswith("bare"):
            assert item["outcome"] == "right", (name, item)


def test_a_model_that_shows_nothing_is_marked_as_assumed(toys: Verdicts) -> None:
    bare = toys.named("bare")
    assert bare
    assert {item["source"] for name, item in bare.items() if "uint8" not in name} == {"assumed"}


# ---- what people stumble over


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> Verdicts:
    found = verdicts("build_forms", Path(tmp_path_factory.mktemp("forms")))
    print(found.table())
    return found


def test_every_form_is_answered_rightly_or_refused_with_its_cause(forms: Verdicts) -> None:
    """Detectors of every signature, order and unit; strings; one output; old Keras files."""
    wrong = {name: item for name, item in forms.by_model.items() if item["outcome"] != "right"}
    assert list(wrong) == ["keras-2-groups-3"], wrong
    assert "'groups': 3" in wrong["keras-2-groups-3"]["reason"]


# ---- made up


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Verdicts:
    found = verdicts("build_random", Path(tmp_path_factory.mktemp("random")), ("25",))
    print(found.table())
    return found


def test_no_graph_that_hypothesis_makes_up_is_silently_wrong(made_up: Verdicts) -> None:
    assert made_up.silently_wrong == []
    assert [name for name, item in made_up.by_model.items() if item["outcome"] == "refused"] == []
