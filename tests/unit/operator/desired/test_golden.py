"""What each resource becomes, to the letter: a change of a manifest is a change that was meant.

Regenerate with `UPDATE_GOLDEN=1 python -m pytest tests/unit/operator/desired`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from inference_operator.api.spec import parse
from inference_operator.config import Config
from inference_operator.desired.revision import RecordedRevision
from inference_operator.desired.state import build_desired

HERE = Path(__file__).parents[1]
CASES = sorted(path.stem for path in (HERE / "cases").glob("*.yaml"))
CONFIG = Config(
    model_server_image="registry.example.com/model-server:1",
    model_server_tensorflow_image="registry.example.com/model-server:1-tensorflow",
)


def load(case: str) -> dict[str, Any]:
    body: dict[str, Any] = yaml.safe_load((HERE / "cases" / f"{case}.yaml").read_text())
    return body


@pytest.mark.parametrize("case", CASES)
def test_manifests_are_the_golden_ones(case: str) -> None:
    plan = build_desired(parse(load(case)), CONFIG)
    text = yaml.safe_dump_all(plan.children, sort_keys=False)
    golden = HERE / "golden" / f"{case}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text(), "set UPDATE_GOLDEN=1 if the change was meant"


@pytest.mark.parametrize("case", CASES)
def test_a_newer_operator_changes_no_pod(case: str) -> None:
    service = parse(load(case))
    before = build_desired(service, CONFIG)
    newer = replace(
        CONFIG,
        model_server_image="registry.example.com/model-server:2",
        model_server_tensorflow_image="registry.example.com/model-server:2-tensorflow",
    )
    after = build_desired(service, newer, RecordedRevision(before.revision, before.image))
    assert after == before


def test_a_change_of_the_service_takes_the_newer_image() -> None:
    body = load("empty")
    before = build_desired(parse(body), CONFIG)
    newer = replace(CONFIG, model_server_image="registry.example.com/model-server:2")
    body["spec"] = {"predictor": {"timeout": 9}}
    after = build_desired(parse(body), newer, RecordedRevision(before.revision, before.image))
    assert after.revision != before.revision
    assert after.image == "registry.example.com/model-server:2"


def test_following_the_default_image_is_a_new_revision() -> None:
    service = parse(load("empty"))
    following = replace(CONFIG, follow_default_image=True)
    before = build_desired(service, following)
    newer = replace(following, model_server_image="registry.example.com/model-server:2")
    after = build_desired(service, newer, RecordedRevision(before.revision, before.image))
    assert after.revision != before.revision
    assert after.image == "registry.example.com/model-server:2"


def test_scaling_is_no_new_revision() -> None:
    body = load("empty")
    before = build_desired(parse(body), CONFIG).revision
    body["spec"] = {"predictor": {"minReplicas": 4, "maxReplicas": 9}}
    assert build_desired(parse(body), CONFIG).revision == before


def test_building_changes_nothing_that_it_is_given() -> None:
    for case in CASES:
        body = load(case)
        service = parse(body)
        first = build_desired(service, CONFIG)
        first.children[0]["spec"]["template"]["spec"]["containers"][0]["env"].clear()
        assert build_desired(parse(body), CONFIG) == build_desired(parse(load(case)), CONFIG)


def test_inherited_labels_reach_the_pods_and_change_no_revision() -> None:
    """Or a refused model would be tried again whenever somebody labels its service."""
    body = load("empty")
    plain = build_desired(parse(body), CONFIG)
    body["metadata"]["labels"] = {"team": "vision"}
    body["metadata"]["annotations"] = {"sidecar.istio.io/inject": "false"}
    labelled = build_desired(parse(body), CONFIG)
    assert labelled.revision == plain.revision
    (deployment,) = (child for child in labelled.children if child["kind"] == "Deployment")
    metadata = deployment["spec"]["template"]["metadata"]
    assert metadata["labels"]["team"] == "vision"
    assert metadata["annotations"] == {"sidecar.istio.io/inject": "false"}
