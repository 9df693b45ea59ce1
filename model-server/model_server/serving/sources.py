"""Which models a server's settings name, and where they are. Cheap: nothing is loaded.

The master process asks before it starts anything, so this imports nothing heavy.
"""

from model_server.errors import InvalidModel, InvalidSettings
from model_server.models.source import ModelSource, find_model
from model_server.settings import Settings


def find_sources(settings: Settings) -> dict[str, ModelSource]:
    """Name and place of every model to serve.

    Raises:
        InvalidModel: if one cannot be found.
        InvalidSettings: if settings contradict each other.
    """
    if settings.models_dir is None:
        source = find_model(settings.model, settings.format)
        return {settings.name or source.name: source}
    if settings.model:
        raise InvalidSettings("--model and --models-dir cannot be given together")
    if not settings.models_dir.is_dir():
        raise InvalidModel(f"models-dir: there is no folder {settings.models_dir}")
    folders = sorted(path for path in settings.models_dir.iterdir() if path.is_dir())
    found = {folder.name: find_model(str(folder), settings.format) for folder in folders}
    if settings.name and settings.name in found:
        found = {settings.name: found[settings.name], **found}
    return found
