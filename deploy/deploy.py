"""Installs or upgrades the CRD and the operator in the current cluster from deploy/install.yaml.

The manifest names release images. They are replaced by the images that `local-cluster images` built
last: their tags change with their content, so a change of code rolls out. Nothing else of the
manifest changes, except operator settings given with --set.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from local_cluster.errors import ClusterError
from local_cluster.kubectl import kubectl_command

ROOT = Path(__file__).parents[1]
INSTALL = ROOT / "deploy" / "install.yaml"
IMAGES = ROOT / ".cluster" / "images.json"
NAMESPACE = "inference-operator-system"
DEPLOYMENT = "inference-operator"
PREFIX = "INFERENCE_OPERATOR_"


class DeployError(Exception):
    """The operator cannot be installed; the message says why and what to do."""


def kubectl(arguments: list[str], stdin: str | None = None) -> None:
    """Run kubectl and let it print.

    Raises:
        DeployError: kubectl failed; it has printed why.
    """
    command = [*kubectl_command(), *arguments]
    if subprocess.run(command, input=stdin, text=True, check=False).returncode != 0:
        raise DeployError(f"`kubectl {' '.join(arguments)}` failed (see above)")


def built_images() -> dict[str, str]:
    """References of the built images by name; `operator` and `model-server` are present.

    Raises:
        DeployError: the images have not been built.
    """
    if not IMAGES.is_file():
        raise DeployError(f"{IMAGES.relative_to(ROOT)} does not exist: run `make images` first")
    images: dict[str, str] = json.loads(IMAGES.read_text())
    return images


def parse_settings(pairs: list[str]) -> dict[str, str]:
    """Environment variables of the operator, from pairs like `ALLOWED_ADDRESSES=10.0.0.0/8`.

    Raises:
        DeployError: a pair has no `=`.
    """
    settings = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator:
            raise DeployError(f"--set {pair}: expected NAME=VALUE")
        settings[PREFIX + name.removeprefix(PREFIX)] = value
    return settings


def render(text: str, images: dict[str, str], settings: dict[str, str]) -> str:
    """The manifest with these images and settings.

    Raises:
        DeployError: the manifest has no operator Deployment.
    """
    documents: list[dict[str, Any]] = [d for d in yaml.safe_load_all(text) if d]
    small = images["model-server"]
    environment = {
        f"{PREFIX}MODEL_SERVER_IMAGE": small,
        # Both variants are tagged with the digest of the same files, so the tag is known already.
        f"{PREFIX}MODEL_SERVER_TENSORFLOW_IMAGE": f"{small}-tensorflow",
        **settings,
    }
    for document in documents:
        if document["kind"] == "Deployment" and document["metadata"]["name"] == DEPLOYMENT:
            (container,) = document["spec"]["template"]["spec"]["containers"]
            container["image"] = images["operator"]
            kept = [e for e in container.get("env", []) if e["name"] not in environment]
            added = [{"name": name, "value": value} for name, value in environment.items()]
            container["env"] = kept + added
            return yaml.safe_dump_all(documents, sort_keys=False)
    raise DeployError(f"{INSTALL.name} has no Deployment named {DEPLOYMENT}")


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--context", help="kubeconfig context (default: the current one)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="settings",
        help="an operator setting, for example ALLOWED_ADDRESSES=10.0.0.0/8; repeatable",
    )
    parser.add_argument("--print", action="store_true", help="print the manifest, apply nothing")
    return parser.parse_args()


def main() -> int:
    """Install; returns the exit status."""
    arguments = parse_arguments()
    context = ["--context", arguments.context] if arguments.context else []
    try:
        settings = parse_settings(arguments.settings)
        manifest = render(INSTALL.read_text(), built_images(), settings)
        if arguments.print:
            print(manifest)
            return 0
        kubectl([*context, "apply", "-f", "-"], stdin=manifest)
        watch = ["rollout", "status", f"deployment/{DEPLOYMENT}", "--timeout=180s"]
        kubectl([*context, "--namespace", NAMESPACE, *watch])
    except (DeployError, ClusterError) as error:
        print(f"deploy: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
