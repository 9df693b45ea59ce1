"""Install or upgrade CRD and operator in the current cluster from deploy/install.yaml.

The manifest names release images; here they are replaced by the images that were just built, as
`local-cluster images` recorded them, so that a change of code is a change of tag and rolls out.
Nothing else of the manifest changes, except settings of the operator asked for with --set.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
INSTALL = ROOT / "deploy" / "install.yaml"
IMAGES = ROOT / ".cluster" / "images.json"
NAMESPACE = "inference-operator-system"
DEPLOYMENT = "inference-operator"
PREFIX = "INFERENCE_OPERATOR_"


class DeployError(Exception):
    """The operator cannot be installed; the message says why and what to do."""


def kubectl(arguments: list[str], stdin: str | None = None) -> None:
    """Run kubectl; its output goes to the person.

    Raises:
        DeployError: it exited non-zero; it has said why.
    """
    binary = shutil.which("kubectl")
    own = str(Path(sys.executable).with_name("local-cluster"))
    command = [binary] if binary else [own, "kubectl", "--"]
    done = subprocess.run([*command, *arguments], input=stdin, text=True, check=False)
    if done.returncode != 0:
        raise DeployError(f"kubectl {' '.join(arguments)} failed (see above)")


def built_images() -> dict[str, str]:
    """Image by name: at least operator and model-server.

    Raises:
        DeployError: no images were built yet.
    """
    if not IMAGES.is_file():
        raise DeployError(f"{IMAGES.relative_to(ROOT)} is not there: run `make images` first")
    images: dict[str, str] = json.loads(IMAGES.read_text())
    return images


def parse_settings(pairs: list[str]) -> dict[str, str]:
    """`ALLOW_PRIVATE_ADDRESSES=true` as an environment variable of the operator.

    Raises:
        DeployError: a pair has no `=`.
    """
    settings = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator:
            raise DeployError(f"--set {pair}: write NAME=VALUE")
        settings[PREFIX + name.removeprefix(PREFIX)] = value
    return settings


def render(text: str, images: dict[str, str], settings: dict[str, str]) -> str:
    """install.yaml with these images and settings.

    Raises:
        DeployError: the manifest holds no operator Deployment.
    """
    documents: list[dict[str, Any]] = [d for d in yaml.safe_load_all(text) if d]
    small = images["model-server"]
    environment = {
        f"{PREFIX}MODEL_SERVER_IMAGE": small,
        # Built from the same content, and only when asked for: its tag is known all the same.
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
    raise DeployError(f"{INSTALL.name} holds no Deployment called {DEPLOYMENT}")


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--context", help="kube context (default: that of the local cluster)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="settings",
        help="a setting of the operator, such as ALLOW_PRIVATE_ADDRESSES=true",
    )
    parser.add_argument("--print", action="store_true", help="only print the manifest")
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
    except DeployError as error:
        print(f"deploy: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
