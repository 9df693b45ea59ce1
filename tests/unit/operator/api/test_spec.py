"""Reading resources: every field lands where it belongs, every mistake is named."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_operator.api.metadata import inherited_annotations, inherited_labels
from inference_operator.api.spec import parse
from inference_operator.api.types import Format, SourceKind
from inference_operator.errors import SpecError


def body(predictor: Any = None, **spec: Any) -> dict[str, Any]:
    if predictor is not None:
        spec["predictor"] = predictor
    return {
        "metadata": {"name": "shapes", "namespace": "vision", "uid": "u", "generation": 2},
        "spec": spec,
    }


def model(**fields: Any) -> dict[str, Any]:
    return body({"model": fields})


def test_a_mistyped_annotation_of_ours_is_refused() -> None:
    resource = body()
    resource["metadata"]["annotations"] = {"inference-operator.dev/promot": "x"}
    with pytest.raises(SpecError, match=r"annotations\[inference-operator\.dev/promot\]"):
        parse(resource)
    resource["metadata"]["annotations"] = {"inference-operator.dev/retry": "1"}
    assert parse(resource).rollout.retry == "1"


@pytest.mark.parametrize(
    ("key", "inherited"),
    [
        ("team", True),
        ("example.com/team", True),
        ("sidecar.istio.io/inject", True),
        ("nothelm.sh/chart", True),
        ("helm.sh/chart", False),
        ("app.kubernetes.io/instance", False),
        ("argocd.argoproj.io/instance", False),
        ("kubectl.kubernetes.io/restartedAt", False),
        ("rollout.inference-operator.dev/paused", False),
        ("inference-operator.dev/revision", False),
        ("applyset.kubernetes.io/part-of", False),
        ("kubernetes.io/change-cause", False),
        ("velero.io/restore-name", False),
        ("objectset.rio.cattle.io/hash", False),
        ("skaffold.dev/run-id", False),
    ],
)
def test_labels_and_annotations_are_inherited_unless_a_tool_keeps_them(
    key: str, inherited: bool
) -> None:
    metadata = {"labels": {key: "x"}, "annotations": {key: "y"}}
    assert (inherited_labels(metadata) == {key: "x"}) is inherited
    assert (inherited_annotations(metadata) == {key: "y"}) is inherited


def test_an_empty_spec_is_the_bundled_detector() -> None:
    service = parse(body())
    assert service.model.source.uri == "bundled://detector"
    assert service.model.source.kind is SourceKind.BUNDLED
    assert service.model.format is Format.UNKNOWN
    assert (service.scaling.min_replicas, service.scaling.max_replicas) == (1, 3)
    assert service.scaling.autoscaled
    assert service.scaling.metric == "cpu"
    assert service.exposure.type == "ClusterIP"


@pytest.mark.parametrize("spec", [None, {}, {"predictor": None}, {"predictor": {"model": None}}])
def test_nothing_is_the_same_as_null(spec: Any) -> None:
    given_body = body()
    given_body["spec"] = spec
    assert parse(given_body) == parse(body())


@pytest.mark.parametrize(
    ("uri", "kind", "claim", "path"),
    [
        ("https://example.com/m.zip", SourceKind.REMOTE, "", ""),
        ("s3://bucket/m", SourceKind.REMOTE, "", ""),
        ("pvc://models/a/b/", SourceKind.VOLUME, "models", "a/b"),
        ("pvc://models", SourceKind.VOLUME, "models", ""),
        ("bundled://classifier", SourceKind.BUNDLED, "", ""),
    ],
)
def test_sources(uri: str, kind: SourceKind, claim: str, path: str) -> None:
    source = parse(model(storageUri=uri)).model.source
    assert (source.kind, source.claim, source.path) == (kind, claim, path)


@pytest.mark.parametrize(
    ("predictor", "field"),
    [
        ({"minReplicas": -1}, "spec.predictor.minReplicas"),
        ({"minReplicas": True}, "spec.predictor.minReplicas"),
        ({"minReplicas": "3"}, "spec.predictor.minReplicas"),
        ({"minReplicas": 0, "maxReplicas": 2}, "spec.predictor.minReplicas"),
        ({"scaleMetric": "rps"}, "spec.predictor.scaleMetric"),
        ({"scaleMetricType": "Utilization"}, "spec.predictor.scaleMetricType"),
        (
            {"scaleTarget": 1, "autoScaling": {"metrics": [{"type": "Pods"}]}},
            "spec.predictor.autoScaling.metrics",
        ),
        (
            {"autoScaling": {"metrics": [{"type": "PodMetric"}]}},
            "spec.predictor.autoScaling.metrics[0].type",
        ),
        ({"timeout": 0}, "spec.predictor.timeout"),
        ({"batcher": {"maxBatchSize": 0}}, "spec.predictor.batcher.maxBatchSize"),
        ({"batcher": {"timeout": 1}}, "spec.predictor.batcher.timeout"),
        ({"model": {}, "tensorflow": {}}, "spec.predictor.model"),
        ({"model": []}, "spec.predictor.model"),
        ({"model": {"modelFormat": {}}}, "spec.predictor.model.modelFormat.name"),
        (
            {"model": {"modelFormat": {"name": "onnx"}}},
            "spec.predictor.model.modelFormat.name",
        ),
        ({"model": {"storageUri": "ftp://x/y"}}, "spec.predictor.model.storageUri"),
        ({"model": {"storageUri": "bundled://other"}}, "spec.predictor.model.storageUri"),
        ({"model": {"storageUri": "pvc://a/../b"}}, "spec.predictor.model.storageUri"),
        ({"model": {"storageUri": "pvc://-a/b"}}, "spec.predictor.model.storageUri"),
        ({"model": {"sha256": "0" * 64}}, "spec.predictor.model.sha256"),
        ({"model": {"fileSha256": {"a": "0" * 64}}}, "spec.predictor.model.fileSha256"),
        (
            {"model": {"storageUri": "https://x/y", "fileSha256": {"a": "00"}}},
            "spec.predictor.model.fileSha256",
        ),
        (
            {"model": {"storageUri": "https://x/y", "fileSha256": {"a/../b": "0" * 64}}},
            "spec.predictor.model.fileSha256",
        ),
        (
            {"model": {"storageUri": "https://x/y", "sha256": "00"}},
            "spec.predictor.model.sha256",
        ),
        (
            {"model": {"resources": {"limits": {"cpu": "lots"}}}},
            "spec.predictor.model.resources.limits",
        ),
        (
            {"model": {"env": [{"name": "MODEL_SERVER_PORT", "value": "1"}]}},
            "spec.predictor.model.env[0].name",
        ),
        (
            {"model": {"env": [{"name": "A"}, {"name": "A"}]}},
            "spec.predictor.model.env[1].name",
        ),
        ({"model": {"command": ["x"]}}, "spec.predictor.model.command"),
        ({"containers": []}, "spec.predictor.containers"),
        ({"deploymentStrategy": {"type": "Blue"}}, "spec.predictor.deploymentStrategy.type"),
        (
            {"deploymentStrategy": {"rollingUpdate": {"maxSurge": "many"}}},
            "spec.predictor.deploymentStrategy.rollingUpdate.maxSurge",
        ),
        ({"labels": {"app.kubernetes.io/name": "x"}}, "spec.predictor.labels"),
        ({"labels": {"a": 1}}, "spec.predictor.labels"),
        ({"tolerations": ["x"]}, "spec.predictor.tolerations[0]"),
    ],
)
def test_a_mistake_is_named_by_its_field(predictor: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse(body(predictor))
    assert caught.value.field == field
    assert caught.value.message.startswith(f"{field}: ")


@pytest.mark.parametrize("component", ["transformer", "explainer", "unheard"])
def test_other_components_are_refused(component: str) -> None:
    with pytest.raises(SpecError, match=rf"^spec\.{component}: "):
        parse(body(**{component: {}}))


@pytest.mark.parametrize("name", ["", "1a", "A", "a.b", "a" * 54, "a-"])
def test_a_name_that_makes_no_service_is_refused(name: str) -> None:
    given_body = body()
    given_body["metadata"]["name"] = name
    with pytest.raises(SpecError, match=r"^metadata\.name: "):
        parse(given_body)


def annotated(**annotations: str) -> dict[str, Any]:
    given = body()
    given["metadata"]["annotations"] = annotations
    return given


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("serving.kserve.io/deploymentMode", "Standard"),
        ("serving.kserve.io/deploymentMode", "RawDeployment"),
        ("serving.kserve.io/autoscalerClass", "hpa"),
        ("serving.kserve.io/stop", "false"),
        ("kubectl.kubernetes.io/last-applied-configuration", "{}"),
    ],
)
def test_annotations_that_ask_for_what_happens_anyway_change_nothing(key: str, value: str) -> None:
    assert parse(annotated(**{key: value})) == parse(body())


@pytest.mark.parametrize(
    ("key", "value", "advice"),
    [
        ("serving.kserve.io/deploymentMode", "Serverless", "Deployment"),
        ("serving.kserve.io/autoscalerClass", "keda", "scale subresource"),
        ("serving.kserve.io/stop", "true", r"spec\.predictor\.minReplicas to 0"),
        ("serving.kserve.io/unheard", "", "remove it"),
        ("autoscaling.knative.dev/target", "10", r"spec\.predictor\.scaleTarget"),
    ],
)
def test_annotations_that_ask_for_more_are_refused(key: str, value: str, advice: str) -> None:
    with pytest.raises(SpecError, match=advice) as caught:
        parse(annotated(**{"a.b/c": "d", key: value}))
    assert caught.value.field == f"metadata.annotations[{key}]"
    assert repr(value) in caught.value.message


@given(st.dictionaries(st.text(), st.one_of(st.none(), st.text(), st.integers())))
def test_annotations_of_any_form_are_read_or_refused(annotations: dict[str, Any]) -> None:
    given_body = body()
    given_body["metadata"]["annotations"] = annotations
    with contextlib.suppress(SpecError):
        parse(given_body)


def test_the_short_form_is_a_savedmodel() -> None:
    short = parse(body({"tensorflow": {"storageUri": "gs://b/m"}}))
    long = parse(model(modelFormat={"name": "tensorflow"}, storageUri="gs://b/m"))
    assert short == long
    assert short.model.format.needs_tensorflow


@pytest.mark.parametrize(
    ("predictor", "autoscaled"),
    [
        ({}, True),
        ({"maxReplicas": 0}, True),
        ({"maxReplicas": 1}, False),
        ({"minReplicas": 2}, False),
        ({"minReplicas": 3, "maxReplicas": 2}, False),
        ({"minReplicas": 2, "maxReplicas": 2}, False),
        ({"minReplicas": 2, "maxReplicas": 3}, True),
        ({"scaleTarget": 50}, True),
        ({"autoScaling": {"behavior": {"scaleDown": {}}}}, True),
        ({"minReplicas": 0}, False),
        ({"minReplicas": 0, "scaleTarget": 50}, False),
    ],
)
def test_who_owns_the_replicas(predictor: dict[str, Any], autoscaled: bool) -> None:
    assert parse(body(predictor)).scaling.autoscaled is autoscaled


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    [
        "minReplicas", "maxReplicas", "scaleTarget", "scaleMetric", "autoScaling", "timeout",
        "batcher", "model", "tensorflow", "labels", "nodeSelector", "tolerations", "affinity",
        "deploymentStrategy", "securityContext", "containerConcurrency", "containers",
    ]
)  # fmt: skip
MODEL_FIELDS = st.sampled_from(
    ["storageUri", "sha256", "modelFormat", "resources", "env", "envFrom", "image", "command"]
)


@given(
    predictor=st.dictionaries(FIELDS, JSON, max_size=4),
    fields=st.dictionaries(MODEL_FIELDS, JSON, max_size=4),
)
def test_any_json_is_read_or_refused_with_a_field(
    predictor: dict[str, Any], fields: dict[str, Any]
) -> None:
    if fields:
        predictor = {**predictor, "model": fields}
    given_body = body(predictor)
    before = copy.deepcopy(given_body)
    refused = "spec.predictor"
    try:
        parse(given_body)
    except SpecError as error:
        refused = error.field
    assert refused.startswith("spec.predictor")
    assert given_body == before


@given(least=st.integers(0, 1000), most=st.integers(0, 1000))
def test_replicas_are_ordered_whenever_they_are_accepted(least: int, most: int) -> None:
    try:
        scaling = parse(body({"minReplicas": least, "maxReplicas": most})).scaling
    except SpecError:
        assert most != 0
        assert least == 0
    else:
        assert scaling.min_replicas == least
        assert scaling.max_replicas == max(most, least), "kubectl scale may raise the minimum above"


@given(
    amount=st.from_regex(r"(0|[1-9][0-9]{0,5})(\.[0-9]{1,3})?(m|k|M|G|Ki|Mi|Gi)?", fullmatch=True)
)
def test_quantities_are_kept_as_written(amount: str) -> None:
    limits = parse(model(resources={"limits": {"memory": amount}})).model.limits
    assert limits == {"memory": amount}


def golden(**picture: Any) -> dict[str, Any]:
    return body({"golden": [{"expect": {"label": "cat"}, **picture}]})


def test_golden_pictures() -> None:
    (one,) = parse(golden(image="pictures/cat.jpg")).golden
    assert (one.image, one.label, one.min_score) == ("pictures/cat.jpg", "cat", 0.0)
    reference = {"name": "golden", "key": "cat.jpg"}
    expect = {"label": "cat", "minScore": 1}
    (two,) = parse(golden(configMapKeyRef=reference, expect=expect)).golden
    assert (two.config_map, two.key, two.min_score) == ("golden", "cat.jpg", 1.0)


@pytest.mark.parametrize(
    ("picture", "field"),
    [
        ({}, "golden[0].image"),
        ({"image": "a", "configMapKeyRef": {"name": "a", "key": "b"}}, "golden[0].image"),
        ({"image": "/a"}, "golden[0].image"),
        ({"image": "a/../../b"}, "golden[0].image"),
        ({"configMapKeyRef": {"name": "a"}}, "golden[0].configMapKeyRef.key"),
        ({"configMapKeyRef": {"name": "A B", "key": "b"}}, "golden[0].configMapKeyRef.name"),
        ({"configMapKeyRef": {"name": "a", "key": "b/c"}}, "golden[0].configMapKeyRef.key"),
        ({"configMapKeyRef": {"name": "a", "key": ".."}}, "golden[0].configMapKeyRef.key"),
        ({"image": "a", "expect": {}}, "golden[0].expect.label"),
        ({"image": "a", "expect": {"label": "b", "minScore": 1.5}}, "golden[0].expect.minScore"),
        ({"image": "a", "expect": {"label": "b", "minScore": True}}, "golden[0].expect.minScore"),
        ({"image": "a", "expect": {"label": "b", "box": []}}, "golden[0].expect.box"),
        ({"image": "a", "score": 1}, "golden[0].score"),
    ],
)
def test_wrong_golden_pictures_are_named(picture: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecError) as refused:
        parse(golden(**picture))
    assert f"spec.predictor.{field}" in str(refused.value)


def test_golden_pictures_are_bounded() -> None:
    pictures = [{"image": "a", "expect": {"label": "b"}}] * 17
    with pytest.raises(SpecError, match=r"spec\.predictor\.golden"):
        parse(body({"golden": pictures}))
