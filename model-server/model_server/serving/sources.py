"""Finds the models that the settings name, without loading them.

Used by the master process, so it imports nothing heavy.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from model_server.errors import InvalidModel, InvalidSettings
from model_server.models.source import ModelSource, find_model
from model_server.settings import Settings

# Created by file systems, storage appliances and archivers. Hidden folders are skipped as well.
_NOT_MODELS = {"lost+found", "__MACOSX", "@eaDir", "System Volume Information", "$RECYCLE.BIN"}


class Sources(NamedTuple):
    """Models found.

    Attributes:
        models: Sources by model name.
        problems: Names of folders without a usable model, with the reason.
    """

    models: Mapping[str, ModelSource]
    problems: Mapping[str, str]


def find_sources(settings: Settings) -> Sources:
    """Finds all models. A bad folder in --models-dir does not affect the others.

    Raises:
        InvalidModel: if there is no model at all.
        InvalidSettings: if settings conflict.
    """
    if settings.models_dir is None:
        source = find_model(settings.model, settings.format)
        return Sources({settings.name or source.name: source}, {})
    if settings.model:
        raise InvalidSettings("--model and --models-dir cannot be combined; use one of them")
    if not settings.models_dir.is_dir():
        raise InvalidModel(f"models-dir: folder {settings.models_dir} does not exist")
    models: dict[str, ModelSource] = {}
    problems: dict[str, str] = {}
    for folder in _model_folders(settings.models_dir):
        try:
            models[folder.name] = find_model(str(folder), settings.format)
        except (InvalidModel, OSError) as error:
            problems[folder.name] = str(error)
    if not models:
        found = "; ".join(problems.values())
        raise InvalidModel(
            f"models-dir: no subfolder of {settings.models_dir} contains a model"
            + (f": {found}" if found else "; put each model into its own subfolder")
        )
    if settings.name in models:
        models = {settings.name: models[settings.name], **models}
    return Sources(models, problems)


def _model_folders(parent: Path) -> list[Path]:
    return sorted(
        path
        for path in parent.iterdir()
        if path.is_dir() and not path.name.startswith(".") and path.name not in _NOT_MODELS
    )
