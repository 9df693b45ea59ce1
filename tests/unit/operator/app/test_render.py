"""Rendering: what would be applied, for every resource of a file."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import yaml

from inference_operator.app.render import render_file
from inference_operator.config import Config
from inference_operator.errors import ConfigError

SERVICE = """
apiVersion: inference-operator.dev/v1beta1
kind: InferenceService
metadata: {name: NAME, namespace: vision}
spec: {predictor: {minReplicas: 1, maxReplicas: 3}}
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "services.yaml"
    file.write_text(text)
    return file


def test_every_service_of_a_file_and_nothing_else(tmp_path: Path) -> None:
    documents = [SERVICE.replace("NAME", name) for name in ("a", "b")]
    other = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"
    file = write(tmp_path, "---\n".join([documents[0], other, documents[1], ""]))
    children = list(yaml.safe_load_all(render_file(file, Config())))
    named = [
        child["metadata"]["name"] for child in children if child["kind"] != "ControllerRevision"
    ]
    assert named == ["a-predictor"] * 4 + ["b-predictor"] * 4
    assert len(children) == len(named) + 2, "and the record of each one's revision"
    assert {child["metadata"]["namespace"] for child in children} == {"vision"}
    assert all("ownerReferences" not in child["metadata"] for child in children)


def test_the_configuration_decides_the_image(tmp_path: Path) -> None:
    file = write(tmp_path, SERVICE.replace("NAME", "a"))
    text = render_file(file, Config(model_server_image="registry.example.com/mine:1"))
    assert "image: registry.example.com/mine:1" in text


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(SERVICE.replace("NAME", "a")))
    assert "a-predictor" in render_file(Path("-"), Config())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (SERVICE.replace("NAME", "a").replace("minReplicas: 1", "minReplicas: x"), "minReplicas"),
        (SERVICE.replace("NAME", "A"), "metadata.name"),
        ("- a list", "has no InferenceService"),
        ("", "has no InferenceService"),
        ("a: {", "is not YAML"),
    ],
)
def test_a_mistake_names_the_file_and_the_field(text: str, says: str, tmp_path: Path) -> None:
    file = write(tmp_path, text)
    with pytest.raises(ConfigError, match=says) as caught:
        render_file(file, Config())
    assert str(file) in str(caught.value)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="directory"):
        render_file(tmp_path, Config())
