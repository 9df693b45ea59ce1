"""A models folder with things in it that are not models: the good ones serve, the rest is told."""

import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

from model_server.errors import InvalidModel, StartupError
from model_server.http.app import create_app
from model_server.models.loading import load_model
from model_server.models.source import find_model
from model_server.serving.registry import load_registry
from model_server.serving.sources import find_sources
from model_server.settings import load_settings

GOOD = find_model("bundled://detector").folder


def make(folder: Path, *names: str) -> Path:
    for name in names:
        shutil.copytree(GOOD, folder / name)
    return folder


def client_of(folder: Path) -> Any:
    settings = load_settings(models_dir=str(folder), threads="1", model_threads="1")
    return create_app(settings, load_registry(settings)).test_client()


@pytest.mark.parametrize(
    "name",
    ["lost+found", ".ipynb_checkpoints", "..data", "..2026_11_25", ".git", "__MACOSX", "@eaDir"],
)
def test_folders_that_systems_make_are_not_models(tmp_path: Path, name: str) -> None:
    make(tmp_path, "coco")
    (tmp_path / name).mkdir()
    found = find_sources(load_settings(models_dir=str(tmp_path)))
    assert (list(found.models), found.problems) == (["coco"], {})


def broken(folder: Path, name: str) -> None:
    path = folder / name
    path.mkdir()
    match name:
        case "empty":
            pass
        case "two":
            for file in ("a.tflite", "b.tflite"):
                (path / file).write_bytes(b"")
        case "damaged":
            (path / "model.tflite").write_bytes(b"\0\0\0\0TFL3 and nothing else")
        case "labels":
            (path / "model.tflite").write_bytes((GOOD / "model.tflite").read_bytes())
            (path / "labels.txt").write_bytes(b"\xff\xfe not text \x81")


BROKEN = ["empty", "two", "damaged"]


@pytest.mark.parametrize("name", BROKEN)
def test_a_model_that_cannot_be_loaded_stops_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    broken(make(tmp_path, "coco"), name)
    with caplog.at_level(logging.ERROR):
        server = client_of(tmp_path)
    assert f"model {name} is not served" in caplog.text
    ready = server.get("/readyz")
    assert (ready.status_code, ready.get_json()["models"]) == (200, ["coco"])
    problem = ready.get_json()["not_served"][name]
    assert problem
    index = {item["name"]: item for item in server.post("/v2/repository/index").get_json()}
    assert (index["coco"]["state"], index["coco"]["reason"]) == ("READY", "")
    assert (index[name]["state"], index[name]["reason"]) == ("UNAVAILABLE", problem)
    assert f'model_server_model_load_failed{{model="{name}"}} 1.0' in server.get("/metrics").text
    for path in (f"/v1/models/{name}", f"/v2/models/{name}", f"/v2/models/{name}/ready"):
        answer = server.get(path)
        assert (answer.status_code, answer.get_json()["code"]) == (503, "ModelNotServed")
        assert problem in answer.get_json()["error"]


def test_all_bad_is_an_error_that_names_each(tmp_path: Path) -> None:
    for name in BROKEN:
        broken(tmp_path, name)
    settings = load_settings(models_dir=str(tmp_path))
    with pytest.raises(StartupError) as caught:
        load_registry(settings)
    for name in BROKEN:
        assert name in caught.value.message


def test_an_empty_models_folder_says_what_belongs_there(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    with pytest.raises(InvalidModel, match=r"models-dir: no subfolder of .* contains a model"):
        find_sources(load_settings(models_dir=str(tmp_path)))


def test_a_model_that_is_named_alone_still_has_to_load(tmp_path: Path) -> None:
    broken(tmp_path, "damaged")
    with pytest.raises(StartupError):
        load_registry(load_settings(model=str(tmp_path / "damaged")))


def test_frameworks_may_raise_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "coco", "other")

    def loading(source: Any, parallelism: Any) -> Any:
        if source.folder.name == "other":
            raise RuntimeError("words of a framework")
        return load_model(source, parallelism)

    monkeypatch.setattr("model_server.serving.registry.load_model", loading)
    ready = client_of(tmp_path).get("/readyz").get_json()
    assert ready["models"] == ["coco"]
    assert "RuntimeError: words of a framework" in ready["not_served"]["other"]


def test_a_version_folder_is_not_the_name_of_its_model(tmp_path: Path) -> None:
    version = tmp_path / "flowers" / "3"
    version.mkdir(parents=True)
    (version / "saved_model.pb").write_bytes(b"")
    assert find_model(str(tmp_path / "flowers")).name == "flowers"
    assert find_model(str(version)).name == "flowers"
