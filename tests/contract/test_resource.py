"""The definition of the resource and its reader say the same, field by field."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from inference_operator import names
from inference_operator.api.spec import parse
from inference_operator.config import Config
from inference_operator.desired.state import build_desired
from inference_operator.errors import SpecError

ROOT = Path(__file__).parents[2]
CRD = yaml.safe_load((ROOT / "crds" / "inferenceservices.yaml").read_text())
VERSION = CRD["spec"]["versions"][0]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]
EXAMPLES = sorted((ROOT / "deploy" / "examples").glob("*.yaml"))
CASES = sorted((ROOT / "tests" / "unit" / "operator" / "cases").glob("*.yaml"))
LIMIT_OF_ANNOTATIONS = 256 * 1024

# A value for every field that is supported, with the fields it needs beside it.
REMOTE = {"storageUri": "https://example.com/m.zip"}
SAMPLES: dict[str, Any] = {
    "predictor.minReplicas": 2,
    "predictor.maxReplicas": 4,
    "predictor.scaleTarget": 50,
    "predictor.scaleMetric": "memory",
    "predictor.scaleMetricType": ("AverageValue", {"scaleTarget": 80}),
    "predictor.autoScaling.metrics": [{"type": "Pods"}],
    "predictor.autoScaling.behavior": {"scaleDown": {}},
    "predictor.containerConcurrency": 4,
    "predictor.timeout": 5,
    "predictor.batcher.maxBatchSize": 4,
    "predictor.batcher.maxLatency": 10,
    "predictor.deploymentStrategy.type": "Recreate",
    "predictor.deploymentStrategy.rollingUpdate.maxSurge": 1,
    "predictor.deploymentStrategy.rollingUpdate.maxUnavailable": "10%",
    "predictor.labels": {"a": "b"},
    "predictor.annotations": {"a": "b"},
    "predictor.nodeSelector": {"a": "b"},
    "predictor.tolerations": [{"operator": "Exists"}],
    "predictor.affinity": {"nodeAffinity": {}},
    "predictor.topologySpreadConstraints": [{"maxSkew": 1}],
    "predictor.priorityClassName": "high",
    "predictor.preemptionPolicy": "Never",
    "predictor.runtimeClassName": "gvisor",
    "predictor.schedulerName": "other",
    "predictor.serviceAccountName": "models",
    "predictor.automountServiceAccountToken": True,
    "predictor.imagePullSecrets": [{"name": "registry"}],
    "predictor.securityContext": {"fsGroup": 1},
    "predictor.hostAliases": [{"ip": "192.0.2.1"}],
    "predictor.dnsPolicy": "Default",
    "predictor.dnsConfig": {"nameservers": ["192.0.2.1"]},
    "predictor.terminationGracePeriodSeconds": 7,
    "predictor.canaryTrafficPercent": 10,
    "predictor.rollout.steps": [{"percent": 10, "pause": "5m"}],
    "predictor.rollout.rollback": "Manual",
    "predictor.rollout.paused": True,
    "predictor.rollout.progressDeadlineSeconds": 60,
    "predictor.rollout.revisionHistoryLimit": 3,
    "predictor.rollout.pinnedRevision": "shapes-predictor-01234567",
    "predictor.golden": [{"image": "a.jpg", "expect": {"label": "cat", "minScore": 0.5}}],
    "predictor.model.modelFormat.name": "keras",
    "predictor.model.modelFormat.version": ("2", {"name": "tflite"}),
    "predictor.model.storageUri": "https://example.com/m.zip",
    "predictor.model.sha256": ("0" * 64, REMOTE),
    "predictor.model.fileSha256": ({"m.tflite": "0" * 64}, REMOTE),
    "predictor.model.protocolVersion": "v2",
    "predictor.model.resources.requests": {"cpu": "1"},
    "predictor.model.resources.limits": {"cpu": 1},
    "predictor.model.env": [{"name": "A", "value": "b"}],
    "predictor.model.envFrom": [{"secretRef": {"name": "a"}}],
    "predictor.model.image": "example.com/server:1",
    "predictor.model.imagePullPolicy": "Always",
    "service.type": "NodePort",
    "service.annotations": {"a": "b"},
}
SAMPLES |= {
    key.replace("predictor.model.", "predictor.tensorflow."): value
    for key, value in SAMPLES.items()
    if key.startswith("predictor.model.") and ".modelFormat." not in key
}
# Accepted for KServe's sake and already so: every pod speaks both protocols, any version is read.
WITHOUT_EFFECT = {"predictor.model.protocolVersion", "predictor.tensorflow.protocolVersion"}
WITHOUT_EFFECT |= {"predictor.model.modelFormat.version"}


def strict(schema: Any) -> Any:
    """The schema, refusing fields it does not know, as `kubectl apply` does."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: strict(value) for key, value in schema.items()}
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or "properties" not in schema
    if schema.get("type") == "object" and not open_ended:
        closed["additionalProperties"] = False
    return closed


VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
STRICT = jsonschema.Draft202012Validator(strict(SCHEMA))


def is_refused(schema: dict[str, Any]) -> bool:
    return any(rule["rule"] == "false" for rule in schema.get("x-kubernetes-validations", []))


def fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Path and schema of every field that holds a value, or is refused."""
    for name, inner in schema.get("properties", {}).items():
        where = f"{path}.{name}" if path else name
        if "properties" in inner and not is_refused(inner):
            yield from fields(inner, where)
        else:
            yield where, inner


ALL = dict(fields(SCHEMA["properties"]["spec"]))
REFUSED = {path for path, schema in ALL.items() if is_refused(schema)}
SUPPORTED = set(ALL) - REFUSED


def resource(path: str, value: Any, beside: dict[str, Any] | None = None) -> dict[str, Any]:
    """A resource whose spec has one field, and what that field needs beside it."""
    spec: dict[str, Any] = {}
    place = spec
    *parents, last = path.split(".")
    for key in parents:
        place = place.setdefault(key, {})
    place.update(beside or {})
    place[last] = value
    metadata = {"name": "shapes", "namespace": "vision"}
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": metadata,
        "spec": spec,
    }


def sample(path: str) -> tuple[Any, dict[str, Any]]:
    value = SAMPLES[path]
    return value if isinstance(value, tuple) else (value, {})


SCHEMA_KEYS = {
    "type", "format", "description", "properties", "items", "required", "enum", "default",
    "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern",
    "additionalProperties", "maxProperties", "anyOf",
}  # fmt: skip


def keys(schema: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Path and key of everything that a schema says, whose values are not looked at."""
    if not isinstance(schema, dict):
        return
    yield from ((path, key) for key in schema)
    for name, inner in schema.get("properties", {}).items():
        yield from keys(inner, f"{path}.{name}")
    yield from keys(schema.get("items"), f"{path}[]")
    yield from keys(schema.get("additionalProperties"), f"{path}.*")


def test_a_description_with_a_comma_is_quoted() -> None:
    """In a flow mapping, what follows a comma is a key of its own, which kubectl refuses."""
    unknown = [
        (path, key)
        for path, key in keys(SCHEMA)
        if key not in SCHEMA_KEYS and not key.startswith("x-kubernetes-")
    ]
    assert unknown == []


def test_every_supported_field_has_a_sample() -> None:
    assert set(SAMPLES) == SUPPORTED


@pytest.mark.parametrize("path", sorted(SUPPORTED))
def test_a_supported_field_has_an_effect(path: str) -> None:
    value, beside = sample(path)
    body = resource(path, value, beside)
    VALIDATOR.validate(body)
    without = resource(path, None, beside)
    if path.endswith("modelFormat.name"):
        without["spec"]["predictor"]["model"] = {}
    if path.startswith("predictor.rollout."):
        # It is about the way from one revision to the next: see the tests of the rollout.
        assert parse(body).rollout != parse(without).rollout
        return
    changed = build_desired(parse(body), Config()) != build_desired(parse(without), Config())
    assert changed is (path not in WITHOUT_EFFECT)


@pytest.mark.parametrize("path", sorted(REFUSED))
def test_a_refused_field_is_refused_by_the_reader_too(path: str) -> None:
    kind = ALL[path]["type"]
    value: Any = {"string": "x", "integer": 1, "boolean": True, "array": [], "object": {}}[kind]
    with pytest.raises(SpecError):
        parse(resource(path, value or ({"a": 1} if kind == "object" else [{}])))


@pytest.mark.parametrize("path", sorted(REFUSED))
def test_a_refusal_says_what_to_do(path: str) -> None:
    (rule,) = ALL[path]["x-kubernetes-validations"]
    assert "not supported" in rule["message"] or "write" in rule["message"]
    assert rule["reason"] == "FieldValueForbidden"


@pytest.mark.parametrize("path", sorted(SUPPORTED))
def test_a_supported_field_is_described(path: str) -> None:
    schema = ALL[path]
    parent = path.rpartition(".")[0].rpartition(".")[2]
    assert schema.get("description") or parent in {
        "rollingUpdate",
        "resources",
        "deploymentStrategy",
    }


def test_the_definition_fits_into_the_annotation_of_kubectl_apply() -> None:
    assert len(yaml.safe_dump(CRD)) < LIMIT_OF_ANNOTATIONS / 2


def test_the_definition_names_what_the_code_names() -> None:
    assert CRD["spec"]["group"] == names.GROUP
    assert CRD["spec"]["names"]["kind"] == names.KIND
    assert CRD["spec"]["names"]["plural"] == names.PLURAL
    assert CRD["spec"]["names"]["shortNames"] == ["isvc"]
    assert VERSION["name"] == names.VERSION
    assert VERSION["subresources"]["scale"]["labelSelectorPath"] == ".status.selector"


def test_the_columns() -> None:
    columns = [column["name"].upper() for column in VERSION["additionalPrinterColumns"]]
    assert columns[:8] == [
        "URL", "READY", "PREV", "LATEST", "PREVROLLEDOUTREVISION", "LATESTREADYREVISION", "AGE",
        "REASON",
    ]  # fmt: skip
    wide = [c["name"] for c in VERSION["additionalPrinterColumns"] if c.get("priority")]
    assert wide == ["Model", "Replicas", "Pods", "Image"]


@pytest.mark.parametrize("file", EXAMPLES + CASES, ids=lambda file: file.name)
def test_examples_are_valid(file: Path) -> None:
    for body in yaml.safe_load_all(file.read_text()):
        if body["kind"] != names.KIND:
            continue
        assert body["apiVersion"] == names.API_VERSION
        STRICT.validate(body)
        assert build_desired(parse(body), Config()).children


def test_there_are_examples() -> None:
    assert {file.stem for file in EXAMPLES} >= {"detector", "classifier", "coco", "imagenet"}
    lines = (ROOT / "deploy" / "examples" / "detector.yaml").read_text().splitlines()
    assert len(lines) <= 10
