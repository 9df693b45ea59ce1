"""Each distribution declares what it imports, nothing else, and the private parts that it uses."""

from __future__ import annotations

import ast
import asyncio.sslproto
import importlib
import inspect
import re
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distributions
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import TConn, ThreadWorker
from kopf._core.reactor.inventory import ResourceMemories

ROOT = Path(__file__).parents[2]
PROJECTS = {
    "operator": "inference_operator",
    "model-server": "model_server",
    "model-server/client": "inference_client",
    "deploy/local-cluster": "local_cluster",
}
# Declared although nothing imports them, with the reason.
NOT_IMPORTED = {
    "backports-strenum": "bounds a dependency of ai-edge-litert",
}


def normalized(requirement: str) -> str:
    """The normalized name in a requirement (PEP 503)."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name.group()).lower()


def declaration(project: str) -> dict[str, Any]:
    """The [project] table of a distribution."""
    table = tomllib.loads((ROOT / project / "pyproject.toml").read_text())["project"]
    assert isinstance(table, dict)
    return table


def declared(project: str) -> set[str]:
    """Everything that a distribution needs to run, with its extras for users."""
    table = declaration(project)
    extras = table.get("optional-dependencies", {})
    users = [name for extra, names in extras.items() if extra != "dev" for name in names]
    return {normalized(requirement) for requirement in [*table["dependencies"], *users]}


def sources(project: str) -> list[Path]:
    """The modules of a distribution."""
    return sorted((ROOT / project / PROJECTS[project]).rglob("*.py"))


def at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below this one, except what stands under `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from at_run_time(child)


def imported_modules(project: str) -> set[str]:
    """Dotted names of the modules that a distribution imports from elsewhere."""
    package = PROJECTS[project]
    found: set[str] = set()
    for path in sources(project):
        for node in at_run_time(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.update(f"{node.module}.{alias.name}" for alias in node.names)
    own = {package, *sys.stdlib_module_names}
    return {name for name in found if name.partition(".")[0] not in own}


@cache
def owners() -> dict[str, str]:
    """Every installed Python module and the distribution whose RECORD lists it."""
    found = {}
    for distribution in distributions():
        for file in distribution.files or []:
            if file.suffix in {".py", ".so"}:
                parts = [*file.parts[:-1], file.name.partition(".")[0]]
                module = ".".join(part for part in parts if part != "__init__")
                found[module] = normalized(distribution.name)
    return found


def owner_of(module: str) -> str:
    """The distribution that installs a module, or the module that holds this name."""
    while module and module not in owners():
        module = module.rpartition(".")[0]
    assert module, "not installed"
    return owners()[module]


@pytest.mark.parametrize("project", PROJECTS)
def test_every_imported_distribution_is_declared(project: str) -> None:
    used = {module: owner_of(module) for module in imported_modules(project)}
    assert {m: owner for m, owner in used.items() if owner not in declared(project)} == {}


@pytest.mark.parametrize("project", PROJECTS)
def test_every_declared_distribution_is_imported(project: str) -> None:
    used = {owner_of(module) for module in imported_modules(project)}
    assert declared(project) - used <= set(NOT_IMPORTED)


def test_the_client_is_small() -> None:
    assert declared("model-server/client") == {"numpy", "orjson", "pillow", "tqdm", "urllib3"}


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-tensorflow.lock"])
def test_the_server_images_have_nothing_of_the_client_or_of_training(lock: str) -> None:
    text = (ROOT / "model-server" / lock).read_text()
    installed = {match.lower() for match in re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE)}
    assert "ai-edge-litert" in installed
    assert not installed & {"tqdm", "opencv-python-headless", "pytest"}


# What we override of gunicorn and kopf, which may rename or no longer call it in any release:
# base class, method, names of its parameters.
OVERRIDDEN = [
    (Arbiter, "signal", ["sig", "frame"]),
    (Arbiter, "manage_workers", []),
    (Arbiter, "stop", ["graceful"]),
    (Arbiter, "reap_workers", []),
    (ThreadWorker, "run", []),
    (ThreadWorker, "accept", ["listener"]),
    (ThreadWorker, "handle", ["conn"]),
    (ThreadWorker, "on_pending_socket_readable", ["conn", "client"]),
    (ThreadWorker, "murder_pending", []),
    (ThreadWorker, "set_accept_enabled", ["enabled"]),
    (ThreadWorker, "_keepalive_after", ["conn", "keepalive"]),
    (ThreadWorker, "_cap_keepalive", ["deadline"]),
    (TConn, "__init__", ["cfg", "sock", "client", "server"]),
    (BaseApplication, "run", []),
    (BaseApplication, "load_config", []),
    (BaseApplication, "load", []),
    (Logger, "setup", ["cfg"]),
    (ResourceMemories, "recall", ["raw_body", "memobase", "noticed_by_listing", "ephemeral"]),
]


@pytest.mark.parametrize(
    ("base", "method", "parameters"), OVERRIDDEN, ids=lambda value: getattr(value, "__name__", None)
)
def test_overridden_methods_exist(base: type, method: str, parameters: list[str]) -> None:
    assert list(signature(getattr(base, method)).parameters)[1:][: len(parameters)] == parameters


def subclasses_of(package: str) -> Iterator[tuple[ast.ClassDef, type]]:
    """Our classes that derive from one of a package, with the class that they derive from."""
    for path in [*sources("operator"), *sources("model-server")]:
        tree = ast.parse(path.read_text())
        origin = {
            alias.name: node.module
            for node in tree.body
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(package)
            for alias in node.names
        }
        for node in ast.walk(tree):
            for base in node.bases if isinstance(node, ast.ClassDef) else ():
                if isinstance(base, ast.Name) and (module := origin.get(base.id)):
                    assert isinstance(node, ast.ClassDef)
                    yield node, getattr(importlib.import_module(module), base.id)


def attributes_of_self(tree: ast.AST, context: type[ast.expr_context]) -> set[str]:
    """The names of `self.name` and `super().name` that are read, or written."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, context)
        and ast.unparse(node.value) in {"self", "super()"}
    }


@pytest.mark.parametrize("package", ["gunicorn", "kopf"])
def test_inherited_attributes_exist(package: str) -> None:
    found = list(subclasses_of(package))
    assert found
    for node, base in found:
        own = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
        own |= attributes_of_self(node, ast.Store)
        inherited = set(dir(base))
        for parent in base.__mro__[:-1]:
            source = ast.parse(textwrap.dedent(inspect.getsource(parent)))
            inherited |= attributes_of_self(source, ast.Store)
        assert attributes_of_self(node, ast.Load) - own <= inherited, node.name


def test_the_tls_buffer_of_asyncio_can_be_set() -> None:
    assert isinstance(asyncio.sslproto.SSLProtocol.max_size, int)
