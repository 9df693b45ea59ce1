"""Specs drawn from the CRD's own schema, those that it refuses included.

The schema says which fields there are and what fits; what a string or an opaque object may mean
(a quantity, an affinity) is given here by field name. A field that is new in the schema is drawn
without a change here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from support.api import Json

ROOT = Path(__file__).parents[2]
Drawn = st.SearchStrategy[Any]
_FIELDS_AT_ONCE = 5
_HASH = "0123456789abcdef" * 4
# By the name of the field: values that mean something to Kubernetes, and one or two that do not.
_STRINGS: Mapping[str, list[str]] = {
    "storageUri": [
        "https://example.com/m.zip",
        "s3://bucket/m.tflite",
        "gs://bucket/m",
        "oci://registry.example.com/m:1",
        "pvc://models/m",
        "bundled://detector",
        "bundled://classifier",
        "bundled://other",
        "ftp://example.com/m",
        "pvc://models/../m",
    ],
    "sha256": [_HASH, "short"],
    "image": ["registry.example.com/own:1", "registry.example.com/own@sha256:" + _HASH],
    "serviceAccountName": ["default", "missing"],
    "priorityClassName": ["missing"],
    "runtimeClassName": ["missing"],
    "schedulerName": ["default-scheduler", "own"],
    "scaleMetric": ["cpu", "memory", "rps"],
    "protocolVersion": ["v1", "v2", "grpc-v2"],
    "version": ["1", "2", "4"],
    "value": ["", "1", "two words"],
    "effect": ["NoSchedule", "Sometimes"],
    "operator": ["Exists", "Equal"],
    "key": ["gpu", ""],
}
_NAMES: Mapping[str, list[str]] = {
    "modelFormat": ["tflite", "savedmodel", "tensorflow", "keras", "onnx"],
    "env": ["A", "B", "MODEL_SERVER_THREADS", "MODEL_SERVER_PORT"],
    "imagePullSecrets": ["pull", "other"],
}
_KEYS: Mapping[str, list[str]] = {
    "requests": ["cpu", "memory"],
    "limits": ["cpu", "memory", "nvidia.com/gpu"],
    "labels": ["team", "example.com/team", "app.kubernetes.io/team"],
    "annotations": ["note", "example.com/note"],
    "nodeSelector": ["disk", "kubernetes.io/arch"],
    "fileSha256": ["model.tflite", "../model.tflite"],
}
_QUANTITIES: list[Any] = [1, "1", "500m", "0.5", "1Gi", "2048Mi", "much"]
_OPAQUE: Mapping[str, list[Json]] = {
    "affinity": [
        {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}
        ]}}},
        {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 1, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname"}}
        ]}},
        {"nodeAffinity": {"nonsense": 1}},
    ],
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"},
        {"maxSkew": 0, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"},
    ],
    "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a"]}, {"ip": "none", "hostnames": ["a"]}],
    "dnsConfig": [{"nameservers": ["10.0.0.10"]}, {"options": [{"name": "ndots", "value": "2"}]}],
    "securityContext": [{"runAsUser": 1000}, {"fsGroup": 1000}, {"runAsUser": -1}],
    "behavior": [
        {"scaleDown": {"stabilizationWindowSeconds": 60}},
        {"scaleDown": {"stabilizationWindowSeconds": -1}},
    ],
    "metrics": [
        {"type": "Resource", "resource": {
            "name": "memory", "target": {"type": "Utilization", "averageUtilization": 70}}},
        {"type": "Pods", "pods": {
            "metric": {"name": "queue"}, "target": {"type": "AverageValue", "averageValue": "5"}}},
        {"type": "PodMetric"},
    ],
    "envFrom": [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "more"}}, {}],
    "valueFrom": [{"fieldRef": {"fieldPath": "metadata.name"}}, {}],
}  # fmt: skip
# Each of these makes pods, which are dear.
_NUMBERS: Mapping[str, list[int]] = {
    "minReplicas": [0, 1, 2, 3, -1, 1001],
    "maxReplicas": [0, 1, 2, 3, 4, 1000, 1001],
}
_PORTIONS: list[Any] = [0, 1, "25%", "100%", "many"]


def spec_schema() -> Json:
    """The schema of `spec`."""
    text = (ROOT / "crds" / "inferenceservices.yaml").read_text(encoding="utf-8")
    version = yaml.safe_load(text)["spec"]["versions"][0]
    return dict(version["schema"]["openAPIV3Schema"]["properties"]["spec"])


def drawn_specs(count: int, number: int) -> list[Json]:
    """At most `count` different specs; the same ones for the same number."""
    # Most of a service is its predictor, so there always is one.
    schema = {**spec_schema(), "required": ["predictor"]}
    found: dict[str, Json] = {}

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(_object(schema, "spec"))
    def collect(one: Json) -> None:
        found.setdefault(json.dumps(one, sort_keys=True), one)

    collect()
    return list(found.values())


def _of(schema: Json, name: str, parent: str) -> Drawn:
    """What may stand in a field; mostly what fits."""
    kind = schema.get("type")
    if schema.get("x-kubernetes-int-or-string"):
        return st.sampled_from(_PORTIONS if name.startswith("max") else _QUANTITIES)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    simple: Mapping[str | None, Drawn] = {
        "boolean": st.booleans(),
        "integer": _integer(schema, name),
        "string": _string(schema, name, parent),
    }
    if kind in simple:
        return simple[kind]
    if kind == "array":
        return _list(schema, name)
    return _object(schema, name)


def _integer(schema: Json, name: str) -> Drawn:
    if name in _NUMBERS:
        return st.sampled_from(_NUMBERS[name])
    least, most = schema.get("minimum", 0), schema.get("maximum", 1000)
    return st.one_of(
        st.integers(least, most), st.integers(least, most), st.sampled_from([most, least - 1])
    )


def _string(schema: Json, name: str, parent: str) -> Drawn:
    if name in _STRINGS:
        return st.sampled_from(_STRINGS[name])
    if name == "name" and parent in _NAMES:
        return st.sampled_from(_NAMES[parent])
    if "pattern" in schema:
        return st.from_regex(schema["pattern"], fullmatch=True)
    return st.sampled_from(["a", "b", "c-d"])


def _list(schema: Json, name: str) -> Drawn:
    keys = schema.get("x-kubernetes-list-map-keys")
    unique = (lambda item: item.get(keys[0])) if keys else None
    least = schema.get("minItems", 0)
    return st.lists(_of(schema["items"], name, name), min_size=least, max_size=2, unique_by=unique)


def _object(schema: Json, name: str) -> Drawn:
    if name in _OPAQUE and not schema.get("properties", {}).keys() - {"type"}:
        return st.sampled_from(_OPAQUE[name])
    if "additionalProperties" in schema:
        keys = st.sampled_from(_KEYS.get(name, ["a", "b"]))
        return st.dictionaries(keys, _of(schema["additionalProperties"], name, name), max_size=2)
    properties = schema.get("properties") or {}
    if not properties:
        return st.sampled_from([{}, {"a": 1}])
    supported = sorted(field for field, one in properties.items() if not is_refused(one))
    others = sorted(properties.keys() - set(supported))
    needed = [field for field in schema.get("required", ()) if field in properties]
    some = st.lists(st.sampled_from(supported), unique=True, max_size=_FIELDS_AT_ONCE)
    # One in ten has a field that is refused by name.
    odd = st.lists(st.sampled_from(others), min_size=1, max_size=1) if others else st.just([])
    none: Drawn = st.just([])
    extra = st.sampled_from([none] * 9 + [odd]).flatmap(lambda one: one)

    def fields(chosen: tuple[list[str], list[str]]) -> Drawn:
        wanted = sorted({*needed, *chosen[0], *chosen[1]})
        return st.fixed_dictionaries({one: _of(properties[one], one, name) for one in wanted})

    return st.tuples(some, extra).flatmap(fields)


def is_refused(schema: Json) -> bool:
    """Whether the schema knows the field only to refuse it."""
    return any(one["rule"] == "false" for one in schema.get("x-kubernetes-validations", ()))
