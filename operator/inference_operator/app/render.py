"""Renders the manifests of InferenceServices as YAML, without a cluster.

It uses the same builders as the running operator, so it prints what would be applied.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from inference_operator import names
from inference_operator.api.spec import parse
from inference_operator.config import Config
from inference_operator.desired.state import build_desired
from inference_operator.errors import ConfigError, SpecError


def render_file(file: Path, config: Config | None = None) -> str:
    """Render the children of every InferenceService in `file` (`-` for standard input) as YAML.

    Raises:
        ConfigError: The file cannot be read, is not YAML, contains no InferenceService or an
            invalid one; the message names the file and the field.
    """
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
        documents = [document for document in yaml.safe_load_all(text) if document]
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}: specify a readable file") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{file} is not YAML: {error}") from error
    services = [d for d in documents if isinstance(d, dict) and d.get("kind") == names.KIND]
    if not services:
        raise ConfigError(f"{file} has no {names.KIND}: there is nothing to render")
    config = config or Config.from_environment()
    children = [child for body in services for child in _children(file, body, config)]
    return yaml.safe_dump_all(children, sort_keys=False)


def _children(file: Path, body: dict[str, Any], config: Config) -> list[dict[str, Any]]:
    if body.get("apiVersion") != names.API_VERSION:
        raise ConfigError(
            f"{file}: apiVersion is {body.get('apiVersion')!r}: set it to {names.API_VERSION}"
        )
    try:
        service = parse(body)
    except SpecError as error:
        name = (body.get("metadata") or {}).get("name", "")
        raise ConfigError(f"{file}: {names.KIND} {name}: {error}") from error
    children = []
    for child in build_desired(service, config).children:
        # Only the API server knows the UID of the owner.
        metadata = {k: v for k, v in child["metadata"].items() if k != "ownerReferences"}
        children.append({**child, "metadata": metadata})
    return children
