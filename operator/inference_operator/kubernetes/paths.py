"""URL paths of the API server. Pure."""

from __future__ import annotations

from inference_operator import names
from inference_operator.kinds import KINDS
from inference_operator.objects import Json


def selection(kind: str) -> dict[str, str]:
    """Return the query parameters that select the objects of `kind` that the operator manages."""
    if kind == names.KIND:
        return {}
    return {"labelSelector": f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}"}


def path(kind: str, namespace: str = "", name: str = "") -> str:
    """Return the path of a collection or an object in it; all namespaces if none is given."""
    api_version, plural = KINDS[kind].api_version, KINDS[kind].plural
    root = "apis" if KINDS[kind].group else "api"
    middle = f"namespaces/{namespace}/" if namespace else ""
    return f"{root}/{api_version}/{middle}{plural}" + (f"/{name}" if name else "")


def path_of(manifest: Json) -> str:
    """Return the path of the object that a manifest describes."""
    metadata = manifest["metadata"]
    return path(manifest["kind"], metadata["namespace"], metadata["name"])
