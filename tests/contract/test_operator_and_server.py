"""What the operator writes into a pod is what the model server reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from inference_operator import names
from inference_operator.api.model import FORMATS, RESERVED_ENVIRONMENT
from inference_operator.api.spec import parse
from inference_operator.config import Config
from inference_operator.desired.pod import (
    DRAIN_MARGIN_SECONDS,
    PRE_STOP_SECONDS,
    build_pod_template,
)
from inference_operator.desired.state import build_desired
from model_server.download.options import parse_options
from model_server.settings import load_settings, setting_names

ROOT = Path(__file__).parents[2]
CASES = sorted((ROOT / "tests" / "unit" / "operator" / "cases").glob("*.yaml"))
CONFIG = Config(
    allow_private_addresses=True,
    allowed_addresses=("10.0.0.0/8",),
    instance_credentials=True,
    max_model_bytes=5,
)


def template(case: Path) -> dict[str, Any]:
    service = parse(yaml.safe_load(case.read_text()))
    return build_pod_template(service, CONFIG, "example.com/server:1")


def server(case: Path) -> dict[str, Any]:
    (found,) = template(case)["spec"]["containers"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_every_variable_is_a_setting(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {
        entry["name"]: entry["value"]
        for entry in server(case)["env"]
        if entry["name"].startswith("MODEL_SERVER_")
    }
    known = {f"MODEL_SERVER_{name.upper()}" for name in setting_names()}
    assert set(environment) <= known
    assert known >= RESERVED_ENVIRONMENT
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.port == names.PORT
    assert settings.name == yaml.safe_load(case.read_text())["metadata"]["name"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_the_server_drains_before_it_is_killed(case: Path) -> None:
    by_name = {entry["name"]: entry.get("value") for entry in server(case)["env"]}
    drain = int(by_name["MODEL_SERVER_DRAIN_SECONDS"] or 0)
    grace = template(case)["spec"]["terminationGracePeriodSeconds"]
    assert drain + PRE_STOP_SECONDS + DRAIN_MARGIN_SECONDS <= grace
    assert drain >= int(by_name.get("MODEL_SERVER_TIMEOUT_SECONDS") or 0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_the_download_is_asked_in_its_own_words(case: Path) -> None:
    service = parse(yaml.safe_load(case.read_text()))
    for container in template(case)["spec"].get("initContainers", []):
        command, *flags = container["args"]
        assert command == "download"
        options = parse_options(flags)
        assert options.uri == service.model.source.uri
        assert options.dest == Path(names.MODEL_PATH)
        assert options.sha256 == service.model.source.sha256
        assert options.files == service.model.source.files
        assert options.max_bytes == 5
        assert options.instance_credentials


def test_formats_are_the_servers() -> None:
    for name in FORMATS.values():
        assert load_settings(format=name.value).format == name.value


def test_a_container_says_nothing_that_the_image_decides() -> None:
    for case in CASES:
        assert "command" not in server(case)
        assert "args" not in server(case)
        assert build_desired(parse(yaml.safe_load(case.read_text())), CONFIG).children
