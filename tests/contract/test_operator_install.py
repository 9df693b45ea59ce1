"""What is installed: up to date with its sources, least privilege, settings that exist."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import kopf
import pytest
import yaml

from inference_operator import __version__, names
from inference_operator.app import handlers
from inference_operator.config import PREFIX, Config
from inference_operator.kinds import CHILD_KINDS, KINDS, WATCHED_KINDS

ROOT = Path(__file__).parents[2]
INSTALL = (ROOT / "deploy" / "install.yaml").read_text()
DOCUMENTS: list[dict[str, Any]] = list(yaml.safe_load_all(INSTALL))


def one(kind: str, name: str = "inference-operator") -> dict[str, Any]:
    (found,) = [d for d in DOCUMENTS if d["kind"] == kind and d["metadata"]["name"] == name]
    return found


def test_install_yaml_is_up_to_date() -> None:
    script = ROOT / "deploy" / "operator" / "build_install.py"
    done = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def rights(kind: str) -> dict[tuple[str, str], set[str]]:
    """Verbs by API group and resource."""
    found: dict[tuple[str, str], set[str]] = {}
    for rule in one(kind)["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found.setdefault((group, resource), set()).update(rule["verbs"])
    return found


def group_and_plural(kind: str) -> tuple[str, str]:
    return KINDS[kind].group, KINDS[kind].plural


def test_the_operator_has_exactly_the_rights_it_uses() -> None:
    """Watching needs list and watch, the resync get; server-side apply needs create and patch."""
    used: dict[tuple[str, str], set[str]] = {
        group_and_plural("InferenceService"): {"get", "list", "watch"},
        (names.GROUP, f"{names.PLURAL}/status"): {"patch"},
        group_and_plural("EndpointSlice"): {"get", "list", "watch"},
        group_and_plural("Pod"): {"get", "list", "watch"},
        group_and_plural("Event"): {"create"},
    }
    for kind in CHILD_KINDS:
        used[group_and_plural(kind)] = {"get", "list", "watch", "create", "patch", "delete"}
    assert rights("ClusterRole") == used
    assert rights("Role") == {group_and_plural("Lease"): {"get", "create", "update"}}


def test_every_watched_kind_may_be_watched() -> None:
    assert callable(handlers.service_event)
    registry = kopf.get_default_registry()
    selectors = [handler.selector for handler in registry._watching._handlers]
    watched = {(s.group, s.plural or s.any_name) for s in selectors if s is not None}
    watched |= {group_and_plural(kind) for kind in WATCHED_KINDS}
    allowed = {key for key, verbs in rights("ClusterRole").items() if verbs >= {"list", "watch"}}
    assert watched == allowed


@pytest.mark.parametrize("kind", ["ClusterRole", "Role"])
def test_no_wildcards(kind: str) -> None:
    for document in DOCUMENTS:
        if document["kind"] == kind:
            for rule in document["rules"]:
                assert "*" not in rule["apiGroups"] + rule["resources"] + rule["verbs"]


def container() -> dict[str, Any]:
    (found,) = one("Deployment")["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def test_settings_exist_and_images_have_the_version() -> None:
    settings = {PREFIX + field.name.upper(): field for field in fields(Config)}
    for entry in container()["env"]:
        assert entry["name"] in settings
        if entry["name"].endswith("_IMAGE"):
            assert entry["value"] == settings[entry["name"]].default
    assert container()["image"] == f"inference-operator.dev/operator:{__version__}"


def test_every_setting_is_described() -> None:
    for field in fields(Config):
        assert field.metadata["description"].endswith(".")


def test_the_operator_passes_the_restricted_standard() -> None:
    pod = one("Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    namespace = one("Namespace", "inference-operator-system")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
