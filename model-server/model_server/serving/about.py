"""The description of a served model for the web page: signature, classes, digest and model card."""

from pathlib import Path
from typing import Any

from model_server.models.base import TensorSpec
from model_server.models.datatypes import datatype_of
from model_server.models.source import ModelSource
from model_server.vision.inference import VisionModel
from model_server.vision.preparation import preparation_facts

CARDS = ("MODEL_CARD.md", "README.md")
_MAX_CARD_BYTES = 256 * 1024
_MAX_LABELS = 40


def describe(model: VisionModel, source: ModelSource) -> dict[str, Any]:
    """Facts about a model, as JSON values."""
    names = _class_names(model)
    return {
        "name": model.name,
        "task": model.task,
        "format": model.info.format,
        "inputs": [_signature(spec) for spec in model.info.inputs],
        "outputs": [_signature(spec) for spec in model.outputs],
        "classes": len(names),
        "labels": names[:_MAX_LABELS],
        "description": model.info.description,
        "preprocessing": preparation_facts(model.image) if model.takes_pictures else None,
        "warnings": list(model.warnings),
        "digest": model.digest,
        "card": read_card(source.folder),
    }


def read_card(folder: Path) -> str:
    """The Markdown of the model card beside a model; empty if there is none."""
    for name in CARDS:
        path = folder / name
        try:
            if path.is_file() and path.stat().st_size <= _MAX_CARD_BYTES:
                return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
    return ""


def _class_names(model: VisionModel) -> list[str]:
    if model.class_names:
        return list(model.class_names)
    if model.labels is None or model.task != "detection":
        return []
    # COCO label maps have ??? for unused numbers.
    return [name for _, name in sorted(model.labels.names.items()) if name.strip("? ")]


def _signature(spec: TensorSpec) -> str:
    shape = ", ".join("any" if size < 0 else str(size) for size in spec.shape)
    return f"{spec.name}: {datatype_of(spec.dtype)} [{shape}]"
