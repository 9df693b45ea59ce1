"""Which models a server's settings name, and where they are. Cheap: nothing is loaded.

The master process asks before it starts anything, so this imports nothing heavy.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from model_server.errors import InvalidModel, InvalidSettings
from model_server.models.source import ModelSource, find_model
from model_server.settings import Settings

# What file systems, storage appliances and archives leave in folders; hidden folders besides.
_NOT_MODELS = {"lost+found", "__MACOSX", "@eaDir", "System Volume Information", "$RECYCLE.BIN"}


class Sources(NamedTuple):
    """What was found.

    Attributes:
        models: Name and place of every model.
        problems: Name of every folder without a model that can be served, and why.
    """

    models: Mapping[str, ModelSource]
    problems: Mapping[str, str]


def find_sources(settings: Settings) -> Sources:
    """Finds every model to serve.

    A folder of --models-dir that holds no model is a problem of its own and stops no other.

    Raises:
        InvalidModel: if there is no model at all.
        InvalidSettings: if settings contradict each other.
    """
    if settings.models_dir is None:
        source = find_model(settings.model, settings.format)
        return Sources({settings.name or source.name: source}, {})
    if settings.model:
        raise InvalidSettings("--model and --models-dir cannot be given together")
    if not settings.models_dir.is_dir():
        raise InvalidModel(f"models-dir: there is no folder {settings.models_dir}")
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
            f"models-dir: {settings.models_dir} has no folder with a model in it"
            + (f": {found}" if found else "; each model needs a folder of its own")
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
