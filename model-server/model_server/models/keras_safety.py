"""Checks a Keras file before Keras opens it; refuses what could run code or read other files.

Keras's `safe_mode` is not a security boundary: it is ignored for HDF5 files, and class references
in the configuration have been used to call any Python function (CVE-2024-3660, CVE-2025-1550,
CVE-2025-8747, CVE-2025-9905) and to read files (CVE-2025-12058). This module therefore reads the
configuration as plain JSON and allows only the parts of Keras that models are built from. It also
refuses HDF5 links that point outside the file.
"""

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from model_server.errors import InvalidModel

_MAX_CONFIG_BYTES = 64 * 1024 * 1024
# Layers that run their own code or open files, and Keras's markers for Python objects.
_FORBIDDEN_CLASSES = {
    *("FlaxLayer", "JaxLayer", "Lambda", "TFSMLayer", "TorchModuleWrapper"),
    *("__lambda__", "__typespec__"),
}
# Packages that contain the parts of a model. Others, such as keras.utils, keras.saving and
# keras.config, have functions that download, open or execute files.
_PARTS = (
    "activations|constraints|dtype_policies|engine|initializers|layers|losses|metrics|models|ops"
    "|optimizers|quantizers|regularizers"
)
_ALLOWED_MODULE = re.compile(rf"builtins|(tf_)?keras(\.src)?(\.({_PARTS})(\.\w+)*)?")
# Keras looks functions up by name, so keras.models is excluded: it contains load_model.
_FUNCTION_MODULE = re.compile(
    r"builtins|(tf_)?keras(\.src)?\.(activations|initializers|losses|metrics|ops)(\.\w+)*"
)
# A dot in a name would reach into another module.
_NAME = re.compile(r"\w+")
# More groups and datasets than any real model has.
_MAX_OBJECTS = 200_000
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def check_keras_file(path: Path) -> dict[str, Any]:
    """Checks a .keras or HDF5 file; returns the model's configuration.

    Raises:
        InvalidModel: if the file is neither, is damaged, or contains something that is refused.
    """
    try:
        if zipfile.is_zipfile(path):
            config = _read_archive(path)
        else:
            with path.open("rb") as file:
                if file.read(len(_HDF5_MAGIC)) != _HDF5_MAGIC:
                    raise InvalidModel(f"model: {path.name} is neither a .keras nor an HDF5 file")
            config = _read_hdf5(path)
    except (
        *(OSError, ValueError, KeyError, TypeError, RuntimeError, RecursionError),
        *(zipfile.BadZipFile, NotImplementedError, EOFError),
    ) as error:
        raise InvalidModel(f"model: {path.name} is damaged: {error}") from error
    for problem in find_problems(config):
        raise InvalidModel(
            f"model: {path.name} {problem}, which is refused: it could run code or read other files"
        )
    return config


def _read_archive(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            parts = Path(member.filename).parts
            if member.filename.startswith("/") or ".." in parts:
                raise InvalidModel(f"model: {path.name} has the unsafe member {member.filename}")
        if archive.getinfo("config.json").file_size > _MAX_CONFIG_BYTES:
            raise InvalidModel(f"model: the configuration in {path.name} is too large")
        config = json.loads(archive.read("config.json"))
        for member in archive.infolist():
            if member.filename.endswith(".h5"):
                with archive.open(member) as weights:
                    _refuse_links(weights, path)
    if not isinstance(config, dict):
        raise InvalidModel(f"model: the configuration in {path.name} is not an object")
    return config


def _read_hdf5(path: Path) -> dict[str, Any]:
    import h5py  # noqa: PLC0415 - comes with TensorFlow

    _refuse_links(path, path)
    with h5py.File(path, "r") as file:
        text = file.attrs.get("model_config")
    if text is None:
        raise InvalidModel(
            f"model: {path.name} has weights but no model; save it with model.save()"
        )
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    config = json.loads(text)
    if not isinstance(config, dict):
        raise InvalidModel(f"model: the configuration in {path.name} is not an object")
    return config


def _refuse_links(source: Any, path: Path) -> None:
    """Refuses links to other files and datasets stored in other files."""
    import h5py  # noqa: PLC0415 - comes with TensorFlow

    with h5py.File(source, "r") as file:
        pending: list[Any] = [file]
        seen: set[int] = set()  # a group may contain itself
        while pending:
            group = pending.pop()
            for name in group:
                link = group.get(name, getlink=True)
                if not isinstance(link, h5py.HardLink):
                    raise InvalidModel(f"model: {path.name} has the link {name}, which is refused")
                item = group[name]
                address = h5py.h5o.get_info(item.id).addr
                if address in seen:
                    continue
                seen.add(address)
                if len(seen) > _MAX_OBJECTS:
                    raise InvalidModel(
                        f"model: {path.name} has more than {_MAX_OBJECTS:,} HDF5 objects"
                    )
                if isinstance(item, h5py.Group):
                    pending.append(item)
                elif isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
                    raise InvalidModel(f"model: {path.name} keeps {name} in another file")


def find_problems(config: object) -> Iterator[str]:
    """Yields what is refused in a configuration: forbidden layers and classes from outside Keras.

    A configuration consists of nested objects with the fields `module`, `class_name`,
    `registered_name` and `config`.
    """
    pending = [config]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending.extend(item)
        if not isinstance(item, dict):
            continue
        pending.extend(item.values())
        yield from _problems_of(item)


def _problems_of(item: dict[str, Any]) -> Iterator[str]:
    class_name, module, config = item.get("class_name"), item.get("module"), item.get("config")
    if class_name in _FORBIDDEN_CLASSES:
        yield f"has a {class_name} layer"
    if isinstance(module, str) and not _ALLOWED_MODULE.fullmatch(module):
        yield f"refers to the Python module {module!r}"
    if class_name == "function":
        yield from _function_problems(module, config)
    elif (
        isinstance(class_name, str) and isinstance(module, str) and not _NAME.fullmatch(class_name)
    ):
        yield f"refers to the class {class_name!r}"
    if isinstance(config, dict) and isinstance(config.get("vocabulary"), str):
        yield f"has a {class_name} layer that reads the file {config['vocabulary']!r}"


def _function_problems(module: object, name: object) -> Iterator[str]:
    found = module if isinstance(module, str) else "builtins"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        yield f"refers to the function {name!r}"
    elif not _FUNCTION_MODULE.fullmatch(found):
        yield f"refers to the function {name!r} of the Python module {module!r}"
