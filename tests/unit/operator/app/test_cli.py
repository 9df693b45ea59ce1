"""The command offline: rendering, and errors as one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from inference_operator import __version__
from inference_operator.app.cli import main

CASE = Path(__file__).parents[1] / "cases" / "remote.yaml"


def test_render_prints_what_would_be_applied(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", str(CASE)]) == 0
    children = list(yaml.safe_load_all(capsys.readouterr().out))
    assert [child["kind"] for child in children] == [
        "Deployment",
        "Service",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "ControllerRevision",
    ]
    assert all("ownerReferences" not in child["metadata"] for child in children)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not YAML"),
        ("kind: Pod\n", "has no InferenceService"),
        (
            "kind: InferenceService\napiVersion: serving.kserve.io/v1beta1\n",
            "set it to inference-op",
        ),
        (
            """
            kind: InferenceService
            apiVersion: inference-operator.dev/v1beta1
            metadata: {name: a}
            spec: {predictor: {minReplicas: -1}}
            """,
            "spec.predictor.minReplicas",
        ),
    ],
)
def test_a_mistake_is_one_line(
    text: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "service.yaml"
    file.write_text(text)
    assert main(["render", str(file)]) == 1
    error = capsys.readouterr().err
    assert says in error
    assert str(file) in error
    assert "Traceback" not in error


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", str(tmp_path / "absent.yaml")]) == 1
    assert "absent.yaml" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out.strip() == __version__
