"""What `make demo` and `make deploy` make of their arguments, without a cluster."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def load(name: str) -> ModuleType:
    """A script of deploy/, which is no package."""
    spec = importlib.util.spec_from_file_location(f"deploy_{name}", ROOT / "deploy" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


demo = load("demo")
deploy = load("deploy")


@pytest.mark.parametrize(
    ("model", "model_format"),
    [
        ("https://example.com/a/detect.tflite", "tflite"),
        ("https://example.com/a.keras?download=1", "keras"),
        ("s3://bucket/MODEL.H5", "keras"),
        ("gs://bucket/weights.hdf5", "keras"),
        ("https://example.com/saved_model.tar.gz", ""),
        ("https://example.com/model.zip#x", ""),
        ("pvc://models/resnet50", ""),
        ("bundled://classifier", ""),
    ],
)
def test_the_format_follows_from_the_ending(model: str, model_format: str) -> None:
    assert demo.choose_demo(model, "").model_format == model_format


def test_a_named_format_wins() -> None:
    chosen = demo.choose_demo("https://example.com/model.zip", "savedmodel")
    assert yaml.safe_load(chosen.manifest)["spec"]["predictor"]["model"] == {
        "modelFormat": {"name": "savedmodel"},
        "storageUri": "https://example.com/model.zip",
    }


def test_an_unknown_format_is_left_to_the_operator() -> None:
    uri = 'https://example.com/model.zip?a="b"&c=d: e'
    model = yaml.safe_load(demo.choose_demo(uri, "").manifest)["spec"]["predictor"]["model"]
    assert model == {"storageUri": uri}


def test_without_a_model_the_example_is_applied() -> None:
    chosen = demo.choose_demo(None, "")
    assert chosen.name == yaml.safe_load(chosen.manifest)["metadata"]["name"] == "detector"


@pytest.mark.parametrize("model", ["model.keras", "/data/model.tflite", "file:///x", "ftp://a/b"])
def test_a_model_that_pods_cannot_read_is_an_error(model: str) -> None:
    with pytest.raises(
        demo.DemoError, match=r"^MODEL=.*expected a URI .* http://, https://, s3://"
    ):
        demo.choose_demo(model, "")


@pytest.mark.parametrize(
    ("model_format", "message", "found"),
    [
        ("", "pod a: model: a savedmodel model needs TensorFlow, which this image", "savedmodel"),
        ("", "pod a: model: /mnt/x holds a keras model, but the format asked for is", "keras"),
        ("keras", "pod a: model: /mnt/x holds a tflite model, but the format asked", "tflite"),
        ("keras", "pod a: model: the keras model has no layers", ""),
        ("", "pod a: model: there is no file or folder", ""),
    ],
)
def test_the_format_that_the_server_found_is_read(
    model_format: str, message: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "ready_condition", lambda _: (False, f"InvalidModel: {message}"))
    error = demo.WrongFormat if found else demo.DemoError
    with pytest.raises(error) as raised:
        demo.wait_ready(demo.Demo("demo-model", "", model_format), timeout_s=0)
    assert getattr(raised.value, "found", "") == found


def test_commands_are_shown_as_a_person_can_type_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/kubectl")
    assert demo.typed("get pods") == "kubectl get pods"
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert demo.typed("get pods") == ".venv/bin/local-cluster kubectl -- get pods"


def environment(manifest: str) -> dict[str, str]:
    """The operator's variables in a rendered manifest."""
    for document in yaml.safe_load_all(manifest):
        if document["kind"] == "Deployment":
            (container,) = document["spec"]["template"]["spec"]["containers"]
            return {entry["name"]: entry.get("value", "") for entry in container["env"]}
    raise AssertionError("no Deployment")


def test_deploy_names_both_images_and_the_settings() -> None:
    images = {"operator": "r.example/operator:1", "model-server": "r.example/model-server:1"}
    settings = deploy.parse_settings(["ALLOWED_ADDRESSES=10.0.0.0/8"])
    rendered = deploy.render(deploy.INSTALL.read_text(), images, settings)
    variables = environment(rendered)
    assert variables["INFERENCE_OPERATOR_MODEL_SERVER_IMAGE"] == "r.example/model-server:1"
    large = variables["INFERENCE_OPERATOR_MODEL_SERVER_TENSORFLOW_IMAGE"]
    assert large == "r.example/model-server:1-tensorflow"
    assert variables["INFERENCE_OPERATOR_ALLOWED_ADDRESSES"] == "10.0.0.0/8"
    assert "image: r.example/operator:1" in rendered


def test_a_setting_without_a_value_is_an_error() -> None:
    with pytest.raises(deploy.DeployError, match="--set A: expected NAME=VALUE"):
        deploy.parse_settings(["A"])
